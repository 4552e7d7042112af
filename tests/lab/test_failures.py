"""What fails during a join: before the cluster is open to clients everything is taken back, afterwards it is finished."""

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, until

KILL_TARGET = """
    {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{target}'}}, #{{yes => true}}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, begun, #{{number := {step}}}, _}}) ->
            {{error, _}} = easy_cluster_rpc:call('{target}', erlang, halt, [137, [{{flush, false}}]], 5000), ok;
        (_Event) -> ok
    end)"""

DATABASE = """
    {{atomic, ok}} = mnesia:create_table(users, [{{disc_copies, [node()]}}]),
    {{atomic, ok}} = mnesia:create_table(log, [{{disc_only_copies, [node()]}}, {{type, bag}}]),
    {{atomic, ok}} = mnesia:create_table(online, [{{ram_copies, [node()]}}]),
    {{atomic, ok}} = mnesia:create_table(own, [{{disc_copies, [node()]}}, {{local_content, true}}]),
    [ok = mnesia:dirty_write({{T, {row}, {row}}}) || T <- [users, log, online, own]], dumped = mnesia:dump_log(), ok"""

#: The steps of a join between two plain Mnesia nodes with the four tables above.
STEPS = ["connect", "archive_rows", "dump_log", "stop_mnesia", "open_staging", "join_schema", "schema_to_disc", "close_staging",
         "keep_database", "delete_logs", "commit_schema", "replace_files", "start_mnesia", "copy_tables", "copy_table",
         "wait_for_tables", "clear_caches", "ensure_fence", "verify"]  # fmt: skip
FIRST_WITHOUT_A_WAY_BACK = STEPS.index("wait_for_tables") + 1


