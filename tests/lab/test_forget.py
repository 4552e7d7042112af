"""Members that are gone for good are forgotten, and turned away when they come back with their old database."""

import hashlib
import shutil
import signal

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, slices, until
from lab import wait_until

FENCE = "easy_cluster_fence"


@pytest.fixture
def cluster(trio):
    """hello.world, foo.bar and third.host in one cluster; easy_cluster is on the first two."""
    hello, foo, third = trio
    foo.register("bob", "secret")
    foo.register("alice", "secret")
    for node in (hello, third):
        node.load_easy_cluster()
        join(node, foo)
    return hello, foo, third


def gone(node, *others):
    """The node is killed, and the others have noticed."""
    node.kill()
    for other in others:
        until(other, f"not lists:member('{node.name}', mnesia:system_info(running_db_nodes))")


def forget(node, other, options="#{}"):
    return call(node, f"forget('{other.name}', {options})")


def fence(node):
    """Cookie and holders of the fence, as a node knows them."""
    return node.printed(f"mnesia:table_info({FENCE}, cookie)"), set(node.eval(f"mnesia:table_info({FENCE}, disc_copies)"))


def has_table(node, table) -> bool:
    return node.eval(f"lists:member({table}, mnesia:system_info(tables))")


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def comes_back(node, refusal="Bad cookie in table definition easy_cluster_fence"):
    """Starts a node that is expected to be turned away, and waits until its Mnesia is down or its VM has ended."""
    node.launch()

    def is_turned_away() -> bool:
        return refusal in node.log_tail(400)

    wait_until(is_turned_away, 30, f"Mnesia of {node.name} to be turned away")


def test_a_dead_member_is_forgotten_and_turned_away(cluster):
    hello, foo, third = cluster
    old = fence(hello)
    assert old[1] == {hello.name, foo.name, third.name}, "every join gives the new member its fence"
    assert has_table(third, FENCE)
    third.eval("{atomic, ok} = mnesia:create_table(deleted_since, [{disc_copies, [node() | nodes()]}]), "
               "{atomic, ok} = mnesia:create_table(only_there, [{disc_copies, [node()]}]), "
               "mnesia:dirty_write({only_there, 1, 1})")  # fmt: skip
    gone(third, hello, foo)

    refused = forget(hello, third)
    assert code(refused) == "only_copy_on_dead_node" and details(refused)["tables"] == ["only_there"], refused
    assert forget(hello, third, "#{lose => [only_there]}") == "ok"

    assert db_nodes(hello) == db_nodes(foo) == {hello.name, foo.name}
    assert not has_table(foo, "only_there")
    new = fence(foo)
    assert new[0] != old[0] and new[1] == {hello.name, foo.name} and fence(hello) == new
    assert hello.eval(f"[T || T <- mnesia:system_info(tables), lists:member('{third.name}', "
                      "[N || {N, _} <- mnesia:table_info(T, where_to_commit)])]") == []  # fmt: skip
    assert hello.eval("[P || P <- mnesia:dirty_all_keys(session), is_pid(P)]") == []
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == "done"
    foo.eval("{atomic, ok} = mnesia:delete_table(deleted_since)")

    comes_back(third)

    for node in (hello, foo):
        assert db_nodes(node) == node.members() == {hello.name, foo.name}
        assert serves(node) and exists(node, "bob")
        assert not has_table(node, "only_there") and not has_table(node, "deleted_since")
    with hello.xmpp("bob", "secret"), foo.xmpp("alice", "secret"):
        pass


def schema_cookies(*nodes) -> set[str]:
    return {node.printed("mnesia:table_info(schema, cookie)") for node in nodes}


@pytest.fixture
def unfenced(trio):
    """hello.world, foo.bar and third.host in a cluster that was made without easy_cluster; the last one is dead by now."""
    hello, foo, third = trio
    foo.register("bob", "secret")
    for node in (hello, third):
        node.eval(f"ok = ejabberd_cluster:join('{foo.name}')", timeout=60)
    third.eval("{atomic, ok} = mnesia:create_table(deleted_since, [{disc_copies, [node() | nodes()]}])")
    gone(third, hello, foo)
    return hello, foo, third


