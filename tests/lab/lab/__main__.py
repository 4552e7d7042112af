"""A laboratory by hand.

    python3 -m lab up hello.world foo.bar        keeps an ejabberd node in each host until its input ends, Ctrl-C or SIGTERM

and from another terminal:

    python3 -m lab eval hello.world 'nodes().'   also with a whole node name
    python3 -m lab ctl foo.bar list_cluster      what ejabberdctl prints
    python3 -m lab load hello.world              puts easy_cluster, as `make build` left it, on the node's code path
    python3 -m lab install hello.world           the same by `ejabberdctl module_install`
    python3 -m lab kill|start|stop foo.bar
    python3 -m lab cut|unplug|mend hello.world foo.bar
    python3 -m lab command hello.world debug     the command that opens a shell there: run it with sh -c "$(...)"
"""

import json
import shlex
import socket
import socketserver
import stat
import sys
import threading
from pathlib import Path

from . import Lab, Terminated, traces
from .node import EjabberdNode

_SOCKET = "lab.socket"


def main(arguments: list[str]) -> int:
    """Runs the command line and returns the exit status."""
    match arguments:
        case ["up", *hosts] if hosts:
            return _up([host for host in hosts if not host.startswith("--")], "--loopback" in hosts)
        case [_, _, *_]:
            return _ask(arguments)
    print(__doc__.strip())
    return 2


def _up(names: list[str], loopback: bool) -> int:
    try:
        with Lab(loopback) as lab:
            nodes = {name: lab.host(name).ejabberd() for name in names}
            lab.start(*nodes.values())
            with _Server(lab, nodes) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                for node in nodes.values():
                    print(f"{node.name} runs at {node.host.address}; logs: {node.logs}")
                print(f"python3 -m lab eval {names[0]} 'nodes().'", flush=True)
                _wait_for_the_end()
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    return 0


def _wait_for_the_end() -> None:
    # Behind `&` or under a supervisor the input is /dev/null, which says nothing about how long to stay.
    mode = Path("/proc/self/fd/0").stat().st_mode
    if stat.S_ISCHR(mode) and not sys.stdin.isatty():
        # In turns, as a signal that comes just before an endless wait would not end it.
        while True:
            threading.Event().wait(1)
    sys.stdin.read()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, lab: Lab, nodes: dict[str, EjabberdNode]):
        self.lab, self.nodes = lab, nodes
        super().__init__(str(lab.folder / _SOCKET), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        try:
            answer = [0, self._answer(*json.loads(self.rfile.readline()))]
        except Exception as error:  # whatever it is, the one who asked has to read it
            answer = [1, f"{type(error).__name__}: {error}"]
        self.wfile.write(json.dumps(answer).encode())

    def _answer(self, verb: str, *rest: str) -> str:
        nodes, lab = self.server.nodes, self.server.lab
        node = nodes[rest[0].rpartition("@")[2]]
        match verb, rest[1:]:
            case "eval", [text]: return node.printed(text, 600)
            case "ctl", [*args]: return node.ctl(*args, timeout=600, check=False)
            case "command", [*args]: return shlex.join(node.ctl_command(*args))
            case "install", []: return node.install_easy_cluster()
            case "load", []: return str(node.load_easy_cluster() or "ok")
            case "kill" | "start" | "stop", []: return str(getattr(node, verb)() or "ok")
            case "cut" | "unplug" | "mend", [other]: return str(getattr(lab, verb)(node, nodes[other]) or "ok")
        raise ValueError(f"unknown: {verb} {shlex.join(rest)}\n{__doc__}")


def _ask(arguments: list[str]) -> int:
    sockets = sorted((path for parent in traces.parents() for path in parent.glob(f"{traces.PREFIX}-*/{_SOCKET}")),
                     key=lambda path: path.stat().st_mtime)
    sockets = [path for path in sockets if traces.is_alive(path.parent.name)]
    if not sockets:
        print("no laboratory is up: python3 -m lab up hello.world foo.bar", file=sys.stderr)
        return 1
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(sockets[-1]))
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps(arguments).encode() + b"\n")
            stream.flush()
            status, text = json.loads(stream.read())
    print(text.rstrip("\n"))
    return status


sys.exit(main(sys.argv[1:]))