def two_databases(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    for node, row in ((one, "mine"), (two, "theirs")):
        assert node.eval(DATABASE.format(row=row)) == "ok"
    return one, two


def rows(node):
    return {table: node.eval(f"mnesia:dirty_all_keys({table})") for table in ("users", "log", "own")}


@pytest.mark.parametrize("step", range(1, FIRST_WITHOUT_A_WAY_BACK), ids=lambda n: f"{n}-{STEPS[n - 1]}")
def test_the_target_dies_at_a_step_and_both_come_out_as_they_were(plain_nodes, step):
    one, two = two_databases(plain_nodes)
    before = {node: rows(node) for node in (one, two)}
    answer = one.eval(KILL_TARGET.format(target=two.name, step=step), timeout=60)
    assert code(answer) == "step_failed", answer
    two.wait_until_dead()

    assert one.eval("mnesia:system_info(is_running)") == "yes" and db_nodes(one) == {one.name}
    assert rows(one) == before[one]
    assert one.eval("mnesia:dirty_all_keys(online)") == ["mine"]
    assert call(one, "status()")[1]["unfinished"] == "undefined"

    two.start()  # it must neither die of a stale member nor wait for copies that were begun there
    until(two, "mnesia:wait_for_tables(mnesia:system_info(tables), 1000) =:= ok")
    until(two, "mnesia:system_info(db_nodes) =:= [node()]")
    assert rows(two) == before[two]
    until(one, "maps:get(pending, easy_cluster_server:state()) =:= []")
    assert not any((one.spool / "easy_cluster" / "staging").glob("*/*"))

    # The other one may be in the middle of a connection of its own, which Erlang lets go first.
    until(one, f"element(1, easy_cluster_api:test_node('{two.name}')) =:= ok")
    join(one, two)
    assert one.members() == {one.name, two.name} and rows(one)["users"] == ["theirs"]


@pytest.mark.parametrize("step", range(FIRST_WITHOUT_A_WAY_BACK, len(STEPS) + 1), ids=lambda n: f"{n}-{STEPS[n - 1]}")
def test_a_target_that_dies_when_all_is_copied_leaves_a_member_that_serves(plain_nodes, step):
    one, two = two_databases(plain_nodes)
    answer = one.eval(KILL_TARGET.format(target=two.name, step=step), timeout=60)
    assert code(answer) == "step_failed" and details(answer)["step"] in {b"ensure_fence", b"verify"}, answer
    two.wait_until_dead()
    assert rows(one)["users"] == ["theirs"] and db_nodes(one) == {one.name, two.name}
    two.start()
    until(two, "mnesia:wait_for_tables(mnesia:system_info(tables), 1000) =:= ok")
    assert two.members() == {one.name, two.name}
    assert rows(two)["users"] == ["theirs"]


def test_the_steps_are_those_of_the_plan(plain_nodes):
    one, two = two_databases(plain_nodes)
    plan = call(one, f"plan({{join_as_master, '{two.name}'}})")[1]
    actions = [step["action"] for step in plan["steps"]]
    assert [action[0] if isinstance(action, tuple) else action for action in actions] == STEPS


@pytest.mark.parametrize("rows, step", [(1, "copy_tables"), (5000, "copy_table")], ids=["small", "large"])
def test_a_copy_that_fails_here_takes_everything_back(pair, rows, step):
    hello, foo = pair
    hello.load_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    foo.eval("{atomic, ok} = mnesia:create_table(unlucky, [{disc_only_copies, [node()]}]), "
             f"[ok = mnesia:dirty_write({{unlucky, I, 1}}) || I <- lists:seq(1, {rows})]")  # fmt: skip
    # A folder where the table's file has to be: dets cannot open it.
    answer = hello.eval(f"""
        {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{foo.name}'}}),
        Directory = mnesia:system_info(directory),
        Answer = easy_cluster_executor:commit(Plan, fun
            ({{step, begun, #{{action := {{{step}, #{{}}}}}}, _}}) ->
                _ = file:make_dir(filename:join(Directory, "unlucky.DAT"));
            (_Event) -> ok
        end), _ = file:del_dir(filename:join(Directory, "unlucky.DAT")), Answer""", timeout=60)  # fmt: skip
    assert code(answer) == "step_failed" and details(answer)["step"] == step.encode(), answer
    assert b"this node is what it was" in details(answer)["outcome"]
    assert serves(hello) and exists(hello, "alice") and not exists(hello, "bob")
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    with hello.xmpp("alice", "secret"), foo.xmpp("bob", "secret"):
        pass
    join(hello, foo)


def test_ejabberd_serves_again_when_the_target_dies_in_the_middle(pair):
    hello, foo = pair
    hello.load_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    plan = call(hello, f"plan({{join_as_master, '{foo.name}'}})")[1]
    [step] = [step["number"] for step in plan["steps"] if step["action"] == "commit_schema"]
    answer = hello.eval(KILL_TARGET.format(target=foo.name, step=step), timeout=60)
    assert code(answer) == "step_failed"
    foo.wait_until_dead()
    assert serves(hello)
    with hello.xmpp("alice", "secret"):
        pass
    foo.start()
    until(foo, "mnesia:system_info(db_nodes) =:= [node()]")
    with foo.xmpp("bob", "secret"):
        pass


def test_a_member_left_behind_is_told_after_this_node_was_restarted_too(plain_nodes):
    one, two = two_databases(plain_nodes)
    step = STEPS.index("commit_schema") + 1
    assert code(one.eval(KILL_TARGET.format(target=two.name, step=step), timeout=60)) == "step_failed"
    two.wait_until_dead()
    one.kill()
    one.start()
    one.load_easy_cluster()
    assert call(one, "status()")[1]["pending"] == [two.name]
    two.start()
    until(two, "mnesia:system_info(db_nodes) =:= [node()]")
    until(one, "maps:get(pending, easy_cluster_server:state()) =:= []")
    one.kill()
    one.start()
    one.load_easy_cluster()
    assert call(one, "status()")[1]["pending"] == []
    join(one, two)


def test_a_copy_that_a_lost_member_fails_has_failed_when_mnesia_has_ended_with_it(plain_nodes):
    one, two, three = plain_nodes("one", "two", "three")
    one.load_easy_cluster()
    two.eval("{atomic, ok} = mnesia:create_table(users, [{disc_copies, [node()]}])")
    for node in (one, three):
        node.load_easy_cluster()
        join(node, two, "join")
    two.eval("""
        Lock = fun() -> mnesia:write_lock_table(users), application:set_env(lab, locked, true), receive unlock -> ok end end,
        true = register(lab_lock, spawn(fun() -> mnesia:transaction(Lock) end))""")
    until(two, "application:get_env(lab, locked) =:= {ok, true}")
    one.eval(f"spawn(fun() -> application:set_env(lab, synced, easy_cluster_api:sync_node('{two.name}')) end), ok")
    until(two, "lists:any(fun({{Table, _}, _, _}) -> Table =:= schema end, mnesia:system_info(held_locks))")
    three.kill()
    until(one, f"not lists:member('{three.name}', mnesia:system_info(running_db_nodes))")
    assert one.eval("{easy_cluster_lock:holders(), application:get_env(lab, synced)}") == ([one.name], "undefined")
    two.eval("lab_lock ! unlock")
    until(one, "application:get_env(lab, synced) =/= undefined")
    ok, answer = one.eval("application:get_env(lab, synced)")
    assert code(answer) == "step_failed" and b"nodedown" in details(answer)["reason"], answer
    assert two.eval("mnesia:system_info(held_locks)") == [] == one.eval("easy_cluster_lock:holders()")
