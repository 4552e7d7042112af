"""Files of ejabberd's user, and folders that cannot be written, or not for long."""

import contextlib
import shutil
import subprocess


def owned(path):
    """The file or folder, given to the user that ejabberd runs as."""
    shutil.chown(path, "ejabberd", "ejabberd")
    return path


@contextlib.contextmanager
def read_only(folder):
    """A folder in which its owner makes and deletes nothing for a while."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


@contextlib.contextmanager
def small_disk(folder, megabytes: int):
    """The folder's contents on a file system of their own that is soon full."""
    aside = folder.with_name(folder.name + "-aside")
    folder.rename(aside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        shutil.chown(folder, "ejabberd", "ejabberd")
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)
