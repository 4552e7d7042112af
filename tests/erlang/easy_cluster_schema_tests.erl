-module(easy_cluster_schema_tests).
-include_lib("eunit/include/eunit.hrl").

-export([ignore/1]).

add_copies_test_() ->
    [{"all kinds of tables in one transaction", with(fun all_kinds/1)},
     {"what is here already is left out", with(fun already_here/1)},
     {"all or none", with(fun all_or_none/1)},
     {"a table that is not there", with(fun not_there/1)},
     {"one after another where they cannot come at once", with(fun one_after_another/1)}].

%% Two members; the second has all tables.
with(Test) ->
    {timeout, 120, fun() ->
        Dir = easy_cluster_peers:scratch(),
        [{_, One} = Here, {_, Two}] = Peers = easy_cluster_peers:start(2),
        try
            [easy_cluster_peers:start_mnesia(Peer, filename:join(Dir, atom_to_list(Node))) || {_, Node} = Peer <- Peers],
            stopped = mnesia(Here, stop, []),
            ok = mnesia(Here, delete_schema, [[One]]),
            ok = mnesia(Here, start, []),
            {ok, [Two]} = mnesia(Here, change_config, [extra_db_nodes, [Two]]),
            {atomic, ok} = mnesia(Here, change_table_copy_type, [schema, One, disc_copies]),
            Test(Peers)
        after
            [easy_cluster_peers:stop(Peer) || Peer <- Peers],
            easy_cluster_peers:remove(Dir)
        end
    end}.

all_kinds([Here, {_, Two} = There]) ->
    Tables = [{in_order, ram_copies, [{type, ordered_set}]}, {bag, disc_copies, [{type, bag}]},
              {indexed, disc_copies, [{attributes, [key, a, b]}, {index, [b]}]},
              {own, disc_copies, [{local_content, true}]}, {busy, ram_copies, [{majority, true}]}],
    [{atomic, ok} = mnesia(There, create_table, [Name, [{Storage, [Two]} | Options]]) || {Name, Storage, Options} <- Tables],
    [ok = mnesia(There, dirty_write, [{Name, 1, 1}]) || Name <- [in_order, bag, own, busy]],
    ok = mnesia(There, dirty_write, [{indexed, 1, x, y}]),
    Before = commits(Here),
    ?assertEqual({atomic, ok}, add(Here, [copy(Name, Storage) || {Name, Storage, _} <- Tables])),
    ?assertEqual(1, commits(Here) - Before),
    [?assertEqual(Storage, mnesia(Here, table_info, [Name, storage_type])) || {Name, Storage, _} <- Tables],
    stopped = mnesia(There, stop, []),
    [?assertEqual([{Name, 1, 1}], mnesia(Here, dirty_read, [Name, 1])) || Name <- [in_order, bag, busy]],
    ?assertEqual([{indexed, 1, x, y}], mnesia(Here, dirty_index_read, [indexed, y, b])),
    ?assertEqual([], mnesia(Here, dirty_read, [own, 1])).

already_here([{_, One} = Here, {_, Two} = There]) ->
    [{atomic, ok} = mnesia(There, create_table, [Name, [{disc_copies, [Two]}]]) || Name <- [a, b]],
    {atomic, ok} = mnesia(Here, add_table_copy, [a, One, ram_copies]),
    Version = mnesia(Here, table_info, [a, version]),
    ?assertEqual({atomic, ok}, add(Here, [copy(a, disc_copies), copy(b, disc_copies)])),
    ?assertEqual({ram_copies, disc_copies}, {mnesia(Here, table_info, [a, storage_type]), mnesia(Here, table_info, [b, storage_type])}),
    ?assertEqual(Version, mnesia(There, table_info, [a, version])),
    ?assertEqual({atomic, ok}, add(Here, [copy(a, disc_copies), copy(b, disc_copies)])).

%% A folder where the file of the second table has to be.
all_or_none([{_, One} = Here, {_, Two} = There]) ->
    [{atomic, ok} = mnesia(There, create_table, [Name, [{disc_only_copies, [Two]}]]) || Name <- [a, b]],
    Folder = filename:join(mnesia(Here, system_info, [directory]), "b.DAT"),
    ok = file:make_dir(Folder),
    ?assertMatch({aborted, _}, add(Here, [copy(a, disc_only_copies), copy(b, disc_only_copies)])),
    [?assertEqual([Two], mnesia(Peer, table_info, [a, disc_only_copies])) || Peer <- [Here, There]],
    ok = file:del_dir(Folder),
    ?assertEqual({atomic, ok}, add(Here, [copy(a, disc_only_copies), copy(b, disc_only_copies)])),
    [?assert(lists:member(One, mnesia(There, table_info, [Name, where_to_write]))) || Name <- [a, b]].

not_there([Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{ram_copies, [Two]}]]),
    ?assertMatch({aborted, {no_exists, _, _}}, add(Here, [copy(a, ram_copies), copy(nowhere, ram_copies)])),
    ?assertEqual(unknown, mnesia(Here, table_info, [a, storage_type])).

%% The core puts no table in dets behind one in memory, as Mnesia's receiver stumbles there.
one_after_another([Here, {_, Two} = There]) ->
    Kinds = [{memory, ram_copies}, {file, disc_only_copies}],
    [{atomic, ok} = mnesia(There, create_table, [Name, [{Storage, [Two]}]]) || {Name, Storage} <- Kinds],
    [ok = mnesia(There, dirty_write, [{Name, 1, 1}]) || {Name, _} <- Kinds],
    Copies = [copy(Name, Storage) || {Name, Storage} <- Kinds],
    ?assertMatch({aborted, _}, add(Here, Copies)),
    ?assertEqual({ok, #{transactions => 2, rows => 2}}, step(Here, Copies, [Two])),
    ?assertEqual({ok, #{transactions => 1, rows => 2}}, step(Here, Copies, [Two])).

step(Peer, Copies, Members) ->
    Context = #{plan => #{members => Members}, progress => fun ?MODULE:ignore/1, timeout => 5000},
    easy_cluster_peers:call(Peer, easy_cluster_step, run, [{copy_tables, #{copies => Copies}}, Context]).

ignore(_Progress) -> ok.

copy(Table, Storage) -> #{table => Table, storage => Storage, rows => 1, bytes => 100}.
commits(Peer) -> mnesia(Peer, system_info, [transaction_commits]).
add(Peer, Copies) -> easy_cluster_peers:call(Peer, easy_cluster_schema, add_copies, [Copies]).
mnesia(Peer, Function, Args) -> easy_cluster_peers:call(Peer, mnesia, Function, Args).
