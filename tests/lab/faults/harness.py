"""Goes through points: begins with the scene, kills or has the member be away, starts again as the service would, judges."""

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from subprocess import TimeoutExpired

from lab import ErlangError, Lab, Late, NodeDown, XmppError, wait_until

from . import power
from .judge import (
    COMPLETED,
    RESTORED,
    STUCK,
    Before,
    Killed,
    Verdict,
    facts,
    fences,
    is_settled,
    journals,
    judged,
    judged_baseline,
    synced_file,
    view,
)
from .killing import compiled, load
from .member import happening
from .operations import BY_NAME, Operation
from .points import MEMBER_IS, Change, Point, Step, chosen, halves, steps, there_half
from .scenes import BEREFT, World

_OPERATION_TIMEOUT = 60
#: Of an operation whose member is killed or away. It may wait for it more than once.
_BESIDE_TIMEOUT = 240
_START_TIMEOUT = 40


@dataclass
class Reference:
    """An operation that nobody interrupted: where it began, where it ended, what it changed in between."""

    former: dict
    end: dict
    changes: list[Change]
    #: Whether it ends with its last change: nobody can be killed between that and the answer.
    ends_itself: bool = False
    #: The steps that have begun.
    steps: list[Step] = field(default_factory=list)

    def chosen(self, edge: int = 0) -> list[int]:
        """The numbers of the changes to kill at; see `points.chosen`."""
        numbers = chosen(self.changes, edge)
        return numbers[:-1] if self.ends_itself else numbers


@dataclass
class Result:
    """What became of one kill point."""

    point: Point
    #: The last change that was made; which one bears a number can differ a little from run to run.
    where: str
    verdict: Verdict
    #: How many the operation makes.
    changes: int = 0
    seconds: float = 0
    #: The changes of the recovery at which that can be killed.
    recovery: list[int] = field(default_factory=list)


