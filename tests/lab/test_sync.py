"""A policy, and the cluster that follows it, on real ejabberd nodes."""

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


def finding(node):
    return node.eval("maps:get(finding, easy_cluster_sync:state())")


def test_repair_brings_a_cluster_to_its_policy(pair):
    hello, foo = replicas_of(pair)
    assert code(call(hello, "repair()")) == "no_policy"
    foo.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{foo.name}']}}])")
    foo.eval("[ok = mnesia:dirty_write({stock, I, I}) || I <- lists:seq(1, 1000)], ok")
    policy = f"""
copies: all
tables:
  stock: {{storage: disc_only_copies}}
  roster: {{copies: 1, pins: {hello.name}}}
leave_alone: [vcard]
"""
    hello.eval(f'application:set_env(easy_cluster, policy, "{policy}")')
    before = stored(hello)
    ok, plan = call(hello, "repair(#{dry_run => true})")
    assert ok == "ok" and stored(hello) == before
    assert call(hello, "repair()") == "ok"
    after = stored(foo)
    shown = foo.shell("easy_cluster:tables().")
    assert "stock" in shown and "disc_only" in shown, shown
    [stock] = [table for table in call(hello, "tables()")[1]["tables"] if table["table"] == "stock"]
    assert stock["rows"] == 1000 and not stock["drift"]
    assert {copy["node"]: copy["wanted"] for copy in stock["copies"]} == after["stock"]
    assert after["stock"] == {hello.name: "disc_only_copies", foo.name: "disc_only_copies"}
    assert after["roster"] == {hello.name: before["roster"][hello.name]} and after["vcard"] == before["vcard"]
    assert all(node.eval("length(mnesia:dirty_all_keys(stock))") == 1000 for node in (hello, foo))
    [learned] = [made for made in hello.eval("easy_cluster_executor:copied(mnesia:system_info(directory))") if made["table"] == "stock"
                 and made["storage"] == "disc_only_copies" and made["rows"] == 1000]
    assert 0 < learned["milliseconds"] < 5000
    again = call(hello, "repair(#{dry_run => true})")[1]
    assert [step["action"] for step in again["steps"]] == ["verify"]
    assert "repair" in hello.printed("easy_cluster:history()")
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
    """How each table should be stored on each of its nodes, by what the core makes of the policy."""
    return {
        table["table"]: {copy["node"]: copy["storage"] for copy in table["wanted"]}
        for table in node.eval("""
            Policy = easy_cluster_policy:current(),
            {Snapshot, Opened} = easy_cluster_gather:snapshot([], 5000),
            easy_cluster_gather:release(Opened),
            {ok, #{topology := #{tables := Tables}}} = easy_cluster_native:call(topology, #{snapshot => Snapshot, policy => Policy}),
            Tables""")
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


def found(node, kind: str):
    """Waits until a look of this node's has come to something of this kind."""
    wait_until(lambda: (result := finding(node)) == kind or isinstance(result, tuple) and result[0] == kind, 30, f"a look to come to {kind}")
    return finding(node)


def test_it_is_proposed_agreed_on_and_paused(pair):
    hello, foo = replicas_of(pair)
    first, second = foo, hello
    first.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{disc_copies, ['{first.name}']}}])")

    def policy(node, text):
        node.eval(f'easy_cluster_policy:set(<<"{text}">>), easy_cluster_sync:look_everywhere()')

    policy(second, "sync: propose")
    assert found(second, "proposed")[1] == 1
    policy(first, "sync: propose")
    assert found(first, "proposed")[1] == 1
    assert "policy      changes that are wanted: 1" in first.shell("easy_cluster:status().")
    assert found(second, "follows") == ("follows", first.name)
    policy(second, "sync: auto")
    policy(first, "sync: auto")
    found(first, "as_wanted")
    assert set(stored(second)["stock"]) == {first.name, second.name}
    # The others are asked only when there is something to agree on.
    policy(second, "copies: 1")
    first.eval("easy_cluster_sync:look()")
    assert found(first, "differs") == ("differs", [second.name])
    assert call(second, "pause()") == "ok"
    policy(second, "sync: auto")
    assert set(found(first, "paused")[1]) == {first.name, second.name}
    first.eval(f"{{atomic, ok}} = mnesia:del_table_copy(stock, '{second.name}')")
    first.eval("easy_cluster_sync:look()")
    assert code(call(second, "repair()")) == "paused" and set(stored(second)["stock"]) == {first.name}
    assert call(second, "resume()") == "ok"
    found(first, "as_wanted")
    assert set(stored(second)["stock"]) == {first.name, second.name}
    policy(first, "copies: 3")
    policy(second, "copies: 3")
    assert found(first, "impossible")[1][0] == "policy_too_few_nodes"
    policy(first, "sync: 'off'")
    found(first, "off")


