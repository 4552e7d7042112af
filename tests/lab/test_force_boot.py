"""After a total outage, when the node that was last is gone for good: the others are told what waits and for whom, and go on."""

import pytest
from cluster import call, code, details, exists, join, replicas_of, serves, until
from lab import wait_until
from test_boot_order import form, not_loaded, quoted, rows

NAMES = ("one", "two", "three")


def problems(node) -> dict:
    answer = call(node, "doctor()")
    assert answer[0] == "ok", answer
    return dict(answer[1]["problems"])


@pytest.fixture
def stopped(plain_nodes):
    """Three nodes that were stopped one after another; each wrote a last row that the earlier ones lack."""
    nodes = plain_nodes(*NAMES)
    form(*nodes)
    created = nodes[0].eval(f"mnesia:create_table(users, [{{disc_copies, {quoted(nodes)}}}])")
    assert created == ("atomic", "ok"), created
    for number, node in enumerate(nodes):
        node.eval(f"ok = mnesia:dirty_write({{users, row, {number}}})")
        for member in node.members():
            node.eval(f"dumped = rpc:call('{member}', mnesia, dump_log, [])")
        node.stop()
        for other in nodes[number + 1 :]:
            until(other, f"not lists:member('{node.name}', mnesia:system_info(running_db_nodes))")
    return nodes


def start(*nodes):
    for node in nodes:
        node.start()
        node.load_easy_cluster()
        wait_until(lambda node=node: not_loaded(node) == {"users"}, 10, f"{node.name} to wait")


def test_it_is_told_what_waits_and_for_whom(stopped):
    one, two, three = stopped
    start(one)
    told = problems(one)["tables_wait"]
    assert told["tables"] == ["users"] and set(told["nodes"]) == {two.name, three.name} and told["here"] == one.name
    start(two)
    told = problems(two)["tables_wait"]
    assert told["nodes"] == [three.name] and b"does not answer" in told["seen"], told
    three.start()
    for node in stopped:
        until(node, "mnesia:wait_for_tables([users], 5000) =:= ok")
    assert "tables_wait" not in problems(one) and "tables_wait" not in problems(two)
    assert code(call(two, "force_boot(#{yes => true})")) == "nothing_waits"


def test_who_has_the_newest_of_what_is_left_goes_on_and_the_others_follow(stopped):
    one, two, three = stopped
    start(one, two)
    refused = call(one, "force_boot(#{yes => true})")
    assert code(refused) == "awaited_is_there" and details(refused)["node"] == two.name, refused
    asked = call(two, "force_boot()")
    assert code(asked) == "newer_rows_given_up" and details(asked)["nodes"] == [three.name], asked
    assert call(two, "force_boot(#{dry_run => true})")[0] == "ok"
    assert not_loaded(two) == {"users"}
    assert call(two, "force_boot(#{yes => true})") == "ok"
    for node in (one, two):
        until(node, "mnesia:wait_for_tables([users], 5000) =:= ok")
        assert rows(node, "users") == [1]
    [past] = call(two, "history()")[1]
    assert past["operation"] == b"force_boot" and past["outcome"] == "done"


def test_a_node_that_is_there_is_not_gone_for_good(stopped):
    one, two, three = stopped
    start(one)
    # Its VM runs, and Mnesia does not.
    process = two.host.popen(two.host.command("erl", "-name", two.name, "-noinput", *two.host.ground.erl_options(two.host),
                                              HOME=str(two.folder), ERL_CRASH_DUMP_BYTES="0"))  # fmt: skip
    try:
        until(one, f"net_adm:ping('{two.name}') =:= pong")
        refused = call(one, "force_boot(#{yes => true})")
        assert code(refused) == "awaited_is_there" and b"Mnesia does not run" in details(refused)["found"], refused
    finally:
        process.kill_all()
    wait_until(lambda: "two" not in two.host.registered(), 10, "the VM to end")
    assert call(one, "force_boot(#{yes => true})") == "ok"
    assert rows(one, "users") == [0]


def test_a_dead_master_node_is_told_and_overcome(stopped):
    one, two, three = stopped
    three.start()
    three.load_easy_cluster()
    three.eval(f"ok = mnesia:set_master_nodes(['{one.name}'])")
    three.stop()
    start(three)
    told = problems(three)["dead_master_nodes"]
    assert told == {"node": three.name, "masters": [one.name], "tables": ["users"]}
    # Nothing newer is anywhere: it need not be agreed to.
    assert call(three, "force_boot()") == "ok"
    assert rows(three, "users") == [2]


def last_one_gone(hello, foo):
    """hello is stopped, foo gets one more account and is stopped, hello starts and waits."""
    hello.stop()
    until(foo, f"not lists:member('{hello.name}', mnesia:system_info(running_db_nodes))")
    foo.register("late", "secret")
    foo.eval("dumped = mnesia:dump_log()")
    foo.stop()
    hello.launch()
    until(hello, "mnesia:system_info(is_running) =:= yes andalso mnesia:table_info(passwd, where_to_read) =:= nowhere")


@pytest.mark.releases
@pytest.mark.parametrize("release", ["24.12", "26.07"])
def test_newer_releases_wait_and_go_on_likewise(nodes_of, release):
    hello, foo = nodes_of(release, release)
    hello.load_easy_cluster()
    foo.register("alice", "secret")
    join(hello, foo)
    last_one_gone(hello, foo)
    hello.load_easy_cluster()
    told = problems(hello)["tables_wait"]
    assert "passwd" in told["tables"] and told["nodes"] == [foo.name], told
    assert call(hello, "force_boot(#{yes => true})") == "ok"
    wait_until(lambda: serves(hello), 40, "ejabberd to go on by itself")
    assert exists(hello, "alice") and not exists(hello, "late")


@pytest.fixture
def replicas(pair):
    """Two ejabberd nodes with the same tables and easy_cluster in both."""
    return replicas_of(pair, install=True)


def test_ejabberd_goes_on_by_itself_and_who_comes_back_keeps_what_is_replaced(replicas):
    hello, foo = replicas
    last_one_gone(hello, foo)
    told = problems(hello)
    assert "passwd" in told["tables_wait"]["tables"] and told["tables_wait"]["nodes"] == [foo.name], told
    assert not hello.host.accepts(hello.c2s_port)
    assert code(call(hello, "force_boot()")) == "newer_rows_given_up"
    said = hello.shell("easy_cluster:force_boot(#{yes => true}).")
    assert "done: 2 steps" in said, said
    wait_until(lambda: serves(hello), 30, "ejabberd to go on by itself")
    assert exists(hello, "alice") and not exists(hello, "late")
    with hello.xmpp("alice", "secret"):
        pass

    foo.start()
    assert foo.members() == hello.members() == {hello.name, foo.name}
    assert exists(foo, "alice") and not exists(foo, "late")
    [kept] = [kept for kept in call(foo, "status()")[1]["kept"] if kept["id"].endswith(b"-overridden")]
    folder = foo.spool / "easy_cluster" / "kept" / kept["id"].decode()
    assert any(b"late" in path.read_bytes() for path in folder.iterdir() if path.name.startswith("passwd"))
    past = [past for past in call(foo, "history()")[1] if past["operation"].startswith(b"overridden")]
    assert [past["outcome"] for past in past] == ["done"]
    assert "database_overridden" in foo.log()

    # Once more, with nothing to keep.
    foo.stop()
    foo.start()
    assert len([kept for kept in call(foo, "status()")[1]["kept"] if kept["id"].endswith(b"-overridden")]) == 1
