%% A member that was left behind is told by another VM, whatever the distribution runs on: this node is never connected to it.
-module(easy_cluster_forget_tests).

-include_lib("eunit/include/eunit.hrl").

%% On the member
-export([watch/0, seen/0]).

retry_test_() ->
    [{Title, {timeout, 120, fun() -> in_scratch(fun(Dir) -> told(Dir, Flags(Dir)) end) end}}
     || {Title, Flags} <- [{"on a port without epmd", fun(_Dir) -> [] end}, {"over TLS", fun tls/1}]].

told(Dir, Flags) ->
    [{_, Here} = One, {_, There} = Two] = Peers = easy_cluster_peers:start(2, Flags),
    try
        ok = easy_cluster_peers:start_mnesia(Two, filename:join(Dir, "two")),
        ok = call(One, application, start, [mnesia]),
        ?assertEqual({ok, [There]}, call(One, mnesia, change_config, [extra_db_nodes, [There]])),
        stopped = call(One, mnesia, stop, []),
        ok = call(One, easy_cluster_bar, here, [[There]]),
        ok = easy_cluster_peers:until(fun() -> call(Two, erlang, nodes, [connected]) =:= [] end),
        ?assertEqual([Here, There], lists:sort(call(Two, mnesia, system_info, [db_nodes]))),
        ok = call(Two, ?MODULE, watch, []),

        ?assertEqual({ok, [There]}, call(One, easy_cluster_forget, retry, [There, 10000])),

        ?assertEqual([There], call(Two, mnesia, system_info, [db_nodes])),
        [_, Host] = string:split(atom_to_list(Here), "@"),
        %% The probe may be among them, which goes by a name of its own, too.
        Seen = call(Two, ?MODULE, seen, []),
        ?assert(lists:member("easy_cluster_asks@" ++ Host, [atom_to_list(Node) || Node <- Seen])),
        ?assertNot(lists:member(Here, Seen)),
        ?assertEqual({ok, [There]}, call(One, easy_cluster_forget, retry, [There, 10000]))
    after
        [easy_cluster_peers:stop(Peer) || Peer <- Peers]
    end.

call(Peer, Module, Function, Args) ->
    easy_cluster_peers:call(Peer, Module, Function, Args).

in_scratch(Fun) ->
    Dir = easy_cluster_peers:scratch(),
    try Fun(Dir)
    after easy_cluster_peers:remove(Dir)
    end.

tls(Dir) ->
    Name = fun(File) -> filename:join(Dir, File) end,
    Made = os:cmd("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=peer -days 1 -keyout " ++ Name("key.pem") ++ " -out "
                  ++ Name("cert.pem") ++ " 2>&1"),
    ?assert(filelib:is_regular(Name("cert.pem")), Made),
    Files = [{certfile, Name("cert.pem")}, {keyfile, Name("key.pem")}],
    ok = file:write_file(Name("tls.conf"), io_lib:format("~p.", [[{server, Files}, {client, [{verify, verify_none}]}]])),
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", Name("tls.conf")].

%%% On the member: whoever is connected from now on

watch() ->
    Starter = self(),
    Pid = spawn(fun() ->
        ok = net_kernel:monitor_nodes(true, #{node_type => all}),
        true = register(?MODULE, self()),
        Starter ! {self(), watching},
        watching([])
    end),
    receive {Pid, watching} -> ok end.

watching(Seen) ->
    receive
        {nodeup, Node, _} -> watching([Node | Seen]);
        {nodedown, _, _} -> watching(Seen);
        {seen, From} -> From ! {seen, lists:usort(Seen)}
    end.

seen() ->
    ?MODULE ! {seen, self()},
    receive {seen, Seen} -> Seen end.
