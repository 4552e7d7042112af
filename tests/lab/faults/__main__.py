"""`make test-faults`: every operation, killed at every change; see the package's own words."""

import argparse
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import table  # noqa: E402
from faults.harness import Harness, Reference, Result  # noqa: E402
from faults.operations import BY_NAME, OPERATIONS, Operation  # noqa: E402
from faults.points import Point, absences, halves, kills_of_member, parse, strided  # noqa: E402
from faults.record import Record  # noqa: E402
from lab import Lab, Terminated  # noqa: E402
from lab.node import REPOSITORY  # noqa: E402

DOCUMENT = REPOSITORY / "docs/reliability.md"
#: Of like changes in a row, the first and the last so many are tried, and the middle.
EDGE = 1
#: So many points of an operation are tried, at a fixed stride; a quarter of that half-way, with a power loss, and killed again.
POINTS = 24
#: Where all are tried, one in so many with a power loss, too.
POWER_EVERY = 4
#: So many points of each operation have their recovery killed, at so many of its changes each.
TWICE_POINTS, TWICE_CHANGES = 3, 4
#: What takes less than so many milliseconds is not killed half-way.
HALF_FROM = 50

_printing = threading.Lock()


def main() -> int:
    """Runs what the options ask for and returns the exit status. What was tried before an interruption is printed, too."""
    options = _options()
    begun = time.monotonic()
    record = Record(options.record)

    def tried(result: Result) -> None:
        with _printing:
            record.add(result)
            report(result, options.verbose)

    status = 0
    try:
        with Lab() as lab:
            harness = Harness(lab, options.lanes, tried)
            try:
                Run(harness, record, options).run(options.only or [operation.name for operation in OPERATIONS])
            finally:
                harness.close()
    except Terminated:
        status = 143
    except KeyboardInterrupt:
        status = 130
    text = summary(record, options.lanes)
    print(f"\n{text}\n\n{(time.monotonic() - begun) / 60:.0f} minutes")
    if options.write and status == 0:
        table.write_into(DOCUMENT, text)
    return status or (1 if table.failed(record.results()) else 0)


def _options():
    parser = argparse.ArgumentParser(prog="python tests/lab/faults", description="Kills nodes at the changes of every operation.")
    parser.add_argument("--only", metavar="OPERATION[:POINT]", type=parse, action="append",
                        help="this operation, or this point, as it is printed; may be given several times")  # fmt: skip
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--points", type=int, default=POINTS, metavar="N",
                        help=f"of each operation at most N points, and N/4 of each other kind, at a stride ({POINTS})")  # fmt: skip
    amount.add_argument("--all", action="store_true",
                        help="all points, but of changes of one kind in a row the first, the middle and the last")  # fmt: skip
    amount.add_argument("--every", action="store_true", help="all changes, also those of one kind in a row")
    parser.add_argument("--member", action="store_true", help="only the points at which something happens to the member")
    parser.add_argument("--list", action="store_true",
                        help="only print the steps, the changes, and the points at which something happens to the member")  # fmt: skip
    parser.add_argument("--lanes", type=int, default=2, help="pairs of nodes that work side by side (2)")
    parser.add_argument("--record", type=Path, metavar="FILE",
                        help="add each result to this file; what it has of the same commit is not tried again")  # fmt: skip
    parser.add_argument("--write", action="store_true",
                        help=f"put the table of all that is recorded into {DOCUMENT.relative_to(REPOSITORY)}")  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="all that is wrong, at length")
    return parser.parse_args()


