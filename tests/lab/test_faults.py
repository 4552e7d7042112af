"""A quick slice of `make test-faults`: a few kill points of some operations, at a fixed stride."""

import pytest
from faults.harness import Harness
from faults.judge import COMPLETED, RESTORED
from faults.operations import BY_NAME
from faults.points import Point, strided

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
