"""`easy_cluster:repair(#{table => T, winner => N})` and the scrub in the background, on real ejabberd nodes."""

import pytest
from cluster import call, code, replicas_of, slices, until
from lab import wait_until
from test_diff import STOCKS, differences, stocked


@pytest.fixture
def replicas(pair):
    """Two ejabberd nodes with the same tables and easy_cluster in both."""
    return replicas_of(pair)


def raw(storage) -> str:
    return "dets" if storage == "disc_only_copies" else "ets"


def drifted(node, name, storage):
    """A row that is missing on the node, one that only it has, and one that it has otherwise."""
    module = raw(storage)
    node.eval(f"{module}:delete({name}, 17), {module}:insert({name}, {{{name}, foreign, only_here}})")
    node.eval(f"{module}:delete({name}, 2711), {module}:insert({name}, {{{name}, 2711, changed}})")


def row(node, name, storage, key):
    return node.eval(f"{raw(storage)}:lookup({name}, {key})")


def repair(node, table, winner, timeout=60):
    return call(node, f"repair(#{{table => {table}, winner => '{winner.name}'}})", timeout)


def archives(node) -> dict:
    """The rows of all archives of the last operation, by the nodes that had them."""
    found = node.eval("""
        Directory = mnesia:system_info(directory),
        #{archive := Folder} = easy_cluster_directory:paths(Directory, lists:last(easy_cluster_journal:list(Directory))),
        [begin
             {ok, #{node := Node}} = easy_cluster_rows:read_archive(File),
             {ok, Rows} = easy_cluster_rows:fold_archive(fun(Row, Rows) -> [Row | Rows] end, [], File),
             {Node, lists:sort(Rows)}
         end || File <- lists:sort(filelib:wildcard(filename:join(Folder, "*.rows")))]""")
    return {name: {row for each, rows in found if each == name for row in rows} for name, _ in found}


def test_every_kind_of_table_becomes_what_the_winner_has_and_the_other_rows_are_archived(replicas):
    hello, foo = replicas
    stocked(hello, foo)
    assert differences(call(hello, "diff()")) == {}  # what was written has arrived, too
    for name, (_kind, storage) in STOCKS.items():
        drifted(foo, name, storage)
    # The winner is on this node and on the other one in turns, and so is who asks.
    for name, winner, where in [("set_disc_copies", hello, hello), ("bag_ram_copies", foo, hello),
                                ("bag_disc_only_copies", hello, foo), ("ordered_set_ram_copies", foo, foo)]:  # fmt: skip
        storage = STOCKS[name][1]
        of_hello = {(name, 17, 17), (name, 2711, 2711)}
        of_foo = {(name, 2711, "changed"), (name, "foreign", "only_here")}
        kept, lost, loser = (of_hello, of_foo, foo) if winner is hello else (of_foo, of_hello, hello)

        assert repair(where, name, winner) == "ok"

        for node in replicas:
            assert {each for key in (17, 2711, "foreign") for each in row(node, name, storage, key)} == kept, (name, node.name)
        assert archives(where) == {loser.name: lost, winner.name: kept}
    assert set(differences(call(hello, "diff()"))) == set(STOCKS) - {"set_disc_copies", "bag_ram_copies", "bag_disc_only_copies", "ordered_set_ram_copies"}
    assert code(repair(hello, "passwd", foo)) == "nothing_differs"
    assert f"repair_table set_disc_copies {hello.name}: done, 3 of 3 steps" in hello.shell("easy_cluster:history().")


WRITER = """
    Write = fun Write(N, Last) ->
                Key = rand:uniform(600),
                {{atomic, ok}} = mnesia:transaction(fun() -> mnesia:write({{{name}, Key, {{written, N}}}}) end),
                receive {{stop, Asker}} -> Asker ! Last#{{Key => N}} after 0 -> Write(N + 1, Last#{{Key => N}}) end
            end,
    true = register(lab_writer, spawn(fun() -> Write(1, #{{}}) end)), ok"""


def test_what_is_written_while_rows_are_mended_stays(replicas):
    hello, foo = replicas
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{ram_copies, ['{hello.name}', '{foo.name}']}}])")
    hello.eval("[{atomic, ok} = mnesia:sync_transaction(fun() -> [mnesia:write({stock, I, I}) || I <- [700 | lists:seq(1, 600)]], ok end)]")
    foo.eval("[true = ets:insert(stock, {stock, I, drifted}) || I <- [700 | lists:seq(1, 500)]]")
    writer = WRITER.format(name="stock")
    # It begins when the rows are archived, and goes on until they are compared. One of these drifts once more.
    answer = hello.eval(f"""
        {{ok, Plan}} = easy_cluster_api:plan({{repair, #{{table => stock, winner => '{hello.name}'}}}}),
        element(1, easy_cluster_executor:commit(Plan, fun
            ({{step, done, #{{number := 1}}, _}}) -> 
                true = erpc:call('{foo.name}', ets, insert, [stock, {{stock, 700, later}}]), {writer.removesuffix(", ok")}, ok;
            (_Event) -> ok
        end))""")
    last = hello.eval("lab_writer ! {stop, self()}, receive Last -> Last end")
    assert answer == "ok" and len(last) > 20, (answer, last)
    assert differences(call(hello, "diff()")) == {}
    for node in replicas:
        found = {key: value for _, key, value in node.eval("ets:tab2list(stock)")}
        assert found == {key: ("written", last[key]) if key in last else key for key in [*range(1, 601), 700]}
    assert {("stock", 700, "drifted"), ("stock", 700, "later")} <= archives(hello)[foo.name]


