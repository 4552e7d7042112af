"""Whatever forbids a join is told with its code, evidence and fix; ejabberd serves on and no byte of Mnesia's files changes."""

import contextlib
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from cluster import call, code, db_nodes, details, join, serves, settled_checksums, until, words
from lab import wait_until
from lab.roots import release_root


@contextlib.contextmanager
def untouched(node):
    """Whatever happens inside, the node serves on and its files stay what they were, byte for byte."""
    before = settled_checksums(node)
    yield
    assert settled_checksums(node) == before
    assert serves(node)


def refused(node, request: str, expected: str):
    """`easy_cluster:REQUEST` is refused with the code, and says evidence and fix."""
    with untouched(node):
        answer = call(node, request)
    assert code(answer) == expected, answer
    text = words(node, f"{{error, {{{expected}, {printed_details(node, request)}}}}}")
    assert text.startswith(f"{expected} (") and "\n  evidence  " in text and "\n  fix       " in text
    return details(answer)


def printed_details(node, request: str) -> str:
    """The details of the refusal as Erlang source, asked for once more: it can be asked any number of times."""
    return node.text(f"{{error, {{_, Details}}}} = easy_cluster:{request}, io_lib:format(\"~tw\", [Details])")


@pytest.fixture
def hello(pair):
    node, _ = pair
    node.load_easy_cluster()
    node.register("alice", "secret")
    return node


def master(name) -> str:
    return f"join_as_master('{name}', #{{timeout => 2000}})"


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
    refused(hello, "commit(ok)", "bad_plan")


def test_itself(hello):
    refused(hello, f"join('{hello.name}')", "cannot_join_itself")


def test_hardly_any_time_is_too_little_for_others_only(hello, pair):
    foo = pair[1]
    hello.eval(f"true = net_kernel:hidden_connect_node('{foo.name}')")
    for request in (f"test_node('{foo.name}', #{{timeout => 2}})", f"plan({{join, '{foo.name}'}}, #{{timeout => 2}})"):
        with untouched(hello):
            answer = call(hello, request)
        assert answer == "ok" or answer[0] == "ok" or code(answer) in {"no_connection", "resolver_silent"}, answer


def test_a_limit_of_memory_that_is_none(hello, pair):
    for limit in ("infinity", '"4 GB"'):
        hello.eval(f"application:set_env(easy_cluster, memory_limit, {limit})")
        assert call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[0] == "ok", limit


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


@contextlib.contextmanager
def plain(lab, host: str, name: str, **options):
    """A Mnesia node that is gone afterwards. Under another cookie it cannot be asked, so it is waited for in epmd."""
    node = lab.host(host).mnesia(name=name, **options)
    node.launch()
    try:
        wait_until(lambda: name.partition("@")[0] in lab.host(host).registered(), 20, f"{name} in epmd")
        yield node
    finally:
        node.destroy()
        shutil.rmtree(node.folder)


def test_long_names_against_short_ones(hello, lab):
    refused(hello, master("ejabberd@foo"), "name_mode_mismatch")
    with plain(lab, "third.host", "brief@third"):
        assert refused(hello, master("brief@third.host"), "other_name")["name"] == b"brief@third"


# The cluster


def test_a_target_whose_mnesia_is_stopped(hello, pair):
    _, foo = pair
    foo.eval("application:stop(ejabberd), mnesia:stop()")
    refused(hello, master(foo.name), "mnesia_not_running")


def test_already_in_that_cluster(hello, pair):
    join(hello, pair[1])
    refused(hello, master(pair[1].name), "already_member")


def test_already_in_another_cluster(hello, pair, lab):
    join(hello, pair[1])
    with plain(lab, "third.host", "other") as other:
        until(other, "mnesia:system_info(is_running) =:= yes")
        refused(hello, master(other.name), "already_clustered")


@pytest.fixture
def couple(hello, pair, lab):
    """The second node in one cluster with a third, plain one."""
    foo = pair[1]
    third = lab.host("third.host").mnesia(name="third")
    third.start()
    third.eval("mnesia:stop(), mnesia:delete_schema([node()]), mnesia:start(), "
               f"{{ok, [_]}} = mnesia:change_config(extra_db_nodes, ['{foo.name}']), "
               "{atomic, ok} = mnesia:change_table_copy_type(schema, node(), disc_copies)")  # fmt: skip
    yield foo, third
    third.destroy()
    shutil.rmtree(third.folder)


