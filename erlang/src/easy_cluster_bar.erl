%% Refusing the connections of a node: it is given another cookie, so that each of the two takes the other for down.
%%
%% Erlang connects every node to every other (the mesh). A node that is connected to some of them only makes `global' cut the others
%% from one another, to prevent overlapping partitions (OTP 25 and later): so whoever refuses one node of a mesh leaves all of it.
-module(easy_cluster_bar).

-export([here/1, lift/1]).
-export([leave/1]).
-export([on/3, off/3]).
-export([cookie/0]).

%% Has this node refuse the connections of these nodes.
-spec here([node()]) -> ok.
here(Nodes) ->
    Cookie = cookie(),
    lists:foreach(fun(Node) -> true = erlang:set_cookie(Node, Cookie) end, Nodes),
    leave(Nodes).

%% Takes them again.
-spec lift([node()]) -> ok.
lift(Nodes) ->
    Cookie = erlang:get_cookie(),
    lists:foreach(fun(Node) -> true = erlang:set_cookie(Node, Cookie) end, Nodes).

%% Leaves the mesh of these nodes: every visible connection goes, and `global' reports none of them as lost.
%% Source: global:disconnect/0, since OTP 25.1.
-spec leave([node()]) -> ok.
leave(Nodes) ->
    case Nodes -- (Nodes -- nodes()) of
        [] -> ok;
        _InTheirMesh -> leave_mesh(erlang:function_exported(global, disconnect, 0))
    end,
    lists:foreach(fun disconnect/1, Nodes).

leave_mesh(true) -> _ = global:disconnect(), ok;
leave_mesh(false) -> lists:foreach(fun disconnect/1, nodes()).

disconnect(Node) ->
    _ = erlang:disconnect_node(Node),
    ok.

%% Has the members refuse these nodes. One of them that is there after all leaves the mesh by itself: were the members to cut
%% it off one by one, it would report each of them as lost to the others.
-spec on([node()], [node()], timeout()) -> {ok, map()} | {error, term()}.
on(Nodes, Members, Timeout) ->
    Cookie = cookie(),
    case ask(Members, [{erlang, set_cookie, [Node, Cookie]} || Node <- Nodes], Timeout) of
        ok ->
            lists:foreach(fun(Node) -> have_leave(Node, Timeout) end, [Node || Node <- Nodes, lists:member(Node, nodes())]),
            answered(ask(Members, [{erlang, disconnect_node, [Node]} || Node <- Nodes], Timeout));
        {error, Reason} ->
            {error, Reason}
    end.

%% The answer cannot come, as the way of it goes.
have_leave(Node, Timeout) ->
    _ = easy_cluster_rpc:call(Node, global, disconnect, [], Timeout),
    ok.

ask(Members, Calls, Timeout) ->
    lists:foldl(fun(Member, ok) -> asked(easy_cluster_rpc:batch(Member, Calls, Timeout), Member);
                   (_Member, {error, Reason}) -> {error, Reason}
                end, ok, Members).

asked({ok, _Done}, _Member) -> ok;
asked({error, Reason}, Member) -> {error, {Member, Reason}}.

answered(ok) -> {ok, #{}};
answered({error, Reason}) -> {error, Reason}.

%% Has them take these nodes again. A member that does not answer has forgotten of it when its VM is another one.
-spec off([node()], [node()], timeout()) -> {ok, map()}.
off(Nodes, Members, Timeout) ->
    Calls = [{erlang, set_cookie, [Node, erlang:get_cookie()]} || Node <- Nodes],
    Answers = [{Member, easy_cluster_rpc:batch(Member, Calls, Timeout)} || Member <- Members],
    [logger:warning(#{what => easy_cluster_unbar, member => Member, reason => Reason, refuses => Nodes})
     || {Member, {error, Reason}} <- Answers],
    {ok, #{}}.

%% Nobody's cookie, which cannot be guessed by who does not know the real one, and the same in each VM, so that no more than
%% one atom is ever made.
-spec cookie() -> atom().
cookie() ->
    Digest = erlang:md5(["easy_cluster: refused ", atom_to_list(erlang:get_cookie())]),
    binary_to_atom(base64:encode(Digest)).
