"""Kills the contact or the joiner at random while a node joins and the contact's users write, round after round.

    python tests/lab/faults/chance.py                                  ten rounds of each, with a seed that it prints
    python tests/lab/faults/chance.py --kill contact --rounds 40 --seed 1
    python tests/lab/faults/chance.py --kill contact --seed 1 --first 7 --rounds 1      the seventh of these once more

Each round draws what it does from the seed and its number only: the step of the join, the time from then to the kill, and the time until the
node is started again, as a service does. Two of three kills come while the large table is copied. The end is judged as that of any other
point; a join that has come to its end is taken back, and the next round goes on from there.
"""

import argparse
import random
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.harness import Lane, Reference  # noqa: E402
from faults.judge import (  # noqa: E402
    COMPLETED,
    LOST,
    RESTORED,
    STUCK,
    Before,
    Killed,
    Verdict,
    facts,
    is_settled,
    journals,
    judged,
    synced_file,
    view,
)
from faults.killing import compiled, load  # noqa: E402
from faults.operations import Operation  # noqa: E402
from faults.scenes import LARGE, World  # noqa: E402
from lab import EjabberdNode, ErlangError, Lab, Late, Terminated, XmppError, wait_until  # noqa: E402

JOIN = Operation("join_as_master", LARGE, "easy_cluster:join_as_master('{other}')")
ROUNDS = 10
#: So long after the large table is there a kill may still come, in parts of the time that it takes.
_BEYOND = 1.2
#: So many seconds at most from the beginning of any other step.
_IN_A_STEP = 0.3
#: So many seconds at most until a killed node is started again.
_DOWN = 4
_TIMEOUT = 120


@dataclass(frozen=True)
class Choice:
    """What a round does."""

    round: int
    victim: str
    step: int
    name: str
    delay: float
    down: float

    def __str__(self) -> str:
        return (f"round {self.round}: {self.victim} killed {self.delay:.3f} s after step {self.step}, {self.name}, has begun, "
                f"started again after {self.down:.1f} s")  # fmt: skip


def chosen(seed: int, number: int, victim: str, reference: Reference) -> Choice:
    """The choice of a round: the same for the same seed and number, as long as the plan is the same."""
    draw = random.Random(f"{seed}/{victim}/{number}")
    copying = max(reference.changes, key=lambda change: change.facts["took"] if change.facts["there"] else -1)
    steps = reference.steps
    during_copy = draw.random() < 2 / 3
    step = next(step for step in steps if copying.number in step.changes) if during_copy else draw.choice(steps)
    most = _BEYOND * copying.facts["took"] / 1000 if during_copy else _IN_A_STEP
    return Choice(number, victim, step.number, step.name, round(draw.uniform(0, most), 3), round(draw.uniform(0, _DOWN), 1))


class Rounds:
    """Rounds in one world, one after the other."""

    def __init__(self, lane: Lane):
        self._lane, self._world = lane, lane.world
        self._goes_on = False

    def run(self, choice: Choice) -> Verdict:
        """What the round ends in."""
        world = self._world
        if not self._goes_on:
            world.begin(LARGE)
        self._goes_on = False
        try:
            verdict = self._killed_and_judged(choice)
            if verdict.outcome in (COMPLETED, RESTORED):
                self._goes_on = self._taken_back(verdict)
        except (ErlangError, Late, RuntimeError, TimeoutExpired, XmppError) as error:
            verdict = Verdict(STUCK, [f"{type(error).__name__}: {error}", *facts(world), world.here.log_tail(12), world.other.log_tail(12)])
        return verdict

    def _killed_and_judged(self, choice: Choice) -> Verdict:
        world, killer = self._world, self._world.killer
        acknowledged = world.other.eval(f'lab_numbers:start("{synced_file(world)}")')
        before = Before(journals(world), acknowledged, [])
        reference = self._lane.reference(JOIN)
        killer.run_beside(JOIN.on(world), _TIMEOUT, lambda go_on, _is_over: self._kill(choice, before, go_on), step=choice.step)
        world.go_on()
        killed = Killed(killer.changes(), member="m" if choice.victim == "contact" else "")
        wait_until(self._is_settled, 60, "the nodes to settle")
        return judged(world, JOIN, reference.former, reference.end, killed, before)

    def _is_settled(self) -> bool:
        """Whether all is at rest."""
        for node in (self._world.here, self._world.other):
            if node.has_ended():
                self._start(node)
        return is_settled(self._world)

    def _start(self, node: EjabberdNode) -> None:
        """Starts a node as its service would, and the other one whenever Mnesia has ended its VM: the two can wait for one another."""
        world = self._world
        bystander = world.here if node is world.other else world.other
        started = [node]

        def ended() -> bool:
            if bystander.has_ended():
                bystander.launch()
                started.append(bystander)
            return False

        node.start(unless=ended)
        for each in dict.fromkeys(started):
            each.wait_until_it_serves()
            load(each, "lab_view", "lab_numbers")

    def _kill(self, choice: Choice, before: Before, go_on: Callable[[], None]) -> None:
        world = self._world
        victim = world.other if choice.victim == "contact" else world.here
        go_on()
        world.closed.wait(choice.delay)
        victim.signal(signal.SIGKILL)
        victim.wait_until_dead()
        before.log_size = (world.here.logs / "ejabberd.log").stat().st_size
        world.closed.wait(choice.down)
        world.go_on()
        self._start(victim)

    def _taken_back(self, verdict: Verdict) -> bool:
        """Takes a join back; whether the next round may begin with what is there."""
        world = self._world
        if verdict.outcome == COMPLETED:
            answer = world.here.eval("easy_cluster_api:rollback()", _TIMEOUT)
            if answer != "ok":
                verdict.outcome = LOST
                verdict.wrong.append(f"rollback(): {answer!r}")
                return False
            world.other.eval("mnesia:delete_table(easy_cluster_fence)")
        world.fill_memory(LARGE)
        return view(world) == self._lane.reference(JOIN).former


