"""A policy, and the cluster that follows it, on real ejabberd nodes."""

import signal

from cluster import call, code, details, join, replicas_of, until
from lab import wait_until


def stored(node) -> dict[str, dict[str, str]]:
    """How each table is stored on each of its nodes, as this node sees it."""
    rows = node.eval("""
        [{Table, Node, Storage} || Table <- mnesia:system_info(tables), Storage <- [ram_copies, disc_copies, disc_only_copies],
                                   Node <- mnesia:table_info(Table, Storage)]""")
    found = {}
    for table, holder, storage in rows:
        found.setdefault(table, {})[holder] = storage
    return found


def state(node, key: str):
    return node.eval(f"maps:get({key}, maps:get(reconciler, easy_cluster_watch:state()))")


def finding(node):
    return state(node, "finding")


def set_times(nodes, **milliseconds):
    """How soon all of them look, with `settle` and `retry`, and how long the others are waited for, with `timeout`."""
    for node in nodes:
        for name, value in milliseconds.items():
            node.eval(f"application:set_env(easy_cluster, sync_{name}, {value})")
        node.eval("application:set_env(easy_cluster, watch_tick, 100), easy_cluster_watch:changed()")


def give(node, policy: str):
    """Gives the node a policy as an operator does."""
    node.eval(f'easy_cluster_policy:set(<<"{policy}">>), easy_cluster_watch:changed()')


def test_repair_brings_a_cluster_to_its_policy(pair):
    hello, foo = replicas_of(pair)
    assert code(call(hello, "repair()")) == "no_policy"
    foo.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{foo.name}']}}])")
    foo.eval("[ok = mnesia:dirty_write({stock, I, I}) || I <- lists:seq(1, 1000)], ok")
    # Written all the time without transactions, as most of ejabberd's modules do, while both copies are stored otherwise.
    foo.eval(f"{{atomic, ok}} = mnesia:create_table(busy, [{{disc_copies, ['{hello.name}', '{foo.name}']}}])")
    foo.eval("[ok = mnesia:dirty_write({busy, I, I}) || I <- lists:seq(1, 20000)], ok")
    foo.eval("""
        Write = fun(Write, N) -> ok = mnesia:dirty_write({busy, {more, N}, N}), receive {stop, From} -> From ! {written, N} after 1 -> Write(Write, N + 1) end end,
        true = register(lab_writer, spawn(fun() -> Write(Write, 1) end))""")
    policy = f"""
copies: all
tables:
  stock: {{storage: disc_only_copies}}
  busy: {{storage: disc_only_copies}}
  roster: {{copies: 1, pins: {hello.name}}}
leave_alone: [vcard]
"""
    hello.eval(f'application:set_env(easy_cluster, policy, "{policy}")')
    before = stored(hello)
    ok, plan = call(hello, "repair(#{dry_run => true})")
    assert ok == "ok" and stored(hello) == before
    assert call(hello, "repair()") == "ok"
    written = foo.eval("lab_writer ! {stop, self()}, receive {written, N} -> N end")
    for node in pair:
        until(node, f"[] =:= [N || N <- lists:seq(1, {written}), mnesia:dirty_read(busy, {{more, N}}) =:= []]")
        assert node.eval("mnesia:table_info(busy, size)") == 20000 + written > 20050, written
    after = stored(foo)
    shown = foo.shell("easy_cluster:tables().")
    assert "stock" in shown and "disc_only" in shown, shown
    [stock] = [table for table in call(hello, "tables()")[1]["tables"] if table["table"] == "stock"]
    assert stock["rows"] == 1000 and not stock["drift"]
    assert {copy["node"]: copy["wanted"] for copy in stock["copies"]} == after["stock"]
    assert after["stock"] == after["busy"] == {hello.name: "disc_only_copies", foo.name: "disc_only_copies"}
    assert after["roster"] == {hello.name: before["roster"][hello.name]} and after["vcard"] == before["vcard"]
    assert all(node.eval("length(mnesia:dirty_all_keys(stock))") == 1000 for node in (hello, foo))
    [learned] = [made for made in hello.eval("easy_cluster_history:copied(mnesia:system_info(directory))") if made["table"] == "stock"
                 and made["storage"] == "disc_only_copies" and made["rows"] == 1000]
    assert learned["milliseconds"] > 0
    again = call(hello, "repair(#{dry_run => true})")[1]
    assert [step["action"] for step in again["steps"]] == ["verify"]
    assert "repair" in hello.printed("easy_cluster_api:history()")
    # A copy that has something which no other has stays until that is archived, whether its node has easy_cluster or not.
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(drifted, [{{disc_copies, ['{hello.name}', '{foo.name}']}}])")
    hello.eval("[ok = mnesia:dirty_write({drifted, I, I}) || I <- lists:seq(1, 3000)], ok")
    until(foo, "ets:info(drifted, size) =:= 3000")
    foo.eval("true = ets:insert(drifted, {drifted, only, there}), true = ets:delete(drifted, 2711)")
    wanted_once = policy.replace("leave_alone:", f"  drifted: {{copies: 1, pins: {hello.name}}}\nleave_alone:")
    hello.eval(f'application:set_env(easy_cluster, policy, "{wanted_once}")')

    def refused():
        answer = call(hello, "repair()")
        assert code(answer) == "copy_differs", answer
        told = details(answer)
        assert (told["table"], told["node"], told["other"]) == ("drifted", foo.name, hello.name)
        assert (told["keys"], told["only_there"], told["missing_there"], told["more"]) == (2, 1, 1, False)
        assert [problem[0] for problem in told["problems"]] == ["copy_differs", "step_failed"]
        assert set(stored(hello)["drifted"]) == {hello.name, foo.name} and foo.eval("ets:lookup(drifted, only)")

    refused()
    forget_easy_cluster(foo)
    refused()
    foo.load_easy_cluster()
    assert call(hello, f"repair(#{{table => drifted, winner => '{foo.name}'}})") == "ok"
    forget_easy_cluster(foo)
    assert call(hello, "repair()") == "ok"
    assert set(stored(hello)["drifted"]) == {hello.name} and hello.eval("mnesia:dirty_read(drifted, only)")


