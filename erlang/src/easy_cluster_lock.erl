%% One operation at a time in a cluster. The lock is `global''s: every member's own kernel holds it, needs nothing of
%% ours for that, and frees it when the holder dies or is cut off.
-module(easy_cluster_lock).

-export([take/1, release/1]).
-export([holders/0]).

-define(RESOURCE, easy_cluster_operation).

%% Takes the lock on the nodes, or says who has it. Never waits.
-spec take([node()]) -> ok | {error, {operation_in_progress, map()}}.
take(Nodes) ->
    case global:set_lock({?RESOURCE, self()}, Nodes, 0) of
        true -> ok;
        false -> {error, {operation_in_progress, #{holder => holder(Nodes)}}}
    end.

-spec release([node()]) -> ok.
release(Nodes) ->
    _ = global:del_lock({?RESOURCE, self()}, Nodes),
    ok.

%% The nodes that hold the lock of this node.
-spec holders() -> [node()].
holders() ->
    holders_on(node()).

%% `global' does not tell who holds a lock; its table does, on all releases. The first of the nodes stands in when it is
%% gone already.
holder([First | _] = Nodes) ->
    Found = [Holder || Node <- Nodes, Holder <- holders_on(Node)],
    hd(Found ++ [First]).

holders_on(Node) ->
    case easy_cluster_rpc:call(Node, ets, lookup, [global_locks, ?RESOURCE], 1000) of
        {ok, [{?RESOURCE, Requester, _Monitors}]} when is_pid(Requester) -> [node(Requester)];
        {ok, _Free} -> [];
        {error, _Reason} -> []
    end.
