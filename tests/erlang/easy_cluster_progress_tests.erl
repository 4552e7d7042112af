%% How far an operation is.
-module(easy_cluster_progress_tests).

-include_lib("eunit/include/eunit.hrl").

plan() ->
    Copy = fun(Rows) -> #{table => t, rows => Rows, bytes => Rows * 100} end,
    #{steps => [#{number => 1, action => {copy_tables, #{copies => [Copy(10), Copy(20)]}}, milliseconds => 100},
                #{number => 2, action => {copy_table_to, Copy(1000)}, milliseconds => 400},
                #{number => 3, action => {delete_copy_on, #{table => t, others => 1}}, milliseconds => 10},
                #{number => 4, action => verify, milliseconds => 10}]}.

told(Events, Now) ->
    [First | _] = maps:get(steps, plan()),
    Event = fun(begun, Progress) -> easy_cluster_progress:event({step, begun, First, #{}}, Progress);
               ({done, Number}, Progress) ->
                   [Step] = [Step || #{number := N} = Step <- maps:get(steps, plan()), N =:= Number],
                   easy_cluster_progress:event({step, done, Step, #{}}, Progress);
               ({rows, Rows}, Progress) -> easy_cluster_progress:event({progress, #{rows => Rows, bytes => Rows * 100}}, Progress)
            end,
    easy_cluster_progress:told(lists:foldl(Event, easy_cluster_progress:begun(plan(), 1000), Events), Now).

at_the_beginning_the_plan_is_all_that_is_known_test() ->
    ?assertEqual(#{steps => {0, 4}, tables => {0, 3}, rows => {0, 1030}, bytes => {0, 103000}, milliseconds => 0,
                   bytes_per_second => undefined, milliseconds_left => 520}, told([], 1000)).

the_rest_takes_as_much_longer_as_what_is_done_test() ->
    %% Planned 100 ms, took 200.
    ?assertMatch(#{steps := {1, 4}, tables := {2, 3}, rows := {30, 1030}, bytes := {3000, 103000}, bytes_per_second := 15000,
                   milliseconds_left := 840}, told([begun, {rows, 10}, {done, 1}], 1200)).

rows_on_their_way_count_test() ->
    ?assertMatch(#{rows := {530, 1030}, bytes := {53000, _}}, told([{done, 1}, begun, {rows, 500}], 1200)),
    %% More than planned: the table has grown.
    ?assertMatch(#{rows := {2030, 2030}}, told([{done, 1}, begun, {rows, 2000}], 1200)),
    %% Those of a step that has ended are the plan's.
    ?assertMatch(#{rows := {1030, 1030}}, told([{done, 1}, {rows, 2000}, {done, 2}], 1200)).

what_has_no_plan_has_no_progress_test() ->
    None = easy_cluster_progress:event({progress, #{rows => 1, bytes => 1}}, easy_cluster_progress:begun(none, 0)),
    ?assertEqual(undefined, easy_cluster_progress:told(None, 5)).
