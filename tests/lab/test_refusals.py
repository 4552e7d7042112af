"""A cluster, or two databases, that forbid a join: each is told with its code, evidence and fix, and nothing changes."""

import shutil
import tempfile
import threading

import pytest
from cluster import (
    call,
    code,
    db_nodes,
    details,
    join,
    serves,
    settled_checksums,
    until,
)
from file_systems import read_only, small_disk
from refusals import master, plain, refused

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


# What would not survive


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


# One at a time, and only what was shown


def test_a_plan_whose_cluster_has_changed(hello, pair):
    foo = pair[1]
    hello.eval(f"{{ok, Plan}} = easy_cluster_api:plan({{join, '{foo.name}'}}), persistent_term:put(plan, Plan)")
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
