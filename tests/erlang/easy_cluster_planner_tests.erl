%% The names of operations are in the order of the operations.
-module(easy_cluster_planner_tests).

-include_lib("eunit/include/eunit.hrl").

names_test_() ->
    {setup, fun easy_cluster_peers:scratch/0, fun easy_cluster_peers:remove/1, fun(Dir) -> {inorder, [
        {"in an empty directory by the clock", fun() -> by_the_clock(Dir) end},
        {"after what is no time", fun() -> after_no_time(Dir) end},
        {"after those of a clock that was ahead", fun() -> ahead(Dir, "20910101T000000.000001Z-leave", <<"20910101T000000.000002Z">>) end},
        {"at the end of a second and a year", fun() -> ahead(Dir, "20911231T235959.999999Z-join", <<"20920101T000000.000000Z">>) end},
        {"after one without microseconds", fun() -> ahead(Dir, "20930228T120000Z-reenter", <<"20930228T120001.000000Z">>) end},
        {"after a database that is kept without a journal", fun() -> after_kept(Dir) end}
    ]} end}.

by_the_clock(Dir) ->
    {{Year, _, _}, _} = calendar:universal_time(),
    ?assertMatch({match, _}, re:run(easy_cluster_planner:timestamp(Dir), io_lib:format("^~w....T......\\.......Z$", [Year]))).

after_no_time(Dir) ->
    [written(Dir, Id) || Id <- ["join-1", "99991301T000000.000000Z-join", "99990101T240000.000000Z-join"]],
    by_the_clock(Dir).

ahead(Dir, Last, Next) ->
    written(Dir, Last),
    Stamp = easy_cluster_planner:timestamp(Dir),
    ?assertEqual(Next, Stamp),
    ?assert(Stamp > list_to_binary(Last)).

after_kept(Dir) ->
    #{kept := Kept} = easy_cluster_directory:paths(Dir, <<"20940101T000000.000000Z-join">>),
    ok = filelib:ensure_dir(filename:join(Kept, "file")),
    ?assertEqual(<<"20940101T000000.000001Z">>, easy_cluster_planner:timestamp(Dir)).

written(Dir, Id) ->
    {ok, Journal} = easy_cluster_journal:create(Dir, list_to_binary(Id), {begun, #{}}),
    ok = easy_cluster_journal:close(Journal).