def test_a_member_that_died_before_there_was_a_fence_is_turned_away(unfenced):
    hello, foo, third = unfenced
    hello.load_easy_cluster()
    old = schema_cookies(hello, foo)

    assert forget(hello, third) == "ok"

    new = schema_cookies(hello, foo)
    assert len(old) == len(new) == 1 and new != old
    assert fence(foo)[1] == fence(hello)[1] == {hello.name, foo.name}
    foo.eval("{atomic, ok} = mnesia:delete_table(deleted_since)")
    comes_back(third, "Incompatible schema cookies")
    for node in (hello, foo):
        assert db_nodes(node) == node.members() == {hello.name, foo.name}
        assert not has_table(node, "deleted_since") and exists(node, "bob") and serves(node)

    foo.stop()
    foo.start()
    until(foo, f"lists:member('{hello.name}', mnesia:system_info(running_db_nodes))")
    assert schema_cookies(hello, foo) == new and exists(foo, "bob")
    third.destroy()
    for path in third.mnesia_files().values():
        path.unlink()
    third.start()
    third.load_easy_cluster()
    join(third, foo)
    assert db_nodes(hello) == third.members() == {hello.name, foo.name, third.name}
    assert schema_cookies(hello, foo, third) == new and exists(third, "bob")


def test_a_node_that_is_alive_is_not_forgotten(cluster):
    hello, foo, third = cluster
    answer = forget(hello, third)
    assert code(answer) == "node_is_alive", answer
    assert set(details(answer)["seen_by"]) == {hello.name, foo.name}
    third.eval("application:stop(ejabberd), mnesia:stop()")
    assert code(forget(hello, third)) == "node_is_alive"
    third.signal(signal.SIGSTOP)
    for node in (hello, foo):
        node.eval(f"erlang:disconnect_node('{third.name}')")
    answer = forget(hello, third, "#{timeout => 2000}")
    assert code(answer) == "node_is_alive" and b"reaches its port" in details(answer)["how"], answer
    third.signal(signal.SIGCONT)
    assert db_nodes(hello) == {hello.name, foo.name, third.name}


def test_itself_strangers_and_odd_options_are_refused(cluster):
    hello, _, _ = cluster
    assert code(call(hello, f"forget('{hello.name}')")) == "cannot_forget_itself"
    assert code(call(hello, "forget('ejabberd@nobody.here')")) == "no_such_member"
    assert code(call(hello, "forget('ejabberd@nobody.here', #{also => nobody})")) == "bad_option"
    assert code(call(hello, "forget('ejabberd@nobody.here', #{lose => 1})")) == "bad_option"
    assert code(call(hello, "forget('ejabberd@nobody.here', #{also => ['a b']})")) == "bad_node_name"


def test_with_another_member_down_both_are_forgotten_or_none(cluster):
    hello, foo, third = cluster
    gone(third, hello, foo)
    gone(foo, hello)
    answer = forget(hello, third)
    assert code(answer) == "other_member_down" and details(answer)["node"] == foo.name, answer
    both = f"also => ['{foo.name}']"
    assert code(forget(hello, third, f"#{{{both}}}")) == "no_quorum"
    assert forget(hello, third, f"#{{{both}, quorum => false}}") == "ok"
    assert db_nodes(hello) == {hello.name} and fence(hello)[1] == {hello.name}
    comes_back(foo)
    assert db_nodes(hello) == {hello.name} and exists(hello, "bob")


def test_one_of_two_says_that_the_other_will_stay_away(pair):
    hello, foo = pair
    hello.load_easy_cluster()
    foo.register("bob", "secret")
    join(hello, foo)
    gone(foo, hello)
    answer = forget(hello, foo, "#{yes => true}")
    assert code(answer) == "no_quorum" and details(answer)["members"] == 2, answer
    assert forget(hello, foo, "#{quorum => false}") == "ok"
    assert db_nodes(hello) == {hello.name} and exists(hello, "bob")
    comes_back(foo)
    assert db_nodes(hello) == hello.members() == {hello.name}


@pytest.fixture
def installed(pair):
    """hello.world and foo.bar in one cluster; easy_cluster is installed on both, so that ejabberd starts it."""
    hello, foo = pair
    for node in (hello, foo):
        node.install_easy_cluster()
    foo.register("bob", "secret")
    join(hello, foo)
    return hello, foo