def test_a_member_that_is_down(hello, couple):
    foo, third = couple
    third.kill()
    assert refused(hello, master(foo.name), "member_down")["node"] == third.name


def test_a_member_that_is_silent_costs_one_time_out(hello, couple, lab):
    foo, third = couple
    lab.cut(hello.host, third.host)
    try:
        assert refused(hello, master(foo.name), "member_down")["node"] == third.name
    finally:
        lab.mend_all()


def test_members_that_disagree_who_belongs(hello, couple):
    foo, third = couple
    third.kill()
    assert foo.eval(f"mnesia:del_table_copy(schema, '{third.name}')") == ("atomic", "ok")
    foo.eval("application:stop(ejabberd), mnesia:stop()")
    third.start()  # alone it still believes in two members
    third.eval("mnesia:wait_for_tables([schema], 5000)")
    foo.eval(f"erlang:set_cookie('{third.name}', nobodys), erlang:disconnect_node('{third.name}'), "
             "mnesia:start(), mnesia:wait_for_tables([schema], 5000)")  # fmt: skip
    found = refused(hello, master(third.name), "members_disagree")
    assert set(found["lists"]) == {foo.name, third.name} and found["other_lists"] == [foo.name]


def test_a_member_that_is_split_off(hello, couple):
    foo, third = couple
    foo.eval(f"erlang:set_cookie('{third.name}', nobodys), erlang:disconnect_node('{third.name}')")
    third.eval(f"mnesia:system_info(running_db_nodes) =:= [node()] orelse erlang:disconnect_node('{foo.name}')")
    until(third, f"mnesia:system_info(running_db_nodes) =:= ['{third.name}']")
    refused(hello, master(foo.name), "partitioned")


def test_this_node_as_a_stale_member(hello, pair):
    foo = pair[1]
    join(hello, foo)
    hello.kill()
    for path in hello.spool.glob("*"):
        if path.is_file() and not path.name.startswith("."):
            path.unlink()
    foo.eval(f"erlang:set_cookie('{hello.name}', nobodys)")  # or the wiped node would be pulled in at its start
    hello.start()
    hello.load_easy_cluster()
    foo.eval(f"erlang:set_cookie('{hello.name}', erlang:get_cookie())")
    assert refused(hello, master(foo.name), "stale_member")["listed_by"] == foo.name


def test_tables_of_one_name_that_are_not_one_table(hello, pair):
    hello.eval("{atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}, {attributes, [a, b]}])")
    pair[1].eval("{atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}, {attributes, [a, b, c]}, {type, bag}])")
    found = refused(hello, master(pair[1].name), "table_definition_differs")
    assert [problem[1]["item"] for problem in found["problems"]] == [b"type", b"attributes"]


# Room


BIG = """{atomic, ok} = mnesia:create_table(big, [{disc_copies, [node()]}]),
         Blob = binary:copy(<<"x">>, 100000), [mnesia:dirty_write({big, I, <<Blob/binary, I:32>>}) || I <- lists:seq(1, 300)], ok"""


def test_too_little_memory(hello, pair):
    pair[1].eval(BIG)
    # What is garbage now would make room between two looks.
    hello.eval("[garbage_collect(Pid) || Pid <- processes()],"
               " application:set_env(easy_cluster, memory_limit, erlang:memory(total) + 2000000)")  # fmt: skip
    refused(hello, master(pair[1].name), "not_enough_memory")
    hello.eval("application:unset_env(easy_cluster, memory_limit)")
    join(hello, pair[1])


def test_too_little_disk(hello, pair):
    hello.eval("{atomic, ok} = mnesia:create_table(filler, [{disc_only_copies, [node()]}])")
    pair[1].eval(BIG)
    hello.stop()
    with small_disk(hello.spool, megabytes=20):
        hello.start()
        hello.load_easy_cluster()
        refused(hello, master(pair[1].name), "not_enough_disk")
        hello.destroy()


