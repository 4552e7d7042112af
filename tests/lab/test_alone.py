"""Another database for a node, on which it goes on alone: the old one is kept, and a kill leaves the one or the other."""

import pytest
from cluster import call, code, db_nodes, exists, join, serves, slices
from lab import wait_until

KILL_HERE = """
    {{ok, Plan}} = easy_cluster_api:plan({operation}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{number := {step}}}, _}}) -> erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""


def steps(node, operation: str) -> list[str]:
    plan = call(node, f"plan({operation})")[1]
    return [step["action"][0] if isinstance(step["action"], tuple) else step["action"] for step in plan["steps"]]


def is_settled(node) -> bool:
    status = call(node, "status()")[1]
    return status["unfinished"] == "undefined" and status["operation"] == "none"


def killed_at(node, operation: str, name: str, moment: str):
    step = steps(node, operation).index(name) + 1
    node.eval_until_it_dies(KILL_HERE.format(operation=operation, step=step, moment=moment))
    node.start()
    wait_until(lambda: is_settled(node), 30, "the recovery")


def test_reset_goes_on_with_an_empty_database_and_keeps_the_old_one(solo):
    solo.load_easy_cluster()
    solo.register("alice", "secret")
    assert call(solo, "reset()") == "ok"
    assert serves(solo) and not exists(solo, "alice") and db_nodes(solo) == {solo.name}
    [kept] = call(solo, "status()")[1]["kept"]
    assert kept["shared"] is False and kept["id"].endswith(b"-reset")
    solo.register("bob", "secret")
    with solo.xmpp("bob", "secret"):
        pass
    solo.stop()
    solo.start()
    assert exists(solo, "bob") and not exists(solo, "alice")


def test_a_member_does_not_reset(pair):
    hello, foo = pair
    hello.load_easy_cluster()
    join(hello, foo)
    assert code(call(hello, "reset()")) == "still_a_member"
    assert hello.members() == foo.members() == {hello.name, foo.name}


@pytest.mark.parametrize("name", ["stop_mnesia", "build_database", "delete_logs"])
def test_a_kill_before_the_switch_leaves_what_was(solo, name):
    solo.install_easy_cluster()
    solo.register("alice", "secret")
    killed_at(solo, "reset", name, "done")
    assert serves(solo) and exists(solo, "alice")
    assert [past["outcome"] for past in call(solo, "history()")[1]] == ["undone"]


@pytest.mark.parametrize("name", slices(["commit_schema", "replace_files", "reopen_mnesia", "verify"], 0, 2))
def test_a_kill_after_the_switch_leaves_what_was_wanted(solo, name):
    solo.install_easy_cluster()
    solo.register("alice", "secret")
    killed_at(solo, "reset", name, "done" if name != "verify" else "begun")
    assert serves(solo) and not exists(solo, "alice")
    assert [past["outcome"] for past in call(solo, "history()")[1]] == ["done"]
