"""Two machines with ten faults between them are led to a working join by the doctor alone: look, apply the fix that it prints, again."""

import contextlib
import json
import re
import subprocess

import pytest
from cluster import db_nodes, exists, join, serves, until
from lab import traces, wait_until
from lab.node import REPOSITORY
from test_requests import registered_in_epmd

#: More rounds than faults: the doctor leads nowhere.
ROUNDS = 30


@pytest.fixture(scope="session")
def program():
    """`easy-cluster`, as the tests of the core have built it."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "easy_cluster_cli"], cwd=REPOSITORY, check=True)
    return REPOSITORY / "target" / "debug" / "easy-cluster"


class Machine:
    """A host and the ejabberd that shall run there, as its operator has it before him."""

    def __init__(self, node, program):
        self.node, self.host, self._program = node, node.host, program
        self.cfg, self.yml = (node.config_folder / name for name in ("ejabberdctl.cfg", "ejabberd.yml"))
        self.cookie = node.spool / ".erlang.cookie"
        self.hosts = traces.ETC_NETNS / node.host.ground.name(node.host) / "hosts"

    def errors(self, *nodes) -> list[dict]:
        """What the doctor finds wrong here, warnings aside; its exit status says the same."""
        done = self.host.run(str(self._program), "doctor", "--json", "--config", str(self.node.config_folder), "--spool",
                             str(self.node.spool), "--timeout", "2000", *nodes)  # fmt: skip
        errors = [found for found in json.loads(done.stdout)["findings"] if found["severity"] == "error"]
        assert done.returncode == (1 if errors else done.returncode) and done.returncode in (0, 1, 3)
        return errors

    def shell(self, command: str) -> None:
        """Types a command on this machine, as root."""
        done = self.host.run("sh", "-c", command)
        assert done.returncode == 0, done

    def write_cookie(self, text: str, mode: int = 0o400) -> None:
        self.cookie.chmod(0o600)
        self.cookie.write_text(text)
        self.cookie.chmod(mode)

    def set(self, name: str, value: str) -> None:
        """Sets a variable in ejabberdctl.cfg."""
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", self.cfg.read_text(), flags=re.MULTILINE)
        self.cfg.write_text(text)


def break_all(hello: Machine, foo: Machine) -> None:
    """Ten faults, the eleventh of which is the entry in foo.bar's epmd that the test keeps."""
    hello.write_cookie(hello.host.cookie, mode=0o644)
    hello.set("ERLANG_NODE", "ejabberd@hello")
    hello.set("INET_DIST_INTERFACE", "192.0.2.99")
    take_out(hello.hosts, "foo.bar")
    hello.cfg.write_bytes(hello.cfg.read_bytes().replace(b"\n", b"\r\n"))
    hello.yml.write_text(hello.yml.read_text().replace("auth_method: internal", "auth_method: [internal"))
    take_out(foo.hosts, "hello.world")
    foo.write_cookie("somebodys\tother\tcookie")
    foo.set("ERLANG_NODE", "ejabberd@foo.bar-")
    schema_of_another_node(foo)


def take_out(hosts, name: str) -> None:
    hosts.write_text("".join(line for line in hosts.read_text().splitlines(True) if name not in line.split()))


def schema_of_another_node(machine: Machine) -> None:
    """Leaves the database of a node that had another name."""
    done = machine.host.run("setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups", "env", f"HOME={machine.host.spool}",
                            "erl", "-noinput", "-name", "ejabberd@old.bar", "-dist_listen", "false", "-start_epmd", "false",
                            "-setcookie", "any", "-mnesia", "dir", f'"{machine.node.spool}"',
                            "-eval", "ok = mnesia:create_schema([node()]), ok = mnesia:start(), mnesia:stop(), halt().")  # fmt: skip
    assert done.returncode == 0, done


def type_command(finding, machine, *_) -> None:
    """The fix is, or ends with, a command to paste."""
    machine.shell(re.search(r"(chmod|sed|install) .*$", finding["fix"])[0])


def mend_line(finding, machine, *_) -> None:
    line = int(re.search(r"in line (\d+)", finding["evidence"])[1])
    lines = machine.yml.read_text().splitlines(True)
    # That line, or the one above it.
    lines[line - 2] = lines[line - 2].replace("[internal", "internal")
    machine.yml.write_text("".join(lines))