@contextlib.contextmanager
def small_disk(folder, megabytes: int):
    """The folder's contents on a file system of their own that is soon full."""
    aside = folder.with_name(folder.name + "-aside")
    folder.rename(aside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        shutil.chown(folder, "ejabberd", "ejabberd")
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)


# What would not survive


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


@contextlib.contextmanager
def read_only(folder):
    """A folder in which its owner makes and deletes nothing for a while."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


def test_a_directory_that_cannot_be_written(hello, pair):
    foo = pair[1]
    with read_only(foo.spool):
        found = refused(hello, master(foo.name), "directory_not_writable")
        assert found["node"] == foo.name and found["directory"].decode() == str(foo.spool)
    assert serves(foo)

    before = settled_checksums(hello)
    with read_only(hello.spool):
        answer = call(hello, master(foo.name))
    assert code(answer) == "directory_not_writable" and details(answer)["node"] == hello.name, answer
    assert settled_checksums(hello) == before and serves(hello)
    join(hello, foo)


def test_a_fallback_that_waits_for_the_next_start(hello, pair):
    for node in pair:
        backup = node.logs / "backup"
        node.eval(f'ok = mnesia:backup("{backup}"), ok = mnesia:install_fallback("{backup}")')
        found = refused(hello, master(pair[1].name), "fallback_installed")
        assert found["path"].decode() == str(node.spool / "FALLBACK.BUP") and node.name.encode() in found["reason"]
        node.eval("ok = mnesia:uninstall_fallback()")
    join(hello, pair[1])


def owned(path):
    shutil.chown(path, "ejabberd", "ejabberd")
    return path


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
    expected, path = obstacle(hello.spool)
    settled_checksums(hello)
    before = names_below(hello.spool)
    assert refused(hello, master(pair[1].name), expected)["path"].decode() == str(path)
    assert names_below(hello.spool) == before


def test_a_place_for_the_kept_database_on_another_file_system(hello, pair):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        shutil.chown(elsewhere, "ejabberd", "ejabberd")
        link = hello.spool / "easy_cluster"
        link.symlink_to(elsewhere)
        assert link.stat().st_dev != hello.spool.stat().st_dev
        found = refused(hello, master(pair[1].name), "no_hard_links")
        assert found["path"].decode() == str(link) and found["reason"] == b"exdev"
        link.unlink()
    join(hello, pair[1])


def names_below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_a_look_that_finds_nothing_leaves_nothing(hello, pair):
    settled_checksums(hello)
    before = names_below(hello.spool)
    assert call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[0] == "ok"
    assert names_below(hello.spool) == before


# What would not start again


def everything(*folders):
    """Each file below the folders with its size and the time of its last change."""
    paths = sorted(path for folder in folders for path in folder.rglob("*"))
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths if path.is_file()}


VERDICT = "easy_cluster_configuration:await(easy_cluster_configuration:start())"


def configure(node, old: str, new: str):
    """Another ejabberd.yml on disc than the one that runs."""
    path = node.config_folder / "ejabberd.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("old, new, says", [
    ("loglevel: info", "loglevel: nonsense", b"loglevel"),
    ("  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_nowhere: {}", b"mod_nowhere"),
    ("  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_ping:\n    - [", b"ejabberd.yml"),
])
def test_a_configuration_that_has_become_invalid(hello, pair, old, new, says):
    configure(hello, old, new)
    found = refused(hello, master(pair[1].name), "configuration_invalid")
    assert found["path"].decode() == str(hello.config_folder / "ejabberd.yml") and says in found["path"] + found["reason"]
    assert hello.eval("ejabberd_option:loglevel() =:= info")
    configure(hello, new, old)
    join(hello, pair[1])


def test_the_check_of_the_configuration_leaves_no_trace(hello):
    settled_checksums(hello)
    folders, names = [hello.spool, hello.logs, hello.config_folder], hello.host.registered()
    configure(hello, "loglevel: info", "loglevel: info")  # written anew
    before = everything(*folders)
    assert hello.eval(VERDICT) == "valid"
    configure(hello, "loglevel: info", "loglevel: nonsense")
    before = {**before, **everything(hello.config_folder)}
    assert hello.eval(VERDICT)[0] == "invalid"
    assert everything(*folders) == before and hello.host.registered() == names


EXTRA = """
-module(mod_extra).
-behaviour(gen_mod).
-export([start/2, stop/1, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
start(_, _) -> ok.
stop(_) -> ok.
depends(_, _) -> [].
mod_opt_type(limit) -> %s, econf:pos_int().
mod_options(_) -> [{limit, 1}].
mod_doc() -> #{}.
"""


def with_extra_module(node, before_an_answer: str):
    """A module of ejabberd-contrib's kind, in the code path and in ejabberd.yml on disc."""
    ebin = node.modules / "mod_extra" / "ebin"
    ebin.mkdir(parents=True)
    (ebin / "mod_extra.erl").write_text(EXTRA % before_an_answer)
    for path in [node.modules, *node.modules.rglob("*")]:
        owned(path)
    node.eval(f'{{ok, mod_extra}} = compile:file("{ebin}/mod_extra", [{{outdir, "{ebin}"}}]), true = code:add_pathz("{ebin}")')
    configure(node, "  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_extra:\n    limit: 3")


def test_a_module_of_ones_own_is_known_to_the_check(hello, pair):
    with_extra_module(hello, "ok")
    assert hello.eval(VERDICT) == "valid"
    configure(hello, "limit: 3", "limit: many")
    assert b"limit" in refused(hello, master(pair[1].name), "configuration_invalid")["reason"]


def test_a_check_of_the_configuration_that_hangs_is_ended(hello, pair):
    with_extra_module(hello, "receive after infinity -> ok end")
    hello.eval(f"spawn(fun() -> persistent_term:put(verdict, {VERDICT}) end), ok")
    wait_until(lambda: checks_under_way(hello), 10, "the other VM")
    until(hello, "persistent_term:get(verdict, none) =/= none")
    assert not checks_under_way(hello)
    assert hello.eval("persistent_term:get(verdict)") == ("unchecked", {"reason": b"the other VM did not answer in time"})


def checks_under_way(node) -> list[str]:
    """The pids of other VMs that look at the node's configuration."""
    found = subprocess.run(["pgrep", "-f", "easy_cluster_configuration answer"], capture_output=True, text=True)
    return [pid for pid in found.stdout.split() if str(node.modules) in command_line(pid)]


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


# Without another VM, where ejabberd has read these very files


@pytest.fixture
def aged(lab, request):
    """Makes and starts a node whose configuration, also what `prepare` makes of it, is older than it."""
    made = []

    def make(prepare, release="23.01"):
        node = lab.host("hello.world").ejabberd(root=release_root(release))
        made.append(node)
        prepare(node)
        node.age()
        lab.start(node)
        node.load_easy_cluster()
        return node

    yield make
    for node in made:
        node.destroy()
        if node.config_folder.is_symlink():
            node.config_folder.unlink()
        shutil.rmtree(node.config_folder.with_name("etc.old"), ignore_errors=True)


def asks_another_vm(node) -> bool:
    """Where none can be started, it is told that it was needed."""
    folder = node.text('os:getenv("BINDIR")')
    node.eval('os:putenv("BINDIR", "/nowhere")')
    verdict = node.eval(VERDICT)
    node.eval(f'os:putenv("BINDIR", "{folder}")')
    assert verdict == "valid" or verdict[0] == "unchecked", verdict
    return verdict != "valid"


def named_file(node) -> Path:
    """A file that ejabberd.yml names, with the certificate that it has to be."""
    path = node.config_folder / "tls" / "ca.pem"
    path.parent.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                    "/CN=lab", "-keyout", "/dev/null", "-out", path], check=True, capture_output=True)  # fmt: skip
    configure(node, "loglevel: info", f'loglevel: info\nca_file: "{path}"')
    return path


