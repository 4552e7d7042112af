"""After a total outage: what `easy-cluster boot-order` tells from the directories is what Mnesia then does."""

import json
import subprocess
from itertools import permutations

import pytest
from cluster import slices, until
from lab import wait_until
from lab.node import REPOSITORY

NAMES = ("one", "two", "three")
#: Every kind of table: who holds it, and how.
TABLES = """
    Ns = [A, B, C] = {nodes},
    [{{atomic, ok}} = mnesia:create_table(T, O) || {{T, O}} <- [
        {{users, [{{disc_copies, Ns}}]}}, {{log, [{{disc_only_copies, [A, B]}}]}}, {{online, [{{ram_copies, Ns}}]}},
        {{own, [{{disc_copies, Ns}}, {{local_content, true}}]}}, {{mixed, [{{disc_copies, [B]}}, {{ram_copies, [A, C]}}]}},
        {{shared, [{{disc_copies, [A, C]}}]}}, {{only, [{{disc_copies, [C]}}]}}]], ok"""
SHARED = ("users", "log", "mixed", "shared")


@pytest.fixture
def program():
    """`easy-cluster`, as the tests of the core build it."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "easy_cluster_cli"], cwd=REPOSITORY, check=True)
    return REPOSITORY / "target" / "debug" / "easy-cluster"


def form(one, *others):
    """One cluster of plain nodes, each with its schema on disc."""
    for node in others:
        node.eval("stopped = mnesia:stop(), ok = mnesia:delete_schema([node()]), ok = mnesia:start()")
        assert one.eval(f"mnesia:change_config(extra_db_nodes, ['{node.name}'])") == ("ok", [node.name])
        copied = one.eval(f"mnesia:change_table_copy_type(schema, '{node.name}', disc_copies)")
        assert copied == ("atomic", "ok"), copied


def quoted(nodes) -> str:
    return "[" + ", ".join(f"'{node.name}'" for node in nodes) + "]"


@pytest.fixture
def trio(plain_nodes):
    nodes = plain_nodes(*NAMES)
    form(*nodes)
    assert nodes[0].eval(TABLES.format(nodes=quoted(nodes))) == "ok"
    return nodes


def write(node, value: int):
    """A row in each table that has a copy left, and on every disc."""
    tables = ", ".join(SHARED)
    node.eval(f"""[ok = mnesia:sync_dirty(fun() -> mnesia:write({{T, row, {value}}}) end)
                   || T <- [{tables}], mnesia:table_info(T, where_to_write) =/= []]""")
    for member in node.members():
        node.eval(f"dumped = rpc:call('{member}', mnesia, dump_log, [])")


def order(program, *nodes) -> dict:
    """The report of `boot-order` about the directories of these nodes."""
    report = subprocess.run([program, "boot-order", "--json", *[node.spool for node in nodes]], capture_output=True, text=True)
    assert report.returncode in (0, 1, 3), report.stderr
    return json.loads(report.stdout) | {"status": report.returncode}


def codes(report) -> list[str]:
    return [finding["code"] for finding in report["findings"]]


def first_to_start(report) -> list[str]:
    return [start["node"] for start in report["order"]["start"]]


def not_loaded(node) -> set[str]:
    return set(node.eval("[T || T <- mnesia:system_info(local_tables), mnesia:table_info(T, where_to_read) =:= nowhere]"))


def waits_as_told(node, told: set[str]):
    """Everything else is loaded, and these do not follow."""
    wait_until(lambda: not_loaded(node) == told, 20, f"{sorted(told)} to be all that waits on {node.name}, not {sorted(not_loaded(node))}")
    if told:
        timeout = node.eval(f"mnesia:wait_for_tables([{', '.join(told)}], 700)")
        assert timeout[0] == "timeout" and set(timeout[1]) == told, timeout
    assert not_loaded(node) == told


def alone(report, node) -> set[str]:
    [start] = [start for start in report["order"]["start"] if start["node"] == node.name]
    return {table for wait in start["waits"] for table in wait["tables"]}


def together(report, node) -> set[str]:
    return set(report["order"]["waiting"].get(node.name, []))


def rows(node, table: str) -> list:
    return [row[2] for row in node.eval(f"mnesia:dirty_read({table}, row)")]


@pytest.mark.parametrize("stopped", slices([(order,) for order in permutations(range(3))], 0, 4))
def test_stopped_one_after_another(trio, program, stopped):
    nodes = [trio[number] for number in stopped]
    first, second, last = nodes
    for number, node in enumerate(nodes):
        write(node, number)
        before = node.members() - {node.name}
        node.stop()
        for other in nodes:
            if other.name in before:
                until(other, f"not lists:member('{node.name}', mnesia:system_info(running_db_nodes))")

    report = order(program, *trio)
    assert first_to_start(report) == [node.name for node in reversed(nodes)]
    assert report["status"] == 0 and codes(report) == []
    of_two = order(program, first, second)
    assert "last_node_missing" in codes(of_two)

    # The wrong way round, as one would do it who does not know.
    first.start()
    waits_as_told(first, alone(report, first))
    assert alone(order(program, first), first) == alone(report, first)
    second.start()
    waits_as_told(first, together(of_two, first))
    waits_as_told(second, together(of_two, second))
    last.start()
    for node in nodes:
        waits_as_told(node, set())
    assert rows(first, "users") == rows(second, "users") == rows(last, "users") == [2]
    holders = {"log": {0, 1}, "shared": {0, 2}, "mixed": {0, 1, 2}}
    for table, numbers in holders.items():
        # mixed is in memory on all but one.
        newest = max(stopped.index(number) for number in ({1} if table == "mixed" else numbers))
        assert rows(trio[0], table) == [newest], table


def test_all_killed_at_once(trio, program):
    write(trio[0], 0)
    for node in trio:
        node.signal(19)  # SIGSTOP: none sees another one go
    for node in trio:
        node.kill()
    report = order(program, *trio)
    assert report["status"] == 3 and codes(report) == ["nobody_was_last"]
    assert report["findings"][0]["details"]["from"] == min(node.name for node in trio[:2])
    one, two, three = trio
    three.start()
    waits_as_told(three, alone(report, three))
    two.start()
    of_two = order(program, two, three)
    waits_as_told(three, together(of_two, three))
    one.start()
    for node in trio:
        waits_as_told(node, set())
        assert rows(node, "users") == [0]


def test_a_dead_master_node_keeps_even_the_last_one_waiting(trio, program):
    one, two, three = trio
    three.eval(f"ok = mnesia:set_master_nodes(['{one.name}'])")
    for node in trio:
        node.stop()
    report = order(program, two, three)
    assert "dead_master_nodes" in codes(report) and report["status"] == 1
    [told] = [finding for finding in report["findings"] if finding["code"] == "dead_master_nodes"]
    assert told["details"]["node"] == three.name and told["details"]["masters"] == [one.name]
    three.start()
    waits_as_told(three, alone(report, three))
    assert "users" in not_loaded(three)
    two.start()
    waits_as_told(three, together(report, three))
    # Cleared, it is the newest, and nothing loads by that alone.
    three.eval("ok = mnesia:set_master_nodes([])")
    assert three.eval("mnesia:wait_for_tables([users], 700)") == ("timeout", ["users"])
    assert three.eval("mnesia:force_load_table(users)") == "yes"
    until(two, "ok =:= mnesia:wait_for_tables([users], 1000)")


def test_both_sides_of_a_cut_have_outlived_each_other(trio, program):
    one, two, three = trio
    three.stop()
    one.eval(f"true = erlang:set_cookie('{two.name}', other), true = erlang:disconnect_node('{two.name}')")
    until(one, f"mnesia:system_info(running_db_nodes) =:= ['{one.name}']")
    until(two, f"mnesia:system_info(running_db_nodes) =:= ['{two.name}']")
    for node in (one, two):
        node.stop()
    report = order(program, *trio)
    assert "both_outlived" in codes(report) and report["status"] == 1


def test_a_torn_log_and_a_missing_one_are_told(trio, program):
    one, two, _ = trio
    for node in trio:
        node.stop()
    latest = two.spool / "LATEST.LOG"
    latest.write_bytes(latest.read_bytes()[:-3])
    assert "mnesia_log_damaged" in codes(order(program, one, two))
    latest.write_bytes(b"something else")
    report = order(program, one, two)
    assert "mnesia_log_damaged" in codes(report) and len(report["order"]["start"]) == 2
    (one.spool / "schema.DAT").unlink()
    assert "not_a_database" in codes(order(program, one, two))