class Run:
    """What is tried, and what of that is known already."""

    def __init__(self, harness: Harness, record: Record, options: argparse.Namespace):
        self._harness, self._record = harness, record
        self._only_lists, self._only_member = options.list, options.member
        self._edge = 0 if options.every else EDGE
        self._most = sys.maxsize if options.all or options.every else options.points

    def run(self, wanted: list[Point | str]) -> None:
        """Tries single points, also those that are known, and then whole operations; or only says what there is to try."""
        if self._only_lists:
            for name in wanted:
                self._list(BY_NAME[name.operation if isinstance(name, Point) else name])
            return
        self._harness.run([point for point in wanted if isinstance(point, Point)])
        for operation in [BY_NAME[name] for name in wanted if isinstance(name, str)]:
            reference = self._harness.reference(operation)
            print(f"{operation.name}: {len(reference.changes)} changes", flush=True)
            if not self._only_member:
                first = self._results(self._first_points(operation, reference))
                self._results(self._second_points(operation, first))
            self._results(self._member_points(operation, reference))

    def _list(self, operation: Operation) -> None:
        reference = self._harness.reference(operation)
        for step in reference.steps:
            print(f"{operation.name}:s{step.number:<4} {'member' * step.there:6} {step.name}")
        for change in reference.changes:
            member = "member" if change.facts["there"] else ""
            print(f"{operation.name}:{change.number:<5} {member:6} {change.facts['took']:5} ms  {change}")
        for point in self._member_points(operation, reference):
            print(point)

    def _results(self, points: list[Point]) -> list[Result]:
        known = [result for point in points if (result := self._record.has(point))]
        return known + self._harness.run([point for point in points if not self._record.has(point)])

    def _first_points(self, operation: Operation, reference: Reference) -> list[Point]:
        """The changes; half-way to those that take their time; and some with a power loss."""
        few = max(1, self._most // 4)
        numbers = strided(reference.chosen(self._edge), self._most)
        points = [Point(operation.name, number) for number in numbers]
        points += [Point(operation.name, number, half=True) for number in strided(list(halves(reference.changes, HALF_FROM)), few)]
        if not operation.baseline:
            count = min(few, max(1, len(numbers) // POWER_EVERY))
            points += [Point(operation.name, number, power=True) for number in strided(numbers, count)]
        return points

    def _second_points(self, operation: Operation, results: list[Result]) -> list[Point]:
        """Some changes of some recoveries."""
        if operation.baseline:
            return []
        recovered = [result for result in results if len(result.recovery) > 1 and not result.point.half and not result.point.power]
        recovered.sort(key=lambda result: result.point.number)
        points = [Point(operation.name, result.point.number, recovery=number)
                  for result in strided(recovered, TWICE_POINTS) for number in strided(result.recovery, TWICE_CHANGES)]  # fmt: skip
        return strided(points, max(1, self._most // 4))


    def _member_points(self, operation: Operation, reference: Reference) -> list[Point]:
        """What happens to the member."""
        if not operation.has_member:
            return []
        few = max(1, self._most // 4)
        return [*kills_of_member(operation.name, reference.changes, few, self._edge),
                *absences(operation.name, reference.steps, few, every_step=self._edge == 0)]  # fmt: skip


def report(result: Result, verbose: bool) -> None:
    """A line for the point; more of what is wrong."""
    print(f"{str(result.point):26} {result.verdict.outcome:9} {result.seconds:5.1f} s  {result.where}", flush=True)
    for wrong in result.verdict.losses + result.verdict.wrong[:None if verbose else 3]:
        print(f"    {wrong if verbose else wrong[:300]}", flush=True)


def summary(record: Record, lanes: int) -> str:
    """The table and what goes with it, as it is printed and written."""
    results = record.results()
    own = [result for result in results if not BY_NAME[result.point.operation].baseline]
    failed = table.failed(results)
    minutes = sum(result.seconds for result in results) / lanes / 60
    parts = [table.table(results),
             f"{len(own)} points of easy_cluster's operations, {len(failed)} of them lost or stuck; "
             f"{len(results) - len(own)} of the baseline. {minutes:.0f} minutes, {lanes} pairs of nodes side by side. {_tried_on(record)}"]  # fmt: skip
    if len(own) < len(results):
        parts.append("What `ejabberdctl join_cluster` leaves when it is killed, and how often:\n\n" + table.losses(results))
    if failed:
        parts.append("Neither completed nor restored:\n\n" + "\n".join(f"- `{result.point}`, {result.where}: "
                     f"{(result.verdict.wrong or ['?'])[0][:200]}" for result in failed))  # fmt: skip
    return "\n\n".join(parts)


def _tried_on(record: Record) -> str:
    match record.commits().most_common():
        case []: return ""
        case [(commit, _all)]: return f"Commit `{commit}`."
        case several: return "Commits " + ", ".join(f"`{commit}` ({count} points)" for commit, count in several) + "."


if __name__ == "__main__":
    sys.exit(main())
