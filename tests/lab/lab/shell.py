"""A person at `ejabberdctl debug`: a pseudo terminal, typed lines, and what came back."""

import os
import pty
import re
import select
import time

PROMPT = re.compile(rb"\(([^()\s]+)\)(\d+)> ")


def converse(node, lines, timeout: float) -> str:
    """Types each line when the prompt for it is there; returns the whole transcript."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        command = [str(word) for word in node.host.command(node.ctl_command("debug"))]
        os.execvp(command[0], command)
    transcript = b""
    deadline = time.monotonic() + timeout
    try:
        for number, line in enumerate([*lines, None], start=1):
            transcript = read_until(terminal, transcript, number, deadline)
            if line is not None:
                os.write(terminal, line.encode() + b"\r")
        return clean(transcript)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal, transcript: bytes, number: int, deadline: float) -> bytes:
    while not any(int(found[1]) == number for found in PROMPT.findall(transcript)):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise TimeoutError(f"no prompt {number} in time; the transcript so far:\n{clean(transcript)}")
        try:
            piece = os.read(terminal, 65536)
        except OSError as gone:
            raise RuntimeError(f"the shell has ended; the transcript:\n{clean(transcript)}") from gone
        transcript += piece
    return transcript


def clean(transcript: bytes) -> str:
    """Without the control sequences of the terminal, and only the last state of lines that were redrawn."""
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", transcript).decode(errors="replace").replace("\r\n", "\n")
    return "\n".join(line.split("\r")[-1] for line in text.split("\n"))
