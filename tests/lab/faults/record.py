"""Results on disc, one JSON object a line, so that a long run can be interrupted and gone on with, and be put together of several.

A result belongs to the commit that it was tried on: the newest one that has changed the product or this harness.
"""

import json
import subprocess
from collections import Counter
from pathlib import Path

from lab.node import REPOSITORY

from .harness import Result
from .judge import COMPLETED, RESTORED, Verdict
from .points import parse

_TRIED = ["erlang", "native", "src", "tests/lab"]


def commit() -> str:
    """What is tried; with a mark when it is not committed."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_TRIED)
    return _git("log", "-1", "--format=%h", "--", *_TRIED) + "+changes" * bool(changed)


def _git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.strip()


class Record:
    """What was tried, in this run and, where there is a file, in others. Of a point that was tried on several commits the last one
    counts; of one that was tried several times on one commit the worst."""

    def __init__(self, path: Path | None):
        self.commit = commit()
        self._path = path
        self._kept: dict[str, tuple[str, Result]] = {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                self._keep(entry["commit"], _result(entry))

    def add(self, result: Result) -> None:
        """Notes a result at once."""
        self._keep(self.commit, result)
        if self._path:
            with open(self._path, "a") as file:
                file.write(json.dumps(_entry(self.commit, result)) + "\n")

    def _keep(self, commit_of: str, result: Result) -> None:
        known = self._kept.get(str(result.point))
        if known and known[0] == commit_of and known[1].verdict.outcome not in (COMPLETED, RESTORED):
            return
        self._kept[str(result.point)] = (commit_of, result)

    def has(self, point) -> Result | None:
        """The result of a point on this commit, if that can be known."""
        commit_of, result = self._kept.get(str(point), ("", None))
        return result if commit_of == self.commit and not self.commit.endswith("+changes") else None

    def results(self) -> list[Result]:
        """All of them."""
        return [result for _commit, result in self._kept.values()]

    def commits(self) -> Counter:
        """How many points were tried on each commit."""
        return Counter(commit_of for commit_of, _result in self._kept.values())


def _entry(commit_of: str, result: Result) -> dict:
    verdict = result.verdict
    return {"point": str(result.point), "commit": commit_of, "outcome": verdict.outcome, "where": result.where,
            "seconds": round(result.seconds, 1), "changes": result.changes, "wrong": verdict.wrong, "losses": verdict.losses,
            "recovery": result.recovery}  # fmt: skip


def _result(entry: dict) -> Result:
    return Result(parse(entry["point"]), entry["where"], Verdict(entry["outcome"], entry["wrong"], entry["losses"]),
                  entry["changes"], entry["seconds"], entry["recovery"])  # fmt: skip