class Lane:
    """One world, in which one point is tried after the other."""

    def __init__(self, world: World):
        self.world = world
        self._references: dict[str, Reference] = {}
        #: The scene in which the world is now, and whether easy_cluster is set aside.
        self._clean: tuple | None = None

    def reference(self, operation: Operation) -> Reference:
        """The uninterrupted operation, which is run when it is first asked for."""
        if operation.name not in self._references:
            self._references[operation.name] = self._uninterrupted(operation)
        return self._references[operation.name]

    def _uninterrupted(self, operation: Operation) -> Reference:
        world, here = self.world, self.world.here
        world.begin(operation.scene, operation.baseline, running=True)
        self._clean = None
        former = view(world)
        world.other.eval("lab_numbers:start()")
        if operation.renames:
            here.stop()
            ended = world.killer.run_rename(world.own_name, world.new_name, 0, _OPERATION_TIMEOUT)
            world.call_here(world.new_name)
            here.start()
            load(here, "lab_view", "lab_numbers")
        else:
            ended = world.killer.run(operation.prepare, operation.on(world), 0, _OPERATION_TIMEOUT)
        if ended not in (True, "ok"):
            raise RuntimeError(f"{operation.name} without an interruption: {ended!r}\n{here.log_tail()}")
        world.other.eval("lab_numbers:stop()", 20)
        changes = world.killer.changes()
        reference = Reference(former, view(world), [change for change in changes if change.number], operation.renames, steps(changes))
        self._tidy(operation, reference, Verdict(COMPLETED))
        return reference

    def _begin(self, operation: Operation, equipped: bool) -> None:
        if equipped or self._clean != (operation.scene, operation.baseline):
            self.world.begin(operation.scene, operation.baseline, equipped=equipped)
        self._clean = None

    def run(self, point: Point) -> Result:
        """Kills at the point, starts the node again, and judges; or has the member killed or away there."""
        operation = BY_NAME[point.operation]
        reference = self.reference(operation)
        most, what = (len(reference.steps), "has {} steps") if point.away else (len(reference.changes) + 1, "makes {} changes")
        if point.number > most or (point.member and not operation.has_member):
            raise ValueError(f"{point}: {operation.name} {what.format(most)}, and {'a' if operation.has_member else 'no'} member")
        begun = time.monotonic()
        self._begin(operation, point.equipped)
        result = Result(point, "", Verdict(STUCK), len(reference.changes))
        try:
            (self._harm_and_judge if point.member else self._kill_and_judge)(operation, reference, point, result)
        except (ErlangError, Late, RuntimeError, TimeoutExpired, XmppError) as error:
            said = [*result.verdict.wrong, *facts(self.world), self.world.other.log_tail(12)] if point.member else []
            result.verdict = Verdict(STUCK, [f"{type(error).__name__}: {error}", *said, self.world.here.log_tail(12)])
        finally:
            self.world.killer.forget_start()
        # The member has been through something, too.
        if not point.member:
            self._tidy(operation, reference, result.verdict)
        result.seconds = time.monotonic() - begun
        return result

    def _kill_and_judge(self, operation: Operation, reference: Reference, point: Point, result: Result) -> None:
        world, killer = self.world, self.world.killer
        acknowledged = world.other.eval("lab_numbers:start()")
        before = Before(journals(world), acknowledged, fences(world) if operation.scene is BEREFT else [])
        early = halves(reference.changes).get(point.number, 0) if point.half else None
        if operation.renames:
            killer.run_rename(world.own_name, world.new_name, point.number, _OPERATION_TIMEOUT, early, point.power)
            # As the service of the machine that has a new name.
            world.call_here(world.new_name)
        else:
            killer.run(operation.prepare, operation.on(world), point.number, _OPERATION_TIMEOUT, early, point.power)
        killed = Killed(killer.changes())
        result.where = _where(killed.changes)
        if point.power:
            power.lose(world.here.spool, killed.changes, killer.shadow)
        before.log_size = (world.here.logs / "ejabberd.log").stat().st_size
        if point.recovery is not None:
            killer.at_start(point.recovery)
            self._start_until_killed()
            killed.recovery = killer.changes("recovery")
        if operation.baseline:
            result.verdict = judged_baseline(world, reference.former, reference.end, _START_TIMEOUT)
            return
        self._start(operation)
        load(world.here, "lab_view", "lab_numbers")
        wait_until(lambda: is_settled(world), 40, "the end of the recovery")
        result.recovery = chosen(killer.changes("recovery"), 1)[:-1]
        if operation.again and (answer := world.here.eval(operation.on(world), _OPERATION_TIMEOUT)) != "ok":
            raise RuntimeError(f"{operation.name} once more: {answer!r}")
        result.verdict = judged(world, operation, reference.former, reference.end, killed, before)

    def _harm_and_judge(self, operation: Operation, reference: Reference, point: Point, result: Result) -> None:
        world, killer = self.world, self.world.killer
        acknowledged = world.other.eval(f'lab_numbers:start("{synced_file(world)}")')
        before = Before(journals(world), acknowledged, fences(world) if operation.scene is BEREFT else [])
        change, step = (0, point.number) if point.away else (point.number, 0)
        after = there_half(reference.changes).get(point.number, 0) if point.half else None
        try:
            answer = killer.run_beside(operation.on(world), _BESIDE_TIMEOUT, happening(world, point), change, step, after)
        finally:
            killed = Killed(killer.changes(), member=point.member)
            result.where = _where_beside(killed.changes, point)
        world.go_on()
        said = f"{operation.name} has answered {_short(answer)}"
        # What is told with whatever goes wrong from now on.
        result.verdict.wrong = [said]
        if not world.here.is_up():
            world.here.destroy()
            self._start(operation)
            load(world.here, "lab_view", "lab_numbers")
        if point.member == "m":
            load(world.other, "lab_view", "lab_numbers")
        wait_until(lambda: is_settled(world), 40, "the nodes to settle")
        if operation.forward and answer != "ok" and (answer := world.here.eval(operation.on(world), _OPERATION_TIMEOUT)) != "ok":
            raise RuntimeError(f"{operation.name} once more: {answer!r}")
        result.verdict = judged(world, operation, reference.former, reference.end, killed, before)
        if result.verdict.wrong:
            result.verdict.wrong.append(said)

    def _start_until_killed(self) -> None:
        """A recovery may have fewer changes than the one that was counted; then the kill comes right behind it."""
        here = self.world.here
        with contextlib.suppress(NodeDown):
            if here.start(_START_TIMEOUT, unless=here.has_ended):
                wait_until(lambda: here.has_ended() or is_settled(self.world), 40, "the kill, or the end of the recovery")
                if not here.has_ended():
                    here.kill()
                    return
        here.wait_until_dead()

    def _start(self, operation: Operation) -> None:
        """Starts the node again, under the name whose database it is."""
        world, here = self.world, self.world.here
        world.killer.at_start(0)
        if not operation.renames:
            here.start(_START_TIMEOUT)
            return
        console = here.logs / "console.log"
        said_before = console.stat().st_size
        refusal = f"owned by ['{world.own_name}']".encode()
        if here.start(_START_TIMEOUT, unless=lambda: refusal in console.read_bytes()[said_before:]):
            return
        # It is given the time that its log needs to come into the file, and may end by itself.
        with contextlib.suppress(TimeoutExpired):
            here.wait_until_dead(4)
        here.destroy()
        # What the first start has recovered stays in its trace.
        world.killer.forget_start()
        world.call_here(world.own_name)
        here.start(_START_TIMEOUT)

    def _tidy(self, operation: Operation, reference: Reference, verdict: Verdict) -> None:
        """Leaves the scene as it was where that takes less than to begin it anew."""
        scene = operation.scene
        if verdict.outcome == RESTORED and not operation.baseline and not scene.stopped:
            self.world.forget_operation(scene)
        elif verdict.outcome in (COMPLETED, RESTORED) and scene.strangers:
            self.world.begin_here(scene, operation.baseline)
        else:
            return
        if scene.stopped or view(self.world) == reference.former:
            self._clean = (scene, operation.baseline)

    def close(self) -> None:
        """Ends the nodes."""
        self.world.close()


