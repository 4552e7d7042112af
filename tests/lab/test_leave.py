"""A node leaves: its clients go to the others, the members forget it, and it goes on alone, with the cluster's data or without."""

import pytest
from cluster import call, code, db_nodes, exists, join, serves, slices
from lab import Disconnected, wait_until
from test_alone import KILL_HERE, is_settled, steps
from test_rollback import kept, rows

#: Every member's tables, without those of ejabberd that lose rows by themselves, with the nodes of the processes that own rows.
OWNERS = """
    lists:usort([node(Pid) || Table <- [session, route, muc_online_room, bosh, s2s], lists:member(Table, mnesia:system_info(tables)),
                              Row <- ets:tab2list(Table), Pid <- pids(Row)])"""
PIDS = """
    Pids = fun Pids(Pid) when is_pid(Pid) -> [Pid];
               Pids(Tuple) when is_tuple(Tuple) -> Pids(tuple_to_list(Tuple));
               Pids([Head | Tail]) -> Pids(Head) ++ Pids(Tail);
               Pids(_Other) -> []
           end, """
#: Numbers one row after the other until it is told to stop; each was acknowledged.
WRITER = """
    Write = fun Write(N) ->
        {{atomic, ok}} = mnesia:transaction(fun() -> mnesia:write({{numbers, N, N}}) end),
        receive {{stop, From}} -> From ! {{written, N}} after 1 -> Write(N + 1) end
    end,
    true = register(writer, spawn(fun() -> Write(1) end)), ok"""
STOP_WRITER = "writer ! {stop, self()}, receive {written, N} -> N end"


def owners(node) -> list[str]:
    return node.eval(PIDS + OWNERS.replace("pids(Row)", "Pids(Row)"))


@pytest.fixture
def member(pair):
    """The second of two full replicas, with accounts."""
    hello, foo = pair
    hello.load_easy_cluster()
    for user in ("alice", "bob"):
        foo.register(user, "secret")
    join(hello, foo)
    return hello, foo


def test_it_goes_on_alone_with_the_data_of_the_cluster_and_joins_again_at_once(member):
    hello, foo = member
    hello.eval("{atomic, ok} = mnesia:create_table(memory, [{ram_copies, mnesia:system_info(db_nodes)}]), "
               "mnesia:dirty_write({memory, 1, 1})")  # fmt: skip
    foo.eval("{atomic, ok} = mnesia:create_table(elsewhere, [{disc_only_copies, [node()]}, {type, bag}]), "
             "[mnesia:dirty_write({elsewhere, 1, N}) || N <- [1, 2]], "
             "{atomic, ok} = mnesia:create_table(numbers, [{disc_copies, mnesia:system_info(db_nodes)}])")  # fmt: skip
    foo.eval(WRITER.format())
    assert call(hello, "leave()") == "ok"
    last = foo.eval(STOP_WRITER)
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert serves(hello) and exists(hello, "alice") and exists(hello, "bob")
    assert rows(foo, "numbers") == list(range(1, last + 1))
    numbers = rows(hello, "numbers")
    assert numbers == list(range(1, len(numbers) + 1)), "a backup of one moment"
    assert hello.eval("lists:sort(mnesia:dirty_read(elsewhere, 1))") == [("elsewhere", 1, 1), ("elsewhere", 1, 2)]
    assert rows(hello, "memory") == [1]
    assert kept(hello) == ["join_as_master", "leave"]
    assert not (hello.spool / "easy_cluster" / "backup").exists() or not list((hello.spool / "easy_cluster" / "backup").iterdir())
    with hello.xmpp("alice", "secret"), foo.xmpp("bob", "secret"):
        pass
    for node in (foo, hello):
        node.stop()
        node.start()
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert exists(hello, "alice") and rows(hello, "memory") == []
    hello.load_easy_cluster()
    join(hello, foo)
    assert hello.members() == foo.members() == {hello.name, foo.name}
    assert rows(hello, "numbers") == list(range(1, last + 1))


def test_it_goes_on_without_data_when_asked_and_that_is_taken_back_by_joining_again(member):
    hello, foo = member
    assert call(hello, "leave(#{data => empty})") == "ok"
    assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    assert serves(hello) and not exists(hello, "alice") and exists(foo, "alice")
    assert call(hello, "rollback()") == "ok"
    assert hello.members() == foo.members() == {hello.name, foo.name}
    assert exists(hello, "alice")