def forget_easy_cluster(node):
    """As if it had never been loaded there."""
    node.eval("""
        _ = application:stop(easy_cluster), _ = application:unload(easy_cluster), true = code:del_path(easy_cluster),
        Ours = [Module || {Module, _} <- code:all_loaded(), lists:prefix("easy_cluster", atom_to_list(Module))],
        [begin code:purge(Module), code:delete(Module), code:purge(Module) end || Module <- Ours], ok""")


POLICY = """
modules:
  mod_easy_cluster:
    policy:
      sync: auto
      nodes:
        ejabberd@third.host:
          zone: far
      classes:
        durable:
          storage: disc_copies
      tables:
        stock:
          storage: disc_only_copies
        notes:
          copies: 2
          pins: ejabberd@third.host
        passwd:
          exclusions: [ejabberd@foo.bar]
"""


def follow(nodes, policy):
    """Gives all of them the policy, in the file that module_install has made."""
    for node in nodes:
        (node.config_folder / "modules.d" / "easy_cluster.yml").write_text(policy)
    for node in nodes:
        assert node.eval("ejabberd_admin:reload_config()") == "ok"


def wanted(node) -> dict[str, dict[str, str]]:
    """How each table should be stored on each of its nodes, by what the core makes of the policy; nothing while it is being brought there."""
    return {
        table["table"]: {copy["node"]: copy["storage"] for copy in table["wanted"]}
        for table in node.eval("""
            Policy = easy_cluster_policy:current(),
            Snapshot = easy_cluster_gather:snapshot([], 5000),
            case easy_cluster_native:call(topology, #{snapshot => Snapshot, policy => Policy}) of
                {ok, #{topology := #{tables := Tables}}} -> Tables;
                {error, {unfinished_operation, #{}}} -> []
            end""")
    }


def converge(nodes, seconds=60):
    """Waits until all see each table where it should be, and nobody has anything left to do."""
    ours = lambda found: {table: holders for table, holders in found.items() if table != "schema"}  # noqa: E731

    def there() -> bool:
        target = wanted(nodes[0])
        return bool(target) and all(ours(stored(node)) == target for node in nodes)

    wait_until(there, seconds, "the wanted state")


