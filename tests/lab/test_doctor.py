"""Whatever keeps two nodes apart is told with its own code and no other, by the layers that were passed and the one that was not."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from cluster import code, details, until
from lab import traces, wait_until

GHOST = Path(__file__).with_name("lab") / "ghost.py"
LAYERS = ["names", "resolver", "epmd", "distribution", "handshake"]
#: Milliseconds for what answers, and for what does not.
PLENTY, SHORT = 10_000, 700
#: The codes that cost the whole time-out.
MUTE = {"epmd_silent", "distribution_port_silent", "peer_silent", "handshake_failed"}


@pytest.fixture(scope="module")
def nodes(lab):
    """Real ejabberd nodes on hello.world and foo.bar, strangers to each other, for all tests here; and the third host."""
    if not lab.ground.isolated:
        pytest.skip(f"no host has a network of its own: {lab.refusal}")
    third = lab.host("third.host")
    made = [lab.host(name).ejabberd() for name in ("hello.world", "foo.bar")]
    try:
        lab.start(*made)
        for node in made:
            node.load_easy_cluster()
        yield *made, third
    finally:
        lab.mend_all()
        for node in made:
            node.destroy()


@pytest.fixture
def hello(nodes):
    return nodes[0]


@pytest.fixture
def foo(nodes):
    return nodes[1]


@pytest.fixture
def third(nodes):
    return nodes[2]


def test_node(node, name: str, time_out: int = PLENTY):
    """What is printed, and what is returned."""
    path = node.logs / "printed"
    answer = node.eval(f"""
        {{ok, Output}} = file:open("{path}", [write, {{encoding, utf8}}]),
        Asker = group_leader(),
        true = group_leader(Output, self()),
        try easy_cluster:test_node('{name}', #{{timeout => {time_out}}})
        after group_leader(Asker, self()), file:close(Output) end""", timeout=30)  # fmt: skip
    return path.read_text(), answer


test_node.__test__ = False


def told(node, name: str, expected: str, layers: int) -> dict:
    """The node says why it does not reach the other: by this code alone, after the lines of the layers that hold."""
    printed, answer = test_node(node, name, SHORT if expected in MUTE else PLENTY)
    assert code(answer) == expected, answer
    found = details(answer)
    assert [problem[0] for problem in found.get("problems", [answer[1]])] == [expected]
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[:layers]] == LAYERS[:layers], printed
    assert lines[layers].startswith(f"{expected} ("), printed
    assert any(line.startswith("  fix       ") for line in lines), printed
    return found


def reached(node, name: str) -> str:
    printed, answer = test_node(node, name)
    assert answer == "ok", answer
    return printed


def test_a_healthy_node_has_a_line_for_each_layer(hello, foo):
    for one, other in [(hello, foo), (foo, hello)]:
        lines = reached(one, other.name).splitlines()
        assert [line.split()[0] for line in lines[:5]] == LAYERS
        address = other.host.address
        assert lines[1].endswith(f"{other.host.name} is {address}")
        assert f"{address}:4369 knows ejabberd (port " in lines[2] and "lab-control" in lines[2]
        assert "ok: status, challenge, cookie, name; OTP 25 to 27" in lines[4]
        assert lines[5].startswith(f"{other.name} is reachable: OTP 25")


def test_looking_leaves_no_trace(hello, foo):
    kinds = ["visible", "hidden", "connected", "known"]
    seen = "[lists:sort(nodes(Kind)) || Kind <- [" + ", ".join(kinds) + "]]"
    before = foo.eval(seen)
    log = foo.log()
    reached(hello, foo.name)
    wait_until(lambda: foo.eval(seen)[:3] == before[:3], 10, "the probe to be gone")
    # A name that was heard is known for as long as the VM keeps entries of nodes that are gone (+zdntgc).
    assert all(name.startswith("easy_cluster_probe_") or name == hello.name
               for name in set(foo.eval(seen)[3]) - set(before[3]))  # fmt: skip
    assert foo.log() == log


# Names and addresses


def test_long_names_against_short_ones(hello, third):
    told(hello, "ejabberd@foo", "name_mode_mismatch", 0)
    with plain(third, "brief@third"):
        assert told(hello, "brief@third.host", "other_name", 4)["name"] == b"brief@third"


def test_an_unknown_host(hello, foo):
    for node in (hello, foo):
        assert told(node, "ejabberd@no.such.host", "unknown_host", 1)["host"] == b"no.such.host"


@contextlib.contextmanager
def hosts_file(host, *first: str, but: str = "\0"):
    """The host's hosts file has these lines first, and none of the others that hold `but`."""
    path = traces.ETC_NETNS / host.ground.name(host) / "hosts"
    before = path.read_text()
    # Written in place, as running processes have this very file mounted.
    path.write_text("".join(f"{line}\n" for line in [*first, *(line for line in before.splitlines() if but not in line)]))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_host_that_is_taken_out_of_the_hosts_file(hello, foo):
    for one, other in [(hello, foo), (foo, hello)]:
        with hosts_file(one.host, but=other.host.name):
            told(one, other.name, "unknown_host", 1)


def test_a_host_that_resolves_to_this_machine(hello, foo):
    for one, other in [(hello, foo), (foo, hello)]:
        for loopback in ("127.0.0.1", "127.0.1.1"):
            with hosts_file(one.host, f"{loopback} {other.host.name}", but=other.host.name):
                assert told(one, other.name, "loopback_trap", 1)["address"] == loopback.encode()


def test_the_address_of_a_machine_that_is_not_there(hello, foo):
    with hosts_file(hello.host, f"192.0.2.99 {foo.host.name}", but=foo.host.name):
        found = told(hello, foo.name, "epmd_unreachable", 2)
        assert b"unreachable" in found["reason"], found


def test_the_address_of_a_machine_that_does_not_answer(hello, foo, third, lab):
    with hosts_file(hello.host, f"{third.address} {foo.host.name}", but=foo.host.name):
        lab.cut_one_way(hello.host, third)
        try:
            told(hello, foo.name, "epmd_silent", 2)
        finally:
            lab.mend_all()


def test_a_host_whose_first_address_is_another_machine(hello, foo, third):
    with hosts_file(hello.host, f"{third.address} {foo.host.name}"):
        found = told(hello, foo.name, "first_address_fails", 1)
        assert (found["first"], found["other"]) == (third.address.encode(), foo.host.address.encode())


# epmd


@contextlib.contextmanager
def no_epmd(host):
    assert host.run("epmd", "-kill").returncode == 0
    try:
        yield
    finally:
        host.open()
        wait_until(lambda: host.run("epmd", "-names").returncode == 0, 10, f"epmd of {host.name}")


def test_an_epmd_that_is_not_there(hello, foo, third):
    with no_epmd(third):
        for node in (hello, foo):
            found = told(node, "ejabberd@third.host", "epmd_unreachable", 2)
            assert b"refused" in found["reason"], found


@pytest.mark.parametrize("direction", ["there", "back"])
def test_packets_to_epmd_that_are_dropped(hello, foo, lab, direction):
    sender, receiver = (hello, foo) if direction == "there" else (foo, hello)
    lab.cut_one_way(sender, receiver)
    try:
        told(hello, foo.name, "epmd_silent", 2)
        told(foo, hello.name, "epmd_silent", 2)
    finally:
        lab.mend_all()


@contextlib.contextmanager
def instead_of_epmd(host, behaviour: str):
    """Python has epmd's port."""
    script = (
        "import socket, sys, threading\n"
        "listener = socket.create_server(('', 4369))\n"
        "def serve():\n"
        "    held = []\n"
        "    while True:\n"
        "        stream, _ = listener.accept()\n"
        "        held.append(stream)\n"
        f"        if {behaviour == 'talks'}: stream.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')\n"
        "threading.Thread(target=serve, daemon=True).start()\n"
        "print('listening', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with no_epmd(host):
        with process(host, "python3", "-c", script) as first_line:
            assert first_line == "listening"
            yield


@contextlib.contextmanager
def process(host, *argv: str):
    """A process in the host that says a line when it is ready and ends when its input does."""
    child = subprocess.Popen(host.command(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


def test_something_else_on_the_port_of_epmd(hello, foo, third):
    with instead_of_epmd(third, "talks"):
        for node in (hello, foo):
            assert b"HT" in told(node, "ejabberd@third.host", "not_epmd", 2)["heard"]
    with instead_of_epmd(third, "is silent"):
        told(hello, "ejabberd@third.host", "epmd_silent", 2)


def test_a_name_that_epmd_does_not_know(hello, foo):
    assert told(hello, "nobody@foo.bar", "not_registered", 2)["alive"] == b"nobody"
    assert b"ejabberd" in told(foo, "nobody@hello.world", "not_registered", 2)["registered"]


@contextlib.contextmanager
def ghost(host, behaviour: str, name: str = "ghost"):
    with process(host, "python3", str(GHOST), "4369", host.address, name, behaviour) as port:
        assert port.isdigit()
        yield int(port)


def test_a_stale_entry_of_the_own_epmd(hello, foo):
    with ghost(hello.host, "closed"):
        told(hello, "ghost@hello.world", "stale_epmd_entry", 2)
        # From elsewhere the same could be a firewall.
        told(foo, "ghost@hello.world", "distribution_port_closed", 3)


# The distribution port


def test_a_distribution_port_that_is_closed(hello, foo):
    with ghost(foo.host, "closed") as port:
        found = told(hello, "ghost@foo.bar", "distribution_port_closed", 3)
        assert found["address"] == f"{foo.host.address}:{port}".encode()


def test_a_node_that_listens_on_another_interface(hello, foo, third):
    with plain(third, "inward", erl_options=("-kernel", "inet_dist_use_interface", "{127,0,0,1}")):
        for node in (hello, foo):
            told(node, "inward@third.host", "distribution_port_closed", 3)


def test_packets_to_the_distribution_port_that_are_dropped(hello, foo, third):
    with ghost(third, "full"):
        for node in (hello, foo):
            told(node, "ghost@third.host", "distribution_port_silent", 3)


# The handshake


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("silent", "peer_silent"),
        ("hangs_up", "handshake_failed"),
        ("garbage", "not_a_node"),
        ("flood", "not_a_node"),
        ("dribble", "handshake_failed"),
        ("old_flags", "incompatible_flags"),
    ],
)
def test_a_peer_that_is_no_healthy_node(hello, third, behaviour, expected):
    with ghost(third, behaviour):
        told(hello, "ghost@third.host", expected, 4)


def test_a_release_that_is_too_old(hello, third):
    with ghost(third, "old_version"):
        assert b"version 6" in told(hello, "ghost@third.host", "incompatible_flags", 4)["missing"]


@contextlib.contextmanager
def plain(host, name: str, **options):
    """A Mnesia node that is gone afterwards. Under another cookie it cannot be asked, so it is waited for in epmd."""
    node = host.mnesia(name=name, **options)
    node.launch()
    try:
        wait_until(lambda: name.partition("@")[0] in host.registered(), 20, f"{name} in epmd")
        yield node
    finally:
        node.destroy()
        shutil.rmtree(node.folder)


def test_another_cookie_here(hello, foo):
    for one, other in [(hello, foo), (foo, hello)]:
        one.eval(f"erlang:set_cookie('{other.name}', another)")
        try:
            told(one, other.name, "wrong_cookie", 4)
        finally:
            one.eval(f"erlang:set_cookie('{other.name}', erlang:get_cookie())")


def test_another_cookie_there(hello, foo, third):
    with plain(third, "stranger", erl_options=("-setcookie", "another")):
        for node in (hello, foo):
            told(node, "stranger@third.host", "wrong_cookie", 4)


def test_a_node_with_an_allow_list(hello, foo, third):
    with plain(third, "choosy") as choosy:
        until(choosy, "mnesia:system_info(is_running) =:= yes")
        choosy.eval(f"net_kernel:allow(['{foo.name}'])")
        told(hello, choosy.name, "name_refused", 4)
        reached(foo, choosy.name)


def test_a_node_that_has_another_of_this_name(hello, foo, third):
    connect = f"true = net_kernel:connect_node('{foo.name}'), true = net_kernel:connect_node('choosy@third.host')."
    with plain(third, "choosy") as choosy, plain(third, hello.name, erl_options=("-eval", connect)):
        for node in (foo, choosy):
            wait_until(lambda node=node: hello.name in node.eval("nodes()"), 20, "the double to be connected")
        for name in (foo.name, "choosy@third.host"):
            assert told(hello, name, "duplicate_name", 4)["here"] == hello.name
        reached(foo, "choosy@third.host")
        assert hello.name in foo.eval("nodes()")


def test_a_node_that_wants_tls(hello, foo, third):
    folder = third.folder / "tls"
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=third.host", "-days", "1",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)  # fmt: skip
    (folder / "tls.conf").write_text(f'[{{server, [{{certfile, "{folder}/cert.pem"}}, {{keyfile, "{folder}/key.pem"}}]}}].')
    with plain(third, "secret", erl_options=("-proto_dist", "inet_tls", "-ssl_dist_optfile", str(folder / "tls.conf"))):
        for node in (hello, foo):
            told(node, "secret@third.host", "tls_required", 4)


def test_a_node_that_is_stopped_by_a_signal(hello, third):
    with plain(third, "frozen") as frozen:
        wait_until(frozen.is_up, 20, "the node to answer")
        pid = int(bytes(frozen.eval("os:getpid()")))
        os.kill(pid, signal.SIGSTOP)
        try:
            told(hello, "frozen@third.host", "peer_silent", 4)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_node_that_was_killed(hello, third):
    with plain(third, "brief-life") as node:
        wait_until(node.is_up, 20, "the node to answer")
        node.pid = int(bytes(node.eval("os:getpid()")))
        reached_or_not_running(hello, node.name)
        node.kill()
        told(hello, node.name, "not_registered", 2)


def reached_or_not_running(node, name: str) -> None:
    """All layers hold; Mnesia there may still be starting."""
    printed, _ = test_node(node, name)
    assert [line.split()[0] for line in printed.splitlines()[:5]] == LAYERS, printed
