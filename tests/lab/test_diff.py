"""`easy_cluster:diff()`: which rows of which copies are not the same, on real ejabberd nodes."""

import signal

import pytest
from cluster import call, replicas_of
from lab import wait_until


@pytest.fixture
def replicas(pair):
    """Two ejabberd nodes with the same tables and easy_cluster in both."""
    return replicas_of(pair)


def differences(answer) -> dict:
    """The tables that are not the same everywhere."""
    ok, found = answer
    assert ok == "ok"
    compared = found["compared"]
    failed = [each for each in compared if "reason" in each]
    assert not failed, failed
    return {each["table"]: each for each in compared if each["differing"] or each["unsettled"] or each["left_out"] or each["more"]}


def test_copies_of_a_cluster_are_the_same(replicas):
    hello, foo = replicas
    compared = call(hello, "diff()")[1]["compared"]
    assert {"passwd", "roster", "muc_room"} <= {each["table"] for each in compared}
    assert [each["rows"] for each in compared if each["table"] == "passwd"] == [{hello.name: 1, foo.name: 1}]
    assert differences(call(foo, f"diff('{hello.name}')")) == {}


#: One table of each kind.
STOCKS = {f"{kind}_{storage}": (kind, storage) for kind in ("set", "bag") for storage in ("ram_copies", "disc_copies", "disc_only_copies")}
STOCKS["ordered_set_ram_copies"] = ("ordered_set", "ram_copies")


def stocked(hello, foo):
    for name, (kind, storage) in STOCKS.items():
        hello.eval(f"{{atomic, ok}} = mnesia:create_table({name}, [{{{storage}, ['{hello.name}', '{foo.name}']}}, {{type, {kind}}}])")
        hello.eval(f"[ok = mnesia:dirty_write({name}, {{{name}, I, I}}) || I <- lists:seq(1, 3000)], ok")


def test_rows_that_differ_are_told_by_key(replicas):
    hello, foo = replicas
    stocked(hello, foo)
    assert differences(call(hello, "diff()")) == {}
    for name, (_kind, storage) in STOCKS.items():
        module = "dets" if storage == "disc_only_copies" else "ets"
        foo.eval(f"{module}:delete({name}, 17), {module}:insert({name}, {{{name}, foreign, \"only here\"}})")
        foo.eval(f"{module}:delete({name}, 2711), {module}:insert({name}, {{{name}, 2711, changed}})")
    found = differences(call(hello, "diff()"))
    assert set(found) == set(STOCKS)
    for name, table in found.items():
        by_key = {each["key"]: each["on"] for each in table["differing"]}
        assert set(by_key) == {17, "foreign", 2711}, name
        assert by_key[17][foo.name] == "absent" and by_key["foreign"][hello.name] == "absent"
        assert by_key[2711][foo.name] != by_key[2711][hello.name]
    words = hello.shell("easy_cluster:diff().")
    assert "set_disc_copies: 3 keys differ (3000 on" in words and f"17  only on {hello.name}, missing on {foo.name}" in words


def test_what_is_written_meanwhile_is_no_difference(replicas):
    hello, foo = replicas
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(busy, [{{disc_copies, ['{hello.name}', '{foo.name}']}}])")
    hello.eval("[ok = mnesia:dirty_write({busy, I, 0}) || I <- lists:seq(1, 20000)], ok")
    writer = """
        Write = fun Write(N) -> mnesia:dirty_write({busy, rand:uniform(20000), N}), receive stop -> ok after 0 -> Write(N + 1) end end,
        true = register(lab_writer, spawn(fun() -> Write(1) end)), ok"""
    # One writer: dirty writes of two nodes to one row may end differently on each.
    foo.eval(writer)
    rounds = [differences(call(hello, f"diff('{foo.name}')", timeout=60)) for _ in range(2)]
    foo.eval("lab_writer ! stop")
    assert all(not each.get("busy", {"differing": []})["differing"] for each in rounds), rounds
    wait_until(lambda: differences(call(hello, "diff()")) == {}, 20, "the last writes")


def test_what_cannot_be_compared_is_told(replicas):
    hello, foo = replicas
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(odd, [{{ram_copies, ['{hello.name}', '{foo.name}']}}])")
    hello.eval("ok = mnesia:dirty_write({odd, a_fun, fun() -> ok end}), ok = mnesia:dirty_write({odd, plain, fun lists:map/2}), ok")
    found = differences(call(hello, "diff()"))
    assert found["odd"]["left_out"] == 1 and found["odd"]["differing"] == []
    assert call(hello, "diff('nobody@nowhere.else')")[1][0] == "not_a_member"
    foo.eval("code:del_path(easy_cluster), code:purge(easy_cluster_tree), code:delete(easy_cluster_tree)")
    answer, (code, details) = call(hello, "diff()")
    assert (answer, code, details["node"]) == ("error", "node_not_compared", foo.name)
    assert {(each["node"], each["reason"]) for each in details["compared"]} == {(foo.name, "undef")}


def test_a_member_that_is_frozen_is_named_and_nothing_is_called_the_same_everywhere(replicas):
    hello, foo = replicas
    foo.signal(signal.SIGSTOP)
    try:
        answer, (code, details) = call(hello, f"diff('{foo.name}', #{{timeout => 1000}})")
        words = hello.shell(f"easy_cluster:diff('{foo.name}', #{{timeout => 1000}}).")
    finally:
        foo.signal(signal.SIGCONT)
    assert (answer, code, details["node"], details["compared"]) == ("error", "node_not_compared", foo.name, [])
    assert {"passwd", "roster", "muc_room"} <= set(details["tables"])
    assert f"the copies on {foo.name} were not compared" in words and "everywhere" not in words
    wait_until(lambda: differences(call(hello, "diff()")) == {}, 20, "the member to answer again")
