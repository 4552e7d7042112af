"""Looks at a node that looks back, or whose operation stops Mnesia: what is said is what is true, or that an operation is under way."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from cluster import call, code

#: How often each looks.
LOOKS = 25


def said(answer) -> str:
    """The code of an error, those of a diagnosis, or ok."""
    if answer[0] == "error":
        return code(answer)
    problems = answer[1].get("problems", [])
    return ",".join(problem[0] for problem in problems if problem[0] != "versions_differ") or "ok"


def looks(node, expression, rounds=LOOKS) -> Counter:
    text = f"case easy_cluster_planner:{expression} of {{ok, Found}} -> {{ok, maps:with([problems], Found)}}; Error -> Error end"
    return Counter(said(node.eval(text, 60)) for _ in range(rounds))


def two_with_easy_cluster(plain_nodes):
    nodes = plain_nodes("one", "two")
    for node in nodes:
        node.load_easy_cluster()
    return nodes


def at_once(*looking) -> list[Counter]:
    with ThreadPoolExecutor(len(looking)) as pool:
        return [each.result() for each in [pool.submit(looks, *one) for one in looking]]


def test_nodes_that_look_at_one_another_at_once_see_nothing_wrong(plain_nodes):
    one, other = two_with_easy_cluster(plain_nodes)
    found = at_once(
        (one, f"plan({{join_as_master, '{other.name}'}}, #{{}})"),
        (other, f"plan({{join_as_master, '{one.name}'}}, #{{}})"),
        (one, f"doctor('{other.name}', #{{}})"),
        (other, f"test('{one.name}', #{{}})"),
    )
    assert found == [Counter(ok=LOOKS)] * 4


def test_what_an_operation_over_there_brings_about_is_called_that_operation(plain_nodes):
    one, other = two_with_easy_cluster(plain_nodes)
    with ThreadPoolExecutor(1) as pool:
        operations = pool.submit(lambda: [call(other, "reset()") for _ in range(6)])
        found = Counter()
        while not operations.done():
            found += looks(one, f"plan({{join_as_master, '{other.name}'}}, #{{}})", 1)
            found += looks(one, f"doctor('{other.name}', #{{}})", 1)
            found += looks(one, f"test('{other.name}', #{{}})", 1)
        assert operations.result() == ["ok"] * 6
    assert set(found) == {"ok", "operation_in_progress"}, found
