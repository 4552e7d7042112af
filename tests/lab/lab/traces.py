"""What a laboratory leaves on the machine, and how to take it away.

Everything is found by the laboratory's name: processes carry it in their environment, namespaces, folders and entries of
/etc/netns begin with it. So the same function cleans up after this process, whatever interrupted it, and after a dead one.
The name holds the process id and its start time: a laboratory whose process is gone is known to be dead.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .waiting import wait_until

MARK = "EJABBERD_LAB"
PREFIX = "ejabberd-lab"
NETNS = Path("/run/netns")
ETC_NETNS = Path("/etc/netns")

_counter = itertools.count()


def new_name() -> str:
    """A name that no other laboratory on this machine has or had."""
    pid = os.getpid()
    return f"{PREFIX}-{pid}-{_start_time(pid)}-{next(_counter)}"


def is_alive(name: str) -> bool:
    """Whether the process that made the laboratory `name` still runs."""
    try:
        pid, started = name.removeprefix(PREFIX + "-").split("-")[:2]
        return _start_time(int(pid)) == int(started)
    except (ValueError, OSError):
        return False


def _start_time(pid: int) -> int:
    # The command, second field, may hold blanks and parentheses.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def new_folder(name: str) -> Path:
    """The laboratory's folder, where the user ejabberd can enter it."""
    for parent in parents():
        folder = parent / name
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        if is_readable(folder):
            return folder
        folder.rmdir()
    raise RuntimeError(f"the user ejabberd can enter none of {parents()}")


def parents() -> list[Path]:
    """Where folders of laboratories can be."""
    return list(dict.fromkeys([Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]))


def is_readable(path: Path) -> bool:
    """Whether the user ejabberd can read everything below `path`."""
    found = subprocess.run(
        ["setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups",
         "find", "-L", str(path), "!", "-type", "l", "!", "-readable", "-print", "-quit"],
        capture_output=True, cwd="/", check=False)
    return found.returncode == 0 and not found.stdout


def processes(mark: str, value: str) -> list[int]:
    """The processes that have `mark=value` in their environment."""
    wanted = f"{mark}={value}".encode()
    found, seen = [], set()
    # One that ends before it is read may have made another one (a daemon begins so), which was not there to be listed with it.
    while new := {int(name) for name in os.listdir("/proc") if name.isdigit()} - seen:
        seen |= new
        for pid in sorted(new):
            try:
                if wanted in _environment(Path(f"/proc/{pid}")):
                    found.append(pid)
            except OSError:
                pass  # it has ended meanwhile
    return found


def _environment(process: Path) -> list[bytes]:
    """What a process has in its environment. Between two programs it has none, but an executable, which a kernel thread has not."""
    while not (environment := (process / "environ").read_bytes()):
        (process / "exe").readlink()
        if process.joinpath("stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            break
    return environment.split(b"\0")


def kill(mark: str, value: str) -> None:
    """Kills the processes that have `mark=value` in their environment, and those that they start meanwhile."""
    def all_gone() -> bool:
        running = processes(mark, value)
        for pid in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not running
    wait_until(all_gone, 10, f"the end of the processes of {value}")


def remove(name: str) -> None:
    """Takes away every trace of the laboratory `name`, perhaps while another process does the same."""
    kill(MARK, name)
    for namespace in _named(NETNS, name):
        subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
    for folder in [ETC_NETNS, *parents()]:
        for entry in _named(folder, name):
            shutil.rmtree(folder / entry, ignore_errors=True)
    if left := left_by(name):
        raise RuntimeError(f"could not be taken away: {', '.join(left)}")


def left_by(name: str) -> list[str]:
    """The traces of the laboratory `name`, in words; none after `remove`."""
    return ([f"process {pid}" for pid in processes(MARK, name)]
            + [str(folder / entry) for folder in [NETNS, ETC_NETNS, *parents()] for entry in _named(folder, name)])


def sweep() -> None:
    """Takes away what dead laboratories have left."""
    for folder in [NETNS, ETC_NETNS, *parents()]:
        for entry in _named(folder, PREFIX):
            if not is_alive(entry):
                remove("-".join(entry.split("-")[:5]))


def _named(folder: Path, name: str) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if f"{entry.name}-".startswith(f"{name}-"))
