%% The state of this node's cluster: what its members see, what is under way, and what lies beside the database.
-module(easy_cluster_status).

-export([status/0]).

%% This node's cluster as its members see it, and what is under way here.
-spec status() -> {ok, map()} | easy_cluster_planner:error().
status() ->
    Snapshot = easy_cluster_gather:snapshot([], 5000),
    Drift = easy_cluster_watch:drift(),
    case easy_cluster_native:call(status, #{snapshot => Snapshot, drift => Drift}) of
        {ok, Status} ->
            {ok, lists:foldl(fun maps:merge/2, Status#{drift => Drift}, [easy_cluster_server:state(), on_disc(), by_itself()])};
        {error, Reason} -> {error, Reason}
    end.

%% What members do without being asked, and what any of them does now. Those without easy_cluster do nothing.
by_itself() ->
    Ask = fun(Node) -> easy_cluster_rpc:peer(Node, state, 5000) end,
    Others = nodes_up(mnesia:system_info(is_running)) -- [node()],
    Answers = easy_cluster_rpc:parallel(Ask, Others, 5000),
    #{watch => easy_cluster_watch:state(),
      elsewhere => [{Node, Operation} || {Node, {ok, {ok, #{operation := Operation}}}} <- Answers, Operation =/= none]}.

nodes_up(yes) -> mnesia:system_info(running_db_nodes);
nodes_up(_NotNow) -> [].

%% What lies beside the database of this node.
on_disc() ->
    Directory = mnesia:system_info(directory),
    Kept = case easy_cluster_directory:kept(Directory) of
               {error, _Unreadable} -> [];
               List -> List
           end,
    #{kept => Kept, unfinished => easy_cluster_history:unfinished(Directory)}.
