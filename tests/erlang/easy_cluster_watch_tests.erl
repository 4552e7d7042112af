%% The watch as far as it needs no cluster; what it decides is tested where that is decided (`tests/watch.rs').
-module(easy_cluster_watch_tests).

-include_lib("eunit/include/eunit.hrl").

where_nobody_looks_there_is_no_say_test() ->
    _ = application:load(mnesia),
    ok = easy_cluster_policy:set(<<"copies: 2">>),
    ?assertMatch(#{policy := undefined, scrub := false, paused := false}, easy_cluster_watch:view()),
    with_watch(fun() ->
        ?assertMatch(#{policy := <<_:32/binary>>, scrub := true, paused := false}, easy_cluster_watch:view())
    end),
    ok = easy_cluster_policy:set(undefined).

what_it_has_come_to_is_there_at_once_test() ->
    with_watch(fun() ->
        ?assertMatch(#{text := undefined, scrub := #{comparing := false, looks := []},
                       reconciler := #{finding := not_yet, looking := false, put_off := 0, lately := []}}, easy_cluster_watch:state()),
        ok = application:set_env(easy_cluster, sync_settle, 0),
        ok = easy_cluster_watch:look(),
        ?assertMatch(#{reconciler := #{finding := no_policy}}, easy_cluster_watch:state()),
        ok = application:unset_env(easy_cluster, sync_settle)
    end).

what_the_core_does_not_understand_ends_nothing_test() ->
    with_watch(fun() ->
        [ok = easy_cluster_watch:event(Event) || Event <- [no_event, {failed, #{job => 1, problems => [{no_such_problem, #{}}]}}, {failed, 1}]],
        easy_cluster_watch ! {what, is, this},
        gen_server:cast(easy_cluster_watch, {what, is, this})
    end).

%% A job that fails with what is no problem of the catalogue has failed all the same.
a_problem_that_nobody_knows_is_one_of_the_catalogue_test() ->
    Strange = {failed, #{job => 7, problems => [{no_such_problem, #{pid => self()}}]}},
    {failed, #{job := 7, problems := [{operation_died, #{reason := Reason}} = Known]}} = Plain = easy_cluster_watch_job:plain(Strange),
    ?assertMatch({match, _}, re:run(Reason, "no_such_problem")),
    ?assertEqual(Plain, easy_cluster_watch_job:plain(Plain)),
    ?assertMatch({ok, _}, easy_cluster_native:call(render_problems, #{problems => [Known]})),
    ?assertEqual(asked, easy_cluster_watch_job:plain(asked)).

with_watch(Fun) ->
    ok = logger:set_module_level(easy_cluster_watch, none),
    {ok, Watch} = easy_cluster_watch:start_link(),
    true = unlink(Watch),
    _ = Fun(),
    ?assertMatch(#{}, easy_cluster_watch:state()),
    ?assertEqual(Watch, whereis(easy_cluster_watch)),
    Monitor = monitor(process, Watch),
    exit(Watch, kill),
    receive {'DOWN', Monitor, process, Watch, killed} -> ok end,
    ok = logger:unset_module_level(easy_cluster_watch).
