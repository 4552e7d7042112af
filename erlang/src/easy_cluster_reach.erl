%% How far one gets towards a node: the core's probe, told what only this VM knows.
-module(easy_cluster_reach).

-export([check/2, check/3]).
-export([probe/2]).
-export([epmd_port/0]).

-type report() :: #{reaches := [map()],
                    problems := [{Code :: atom(), Details :: map()}],
                    texts := [unicode:chardata()]}.
-export_type([report/0]).

%% The layers in words, up to the first broken one, which is the error then; it has the words under `layers'.
-spec check(node(), timeout()) -> {ok, unicode:chardata()} | easy_cluster_planner:error().
check(Node, Timeout) ->
    check(Node, erlang:get_cookie(Node), Timeout).

%% With another cookie than the one that this node uses with it.
-spec check(node(), atom(), timeout()) -> {ok, unicode:chardata()} | easy_cluster_planner:error().
check(Node, Cookie, Timeout) ->
    case probe([Node], [Cookie], Timeout) of
        {ok, #{problems := [], texts := [Text]}} -> {ok, Text};
        {ok, #{problems := [{Code, Details} | _] = All, texts := [Text]}} ->
            {error, {Code, Details#{problems => All, layers => Text}}};
        {error, Reason} -> {error, Reason}
    end.

%% What was found of each node, the problems of those that cannot be reached, and for each node its layers in words. The
%% cookie goes to the probe and nowhere else.
-spec probe([node()], timeout()) -> {ok, report()} | easy_cluster_planner:error().
probe(Nodes, Timeout) ->
    probe(Nodes, [erlang:get_cookie(Node) || Node <- Nodes], Timeout).

probe(Nodes, Cookies, Timeout) ->
    {Family, Tls} = proto_dist(),
    easy_cluster_native:call(probe, #{nodes => Nodes,
                                      cookies => Cookies,
                                      timeout_ms => Timeout,
                                      epmd_port => epmd_port(),
                                      dist_port => dist_port(),
                                      hosts => hosts(Nodes),
                                      here => node(),
                                      connected => [Node || Node <- nodes(connected), lists:member(Node, Nodes)],
                                      family => Family,
                                      tls => Tls}).

%% Where epmd listens, on every host.
-spec epmd_port() -> inet:port_number().
epmd_port() ->
    case init:get_argument(epmd_port) of
        {ok, [[Port | _] | _]} -> list_to_integer(Port);
        _NotGiven -> list_to_integer(os:getenv("ERL_EPMD_PORT", "4369"))
    end.

%% `-erl_epmd_port': all nodes listen there and no epmd is asked (ERL_DIST_PORT of ejabberdctl).
dist_port() ->
    case init:get_argument(erl_epmd_port) of
        {ok, [[Port | _] | _]} -> list_to_integer(Port);
        _NotGiven -> undefined
    end.

%% What this node's distribution runs on. Of a protocol of another kind nothing is known.
proto_dist() ->
    case init:get_argument(proto_dist) of
        {ok, [["inet_tcp" | _] | _]} -> {inet, false};
        {ok, [["inet6_tcp" | _] | _]} -> {inet6, false};
        {ok, [["inet_tls" | _] | _]} -> {inet, true};
        {ok, [["inet6_tls" | _] | _]} -> {inet6, true};
        {ok, _Other} -> {undefined, false};
        error -> {inet, false}
    end.

%% Erlang's own host table (inetrc) comes before the system's resolver when it has the host.
hosts(Nodes) ->
    Hosts = lists:usort([Host || Node <- Nodes, [_, Host] <- [string:split(atom_to_list(Node), "@")]]),
    [{unicode:characters_to_binary(Host), unicode:characters_to_binary(inet:ntoa(Address))}
     || {host, Address, Names} <- inet:get_rc(), Host <- Hosts, lists:member(Host, Names)].
