-module(easy_cluster_explain_tests).
-include_lib("eunit/include/eunit.hrl").

%% Texts

a_line_of_a_log_is_recognised_test_() ->
    Line = "** Connection attempt from disallowed node 'ctl@foo.bar' **",
    [?_assertMatch({ok, #{sightings := [#{code := node_disallowed, line := 1, count := 1, text := <<"** Conn", _/binary>>}]}},
                   easy_cluster_api:explain(Text))
     || Text <- [Line, list_to_binary(Line), [Line, <<"\n">>], "\e[31m" ++ Line ++ "\e[0m\r\n"]].

a_log_is_read_line_by_line_test() ->
    Log = ["started\n",
           "Mnesia(a@foo): ** ERROR ** mnesia_event got {inconsistent_database, running_partitioned_network, b@foo}\n\n",
           "Mnesia(a@foo): ** ERROR ** mnesia_event got {inconsistent_database, running_partitioned_network, b@foo}\n\n",
           "{aborted,{no_majority,roster}}\n"],
    {ok, #{sightings := [Split, Minority]}} = easy_cluster_api:explain(Log),
    ?assertMatch(#{code := split_while_running, line := 2, count := 2}, Split),
    ?assertMatch(#{code := no_majority, line := 6, count := 1}, Minority),
    ?assertEqual([code, count, line, text], lists:sort(maps:keys(Split))).

a_text_that_is_not_unicode_is_read_all_the_same_test() ->
    ?assertMatch({ok, #{sightings := [#{code := no_majority, text := <<"caf", 16#c3, 16#a9, _/binary>>}]}},
                 easy_cluster_api:explain(<<"caf", 16#e9, " {aborted,{no_majority,roster}}">>)).

%% Terms

a_term_is_recognised_test_() ->
    [{lists:flatten(io_lib:format("~0p", [Term])), ?_assertMatch({ok, #{sightings := [#{code := Code}]}}, easy_cluster_api:explain(Term))}
     || {Code, Term} <-
            [{no_connection, {error, {no_ping, 'ejabberd@foo.bar'}}},
             {mnesia_not_stopped, {error, {"Mnesia is not stopped everywhere", [node()]}}},
             {replicas_not_active, {aborted, {not_active, "All replicas on diskfull nodes are not active yet",
                                              a_table_with_quite_a_long_name_so_that_it_is_printed_in_lines, ['b@foo.bar']}}},
             {no_copy_here, {aborted, {badarg, last_activity, unknown}}},
             {table_missing, {aborted, {no_exists, ejabberd_commands}}},
             {waiting_for_tables, {timeout, [session, roster]}}]].

what_mnesia_returns_here_is_recognised_test() ->
    %% Mnesia does not run in this VM.
    {aborted, {node_not_running, _}} = Aborted = mnesia:transaction(fun() -> mnesia:read(roster, 1) end),
    ?assertMatch({ok, #{sightings := [#{code := mnesia_not_running}]}}, easy_cluster_api:explain(Aborted)).

an_error_of_easy_cluster_is_put_into_words_test() ->
    Error = {error, {wrong_cookie, #{node => 'ejabberd@foo.bar'}}},
    {ok, #{text := Words, sightings := Sightings}} = easy_cluster_api:explain(Error),
    ?assertMatch([#{code := wrong_cookie, text := <<"{error,{wrong_cookie,", _/binary>>}], Sightings),
    ?assertEqual(iolist_to_binary(easy_cluster:format_error(Error)), iolist_to_binary(Words)).

%% Refusals

what_is_not_known_is_said_test_() ->
    [?_assertMatch({error, {not_recognised, #{text := <<_, _/binary>>}}}, easy_cluster_api:explain(Term))
     || Term <- ["all is well", "", <<>>, ok, {error, {unknown_to_all, #{a => 1}}}, [1, {a}], self(), #{}, 1.5, <<1:3>>]].

ten_megabytes_are_read_and_more_is_refused_test_() ->
    Line = <<"{aborted,{no_majority,roster}}\n">>,
    Fitting = binary:copy(Line, 10000000 div byte_size(Line)),
    {timeout, 60,
     fun() ->
         ?assertMatch({ok, #{sightings := [#{code := no_majority, count := Count}]}} when Count =:= byte_size(Fitting) div byte_size(Line),
                      easy_cluster_api:explain(Fitting)),
         ?assertMatch({error, {text_too_long, #{limit := 10000000}}}, easy_cluster_api:explain(<<Fitting/binary, Line/binary>>)),
         ?assertMatch({error, {text_too_long, _}}, easy_cluster_api:explain(binary:copy(<<"x">>, 100000000)))
     end}.

%% Names out of a log are text: nobody's log can fill the table of atoms.
a_log_makes_no_atoms_test() ->
    Explain = fun() ->
        Unseen = integer_to_list(erlang:unique_integer([positive])),
        {ok, #{sightings := [_, _]}} = easy_cluster_api:explain("{error,{no_ping,'never@seen" ++ Unseen ++ "'}}\n{aborted,{no_majority,t" ++ Unseen ++ "}}")
    end,
    Explain(),
    Before = erlang:system_info(atom_count),
    [Explain() || _ <- lists:seq(1, 20)],
    ?assertEqual(Before, erlang:system_info(atom_count)).
