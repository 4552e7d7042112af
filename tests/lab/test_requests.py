"""Requests and directories that forbid a join. A refusal changes nothing, so all of these have the same two nodes."""

import contextlib
import subprocess

import pytest
from cluster import call, code, db_nodes, details, settled_checksums, until
from conftest import started, with_an_account
from file_systems import owned
from refusals import master, plain, refused, untouched


@pytest.fixture(scope="module")
def pair(lab, request):
    yield from started(lab, request, "hello.world", "foo.bar")


@pytest.fixture(scope="module")
def hello(pair):
    return with_an_account(pair[0])


# The request


def test_what_is_not_a_node_name(hello):
    for name in ("'no node'", '"a@b@c"', "<<>>", "{1, 2}", "'@foo.bar'", "<<255>>"):
        with untouched(hello):
            assert code(call(hello, f"join({name})")) == "bad_node_name", name
    refused(hello, "join('no node')", "bad_node_name")


def test_unknown_options_list_the_known_ones(hello):
    found = refused(hello, "join('ejabberd@foo.bar', #{colour => red})", "unknown_option")
    assert found["option"] == b"colour" and b"dry_run" in found["known"]
    refused(hello, "join('ejabberd@foo.bar', #{timeout => soon})", "bad_option")
    refused(hello, "join('ejabberd@foo.bar', [])", "bad_option")


def test_an_operation_or_a_plan_that_is_none(hello):
    refused(hello, "plan({dance, 'ejabberd@foo.bar'})", "bad_operation")
    refused(hello, "commit(#{})", "bad_plan")
    refused(hello, "commit({})", "bad_plan")
    refused(hello, "commit(ok)", "unknown_plan")


def test_itself(hello):
    refused(hello, f"join('{hello.name}')", "cannot_join_itself")


def test_hardly_any_time_is_too_little_for_others_only(hello, pair):
    foo = pair[1]
    hello.eval(f"true = net_kernel:hidden_connect_node('{foo.name}')")
    for request in (f"test_node('{foo.name}', #{{timeout => 2}})", f"plan({{join, '{foo.name}'}}, #{{timeout => 2}})"):
        with untouched(hello):
            answer = call(hello, request)
        assert answer[0] == "ok" or code(answer) in {"no_connection", "resolver_silent"}, answer
    hello.eval(f"erlang:disconnect_node('{foo.name}')")


def test_a_limit_of_memory_that_is_none(hello, pair):
    for limit in ("infinity", '"4 GB"'):
        hello.eval(f"application:set_env(easy_cluster, memory_limit, {limit})")
        assert call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[0] == "ok", limit
    hello.eval("application:unset_env(easy_cluster, memory_limit)")


# Getting there


def test_an_unknown_host(hello):
    assert refused(hello, master("ejabberd@no.such.host"), "unknown_host")["host"] == b"no.such.host"


def test_nothing_on_the_port_of_epmd(hello, lab):
    third = lab.host("third.host")
    third.close()
    try:
        refused(hello, master("ejabberd@third.host"), "epmd_unreachable")
    finally:
        third.open()


def test_a_node_that_epmd_does_not_know(hello):
    assert refused(hello, master("nobody@foo.bar"), "not_registered")["alive"] == b"nobody"


def test_a_distribution_port_that_is_closed(hello, lab):
    with registered_in_epmd(lab.host("foo.bar"), "ghost", port=9):
        assert refused(hello, master("ghost@foo.bar"), "distribution_port_closed")["address"].endswith(b":9")


@contextlib.contextmanager
def registered_in_epmd(host, name: str, port: int):
    """A name that epmd knows as long as the connection is open, with a port that nobody listens on."""
    script = (
        "import socket, struct, sys\n"
        f"s = socket.create_connection(('{host.address}', 4369))\n"
        f"name = {name.encode()!r}\n"
        f"body = struct.pack('>BHBBHHH', 120, {port}, 77, 0, 6, 5, len(name)) + name + b'\\0\\0'\n"
        "s.sendall(struct.pack('>H', len(body)) + body)\n"
        "s.recv(16); print('registered', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(host.command("python3", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"registered\n"
        yield
    finally:
        child.stdin.close()
        child.wait(10)


def test_another_cookie(hello, lab):
    with plain(lab, "third.host", "stranger", erl_options=("-setcookie", "another")):
        refused(hello, master("stranger@third.host"), "wrong_cookie")


def test_long_names_against_short_ones(hello, lab):
    refused(hello, master("ejabberd@foo"), "name_mode_mismatch")
    with plain(lab, "third.host", "brief@third"):
        assert refused(hello, master("brief@third.host"), "other_name")["name"] == b"brief@third"


# The directory


def test_a_schema_in_memory(hello, lab):
    with plain(lab, "third.host", "diskless", disc=False) as diskless:
        until(diskless, "mnesia:system_info(is_running) =:= yes")
        assert refused(hello, master(diskless.name), "ram_schema")["node"] == diskless.name

        diskless.load_easy_cluster()
        diskless.eval("{atomic, ok} = mnesia:create_table(t, []), mnesia:dirty_write({t, 1, only_here})")
        answer = call(diskless, master(hello.name))
        assert code(answer) == "ram_schema" and details(answer)["node"] == diskless.name, answer
        assert diskless.eval("mnesia:dirty_read(t, 1)") == [("t", 1, "only_here")]
        assert db_nodes(hello) == {hello.name} and db_nodes(diskless) == {diskless.name}


def a_link(spool):
    (spool / "old.DAT").symlink_to(spool / "roster.DAT")
    return "not_a_plain_file", spool / "old.DAT"


def a_folder(spool):
    return "not_a_plain_file", owned(make(spool / "old.DCD"))


def a_file_of_somebody_else(spool):
    (spool / "old.DCD").write_bytes(b"")
    return "not_usable", spool / "old.DCD"


def a_file_in_the_place_of_a_folder(spool):
    owned(make(spool / "easy_cluster"))
    (spool / "easy_cluster" / "kept").write_bytes(b"")
    return "not_usable", owned(spool / "easy_cluster" / "kept")


def a_folder_of_somebody_else(spool):
    owned(make(spool / "easy_cluster"))
    return "not_usable", make(spool / "easy_cluster" / "journal")


def a_link_that_leads_nowhere(spool):
    owned(make(spool / "easy_cluster"))
    (spool / "easy_cluster" / "staging").symlink_to("/nowhere")
    return "not_usable", spool / "easy_cluster" / "staging"


def make(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("obstacle", [a_link, a_folder, a_file_of_somebody_else, a_file_in_the_place_of_a_folder,
                                      a_folder_of_somebody_else, a_link_that_leads_nowhere],
                         ids=lambda obstacle: obstacle.__name__)  # fmt: skip
def test_files_that_could_not_be_kept(hello, pair, obstacle):
    free = names_below(hello.spool)
    expected, path = obstacle(hello.spool)
    settled_checksums(hello)
    before = names_below(hello.spool)
    assert refused(hello, master(pair[1].name), expected)["path"].decode() == str(path)
    assert names_below(hello.spool) == before
    for name in sorted(set(before) - set(free), reverse=True):
        remove(hello.spool / name)


def remove(path):
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def names_below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_a_look_that_finds_nothing_leaves_nothing(hello, pair):
    settled_checksums(hello)
    before = names_below(hello.spool)
    assert call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[0] == "ok"
    assert names_below(hello.spool) == before
