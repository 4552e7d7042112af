"""A plain Mnesia node, without ejabberd."""

import os
import signal
import subprocess

from .control import NodeError
from .node import Node


class PlainNode(Node):
    """`erl -name` with a Mnesia directory of its own; has easy_cluster only when it is loaded."""

    def write_config(self):
        self.spool.mkdir(parents=True)
        self.process = None

    def start(self):
        mode = "-name" if "." in self.name.split("@")[1] else "-sname"
        log = open(self.folder / "log", "ab")
        self.process = self.host.popen(
            ["erl", mode, self.name, "-setcookie", self.cookie, "-noinput", "-mnesia", "dir", f'"{self.spool}"',
             *self.options.split()],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.until("true.")
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def stop(self):
        try:
            self.eval("init:stop().")
        except NodeError:
            pass
        self.process.wait(20)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
