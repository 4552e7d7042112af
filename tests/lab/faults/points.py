"""Kill points: what they are called, and which of them are tried."""

import re
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Point:
    """Where an operation is killed: just before its change `number`."""

    operation: str
    number: int
    #: Half-way, in time, from the change before it.
    half: bool = False
    #: The machine loses its power.
    power: bool = False
    #: The change of the recovery at which that is killed as well.
    recovery: int | None = None

    def __str__(self) -> str:
        second = "" if self.recovery is None else f"/{self.recovery}"
        return f"{self.operation}:{self.number}{'~' * self.half}{'p' * self.power}{second}"


_WRITTEN = re.compile(r"(\w+)(?::(\d+)(~?)(p?)(?:/(\d+))?)?")


def parse(text: str) -> Point | str:
    """A point as it is written, or the name of an operation."""
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is neither OPERATION nor OPERATION:NUMBER with ~, p or /NUMBER behind it")
    operation, number, half, power, recovery = found.groups()
    if number is None:
        return operation
    return Point(operation, int(number), bool(half), bool(power), int(recovery) if recovery else None)


_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\w+")


@dataclass(frozen=True)
class Change:
    """What an operation changed on disc, or a call that it made; `number` is 0 for a sync."""

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


def _in_order(changes: list[Change]) -> list[Change]:
    return sorted((change for change in changes if change.number), key=lambda change: change.number)


def strided(numbers: list, count: int) -> list:
    """`count` of the numbers at a fixed stride, from the middle of the first one on: the same ones each time."""
    if len(numbers) <= count:
        return numbers
    stride = len(numbers) / count
    return [numbers[int(stride * (position + 0.5))] for position in range(count)]