class Chance:
    """The rounds of a run, in as many lanes as there are."""

    def __init__(self, lab: Lab, lanes: int, seed: int, verbose: bool):
        self._seed, self._verbose = seed, verbose
        self._pool = ThreadPoolExecutor(lanes)
        self._printing = threading.Lock()
        compiled(lab)
        hosts = [(lab.host(f"hello{number}.world"), lab.host(f"foo{number}.bar"), f"third{number}.host")
                 for number in range(1, lanes + 1)]  # fmt: skip
        self._lanes = list(self._pool.map(lambda names: Lane(World(lab, *names)), hosts))

    def run(self, rounds: list[tuple[int, str]]) -> Counter:
        """How often the rounds ended in what, by the node that was killed."""
        left, ends = iter(rounds), Counter()

        def work(lane: Lane) -> None:
            reference, own = lane.reference(JOIN), Rounds(lane)
            for number, victim in left:
                choice = chosen(self._seed, number, victim, reference)
                begun = time.monotonic()
                verdict = own.run(choice)
                if lane.world.closed.is_set():
                    return
                with self._printing:
                    ends[victim, verdict.outcome] += 1
                    print(f"{verdict.outcome:9} {time.monotonic() - begun:5.1f} s  {choice}", flush=True)
                    for wrong in verdict.wrong[: None if self._verbose else 7]:
                        print(f"    {wrong if self._verbose else wrong[:600]}", flush=True)

        list(self._pool.map(work, self._lanes))
        return ends

    def close(self) -> None:
        """Ends all nodes, also those that a lane is about to start."""
        for _twice in range(2):
            for lane in self._lanes:
                lane.close()
            self._pool.shutdown(cancel_futures=True)


def main() -> int:
    """Runs what the options ask for and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python tests/lab/faults/chance.py", description="Kills one of two nodes at random in joins.")
    parser.add_argument("--kill", choices=["contact", "joiner", "both"], default="both", help="which node is killed (both, in turn)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"so many rounds of each ({ROUNDS})")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), metavar="N", help="what the rounds are drawn from")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the number of the first round (1)")
    parser.add_argument("--lanes", type=int, default=2, help="pairs of nodes that work side by side (2)")
    parser.add_argument("--verbose", action="store_true", help="all that is wrong, at length, with the ends of the logs")
    options = parser.parse_args()
    victims = ["contact", "joiner"] if options.kill == "both" else [options.kill]
    rounds = [(number, victim) for number in range(options.first, options.first + options.rounds) for victim in victims]
    print(f"--seed {options.seed}", flush=True)
    try:
        with Lab() as lab:
            chance = Chance(lab, options.lanes, options.seed, options.verbose)
            try:
                ends = chance.run(rounds)
            finally:
                chance.close()
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    for (victim, outcome), count in sorted(ends.items()):
        print(f"{victim} killed: {outcome} {count}")
    return 1 if any(outcome in (LOST, STUCK) for _victim, outcome in ends) else 0


if __name__ == "__main__":
    sys.exit(main())
