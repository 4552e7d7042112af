"""Points: what they are called, and which of them are tried."""

import re
from dataclasses import dataclass, replace
from itertools import groupby


@dataclass(frozen=True)
class Point:
    """Where an operation is killed: just before its change `number`. Or what happens there to the member that it deals with."""

    operation: str
    number: int
    #: Half-way, in time, from the change before it.
    half: bool = False
    #: The machine loses its power.
    power: bool = False
    #: The change of the recovery at which that is killed as well.
    recovery: int | None = None
    #: What happens to the member, while the operation goes on: one of `MEMBER_IS`, or nothing.
    member: str = ""
    #: So many seconds it is away, from the beginning of the step `number` on.
    away: int = 0
    #: The member has easy_cluster, too.
    equipped: bool = False

    def __str__(self) -> str:
        equipped = "e" * self.equipped
        if self.away:
            return f"{self.operation}:s{self.number}{self.member}{self.away}{equipped}"
        second = "" if self.recovery is None else f"/{self.recovery}"
        return f"{self.operation}:{self.number}{'~' * self.half}{'p' * self.power}{self.member}{equipped}{second}"


#: `m` is killed just before the change, or half-way in it; `f` is frozen, `c` is cut off.
MEMBER_IS = {"m": "killed", "f": "frozen", "c": "cut off"}
#: How a member is away, and for how many seconds.
AWAY = [("f", 3), ("c", 6), ("f", 30), ("c", 12), ("f", 1), ("c", 30), ("f", 6), ("c", 1), ("f", 12), ("c", 3)]
_KILLED = r"(?P<number>\d+)(?P<half>~?)(?:(?P<power>p?)(?:/(?P<recovery>\d+))?|(?P<member>m)(?P<with>e?))"
_AWAY = r"s(?P<step>\d+)(?P<how>[fc])(?P<seconds>[1-9]\d*)(?P<too>e?)"
_WRITTEN = re.compile(rf"(?P<operation>\w+)(?::(?:{_KILLED}|{_AWAY}))?")


def parse(text: str) -> Point | str:
    """A point as it is written, or the name of an operation."""
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is neither OPERATION, nor OPERATION:NUMBER with ~, p, m, me or /NUMBER behind it, "
                         "nor OPERATION:sNUMBER with f or c, SECONDS, and e behind it")  # fmt: skip
    operation = found["operation"]
    if found["step"]:
        return Point(operation, int(found["step"]), member=found["how"], away=int(found["seconds"]), equipped=bool(found["too"]))
    if found["number"] is None:
        return operation
    return Point(operation, int(found["number"]), bool(found["half"]), bool(found["power"]),
                 int(found["recovery"]) if found["recovery"] else None, found["member"] or "", equipped=bool(found["with"]))  # fmt: skip


_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\w+")


@dataclass(frozen=True)
class Change:
    """What an operation changed on disc, or a call that it made; `number` is 0 for a sync and for a step that begins."""

    number: int
    #: One of `file`, or another module's with its name before it.
    function: str
    paths: tuple[str, ...]
    facts: dict

    def __str__(self) -> str:
        events = ", ".join(event.decode() for event in self.facts.get("events", []))
        # The id of an operation holds the time, and says nothing here.
        return events or _ID.sub("ID", " ".join([self.function, *(path[:100] for path in self.paths)]))

    @property
    def folder(self) -> tuple:
        """Where it is made. Changes in one folder that follow each other do the same to one file after the other."""
        if self.facts.get("events"):
            return ("journal", self.number)
        if self.function == "make_dir":
            return self.paths
        return tuple(path.rpartition("/")[0] for path in self.paths[-1:])


def chosen(changes: list[Change], edge: int = 0) -> list[int]:
    """The numbers of the changes to kill at, and the one behind the last.

    Every journal record is one of them. Of the changes of one kind in one folder in a row, as the links of `keep_database`, there are
    the first and the last `edge`, and the middle; all of them when `edge` is 0.
    """
    numbers = []
    for _folder, group in groupby(_in_order(changes), lambda change: change.folder):
        run = list(group)
        for function in dict.fromkeys(change.function for change in run):
            like = [change.number for change in run if change.function == function]
            few = edge == 0 or len(like) <= 2 * edge + 1
            numbers += like if few else [*like[:edge], like[len(like) // 2], *like[-edge:]]
    return [*sorted(numbers), max(numbers) + 1] if numbers else []


def halves(changes: list[Change], least: int = 20) -> dict[int, int]:
    """The changes that come at least so many milliseconds after the one before, and half of that time."""
    numbered = _in_order(changes)
    gaps = {after.number: (after.facts["at"] - before.facts["at"]) // 2 for before, after in zip(numbered, numbered[1:])}
    return {number: half for number, half in gaps.items() if 2 * half >= least}


@dataclass(frozen=True)
class Step:
    """A step of the plan."""

    number: int
    name: str
    #: Whether other members take part in a change of it.
    there: bool = False
    #: The numbers of its changes, those of the records of the journal around it included.
    changes: tuple[int, ...] = ()


def steps(changes: list[Change]) -> list[Step]:
    """The steps that have begun, in order."""
    found: list[Step] = []
    for change in changes:
        if "step" in change.facts:
            found.append(Step(change.facts["step"], change.paths[0]))
        elif change.number and found:
            last = found[-1]
            found[-1] = replace(last, there=last.there or change.facts["there"], changes=(*last.changes, change.number))
    return found


def there_half(changes: list[Change], least: int = 4) -> dict[int, int]:
    """The changes that other members take part in and that take so many milliseconds, and half of that time."""
    return {change.number: change.facts["took"] // 2 for change in _in_order(changes)
            if change.facts["there"] and change.facts["took"] >= least}  # fmt: skip


def kills_of_member(operation: str, changes: list[Change], count: int, edge: int = 0) -> list[Point]:
    """`count` points at which the member is killed: before a change that it takes part in, or half-way in one that takes its time."""
    halves_there = there_half(changes)
    numbers = chosen([change for change in changes if change.facts["there"]], edge)
    points = [Point(operation, number, half, member="m") for number in numbers for half in [False, True][: 1 + (number in halves_there)]]
    return _some_equipped(strided(points, count))


def absences(operation: str, begun: list[Step], count: int, every_step: bool = False) -> list[Point]:
    """`count` points at which the member is away: each step that it takes part in once, then each for another time, and so on."""
    begun = strided([step for step in begun if step.there or every_step], count)
    points = [Point(operation, step.number, member=how, away=seconds)
              for turn in range(len(AWAY)) for position, step in enumerate(begun)
              for how, seconds in [AWAY[(3 * position + turn) % len(AWAY)]]]  # fmt: skip
    return _some_equipped(points[:count])


def _some_equipped(points: list[Point]) -> list[Point]:
    return [replace(point, equipped=position % 3 == 2) for position, point in enumerate(points)]


def _in_order(changes: list[Change]) -> list[Change]:
    return sorted((change for change in changes if change.number), key=lambda change: change.number)


def strided(numbers: list, count: int) -> list:
    """`count` of the numbers at a fixed stride, from the middle of the first one on: the same ones each time."""
    if len(numbers) <= count:
        return numbers
    stride = len(numbers) / count
    return [numbers[int(stride * (position + 0.5))] for position in range(count)]