def test_three_nodes_converge_unattended(uneven):
    hello, foo, third = uneven
    for node in uneven:
        node.install_easy_cluster()
    set_times(uneven, settle=200, retry=500)
    hello.register("alice", "secret")
    join(foo, hello, "join")
    join(third, hello)
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{hello.name}']}}])")
    foo.eval(f"{{atomic, ok}} = mnesia:create_table(notes, [{{ram_copies, ['{foo.name}']}}])")
    hello.eval("[ok = mnesia:dirty_write({stock, I, I}) || I <- lists:seq(1, 1000)], ok")
    follow(uneven, POLICY)
    converge(uneven)
    end = stored(foo)
    everywhere = {node.name for node in uneven}
    assert end["stock"] == {name: "disc_only_copies" for name in everywhere}
    assert end["notes"] == {third.name: "disc_copies", foo.name: "disc_copies"}, "the far one, and where it was"
    assert set(end["passwd"]) == {hello.name, third.name}
    assert set(end["muc_room"]) == set(end["roster"]) == everywhere, "also where the module does not run"
    (hello.config_folder / "modules.d" / "easy_cluster.yml").write_text(POLICY.replace("copies: 2", "copis: 2"))
    refused = hello.text("element(2, ejabberd_admin:reload_config())")
    assert "policy" in refused and "perhaps copies was meant" in refused and "line 16" in refused, refused
    assert b'"copies": 2' in hello.eval("easy_cluster_policy:current()")
    (hello.config_folder / "modules.d" / "easy_cluster.yml").write_text(POLICY)
    # What others undo, and what is new.
    hello.eval(f"{{atomic, ok}} = mnesia:change_table_copy_type(stock, '{foo.name}', disc_copies)")
    hello.eval(f"{{atomic, ok}} = mnesia:del_table_copy(roster, '{third.name}')")
    third.eval(f"{{atomic, ok}} = mnesia:create_table(later, [{{disc_copies, ['{third.name}']}}])")
    converge(uneven)
    assert set(stored(hello)["later"]) == everywhere
    # The first by name acts, and is gone; what was made meanwhile reaches it when it is back.
    foo.kill()
    third.eval(f"{{atomic, ok}} = mnesia:create_table(meanwhile, [{{disc_copies, ['{third.name}']}}])")
    until(hello, "mnesia:table_info(meanwhile, storage_type) =:= disc_copies", 30)
    foo.start()
    converge(uneven)
    assert set(stored(hello)["meanwhile"]) == everywhere
    assert all(node.eval("length(mnesia:dirty_all_keys(stock))") == 1000 for node in uneven)
    # Without the module there is no policy, and another one sees to it.
    assert found(hello, "follows") == ("follows", foo.name)
    follow([foo], "modules: {}")
    assert foo.eval("easy_cluster_policy:current()") == "undefined" and found(foo, "no_policy")
    found(hello, "as_wanted")
    follow([foo], POLICY)
    assert found(hello, "follows") == ("follows", foo.name)


def found(node, kind: str):
    """Waits until a look of this node's has come to something of this kind."""
    wait_until(lambda: (result := finding(node)) == kind or isinstance(result, tuple) and result[0] == kind, 30, f"a look to come to {kind}")
    return finding(node)