class Harness:
    """Several lanes side by side in one laboratory."""

    def __init__(self, lab: Lab, lanes: int, report: Callable[[Result], None]):
        self._pool = ThreadPoolExecutor(lanes)
        self._report = report
        self._closed = False
        compiled(lab)
        hosts = [(lab.host(f"hello{number}.world"), lab.host(f"foo{number}.bar"), f"third{number}.host")
                 for number in range(1, lanes + 1)]  # fmt: skip
        self._lanes = list(self._pool.map(lambda names: Lane(World(lab, *names)), hosts))

    def reference(self, operation: Operation) -> Reference:
        """The operation without an interruption, once in each lane, as their nodes have names of their own."""
        references = self._pool.map(lambda lane: lane.reference(operation), self._lanes)
        # Each point of it is one in every lane.
        return min(references, key=lambda reference: len(reference.changes))

    def run(self, points: Iterable[Point]) -> list[Result]:
        """Tries all points, each in the lane that has nothing else to do; the results come in no order."""
        left = iter(list(points))

        def work(lane: Lane) -> list[Result]:
            done = []
            for point in left:
                result = lane.run(point)
                # What ends with the laboratory says nothing.
                if self._closed:
                    break
                done.append(result)
                self._report(result)
            return done

        return [result for results in self._pool.map(work, self._lanes) for result in results]

    def close(self) -> None:
        """Ends all nodes, also those that a lane is about to start."""
        self._closed = True
        for _twice in range(2):
            for lane in self._lanes:
                lane.close()
            self._pool.shutdown(cancel_futures=True)


def _short(answer: object) -> str:
    return str(answer)[:600]


def _where_beside(changes: list[Change], point: Point) -> str:
    what = f"member {MEMBER_IS[point.member]}"
    if point.away:
        names = [step.name for step in steps(changes) if step.number == point.number]
        return f"{what} for {point.away} s from {', '.join(names) or 'a step that has not begun'} on"
    found = [str(change) for change in changes if change.number == point.number]
    return f"{what} {'in' if point.half else 'before'} {', '.join(found) or 'the end'}"


def _where(changes: list[Change]) -> str:
    made = [change for change in changes if change.number]
    return f"after {made[-1]}" if made else "before everything"
