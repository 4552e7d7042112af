"""Root folders with other releases of Debian: a node there runs that release's ejabberd and Erlang in a host of the laboratory."""

import fcntl
import subprocess
from pathlib import Path
from typing import NamedTuple


class Release(NamedTuple):
    """What a release of ejabberd comes with: the release of Erlang, and the suite of Debian if it is not this machine's own."""

    otp: str
    suite: str | None


RELEASES = {"23.01": Release("25", None), "24.12": Release("27", "trixie"), "26.07": Release("29", "sid")}
_FOLDER = Path("/var/cache/easy_cluster-releases")
_MAKE = Path(__file__).parents[1] / "release_root.sh"
# Users are this machine's, so that files belong to the same user inside and outside; names are the host's.
_ETC = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf"]
# `ip netns exec` gives each command a mount namespace of its own: whatever is mounted here goes away with the command.
_ENTER = """
root=$1 home=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"; else touch "$root$1"; fi
    mount --bind "$1" "$root$1"
    shift
done
shift
exec chroot "$root" env --chdir="$home" "$@"
"""


def release_root(release: str) -> Path | None:
    """The root folder with a release of ejabberd, made when it is missing, which takes some minutes; None for this machine's own."""
    suite = RELEASES[release].suite
    if suite is None:
        return None
    root = _FOLDER / suite
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # Tests run side by side; one of them makes it.
    with (_FOLDER / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            subprocess.run([_MAKE, suite, root], check=True)
    return root


def inside(root: Path | None, host, repository: Path, argv: list[str]) -> list[str]:
    """The command that runs `argv` below `root` when it is run in `host`: the laboratory and the repository are where they are outside."""
    if root is None:
        return argv
    return ["sh", "-euc", _ENTER, "sh", str(root), str(host.folder), *_ETC, str(host.lab.folder.parent), str(repository), "--", *argv]
