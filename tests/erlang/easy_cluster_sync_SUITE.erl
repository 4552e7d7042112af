%% sync_node/1 brings every missing copy here, whatever kind of table it is; on plain Mnesia nodes without ejabberd.
-module(easy_cluster_sync_SUITE).
-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-export([all_kinds_of_tables_come_with_their_storage_types_and_rows/1]).
-export([a_second_sync_copies_nothing/1]).
-export([a_stranger_cannot_sync/1]).
-export([a_node_is_an_atom_a_string_or_a_binary/1]).

all() ->
    [all_kinds_of_tables_come_with_their_storage_types_and_rows,
     a_second_sync_copies_nothing,
     a_stranger_cannot_sync,
     a_node_is_an_atom_a_string_or_a_binary].

init_per_testcase(_Case, Config) ->
    Dir = easy_cluster_peers:scratch(),
    Peers = easy_cluster_peers:start(3),
    [easy_cluster_peers:start_mnesia(Peer, filename:join(Dir, atom_to_list(Node))) || {_, Node} = Peer <- Peers],
    [{dir, Dir}, {peers, Peers} | Config].

end_per_testcase(_Case, Config) ->
    [easy_cluster_peers:stop(Peer) || Peer <- proplists:get_value(peers, Config)],
    easy_cluster_peers:remove(proplists:get_value(dir, Config)).

all_kinds_of_tables_come_with_their_storage_types_and_rows(Config) ->
    [One, {_, Second} = Two, {_, Third} = Three] = proplists:get_value(peers, Config),
    ok = easy_cluster(Three, join, [Second]),
    Tables = [{two_copies, disc_copies, [{disc_copies, [Second, Third]}]},
              {a_bag, disc_only_copies, [{disc_only_copies, [Second]}, {type, bag}]},
              {in_order, ram_copies, [{ram_copies, [Second]}, {type, ordered_set}]},
              {indexed, disc_copies, [{disc_copies, [Second]}, {attributes, [key, a, b]}, {index, [b]}]},
              {fragmented, disc_copies, [{frag_properties, [{n_fragments, 4}, {node_pool, [Second]}, {n_disc_copies, 1}]}]},
              {own_rows, ram_copies, [{ram_copies, [Second]}, {local_content, true}]}],
    [{atomic, ok} = mnesia(Two, create_table, [Name, Options]) || {Name, _, Options} <- Tables],
    [ok = mnesia(Two, dirty_write, [{Name, I, I}]) || Name <- [two_copies, in_order, own_rows], I <- lists:seq(1, 10)],
    [ok = mnesia(Two, dirty_write, [{a_bag, 1, I}]) || I <- lists:seq(1, 10)],
    [ok = mnesia(Two, dirty_write, [{indexed, I, x, I rem 2}]) || I <- lists:seq(1, 10)],
    [ok = mnesia(Two, activity, [async_dirty, fun mnesia:write/1, [{fragmented, I, I}], mnesia_frag]) || I <- lists:seq(1, 100)],

    ok = easy_cluster(One, join, [Second]),
    ?assertEqual([easy_cluster_fence, schema], lists:sort(mnesia(One, system_info, [local_tables]))),
    ok = easy_cluster(One, sync_node, [Second]),

    Stored = [{Name, mnesia(One, table_info, [Name, storage_type])} || {Name, _, _} <- Tables],
    ?assertEqual([{Name, Storage} || {Name, Storage, _} <- Tables], Stored),
    ?assertEqual(disc_copies, mnesia(One, table_info, [fragmented_frag4, storage_type])),
    [easy_cluster_peers:call(Peer, mnesia, stop, []) || Peer <- [Two, Three]],
    ?assertEqual(10, length(mnesia(One, dirty_read, [a_bag, 1]))),
    ?assertEqual(5, length(mnesia(One, dirty_index_read, [indexed, 1, b]))),
    ?assertEqual(1, mnesia(One, dirty_first, [in_order])),
    ?assertEqual(100, length(mnesia(One, activity, [async_dirty, fun mnesia:all_keys/1, [fragmented], mnesia_frag]))),
    ?assertEqual(0, mnesia(One, table_info, [own_rows, size])).

a_second_sync_copies_nothing(Config) ->
    [One, {_, Second} = Two, _] = proplists:get_value(peers, Config),
    {atomic, ok} = mnesia(Two, create_table, [stock, [{disc_copies, [Second]}]]),
    ok = easy_cluster(One, join, [Second]),
    {ok, #{steps := First}} = easy_cluster(One, plan, [{sync_node, Second}]),
    ?assertMatch([#{action := {copy_table, #{table := stock}}}, #{action := verify}], First),
    ok = easy_cluster(One, sync_node, [Second]),
    {ok, #{steps := Again}} = easy_cluster(One, plan, [{sync_node, Second}]),
    ?assertMatch([#{action := verify}], Again),
    ?assertEqual(ok, easy_cluster(One, sync_node, [Second])).

a_stranger_cannot_sync(Config) ->
    [One, {_, Second}, _] = proplists:get_value(peers, Config),
    ?assertMatch({error, {not_a_member, #{node := Second}}}, easy_cluster(One, sync_node, [Second])).

a_node_is_an_atom_a_string_or_a_binary(Config) ->
    [One, {_, Second}, {_, Third}] = proplists:get_value(peers, Config),
    ok = easy_cluster(One, join, [atom_to_list(Second)]),
    {ok, #{members := [Second]}} = easy_cluster(One, plan, [{sync_node, atom_to_binary(Second)}]),
    ?assertMatch({ok, #{text := _}}, easy_cluster(One, test_node, [Third])),
    ?assertMatch({error, {already_clustered, _}}, easy_cluster(One, join, [atom_to_binary(Third)])).

easy_cluster(Peer, Function, Args) -> easy_cluster_peers:call(Peer, easy_cluster_api, Function, Args).
mnesia(Peer, Function, Args) -> easy_cluster_peers:call(Peer, mnesia, Function, Args).
