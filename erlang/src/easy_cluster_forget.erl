%% Having members take this node's name out of their schema. As long as one lists it, that member dies when it restarts
%% beside a Mnesia here that knows nothing of it ("Bad cookie").
-module(easy_cluster_forget).

-export([here/2]).
-export([retry/2]).
-export([fence/1]).
-export([fence_cookie/0]).

%% Has this node forgotten by the members, while Mnesia is stopped here. Members that cannot be asked now are `pending':
%% even when others have forgotten it, one that was away brings it back.
-spec here([node()], timeout()) -> {ok, #{pending := [node()]}} | {error, term()}.
here(Members, Timeout) ->
    {Lists, Rest} = lists:partition(fun(Node) -> lists_here(Node, Timeout) =:= yes end, Members),
    Unknown = [Node || Node <- Rest, lists_here(Node, Timeout) =:= unknown],
    case forget_on(Lists, Timeout) of
        ok ->
            Done = fun() -> lists:all(fun(Node) -> lists_here(Node, Timeout) =/= yes end, Members) end,
            verified(easy_cluster_gather:until(Done, Timeout), Unknown);
        {error, Reason} ->
            {error, Reason}
    end.

verified(ok, Unknown) ->
    lists:foreach(fun fence/1, Unknown),
    {ok, #{pending => Unknown}};
verified(timeout, _Unknown) ->
    {error, still_listed}.

lists_here(Node, Timeout) ->
    Calls = [{mnesia, system_info, [is_running]}, {mnesia, system_info, [db_nodes]}],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [yes, DbNodes]} ->
            case lists:member(node(), DbNodes) of
                true -> yes;
                false -> no
            end;
        {ok, [_NotRunning, _]} -> unknown;
        {error, _Reason} -> unknown
    end.

%% One member is enough: the schema transaction reaches the others.
forget_on([], _Timeout) ->
    ok;
forget_on([Node | Nodes], Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, del_table_copy, [schema, node()], Timeout) of
        {ok, {atomic, ok}} -> ok;
        {ok, {aborted, Reason}} -> next(Nodes, Timeout, {Node, Reason});
        {error, Reason} -> next(Nodes, Timeout, {Node, Reason})
    end.

next([], _Timeout, Reason) -> {error, Reason};
next(Nodes, Timeout, _Reason) -> forget_on(Nodes, Timeout).

%% Keeps a member that still lists this node from connecting to it, so that it can start: to it, this node is just down.
-spec fence(node()) -> ok.
fence(Node) ->
    true = erlang:set_cookie(Node, fence_cookie()),
    _ = erlang:disconnect_node(Node),
    ok.

%% Nobody's cookie, which cannot be guessed by who does not know the real one, and the same in each VM, so that no more than
%% one atom is ever made.
-spec fence_cookie() -> atom().
fence_cookie() ->
    Digest = erlang:md5(["easy_cluster: refused ", atom_to_list(erlang:get_cookie())]),
    binary_to_atom(base64:encode(Digest)).

%% Tries again with a member that was away: when it is up and its Mnesia serves, it is told to forget this node. Tables
%% that it does not load because it waits for the copy that was begun here are loaded first; nothing was written here.
-spec retry(node(), timeout()) -> forgotten | {pending, term()}.
retry(Node, Timeout) ->
    true = erlang:set_cookie(Node, erlang:get_cookie()),
    case easy_cluster_reach:check(Node, Timeout) of
        {ok, _Layers} -> retry_reached(Node, Timeout);
        {error, {Code, _}} -> still_pending(Node, Code)
    end.

retry_reached(Node, Timeout) ->
    Connection = easy_cluster_rpc:connect_hidden(Node, Timeout),
    Result = retry_connected(Connection, Node, Timeout),
    ok = easy_cluster_rpc:disconnect_hidden(Node),
    case Result of
        ok -> forgotten;
        {error, Reason} -> still_pending(Node, Reason)
    end.

still_pending(Node, Reason) ->
    ok = fence(Node),
    {pending, Reason}.

retry_connected({error, Reason}, _Node, _Timeout) ->
    {error, Reason};
retry_connected({ok, _}, Node, Timeout) ->
    case lists_here(Node, Timeout) of
        no -> ok;
        unknown -> {error, mnesia_not_running};
        yes ->
            case load_waiting(Node, Timeout) of
                ok -> forget_on([Node], Timeout);
                {error, Reason} -> {error, Reason}
            end
    end.

load_waiting(Node, Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, system_info, [tables], Timeout) of
        {ok, Tables} ->
            lists:foldl(fun(Table, ok) -> load_if_waiting(Node, Table, Timeout);
                           (_Table, {error, Reason}) -> {error, Reason}
                        end, ok, Tables -- [schema]);
        {error, Reason} ->
            {error, Reason}
    end.

load_if_waiting(Node, Table, Timeout) ->
    Calls = [{mnesia, table_info, [Table, Item]} || Item <- [where_to_read, where_to_commit]],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [nowhere, Copies]} -> force_load(lists:sort([Holder || {Holder, _} <- Copies]), Node, Table, Timeout);
        {ok, [_Loaded, _]} -> ok;
        {error, Reason} -> {error, Reason}
    end.

%% Only where nobody but this node could have a newer copy.
force_load(Holders, Node, Table, Timeout) ->
    case Holders -- [node(), Node] of
        [] ->
            case easy_cluster_rpc:call(Node, mnesia, force_load_table, [Table], Timeout) of
                {ok, yes} -> ok;
                {ok, Other} -> {error, {force_load_table, Table, Other}};
                {error, Reason} -> {error, Reason}
            end;
        Others ->
            {error, {waits_for, Table, Others}}
    end.
