%% What the history of repairs keeps.
-module(easy_cluster_drop_tests).

-include_lib("eunit/include/eunit.hrl").

history_test_() ->
    {foreach, fun easy_cluster_peers:scratch/0, fun easy_cluster_peers:remove/1, [
        with("a repair that begins deletes the journals of older ones that have ended", fun deletes_old/1),
        with("what teaches, is unfinished, is archived or is no repair stays", fun keeps_what_counts/1),
        with("whatever it was, journals of operations that have ended and left nothing behind are bounded", fun bounds_all/1),
        with("estimates are learned from the newest operations that copied something", fun learns/1)
    ]}.

with(Title, Fun) ->
    fun(Dir) -> {Title, fun() -> Fun(Dir) end} end.

deletes_old(Dir) ->
    Ids = [write(Dir, Number, repair(), [{outcome, Outcome, #{}}])
           || Number <- lists:seq(1, 25), Outcome <- [lists:nth(1 + Number rem 2, [done, stopped])]],
    Torn = filename:join(easy_cluster_journal:folder(Dir), "0001.torn-1"),
    ok = file:write_file(Torn, <<"torn">>),
    ?assertEqual(lists:nthtail(5, Ids) ++ [id(26)], after_repair(Dir, 26)),
    ?assertNot(filelib:is_file(Torn)),
    ?assertEqual(lists:nthtail(6, Ids) ++ [id(26), id(27)], after_repair(Dir, 27)),
    %% Another operation is no repair.
    {ok, _} = commit(Dir, 28, {sync_node, node()}),
    ?assertEqual(lists:nthtail(7, Ids) ++ [id(26), id(27), id(28)], easy_cluster_journal:list(Dir)).

bounds_all(Dir) ->
    Pending = write(Dir, 1, #{operation => leave, steps => []}, [{pending, [node()]}, {outcome, done, #{}}]),
    Unfinished = write(Dir, 2, #{operation => leave, steps => []}, []),
    Kept = write(Dir, 3, #{operation => leave, steps => []}, [{outcome, done, #{}}]),
    Archive = filename:join([Dir, "easy_cluster", "archive", binary_to_list(Kept), "stock.rows"]),
    ok = filelib:ensure_dir(Archive),
    ok = file:write_file(Archive, <<"rows">>),
    Operations = [leave, {rollback, #{id => <<"x">>, way => #{}}}, {join_as_master, node()}],
    Rounds = [write(Dir, Number, #{operation => lists:nth(1 + Number rem 3, Operations), steps => []}, [{outcome, Outcome, #{}}])
              || Number <- lists:seq(4, 60), Outcome <- [lists:nth(1 + Number rem 2, [done, undone])]],
    {ok, _} = commit(Dir, 61, reset),
    ?assertEqual([Pending, Unfinished, Kept] ++ lists:nthtail(length(Rounds) - 20, Rounds) ++ [id(61)], easy_cluster_journal:list(Dir)).

keeps_what_counts(Dir) ->
    Taught = write(Dir, 1, repair([copy(1)]), [{done, 1, #{milliseconds => 5}}, {outcome, done, #{}}]),
    Unfinished = write(Dir, 2, repair(), []),
    Archived = write(Dir, 3, repair(), [{outcome, done, #{}}]),
    Joined = write(Dir, 4, #{operation => {join, node()}, steps => []}, [{outcome, done, #{}}]),
    Table = write(Dir, 5, #{operation => {repair_table, #{}}, steps => []}, [{outcome, done, #{}}]),
    Damaged = write(Dir, 6, repair(), [{outcome, done, #{}}]),
    ok = file:write_file(filename:join(easy_cluster_journal:folder(Dir), "0006.journal"), <<"no journal at all">>),
    Archive = filename:join([Dir, "easy_cluster", "archive", binary_to_list(Archived), "stock.rows"]),
    ok = filelib:ensure_dir(Archive),
    ok = file:write_file(Archive, <<"rows">>),
    Ended = [write(Dir, Number, repair(), [{outcome, done, #{}}]) || Number <- lists:seq(7, 30)],
    ?assertEqual([Taught, Unfinished, Archived, Joined, Table, Damaged] ++ lists:nthtail(4, Ended) ++ [id(31)], after_repair(Dir, 31)).

learns(Dir) ->
    [write(Dir, Number, repair([copy(Number)]), [{done, 1, #{milliseconds => Number}}, {outcome, done, #{}}]) || Number <- lists:seq(1, 21)],
    [write(Dir, Number, repair(), [{outcome, done, #{}}]) || Number <- lists:seq(22, 50)],
    ?assertEqual(lists:seq(2, 21), lists:sort([Took || #{milliseconds := Took} <- easy_cluster_history:copied(Dir)])),
    _ = after_repair(Dir, 51),
    ?assertEqual(lists:seq(2, 21), lists:sort([Took || #{milliseconds := Took} <- easy_cluster_history:copied(Dir)])).

after_repair(Dir, Number) ->
    {ok, _} = commit(Dir, Number, {repair, #{policy => <<>>}}),
    easy_cluster_journal:list(Dir).

commit(Dir, Number, Operation) ->
    Plan = #{id => id(Number), operation => Operation, steps => [], options => #{timeout => 1000}},
    easy_cluster_executor:commit_offline(Plan, Dir, fun(_Event) -> ok end).

repair() -> repair([]).
repair(Steps) -> #{operation => {repair, #{policy => <<>>}}, steps => Steps}.

copy(Number) ->
    Table = list_to_atom("table_" ++ integer_to_list(Number)),
    #{number => 1, action => {copy_table_to, #{table => Table, node => node(), storage => disc_copies, rows => 1, bytes => 8}}}.

write(Dir, Number, Plan, Events) ->
    {ok, Journal} = easy_cluster_journal:create(Dir, id(Number), {begun, Plan#{id => id(Number)}}),
    {ok, Written} = easy_cluster_journal:append_all(Journal, Events),
    ok = easy_cluster_journal:close(Written),
    id(Number).

id(Number) ->
    iolist_to_binary(io_lib:format("~4..0w", [Number])).
