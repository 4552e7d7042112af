"""What was done last is taken back: the node, its members and its rows are what they were, and what was written since is kept."""

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, slices
from lab import wait_until
from test_alone import KILL_HERE, is_settled, steps

FOO = "'ejabberd@foo.bar'"


def kept(node) -> list[str]:
    return [kept["id"].decode().rsplit("-", 1)[1] for kept in call(node, "status()")[1]["kept"]]


def rows(node, table: str) -> list:
    return sorted(node.eval(f"mnesia:dirty_all_keys({table})"))


@pytest.fixture
def joined(pair):
    """A full replica of foo.bar that was a node with an account of its own."""
    hello, foo = pair
    hello.load_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    join(hello, foo)
    return hello, foo


def test_a_join_is_taken_back(joined):
    hello, foo = joined
    hello.register("late", "secret")
    assert call(hello, "rollback()") == "ok"
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert serves(hello) and exists(hello, "alice") and not exists(hello, "bob") and not exists(hello, "late")
    assert exists(foo, "bob") and exists(foo, "late") and not exists(foo, "alice")
    assert kept(hello) == ["join_as_master", "rollback"]
    with hello.xmpp("alice", "secret"), foo.xmpp("bob", "secret"):
        pass
    for node in (foo, hello):
        node.stop()
        node.start()
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert exists(hello, "alice") and exists(foo, "late")


def test_the_rollback_of_a_join_is_taken_back_by_joining_again(joined):
    hello, foo = joined
    assert call(hello, "rollback()") == "ok"
    hello.register("meanwhile", "secret")
    assert call(hello, "rollback(#{dry_run => true})")[1]["operation"] == ("join_as_master", foo.name)
    assert call(hello, "rollback()") == "ok"
    assert hello.members() == foo.members() == {hello.name, foo.name}
    assert exists(hello, "bob") and not exists(hello, "meanwhile")
    assert call(hello, "rollback()") == "ok"
    assert db_nodes(foo) == {foo.name} and exists(hello, "alice") and exists(hello, "meanwhile")


def test_a_reset_is_taken_back_and_that_again(solo):
    solo.load_easy_cluster()
    solo.register("alice", "secret")
    assert call(solo, "reset()") == "ok"
    solo.register("bob", "secret")
    assert call(solo, "rollback()") == "ok"
    assert serves(solo) and exists(solo, "alice") and not exists(solo, "bob")
    assert call(solo, "rollback()") == "ok"
    assert serves(solo) and exists(solo, "bob") and not exists(solo, "alice")


def test_copies_that_were_made_are_deleted_unless_they_are_the_only_ones(pair):
    hello, foo = pair
    hello.load_easy_cluster()
    foo.eval("[begin {atomic, ok} = mnesia:create_table(T, [{disc_copies, [node()]}]), mnesia:dirty_write({T, 1, 1}) end"
             " || T <- [stays, elsewhere]]")  # fmt: skip
    join(hello, foo, "join")
    before = {table: hello.eval(f"mnesia:table_info({table}, storage_type)") for table in ("stays", "elsewhere", "passwd")}
    assert call(hello, f"sync_node({FOO})") == "ok"
    assert hello.eval("mnesia:table_info(elsewhere, storage_type)") == "disc_copies"
    foo.eval("{atomic, ok} = mnesia:del_table_copy(stays, node())")
    assert code(call(hello, "rollback()")) == "only_copy_here"
    foo.eval("{atomic, ok} = mnesia:add_table_copy(stays, node(), disc_copies)")
    assert call(hello, "rollback()") == "ok"
    assert {table: hello.eval(f"mnesia:table_info({table}, storage_type)") for table in before} == before
    assert rows(hello, "elsewhere") == [1] and hello.members() == {hello.name, foo.name}
    assert code(call(hello, "rollback()")) == "nothing_to_roll_back"


def test_what_cannot_be_taken_back_is_refused(joined):
    hello, foo = joined
    [folder] = (hello.spool / "easy_cluster" / "kept").iterdir()
    data = (folder / "passwd.DAT").read_bytes()
    (folder / "passwd.DAT").write_bytes(data[:-1])
    damaged = call(hello, "rollback()")
    assert code(damaged) == "kept_database_damaged" and details(damaged)["path"].endswith(b"passwd.DAT")
    (folder / "passwd.DAT").unlink()
    assert code(call(hello, "rollback()")) == "kept_database_damaged"
    hello.eval(f'ok = easy_cluster_directory:drop_kept(mnesia:system_info(directory), <<"{folder.name}">>)')
    assert code(call(hello, "rollback()")) == "kept_database_gone"
    foo.kill()
    assert code(call(hello, "rollback()")) == "kept_database_gone"
    assert db_nodes(hello) == {hello.name, foo.name} and exists(hello, "bob")