def test_it_is_proposed_agreed_on_and_paused(pair):
    hello, foo = replicas_of(pair)
    first, second = foo, hello
    both = {first.name, second.name}
    set_times(pair, settle=200, retry=200, timeout=1000)
    first.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{first.name}']}}])")
    give(second, "sync: propose")
    assert found(second, "proposed")[1]["steps"] == 1
    give(first, "sync: propose")
    assert found(first, "proposed")[1]["steps"] == 1
    assert "policy      the policy wants 1 change" in first.shell("easy_cluster:status().")
    assert found(second, "follows") == ("follows", first.name)
    give(second, "sync: auto")
    give(first, "sync: auto")
    found(first, "as_wanted")
    assert set(stored(second)["stock"]) == both
    # The others are asked only when there is something to agree on.
    give(second, "copies: 1")
    assert found(first, "differs") == ("differs", [second.name])
    assert call(second, "pause()")[0] == "ok"
    give(second, "sync: auto")
    wait_until(lambda: set(found(first, "paused")[1]) == both, 20, "a look after both had been paused")
    first.eval(f"{{atomic, ok}} = mnesia:del_table_copy(stock, '{second.name}')")
    first.eval("easy_cluster_watch:look()")
    assert code(call(second, "repair()")) == "paused" and set(stored(second)["stock"]) == {first.name}
    assert call(second, "resume()")[0] == "ok"
    found(first, "as_wanted")
    assert set(stored(second)["stock"]) == both
    give(first, "copies: 3")
    give(second, "copies: 3")
    assert found(first, "impossible")[1][0][0] == "policy_too_few_nodes"
    give(first, "sync: 'off'")
    found(first, "off")
    # One that is paused has a say without a policy, too; one that cannot be asked may be paused.
    second.eval("easy_cluster_policy:set(undefined), easy_cluster_pause:pause_here(), ok")
    first.eval(f"{{atomic, ok}} = mnesia:del_table_copy(stock, '{second.name}')")
    give(first, "sync: auto")
    assert found(first, "paused") == ("paused", [second.name])
    second.eval("easy_cluster_pause:continue_here()")
    second.signal(signal.SIGSTOP)
    first.eval("easy_cluster_watch:look()")
    assert found(first, "silent") == ("silent", [second.name])
    assert set(stored(first)["stock"]) == {first.name}
    second.signal(signal.SIGCONT)
    found(first, "as_wanted")
    assert set(stored(second)["stock"]) == both
    # Where easy_cluster has been stopped nobody acts, and so nobody is followed.
    give(second, "sync: auto")
    assert found(second, "follows") == ("follows", first.name)
    first.eval("application:stop(easy_cluster)")
    second.eval("easy_cluster_watch:look()")
    found(second, "as_wanted")
    # One of another release says what is not understood, and may be paused.
    first.eval("""
        Any = {var, 3, '_'}, Answer = {tuple, 3, [{atom, 3, other_version}, {map, 3, []}]},
        {ok, Peer, Code} = compile:forms([{attribute, 1, module, easy_cluster_peer}, {attribute, 2, export, [{answer, 2}]},
                                          {function, 3, answer, 2, [{clause, 3, [Any, Any], [], [Answer]}]}]),
        {module, Peer} = code:load_binary(Peer, "another release", Code)""")
    second.eval("easy_cluster_watch:look()")
    assert found(second, "other_version") == ("other_version", [first.name])
    assert "other_version" in second.shell("easy_cluster:status().")
    answers = dict(second.eval("easy_cluster_pause:pause(5000)"))
    assert answers[second.name] == "ok" and answers[first.name][1][0] == "other_version", answers


def lock(node, table):
    """Holds the table until `lab_lock` is told to unlock: nobody copies it meanwhile."""
    node.eval(f"""
        Lock = fun() -> mnesia:write_lock_table({table}), application:set_env(lab, locked, true), receive unlock -> ok end end,
        application:set_env(lab, locked, false),
        true = register(lab_lock, spawn(fun() -> mnesia:transaction(Lock) end))""")
    until(node, "application:get_env(lab, locked) =:= {ok, true}")


def hold(node):
    """Holds the lock of the cluster until `lab_cluster_lock` is told to unlock, as an operation of this node would."""
    node.eval("""
        Nodes = mnesia:system_info(running_db_nodes),
        Hold = fun() -> ok = easy_cluster_lock:take(Nodes), application:set_env(lab, held, true), receive unlock -> easy_cluster_lock:release(Nodes) end end,
        application:set_env(lab, held, false), true = register(lab_cluster_lock, spawn(Hold))""")
    until(node, "application:get_env(lab, held) =:= {ok, true}")


