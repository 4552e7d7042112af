"""A quick slice of `make test-faults`: a few kill points of the operations, at a fixed stride."""

import pytest
from faults.harness import Harness
from faults.judge import COMPLETED, RESTORED
from faults.operations import BY_NAME, OPERATIONS
from faults.points import Point, chosen, strided

#: These, as they begin with the same scene.
QUICK = ["join_as_master"]
QUICK_POINTS = 5


@pytest.fixture(scope="module")
def harness(lab):
    made = Harness(lab, 1, lambda _result: None)
    yield made
    made.close()


@pytest.mark.parametrize("name", QUICK)
def test_a_node_killed_at_some_changes_completes_the_operation_or_is_what_it_was(harness, name):
    numbers = strided(chosen(harness.reference(BY_NAME[name]).changes), QUICK_POINTS)
    outcomes = judged(harness, [Point(name, number) for number in numbers])
    assert set(outcomes) == {COMPLETED, RESTORED}, "both ends are among the points"


@pytest.mark.faults
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS if not operation.baseline])
def test_a_node_killed_at_any_change_completes_the_operation_or_is_what_it_was(harness, name):
    judged(harness, [Point(name, number) for number in chosen(harness.reference(BY_NAME[name]).changes)])


def test_a_loss_is_seen(harness):
    """ejabberd's own join deletes its schema first: killed behind that, it serves an empty database."""
    [result] = harness.run([Point("join_cluster", 4)])
    assert "empty database" in result.verdict.losses[0], result.verdict


def judged(harness, points) -> list[str]:
    results = harness.run(points)
    wrong = {str(result.point): result.verdict.wrong for result in results if result.verdict.outcome not in (COMPLETED, RESTORED)}
    assert not wrong, wrong
    return [result.verdict.outcome for result in results]
