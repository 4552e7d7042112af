#!/usr/bin/env escript
%% How much later other processes run while the core plans: 1,000 processes sleep in a loop and measure how late they
%% wake up, with and without one process that plans a join to 1,000 nodes and 10,000 tables without a pause.
%%
%%   rebar3 compile && escript benches/scheduler.escript [folder of the beams]
%%
%% The planning thread takes a core of the machine from the VM's schedulers, as any other program does that computes. To
%% tell that from waiting inside the VM, a shell that does nothing but count is measured as well. All three are measured
%% in turn, several times, as the machine may have other work.
-mode(compile).

-define(PROCESSES, 1000).
-define(ROUNDS, 5).
-define(ROUND_MS, 2000).
%% A histogram of microseconds, as far as it reaches; beyond it is the last.
-define(BUCKET_US, 10).
-define(BUCKETS, 100000).

main([]) ->
    Top = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    main([filename:join(Top, "_build/default/lib/easy_cluster/ebin")]);
main([Ebin]) ->
    true = code:add_patha(Ebin),
    ok = easy_cluster_nif:loaded(),
    Request = term_to_binary({plan, inputs(1000, 10000)}, [{minor_version, 2}]),
    {Micros, Answer} = timer:tc(fun() -> easy_cluster_nif:call(Request) end),
    {ok, #{steps := Steps}} = binary_to_term(Answer),
    io:format("OTP ~s, ~w schedulers, ~w dirty; request ~.1f MB, answer ~.1f MB, ~w steps, planned in ~.1f ms~n",
              [erlang:system_info(otp_release), erlang:system_info(schedulers_online),
               erlang:system_info(dirty_cpu_schedulers_online), byte_size(Request) / 1.0e6, byte_size(Answer) / 1.0e6,
               length(Steps), Micros / 1000]),
    [compare(Sleep, Request) || Sleep <- [1, 10, 100]].

compare(Sleep, Request) ->
    Histograms = [{none, histogram()}, {program, histogram()}, {plans, histogram()}],
    Plans = lists:sum([round(Sleep, Request, Load, Histogram)
                       || _ <- lists:seq(1, ?ROUNDS), {Load, Histogram} <- Histograms]),
    io:format("~n~w processes that sleep ~w ms; ~w plans~n", [?PROCESSES, Sleep, Plans]),
    io:format("~-24s ~10s ~9s ~9s ~9s ~9s~n", ["late by, ms", "wake-ups", "p50", "p99", "p99.9", "max"]),
    [Before, Beside, After] =
        [begin
             Values = [quantile(Histogram, Share) || Share <- [0.5, 0.99, 0.999, 1.0]],
             line(title(Load), integer_to_list(count(Histogram)), Values),
             Values
         end || {Load, Histogram} <- Histograms],
    line("added by planning", "", difference(After, Before)),
    line("beyond any program's", "", difference(After, Beside)).

title(none) -> "nothing else";
title(program) -> "beside another program";
title(plans) -> "beside planning".

difference(After, Before) ->
    lists:zipwith(fun(A, B) -> A - B end, After, Before).

line(Title, Count, Values) ->
    io:format("~-24s ~10s ~9.2f ~9.2f ~9.2f ~9.2f~n", [Title, Count | [Value / 1000 || Value <- Values]]).

round(Sleep, _Request, none, Histogram) ->
    sleepers(Sleep, Histogram),
    0;
round(Sleep, _Request, program, Histogram) ->
    Port = open_port({spawn_executable, os:find_executable("sh")}, [{args, ["-c", "while :; do :; done"]}]),
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    sleepers(Sleep, Histogram),
    "" = os:cmd("kill " ++ integer_to_list(Pid)),
    0;
round(Sleep, Request, plans, Histogram) ->
    Planner = spawn_monitor(fun() -> plan(Request, 0) end),
    sleepers(Sleep, Histogram),
    stop(Planner).

plan(Request, Done) ->
    receive stop -> exit({planned, Done})
    after 0 ->
        _ = easy_cluster_nif:call(Request),
        plan(Request, Done + 1)
    end.

stop({Pid, Monitor}) ->
    Pid ! stop,
    receive {'DOWN', Monitor, process, Pid, {planned, Done}} -> Done end.

sleepers(Sleep, Histogram) ->
    Until = erlang:monotonic_time(microsecond) + ?ROUND_MS * 1000,
    Pids = [spawn_monitor(fun() -> sleep(Sleep, Until, Histogram) end) || _ <- lists:seq(1, ?PROCESSES)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Pids].

sleep(Sleep, Until, Histogram) ->
    Before = erlang:monotonic_time(microsecond),
    case Before < Until of
        true ->
            receive after Sleep -> ok end,
            Late = max(0, erlang:monotonic_time(microsecond) - Before - Sleep * 1000),
            counters:add(Histogram, min(Late div ?BUCKET_US + 1, ?BUCKETS), 1),
            sleep(Sleep, Until, Histogram);
        false ->
            ok
    end.

histogram() -> counters:new(?BUCKETS, [write_concurrency]).

count(Histogram) ->
    lists:sum([counters:get(Histogram, Bucket) || Bucket <- lists:seq(1, ?BUCKETS)]).

quantile(Histogram, Share) ->
    quantile(Histogram, 1, ceil(Share * count(Histogram))).

quantile(Histogram, Bucket, Left) ->
    case Left - counters:get(Histogram, Bucket) of
        More when More > 0 -> quantile(Histogram, Bucket + 1, More);
        _Reached -> Bucket * ?BUCKET_US
    end.

%% As in benches/plan.rs: a fresh node joins a healthy cluster with three copies of each table, spread evenly.
inputs(NodeCount, TableCount) ->
    Here = 'ejabberd@joiner.example.org',
    Nodes = [list_to_atom(lists:flatten(io_lib:format("ejabberd@node-~5..0w.chat.example.org", [Number])))
             || Number <- lists:seq(1, NodeCount)],
    ByNumber = list_to_tuple(Nodes),
    Holders = [lists:usort([element((Number * Step) rem NodeCount + 1, ByNumber) || Step <- [1, 7, 31]])
               || Number <- lists:seq(1, NodeCount)],
    #{operation => {join_as_master, hd(Nodes)},
      options => #{dry_run => false, timeout => 5000, local_rows => archive, yes => true},
      rows => [],
      at => <<"20260101T000000.000000Z">>,
      snapshot => #{format => 1,
                    node => Here,
                    node_sets => [[], [Here], Nodes | Holders],
                    members => [#{node => Here, answer => {facts, facts(1)}}
                                | [#{node => Node, answer => {facts, facts(2)}} || Node <- Nodes]],
                    tables => [table(Number, 3 + Number rem NodeCount) || Number <- lists:seq(1, TableCount)]}}.

facts(Cluster) ->
    #{otp_release => <<"27">>, versions => #{<<"mnesia">> => <<"4.23.5">>, <<"ejabberd">> => <<"26.01">>},
      applications => [], mnesia => yes, use_dir => true, db_nodes => Cluster, running_db_nodes => Cluster,
      extra_db_nodes => 0, connected => 0, master_nodes => 0, tick_time => 60, clock_offset => 3,
      directory => <<"/var/lib/ejabberd">>}.

table(Number, Holders) ->
    Name = list_to_atom("table_" ++ integer_to_list(Number)),
    #{name => Name, seen_by => 2, type => set, ram_copies => 0, disc_copies => Holders, disc_only_copies => 0,
      external_copies => 0, active => Holders, attributes => [us, jid, name, subscription, ask, groups],
      record_name => Name, index => <<"[]">>, local_content => false, majority => false, load_order => 0,
      cookie => <<"{{1719233843987654321,-576460752303423485,1},'ejabberd@node-00001.chat.example.org'}">>,
      version => <<"{{12,3},{'ejabberd@node-00001.chat.example.org',{1719,233843,987654}}}">>,
      properties => <<"[[],[],[]]">>, size => 12345, memory => 1234567}.