def test_what_fails_or_is_undone_is_put_off(pair):
    hello, foo = replicas_of(pair)
    first, second = foo, hello
    holders = lambda: set(stored(first)["stock"])  # noqa: E731
    undo = f"{{atomic, ok}} = mnesia:del_table_copy(stock, '{second.name}'), ok"
    set_times(pair, settle=50, retry=100)
    first.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{first.name}']}}])")
    # Somebody else has the cluster's lock: each time it takes twice as long, whatever happens to the schema.
    hold(second)
    give(first, "sync: auto")
    assert found(first, "failed")[1][0][0] == "operation_in_progress"
    wait_until(lambda: state(first, "put_off") > 400, 20, "the fourth failure")
    set_times([first], retry=60000)
    wait_until(lambda: state(first, "put_off") > 200000, 20, "a long wait")
    second.eval("lab_cluster_lock ! unlock, ok")
    until(second, "easy_cluster_lock:holders() =:= []")
    assert first.eval("easy_cluster_watch ! tick, maps:get(looking, maps:get(reconciler, easy_cluster_watch:state()))") is False
    assert state(first, "lately") == [] and holders() == {first.name}
    # Whoever changes the policy, the members or asks for it wants it now.
    assert first.eval("easy_cluster_watch:look(), 0 =:= maps:get(put_off, maps:get(reconciler, easy_cluster_watch:state()))") is True
    change = {"table": "stock", "node": second.name}
    found(first, "as_wanted")
    assert state(first, "lately") == [change] and holders() == {first.name, second.name}
    # Undone before the next look: to do it again at once would be no better.
    set_times([first], settle=4000)
    first.eval(undo)
    assert found(first, "brought")
    first.eval(undo)
    found(first, "in_vain")
    assert state(first, "put_off") > 50000 and state(first, "lately") == [change] * 3
    assert "and the policy wants the same again; that is tried again later" in first.shell("easy_cluster:status().")
    # And after three times within an hour it is left alone, other than by somebody who means it.
    set_times([first], settle=50)
    first.eval(undo)
    first.eval("easy_cluster_watch:look()")
    assert [warning for warning, _ in found(first, "waits")[1]] == ["policy_undone"]
    assert holders() == {first.name}
    assert "policy      not everything is as wanted yet" in first.shell("easy_cluster:status().")
    assert call(first, "repair()") == "ok" and holders() == {first.name, second.name}
    first.eval(undo)
    give(first, "{sync: auto, copies: 2}")
    # All was as wanted before, too: what was done for the other policy does not count any more.
    wait_until(lambda: state(first, "lately") == [change], 30, "a look with the new policy")
    assert holders() == {first.name, second.name}


def test_others_do_not_wait_for_a_table_whose_copy_is_not_deleted(pair):
    hello, foo = replicas_of(pair)
    first, second = foo, hello
    holders = lambda: {table: set(stored(first)[table]) for table in ("drifted", "equal")}  # noqa: E731
    for table in ("drifted", "equal"):
        first.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, ['{first.name}', '{second.name}']}}])")
        first.eval(f"[ok = mnesia:dirty_write({{{table}, I, I}}) || I <- lists:seq(1, 100)], ok")
        until(second, f"ets:info({table}, size) =:= 100")
    second.eval("true = ets:insert(drifted, {drifted, only, there})")
    set_times(pair, settle=50, retry=60000)
    once = f"{{copies: 1, pins: {first.name}}}"
    give(first, f"{{sync: auto, tables: {{drifted: {once}, equal: {once}}}}}")
    [(problem, evidence)] = found(first, "waits")[1]
    assert (problem, evidence["table"], evidence["node"]) == ("copy_differs", "drifted", second.name)
    assert holders() == {"drifted": {first.name, second.name}, "equal": {first.name}}
    assert [past["outcome"] for past in call(first, "history()")[1]] == ["stopped", "done"], "the one that is refused was first"
    status = first.shell("easy_cluster:status().")
    assert "not everything is as wanted yet" in status and f"the copy of drifted on {second.name} is not that on {first.name}" in status
    second.eval("true = ets:delete(drifted, only)")
    first.eval("easy_cluster_watch:look()")
    found(first, "as_wanted")
    assert holders() == {"drifted": {first.name}, "equal": {first.name}}


def falls(node):
    """Has all servers meet what they do not know, which they survive, and then be killed: those that look as fast and often as they come back."""
    node.eval("""
        Servers = [easy_cluster_server, easy_cluster_watch],
        Pids = [whereis(Server) || Server <- Servers],
        Again = fun(Again, Server, Old) -> case whereis(Server) of New when is_pid(New), New =/= Old -> New; _ -> erlang:yield(), Again(Again, Server, Old) end end,
        Kill = fun(Server) -> Old = whereis(Server), exit(Old, kill), Again(Again, Server, Old) end,
        [begin Server ! {what, is, this}, gen_server:cast(Server, {what, is, this}), sys:get_state(Server) end || Server <- Servers],
        Pids = [whereis(Server) || Server <- Servers],
        [Kill(easy_cluster_watch) || _ <- lists:seq(1, 9)],
        true = hd(Pids) =:= whereis(easy_cluster_server),
        Kill(easy_cluster_server), ok""")


