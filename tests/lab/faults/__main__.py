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
from faults.points import Point, chosen, halves, parse, strided  # noqa: E402
from lab import Lab, Terminated  # noqa: E402
from lab.node import REPOSITORY  # noqa: E402

DOCUMENT = REPOSITORY / "docs/reliability.md"
#: One in so many points is tried with a power loss, too.
POWER_EVERY = 3
#: So many points of each operation have their recovery killed, at so many of its changes each.
TWICE_POINTS, TWICE_CHANGES = 4, 6

_printing = threading.Lock()


def main() -> int:
    """Runs what the options ask for and returns the exit status."""
    options = _options()
    begun = time.monotonic()
    try:
        with Lab() as lab:
            harness = Harness(lab, options.lanes, lambda result: report(result, options.verbose))
            try:
                results, found = run(harness, options.only)
            finally:
                harness.close()
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    text = summary(results, found, time.monotonic() - begun, options.lanes)
    print(f"\n{text}")
    if options.write:
        table.write_into(DOCUMENT, text)
    return 1 if table.failed(results) else 0


def _options():
    parser = argparse.ArgumentParser(prog="python tests/lab/faults", description="Kills a node at every change of every operation.")
    parser.add_argument("--only", metavar="OPERATION[:NUMBER[~][p][/NUMBER]]", type=parse, action="append",
                        help="this operation, or this kill point; may be given several times")  # fmt: skip
    parser.add_argument("--lanes", type=int, default=2, help="pairs of nodes that work side by side (2)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.relative_to(REPOSITORY)}")
    parser.add_argument("--verbose", action="store_true", help="all that is wrong, at length")
    return parser.parse_args()


def run(harness: Harness, only: list[Point | str] | None) -> tuple[list[Result], dict[str, int]]:
    """All points that are wanted; and how many changes each operation makes."""
    wanted = only or [operation.name for operation in OPERATIONS]
    results = harness.run(point for point in wanted if isinstance(point, Point))
    found = {}
    for operation in [BY_NAME[name] for name in wanted if isinstance(name, str)]:
        reference = harness.reference(operation)
        found[operation.name] = chosen(reference.changes)[-1] - 1
        print(f"{operation.name}: {found[operation.name]} changes", flush=True)
        first = harness.run(first_points(operation, reference))
        results += first + harness.run(second_points(operation, first))
    return results, found


def first_points(operation: Operation, reference: Reference) -> list[Point]:
    """Each change; half-way to those that take their time; and some with a power loss."""
    numbers = chosen(reference.changes)
    points = [Point(operation.name, number) for number in numbers]
    points += [Point(operation.name, number, half=True) for number in halves(reference.changes)]
    if not operation.baseline:
        points += [Point(operation.name, number, power=True) for number in strided(numbers, len(numbers) // POWER_EVERY)]
    return points


def second_points(operation: Operation, results: list[Result]) -> list[Point]:
    """Some changes of some recoveries."""
    if operation.baseline:
        return []
    recovered = [result for result in results if len(chosen(result.recovery)) > 2 and not result.point.half and not result.point.power]
    recovered.sort(key=lambda result: result.point.number)
    return [Point(operation.name, result.point.number, recovery=number)
            for result in strided(recovered, TWICE_POINTS)
            for number in strided(chosen(result.recovery, 1)[:-1], TWICE_CHANGES)]  # fmt: skip


def report(result: Result, verbose: bool) -> None:
    """A line for the point; more of what is wrong."""
    with _printing:
        print(f"{str(result.point):26} {result.verdict.outcome:9} {result.seconds:5.1f} s  {result.where}", flush=True)
        for wrong in result.verdict.losses + result.verdict.wrong[:None if verbose else 3]:
            print(f"    {wrong if verbose else wrong[:300]}", flush=True)


def summary(results: list[Result], found: dict[str, int], seconds: float, lanes: int) -> str:
    """The table and what goes with it, as it is printed and written."""
    own = [result for result in results if not BY_NAME[result.point.operation].baseline]
    parts = [table.table(results, found),
             f"{len(own)} kill points of easy_cluster's operations, {len(table.failed(results))} of them lost or stuck; "
             f"{len(results) - len(own)} of the baseline. {seconds / 60:.0f} minutes, {lanes} pairs of nodes side by side."]  # fmt: skip
    if len(own) < len(results):
        parts.append("What `ejabberdctl join_cluster` leaves when it is killed, and how often:\n\n" + table.losses(results))
    failed = table.failed(results)
    if failed:
        parts.append("Neither completed nor restored:\n\n" + "\n".join(f"- `{result.point}`, {result.where}: "
                     f"{(result.verdict.wrong or ['?'])[0][:200]}" for result in failed))  # fmt: skip
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