def module_configuration(node):
    (node.config_folder / "modules.d" / "mod_own.yml").write_text("acl:\n  own:\n    user: someone\n")


def included(node):
    (node.config_folder / "more.yml").write_text("log_burst_limit_count: 501\n")
    configure(node, "loglevel: info", f'loglevel: info\ninclude_config_file: "{node.config_folder}/more.yml"')


def rewritten(path: Path):
    path.write_bytes(path.read_bytes())


def exchanged(path: Path):
    """The same bytes in another file or folder, with all the times that a copy can keep."""
    copy = path.with_name("copy")
    subprocess.run(["cp", "-a", path, copy], check=True)
    path.rename(path.with_name(f"{path.name}.old"))
    copy.rename(path)


def linked(path: Path):
    old = path.with_name(f"{path.name}.old")
    path.rename(old)
    path.symlink_to(old)


def yml(node) -> Path:
    return node.config_folder / "ejabberd.yml"


@pytest.mark.parametrize("release", ["23.01", *(pytest.param(each, marks=pytest.mark.releases) for each in ["24.12", "26.07"])])
def test_a_configuration_that_ejabberd_has_read_is_not_read_again(aged, release):
    node = aged(lambda node: (named_file(node), module_configuration(node)), release)
    assert not asks_another_vm(node)