def test_clients_and_rooms_go_to_the_others(member):
    hello, foo = member
    room = "[<<\"room\">>, <<\"conference.localhost\">>, <<\"localhost\">>, [{<<\"persistent\">>, <<\"true\">>}]]"
    assert hello.eval(f"apply(mod_muc_admin, create_room_with_opts, {room})") == "ok"
    alice, bob = hello.xmpp("alice", "secret"), foo.xmpp("bob", "secret")
    wait_until(lambda: hello.name in owners(foo), 5, "rows of this node on the member")
    answer = hello.eval("""
        {ok, Plan} = easy_cluster_api:plan(leave),
        Self = self(),
        easy_cluster_executor:commit(Plan, fun
            ({step, done, #{action := drain}, Evidence}) -> Self ! {drained, Evidence}, ok;
            (_Event) -> ok
        end),
        receive {drained, Evidence} -> Evidence after 0 -> none end""", timeout=60)  # fmt: skip
    assert answer == {"sessions": 1, "rooms": 1}
    with pytest.raises(Disconnected, match="reset"):
        alice.receive()
    assert owners(foo) == [foo.name]
    with foo.xmpp("alice", "secret") as again:
        bob.send(again, "still here")
        assert again.receive() == ("bob@localhost", "still here")
    assert foo.eval("[Room || {muc_room, {Room, _}, _} <- [list_to_tuple(lists:sublist(tuple_to_list(R), 3)) || "
                    "R <- ets:tab2list(muc_room)]]") == [b"room"]  # fmt: skip


def test_a_drain_that_fails_lets_clients_in_again(member):
    hello, foo = member
    with hello.xmpp("alice", "secret"):
        # A session whose process is none that ends when it is told to.
        hello.eval("Pid = spawn(fun() -> receive never -> ok end end), [Session | _] = ets:tab2list(session), "
                   "mnesia:dirty_write(setelement(2, Session, {erlang:timestamp(), Pid}))")  # fmt: skip
        answer = call(hello, "leave()", timeout=60)
    assert code(answer) == "step_failed" and b"sessions_left" in answer[1][1]["reason"]
    assert hello.members() == foo.members() == {hello.name, foo.name} and serves(hello)
    with hello.xmpp("alice", "secret"):
        pass
    assert not any((hello.spool / "easy_cluster" / "backup").glob("*")), "what was made beside is gone"
    assert not any((hello.spool / "easy_cluster" / "staging").glob("*/*"))


def test_a_table_that_only_this_node_has_goes_to_a_member(member):
    hello, foo = member
    hello.eval("[begin {atomic, ok} = mnesia:create_table(T, [{S, [node()]}]), [mnesia:dirty_write({T, N, N}) || "
               "N <- lists:seq(1, 50)] end || {T, S} <- [{only_disc, disc_copies}, {only_ram, ram_copies}]]")  # fmt: skip
    assert call(hello, "leave(#{data => empty})") == "ok"
    assert rows(foo, "only_disc") == rows(foo, "only_ram") == list(range(1, 51))
    assert foo.eval("mnesia:table_info(only_disc, storage_type)") == "disc_copies"
    assert hello.eval("lists:member(only_disc, mnesia:system_info(tables))") is False


def test_who_is_alone_or_misses_a_member_does_not_leave(member):
    hello, foo = member
    foo.kill()
    assert code(call(hello, "leave()")) == "member_down"
    foo.start()
    wait_until(lambda: foo.members() == hello.members() == {hello.name, foo.name}, 10, "the cluster")
    assert call(hello, "leave(#{data => empty})") == "ok"
    assert code(call(hello, "leave()")) == "not_in_a_cluster"


@pytest.fixture
def installed(pair):
    """As `member`, with easy_cluster installed, so that ejabberd starts it."""
    hello, foo = pair
    hello.install_easy_cluster()
    foo.register("bob", "secret")
    join(hello, foo)
    return hello, foo


STEPS = ["connect", "back_up", "build_database", "drain", "stop_application", "dump_log", "stop_mnesia", "keep_member",
         "delete_logs", "commit_schema", "replace_files", "forget_here", "reopen_mnesia", "clear_caches", "start_application",
         "drop_back_up", "verify"]  # fmt: skip
