%% Having members take this node's name out of their schema. As long as one lists it, that member dies when it restarts
%% beside a Mnesia here that knows nothing of it ("Bad cookie").
-module(easy_cluster_forget).

-export([here/2]).
-export([retry/2]).
%% In another VM
-export([ask/4]).
-export([fence/1]).
-export([fence_cookie/0]).

%% Has this node forgotten by the members, while Mnesia is stopped here. Members that cannot be asked now are `pending':
%% even when others have forgotten it, one that was away brings it back.
-spec here([node()], timeout()) -> {ok, #{pending := [node()]}} | {error, term()}.
here(Members, Timeout) ->
    {Lists, Rest} = lists:partition(fun(Node) -> lists(Node, node(), Timeout) =:= yes end, Members),
    Unknown = [Node || Node <- Rest, lists(Node, node(), Timeout) =:= unknown],
    case forget_on(Lists, node(), Timeout) of
        ok ->
            Done = fun() -> lists:all(fun(Node) -> lists(Node, node(), Timeout) =/= yes end, Members) end,
            verified(easy_cluster_gather:until(Done, Timeout), Unknown);
        {error, Reason} ->
            {error, Reason}
    end.

verified(ok, Unknown) ->
    lists:foreach(fun fence/1, Unknown),
    {ok, #{pending => Unknown}};
verified(timeout, _Unknown) ->
    {error, still_listed}.

lists(Node, Here, Timeout) ->
    Calls = [{mnesia, system_info, [is_running]}, {mnesia, system_info, [db_nodes]}],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [yes, DbNodes]} ->
            case lists:member(Here, DbNodes) of
                true -> yes;
                false -> no
            end;
        {ok, [_NotRunning, _]} -> unknown;
        {error, _Reason} -> unknown
    end.

%% One member is enough: the schema transaction reaches the others.
forget_on([], _Here, _Timeout) ->
    ok;
forget_on([Node | Nodes], Here, Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, del_table_copy, [schema, Here], Timeout) of
        {ok, {atomic, ok}} -> ok;
        {ok, {aborted, Reason}} -> next(Nodes, Here, Timeout, {Node, Reason});
        {error, Reason} -> next(Nodes, Here, Timeout, {Node, Reason})
    end.

next([], _Here, _Timeout, Reason) -> {error, Reason};
next(Nodes, Here, Timeout, _Reason) -> forget_on(Nodes, Here, Timeout).

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
%%
%% It is told by another VM with another name: a connection between it and this node while its Mnesia starts, even for a
%% moment, is enough for the two to compare their schemas, and to end the one that starts.
-spec retry(node(), timeout()) -> forgotten | {pending, term()}.
retry(Node, Timeout) ->
    case easy_cluster_reach:check(Node, erlang:get_cookie(), Timeout) of
        {ok, _Layers} -> retried(told(Node, Timeout), Node);
        {error, {Code, _}} -> {pending, Code}
    end.

retried(ok, Node) ->
    true = erlang:set_cookie(Node, erlang:get_cookie()),
    forgotten;
retried({error, Reason}, _Node) ->
    {pending, Reason}.

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

-spec ask(node(), node(), atom(), timeout()) -> ok | {error, term()}.
ask(Node, Here, Cookie, Timeout) ->
    true = erlang:set_cookie(Node, Cookie),
    Result = ask_connected(easy_cluster_rpc:connect_hidden(Node, Timeout), Node, Here, Timeout),
    ok = easy_cluster_rpc:disconnect_hidden(Node),
    Result.

ask_connected({error, Reason}, _Node, _Here, _Timeout) ->
    {error, Reason};
ask_connected({ok, _}, Node, Here, Timeout) ->
    case lists(Node, Here, Timeout) of
        no -> ok;
        unknown -> {error, mnesia_not_running};
        yes ->
            case load_waiting(Node, Here, Timeout) of
                ok -> forget_on([Node], Here, Timeout);
                {error, Reason} -> {error, Reason}
            end
    end.

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