KILL = """
    {{ok, Plan}} = easy_cluster_api:plan({{repair, #{{table => {table}, winner => '{winner}'}}}}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{number := {step}}}, _}}) -> erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""


@pytest.mark.parametrize("step, moment", slices([(1, "done"), (1, "begun"), (2, "done"), (3, "begun"), (3, "done")], 0))
def test_a_winner_that_is_killed_loads_the_other_copy_and_ends_with_its_own_rows(pair, step, moment):
    hello, foo = replicas_of(pair, install=True)
    name, storage = "stock", "disc_copies"
    hello.eval(f"{{atomic, ok}} = mnesia:create_table({name}, [{{{storage}, ['{hello.name}', '{foo.name}']}}])")
    hello.eval(f"[{{atomic, ok}} = mnesia:sync_transaction(fun() -> mnesia:write({{{name}, I, I}}) end) || I <- [17, 18, 2711]]")
    drifted(foo, name, storage)

    hello.eval_until_it_dies(KILL.format(table=name, winner=hello.name, step=step, moment=moment))
    hello.start()

    wait_until(lambda: call(hello, "status()")[1]["unfinished"] == "undefined", 20, "the recovery")
    until(hello, "easy_cluster_server:state() =:= #{operation => none, pending => [], returned => #{}}")
    assert [past["outcome"] for past in call(hello, "history()")[1]][-1] == "done"
    assert differences(call(hello, "diff()")) == {}
    # Killed before there was an archive, Mnesia has decided already: what the other one has is loaded.
    kept = {(name, 17, 17), (name, 2711, 2711)} if (step, moment) != (1, "begun") else {(name, 2711, "changed"), (name, "foreign", "only_here")}
    assert {each for key in (17, 2711, "foreign") for each in row(hello, name, storage, key)} == kept


def seen(node) -> dict:
    """The tables that differ, as `status()` tells."""
    return {each["table"]: each for each in call(node, "status()")[1]["drift"]}


def test_the_scrub_of_one_member_tells_all_of_drift_until_it_is_gone(replicas):
    hello, foo = replicas
    hello.eval(f"{{atomic, ok}} = mnesia:create_table(stock, [{{ram_copies, ['{hello.name}', '{foo.name}']}}])")
    hello.eval("{atomic, ok} = mnesia:sync_transaction(fun() -> [mnesia:write({stock, I, I}) || I <- lists:seq(1, 600)], ok end)")
    foo.eval("[true = ets:insert(stock, {stock, I, drifted}) || I <- lists:seq(1, 5)]")
    # foo.bar is the first by name.
    for node in replicas:
        node.eval("application:set_env(easy_cluster, scrub_interval, 300), easy_cluster_watch:changed()")
    wait_until(lambda: "stock" in seen(hello), 60, "the scrub")
    assert hello.eval("easy_cluster_watch:looks()") == []
    # It is seen again and again, each time with a later moment.
    wait_until(lambda: seen(hello) == seen(foo), 20, "both to tell of the same look")
    assert seen(foo)["stock"]["keys"] == 5 and set(seen(foo)["stock"]["nodes"]) == {hello.name, foo.name}
    assert "copies_differ" in [problem[0] for problem in call(hello, "status()")[1]["problems"]]
    assert "at least 5 keys of stock differ" in hello.shell("easy_cluster:status().")
    assert "at least 5 keys of stock differ" in foo.log()

    assert repair(hello, "stock", hello) == "ok"
    wait_until(lambda: seen(hello) == seen(foo) == {}, 60, "the next look")
    # Nor a new one once it is switched off.
    foo.eval("ets:insert(stock, {stock, 1, drifted})")
    foo.eval("application:set_env(easy_cluster, scrub, false), easy_cluster_watch:changed()")
    looked = foo.eval("lists:sort(easy_cluster_watch:looks())")
    until(foo, "easy_cluster_watch:scrub() =:= ok andalso not maps:get(comparing, maps:get(scrub, easy_cluster_watch:state()))")
    assert foo.eval("lists:sort(easy_cluster_watch:looks())") == looked
