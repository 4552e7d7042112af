%% A VM that ends right after Mnesia was stopped has all rows on disc.
-module(easy_cluster_mnesia_tests).

-include_lib("eunit/include/eunit.hrl").

%% In the other VMs
-export([write_and_die/2, count/1]).

-define(ROWS, 1000).

steps_test_() ->
    [{atom_to_list(Step), {timeout, 60, fun() -> survives(Step) end}} || Step <- [stop_mnesia, close_staging]].

survives(Step) ->
    in_scratch(fun(Dir) ->
        ?assertMatch({ended, _}, lonely(write_and_die, [Dir, Step])),
        ?assertEqual({ok, ?ROWS}, lonely(count, [Dir]))
    end).

in_scratch(Fun) ->
    Dir = easy_cluster_peers:scratch(),
    try Fun(Dir)
    after easy_cluster_peers:remove(Dir)
    end.

%% Its name is the same each time, so that Mnesia takes the directory for its own.
lonely(Function, Args) ->
    Peer = easy_cluster_peers:start_lonely(),
    try easy_cluster_peers:call(Peer, ?MODULE, Function, Args) of
        Result ->
            easy_cluster_peers:stop(Peer),
            {ok, Result}
    catch exit:Reason -> {ended, Reason}
    end.

%%% In the other VMs

write_and_die(Dir, Step) ->
    ok = write(Dir),
    slow(whereis(dets)),
    {ok, _} = easy_cluster_step:run(Step, #{}),
    erlang:halt(137, [{flush, false}]).

write(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    {atomic, ok} = mnesia:create_table(kept, [{disc_only_copies, [node()]}]),
    {atomic, _} = mnesia:transaction(fun() -> [mnesia:write({kept, K, K}) || K <- lists:seq(1, ?ROWS)] end),
    dumped = mnesia:dump_log(),
    ok.

%% The server of dets has other things to do for a while, as it may.
slow(Server) ->
    Parent = self(),
    Busy = spawn(fun() ->
        true = erlang:suspend_process(Server),
        Parent ! {self(), suspended},
        receive after 500 -> true = erlang:resume_process(Server) end
    end),
    receive {Busy, suspended} -> ok end.

count(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables([kept], 10000),
    mnesia:table_info(kept, size).
