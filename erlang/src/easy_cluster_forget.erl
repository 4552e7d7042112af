%% Having members take this node's name out of their schema. As long as one lists it, that member dies when it restarts
%% beside a Mnesia here that knows nothing of it ("Bad cookie").
-module(easy_cluster_forget).

-export([here/2]).
-export([retry/2, left_behind/1]).
%% In another VM
-export([ask/4]).

%% How long those that still list this node are left alone before they are asked again, milliseconds.
-define(ASK_AGAIN, 100).

%% What a member says: all that it lists, where its Mnesia runs.
-type answer() :: {ok, [node()]} | {error, term()}.

%% Has this node forgotten by the members, while Mnesia is stopped here. Members that cannot be told now are `pending', and
%% refused until they were told: even when others have forgotten this node, one that was away brings it back.
-spec here([node()], timeout()) -> {ok, #{pending := [node()]}}.
here(Members, Timeout) ->
    here(Members, Timeout, erlang:monotonic_time(millisecond) + Timeout).

here(Members, Timeout, Deadline) ->
    Answers = easy_cluster_rpc:answers(fun(Node) -> listed(Node, Timeout) end, Members, 2 * Timeout),
    Late = erlang:monotonic_time(millisecond) >= Deadline,
    case {[Node || {Node, {ok, Listed}} <- Answers, lists:member(node(), Listed)], left_behind(Answers)} of
        {[], []} ->
            synced(Members, Timeout);
        {[_ | _] = Listing, _} when not Late ->
            asked(forget_on(Listing, node(), Timeout)),
            here(Members, Timeout, Deadline);
        {_, Left} ->
            ok = easy_cluster_bar:here(Left),
            {ok, #{pending => Left}}
    end.

asked(ok) ->
    ok;
asked({error, Reason}) ->
    logger:notice(#{what => easy_cluster_forget, reason => Reason}),
    receive after ?ASK_AGAIN -> ok end.

%% A member that is killed within two seconds may not have it on its disc, nor how the last transactions ended that this node
%% began: it would wait for this node with its next start.
synced(Members, Timeout) ->
    Sync = fun(Node) -> easy_cluster_rpc:call(Node, mnesia, sync_log, [], Timeout) end,
    _ = easy_cluster_rpc:parallel(Sync, Members, 2 * Timeout),
    {ok, #{pending => []}}.

%% The members that may list this node still, by what each of them said.
-spec left_behind([{node(), answer()}]) -> [node()].
left_behind([]) ->
    [];
left_behind(Answers) ->
    Facts = [#{node => Node, lists => lists_of(Answer)} || {Node, Answer} <- Answers],
    {ok, Left} = easy_cluster_native:call(left_behind, #{here => node(), members => Facts}),
    Left.

lists_of({ok, Listed}) -> Listed;
lists_of({error, _Reason}) -> undefined.

listed(Node, Timeout) ->
    Calls = [{mnesia, system_info, [is_running]}, {mnesia, system_info, [db_nodes]}],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [yes, DbNodes]} -> {ok, DbNodes};
        {ok, [_NotRunning, _]} -> {error, mnesia_not_running};
        {error, Reason} -> {error, Reason}
    end.

%% One member is enough: the schema transaction reaches the others.
forget_on([Node | Nodes], Here, Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, del_table_copy, [schema, Here], Timeout) of
        {ok, {atomic, ok}} -> ok;
        {ok, {aborted, Reason}} -> next(Nodes, Here, Timeout, {Node, Reason});
        {error, Reason} -> next(Nodes, Here, Timeout, {Node, Reason})
    end.

next([], _Here, _Timeout, Reason) -> {error, Reason};
next(Nodes, Here, Timeout, _Reason) -> forget_on(Nodes, Here, Timeout).

%% Tries again with a member that was away: when it is up and its Mnesia serves, it is told to forget this node. Tables
%% that it does not load because it waits for the copy that was begun here are loaded first; nothing was written here.
%%
%% It is told by another VM with another name: a connection between it and this node while its Mnesia starts, even for a
%% moment, is enough for the two to compare their schemas, and to end the one that starts.
-spec retry(node(), timeout()) -> answer().
retry(Node, Timeout) ->
    case easy_cluster_reach:check(Node, erlang:get_cookie(), Timeout) of
        {ok, _Layers} -> told(Node, Timeout);
        {error, {Code, _}} -> {error, Code}
    end.

%% The cookie is in the other VM's environment, which nobody may read who may not read it here. What that VM says when it
%% crashes might hold it.
told(Node, Timeout) ->
    [_, Host] = string:split(atom_to_list(node()), "@"),
    Name = list_to_atom("easy_cluster_asks@" ++ Host),
    Args = [Node, node(), erlang:get_cookie(), Timeout],
    case easy_cluster_vm:call(Name, easy_cluster_vm:distribution(), ?MODULE, ask, Args, 4 * Timeout) of
        {ok, Result} -> Result;
        {error, _MayHoldTheCookie} -> {error, other_vm}
    end.

-spec ask(node(), node(), atom(), timeout()) -> answer().
ask(Node, Here, Cookie, Timeout) ->
    true = erlang:set_cookie(Node, Cookie),
    Result = ask_connected(easy_cluster_rpc:connect_hidden(Node, Timeout), Node, Here, Timeout),
    ok = easy_cluster_rpc:disconnect_hidden(Node),
    Result.

ask_connected({error, Reason}, _Node, _Here, _Timeout) ->
    {error, Reason};
ask_connected({ok, _}, Node, Here, Timeout) ->
    case listed(Node, Timeout) of
        {ok, DbNodes} ->
            case lists:member(Here, DbNodes) of
                true -> forget_and_look(load_waiting(Node, Here, Timeout), Node, Here, Timeout);
                false -> {ok, DbNodes}
            end;
        {error, mnesia_not_running} ->
            ok = decide(easy_cluster_undecided:awaited(Node, Timeout), Node, Here, Timeout),
            {error, mnesia_not_running};
        {error, Reason} ->
            {error, Reason}
    end.

forget_and_look(ok, Node, Here, Timeout) ->
    case forget_on([Node], Here, Timeout) of
        ok -> listed(Node, Timeout);
        {error, Reason} -> {error, Reason}
    end;
forget_and_look({error, Reason}, _Node, _Here, _Timeout) ->
    {error, Reason}.

%% It was killed in a transaction of this node, and nobody else can tell how that ended. This node will not: what it was as a
%% member is gone. Whatever the transaction would have changed was about this node, which it is about to forget.
decide({Transaction, [Here]}, Node, Here, Timeout) -> logged(abort(Node, Transaction, Timeout));
decide(_ForOthersOrNone, _Node, _Here, _Timeout) -> ok.

logged(ok) -> ok;
logged({error, Reason}) -> logger:notice(#{what => easy_cluster_undecided, reason => Reason}).

load_waiting(Node, Here, Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, system_info, [tables], Timeout) of
        {ok, Tables} ->
            lists:foldl(fun(Table, ok) -> load_if_waiting(Node, Here, Table, Timeout);
                           (_Table, {error, Reason}) -> {error, Reason}
                        end, ok, Tables -- [schema]);
        {error, Reason} ->
            {error, Reason}
    end.

load_if_waiting(Node, Here, Table, Timeout) ->
    Calls = [{mnesia, table_info, [Table, Item]} || Item <- [where_to_read, where_to_commit]],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [nowhere, Copies]} -> force_load(lists:sort([Holder || {Holder, _} <- Copies]) -- [Here, Node], Node, Table, Timeout);
        {ok, [_Loaded, _]} -> ok;
        {error, Reason} -> {error, Reason}
    end.

%% Only where nobody else could have a newer copy.
force_load([], Node, Table, Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, force_load_table, [Table], Timeout) of
        {ok, yes} -> ok;
        {ok, Other} -> {error, {force_load_table, Table, Other}};
        {error, Reason} -> {error, Reason}
    end;
force_load(Others, _Node, Table, _Timeout) ->
    {error, {waits_for, Table, Others}}.

%% Ends the transaction there, as Mnesia itself does when `max_wait_for_decision' has passed. To be used when nobody will
%% ever know more of it.
-spec abort(node(), easy_cluster_undecided:transaction(), timeout()) -> ok | {error, term()}.
abort(Node, Transaction, Timeout) ->
    case easy_cluster_rpc:call(Node, erlang, send, [mnesia_recover, {force_decision, Transaction}], Timeout) of
        {ok, _Message} -> ok;
        {error, Reason} -> {error, Reason}
    end.
