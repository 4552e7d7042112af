"""The laboratory: hosts with a name, an address, an epmd and a cookie each, on a network whose links can be cut one by one.

    with Lab() as lab:
        hello, foo = lab.host("hello.world"), lab.host("foo.bar")
        lab.cut(hello, foo)

Everything is below one folder and carries the laboratory's name; leaving the `with` takes it all away, also after an exception,
SIGINT or SIGTERM. What a laboratory that was killed has left, the next one takes away.
"""

import secrets
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import traces
from .control import Controller
from .network import Loopback, Namespaces, Unsupported
from .processes import Child, run
from .waiting import wait_until


class Terminated(KeyboardInterrupt):
    """SIGTERM; a kind of KeyboardInterrupt, as pytest ends tidily on that."""


class Lab:
    """A set of hosts. `loopback=True` does without namespaces also where they are permitted."""

    def __init__(self, loopback: bool = False):
        self.name = traces.new_name()
        self._hosts: dict[str, Host] = {}
        self._cookie = secrets.token_hex(12)
        self._loopback = loopback
        self._copying = threading.Lock()
        self._old_handler = None

    def __enter__(self) -> "Lab":
        traces.sweep()
        self.refusal = "loopback was asked for" if self._loopback else Namespaces.refusal()
        if self.refusal:
            print(f"No network namespaces here ({self.refusal}): hosts are loopback addresses with an epmd port each.", flush=True)
        self.ground = Loopback(self.name) if self.refusal else Namespaces(self.name)
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            self.folder = traces.new_folder(self.name)
            # Now, so that the folder does not change when a node is running.
            (self.folder / "copies").mkdir()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def close(self) -> None:
        """Takes everything away; neither Ctrl-C nor SIGTERM interrupts it."""
        main = threading.current_thread() is threading.main_thread()
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        terminate = signal.signal(signal.SIGTERM, signal.SIG_IGN) if main else None
        try:
            traces.remove(self.name)
            for host in self._hosts.values():
                host.reap()
        finally:
            if main:
                signal.signal(signal.SIGINT, interrupt)
                signal.signal(signal.SIGTERM, self._old_handler or terminate)

    def host(self, name: str) -> "Host":
        """The host `name`, made when it is first asked for."""
        if name not in self._hosts:
            host = Host(self, name, len(self._hosts) + 1, self._cookie)
            self.ground.add(host, list(self._hosts.values()))
            self._hosts[name] = host
            for each in self.hosts():
                each.inetrc_file.write_text(self.ground.inetrc(self.hosts()))
            host.open()
        return self._hosts[name]

    def hosts(self) -> list["Host"]:
        """All hosts so far."""
        return list(self._hosts.values())

    def start(self, *nodes) -> None:
        """Starts nodes side by side and waits for all of them."""
        pool = ThreadPoolExecutor(len(nodes))
        try:
            for started in [pool.submit(node.start) for node in nodes]:
                started.result()
        finally:
            # After an interrupt the nodes are killed, not waited for; then the threads end by themselves.
            pool.shutdown(wait=False)

    def cut(self, one, other) -> None:
        """Loses what the two send to each other, without a word, as a firewall or a broken switch does."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, sender, receiver) -> None:
        """Loses what `sender` sends to `receiver`; the way back stays open."""
        self._isolated().block(_host(sender), _host(receiver))

    def unplug(self, one, other) -> None:
        """Takes the link of the two down, which both notice at once."""
        self._isolated().unplug(_host(one), _host(other))

    def impair(self, one, other, delay_ms: float = 0, loss_percent: float = 0) -> None:
        """Delays and loses packets between the two, where the kernel has netem; `Unsupported` otherwise."""
        self._isolated().impair(_host(one), _host(other), delay_ms, loss_percent)

    def mend(self, one, other) -> None:
        """Makes the link of the two whole again."""
        self._isolated().mend(_host(one), _host(other))

    def mend_all(self) -> None:
        """Makes every link whole again."""
        hosts = self.hosts()
        if self.ground.isolated:
            for position, one in enumerate(hosts):
                for other in hosts[:position]:
                    self.mend(one, other)

    def readable(self, path: Path) -> Path:
        """`path`, or a fresh copy of it where the user ejabberd cannot read it, as in a clone below /root."""
        if traces.is_readable(path):
            return path
        with self._copying:
            copy = self.folder / "copies" / path.name
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(path, copy, ignore_dangling_symlinks=True)
            return copy

    def _isolated(self) -> Namespaces:
        if not isinstance(self.ground, Namespaces):
            raise Unsupported(f"links cannot be cut without network namespaces: {self.refusal}")
        return self.ground


def _host(of) -> "Host":
    return of if isinstance(of, Host) else of.host


def _terminate(_signal, _frame) -> None:
    raise Terminated("SIGTERM")


class Host:
    """A machine, as far as Erlang can tell. `Lab.host` makes it."""

    def __init__(self, lab: Lab, name: str, number: int, cookie: str):
        self.lab, self.name, self.number, self.cookie = lab, name, number, cookie
        self.ground = lab.ground
        self.label = name.partition(".")[0]
        self.address = ""
        self.folder = lab.folder / name
        self.spool = self.folder / "spool"
        self.control_home = self.folder / "control"
        self.inetrc_file = self.folder / "inetrc"
        self.folder.mkdir(mode=0o755)
        self.control_home.mkdir()
        self._controllers: dict[bool, Controller] = {}
        self._children: list[Child] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Starts the host's epmd."""
        self.set_cookie(self.cookie)
        # Now, so that the folder does not change when the first node is started.
        (self.folder / "control.log").touch()
        with open(self.folder / "epmd.log", "ab") as log:
            # Relaxed: `epmd -kill` works while nodes live.
            self._epmd = self.popen(self.command("epmd", "-port", str(self.ground.epmd_port(self)), "-relaxed_command_check"),
                                    stdout=log, stderr=log)

    def close(self) -> None:
        """Ends the host's epmd, whoever is registered there."""
        self._epmd.kill_all()

    def command(self, *argv: str, **environment: str) -> list[str]:
        """The command that runs `argv` in this host."""
        return self.ground.command(self, list(argv), environment)

    def run(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess:
        """Runs a command in this host to its end and returns its output as text."""
        return self.call(self.command(*argv), timeout)

    def call(self, command: list[str], timeout: float) -> subprocess.CompletedProcess:
        """Runs what `command` or a node's `ctl_command` has made to its end."""
        return run(self.lab.name, command, timeout, cwd=self.folder)

    def popen(self, command: list[str], **options) -> Child:
        """Starts a process that lives until the laboratory closes, at most."""
        child = Child(self.lab.name, command, **{"cwd": self.folder, **options})
        self._children.append(child)
        return child

    def reap(self) -> None:
        """Waits for the processes that have been killed."""
        for child in self._children:
            child.wait(10)

    def set_cookie(self, cookie: str) -> None:
        """Changes the cookie of this host's tools at once, and of its nodes when they start."""
        self.cookie = cookie
        self.write_cookie(self.control_home)
        for controller in self._controllers.values():
            controller.eval(controller.node, f"erlang:set_cookie('{cookie}')", 5)

    def write_cookie(self, home) -> None:
        """Puts the cookie file into a home folder, which owns it."""
        path = home / ".erlang.cookie"
        path.unlink(missing_ok=True)
        path.touch(mode=0o400)
        path.write_text(self.cookie)
        shutil.chown(path, home.stat().st_uid, home.stat().st_gid)

    def eval(self, node: str, text: str, timeout: float = 10) -> object:
        """Evaluates Erlang expressions on `node`, asked from this host."""
        return self.controller("." not in node.partition("@")[2]).eval(node, text, timeout)

    def controller(self, short_names: bool = False) -> Controller:
        """The hidden node that evaluates expressions here."""
        with self._lock:
            if short_names not in self._controllers:
                wait_until(self._epmd_answers, 10, f"epmd of {self.name}")
                self._controllers[short_names] = Controller(self, short_names)
            return self._controllers[short_names]

    def _epmd_answers(self) -> bool:
        return self.run("epmd", "-port", str(self.ground.epmd_port(self)), "-names").returncode == 0

    def registered(self) -> list[str]:
        """The names that this host's epmd knows."""
        controller = self.controller()
        return [bytes(name).decode() for name, _port in
                controller.eval(controller.node, "{ok, Names} = erl_epmd:names(), Names", 10)]

    def accepts(self, port: int) -> bool:
        """Whether something accepts TCP connections on the port that stands for `port`."""
        real = self.ground.port(self, port)
        controller = self.controller()
        address = "{" + self.address.replace(".", ",") + "}"
        return controller.eval(controller.node, f"""
            case gen_tcp:connect({address}, {real}, [], 2000) of
                {{ok, Socket}} -> gen_tcp:close(Socket) =:= ok;
                {{error, _}} -> false
            end""", 5)

    def ejabberd(self, **options):
        """A new ejabberd node with an empty spool; see `lab.node.EjabberdNode` for the options. Not started yet."""
        from .node import EjabberdNode
        return EjabberdNode(self, **options)

    def mnesia(self, **options):
        """A new plain Mnesia node; see `lab.plain.MnesiaNode` for the options. Not started yet."""
        from .plain import MnesiaNode
        return MnesiaNode(self, **options)

    def __repr__(self) -> str:
        return f"<host {self.name} {self.address}>"
