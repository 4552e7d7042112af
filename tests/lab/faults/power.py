"""What a power loss leaves of a Mnesia directory: only what had been synced.

Contents that were written are lost from the last sync of the file on, and names that were made, renamed or deleted since the last sync
of their folder are what they were before. All of it is lost, which is the worst that a file system may do; what Mnesia itself writes
stays, but a file of its own that the operation gives a new name counts as unsynced until the operation has synced it.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .points import Change

_NAMES = {"rename", "make_link", "delete", "open", "write_file", "copy", "make_dir", "del_dir"}
_CONTENTS = {"pwrite", "write", "write_file", "copy", "truncate"}
#: Nothing that anybody would miss.
_HARMLESS = {"change_mode"}


@dataclass
class _Written:
    """What is not yet synced of a file: everything from `kept` on."""

    kept: int


@dataclass
class _State:
    unsynced_names: list[Change] = field(default_factory=list)
    unsynced_contents: dict[str, _Written] = field(default_factory=dict)
    synced_contents: set[str] = field(default_factory=set)


def lose(spool: Path, changes: list[Change], shadow: Path) -> list[str]:
    """Takes from the spool what had not been synced when the node was killed; says what that was."""
    state = _State()
    for change in changes:
        if change.facts["ok"]:
            _note(state, change)
    said = [f"contents of {path} from byte {written.kept} on" for path, written in state.unsynced_contents.items()]
    for path, written in state.unsynced_contents.items():
        os.truncate(spool / path, written.kept)
    for change in reversed(state.unsynced_names):
        _take_back(spool, change, shadow)
        said.append(str(change))
    return said


def _note(state: _State, change: Change) -> None:
    function, paths = change.function, change.paths
    if function in ("sync", "datasync"):
        _synced(state, paths[0])
    elif ":" not in function and function not in _NAMES | _CONTENTS | _HARMLESS:
        raise ValueError(f"what a power loss leaves of `{function}` is not known; teach it to {__name__}")
    if function in _CONTENTS:
        _written(state, change)
    if function in _NAMES and not (function in ("open", "write_file", "copy") and change.facts["existed"]):
        state.unsynced_names.append(change)
    if function in ("delete", "rename"):
        _moved(state, change)


def _synced(state: _State, path: str) -> None:
    state.unsynced_contents.pop(path, None)
    state.synced_contents.add(path)
    # The trace has the spool itself as a whole path, and everything in it relative to it.
    folder = "" if path.startswith("/") else path
    state.unsynced_names = [change for change in state.unsynced_names if os.path.dirname(change.paths[-1]) != folder]


def _written(state: _State, change: Change) -> None:
    path = change.paths[-1]
    offset = change.facts.get("offset", 0)
    known = state.unsynced_contents.get(path)
    state.unsynced_contents[path] = _Written(min(known.kept, offset) if known else offset)
    state.synced_contents.discard(path)


def _moved(state: _State, change: Change) -> None:
    """Contents go with their file."""
    old, new = change.paths[0], change.paths[-1]
    written = state.unsynced_contents.pop(old, None)
    if change.function == "delete":
        return
    state.unsynced_contents.pop(new, None)
    if written:
        state.unsynced_contents[new] = written
    elif old not in state.synced_contents and "staging/" in old:
        state.unsynced_contents[new] = _Written(0)


def _take_back(spool: Path, change: Change, shadow: Path) -> None:
    former = shadow / str(change.number)
    path = spool / change.paths[-1]
    match change.function:
        case "rename":
            os.rename(path, spool / change.paths[0])
        case "make_link" | "open" | "write_file" | "copy":
            path.unlink()
        case "make_dir":
            shutil.rmtree(path)
        case "del_dir":
            path.mkdir()
            shutil.chown(path, "ejabberd", "ejabberd")
    # What was in a folder whose own end is on disc has ended with it.
    if change.function in ("rename", "delete") and change.facts["existed"] and path.parent.exists():
        os.link(former, path)