@pytest.mark.parametrize("change", [
    lambda node: rewritten(yml(node)),
    lambda node: yml(node).touch(),
    lambda node: subprocess.run(["touch", "-d", "2020-01-01", yml(node)], check=True),
    lambda node: exchanged(yml(node)),
    lambda node: linked(yml(node)),
    lambda node: exchanged(node.config_folder),
    lambda node: linked(node.config_folder),
    lambda node: (node.config_folder / "tls" / "ca.pem").unlink(),
    lambda node: rewritten(node.config_folder / "tls" / "ca.pem"),
    lambda node: exchanged(node.config_folder / "tls" / "ca.pem"),
    lambda node: exchanged(node.config_folder / "tls"),
    lambda node: rewritten(node.config_folder / "modules.d" / "mod_own.yml"),
    lambda node: (node.config_folder / "modules.d" / "mod_own.yml").unlink(),
    lambda node: (node.config_folder / "modules.d" / "mod_new.yml").touch(),
    lambda node: (node.modules / "mod_new" / "conf").mkdir(parents=True),
    lambda node: node.eval('os:putenv("EJABBERD_CONFIG_PATH", "/etc/ejabberd/ejabberd.yml")'),
    lambda node: node.eval('os:putenv("CONTRIB_MODULES_PATH", "/nowhere")'),
    lambda node: node.eval('os:putenv("EJABBERD_MACRO_LEVEL", "info")'),
    lambda node: node.eval(f'application:set_env(ejabberd, config, "{yml(node)}")'),
], ids=["written", "touched", "times_set_back", "exchanged", "linked", "folder_exchanged", "folder_linked", "named_file_gone",
        "named_file_written", "named_file_exchanged", "folder_of_the_named_file_exchanged", "module_written", "module_gone",
        "module_came", "module_installed", "other_path", "other_modules", "macro", "configured_path"])  # fmt: skip
def test_a_configuration_that_may_have_changed_is_read_by_another_vm(aged, change):
    node = aged(lambda node: (named_file(node), module_configuration(node)))
    assert not asks_another_vm(node)
    change(node)
    assert asks_another_vm(node)


@pytest.mark.parametrize("prepare", [
    included,
    lambda node: configure(node, "loglevel: info", 'loglevel: info\ndefine_macro:\n  ALL: "/etc/ssl/certs/*.pem"'),
    lambda node: configure(node, "loglevel: info", "loglevel: info\ndefine_macro:\n  OWN: ca.pem"),
    lambda node: configure(node, "loglevel: info", 'loglevel: info\ndefine_macro:\n  WHERE: "some/where"'),
], ids=["include", "glob", "relative", "macro"])  # fmt: skip
def test_a_configuration_that_may_name_other_files_is_read_by_another_vm(aged, prepare):
    assert asks_another_vm(aged(prepare))


def test_a_named_file_that_is_gone_refuses_a_join(aged, lab):
    node = aged(named_file)
    other = lab.host("foo.bar").ejabberd()
    lab.start(other)
    (node.config_folder / "tls" / "ca.pem").unlink()
    try:
        assert b"ca_file" in refused(node, master(other.name), "configuration_invalid")["reason"]
    finally:
        other.destroy()