def test_how_far_it_is_is_told_everywhere_and_it_ends_behind_a_step(pair):
    hello, foo = replicas_of(pair)
    for table in ("one", "two"):
        hello.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, ['{hello.name}']}}])")
    lock(hello, "one")
    hello.eval("""
        application:set_env(easy_cluster, policy, <<"copies: all">>),
        Repair = fun() -> application:set_env(lab, repaired, easy_cluster_api:repair()) end, spawn(Repair), ok""")
    wait_until(lambda: call(foo, "status()")[1]["elsewhere"], 20, "the other one to tell of it")
    [(node, operation)] = call(foo, "status()")[1]["elsewhere"]
    assert node == hello.name and operation["progress"]["steps"] == (0, 3) and operation["progress"]["tables"] == (0, 2)
    under_way = f"under way   {operation['id'].decode()} on {hello.name}: 0 of 3 steps, 0 of 2 tables"
    assert under_way in foo.shell("easy_cluster:status().")
    falls(hello)
    assert code(call(hello, "repair()")) == "operation_in_progress" and under_way in foo.shell("easy_cluster:status().")
    # ejabberd adds the very same copy, as it does when it starts; whoever has the schema's lock comes first.
    until(hello, "[schema] =:= lists:usort([Table || {{Table, _}, _, _} <- mnesia:system_info(held_locks), Table =:= schema])")
    foo.eval("Add = fun() -> application:set_env(lab, added, mnesia:add_table_copy(one, node(), disc_copies)) end, spawn(Add), ok")
    assert call(foo, "pause()")[0] == "ok"
    hello.eval("lab_lock ! unlock")
    until(foo, "application:get_env(lab, added) =/= undefined")
    assert foo.eval("application:get_env(lab, added)") == ("ok", ("aborted", ("already_exists", "one", foo.name)))
    until(hello, "application:get_env(lab, repaired) =/= undefined")
    ok, answer = hello.eval("application:get_env(lab, repaired)")
    assert code(answer) == "paused" and (answer[1][1]["done"], answer[1][1]["left"]) == (1, 2), "whoever asked is told, too"
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == "stopped" and "easy_cluster_recovered" in hello.log()
    assert set(stored(hello)["one"]) == {hello.name, foo.name} and set(stored(hello)["two"]) == {hello.name}
    assert call(hello, "resume()")[0] == "ok" and call(hello, "repair()") == "ok"
    assert set(stored(hello)["two"]) == {hello.name, foo.name}
    # Two that wait for the schema's lock with the deletion of the other's copy.
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(three, [{{disc_copies, ['{hello.name}']}}]), application:unset_env(lab, locked)")
    lock(hello, "three")
    hello.eval(f"spawn(mnesia, add_table_copy, [three, '{foo.name}', disc_copies]), ok")
    until(hello, "[schema] =:= lists:usort([Table || {{Table, _}, _, _} <- mnesia:system_info(held_locks), Table =:= schema])")
    for node, other in ((hello, foo), (foo, hello)):
        node.eval(f"""
            Step = {{delete_copy_on, #{{table => one, class => durable, node => '{other.name}', others => 1}}}},
            Delete = fun() -> application:set_env(lab, deleted, catch easy_cluster_step:run(Step, #{{timeout => 5000}})) end,
            spawn(Delete), ok""")
    for node, waiting in ((hello, 2), (foo, 1)):
        until(node, f"{waiting} =:= length([Pid || Pid <- processes(),"
                    " {_, {mnesia_schema, schema_transaction, 1}} <- [process_info(Pid, current_function)]])")  # fmt: skip
    hello.eval("lab_lock ! unlock")
    for node in pair:
        until(node, "application:get_env(lab, deleted) =/= undefined")
    answers = {node.name: node.eval("element(2, application:get_env(lab, deleted))") for node in pair}
    [(name, refused)] = [(name, answer) for name, answer in answers.items() if answer != ("ok", {})]
    reason, (problem, evidence) = refused[1]
    assert (reason, problem, evidence["others"]) == ("refused", "too_few_other_copies", []), answers
    assert set(stored(hello)["one"]) == {hello.name, foo.name} - {name}
    # To have done it already is success.
    for table in ("one", "gone"):
        again = f"{{delete_copy_on, #{{table => {table}, class => durable, node => '{name}', others => 1}}}}"
        assert all(node.eval(f"easy_cluster_step:run({again}, #{{timeout => 5000}})") == ("ok", {}) for node in pair)


