-module(easy_cluster_gather_tests).
-include_lib("eunit/include/eunit.hrl").

%% Called on a peer.
-export([looked/1, crash/1]).

-define(TIMEOUT, 2000).
%% That of easy_cluster_peers.
-define(COOKIE, <<"easy_cluster_tests">>).

snapshot_test_() ->
    [{"one node", with(1, fun one_node/1)},
     {"a node that stands before a cluster", with(3, fun before_a_cluster/1)},
     {"a member without Mnesia", with(2, fun a_member_without_mnesia/1)},
     {"three silent members", with(5, fun three_silent_members/1)},
     {"directories that are gone", with(2, fun directories_that_are_gone/1)},
     {"a time-out too short for anybody is not for the node itself", with(2, fun hardly_any_time/1)},
     {"a limit of memory that is none", with(1, fun odd_memory_limits/1)},
     {"a preflight without ejabberd", with(1, fun preflight_without_ejabberd/1)},
     {"obstacles, which the core reads", with(1, fun obstacles/1)},
     {"fallbacks that wait", with(2, fun fallbacks_that_wait/1)},
     {"nodes without a schema on disc", with(2, fun nodes_without_a_schema_on_disc/1)},
     {"a member that stops answering halfway", with(2, fun a_member_that_stops_halfway/1)}].

with(Count, Test) ->
    {timeout, 120, fun() ->
        Dir = easy_cluster_peers:scratch(),
        Peers = easy_cluster_peers:start(Count),
        try Test([{Peer, filename:join(Dir, atom_to_list(Node))} || {_, Node} = Peer <- Peers])
        after
            [easy_cluster_peers:stop(Peer) || Peer <- Peers],
            easy_cluster_peers:remove(Dir)
        end
    end}.