def name_the_node(finding, machine, *_) -> None:
    assert "ERLANG_NODE" in finding["fix"]
    machine.set("ERLANG_NODE", f"ejabberd@{machine.host.name}")


def listen_here(finding, machine, *_) -> None:
    assert machine.host.address in finding["evidence"] and f"set INET_DIST_INTERFACE in {machine.cfg}" in finding["fix"]
    machine.set("INET_DIST_INTERFACE", machine.host.address)


def add_host(finding, machine, other, _) -> None:
    name = re.search(r"add a line `ADDRESS (\S+)` to /etc/hosts", finding["fix"])[1]
    with machine.hosts.open("a") as hosts:
        hosts.write(f"{other.host.address} {name}\n")


def one_line_cookie(finding, machine, *_) -> None:
    assert str(machine.cookie) in finding["fix"]
    machine.write_cookie("somebodysothercookie")


def copy_cookie(finding, machine, other, _) -> None:
    assert "copy .erlang.cookie" in finding["fix"]
    machine.write_cookie(other.cookie.read_text())
    for each in (machine, other):
        each.host.set_cookie(other.cookie.read_text())


def move_database_aside(finding, machine, *_) -> None:
    directory = re.search(r"move (\S+) aside", finding["fix"])[1]
    machine.shell(f"mkdir {directory}/aside && mv {directory}/*.DAT {directory}/*.LOG {directory}/aside/")


def end_what_hangs(finding, _machine, _other, ghost) -> None:
    assert "end the process that registered it" in finding["fix"]
    ghost.close()


def start_other(finding, _machine, other, _) -> None:
    assert finding["fix"].startswith("start the node there")
    other.node.launch()
    # Under another cookie it cannot be asked yet.
    wait_until(lambda: "ejabberd" in other.host.registered() and other.host.accepts(other.node.c2s_port), 40, "ejabberd to serve")


#: What an operator does who reads the fix.
FIXES = {
    "config_crlf": type_command,
    "config_syntax": mend_line,
    "cookie_mode": type_command,
    "cookie_characters": one_line_cookie,
    "wrong_cookie": copy_cookie,
    "bad_node_name": name_the_node,
    "name_mode_mismatch": name_the_node,
    "interface_not_here": listen_here,
    "unknown_host": add_host,
    "mnesia_owner_differs": move_database_aside,
    "stale_epmd_entry": end_what_hangs,
    "not_registered": start_other,
}


def test_the_doctor_alone_leads_to_a_working_join(lab, program):
    if not lab.ground.isolated:
        pytest.skip(f"no host has a network of its own: {lab.refusal}")
    nodes = [lab.host(name).ejabberd() for name in ("hello.world", "foo.bar")]
    hello, foo = (Machine(node, program) for node in nodes)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [node.destroy() for node in nodes])
        for machine in (hello, foo):
            stack.callback(machine.hosts.write_text, machine.hosts.read_text())
            stack.callback(machine.host.set_cookie, machine.host.cookie)
        break_all(hello, foo)
        ghost = stack.enter_context(contextlib.ExitStack())
        ghost.enter_context(registered_in_epmd(foo.host, "ejabberd", port=9))

        cured = []
        for _ in range(ROUNDS):
            seen = [(machine, other, finding) for machine, other in ((hello, foo), (foo, hello))
                    for finding in machine.errors(f"ejabberd@{other.host.name}")]  # fmt: skip
            if not seen:
                break
            # What is said of a machine from elsewhere comes after what it says of itself, and a start when nothing else is left.
            from_elsewhere = ["distribution_port_closed", "not_registered"]
            machine, other, finding = min(seen, key=lambda each: each[2]["code"] in from_elsewhere)
            FIXES[finding["code"]](finding, machine, other, ghost)
            cured.append((machine.host.name, finding["code"]))
        assert not seen, seen
        assert {code for _, code in cured} == set(FIXES) and len(cured) >= 12, cured

        one, two = nodes
        for node in nodes:
            # Its ports are open before all of its tables are made.
            until(node, "lists:keymember(ejabberd, 1, application:which_applications())")
        one.load_easy_cluster()
        two.register("bob", "secret")
        join(one, two)
        assert db_nodes(two) == {one.name, two.name} and serves(one) and exists(one, "bob")