def last(node) -> tuple[bytes, str]:
    """The last operation of a node, and what came of it."""
    [past] = call(node, "history()")[1][-1:]
    return past["operation"], past["outcome"]


UNFINISHED = "easy_cluster_history:unfinished(mnesia:system_info(directory))"
COPYING = "[schema] =:= lists:usort([Table || {{Table, _}, _, _} <- mnesia:system_info(held_locks), Table =:= schema])"


def test_what_a_kill_leaves_of_a_repair_is_planned_anew_and_what_it_leaves_of_a_sync_waits_for_the_lock(pair):
    hello, foo = replicas_of(pair, install=True)
    for table in ("one", "two"):
        foo.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, ['{foo.name}']}}])")
    lock(foo, "two")
    hello.eval('application:set_env(easy_cluster, policy, <<"copies: all">>), spawn(easy_cluster, repair, []), ok')
    until(foo, f"lists:member('{hello.name}', mnesia:table_info(one, disc_copies))")
    # Mnesia names a holder from when the copy is prepared, and takes it back when it comes to nothing.
    until(foo, f"lists:member('{hello.name}', mnesia:table_info(two, disc_copies))")
    hello.kill()
    foo.eval("lab_lock ! unlock")
    until(foo, f"mnesia:table_info(two, disc_copies) =:= ['{foo.name}']")
    hold(foo)
    hello.start()
    until(hello, f"{UNFINISHED} =:= undefined")
    assert set(stored(foo)["two"]) == {foo.name} and last(hello) == (b"repair", "stopped")
    foo.eval("lab_cluster_lock ! unlock")
    hello.eval('easy_cluster_policy:set(<<"{copies: all, sync: auto}">>), easy_cluster_watch:changed()')
    until(foo, f"lists:member('{hello.name}', mnesia:table_info(two, disc_copies))")
    found(hello, "as_wanted")
    # Nobody has a policy from here on.
    hello.eval("application:unset_env(easy_cluster, policy)")
    foo.eval(f"{{atomic, ok}} = mnesia:create_table(three, [{{disc_copies, ['{foo.name}']}}])")
    lock(foo, "three")
    hello.eval(f"spawn(easy_cluster, sync_node, ['{foo.name}']), ok")
    until(foo, COPYING)
    hello.kill()
    foo.eval("lab_lock ! unlock")
    hold(foo)
    hello.start()
    wait_until(lambda: "operation_in_progress" in hello.log_tail(1000), 20, "the recovery to find the lock taken")
    assert hello.eval(UNFINISHED) != "undefined" and set(stored(foo)["three"]) == {foo.name}
    assert code(call(hello, "resume()")) == "operation_in_progress"
    foo.eval("lab_cluster_lock ! unlock")
    until(hello, f"{UNFINISHED} =:= undefined")
    assert set(stored(foo)["three"]) == {hello.name, foo.name} and last(hello) == (f"sync_node {foo.name}".encode(), "done")


def test_a_mnesia_that_stops_ends_what_copies_and_frees_the_lock(pair):
    hello, foo = replicas_of(pair)
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(one, [{{disc_copies, ['{foo.name}']}}])")
    lock(foo, "one")
    hello.eval("""
        application:set_env(easy_cluster, policy, <<"copies: all">>),
        Repair = fun() -> application:set_env(lab, repaired, easy_cluster_api:repair()) end, spawn(Repair), ok""")
    until(foo, COPYING)
    assert foo.eval("easy_cluster_lock:holders()") == [hello.name]
    hello.eval("mnesia:stop()")
    until(hello, "application:get_env(lab, repaired) =/= undefined")
    ok, answer = hello.eval("application:get_env(lab, repaired)")
    assert code(answer) == "step_failed" and b"mnesia_stopped" in answer[1][1]["reason"], answer
    until(foo, "easy_cluster_lock:holders() =:= []")
    foo.eval("lab_lock ! unlock")
