"""A clock that went back: between a kill and the restart, and between two operations."""

import pytest
from cluster import call, db_nodes, exists, join, serves
from lab import wait_until
from test_alone import is_settled

#: The join is killed, and everything that it has written says that it was in the year 2091.
KILL_IN_2091 = """
    Year = fun(Term) -> binary_to_term(binary:replace(term_to_binary(Term), <<"{year}">>, <<"2091">>, [global])) end,
    {{ok, #{{id := <<"{year}", _/binary>>}} = Now}} = easy_cluster_api:plan({{join_as_master, '{target}'}}),
    #{{id := Id}} = Plan = Year(Now),
    #{{journal := Path}} = easy_cluster_directory:paths(mnesia:system_info(directory), Id),
    Later = fun Later(Records) ->
        case easy_cluster_frame:next(Records) of
            {{ok, {{N, At, Event}}, Rest}} -> [easy_cluster_frame:record({{N, At + 66 * 365 * 86400 * 1000000, Event}}) | Later(Rest)];
            done -> []
        end
    end,
    easy_cluster_executor:commit(Plan, fun
        ({{step, done, #{{action := {step}}}, _}}) ->
            {{ok, <<Header:14/binary, Records/binary>>}} = file:read_file(Path),
            ok = file:write_file(Path, [Header | Later(Records)]),
            erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""


@pytest.mark.parametrize("step, outcome", [("delete_logs", "undone"), ("commit_schema", "done")])
def test_the_clock_went_back_between_the_kill_and_the_restart(pair, step, outcome):
    hello, foo = pair
    hello.install_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    year = hello.text("{{Year, _, _}, _} = calendar:universal_time(), integer_to_list(Year)")
    hello.eval_until_it_dies(KILL_IN_2091.format(year=year, target=foo.name, step=step))
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")

    [past] = call(hello, "history()")[1]
    assert past["outcome"] == outcome and past["begun"] > b"2090" and past["milliseconds"] == "undefined"
    if outcome == "done":
        assert past["ended"].startswith(year.encode())
        assert hello.members() == foo.members() == {hello.name, foo.name} and exists(hello, "bob")
        assert call(hello, "leave()", timeout=90) == "ok"
        back = ("join_as_master", foo.name)
    else:
        assert db_nodes(hello) == {hello.name} and db_nodes(foo) == {foo.name} and exists(hello, "alice")
        join(hello, foo)
        [_, joined] = call(hello, "history()")[1]
        back = ("rollback", {"id": joined["id"]})
    assert serves(hello)

    ids = [past["id"] for past in call(hello, "history()")[1]]
    assert ids == sorted(set(ids)) and ids[0] == past["id"], "what was done last is last, whatever the clock said"
    operation = call(hello, "rollback(#{dry_run => true})")[1]["operation"]
    assert operation[0] == back[0] and (operation[1] == back[1] or operation[1]["id"] == back[1]["id"]), operation
    assert call(hello, "rollback()", timeout=90) == "ok"
    assert len(db_nodes(hello)) == (2 if outcome == "done" else 1)
