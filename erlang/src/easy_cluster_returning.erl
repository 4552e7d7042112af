%% A node that starts with a database of its own asks those whom it knows from there whether they still know it, before its
%% Mnesia starts: once it has merged, it is too late. And the way back in for one that was forgotten: its database is moved
%% aside, so that it starts empty and can join as a new node.
-module(easy_cluster_returning).

-include_lib("kernel/include/file.hrl").

-export([check/2]).
-export([reenter/2]).
-export([marker/1]).

%% Whether this node is still a member where it believes to be one. Those that do not answer, or whose Mnesia does not run
%% yet, say nothing. A node that runs with another database has left: it is refused, as the Mnesia that meets it ends.
-spec check(file:filename(), timeout()) -> {ok, Left :: [node()]} | easy_cluster_planner:error().
check(Directory, Timeout) ->
    Known = known(Directory, Timeout),
    case easy_cluster_native:call(returning, #{here => node(), own => easy_cluster_schema_file:cookies(Directory), known => Known}) of
        {ok, Left} ->
            ok = easy_cluster_bar:here(Left),
            {ok, Left};
        {error, Reason} ->
            Nodes = [Node || #{node := Node} <- Known],
            lists:foreach(fun(Node) -> tell(Node, Timeout) end, Nodes),
            ok = easy_cluster_bar:leave(Nodes),
            {error, Reason}
    end.

%% What the others say whose Mnesia runs. The connections stay: a member needs them in a moment.
known(Directory, Timeout) ->
    Others = easy_cluster_schema_file:members(Directory) -- [node()],
    Answers = easy_cluster_rpc:parallel(fun(Node) -> easy_cluster_rpc:batch(Node, questions(), Timeout) end, Others, 2 * Timeout),
    [#{node => Node, members => Members, cookies => maps:from_list([{Table, easy_cluster_schema_file:print(Cookie)} || {{Table, cookie}, Cookie} <- Cookies])}
     || {Node, {ok, {ok, [yes, Members, Cookies]}}} <- Answers].

%% All cookies at once stand in a table of Mnesia's, which is there as long as it runs.
%% Source: mnesia_lib:set/2.
questions() ->
    [{mnesia, system_info, [is_running]}, {mnesia, system_info, [db_nodes]}, {ets, match_object, [mnesia_gvar, {{'_', cookie}, '_'}]}].

%% Into the log of a member, whatever it has installed, and into the status of one that has easy_cluster.
tell(Node, Timeout) ->
    Text = "easy_cluster: " ++ atom_to_list(node()) ++ " was forgotten by this cluster and came back with its old database; "
           "it does not start until that is moved aside",
    _ = easy_cluster_rpc:peer(Node, {returned, node()}, Timeout),
    case easy_cluster_rpc:call(Node, logger, warning, [Text], Timeout) of
        {ok, ok} -> ok;
        {error, Reason} -> logger:notice(#{what => easy_cluster_returning, not_told => Node, reason => Reason})
    end.

%%% Coming in again

%% The plan for it, when the operator has asked for it by a file: not while the others count on this node, as they have to forget it first.
-spec reenter(file:filename(), timeout()) -> none | {ok, easy_cluster_planner:plan()} | easy_cluster_planner:error().
reenter(Directory, Timeout) ->
    case file:read_file_info(marker(Directory), [{time, posix}, raw]) of
        {error, _NotAsked} -> none;
        {ok, #file_info{mtime = Time}} ->
            easy_cluster_native:call(reentering, #{id => id(Time), directory => unicode:characters_to_binary(Directory), here => node(),
                                                   own => easy_cluster_schema_file:cookies(Directory), known => known(Directory, Timeout)})
    end.

%% The file by which it is asked for: below the Mnesia directory, as a node that does not start can be told in no other way.
-spec marker(file:filename()) -> file:filename_all().
marker(Directory) ->
    filename:join([Directory, "easy_cluster", "reenter"]).

%% By the time of the file, so that it stays the same until it is deleted.
id(Time) ->
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Time, second),
    iolist_to_binary(io_lib:format("~4..0w~2..0w~2..0wT~2..0w~2..0w~2..0wZ-reenter", [Year, Month, Day, Hour, Minute, Second])).