SWITCH = STEPS.index("commit_schema")
MOMENTS = [("back_up", "begun"), ("back_up", "done"), ("build_database", "begun"), ("drain", "done"), ("stop_mnesia", "done"),
           ("delete_logs", "done"), ("commit_schema", "done"), ("replace_files", "done"), ("forget_here", "begun"),
           ("forget_here", "done"), ("reopen_mnesia", "done"), ("drop_back_up", "begun"), ("verify", "begun")]  # fmt: skip


@pytest.mark.parametrize("name, moment", slices(MOMENTS, 2, 6, 9), ids=lambda value: value)
def test_a_kill_ends_in_what_was_or_in_what_was_wanted(installed, name, moment):
    hello, foo = installed
    assert steps(hello, "leave") == STEPS
    hello.eval_until_it_dies(KILL_HERE.format(operation="leave", step=STEPS.index(name) + 1, moment=moment))
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    outcome = [past["outcome"] for past in call(hello, "history()")[1]][-1]
    assert serves(hello) and exists(foo, "bob") and exists(hello, "bob")
    assert not any((hello.spool / "easy_cluster" / "backup").glob("*"))
    if STEPS.index(name) > SWITCH or (name, moment) == ("commit_schema", "done"):
        assert outcome == "done" and db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name}
    else:
        assert outcome == "undone" and hello.members() == foo.members() == {hello.name, foo.name}
        assert call(hello, "leave()", timeout=60) == "ok"
    foo.stop()
    foo.start()
    assert db_nodes(foo) == {foo.name} and exists(foo, "bob")


KILL_MEMBER = """
    {{ok, Plan}} = easy_cluster_api:plan(leave),
    easy_cluster_executor:commit(Plan, fun
        ({{step, begun, #{{number := {step}}}, _}}) ->
            {{error, _}} = easy_cluster_rpc:call('{target}', erlang, halt, [137, [{{flush, false}}]], 5000), ok;
        (_Event) -> ok
    end)"""


DEATHS = ["back_up", "drain", "stop_mnesia", "commit_schema", "forget_here", "reopen_mnesia"]


@pytest.mark.parametrize("name", slices(DEATHS, 3))
def test_a_member_that_dies_meanwhile_is_told_when_it_is_back_or_has_its_member_still(member, name):
    hello, foo = member
    step = STEPS.index(name) + 1
    answer = hello.eval(KILL_MEMBER.format(target=foo.name, step=step), timeout=90)
    foo.wait_until_dead()
    assert serves(hello) and exists(hello, "bob")
    if answer[0] == "ok":
        assert db_nodes(hello) == {hello.name}
        foo.start()
        wait_until(lambda: db_nodes(foo) == {foo.name}, 20, "the member to be told")
        wait_until(lambda: call(hello, "status()")[1]["pending"] == [], 20, "nothing to be pending")
    else:
        assert code(answer) == "step_failed" and db_nodes(hello) == {hello.name, foo.name}, answer
        foo.start()
        wait_until(lambda: foo.members() == hello.members() == {hello.name, foo.name}, 20, "the cluster")
    assert exists(foo, "bob")


def test_a_member_that_starts_is_told_without_seeing_the_one_that_left(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    join(one, two)
    one.eval(f"easy_cluster_bar:here(['{two.name}'])")
    two.eval("application:stop(mnesia)")
    two.eval("""
        Self = self(),
        Watch = fun Watch(Seen) ->
                    receive {nodeup, Node, _} -> Watch([Node | Seen]); {seen, To} -> To ! {seen, Seen}; _ -> Watch(Seen) end
                end,
        register(watcher, spawn(fun() -> ok = net_kernel:monitor_nodes(true, [{node_type, all}]), Self ! watching, Watch([]) end)),
        receive watching -> ok end""")  # fmt: skip
    assert one.eval(f"easy_cluster_forget:retry('{two.name}', 5000)") == ("error", "mnesia_not_running")
    seen = two.eval("watcher ! {seen, self()}, receive {seen, Seen} -> Seen end")
    assert one.name not in seen and any(name.startswith("easy_cluster_asks@") for name in seen), seen
