"""A quick slice of `make test-faults`: a few kill points of some operations, at a fixed stride; and that the harness sees what it shall."""

import pytest
from faults.harness import Harness
from faults.judge import COMPLETED, LOST, RESTORED, STUCK, Killed, end_of
from faults.operations import BY_NAME, Operation
from faults.points import Change, Point, absences, kills_of_member, parse, steps, strided
from faults.scenes import MASTERS

#: How many of each.
QUICK = {"join_as_master": 3, "leave": 2}


@pytest.fixture(scope="module")
def harness(lab):
    made = Harness(lab, 1, lambda _result: None)
    yield made
    made.close()


@pytest.mark.parametrize(("name", "count"), QUICK.items())
def test_a_node_killed_at_some_changes_completes_the_operation_or_is_what_it_was(harness, name, count):
    numbers = strided(harness.reference(BY_NAME[name]).chosen(), count)
    results = harness.run([Point(name, number) for number in numbers])
    wrong = {str(result.point): result.verdict.wrong for result in results if result.verdict.outcome not in (COMPLETED, RESTORED)}
    assert not wrong, wrong
    assert {result.verdict.outcome for result in results} == {COMPLETED, RESTORED}, "both ends are among the points"


def test_a_loss_is_seen(harness):
    """ejabberd's own join deletes its schema first: killed behind that, it serves an empty database."""
    [result] = harness.run([Point("join_cluster", 4)])
    assert "empty database" in result.verdict.losses[0], result.verdict


@pytest.mark.faults
def test_a_member_that_is_killed_or_away_does_not_keep_the_operation_from_its_end(harness):
    points = [parse("leave:s2f3"), parse("join_as_master:23m")]
    results = harness.run(points)
    wrong = {str(result.point): result.verdict.wrong for result in results if result.verdict.outcome not in (COMPLETED, RESTORED)}
    assert not wrong, wrong


@pytest.mark.faults
@pytest.mark.parametrize(("harm", "outcome", "why"), [
    ("erpc:call('{other}', mnesia, transaction, [fun() -> mnesia:delete({{lab_numbers, 1}}) end])",
     LOST, "acknowledged records are missing on ejabberd@foo1.bar"),
    ("erpc:call('{other}', file, write_file, [erpc:call('{other}', mnesia, system_info, [directory]) ++ \"/schema.DAT\", <<>>])",
     STUCK, "ejabberd@foo1.bar ended while it started"),
])  # fmt: skip
def test_harm_to_the_member_is_seen(harness, monkeypatch, harm, outcome, why):
    monkeypatch.setitem(BY_NAME, "harmful", Operation(f"harmful {outcome}", MASTERS, f"{harm}, ok"))
    [result] = harness.run([parse("harmful:1m")])
    assert result.verdict.outcome == outcome, result.verdict
    assert any(why in wrong for wrong in result.verdict.wrong), result.verdict


@pytest.mark.parametrize("text", ["leave", "leave:12", "leave:12~", "leave:12p", "leave:12/3", "leave:12p/3", "leave:12m", "leave:12~m",
                                  "leave:12me", "leave:s7f12", "leave:s7c3e"])  # fmt: skip
def test_a_point_is_read_as_it_is_written(text):
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["leave:", "leave:s7", "leave:s7f0", "leave:12mp", "leave:12m/3", "leave:7f12"])
def test_what_is_no_point_is_refused(text):
    with pytest.raises(ValueError, match=text):
        parse(text)


def _step(number: int, name: str) -> Change:
    return Change(0, "easy_cluster_step:run", (name,), {"step": number})


def _change(number: int, there: bool, took: int = 0) -> Change:
    return Change(number, "mnesia:add_table_copy" if there else "rename", (f"folder{number}/file",), {"there": there, "took": took})


def test_a_member_is_killed_and_away_where_it_takes_part():
    changes = [_step(1, "keep_database"), _change(1, False), _step(2, "copy_table"), _change(2, True, 100), _step(3, "verify")]
    numbered = [change for change in changes if change.number]
    assert [str(point) for point in kills_of_member("join", numbered, 9)] == ["join:2m", "join:2~m", "join:3me"]
    assert [str(point) for point in absences("join", steps(changes), 3)] == ["join:s2f3", "join:s2c6", "join:s2f30e"]
    assert {point.number for point in absences("join", steps(changes), 99, every_step=True)} == {1, 2, 3}


def _view(here: list[str], other: list[str], rows: int = 2) -> dict:
    tables = {"lab_memory": {"copies": [("ram_copies", ["other"]), ("disc_copies", []), ("disc_only_copies", [])], "rows": rows},
              "passwd": {"copies": [("ram_copies", []), ("disc_copies", ["here", "other"]), ("disc_only_copies", [])], "rows": 2}}  # fmt: skip
    return {"here": {"db_nodes": here, "running_db_nodes": here, "tables": tables},
            "other": {"db_nodes": other, "running_db_nodes": other, "tables": tables}}  # fmt: skip


FORMER, END = _view(["here", "other"], ["here", "other"]), _view(["here"], ["other"])


@pytest.mark.parametrize("member", ["m", "f", "c"])
def test_half_a_split_is_neither_of_the_two_ends(member):
    states = {COMPLETED: END, RESTORED: FORMER}
    assert end_of(END, states, Killed([], member=member)) == COMPLETED
    assert end_of(FORMER, states, Killed([], member=member)) == RESTORED
    assert end_of(_view(["here"], ["here", "other"]), states, Killed([], member=member)) is None


def test_only_a_kill_may_take_rows_in_the_memory_of_the_member():
    states = {COMPLETED: END, RESTORED: FORMER}
    without = _view(["here"], ["other"], rows=0)
    assert end_of(without, states, Killed([], member="m")) == COMPLETED
    assert end_of(without, states, Killed([], member="f")) is None
    without["other"]["tables"]["passwd"]["rows"] = 0
    assert end_of(without, states, Killed([], member="m")) is None


def test_an_operation_may_end_as_stopped_where_only_its_check_is_left():
    begun = [_step(1, "copy_table"), _change(1, True), _step(2, "verify")]
    assert Killed(begun).has_come_to_its_check()
    assert not Killed(begun[:2]).has_come_to_its_check()
    assert not Killed([]).has_come_to_its_check()
