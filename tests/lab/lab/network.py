"""The ground that hosts stand on: network namespaces, or loopback addresses where those are not permitted.

Both classes answer the same questions; `isolated` tells whether links can be cut.
"""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from . import traces

EPMD_PORT = 4369
# Debian's own, in /etc/ejabberd/inetrc.
_INETRC = '{lookup,["file","native"]}.\n{host,{127,0,0,1},["localhost","hostalias"]}.\n'


class Unsupported(Exception):
    """This machine does not permit what was asked for."""


class Namespaces:
    """A network namespace a host, and a link for each pair of hosts."""

    isolated = True

    def __init__(self, lab: str):
        self._lab = lab

    @staticmethod
    def refusal() -> str | None:
        """Why this machine does not permit network namespaces, or None if it does."""
        if os.geteuid() != 0:
            return "only root can make network namespaces"
        if not shutil.which("ip"):
            return "the command ip is missing (package iproute2)"
        probe = f"{traces.new_name()}-probe"
        try:
            _ip("netns", "add", probe)
            _ip("netns", "exec", probe, "true")
            _ip("-n", probe, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
        except Unsupported as reason:
            return str(reason)
        finally:
            if (traces.NETNS / probe).exists():
                subprocess.run(["ip", "netns", "delete", probe], check=False, capture_output=True)
        return None

    def name(self, host) -> str:
        """The namespace of `host`."""
        return f"{self._lab}-{host.name}"

    def add(self, host, others: list) -> None:
        """Makes the host's namespace and a link to each of the others."""
        own = self.name(host)
        host.address = f"192.0.2.{host.number}"
        _ip("netns", "add", own)
        _ip("-n", own, "link", "set", "lo", "up")
        _ip("-n", own, "address", "add", f"{host.address}/32", "dev", "lo")
        for other in others:
            _ip("link", "add", _link(other), "netns", own, "type", "veth",
                "peer", "name", _link(host), "netns", self.name(other))
            for near, far in [(host, other), (other, host)]:
                self._connect(near, far)
        # `ip netns exec` puts these over the files in /etc.
        etc = traces.ETC_NETNS / own
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text("# No name server: what is not in hosts is unknown, at once.\n")
        (etc / "passwd").write_text(_passwd(host.spool))
        for each in [*others, host]:
            # Written in place, as running processes have this very file mounted.
            (traces.ETC_NETNS / self.name(each) / "hosts").write_text("127.0.0.1 localhost\n" + "".join(
                f"{known.address} {known.name} {known.label}\n" for known in [*others, host]))

    def _connect(self, near, far) -> None:
        namespace = self.name(near)
        _ip("-n", namespace, "link", "set", _link(far), "up")
        _ip("-n", namespace, "route", "replace", f"{far.address}/32", "dev", _link(far), "src", near.address)

    def command(self, host, argv: list[str], environment: dict[str, str]) -> list[str]:
        """The command that runs `argv` in the host."""
        assignments = ["env", *_assignments(environment)] if environment else []
        return ["ip", "netns", "exec", self.name(host), *assignments, *argv]

    def as_ejabberd(self, _host, argv: list[str]) -> list[str]:
        """Debian's ejabberdctl becomes the user ejabberd by itself, whose home is the spool by the host's passwd."""
        return argv

    def port(self, _host, port: int) -> int:
        """The port that stands for `port` in the host."""
        return port

    def epmd_port(self, _host) -> int:
        """The port of the host's epmd."""
        return EPMD_PORT

    def inetrc(self, _hosts: list) -> str:
        """What Erlang shall know about names: as Debian has it."""
        return _INETRC

    def erl_options(self, _host, fixed_port: bool = True) -> list[str]:
        """Options for an Erlang node that is not started by ejabberdctl."""
        return []

    def block(self, sender, receiver) -> None:
        """Loses, without a word, what `sender` sends to `receiver`.

        A wrong link-layer address for the receiver needs nothing from the kernel, unlike packet filters and netem.
        """
        _ip("-n", self.name(sender), "neighbour", "replace", receiver.address, "lladdr", "02:00:00:00:00:00",
            "nud", "permanent", "dev", _link(receiver))

    def unplug(self, one, other) -> None:
        """Takes the link down: both sides notice, new connections fail at once."""
        for near, far in [(one, other), (other, one)]:
            _ip("-n", self.name(near), "link", "set", _link(far), "down")

    def impair(self, one, other, delay_ms: float, loss_percent: float) -> None:
        """Delays and loses packets, both ways."""
        for near, far in [(one, other), (other, one)]:
            _ip("netns", "exec", self.name(near), "tc", "qdisc", "replace", "dev", _link(far), "root", "netem",
                "delay", f"{delay_ms}ms", "loss", f"{loss_percent}%")

    def mend(self, one, other) -> None:
        """Undoes everything that was done to the link."""
        for near, far in [(one, other), (other, one)]:
            namespace = self.name(near)
            self._connect(near, far)
            if "PERMANENT" in _ip("-n", namespace, "neighbour", "show", "to", far.address):
                _ip("-n", namespace, "neighbour", "delete", far.address, "dev", _link(far))
            if "netem" in _ip("netns", "exec", namespace, "tc", "qdisc", "show", "dev", _link(far)):
                _ip("netns", "exec", namespace, "tc", "qdisc", "delete", "dev", _link(far), "root")


class Loopback:
    """A loopback address and an epmd port a host.

    Each epmd knows only its own host's nodes. All listen on the same first distribution port, each on its own address, so
    that the answer of one's own epmd is right for the others as well.
    """

    isolated = False

    def __init__(self, _lab: str):
        self._network = f"127.{64 + os.getpid() % 128}.{1 + os.getpid() // 128 % 250}"
        self._window = _free_port(f"{self._network}.1")
        self._epmd: dict[str, int] = {}
        self._ports: dict[tuple[str, int], int] = {}

    def add(self, host, _others: list) -> None:
        """Gives the host its address and its epmd port."""
        host.address = f"{self._network}.{host.number}"
        self._epmd[host.name] = _free_port("0.0.0.0")

    def command(self, host, argv: list[str], environment: dict[str, str]) -> list[str]:
        """The command that runs `argv` in the host."""
        return ["env", *_assignments({"ERL_EPMD_PORT": str(self._epmd[host.name]), "ERL_INETRC": str(host.inetrc_file),
                                      **environment}), *argv]

    def as_ejabberd(self, host, argv: list[str]) -> list[str]:
        """There is one /etc/passwd for all, so the user is changed here, and the home with it."""
        return ["setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups", "env", f"HOME={host.spool}", *argv]

    def port(self, host, port: int) -> int:
        """The port that stands for `port` in the host."""
        return self._ports.setdefault((host.name, port), _free_port(host.address))

    def epmd_port(self, host) -> int:
        """The port of the host's epmd."""
        return self._epmd[host.name]

    def window(self) -> str:
        """FIREWALL_WINDOW: the server takes the first port, the tools beside it the next ones."""
        return f"{self._window}-{self._window + 20}"

    def inetrc(self, hosts: list) -> str:
        """What Erlang shall know about names: all hosts, and nothing else."""
        return '{lookup,["file"]}.\n' + "".join(
            f'{{host,{{{each.address.replace(".", ",")}}},["{each.name}","{each.label}"]}}.\n' for each in hosts)

    def erl_options(self, host, fixed_port: bool = True) -> list[str]:
        """Options for an Erlang node that is not started by ejabberdctl."""
        interface = "{" + host.address.replace(".", ",") + "}"
        window = ["inet_dist_listen_min", str(self._window), "inet_dist_listen_max", str(self._window)]
        return ["-kernel", "inet_dist_use_interface", interface, *(window if fixed_port else [])]


def _assignments(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def _link(far) -> str:
    return f"to{far.number}"


def _passwd(home: Path) -> str:
    return re.sub(r"^(ejabberd:(?:[^:]*:){4})[^:]*", lambda found: found[1] + str(home), Path("/etc/passwd").read_text(),
                  flags=re.MULTILINE)


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def _ip(*args: str) -> str:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unsupported(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout
