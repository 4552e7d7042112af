"""The table: operation × kill points × outcome, as it is printed and as docs/reliability.md has it."""

import re
from collections import Counter
from pathlib import Path

from .harness import Result
from .judge import COMPLETED, LOST, RESTORED, STUCK
from .operations import BY_NAME, OPERATIONS

_OUTCOMES = [COMPLETED, RESTORED, LOST, STUCK]
_VARIANTS = {"killed": "killed", "power": "power lost", "twice": "killed again in its recovery", "member": "member killed",
             "away": "member away"}  # fmt: skip


def variant(result: Result) -> str:
    """What was done at the point."""
    if result.point.member:
        return "away" if result.point.away else "member"
    if result.point.recovery is not None:
        return "twice"
    return "power" if result.point.power else "killed"


def table(results: list[Result]) -> str:
    """Lines of Markdown."""
    lines = [f"| operation | changes | what | points | {' | '.join(_OUTCOMES)} |", "|---|--:|---|--:|" + "--:|" * len(_OUTCOMES)]
    for name in [operation.name for operation in OPERATIONS]:
        for key, words in _VARIANTS.items():
            own = [result for result in results if result.point.operation == name and variant(result) == key]
            if own:
                counts = Counter(result.verdict.outcome for result in own)
                cells = " | ".join(str(counts[outcome]) for outcome in _OUTCOMES)
                label = f"`{name}`" + (" (ejabberd's own)" if BY_NAME[name].baseline else "")
                lines.append(f"| {label} | {own[-1].changes} | {words} | {len(own)} | {cells} |")
    return "\n".join(lines)


def losses(results: list[Result]) -> str:
    """What the baseline lost, by what is seen afterwards."""
    counts = Counter(loss for result in results for loss in result.verdict.losses)
    points = {loss: [str(result.point).partition(":")[2] for result in results if loss in result.verdict.losses] for loss in counts}
    return "\n".join(f"- {loss}: {count} (at {', '.join(points[loss])})" for loss, count in counts.most_common())


def failed(results: list[Result]) -> list[Result]:
    """Points of our own operations that end in neither of the two states."""
    return [result for result in results if result.verdict.outcome in (LOST, STUCK) and not BY_NAME[result.point.operation].baseline]


def write_into(document: Path, text: str) -> None:
    """Puts the text between the document's two marks."""
    begin, end = "<!-- faults: begin -->", "<!-- faults: end -->"
    before = document.read_text()
    document.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", before, flags=re.DOTALL))
