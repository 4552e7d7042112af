"""A disk that is full, or cannot be written, at any moment: an error with a code, nothing lost, and a way on once there is room."""

import contextlib
import subprocess

import pytest
from cluster import code, db_nodes, exists, join, serves, slices
from file_systems import read_only, small_disk
from lab import ErlangError, wait_until
from lab.control import EvalTimeout, NodeDown
from test_recovery import KILL_HERE, is_settled, steps


@pytest.fixture
def on_small_disk(pair):
    """Two strangers, the first with its database on a small file system of its own."""
    hello, foo = pair
    hello.install_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    hello.stop()
    with small_disk(hello.spool, megabytes=48):
        hello.start()
        yield hello, foo
        hello.destroy()


def fill(folder):
    """Leaves no byte free."""
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def make_room(folder):
    (folder / "filler").unlink()


FILL_AT = """
    {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{target}'}}),
    Filler = filename:join(mnesia:system_info(directory), "filler"),
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{number := {step}}}, _}}) ->
            {{ok, File}} = file:open(Filler, [write, raw]),
            Write = fun F(Data) -> case file:write(File, Data) of ok -> F(Data); {{error, enospc}} -> ok end end,
            [Write(<<0:(Size * 8)>>) || Size <- [1000000, 4096, 1]], ok = file:close(File);
        (_Event) -> ok
    end)"""


def test_full_between_plan_and_commit(on_small_disk):
    hello, foo = on_small_disk
    plan = f"{{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{foo.name}'}}), persistent_term:put(plan, Plan)"
    hello.eval(plan, timeout=30)
    fill(hello.spool)
    answer = hello.eval("easy_cluster_api:commit(persistent_term:get(plan))", timeout=60)
    assert code(answer) in ("not_enough_disk", "journal_write", "directory_not_writable"), answer
    make_room(hello.spool)
    assert serves(hello) and exists(hello, "alice") and db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    join(hello, foo)
    assert exists(hello, "bob")


MOMENTS = ["stop_application", "open_staging", "schema_to_disc", "keep_database", "delete_logs", "commit_schema", "replace_files",
           "start_mnesia"]  # fmt: skip


@pytest.mark.parametrize("name", slices(MOMENTS, 2, 7))
def test_full_in_the_middle(on_small_disk, name):
    hello, foo = on_small_disk
    step = steps(hello, foo).index(name) + 1
    try:
        answer = hello.eval(FILL_AT.format(target=foo.name, step=step, moment="done"), timeout=90)
    except (NodeDown, ErlangError) as ended:  # a permanent Mnesia that cannot write its log ends its VM
        assert not isinstance(ended, EvalTimeout), ended
        hello.wait_until_dead(60)
    else:
        assert answer[0] == "ok" or code(answer) == "step_failed", answer
        hello.kill()
    make_room(hello.spool)
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    assert serves(hello)
    if db_nodes(hello) == {hello.name}:
        assert exists(hello, "alice") and not exists(hello, "bob") and db_nodes(foo) == {foo.name}
        join(hello, foo)
    assert exists(hello, "bob") and hello.members() == foo.members() == {hello.name, foo.name}


@pytest.mark.parametrize("name", ["delete_logs", "commit_schema"])
@pytest.mark.parametrize("how", ["full", "read_only"])
def test_a_recovery_without_a_disk_to_write_waits_for_it(on_small_disk, how, name):
    hello, foo = on_small_disk
    step = steps(hello, foo).index(name) + 1
    hello.eval_until_it_dies(KILL_HERE.format(target=foo.name, step=step, moment="done"))
    if how == "full":
        fill(hello.spool)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(hello.spool)], check=True)
    hello.launch()

    def ended_or_up():
        try:
            return hello._process.poll() is not None or hello.is_up() and serves(hello)
        except NodeDown:  # it ends at this moment
            return False

    wait_until(ended_or_up, 60, "ejabberd to give up, or to start")
    if hello._process.poll() is None:  # what had to be done needed no room
        hello.eval_until_it_dies("erlang:halt(137, [{flush, false}])")
    else:
        hello.wait_until_dead()
    if how == "full":
        make_room(hello.spool)
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(hello.spool)], check=True)
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    assert serves(hello)
    if name == "delete_logs":
        assert exists(hello, "alice") and db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    else:
        assert exists(hello, "bob") and hello.members() == foo.members() == {hello.name, foo.name}


def test_read_only_during_an_operation(on_small_disk):
    hello, foo = on_small_disk
    plan = f"{{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{foo.name}'}}), persistent_term:put(plan, Plan)"
    hello.eval(plan, timeout=30)
    with read_only(hello.spool):
        answer = hello.eval("easy_cluster_api:commit(persistent_term:get(plan))", timeout=60)
    assert code(answer) in ("directory_not_writable", "not_usable", "journal_write"), answer
    assert serves(hello) and exists(hello, "alice")
    join(hello, foo)
