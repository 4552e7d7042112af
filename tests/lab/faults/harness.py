"""Goes through kill points: begins with the scene, kills, starts again as the service would, judges."""

import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lab import ErlangError, Lab, Late, XmppError

from . import power
from .judge import COMPLETED, RESTORED, STUCK, Verdict, judged, judged_baseline, view
from .killing import load
from .operations import BY_NAME, Operation
from .points import Change, Point, halves
from .scenes import World

_OPERATION_TIMEOUT = 60
_START_TIMEOUT = 40


@dataclass
class Reference:
    """An operation that nobody interrupted: where it began, where it ended, what it changed in between."""

    former: dict
    end: dict
    changes: list[Change]


@dataclass
class Result:
    """What became of one kill point."""

    point: Point
    where: str
    verdict: Verdict
    seconds: float = 0
    #: What the recovery has changed.
    recovery: list[Change] = field(default_factory=list)


class Lane:
    """One world, in which one point is tried after the other."""

    def __init__(self, lab: Lab, number: int):
        self.world = World(lab, number)
        self._references: dict[str, Reference] = {}
        #: The scene in which the world is now, and whether easy_cluster is set aside.
        self._clean: tuple | None = None

    def reference(self, operation: Operation) -> Reference:
        """The uninterrupted operation, which is run when it is first asked for."""
        if operation.name not in self._references:
            self._references[operation.name] = self._uninterrupted(operation)
        return self._references[operation.name]

    def _uninterrupted(self, operation: Operation) -> Reference:
        world = self.world
        self._begin(operation)
        former = view(world)
        world.other.eval("lab_numbers:start()")
        answer = world.killer.run(operation.prepare, self._expression(operation), 0, _OPERATION_TIMEOUT)
        if answer != "ok":
            raise RuntimeError(f"{operation.name} without an interruption: {answer!r}\n{world.here.log_tail()}")
        world.other.eval("lab_numbers:stop()", 20)
        reference = Reference(former, view(world), [change for change in world.killer.changes() if change.number])
        self._tidy(operation, reference, Verdict(COMPLETED))
        return reference

    def _expression(self, operation: Operation) -> str:
        return operation.expression.format(here=self.world.here.name, other=self.world.other.name)

    def _begin(self, operation: Operation) -> None:
        wanted = (operation.scene, operation.baseline)
        if self._clean != wanted:
            self.world.begin(*wanted)
        self._clean = None

    def run(self, point: Point) -> Result:
        """Kills at the point, starts the node again, and judges."""
        operation = BY_NAME[point.operation]
        reference = self.reference(operation)
        if point.number > len(reference.changes) + 1:
            raise ValueError(f"{point}: {operation.name} makes {len(reference.changes)} changes")
        begun = time.monotonic()
        self._begin(operation)
        result = Result(point, _where(point, reference.changes), Verdict(STUCK))
        try:
            self._kill_and_judge(operation, reference, point, result)
        except (ErlangError, Late, RuntimeError, XmppError) as error:
            result.verdict = Verdict(STUCK, [f"{type(error).__name__}: {error}", self.world.here.log_tail(12)])
        finally:
            self.world.killer.forget_start()
        self._tidy(operation, reference, result.verdict)
        result.seconds = time.monotonic() - begun
        return result

    def _kill_and_judge(self, operation: Operation, reference: Reference, point: Point, result: Result) -> None:
        world, killer = self.world, self.world.killer
        world.other.eval("lab_numbers:start()")
        early = halves(reference.changes).get(point.number, 0) if point.half else None
        killer.run(operation.prepare, self._expression(operation), point.number, _OPERATION_TIMEOUT, early, point.power)
        changes = killer.changes()
        if point.power:
            power.lose(world.here.spool, changes, killer.shadow)
        log_from = (world.here.logs / "ejabberd.log").stat().st_size
        if point.recovery is not None:
            killer.at_start(point.recovery)
            world.here.launch()
            world.here.wait_until_dead(60)
        if operation.baseline:
            result.verdict = judged_baseline(world, reference.former, reference.end, _START_TIMEOUT)
            return
        killer.at_start(0)
        world.here.start(_START_TIMEOUT)
        load(world.here, "lab_view", "lab_numbers")
        result.verdict = judged(world, reference.former, reference.end, changes, log_from, operation.forward)
        result.recovery = killer.changes("recovery")

    def _tidy(self, operation: Operation, reference: Reference, verdict: Verdict) -> None:
        """Leaves the scene as it was where that takes less than to begin it anew."""
        if verdict.outcome == RESTORED and not operation.baseline:
            shutil.rmtree(self.world.here.spool / "easy_cluster", ignore_errors=True)
        elif verdict.outcome in (COMPLETED, RESTORED) and operation.scene.strangers:
            self.world.begin_here(operation.scene, operation.baseline)
        else:
            return
        if view(self.world) == reference.former:
            self._clean = (operation.scene, operation.baseline)

    def close(self) -> None:
        """Ends the nodes."""
        self.world.close()


class Harness:
    """Several lanes side by side in one laboratory."""

    def __init__(self, lab: Lab, lanes: int, report: Callable[[Result], None]):
        self._pool = ThreadPoolExecutor(lanes)
        self._lanes = list(self._pool.map(lambda number: Lane(lab, number), range(1, lanes + 1)))
        self._report = report

    def reference(self, operation: Operation) -> Reference:
        """The operation without an interruption, once in each lane, as their nodes have names of their own."""
        return list(self._pool.map(lambda lane: lane.reference(operation), self._lanes))[0]

    def run(self, points: Iterable[Point]) -> list[Result]:
        """Tries all points, each in the lane that has nothing else to do."""
        left = iter(list(points))

        def work(lane: Lane) -> list[Result]:
            done = []
            for point in left:
                done.append(lane.run(point))
                self._report(done[-1])
            return done

        return [result for results in self._pool.map(work, self._lanes) for result in results]

    def close(self) -> None:
        """Ends all nodes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for lane in self._lanes:
            lane.close()


def _where(point: Point, changes: list[Change]) -> str:
    found = [change for change in changes if change.number == point.number]
    return f"before {found[0]}" if found else "after everything"