def test_a_member_that_is_down_would_bring_this_node_back(joined):
    hello, foo = joined
    foo.kill()
    assert code(call(hello, "rollback()")) == "member_down"
    foo.start()


def test_rows_that_were_merged_stay_and_that_is_agreed_to(pair):
    hello, foo = pair
    hello.load_easy_cluster()
    hello.register("alice", "secret")
    join(hello, foo, options="#{local_rows => merge}")
    assert code(call(hello, "rollback()")) == "merged_rows_stay"
    assert call(hello, "rollback(#{yes => true})") == "ok"
    assert exists(hello, "alice") and exists(foo, "alice") and db_nodes(foo) == {foo.name}


def test_a_kept_database_that_does_not_start_is_seen_before_anything_is_stopped(joined):
    hello, foo = joined
    [folder] = (hello.spool / "easy_cluster" / "kept").iterdir()
    schema = folder / "schema.DAT"
    schema.write_bytes(b"\0" * schema.stat().st_size)
    answer = call(hello, "rollback()")
    assert code(answer) == "step_failed" and details(answer)["step"] == b"build_database", answer
    assert b"this node is what it was" in details(answer)["outcome"]
    assert hello.members() == foo.members() == {hello.name, foo.name} and serves(hello)
    assert not list((hello.spool / "easy_cluster" / "staging").glob("*/*"))


def test_tables_and_rows_in_memory_come_back_and_what_only_this_node_has_goes_to_a_member(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    one.eval("{atomic, ok} = mnesia:create_table(online, [{ram_copies, [node()]}]), mnesia:dirty_write({online, mine, 1})")
    two.eval("{atomic, ok} = mnesia:create_table(shared, [{disc_copies, [node()]}]), mnesia:dirty_write({shared, 1, 1})")
    join(one, two)
    assert one.eval("lists:member(online, mnesia:system_info(tables))") is False
    one.eval("{atomic, ok} = mnesia:create_table(new, [{disc_only_copies, [node()]}]), mnesia:dirty_write({new, 1, 1})")
    assert call(one, "rollback()") == "ok"
    assert db_nodes(one) == {one.name} and db_nodes(two) == {two.name}
    assert rows(one, "online") == ["mine"] and two.eval("mnesia:table_info(new, storage_type)") == "disc_only_copies"
    assert rows(two, "new") == rows(two, "shared") == [1]


STEPS = ["connect", "build_database", "drain", "stop_application", "dump_log", "stop_mnesia", "keep_member", "delete_logs",
         "commit_schema", "replace_files", "forget_here", "reopen_mnesia", "clear_caches", "start_application",
         "verify"]  # fmt: skip
SWITCH = STEPS.index("commit_schema")
MOMENTS = [("build_database", "begun"), ("drain", "done"), ("stop_mnesia", "done"), ("delete_logs", "done"),
           ("commit_schema", "done"), ("replace_files", "done"), ("forget_here", "begun"), ("forget_here", "done"),
           ("reopen_mnesia", "done"), ("verify", "begun")]  # fmt: skip


@pytest.fixture
def installed(pair):
    """As `joined`, with easy_cluster installed, so that ejabberd starts it."""
    hello, foo = pair
    hello.install_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    join(hello, foo)
    return hello, foo


@pytest.mark.parametrize("name, moment", slices(MOMENTS, 1, 5, 8), ids=lambda value: value)
def test_a_kill_ends_in_what_was_or_in_what_was_wanted(installed, name, moment):
    hello, foo = installed
    assert steps(hello, "rollback") == STEPS
    hello.eval_until_it_dies(KILL_HERE.format(operation="rollback", step=STEPS.index(name) + 1, moment=moment))
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    outcome = [past["outcome"] for past in call(hello, "history()")[1]][-1]
    assert serves(hello) and exists(foo, "bob")
    if (STEPS.index(name), moment) >= (SWITCH, "done"):
        assert outcome == "done" and db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
        assert exists(hello, "alice") and not exists(hello, "bob")
    else:
        assert outcome == "undone" and hello.members() == foo.members() == {hello.name, foo.name}
        assert exists(hello, "bob")
        assert call(hello, "rollback()") == "ok"
    foo.stop()
    foo.start()
    assert db_nodes(foo) == {foo.name} and exists(foo, "bob")
