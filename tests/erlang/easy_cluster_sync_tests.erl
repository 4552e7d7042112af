%% How a cluster follows its policy, as far as it needs no cluster: what members have said, and when a look comes to what.
-module(easy_cluster_sync_tests).

-include_lib("eunit/include/eunit.hrl").

a_member_counts_by_what_it_says_test() ->
    Answers = [{agrees, {ok, {ok, #{policy => <<"copies: 2">>, paused => false}}}},
               {paused, {ok, {ok, #{policy => undefined, paused => true}}}},
               {without_easy_cluster, {ok, {error, undef}}},
               {older, {ok, {ok, <<"copies: 1">>}}},
               {newer, {ok, {ok, #{policy => #{text => <<"copies: 1">>}, paused => {since, 1}, more => 1}}}},
               {slow, {ok, {error, timeout}}},
               {gone, {ok, {error, noconnection}}},
               {crashed, {ok, {error, badarg}}},
               {given_up, {error, timeout}}],
    ?assertEqual(#{policies => [{agrees, <<"copies: 2">>}], paused => [paused], silent => [slow, gone, crashed, given_up]},
                 easy_cluster_sync:judge(Answers)).

where_nobody_looks_there_is_no_opinion_test() ->
    _ = application:load(mnesia),
    ok = easy_cluster_policy:set(<<"copies: 2">>),
    ?assertMatch(#{policy := undefined, paused := false}, easy_cluster_sync:opinion()),
    ok = easy_cluster_policy:set(undefined).

a_copy_that_goes_aside_and_comes_back_is_one_change_test() ->
    Change = #{table => stock, node => node()},
    Twice = looked({brought, <<"one">>, 2}, [there, back], [Change, Change], begun()),
    ?assertMatch(#{lately := [Change], put_off := 0}, told(Twice)),
    Again = looked({failed, {locked, #{}}}, [], [Change], Twice),
    ?assertMatch(#{lately := [Change, Change]}, told(Again)).

what_leads_nowhere_is_put_off_for_longer_and_longer_test() ->
    Failed = {failed, {locked, #{}}},
    ?assertEqual([50, 100, 200, 300, 300], [waits(looked_late(Failed, tried(Failed, Times))) || Times <- lists:seq(0, 4)]),
    Brought = looked({brought, <<"one">>, 1}, [same], [], begun()),
    InVain = looked_late({brought, <<"two">>, 1}, [same], Brought),
    ?assertMatch({0, #{finding := {in_vain, <<"two">>, 1}}, 50}, {waits(Brought), told(InVain), waits(InVain)}),
    ?assertEqual(0, waits(looked({brought, <<"two">>, 1}, [others], [], Brought))),
    {noreply, Gated} = easy_cluster_sync:handle_info(look, InVain),
    ?assertMatch(#{looking := false}, told(Gated)),
    %% A member that does not answer is no success, and what is as wanted is one.
    [?assertEqual({Finding, Seconds}, {Finding, waits(looked_late(Failed, looked(Finding, [], [], tried(Failed, 2))))})
     || {Finding, Seconds} <- [{{silent, [node()]}, 200}, {{as_wanted, []}, 50}, {{waits, []}, 50}]],
    [?assertEqual(0, waits(element(2, Ended)))
     || Ended <- [easy_cluster_sync:handle_cast(look, InVain), easy_cluster_sync:handle_info({mnesia_system_event, {mnesia_down, node()}}, InVain)]].

others_do_not_wait_for_a_table_that_is_refused_test() ->
    Refused = fun(Table) ->
                      Problem = {copy_differs, #{table => Table}},
                      {failed, {copy_differs, #{table => Table, problems => [Problem, {step_failed, #{number => 1}}]}}}
              end,
    Twice = looked(Refused(two), [], [], looked(Refused(one), [], [], begun())),
    Brought = looked({brought, <<"three">>, 1}, [three], [], Twice),
    ?assertEqual([0, 0], [waits(Twice), waits(Brought)]),
    Waits = {waits, [{copy_differs, #{table => one}}, {copy_differs, #{table => two}}]},
    %% All are tried again later, and then for longer.
    TriedAgain = looked(Refused(one), [], [], with_retry(0, fun() -> looked(Waits, [], [], Brought) end)),
    ?assertEqual([50, 100], [waits(looked_late(Waits, State)) || State <- [Brought, TriedAgain]]).

%% That often at once.
tried(Finding, Times) ->
    with_retry(0, fun() -> lists:foldl(fun(_Time, State) -> looked(Finding, [], [], State) end, begun(), lists:seq(1, Times)) end).

looked_late(Finding, State) ->
    looked_late(Finding, [], State).

looked_late(Finding, Steps, State) ->
    with_retry(50000, fun() -> looked(Finding, Steps, [], State) end).

with_retry(Milliseconds, Fun) ->
    ok = application:set_env(easy_cluster, sync_retry, Milliseconds),
    Result = Fun(),
    ok = application:unset_env(easy_cluster, sync_retry),
    Result.

begun() ->
    ok = logger:set_module_level(easy_cluster_sync, none),
    {ok, State} = easy_cluster_sync:init([]),
    State.

%% What is known after a look that has come to this, as its process has told it.
looked(Finding, Steps, Changes, State) ->
    {noreply, Looking} = easy_cluster_sync:handle_info(look, State),
    receive {'DOWN', Monitor, process, Looker, _NoServerHere} -> ok end,
    Made = lists:foldl(fun(Change, Before) -> element(2, easy_cluster_sync:handle_info({made, Looker, Change}, Before)) end, Looking, Changes),
    {noreply, Looked} = easy_cluster_sync:handle_info({'DOWN', Monitor, process, Looker, {found, {Finding, Steps}}}, Made),
    Looked.

told(State) ->
    {reply, Told, _State} = easy_cluster_sync:handle_call(state, {self(), make_ref()}, State),
    Told.

%% Seconds before anything is tried again.
waits(State) ->
    round(maps:get(put_off, told(State)) / 1000).