@pytest.mark.parametrize("killed", [False, True], ids=["asked for", "killed when it had begun, and asked for no more"])
def test_a_forgotten_node_says_why_it_does_not_start_and_comes_in_again_as_a_new_one(installed, killed):
    hello, foo = installed
    foo.register("alice", "secret")
    foo.stop()
    assert forget(hello, foo, "#{quorum => false}") == "ok"
    hello.eval('ejabberd_auth:remove_user(<<"alice">>, <<"localhost">>)')

    foo.launch()
    foo.wait_until_dead(40)
    log = foo.log_tail(400)
    assert f"{foo.name} lists {hello.name} as a member, but {hello.name} does not list {foo.name}" in log
    assert "touch easy_cluster/reenter" in log and "FATAL" not in log
    until(hello, f"is_map_key('{foo.name}', maps:get(returned, easy_cluster_server:state()))")
    assert f"returned    {foo.name} was forgotten" in hello.shell("easy_cluster:status().")
    assert "came back with its old database" in hello.log()
    assert db_nodes(hello) == {hello.name} and exists(hello, "bob") and not exists(hello, "alice")

    marker = foo.spool / "easy_cluster" / "reenter"
    marker.parent.mkdir(exist_ok=True)
    shutil.chown(marker.parent, "ejabberd", "ejabberd")
    files = foo.checksums()
    if killed:
        hello.eval(f"""
            Id = <<"20261201T000000Z-reenter">>,
            {{ok, Plan}} = easy_cluster_native:call(reentering, #{{id => Id, directory => <<"{foo.spool}">>, here => '{foo.name}',
                                                                  own => #{{}}, known => []}}),
            {{ok, Journal}} = easy_cluster_journal:create("{foo.spool}", Id, {{begun, Plan}}), easy_cluster_journal:close(Journal)""")
    else:
        marker.touch()
        shutil.chown(marker, "ejabberd", "ejabberd")
    foo.start()
    assert db_nodes(foo) == {foo.name} and not exists(foo, "bob") and not marker.exists()
    [kept] = call(foo, "status()")[1]["kept"]
    folder = foo.spool / "easy_cluster" / "kept" / kept["id"].decode()
    assert {path.name: digest(path) for path in folder.iterdir() if path.name in files} == files
    until(foo, "undefined =:= easy_cluster_history:unfinished(mnesia:system_info(directory))")
    assert [(past["operation"], past["outcome"]) for past in call(foo, "history()")[1]] == [(f"reenter {foo.name}".encode(), "done")]
    assert code(call(foo, "rollback()")) == "nothing_to_roll_back"

    join(foo, hello)
    assert db_nodes(hello) == foo.members() == {hello.name, foo.name}
    assert exists(foo, "bob") and not exists(foo, "alice")
    assert fence(foo)[1] == {hello.name, foo.name}
    with foo.xmpp("bob", "secret"):
        pass


