%% Folders and Erlang nodes for tests. Nodes talk to their test through their standard input and output, so they end
%% with it, and to each other on loopback addresses of their own without epmd.
-module(easy_cluster_peers).
-include_lib("kernel/include/file.hrl").

-export([scratch/0, scratch_in_memory/0, remove/1]).
-export([start/1, start/2, start_lonely/0, stop/1, call/4]).
-export([start_mnesia/2, start_cluster/2, until/1]).

-define(TIMEOUT, 60000).

%% A new folder.
scratch() ->
    scratch(os:getenv("TMPDIR", "/tmp")).

%% One where nothing is waited for that is synced, if the machine has such a place.
scratch_in_memory() ->
    case file:read_file_info("/dev/shm") of
        {ok, #file_info{type = directory, access = read_write}} -> scratch("/dev/shm");
        _NoSuchPlace -> scratch()
    end.

scratch(Parent) ->
    Name = lists:concat(["easy_cluster-", os:getpid(), "-", erlang:unique_integer([positive])]),
    Dir = filename:join(Parent, Name),
    ok = file:make_dir(Dir),
    Dir.

remove(Dir) ->
    ok = file:del_dir_r(Dir).

%% That many nodes of one distribution, each as {Peer, Node}.
start(Count) ->
    start(Count, []).

%% With flags of the distribution, too.
start(Count, Flags) ->
    Port = free_port(Count),
    [start_node(Number, Port, Flags) || Number <- lists:seq(1, Count)].

start_node(Number, Port, Flags) ->
    {ok, Peer, Node} = peer:start(#{
        name => lists:concat(["easy_cluster_", os:getpid(), "_", erlang:unique_integer([positive])]),
        host => host(Number),
        longnames => true,
        connection => standard_io,
        args => Flags ++ quiet() ++ [
            "-start_epmd", "false",
            "-erl_epmd_port", integer_to_list(Port),
            "-kernel", "inet_dist_use_interface", lists:flatten(io_lib:format("~w", [address(Number)])),
            "-setcookie", "easy_cluster_tests"
        ]
    }),
    {Peer, Node}.

%% A node without distribution.
start_lonely() ->
    {ok, Peer, _Node} = peer:start(#{connection => standard_io, args => quiet()}),
    Peer.

quiet() ->
    ["-kernel", "logger_level", "critical", "-pa" | code:get_path()].

address(Number) -> {127, 0, 77, Number}.
host(Number) -> inet:ntoa(address(Number)).

%% A port that is free on each of the addresses.
free_port(Count) ->
    {ok, First} = gen_tcp:listen(0, [{ip, address(1)}]),
    {ok, Port} = inet:port(First),
    Others = [gen_tcp:listen(Port, [{ip, address(Number)}]) || Number <- lists:seq(2, Count)],
    [ok = gen_tcp:close(Socket) || {ok, Socket} <- [{ok, First} | Others]],
    case [Reason || {error, Reason} <- Others] of
        [] -> Port;
        _Taken -> free_port(Count)
    end.

stop({Peer, _Node}) -> stop(Peer);
stop(Peer) -> ok = peer:stop(Peer).

call({Peer, _Node}, Module, Function, Args) -> call(Peer, Module, Function, Args);
call(Peer, Module, Function, Args) -> peer:call(Peer, Module, Function, Args, ?TIMEOUT).

%% Mnesia with its schema on disc in Dir.
start_mnesia({_, Node} = Peer, Dir) ->
    _ = call(Peer, application, load, [mnesia]),
    ok = call(Peer, application, set_env, [mnesia, dir, Dir]),
    ok = call(Peer, mnesia, create_schema, [[Node]]),
    ok = call(Peer, mnesia, start, []).

%% One Mnesia on two nodes, their schemas on disc below Dir; tables are the second one's to make.
start_cluster([{_, One} = Here, {_, Two}] = Peers, Dir) ->
    [start_mnesia(Peer, filename:join(Dir, atom_to_list(Node))) || {_, Node} = Peer <- Peers],
    stopped = call(Here, mnesia, stop, []),
    ok = call(Here, mnesia, delete_schema, [[One]]),
    ok = call(Here, mnesia, start, []),
    {ok, [Two]} = call(Here, mnesia, change_config, [extra_db_nodes, [Two]]),
    {atomic, ok} = call(Here, mnesia, change_table_copy_type, [schema, One, disc_copies]),
    ok.

%% Waits for the condition, 10 seconds at most.
until(Condition) ->
    until(Condition, erlang:monotonic_time(millisecond) + 10000).

until(Condition, Deadline) ->
    case {Condition(), erlang:monotonic_time(millisecond) < Deadline} of
        {true, _} ->
            ok;
        {false, true} ->
            receive after 10 -> until(Condition, Deadline) end
    end.
