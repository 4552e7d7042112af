"""The doctor inside a node: all members, what they say of each other, and the ways between them."""

import pytest
from cluster import call, code, join
from lab import traces, wait_until


def problems(node, request="doctor()") -> list:
    """The problems that the doctor finds, as (code, details)."""
    answer = call(node, request)
    assert answer[0] == "ok", answer
    return answer[1]["problems"]


def codes(node, request="doctor()") -> list[str]:
    return [problem[0] for problem in problems(node, request)]


@pytest.fixture
def three(plain_nodes):
    """Three plain Mnesia nodes in one cluster; easy_cluster is on the first only."""
    one, two, three = plain_nodes("one", "two", "three")
    for node in (one, three):
        node.load_easy_cluster()
        join(node, two, "join")
    three.eval("ok = application:stop(easy_cluster), [code:delete(M) || {M, F} <- code:all_loaded(), is_list(F), "
               "lists:prefix(\"easy_cluster\", atom_to_list(M))], code:del_path(easy_cluster)")  # fmt: skip
    return one, two, three


def test_a_healthy_cluster_has_nothing_wrong(three):
    one, two, _ = three
    assert problems(one) == [] and problems(one, f"doctor('{two.name}')") == []


def test_two_strangers_have_nothing_wrong_either(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    assert problems(one, f"doctor('{two.name}')") == []
    assert one.eval("nodes(connected)") == [] or two.name not in one.eval("nodes(connected)")


def test_a_member_that_is_down_is_told_once_with_the_layer(three):
    one, _, third = three
    third.kill()
    assert problems(one) == [("not_registered", {"node": third.name, "address": f"{third.host.address}:4369".encode(),
                                                 "alive": b"three", "registered": b"lab-control"})]  # fmt: skip


def test_a_member_that_cannot_find_another_is_a_one_way_block(three, hosts_file):
    one, two, third = three
    with hosts_file(two.host, without=third.host):
        assert problems(one) == [("one_way_block", {"from": two.name, "to": third.name, "reason": problem_text(third)})]
    with hosts_file(third.host, without=one.host):
        [found] = problems(one)
        assert found[0] == "one_way_block" and found[1]["from"] == third.name and found[1]["to"] == one.name
    assert problems(one) == []


def problem_text(of) -> bytes:
    return f"the host {of.host.name} of {of.name} does not resolve here: nxdomain".encode()


def test_members_that_cannot_find_each_other_are_one_problem(three, hosts_file):
    one, two, third = three
    with hosts_file(two.host, without=third.host), hosts_file(third.host, without=two.host):
        [found] = problems(one)
    assert found[0] == "pair_unreachable" and {found[1]["from"], found[1]["to"]} == {two.name, third.name}


@pytest.fixture
def hosts_file(lab):
    """Takes a host's line out of another's hosts file for a while."""
    import contextlib

    if not lab.ground.isolated:
        pytest.skip("without network namespaces all hosts share one hosts file")

    @contextlib.contextmanager
    def without_line(host, without):
        path = traces.ETC_NETNS / lab.ground.name(host) / "hosts"
        whole = path.read_text()
        path.write_text("".join(line + "\n" for line in whole.splitlines() if without.name not in line.split()))
        try:
            yield
        finally:
            path.write_text(whole)

    return without_line


def test_a_stopped_mnesia_is_told_of_the_member(three):
    one, two, _ = three
    two.eval("mnesia:stop()")
    assert [(c, d["node"]) for c, d in problems(one)] == [("member_down", two.name)]


def test_a_split_is_seen_from_both_sides(three):
    one, two, third = three
    two.eval(f"erlang:set_cookie('{third.name}', nobodys), erlang:disconnect_node('{third.name}')")
    wait_until(lambda: third.name not in two.members(), 20, "the split")
    found = codes(one)
    assert "partitioned" in found, found


def test_a_name_that_is_none_and_an_unknown_option_are_refused(plain_nodes):
    [one] = plain_nodes("one")
    one.load_easy_cluster()
    assert code(call(one, "doctor('no node')")) == "bad_node_name"
    assert code(call(one, "doctor('one@hello.world', #{colour => red})")) == "unknown_option"


def test_a_node_that_is_not_there_is_told_layer_by_layer(plain_nodes):
    [one] = plain_nodes("one")
    one.load_easy_cluster()
    assert codes(one, "doctor('one@no.such.host')") == ["unknown_host"]


def test_inside_ejabberd_its_machine_is_looked_at_too(solo):
    solo.load_easy_cluster()
    assert "cookie_mode" not in codes(solo)
    cookie = solo.spool / ".erlang.cookie"
    cookie.chmod(0o440)
    assert ("cookie_mode", str(cookie).encode()) in [(found, facts.get("path")) for found, facts in problems(solo)]
    cookie.chmod(0o400)
    transcript = solo.shell("easy_cluster:doctor().")
    assert "cookie     fingerprint" in transcript and "no_port_window (machine, warning)" in transcript
    assert solo.host.cookie not in transcript


def test_a_text_of_a_log_is_held_against_the_machine(solo):
    solo.load_easy_cluster()
    text = "Connection attempt from disallowed node 'ejabberd@foo.bar'"
    ask = f"""{{ok, #{{text := Text}}}} = easy_cluster_native:call(explain, #{{text => <<"{text}">>, places => easy_cluster_doctor:places()}}), Text"""
    assert "here      cookie_mode" not in solo.text(ask)
    (solo.spool / ".erlang.cookie").chmod(0o440)
    told = solo.text(ask)
    assert "node_disallowed (distribution, error)" in told and "here      cookie_mode: " in told
