"""The laboratory itself: what it promises to the tests that stand on it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lab import (Disconnected, ErlangError, EvalTimeout, Lab, LoginRefused, NodeDown, NoMessage, Opaque, Shell, ShellStuck,
                 Unreachable, traces, wait_until)


def connects(one, other):
    return one.eval(f"net_kernel:connect_node('{other.name}')", timeout=15)


def sends(sender, receiver):
    """Whether a datagram from one host arrives in the other."""
    port = receiver.eval("""
        {ok, Socket} = gen_udp:open(0, [binary, {active, false}]),
        persistent_term:put(lab_socket, Socket),
        gen_udp:controlling_process(Socket, whereis(init)),
        element(2, inet:port(Socket))""")
    address = receiver.host.address.replace(".", ",")
    sender.eval(f"{{ok, S}} = gen_udp:open(0), ok = gen_udp:send(S, {{{address}}}, {port}, <<1>>), gen_udp:close(S)")
    return receiver.eval("""
        Socket = persistent_term:get(lab_socket),
        Answer = gen_udp:recv(Socket, 0, 1000),
        gen_udp:close(Socket),
        element(1, Answer) =:= ok""")


# Expressions

def test_terms_of_all_kinds_become_python_data(lab):
    node = lab.host("hello.world").mnesia(disc=False)
    node.start()
    try:
        assert node.eval("{atom, true, 1, -300, 1 bsl 70, -(1 bsl 70), 1.5}") == (
            "atom", True, 1, -300, 2**70, -(2**70), 1.5)
        assert node.eval("[<<\"\u00e9\"/utf8>>, \"ab\", [1000, x], [], [a | b]]") == [
            "\u00e9".encode(), [97, 98], [1000, "x"], [], ["a", "b"]]
        assert node.eval("#{a => 1, {b, [c]} => #{}}") == {"a": 1, ("b", ("c",)): {}}
        assert node.eval("self()").kind == "pid"
        assert node.eval("R = make_ref(), [R, R, make_ref()]")[0].kind == "reference"
        assert isinstance(node.eval("fun lists:map/2"), Opaque)
        assert node.text("io_lib:format(\"~ts\", [<<\"caf\u00e9\"/utf8>>])") == "caf\u00e9"
        assert node.printed("{a, \"b\"}") == '{a,"b"}'
        assert len(node.eval("lists:duplicate(100000, <<0>>)")) == 100_000
    finally:
        node.destroy()


def test_failures_of_expressions_say_which_kind(lab):
    node = lab.host("hello.world").mnesia(disc=False)
    node.start()
    try:
        for text, kind, reason in [("1/0", "error", "badarith"), ("exit(why)", "exit", "why"), ("throw(ball)", "throw", "ball")]:
            with pytest.raises(ErlangError) as caught:
                node.eval(text)
            assert (caught.value.kind, caught.value.reason) == (kind, reason)
        with pytest.raises(ErlangError, match="syntax error"):
            node.eval("foo(")
        with pytest.raises(EvalTimeout):
            node.eval("receive never -> ok end", timeout=0.2)
    finally:
        node.destroy()
    with pytest.raises(NodeDown):
        node.eval("node()")


def test_the_controller_is_not_seen(solo):
    assert solo.eval("nodes()") == []


# Nodes and the network

def test_two_nodes_find_each_other_and_stay_strangers(pair):
    hello, foo = pair
    assert hello.eval("net_adm:ping('ejabberd@foo.bar')") == "pong"
    assert foo.eval("nodes()") == ["ejabberd@hello.world"]
    assert hello.members() == {"ejabberd@hello.world"}
    assert foo.members() == {"ejabberd@foo.bar"}


def test_a_pair_is_cut_and_mended_and_the_others_notice_nothing(lab, trio):
    hello, foo, third = trio
    lab.cut(hello, foo)
    assert not sends(hello, foo) and not sends(foo, hello)
    assert not connects(hello, foo)
    assert connects(hello, third) and connects(foo, third)
    lab.mend(hello, foo)
    assert sends(hello, foo) and sends(foo, hello)
    assert connects(hello, foo)


def test_one_way_can_be_cut(lab, pair):
    hello, foo = pair
    lab.cut_one_way(hello, foo)
    assert not sends(hello, foo)
    assert sends(foo, hello)
    lab.mend(hello, foo)
    assert sends(hello, foo)


def test_an_unplugged_link_is_noticed_at_once(lab, pair):
    hello, foo = pair
    lab.unplug(hello, foo)
    assert hello.eval("gen_tcp:connect(\"foo.bar\", 4369, [], 5000)") in [("error", "enetunreach"), ("error", "ehostunreach")]
    lab.mend(hello, foo)
    assert connects(hello, foo)


def test_delay_is_felt(lab, pair):
    hello, foo = pair
    lab.impair(hello, foo, delay_ms=60)
    assert hello.eval("element(1, timer:tc(gen_tcp, connect, [\"foo.bar\", 4369, []]))") >= 100_000
    lab.mend(hello, foo)
    assert hello.eval("element(1, timer:tc(gen_tcp, connect, [\"foo.bar\", 4369, []]))") < 50_000


def test_an_unknown_host_is_refused_by_the_resolver_at_once(solo):
    assert solo.eval("inet:gethostbyname(\"nowhere.example\")", timeout=3) == ("error", "nxdomain")


def test_another_cookie_keeps_a_node_out(lab):
    hello, foo = lab.host("hello.world"), lab.host("foo.bar")
    common = foo.cookie
    try:
        foo.set_cookie("another")
        one, other = hello.mnesia(disc=False), foo.mnesia(disc=False)
        lab.start(one, other)
        assert not connects(one, other)
        assert other.eval("erlang:get_cookie()") == "another"
    finally:
        foo.set_cookie(common)
        one.destroy()
        other.destroy()


def test_a_node_may_have_a_short_name(lab):
    node = lab.host("hello.world").ejabberd(name="ejabberd@hello")
    try:
        node.start()
        assert node.eval("{node(), net_kernel:longnames()}") == ("ejabberd@hello", False)
    finally:
        node.destroy()


def test_a_killed_node_is_gone_and_starts_again_with_its_database(solo):
    solo.register("romeo", "secret")
    solo.eval("mnesia:dump_log(), ok = dets:sync(passwd)")
    pid = solo.pid
    solo.kill()
    assert not Path(f"/proc/{pid}").exists()
    assert "ejabberd" not in solo.host.registered()
    solo.start()
    assert solo.pid != pid
    assert solo.eval("ejabberd_auth:user_exists(<<\"romeo\">>, <<\"localhost\">>)")


def test_a_frozen_node_answers_when_it_is_thawed(solo):
    solo.signal(signal.SIGSTOP)
    with pytest.raises(EvalTimeout):
        solo.eval("node()", timeout=0.5)
    solo.signal(signal.SIGCONT)
    assert solo.eval("node()") == solo.name


def test_checksums_change_with_the_database_and_only_with_it(solo):
    solo.eval("mnesia:dump_log()")
    before = solo.checksums()
    assert "schema.DAT" in before
    solo.eval("application:which_applications()")
    assert solo.checksums() == before
    solo.register("romeo", "secret")
    solo.eval("mnesia:dump_log()")
    assert solo.checksums() != before


def test_a_new_node_begins_with_an_empty_database(lab, solo):
    solo.register("romeo", "secret")
    solo.destroy()
    fresh = lab.host("hello.world").ejabberd()
    try:
        fresh.start()
        assert not fresh.eval("ejabberd_auth:user_exists(<<\"romeo\">>, <<\"localhost\">>)")
    finally:
        fresh.destroy()


def test_a_node_that_cannot_start_says_why(lab):
    node = lab.host("hello.world").ejabberd(config="nonsense: true\n")
    with pytest.raises(RuntimeError, match="(?s)ended while it started.*nonsense"):
        node.start()
    node.destroy()


# XMPP

def test_clients_log_in_and_talk(solo):
    solo.register("romeo", "one")
    solo.register("juliet", "two")
    with solo.xmpp("romeo", "one") as romeo, solo.xmpp("juliet", "two") as juliet:
        romeo.send(juliet, "But soft")
        assert juliet.receive() == ("romeo@localhost", "But soft")
        juliet.send("romeo@localhost", "Ay me")
        assert romeo.receive() == ("juliet@localhost", "Ay me")
        romeo.add_contact("juliet@localhost")
        assert romeo.contacts() == ["juliet@localhost"]
        with pytest.raises(NoMessage):
            romeo.receive(timeout=0.2)


def test_a_refused_login_is_told_from_an_unreachable_server(solo):
    solo.register("romeo", "one")
    with pytest.raises(LoginRefused, match="not-authorized"):
        solo.xmpp("romeo", "wrong")
    with pytest.raises(LoginRefused, match="not-authorized"):
        solo.xmpp("nobody", "one")
    session = solo.xmpp("romeo", "one")
    solo.kill()
    with pytest.raises(Disconnected):
        session.receive()
    with pytest.raises(Unreachable):
        solo.xmpp("romeo", "one", timeout=3)


# Shells

def test_the_debug_shell_evaluates_what_is_typed(solo):
    transcript = solo.shell("X = 20 + 1.", "io:format(\"~w~n\", [2 * X]).")
    assert "(ejabberd@hello.world)1> X = 20 + 1.\n21\n" in transcript
    assert "\n42\nok\n" in transcript
    assert solo.is_up()


def test_a_stuck_shell_gives_its_transcript_and_leaves_nothing(solo):
    before = set(traces.processes(traces.MARK, solo.host.lab.name))
    with pytest.raises(ShellStuck, match="(?s)begun.*"), Shell(solo) as shell:
        shell.type("io:format(\"begun~n\"), timer:sleep(infinity).", timeout=1)
    wait_until(lambda: set(traces.processes(traces.MARK, solo.host.lab.name)) <= before, 5, "the end of the shell")


def test_ejabberdctl_answers_and_its_failure_is_an_error(solo):
    assert "is running" in solo.ctl("status")
    with pytest.raises(RuntimeError, match="ejabberdctl no_such_command"):
        solo.ctl("no_such_command")


def test_what_was_logged_is_in_the_file(solo):
    solo.eval("logger:error(\"this was said\")")
    solo.flush_log()
    assert "this was said" in (solo.logs / "ejabberd.log").read_text()


# Cleaning up

#: Each process has made the next one when it ends.
_DAEMON = "import os, time\nfor _ in range(400):\n    if os.fork():\n        os._exit(0)\n    time.sleep(0.001)"


def test_a_process_is_found_that_becomes_another_one_all_the_time():
    environment = os.environ | {"LAB_DAEMON": "here"}
    with subprocess.Popen([sys.executable, "-c", _DAEMON], stdout=subprocess.PIPE, env=environment) as daemon:
        os.set_blocking(daemon.stdout.fileno(), False)
        looks = 0
        while True:
            found = traces.processes("LAB_DAEMON", "here")
            # Nothing to read is the end of the last of them; None is that it may still come.
            if daemon.stdout.read() == b"":
                break
            assert found, f"it still runs, after {looks} looks"
            looks += 1
        assert looks > 3


#: A shell has what it runs in the background ignore the signal of an interrupt; Python takes that over.
_SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from lab import Lab
with Lab(loopback={loopback}) as lab:
    lab.host("one.example").mnesia().start()
    lab.host("two.example").controller()
    print(lab.name, flush=True)
    {end}
"""