one_node([{{_, Node} = Here, Dir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    create(Here, stock, [{ram_copies, [Node]}, {index, [3]}, {load_order, 7}, {attributes, [key, row]}]),
    {#{members := [Member], tables := [Table], node_sets := Sets} = Snapshot, Opened} = snapshot(Here, []),
    ?assertEqual([], Opened),
    ?assertMatch(#{format := 1, node := Node}, Snapshot),
    #{node := Node, answer := {facts, Facts}} = Member,
    Text = unicode:characters_to_binary(Dir),
    ?assertMatch(#{mnesia := yes, use_dir := true, applications := [], directory := Text, directory_writable := true,
                   obstacles := [], unfinished := undefined}, Facts),
    ?assertEqual([[Node], [Node], [], [], []],
                 sets([db_nodes, running_db_nodes, extra_db_nodes, connected, master_nodes], Facts, Sets)),
    ?assert(maps:get(memory_free, Facts) > 0),
    ?assert(maps:get(disk_free, Facts) > 0),
    ?assert(abs(maps:get(clock_offset, Facts)) < 1000),
    ?assertMatch(#{name := stock, type := set, load_order := 7, attributes := [key, row], index := <<"[3]">>, size := 0,
                   local_content := false, majority := false}, Table),
    ?assertEqual([[Node], [Node], [Node], [], [], []], placement(Table, Sets)),
    assert_understood(Here, Snapshot).

%% The core reads it, and the cookie of the distribution is nowhere in it.
assert_understood(Peer, Snapshot) ->
    ?assertMatch({ok, #{text := _}}, easy_cluster_peers:call(Peer, easy_cluster_native, call,
                                                             [status, #{snapshot => Snapshot}])),
    ?assertEqual(nomatch, binary:match(term_to_binary(Snapshot), ?COOKIE)),
    ?assertNotEqual(nomatch, binary:match(term_to_binary([Snapshot, binary_to_atom(?COOKIE)]), ?COOKIE)).

before_a_cluster([{{_, Node} = Here, Dir}, {{_, First}, _} = A, {{_, Second}, _} = B]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    cluster([A, B]),
    {Contact, _} = A,
    create(Here, stock, [{ram_copies, [Node]}]),
    create(Contact, stock, [{disc_copies, [First, Second]}]),
    create(Contact, far, [{ram_copies, [Second]}]),
    [ok = easy_cluster_peers:call(Contact, mnesia, dirty_write, [{stock, Key, Key}]) || Key <- [1, 2, 3]],
    {#{members := Members, tables := Tables, node_sets := Sets} = Snapshot, Opened} = snapshot(Here, [First]),
    ?assertEqual([Node, First, Second], [Name || #{node := Name, answer := {facts, _}} <- Members]),
    Cluster = lists:sort([First, Second]),
    [?assertEqual([Cluster, Cluster], sets([db_nodes, running_db_nodes], Facts, Sets))
     || #{node := Name, answer := {facts, Facts}} <- Members, Name =/= Node],
    ?assertEqual([far, stock, stock], lists:sort([Name || #{name := Name} <- Tables])),
    [Ours] = [Table || #{name := stock, size := 0} = Table <- Tables],
    [Theirs] = [Table || #{name := stock, size := 3} = Table <- Tables],
    [Far] = [Table || #{name := far} = Table <- Tables],
    ?assertEqual([[Node], [Node], [Node], [], [], []], placement(Ours, Sets)),
    ?assertEqual([Cluster, Cluster, [], Cluster, [], []], placement(Theirs, Sets)),
    ?assertEqual([Cluster, [Second], [Second], [], [], []], placement(Far, Sets)),
    ?assertNotEqual(maps:get(cookie, Ours), maps:get(cookie, Theirs)),
    ?assertEqual(length(Sets), length(lists:usort(Sets))),
    ?assertEqual([lists:usort(Set) || Set <- Sets], Sets),
    assert_understood(Here, Snapshot),
    %% Nothing is left behind of the look, and those that were looked at have not noticed it.
    ?assertEqual(Cluster, lists:sort(Opened)),
    ?assertEqual([], easy_cluster_peers:call(Here, erlang, nodes, [])),
    [?assertNot(lists:member(Node, easy_cluster_peers:call(Peer, erlang, nodes, []))) || {Peer, _} <- [A, B]],
    ?assertEqual([], connected(Here)),
    Crashing = [facts, [First], ?TIMEOUT, fun ?MODULE:crash/1],
    ?assertError({crashed, [_, _]}, easy_cluster_peers:call(Here, easy_cluster_gather, with_snapshot, Crashing)),
    ?assertEqual([], connected(Here)).

a_member_without_mnesia([{{_, Node} = Here, Dir}, {{_, Other}, _}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    {#{members := [_, #{node := Other, answer := {facts, Facts}}], node_sets := Sets} = Snapshot, Opened} =
        snapshot(Here, [Other]),
    ?assertMatch(#{mnesia := no, use_dir := false, directory := <<>>}, Facts),
    ?assertEqual([[], []], sets([db_nodes, running_db_nodes], Facts, Sets)),
    ?assertEqual([Other], Opened),
    ?assertMatch(#{node := Node}, Snapshot),
    assert_understood(Here, Snapshot).

%% They are stopped as by a debugger or a host that swaps: the connection is there, and nothing comes.
three_silent_members([{{_, Node} = Here, Dir}, {{_, First}, _} = A | Others]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    cluster([A | Others]),
    Silent = [Peer || {Peer, _} <- Others],
    Pids = [easy_cluster_peers:call(Peer, os, getpid, []) || Peer <- Silent],
    signal("STOP", Pids),
    try
        Before = erlang:monotonic_time(millisecond),
        {#{members := Members} = Snapshot, Opened} = snapshot(Here, [First]),
        Elapsed = erlang:monotonic_time(millisecond) - Before,
        ?assertEqual(lists:sort([Name || {_, Name} <- Silent]),
                     lists:sort([Name || #{node := Name, answer := {silent, <<_, _/binary>>}} <- Members])),
        ?assertEqual([Node, First], [Name || #{node := Name, answer := {facts, _}} <- Members]),
        ?assert(Elapsed >= ?TIMEOUT, Elapsed),
        ?assert(Elapsed < 2 * ?TIMEOUT, Elapsed),
        ?assertEqual([First], Opened),
        assert_understood(Here, Snapshot)
    after
        signal("CONT", Pids)
    end.

signal(Signal, Pids) ->
    [?assertEqual("", os:cmd(lists:concat(["kill -", Signal, " ", Pid]))) || Pid <- Pids].

%% The connection is opened and the second question is never answered: it is closed all the same.
a_member_that_stops_halfway([{Here, Dir}, {{_, Other} = Peer, OtherDir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    easy_cluster_peers:start_mnesia(Peer, OtherDir),
    ok = easy_cluster_peers:call(Peer, sys, suspend, [application_controller]),
    try
        {#{members := [_, Member]}, Opened} = snapshot(Here, [Other]),
        ?assertMatch(#{node := Other, answer := {silent, <<"timeout">>}}, Member),
        ?assertEqual([Other], Opened),
        ?assertEqual([], connected(Here))
    after
        ok = easy_cluster_peers:call(Peer, sys, resume, [application_controller])
    end.

%% Mode bits would do for others, not for root.
directories_that_are_gone([{Here, Dir}, {{_, Other} = There, OtherDir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    easy_cluster_peers:start_mnesia(There, OtherDir),
    ?assertEqual([true, true], each(directory_writable, Here, Other)),
    [easy_cluster_peers:remove(Gone) || Gone <- [Dir, OtherDir]],
    ?assertEqual([false, false], each(directory_writable, Here, Other)).

hardly_any_time([{{_, Node} = Here, Dir}, {{_, Other}, _}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    #{members := Members} = easy_cluster_peers:call(Here, easy_cluster_gather, snapshot, [[Other], 0]),
    ?assertMatch([#{node := Node, answer := {facts, #{mnesia := yes}}}, #{node := Other, answer := {silent, _}}], Members).

odd_memory_limits([{Here, Dir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    [?assert(is_integer(memory_free(Here, Limit)), Limit) || Limit <- [infinity, "4 GB", 1.5, {}]],
    ?assertEqual(0, memory_free(Here, 1)),
    ?assertEqual(0, memory_free(Here, -1)).

memory_free(Here, Limit) ->
    ok = easy_cluster_peers:call(Here, application, set_env, [easy_cluster, memory_limit, Limit]),
    {#{members := [#{answer := {facts, Facts}}]}, []} = snapshot(Here, []),
    maps:get(memory_free, Facts).

preflight_without_ejabberd([{Here, Dir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    {#{members := [#{answer := {facts, Facts}}]} = Snapshot, []} =
        easy_cluster_peers:call(Here, easy_cluster_gather, with_snapshot, [preflight, [], ?TIMEOUT, fun ?MODULE:looked/1]),
    ?assertMatch(#{configuration := undefined, directory_writable := true}, Facts),
    assert_understood(Here, Snapshot).

obstacles([{Here, Dir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    [Link, Kept] = [filename:join(Dir, Name) || Name <- ["old.DAT", "easy_cluster"]],
    ok = file:make_symlink("nowhere", Link),
    ok = file:write_file(Kept, <<>>),
    {#{members := [#{answer := {facts, #{obstacles := Obstacles}}}]} = Snapshot, []} = snapshot(Here, []),
    ?assertEqual([{not_a_plain_file, #{path => unicode:characters_to_binary(Link), kind => <<"symlink">>}},
                  {not_usable, #{path => unicode:characters_to_binary(Kept), reason => <<"enotdir">>}}],
                 lists:sort(Obstacles)),
    assert_understood(Here, Snapshot).

fallbacks_that_wait([{Here, Dir}, {{_, Other} = There, OtherDir}]) ->
    easy_cluster_peers:start_mnesia(Here, Dir),
    easy_cluster_peers:start_mnesia(There, OtherDir),
    ?assertEqual([false, false], each(fallback, Here, Other)),
    [begin
         ok = easy_cluster_peers:call(Peer, mnesia, backup, [Dir ++ ".backup"]),
         ok = easy_cluster_peers:call(Peer, mnesia, install_fallback, [Dir ++ ".backup"])
     end || Peer <- [Here, There]],
    ?assertEqual([true, true], each(fallback, Here, Other)).

nodes_without_a_schema_on_disc([{Here, Dir}, {{_, Other} = There, OtherDir}]) ->
    [begin
         ok = easy_cluster_peers:call(Peer, application, set_env, [mnesia, dir, Unused, [{persistent, true}]]),
         ok = easy_cluster_peers:call(Peer, mnesia, start, [])
     end || {Peer, Unused} <- [{Here, Dir}, {There, OtherDir}]],
    ?assertEqual([false, false], each(use_dir, Here, Other)),
    ?assertEqual([undefined, undefined], each(directory_writable, Here, Other)),
    [ok = file:make_dir(Made) || Made <- [Dir, OtherDir]],
    ?assertEqual([true, true], each(directory_writable, Here, Other)).

%% What Here's snapshot says of both.
each(Fact, Here, Other) ->
    {#{members := Members}, _Opened} = snapshot(Here, [Other]),
    [maps:get(Fact, Facts) || #{answer := {facts, Facts}} <- Members].

%%% Helpers

%% The snapshot, and the hidden connections that there are as long as it is used.
snapshot(Peer, Nodes) ->
    easy_cluster_peers:call(Peer, easy_cluster_gather, with_snapshot, [facts, Nodes, ?TIMEOUT, fun ?MODULE:looked/1]).

looked(Snapshot) -> {Snapshot, nodes(hidden)}.

crash(_Snapshot) -> error({crashed, nodes(hidden)}).

connected(Peer) ->
    easy_cluster_peers:call(Peer, erlang, nodes, [connected]).

create(Peer, Name, Options) ->
    ?assertEqual({atomic, ok}, easy_cluster_peers:call(Peer, mnesia, create_table, [Name, Options])).

%% One Mnesia cluster, with the schema on every disc.
cluster([{{_, Contact} = First, Dir} | Others]) ->
    easy_cluster_peers:start_mnesia(First, Dir),
    [begin
         _ = easy_cluster_peers:call(Peer, application, load, [mnesia]),
         ok = easy_cluster_peers:call(Peer, application, set_env, [mnesia, dir, OtherDir]),
         ok = easy_cluster_peers:call(Peer, mnesia, start, []),
         {ok, [Contact]} = easy_cluster_peers:call(Peer, mnesia, change_config, [extra_db_nodes, [Contact]]),
         {atomic, ok} = easy_cluster_peers:call(Peer, mnesia, change_table_copy_type, [schema, Node, disc_copies])
     end || {{_, Node} = Peer, OtherDir} <- Others].

sets(Keys, Map, Sets) ->
    [lists:nth(maps:get(Key, Map) + 1, Sets) || Key <- Keys].

placement(Table, Sets) ->
    sets([seen_by, active, ram_copies, disc_copies, disc_only_copies, external_copies], Table, Sets).
