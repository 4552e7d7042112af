%% After a total outage: tables that wait on this node and for whom, and a database of which the others did not wait.
-module(easy_cluster_boot).

-include_lib("kernel/include/file.hrl").

-export([waiting/0]).
-export([awaited/3]).
-export([overridden/2]).

-define(LOGS, [{decision_tab, "DECISION_TAB.LOG"}, {previous, "PREVIOUS.LOG"}, {latest, "LATEST.LOG"}]).
%% Of a log that another node is asked for. After a start they are small.
-define(MOST_BYTES, 16 bsl 20).

%%% Waiting

%% Tables that cannot be read here.
-spec waiting() -> [atom()].
waiting() ->
    case mnesia:system_info(is_running) of
        yes -> [Table || Table <- mnesia:system_info(tables), mnesia:table_info(Table, where_to_read) =:= nowhere];
        _NotYet -> []
    end.

%% For whom they wait, by the records of this node, those of members that run, and what shows that a silent one is not gone.
-spec awaited([atom()], easy_cluster_gather:snapshot(), pos_integer()) -> {ok, map()} | easy_cluster_planner:error().
awaited(Tables, #{members := Members} = Snapshot, Timeout) ->
    Logs = easy_cluster_rpc:parallel(fun({Node, Directory}) -> logs(Node, Directory, Timeout) end,
                                     [{Node, Directory} || #{node := Node, answer := {facts, #{mnesia := yes, directory := Directory}}}
                                                               <- Members, Node =/= node()], 3 * Timeout),
    Silent = [Node || #{node := Node, answer := {silent, _Reason}} <- Members],
    case easy_cluster_reach:probe(Silent, Timeout) of
        {ok, #{reaches := Reaches}} ->
            easy_cluster_native:call(waiting, #{snapshot => Snapshot, tables => Tables, reaches => Reaches,
                                                logs => [Read || {_Of, {ok, Read}} <- Logs]});
        {error, Reason} ->
            {error, Reason}
    end.

logs(Node, Directory, Timeout) ->
    maps:from_list([{node, Node} | [{Key, log(Node, filename:join(Directory, Name), Timeout)} || {Key, Name} <- ?LOGS]]).

log(Node, Path, Timeout) ->
    case easy_cluster_rpc:call(Node, file, read_file_info, [Path, [raw]], Timeout) of
        {ok, {ok, #file_info{size = Size}}} when Size =< ?MOST_BYTES ->
            case easy_cluster_rpc:call(Node, file, read_file, [Path], Timeout) of
                {ok, {ok, Bytes}} -> Bytes;
                _Unreadable -> undefined
            end;
        _NoneOrTooLarge ->
            undefined
    end.

%%% Coming back

%% The plan to copy the database of this node aside before Mnesia starts, where others serve tables of which it has the newest copy by its
%% own records: they have gone on without it, and what it wrote last is replaced as soon as it is connected. The copy is
%% named by the time of the last log, so that it stays one until Mnesia has run. What was interrupted comes first.
-spec overridden(file:filename(), pos_integer()) -> none | {ok, #{tables := [atom()], nodes := [node()], plan := easy_cluster_planner:plan()}} |
                                                    easy_cluster_planner:error().
overridden(Directory, Timeout) ->
    case easy_cluster_history:unfinished(Directory) =:= undefined andalso newest(Directory) of
        [_ | _] -> serving_instead(asked(Directory, serving(Directory, Timeout)));
        _NoneOrNotNow -> none
    end.

serving_instead({ok, #{tables := []}}) -> none;
serving_instead(Answer) -> Answer.

newest(Directory) ->
    case asked(Directory, undefined) of
        {ok, #{tables := Tables}} -> Tables;
        %% No database, or none that Mnesia could start with.
        {error, _NoDatabase} -> []
    end.

asked(Directory, Serving) ->
    easy_cluster_native:call(overridden, #{id => id(Directory), here => node(), directory => unicode:characters_to_binary(Directory),
                                           serving => Serving}).

%% Tables that are loaded on each of the others.
serving(Directory, Timeout) ->
    Others = easy_cluster_schema_file:members(Directory) -- [node()],
    Answers = easy_cluster_rpc:parallel(fun(Node) -> served(Node, Timeout) end, Others, 3 * Timeout),
    [{Node, Tables} || {Node, {ok, Tables}} <- Answers].

served(Node, Timeout) ->
    Calls = [{mnesia, system_info, [Item]} || Item <- [is_running, db_nodes, local_tables]],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [yes, Members, Tables]} -> served(lists:member(node(), Members), Node, Tables, Timeout);
        _NotRunning -> []
    end.

%% What a node serves that does not count this one is nothing to this one's tables.
served(true, Node, Tables, Timeout) -> loaded(Node, Tables, Timeout);
served(false, _Node, _Tables, _Timeout) -> [].

loaded(Node, Tables, Timeout) ->
    Items = [where_to_read || _ <- Tables],
    case easy_cluster_rpc:call(Node, lists, zipwith, [fun mnesia:table_info/2, Tables, Items], Timeout) of
        {ok, Places} -> [Table || {Table, Place} <- lists:zip(Tables, Places), Place =:= Node];
        {error, _Reason} -> []
    end.

id(Directory) ->
    {{Year, Month, Day}, {Hour, Minute, Second}} = last_log(Directory),
    iolist_to_binary(io_lib:format("~4..0w~2..0w~2..0wT~2..0w~2..0w~2..0wZ-overridden", [Year, Month, Day, Hour, Minute, Second])).

last_log(Directory) ->
    Paths = [filename:join(Directory, Name) || {_Key, Name} <- ?LOGS],
    Times = [Time || Path <- Paths, {ok, #file_info{mtime = Time}} <- [file:read_file_info(Path, [{time, posix}, raw])]],
    calendar:system_time_to_universal_time(lists:max([0 | Times]), second).