# Not signal.pause(): a signal that comes just before it is handled too early, and nothing ends it.
_WAIT = "while True: signal.sigtimedwait([], 1)"


def a_laboratory(end, loopback=False):
    """Another process that has a laboratory, and that laboratory's name."""
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT.format(end=end, loopback=loopback)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parent)
    name = next(line for line in process.stdout if line.startswith(traces.PREFIX)).strip()
    return process, name


@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize("end, signal_number", [
    ("pass", None), ("raise ValueError", None), (_WAIT, signal.SIGINT), (_WAIT, signal.SIGTERM)])
def test_a_laboratory_leaves_nothing(end, signal_number, loopback):
    process, name = a_laboratory(end, loopback)
    if signal_number:
        assert len(traces.left_by(name)) > 3
        process.send_signal(signal_number)
    process.wait(20)
    assert traces.left_by(name) == []


def test_what_a_killed_laboratory_leaves_is_swept(lab):
    process, name = a_laboratory(_WAIT)
    process.kill()
    process.wait(20)
    assert len(traces.left_by(name)) > 3
    traces.sweep()
    assert traces.left_by(name) == []
    assert lab.folder.exists()


def test_two_laboratories_live_side_by_side(lab):
    with Lab() as second:
        one, other = lab.host("hello.world").mnesia(disc=False), second.host("hello.world").mnesia(disc=False)
        try:
            one.start()
            other.start()
            assert one.pid != other.pid
            assert one.eval("node()") == other.eval("node()")
        finally:
            one.destroy()
    assert lab.folder.exists()
    assert not os.path.exists(second.folder)


# Without namespaces

def test_on_loopback_two_nodes_find_each_other_and_serve_clients():
    with Lab(loopback=True) as lab:
        hello, foo = lab.host("hello.world").ejabberd(), lab.host("foo.bar").ejabberd()
        lab.start(hello, foo)
        assert hello.eval("net_adm:ping('ejabberd@foo.bar')") == "pong"
        assert foo.eval("nodes()") == ["ejabberd@hello.world"]
        assert "is running" in hello.ctl("status")
        assert "2" in foo.shell("1 + 1.")
        foo.register("romeo", "one")
        with foo.xmpp("romeo", "one") as romeo:
            romeo.send(romeo, "to be")
            assert romeo.receive() == ("romeo@localhost", "to be")
        with pytest.raises(Exception, match="without network namespaces"):
            lab.cut(hello, foo)
