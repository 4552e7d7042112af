"""Processes in hosts. Each is started with a mark of its own, so that it can be ended with everything that it has started."""

import itertools
import os
import subprocess

from . import traces

_MARK = "EJABBERD_LAB_CALL"
_counter = itertools.count()


class Child(subprocess.Popen):
    """A process of the laboratory, in a session of its own: Ctrl-C in the terminal reaches the laboratory only."""

    def __init__(self, lab: str, command: list[str], **options):
        self._value = f"{os.getpid()}/{next(_counter)}"
        super().__init__(command, start_new_session=True, env=_environment() | {traces.MARK: lab, _MARK: self._value},
                         **{"stdin": subprocess.DEVNULL, **options})

    def kill_all(self) -> None:
        """Ends the process and everything that it has started."""
        traces.kill(_MARK, self._value)
        self.wait(10)


def run(lab: str, command: list[str], timeout: float, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end and returns its output as text; leaves nothing running if that takes too long."""
    with Child(lab, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        except BaseException:
            child.kill_all()
            raise
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def _environment() -> dict[str, str]:
    # What the caller has set for its own Erlang nodes is not for those of the laboratory.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ERL", "EJABBERD", "CONTRIB_MODULES"))}
    return own | {"LC_ALL": "C.UTF-8", "TERM": "xterm"}


def states(pid: int) -> set[str]:
    """The states of a process's threads: `R`, `S`, `T` for stopped; see proc(5)."""
    # The command, second field, may hold blanks and parentheses.
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}
