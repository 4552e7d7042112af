"""Kills a node just before the change that was asked for, or has something happen to another one there; see `erlang/lab_faults.erl`."""

import shutil
import struct
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import EjabberdNode, Lab, NodeDown, wait_until
from lab.etf import decode
from lab.node import REPOSITORY

from .points import Change

_SOURCES = Path(__file__).with_name("erlang")
_PLAN = "lab_faults.plan"


def compiled(lab: Lab) -> Path:
    """The folder with this package's Erlang modules, compiled."""
    folder = lab.folder / "faults"
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["erlc", "-o", folder, *_SOURCES.glob("*.erl")], check=True)
    return folder


_building = threading.Lock()


def program(lab: Lab) -> Path:
    """`easy-cluster`, where the user ejabberd can run it. Lanes ask for it side by side; a program that runs cannot be written."""
    copy = lab.folder / "easy-cluster"
    with _building:
        if not copy.exists():
            build = ["cargo", "build", "--quiet", "--locked", "-p", "easy_cluster_cli"]
            subprocess.run(build, cwd=REPOSITORY, check=True)
            shutil.copy(REPOSITORY / "target" / "debug" / "easy-cluster", copy)
    return copy


def load(node: EjabberdNode, *modules: str) -> None:
    """Loads modules of this package into a running node."""
    for module in modules:
        node.eval(f'{{module, {module}}} = code:load_abs("{compiled(node.host.lab)}/{module}")')


class Killer:
    """What kills one node, as often as it is asked to."""

    def __init__(self, node: EjabberdNode):
        self.node = node
        self.folder = node.host.folder / "faults"
        self.shadow = self.folder / "shadow"
        self._installed = node.modules / "easy_cluster" / "ebin"
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in [self.folder, self.shadow]:
            folder.mkdir()
            shutil.chown(folder, "ejabberd", "ejabberd")

    def instrument_installed(self) -> None:
        """Has the installed easy_cluster count from the node's next start on."""
        shutil.copy(compiled(self.node.host.lab) / "lab_faults.beam", self._installed)
        load(self.node, "lab_faults")
        self.node.eval(f'lab_faults:instrument_files("{self._installed}")', timeout=60)

    def run(self, prepare: str, expression: str, kill_at: int, timeout: float, early: int | None = None, power: bool = False) -> object:
        """The answer of the expression, or None when the node was killed in it; `early` milliseconds after the change before at the latest."""
        plan = self._plan("operation", kill_at, early, power, self.node.name)
        text = f"{prepare} ok = lab_faults:arm({plan}), lab_faults:finished(begin {expression} end)"
        try:
            answer = self.node.eval(text, timeout)
        except NodeDown:
            if kill_at == 0:
                raise
            self.node.wait_until_dead()
            return None
        if kill_at == 0:
            return answer
        # It had fewer changes, or was quicker, than when they were counted: the kill comes right behind it.
        self.node.kill()
        return None

    def run_beside(self, expression: str, timeout: float, happens: Callable[[Callable[[], None], Callable[[], bool]], None],
                   change: int = 0, step: int = 0, after: int | None = None) -> object:  # fmt: skip
        """The answer of the expression, or the error in which it ended, while something happens at a moment of it.

        The moment is before the change or the step, which waits; or so many milliseconds `after` the change has begun, which goes on.
        `happens` gets what lets it go on, and what says whether it has ended.
        """
        moment = self.folder / "moment"
        over = self.folder / "moment.over"
        for path in (moment, over):
            path.unlink(missing_ok=True)
        plan = self._plan("operation", change, after, node=self.node.name, step=step, moment=moment)
        text = f"ok = lab_faults:arm({plan}), lab_faults:finished(begin {expression} end)"
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.node.eval, text, timeout)
            try:
                wait_until(lambda: moment.exists() or running.done(), timeout, "the moment", every=0.002)
                if moment.exists():
                    happens(over.touch, running.done)
            finally:
                over.touch()
        if not moment.exists():
            if after is None:
                raise RuntimeError(f"it has ended without the moment: {running.result()!r}")
            # What was quicker than the time that was measured before is over: it happens right behind it.
            happens(over.touch, running.done)
        return running.exception() or running.result()

    def run_rename(self, old: str, new: str, kill_at: int, timeout: float, early: int | None = None, power: bool = False) -> bool:
        """`easy-cluster rename` to its end, or until the VM that does the work is killed; whether it has come to its end."""
        (self._installed / _PLAN).write_text(self._plan("operation", kill_at, early, power, old) + ".\n")
        host = self.node.host
        user = ["setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups", "env", f"HOME={self.node.spool}"]
        argv = [str(program(host.lab)), "rename", old, new, str(self.node.spool), "--ebin", str(self._installed)]
        try:
            done = host.call(host.command(*user, *argv), timeout)
        finally:
            self.forget_start()
        if done.returncode != 0 and "operation_died" not in done.stdout:
            raise RuntimeError(f"easy-cluster rename: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode == 0

    def at_start(self, kill_at: int) -> None:
        """Has the next start of the node count, and be killed at that change of its recovery."""
        (self._installed / _PLAN).write_text(self._plan("recovery", kill_at, node=self.node.name) + ".\n")

    def forget_start(self) -> None:
        """Later starts neither count nor are killed."""
        (self._installed / _PLAN).unlink(missing_ok=True)

    def _plan(self, name: str, kill_at: int, early: int | None = None, power: bool = False, node: str = "", step: int = 0,
              moment: Path | None = None) -> str:  # fmt: skip
        trace = self.folder / name
        trace.unlink(missing_ok=True)
        for path in self.shadow.iterdir():
            path.unlink()
        shadow = f'"{self.shadow}"' if power else "none"
        when = "infinity" if early is None else early
        file = f'"{moment}"' if moment else "none"
        return (f'#{{node => \'{node}\', kill_at => {kill_at}, early => {when}, step => {step}, moment => {file}, '
                f'trace => "{trace}", shadow => {shadow}}}')  # fmt: skip

    def changes(self, name: str = "operation") -> list[Change]:
        """What the operation, or the recovery, has changed and synced, in order. Paths in the spool are relative to it."""
        trace = self.folder / name
        return list(_entries(trace.read_bytes(), f"{self.node.spool}/")) if trace.exists() else []


def _entries(data: bytes, spool: str):
    at = 0
    while at < len(data):
        size = struct.unpack_from(">I", data, at)[0]
        number, (module, name), paths, facts = decode(data[at + 4:at + 4 + size])
        function = str(name) if module == "file" else f"{module}:{name}"
        yield Change(number, function, tuple(path.decode().removeprefix(spool) for path in paths), facts)
        at += 4 + size
