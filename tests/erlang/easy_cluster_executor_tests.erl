%% What an interrupted operation asks of others before Mnesia starts.
-module(easy_cluster_executor_tests).

-include_lib("eunit/include/eunit.hrl").

%% Nobody is there.
-define(NOBODY, 'nobody@127.0.77.99').

only_a_node_that_is_joined_or_copied_from_is_asked_test_() ->
    {foreach, fun easy_cluster_peers:scratch/0, fun easy_cluster_peers:remove/1,
     [fun(Dir) -> {atom_to_list(Name), ?_assertEqual(Asked, asked({Name, ?NOBODY}, Dir))} end
      || {Name, Asked} <- [{join, [?NOBODY]}, {sync_node, [?NOBODY]}, {forget, []}, {reenter, []}]]}.

%% The nodes that the start after a kill asks.
asked(Operation, Dir) ->
    {ok, Request} = file:read_file("native/easy_cluster_wire/tests/fixtures/plan.etf"),
    {plan, Inputs} = binary_to_term(Request),
    {ok, Plan} = easy_cluster_native:call(plan, Inputs),
    Id = <<"1">>,
    {ok, Journal} = easy_cluster_journal:create(Dir, Id, {begun, Plan#{id := Id, operation := Operation, steps := [], undo := []}}),
    ok = easy_cluster_journal:close(Journal),
    _ = application:load(mnesia),
    {module, _} = code:ensure_loaded(easy_cluster_rpc),
    {Traced, Monitor} = spawn_monitor(fun() -> receive recover -> exit({recovered, easy_cluster_executor:recover_offline(Dir)}) end end),
    1 = erlang:trace_pattern({easy_cluster_rpc, call, 5}, true, [local]),
    1 = erlang:trace(Traced, true, [call]),
    Traced ! recover,
    receive {'DOWN', Monitor, process, Traced, {recovered, Recovered}} -> ?assertMatch({_Direction, Id}, Recovered) end,
    Delivered = erlang:trace_delivered(Traced),
    receive {trace_delivered, Traced, Delivered} -> ok end,
    1 = erlang:trace_pattern({easy_cluster_rpc, call, 5}, false, [local]),
    calls().

calls() ->
    receive
        {trace, _Pid, call, {easy_cluster_rpc, call, [Node, mnesia, system_info | _]}} -> [Node | calls()];
        {trace, _Pid, call, _Other} -> calls()
    after 0 -> []
    end.
