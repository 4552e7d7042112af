"""What a person sees who types lines in `ejabberdctl debug`: a real terminal, a real remote shell."""

import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterable
from fcntl import ioctl

_COLUMNS, _ROWS = 132, 50
# What the Erlang shell's line editor sends beside the text: cursor movements, and clearing to the end of the line.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][A-Z0-9]?|\x07")


class ShellStuck(AssertionError):
    """The shell has not come back to its prompt; the text holds the transcript so far."""


def type_lines(node, lines: Iterable[str], timeout: float = 60) -> str:
    """Types each line when the prompt is there, waits for the next prompt, and returns the transcript."""
    with Shell(node, timeout) as shell:
        for line in lines:
            shell.type(line, timeout)
        return shell.transcript()


class Shell:
    """An open `ejabberdctl debug` session."""

    def __init__(self, node, timeout: float = 20):
        self._prompt = re.compile(rf"\({re.escape(node.name)}\)(\d+)> \s*$")
        self._output = b""
        self._number = 0
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        try:
            self._child = node.host.popen(node.ctl_command("debug"), stdin=slave, stdout=slave, stderr=slave)
        finally:
            os.close(slave)
        self._await_prompt("", timeout)

    def type(self, line: str, timeout: float = 60) -> str:
        """Types a line, waits until the shell asks for the next one, and returns what was printed meanwhile."""
        before = len(self.transcript())
        os.write(self._master, line.encode() + b"\n")
        self._await_prompt(line, timeout)
        printed = self.transcript()[before:]
        return printed.partition("\n")[2].rpartition("\n")[0]

    def transcript(self) -> str:
        """Everything seen so far."""
        return plain_text(self._output)

    def _await_prompt(self, line: str, timeout: float) -> None:
        self._read_until(self._at_next_prompt, line, timeout)

    def _at_next_prompt(self) -> bool:
        found = self._prompt.search(self._last_line())
        if found and int(found[1]) > self._number:
            self._number = int(found[1])
            return True
        return False

    def _last_line(self) -> str:
        return plain_text(self._output[-4096:]).rpartition("\n")[2]

    def _read_until(self, condition: Callable[[], bool], line: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise ShellStuck(f"no prompt {timeout:g} s after {line!r}\n{self.transcript()}")
            try:
                self._output += os.read(self._master, 65536)
            except OSError:  # the other end of a terminal is closed
                raise ShellStuck(f"the shell has ended after {line!r}\n{self.transcript()}") from None

    def close(self) -> None:
        """Leaves by Ctrl-G, q: q() would stop the node."""
        try:
            os.write(self._master, b"\x07")
            self._read_until(lambda: self._last_line().endswith("--> "), "Ctrl-G", 5)
            os.write(self._master, b"q\n")
            self._child.wait(5)
        except (ShellStuck, OSError, subprocess.TimeoutExpired):
            pass  # what does not leave is killed
        finally:
            os.close(self._master)
            self._child.kill_all()

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


def plain_text(output: bytes) -> str:
    """Terminal output as it reads at last: no escape sequences, rewritten lines once."""
    text = _ESCAPES.sub("", output.decode(errors="replace")).replace("\r\n", "\n")
    lines = (line.rpartition("\r")[2] or line.rstrip("\r") for line in text.split("\n"))
    return "\n".join(_backspaced(line) for line in lines)


def _backspaced(line: str) -> str:
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)
