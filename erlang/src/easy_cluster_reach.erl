%% How far one gets towards a node: the core's probe, told what only this VM knows.
-module(easy_cluster_reach).

-export([check/2]).
-export([probe/2]).
-export([epmd_port/0]).

%% ok, or the first layer that is broken.
-spec check(node(), timeout()) -> ok | easy_cluster_planner:error().
check(Node, Timeout) ->
    case probe([Node], Timeout) of
        {ok, #{problems := []}} -> ok;
        {ok, #{problems := [Problem | _]}} -> {error, Problem};
        {error, Reason} -> {error, Reason}
    end.

%% What was found of each node, and the problem of each that cannot be reached. The cookie goes to the probe and
%% nowhere else.
-spec probe([node()], timeout()) -> {ok, #{reaches := [map()], problems := [{atom(), map()}]}} |
                                    easy_cluster_planner:error().
probe(Nodes, Timeout) ->
    easy_cluster_native:call(probe, #{nodes => Nodes,
                                      cookies => [erlang:get_cookie(Node) || Node <- Nodes],
                                      timeout_ms => Timeout,
                                      epmd_port => epmd_port(),
                                      dist_port => dist_port(),
                                      hosts => hosts(Nodes),
                                      here => node()}).

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

%% Erlang's own host table (inetrc) comes before the system's resolver when it has the host.
hosts(Nodes) ->
    Hosts = lists:usort([Host || Node <- Nodes, [_, Host] <- [string:split(atom_to_list(Node), "@")]]),
    [{unicode:characters_to_binary(Host), unicode:characters_to_binary(inet:ntoa(Address))}
     || {host, Address, Names} <- inet:get_rc(), Host <- Hosts, lists:member(Host, Names)].
