"""A node that is killed in the middle of an operation ends it by itself at its next start: as a member, or as what it was."""

import pytest
from cluster import call, db_nodes, exists, join, serves, slices, until
from lab import wait_until

KILL_HERE = """
    {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{target}'}}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{number := {step}}}, _}}) -> erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""


@pytest.fixture
def installed(pair):
    """Two strangers; easy_cluster is installed on the first only, so that ejabberd starts it."""
    hello, foo = pair
    hello.install_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    return hello, foo


def steps(node, target) -> list[str]:
    plan = call(node, f"plan({{join_as_master, '{target.name}'}})")[1]
    return [step["action"][0] if isinstance(step["action"], tuple) else step["action"] for step in plan["steps"]]


def is_settled(node) -> bool:
    status = call(node, "status()")[1]
    return status["unfinished"] == "undefined" and status["operation"] == "none"


def killed_at(hello, foo, name, moment):
    step = steps(hello, foo).index(name) + 1
    hello.eval_until_it_dies(KILL_HERE.format(target=foo.name, step=step, moment=moment))
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")


MOMENTS = [("stop_application", "done"), ("open_staging", "done"), ("join_schema", "begun"), ("join_schema", "done"),
           ("schema_to_disc", "done"), ("keep_database", "done"), ("delete_logs", "done")]  # fmt: skip


@pytest.mark.parametrize("name, moment", slices(MOMENTS, 0, 3, 6), ids=lambda value: value)
def test_before_the_switch_it_is_what_it_was(installed, name, moment):
    hello, foo = installed
    killed_at(hello, foo, name, moment)
    assert serves(hello) and exists(hello, "alice") and not exists(hello, "bob")
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert [past["outcome"] for past in call(hello, "history()")[1]] == ["undone"]
    with hello.xmpp("alice", "secret"), foo.xmpp("bob", "secret"):
        pass
    foo.stop()
    foo.start()
    assert db_nodes(foo) == {foo.name} and exists(foo, "bob")
    join(hello, foo)


AFTER = [("commit_schema", "done"), ("replace_files", "done"), ("start_mnesia", "done"), ("copy_tables", "begun"),
         ("copy_tables", "done"), ("wait_for_tables", "done"), ("start_application", "begun"), ("start_application", "done"), ("verify", "begun")]  # fmt: skip


@pytest.mark.parametrize("name, moment", slices(AFTER, 0, 3, 8), ids=lambda value: value)
def test_after_the_switch_it_becomes_a_full_member(installed, name, moment):
    hello, foo = installed
    killed_at(hello, foo, name, moment)
    assert serves(hello) and exists(hello, "bob") and not exists(hello, "alice")
    assert hello.members() == foo.members() == {hello.name, foo.name}
    roles = {member["node"]: member["role"] for member in call(hello, "status()")[1]["members"]}
    assert roles[hello.name] == "master", roles
    assert [kept["shared"] for kept in call(hello, "status()")[1]["kept"]] == [False]
    [past] = call(hello, "history()")[1]
    assert past["outcome"] == "done" and past["kept"] > 0 and past["operation"] == f"join_as_master {foo.name}".encode()
    with hello.xmpp("bob", "secret"):
        pass


def test_after_the_switch_it_goes_back_when_the_others_are_gone(installed):
    hello, foo = installed
    step = steps(hello, foo).index("commit_schema") + 1
    hello.eval_until_it_dies(KILL_HERE.format(target=foo.name, step=step, moment="done"))
    foo.kill()
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    assert serves(hello) and exists(hello, "alice") and db_nodes(hello) == {hello.name}
    assert call(hello, "status()")[1]["pending"] == [foo.name]
    foo.start()
    until(foo, "mnesia:system_info(db_nodes) =:= [node()]")
    assert exists(foo, "bob")
    until(hello, "maps:get(pending, easy_cluster_server:state()) =:= []")


ONLINE = """
    {{atomic, ok}} = mnesia:create_table(online, [{{ram_copies, [node()]}}]),
    {{atomic, ok}} = mnesia:create_table(tags, [{{ram_copies, [node()]}}, {{type, bag}}]),
    {{atomic, ok}} = mnesia:create_table(going, [{{ram_copies, [node()]}}]),
    [ok = mnesia:dirty_write({{T, Key, old}}) || T <- [online, tags, going], Key <- [1, 2]], dumped = mnesia:dump_log()"""


def killed_plain(one, two, name, moment="done"):
    """A plain node whose join is killed, and which runs again without easy_cluster."""
    one.load_easy_cluster()
    one.eval(ONLINE.format())
    step = steps(one, two).index(name) + 1
    one.eval_until_it_dies(KILL_HERE.format(target=two.name, step=step, moment=moment))
    one.start()
    until(one, "mnesia:wait_for_tables([online, tags], 10000) =:= ok")


@pytest.mark.parametrize("name", ["open_staging", "delete_logs"])
def test_rows_in_memory_come_back_where_mnesia_has_to_be_stopped_once_more(plain_nodes, name):
    one, two = plain_nodes("one", "two")
    killed_plain(one, two, name)
    one.load_easy_cluster()
    wait_until(lambda: is_settled(one), 30, "the recovery")
    assert sorted(one.eval("ets:tab2list(online)")) == [("online", 1, "old"), ("online", 2, "old")]
    assert len(one.eval("ets:tab2list(going)")) == 2 and db_nodes(one) == {one.name}


@pytest.mark.parametrize("name", ["archive_rows", "stop_mnesia"])
def test_rows_in_memory_come_back_and_newer_ones_stay(plain_nodes, name):
    one, two = plain_nodes("one", "two")
    killed_plain(one, two, name)
    assert one.eval("mnesia:dirty_all_keys(online)") == []
    one.eval("""ok = mnesia:dirty_write({online, 1, newer}), ok = mnesia:dirty_write({tags, 1, newer}),
                {atomic, ok} = mnesia:delete_table(going)""")
    one.load_easy_cluster()
    wait_until(lambda: is_settled(one), 30, "the recovery")
    assert sorted(one.eval("ets:tab2list(online)")) == [("online", 1, "newer"), ("online", 2, "old")]
    assert sorted(one.eval("ets:tab2list(tags)")) == [("tags", 1, "newer"), ("tags", 1, "old"), ("tags", 2, "old")]
    assert [past["outcome"] for past in call(one, "history()")[1]] == ["undone"]
    one.eval("mnesia:dirty_delete(online, 2)")
    one.kill()
    one.start()
    one.load_easy_cluster()
    wait_until(lambda: is_settled(one), 30, "the second start")
    assert one.eval("mnesia:dirty_all_keys(online)") == []


def test_after_the_switch_rows_in_memory_stay_in_the_archive(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    one.eval(ONLINE.format())
    step = steps(one, two).index("replace_files") + 1
    one.eval_until_it_dies(KILL_HERE.format(target=two.name, step=step, moment="done"))
    one.start()
    one.load_easy_cluster()
    wait_until(lambda: is_settled(one), 30, "the recovery")
    assert one.members() == {one.name, two.name}
    assert len(list((one.spool / "easy_cluster" / "archive").rglob("*.rows"))) == 3