KILL_HERE = """
    {{ok, Plan}} = easy_cluster_api:plan({{forget, '{dead}'}}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{action := {action}}}, _}}) -> {before} erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""

#: What the process has done when it is killed in the middle of a step.
HALF_A_FENCE = f"{{atomic, ok}} = mnesia:delete_table({FENCE}),"

KILLS = [("connect", "done", "undone"), ("bar", "begun", "undone"), ("bar", "done", "undone"),
         ("forget_node", "begun", "undone"), ("forget_node", "done", "done"), ("renew_fence", "begun", "done"),
         ("renew_fence", "half", "done"), ("renew_fence", "done", "done"), ("unbar", "done", "done"),
         ("verify", "begun", "done"), ("verify", "done", "done")]  # fmt: skip


@pytest.fixture
def watched(trio):
    """hello.world, foo.bar and third.host in one cluster; easy_cluster is installed on the first, so that ejabberd starts it."""
    hello, foo, third = trio
    hello.install_easy_cluster()
    foo.register("bob", "secret")
    third.load_easy_cluster()
    for node in (hello, third):
        join(node, foo)
    return hello, foo, third


@pytest.mark.parametrize("action, moment, outcome", slices(KILLS, 2, 6), ids=lambda value: value)
def test_a_node_that_is_killed_while_it_forgets_ends_it_at_its_next_start(watched, action, moment, outcome):
    hello, foo, third = watched
    old = fence(foo)
    gone(third, hello, foo)
    before = HALF_A_FENCE if moment == "half" else ""
    pattern = f"{{{action}, _}}" if action != "verify" else "verify"
    hello.eval_until_it_dies(KILL_HERE.format(dead=third.name, action=pattern, before=before,
                                              moment="begun" if moment == "half" else moment))  # fmt: skip
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == outcome
    for node in (hello, foo):
        assert node.eval(f"erlang:get_cookie('{third.name}') =:= erlang:get_cookie()"), "connections are accepted again"

    if outcome == "undone":
        assert fence(foo) == old
        third.start()
        until(hello, f"lists:member('{third.name}', mnesia:system_info(running_db_nodes))")
        gone(third, hello, foo)
        assert forget(hello, third) == "ok"
    new = fence(foo)
    assert new == fence(hello) and new[0] != old[0] and new[1] == {hello.name, foo.name}
    assert db_nodes(hello) == db_nodes(foo) == {hello.name, foo.name}
    comes_back(third)
    assert db_nodes(hello) == foo.members() == {hello.name, foo.name}


def is_settled(node) -> bool:
    status = call(node, "status()")[1]
    return status["unfinished"] == "undefined" and status["operation"] == "none"


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["begun", "done"])
@pytest.mark.parametrize("victim", ["here", "peer"])
def test_a_death_around_the_new_schema_leaves_all_members_with_one(unfenced, victim, moment):
    hello, foo, third = unfenced
    hello.install_easy_cluster()
    old = schema_cookies(hello, foo)
    if victim == "here":
        hello.eval_until_it_dies(KILL_HERE.format(dead=third.name, action="{renew_schema, _}", before="", moment=moment))
        hello.start()
    else:
        answer = hello.eval(f"""
            {{ok, Plan}} = easy_cluster_api:plan({{forget, '{third.name}'}}, #{{timeout => 1000}}),
            easy_cluster_executor:commit(Plan, fun
                ({{step, {moment}, #{{action := {{renew_schema, _}}}}, _}}) ->
                    {{error, _}} = easy_cluster_rpc:call('{foo.name}', erlang, halt, [137, [{{flush, false}}]], 5000), ok;
                (_Event) -> ok
            end)""", timeout=60)  # fmt: skip
        assert code(answer) == "step_failed", answer
        assert details(answer)["step"] == {"begun": b"renew_schema", "done": b"renew_fence"}[moment]
        foo.wait_until_dead()
        foo.start()
    wait_until(lambda: is_settled(hello), 60, "the operation to end by itself")
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == "done"
    new = schema_cookies(hello, foo)
    assert len(new) == 1 and new != old
    assert db_nodes(foo) == foo.members() == {hello.name, foo.name}
    comes_back(third, "Incompatible schema cookies")
    assert db_nodes(hello) == foo.members() == {hello.name, foo.name}


def test_a_member_that_dies_before_the_fence_is_made_is_waited_for(watched):
    hello, foo, third = watched
    old = fence(foo)
    gone(third, hello, foo)
    answer = hello.eval(f"""
        {{ok, Plan}} = easy_cluster_api:plan({{forget, '{third.name}'}}, #{{timeout => 1000}}),
        easy_cluster_executor:commit(Plan, fun
            ({{step, begun, #{{action := {{renew_fence, _}}}}, _}}) ->
                {{error, _}} = easy_cluster_rpc:call('{foo.name}', erlang, halt, [137, [{{flush, false}}]], 5000), ok;
            (_Event) -> ok
        end)""", timeout=60)  # fmt: skip
    assert code(answer) == "step_failed" and details(answer)["step"] == b"renew_fence", answer
    assert b"goes on by itself" in details(answer)["outcome"]
    assert code(forget(hello, foo)) != "ok" and not is_settled(hello)
    third.launch()  # it waits for tables: nobody lets it in
    wait_until(lambda: "rejected. Invalid challenge reply" in hello.log_tail(100), 20, "the first try to come back")
    assert hello.members() == {hello.name}

    foo.wait_until_dead()
    foo.start()
    wait_until(lambda: is_settled(hello), 60, "the operation to end by itself")
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == "done"
    new = fence(foo)
    assert new == fence(hello) and new[0] != old[0] and new[1] == {hello.name, foo.name}
    third.destroy()
    comes_back(third)
    assert db_nodes(foo) == hello.members() == {hello.name, foo.name}


def test_a_node_that_was_alive_behind_a_cut_stays_outside(cluster, lab):
    hello, foo, third = cluster
    for other in (hello, foo):
        lab.unplug(third, other)
    for node, others in ((third, (hello, foo)), (hello, (third,)), (foo, (third,))):
        for other in others:
            node.eval(f"erlang:disconnect_node('{other.name}')")
    for node in (hello, foo):
        until(node, f"not lists:member('{third.name}', mnesia:system_info(running_db_nodes))")
    until(third, "mnesia:system_info(running_db_nodes) =:= [node()]")
    assert forget(hello, third, "#{timeout => 1000}") == "ok"
    foo.eval("{atomic, ok} = mnesia:create_table(new_since, [{disc_copies, [node()]}])")
    third.register("carol", "secret")

    lab.mend_all()
    for other in (hello, foo):
        until(third, f"net_kernel:connect_node('{other.name}')")
    status = call(third, "status()")[1]
    assert {problem[0] for problem in status["problems"]} == {"forgotten_here"}, status["problems"]
    assert call(hello, "status()")[1]["problems"] == []
    for node in (hello, foo):
        assert db_nodes(node) == node.members() == {hello.name, foo.name} and not exists(node, "carol")
    assert third.members() == {third.name} and not has_table(third, "new_since")

    foo.stop()
    foo.start()  # beside the one that still lists it
    assert db_nodes(foo) == foo.members() == {hello.name, foo.name}
    assert third.eval(f"element(1, mnesia:change_config(extra_db_nodes, ['{hello.name}']))") == "error"
    third.stop()
    comes_back(third)
    assert db_nodes(hello) == foo.members() == {hello.name, foo.name}


def test_tables_that_wait_for_the_dead_are_loaded_with_consent(cluster):
    hello, foo, third = cluster
    for node in (hello, foo, third):
        node.stop()
    for node in (hello, foo):
        node.launch()
    for node, other in ((hello, foo), (foo, hello)):
        until(node, f"lists:member('{other.name}', mnesia:system_info(running_db_nodes))", 40)
        until(node, "mnesia:system_info(is_running) =:= yes")
    hello.load_easy_cluster()
    assert [member["role"] for member in call(hello, "status()")[1]["members"]].count("down") == 1
    answer = forget(hello, third)
    assert code(answer) == "force_load_needed" and "passwd" in details(answer)["tables"], answer
    assert f"passwd of {hello.name}".encode() in details(answer)["holders"]
    assert forget(hello, third, "#{yes => true}") == "ok"
    for node in (hello, foo):
        wait_until(lambda node=node: serves(node), 30, f"ejabberd of {node.name}")
        assert db_nodes(node) == {hello.name, foo.name} and exists(node, "bob")
    with hello.xmpp("bob", "secret"), foo.xmpp("alice", "secret"):
        pass
    comes_back(third)
    assert db_nodes(hello) == foo.members() == {hello.name, foo.name}


def test_a_slave_has_the_fence_and_sync_node_brings_it_to_a_cluster_without(plain_nodes):
    one, two, three = plain_nodes("one", "two", "three")
    one.load_easy_cluster()
    two.eval("{atomic, ok} = mnesia:create_table(users, [{disc_copies, [node()]}])")
    three.eval("mnesia:stop(), mnesia:delete_schema([node()]), mnesia:start(), "
               f"{{ok, [_]}} = mnesia:change_config(extra_db_nodes, ['{two.name}']), "
               "{atomic, ok} = mnesia:change_table_copy_type(schema, node(), disc_copies)")  # fmt: skip
    join(one, two, kind="join")
    assert one.eval("mnesia:table_info(users, disc_copies)") == [two.name]
    assert fence(one)[1] == fence(two)[1] == {one.name, two.name, three.name}

    two.eval(f"{{atomic, ok}} = mnesia:delete_table({FENCE})")
    gone(three, one, two)
    [step] = [step["action"] for step in call(one, f"plan({{forget, '{three.name}'}})")[1]["steps"] if "renew_schema" in step["action"]]
    assert step[1]["nodes"] == [three.name], "the fence does not keep it out"
    three.start()
    until(one, f"lists:member('{three.name}', mnesia:system_info(running_db_nodes))")
    assert call(one, f"sync_node('{two.name}')") == "ok"
    assert fence(three)[1] == {one.name, two.name, three.name}
    plan = call(one, f"plan({{sync_node, '{two.name}'}})")[1]
    assert [step["action"] for step in plan["steps"]] == ["verify"]
    gone(two, one, three)
    answer = forget(one, two)  # after the copy, nothing is on it alone
    assert answer == "ok", answer
    assert one.eval("mnesia:table_info(users, disc_copies)") == [one.name]