@pytest.mark.releases
@pytest.mark.parametrize("release", ["24.12", "26.07"])
def test_what_would_not_survive_or_start_again_is_known_of_newer_releases(nodes_of, release):
    node, other = nodes_of(release, release)
    node.load_easy_cluster()
    assert call(node, f"plan({{join, '{other.name}'}})")[0] == "ok"
    configure(node, "loglevel: info", "loglevel: nonsense")
    with read_only(other.spool):
        found = details(call(node, f"plan({{join, '{other.name}'}})"))["problems"]
    assert [problem[0] for problem in found] == ["directory_not_writable", "configuration_invalid"]
    with untouched(node):
        assert code(call(node, f"join('{other.name}')")) == "configuration_invalid"


def test_a_configuration_that_becomes_invalid_after_the_plan(hello, pair):
    hello.eval(f"{{ok, Plan}} = easy_cluster:plan({{join_as_master, '{pair[1].name}'}}), persistent_term:put(plan, Plan)")
    configure(hello, "loglevel: info", "loglevel: nonsense")
    refused(hello, "commit(persistent_term:get(plan))", "configuration_invalid")


def test_an_included_file_that_becomes_invalid_a_moment_after_the_check(hello, pair):
    included(hello)
    assert hello.eval(VERDICT) == "valid"
    (hello.config_folder / "more.yml").write_text("log_burst_limit_count: many\n")
    assert b"log_burst_limit_count" in refused(hello, master(pair[1].name), "configuration_invalid")["reason"]


def test_a_configuration_that_cannot_be_checked_is_told(hello, pair):
    folder = hello.text('os:getenv("BINDIR")')
    configure(hello, "loglevel: info", "loglevel: info")  # written anew
    hello.eval('os:putenv("BINDIR", "/nowhere")')
    plan = call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[1]
    assert [warning[0] for warning in plan["warnings"]] == ["configuration_unchecked"]
    hello.eval(f'os:putenv("BINDIR", "{folder}")')
    plan = call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[1]
    assert plan["warnings"] == []


# One at a time, and only what was shown


def test_a_plan_whose_cluster_has_changed(hello, pair):
    foo = pair[1]
    hello.eval(f"{{ok, Plan}} = easy_cluster:plan({{join, '{foo.name}'}}), persistent_term:put(plan, Plan)")
    foo.eval("{atomic, ok} = mnesia:create_table(late, [{ram_copies, [node()]}])")
    assert refused(hello, "commit(persistent_term:get(plan))", "plan_changed")["changed"] == b"the tables"
    assert hello.eval("nodes()") == []


def test_another_operation_under_way(hello, pair, lab):
    foo = pair[1]
    with plain(lab, "third.host", "holder") as holder:
        until(holder, "mnesia:system_info(is_running) =:= yes")
        holder.eval(f"true = net_kernel:connect_node('{foo.name}'), Asker = self(), "
                    "spawn(fun() -> Asker ! global:set_lock({easy_cluster_operation, self()}, "
                    f"[node(), '{foo.name}'], 0), receive stop -> ok end end), receive true -> ok end")  # fmt: skip
        assert refused(hello, master(foo.name), "operation_in_progress")["holder"] == holder.name
    join(hello, foo)


def test_two_that_join_at_once_do_not_ruin_each_other(trio):
    hello, foo, third = trio
    answers = {}
    for node in (hello, third):
        node.load_easy_cluster()

    def ask(node):
        answers[node.name] = call(node, master(foo.name))

    threads = [threading.Thread(target=ask, args=[node]) for node in (hello, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    joined = {name for name, answer in answers.items() if answer == "ok"}
    refusals = {code(answer) for answer in answers.values() if answer != "ok"}
    assert joined and refusals <= {"operation_in_progress", "plan_changed", "member_down"}, answers
    assert db_nodes(foo) == joined | {foo.name}
    for node in (hello, third):
        assert serves(node)
        assert db_nodes(node) == (joined | {foo.name} if node.name in joined else {node.name})
