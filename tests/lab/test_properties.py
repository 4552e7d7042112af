"""Tables with properties for which Mnesia refuses what others are open to, and dets tables beside Mnesia's."""

import re

import pytest
from cluster import call, code, db_nodes, join, until
from lab import wait_until

#: What no operation changes about a table.
PROPERTIES = """
    [{{Item, mnesia:table_info({table}, Item)}} || Item <- [access_mode, majority, load_order, index, snmp, type, attributes]]"""


def fix(node, error: str) -> str:
    """What the report of an error says that helps."""
    return re.search(r"fix +(.*)", node.text(f"easy_cluster:format_error({error})")).group(1)


def forgets(node, other) -> None:
    other.kill()
    until(node, f"not lists:member('{other.name}', mnesia:system_info(running_db_nodes))")
    assert call(node, f"forget('{other.name}', #{{quorum => false}})") == "ok"


def properties(node, table: str):
    return node.printed(PROPERTIES.format(table=table))


@pytest.fixture
def two(plain_nodes):
    """Two plain nodes, strangers to each other, with easy_cluster."""
    one, two = plain_nodes("one", "two")
    for node in (one, two):
        node.load_easy_cluster()
    return one, two


def test_a_majority_that_would_go_is_told_before_anything_stops_and_a_dead_one_can_be_forgotten(two):
    one, two = two
    one.eval("[begin {atomic, ok} = mnesia:create_table(T, [{disc_copies, [node()]}]), mnesia:dirty_write({T, 1, mine}) end || "
             "T <- [m, t]], {atomic, ok} = mnesia:change_table_majority(m, true)")  # fmt: skip
    refused = f"R = easy_cluster:join_as_master('{one.name}'), {{error, {{majority_blocks, _}}}} = R, R"
    assert "mnesia:change_table_majority(m, false)" in two.text(f"easy_cluster:format_error(begin {refused} end)")
    assert db_nodes(two) == {two.name} and call(two, "history()") == ("ok", [])

    one.eval("{atomic, ok} = mnesia:change_table_majority(m, false)")
    join(two, one)
    one.eval("{atomic, ok} = mnesia:change_table_majority(m, true)")
    journals = call(two, "history()")
    for operation in ("leave()", "leave(#{data => empty})", "rollback()"):
        assert code(call(two, operation)) == "majority_blocks"
    assert call(two, "history()") == journals
    assert one.members() == two.members() == {one.name, two.name}

    forgets(one, two)
    assert db_nodes(one) == {one.name}
    assert one.eval("{mnesia:table_info(m, disc_copies), mnesia:table_info(m, majority)}") == ([one.name], True)
    assert one.eval("{atomic, ok} = mnesia:transaction(fun() -> mnesia:write({m, 2, after_it}) end), mnesia:table_info(m, size)") == 2

    two.launch()
    wait_until(lambda: "Bad cookie in table definition easy_cluster_fence" in two.log_tail(400), 30, "two to be turned away")
    assert db_nodes(one) == {one.name}