def lock(node, table):
    """Holds the table until `lab_lock` is told to unlock: nobody copies it meanwhile."""
    node.eval(f"""
        Lock = fun() -> mnesia:write_lock_table({table}), application:set_env(lab, locked, true), receive unlock -> ok end end,
        true = register(lab_lock, spawn(fun() -> mnesia:transaction(Lock) end))""")
    until(node, "application:get_env(lab, locked) =:= {ok, true}")


def test_how_far_it_is_is_told_everywhere_and_it_ends_behind_a_step(pair):
    hello, foo = replicas_of(pair)
    for table in ("one", "two"):
        hello.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, ['{hello.name}']}}])")
    lock(hello, "one")
    hello.eval("""
        application:set_env(easy_cluster, policy, <<"copies: all">>),
        Repair = fun() -> application:set_env(lab, repaired, easy_cluster:repair()) end, spawn(Repair), ok""")
    wait_until(lambda: call(foo, "status()")[1]["elsewhere"], 20, "the other one to tell of it")
    [(node, operation)] = call(foo, "status()")[1]["elsewhere"]
    assert node == hello.name and operation["progress"]["steps"] == (0, 3) and operation["progress"]["tables"] == (0, 2)
    assert f"under way   {operation['id'].decode()} on {hello.name}: 0 of 3 steps, 0 of 2 tables" in foo.shell("easy_cluster:status().")
    # ejabberd adds the very same copy, as it does when it starts; whoever has the schema's lock comes first.
    until(hello, "[schema] =:= lists:usort([Table || {{Table, _}, _, _} <- mnesia:system_info(held_locks), Table =:= schema])")
    foo.eval("Add = fun() -> application:set_env(lab, added, mnesia:add_table_copy(one, node(), disc_copies)) end, spawn(Add), ok")
    assert call(foo, "pause()") == "ok"
    hello.eval("lab_lock ! unlock")
    until(foo, "application:get_env(lab, added) =/= undefined")
    assert foo.eval("application:get_env(lab, added)") == ("ok", ("aborted", ("already_exists", "one", foo.name)))
    until(hello, "application:get_env(lab, repaired) =/= undefined")
    ok, answer = hello.eval("application:get_env(lab, repaired)")
    assert code(answer) == "paused" and (answer[1][1]["done"], answer[1][1]["left"]) == (1, 2)
    assert set(stored(hello)["one"]) == {hello.name, foo.name} and set(stored(hello)["two"]) == {hello.name}
    assert call(hello, "resume()") == "ok" and call(hello, "repair()") == "ok"
    assert set(stored(hello)["two"]) == {hello.name, foo.name}
    # Two that wait for the schema's lock with the deletion of the other's copy.
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(three, [{{disc_copies, ['{hello.name}']}}]), application:unset_env(lab, locked)")
    lock(hello, "three")
    hello.eval(f"spawn(mnesia, add_table_copy, [three, '{foo.name}', disc_copies]), ok")
    until(hello, "[schema] =:= lists:usort([Table || {{Table, _}, _, _} <- mnesia:system_info(held_locks), Table =:= schema])")
    for node, other in ((hello, foo), (foo, hello)):
        node.eval(f"""
            Step = {{delete_copy_on, #{{table => one, node => '{other.name}', others => 1}}}},
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
        again = f"{{delete_copy_on, #{{table => {table}, node => '{name}', others => 1}}}}"
        assert all(node.eval(f"easy_cluster_step:run({again}, #{{timeout => 5000}})") == ("ok", {}) for node in pair)


def test_a_repair_goes_on_after_a_kill(pair):
    hello, foo = replicas_of(pair, install=True)
    for table in ("one", "two"):
        foo.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, ['{foo.name}']}}])")
    lock(foo, "two")
    hello.eval('application:set_env(easy_cluster, policy, <<"copies: all">>), spawn(easy_cluster, repair, []), ok')
    until(foo, f"lists:member('{hello.name}', mnesia:table_info(one, disc_copies))")
    assert set(stored(foo)["two"]) == {foo.name}
    hello.kill()
    foo.eval("lab_lock ! unlock")
    hello.start()
    until(hello, "easy_cluster_executor:unfinished(mnesia:system_info(directory)) =:= undefined")
    assert set(stored(foo)["two"]) == {hello.name, foo.name}
    [last] = call(hello, "history()")[1][-1:]
    assert (last["operation"], last["outcome"]) == (b"repair", "done")
