%% Two clusters of one real node each, then one cluster of both.
-module(easy_cluster_rows_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run on the nodes
-export([create/2, write_all/2, delete_all/2, rows/1, fill/3, row_count/1, merge_dying/3]).

-define(TYPES, [
    {set, ram_copies},
    {set, disc_copies},
    {set, disc_only_copies},
    {bag, ram_copies},
    {bag, disc_copies},
    {bag, disc_only_copies},
    {ordered_set, ram_copies},
    {ordered_set, disc_copies}
]).

%% Ours and theirs are strangers.
strangers_test_() ->
    {setup, fun strangers/0, fun cleanup/1, fun(Context) ->
        [compares_type(Type, Context) || Type <- ?TYPES] ++
            [archives_type(Type, Context) || Type <- ?TYPES] ++
            [
                with("a table of many rows is compared in chunks", fun compares_chunks/1, Context),
                with("keys that are equal numbers are told apart by their rows", fun compares_numbers/1, Context),
                with("large rows go in several messages", fun compares_large_rows/1, Context),
                with("rows of one key of a bag stay together in any number", fun compares_large_bag/1, Context),
                with("a table that is nowhere", fun knows_missing_tables/1, Context),
                with("a node that does not answer", fun knows_dead_nodes/1, Context),
                with("options are checked", fun checks_options/1, Context),
                with("an archive tells how to make the table again", fun makes_table_again/1, Context),
                with("a changed byte or a cut anywhere is found", fun finds_damage/1, Context),
                with("an archive of another version is refused", fun refuses_versions/1, Context),
                with("an archive that cannot be written leaves nothing", fun leaves_nothing/1, Context),
                with("a vanishing table ends the comparison with its name", fun survives_vanishing/1, Context)
            ]
    end}.

%% Ours has joined theirs.
joined_test_() ->
    {setup, fun joined/0, fun cleanup/1, fun(Context) ->
        [merges_type(Type, Copy, Context) || Type <- ?TYPES, Copy <- [here, there]] ++
            [
                with("a bag becomes the union", fun merges_bags/1, Context),
                with("many rows are merged in chunks", fun merges_chunks/1, Context),
                with("a table of another shape is refused", fun refuses_other_shape/1, Context),
                with("a merge that is interrupted can be run again", fun merges_again/1, Context),
                with("a damaged archive merges nothing", fun merges_nothing_damaged/1, Context),
                with("a refused transaction is an error", fun tells_aborts/1, Context)
            ]
    end}.

with(Title, Fun, Context) ->
    {timeout, 60, {Title, fun() -> Fun(Context) end}}.

strangers() ->
    Root = easy_cluster_peers:scratch(),
    [Ours, Theirs] = easy_cluster_peers:start(2),
    [
        easy_cluster_peers:start_mnesia(Peer, filename:join(Root, atom_to_list(Node)))
     || {_, Node} = Peer <- [Ours, Theirs]
    ],
    true = call(Ours, net_kernel, connect_node, [node_of(Theirs)]),
    #{root => Root, ours => Ours, theirs => Theirs}.

joined() ->
    #{ours := Ours, theirs := Theirs} = Context = strangers(),
    stopped = call(Ours, mnesia, stop, []),
    ok = call(Ours, mnesia, delete_schema, [[node_of(Ours)]]),
    ok = call(Ours, mnesia, start, []),
    {ok, [_]} = call(Ours, mnesia, change_config, [extra_db_nodes, [node_of(Theirs)]]),
    {atomic, ok} = call(Ours, mnesia, change_table_copy_type, [schema, node_of(Ours), disc_copies]),
    Context.

cleanup(#{root := Root, ours := Ours, theirs := Theirs}) ->
    [easy_cluster_peers:stop(Peer) || Peer <- [Ours, Theirs]],
    easy_cluster_peers:remove(Root).

node_of({_, Node}) -> Node.

call(Peer, Module, Function, Args) -> easy_cluster_peers:call(Peer, Module, Function, Args).

%% On the nodes.

create(Table, Options) ->
    {atomic, ok} = mnesia:create_table(Table, Options),
    ok = mnesia:wait_for_tables([Table], 10000).

write_all(Table, Rows) -> lists:foreach(fun(Row) -> mnesia:dirty_write(Table, Row) end, Rows).

delete_all(Table, Keys) -> lists:foreach(fun(Key) -> mnesia:dirty_delete(Table, Key) end, Keys).

rows(Table) -> lists:sort(mnesia:dirty_match_object(mnesia:table_info(Table, wild_pattern))).

fill(Table, Keys, Value) ->
    lists:foreach(fun(Key) -> mnesia:dirty_write({Table, Key, Value}) end, lists:seq(1, Keys)).

row_count(Table) -> mnesia:table_info(Table, size).

%% Dies after some transactions.
merge_dying(Archive, Conflicts, Transactions) ->
    ok = meck:new(mnesia, [passthrough, unstick]),
    Left = counters:new(1, []),
    ok = counters:put(Left, 1, Transactions),
    ok = meck:expect(mnesia, transaction, fun(Fun) ->
        ok = counters:sub(Left, 1, 1),
        case counters:get(Left, 1) < 0 of
            true -> exit(killed_by_test);
            false -> meck:passthrough([Fun])
        end
    end),
    {Pid, Monitor} = spawn_monitor(fun() -> exit(easy_cluster_rows:merge(Archive, Conflicts)) end),
    Result =
        receive
            {'DOWN', Monitor, process, Pid, Reason} -> Reason
        end,
    ok = meck:unload(mnesia),
    Result.

%% In the test.

table(Prefix, {Type, Storage}) -> list_to_atom(lists:concat([Prefix, "_", Type, "_", Storage])).

create_on(Table, {Type, Storage}, Peers) ->
    [ok = call(Peer, ?MODULE, create, [Table, [{type, Type}, {Storage, [node_of(Peer)]}]]) || Peer <- Peers].

write_on(Peer, Table, Rows) -> ok = call(Peer, ?MODULE, write_all, [Table, Rows]).

rows_on(Peer, Table) -> call(Peer, ?MODULE, rows, [Table]).

compare(#{ours := Ours, theirs := Theirs}, Table) -> compare(Ours, Theirs, Table, #{}).

compare(Ours, Theirs, Table, Options) ->
    call(Ours, easy_cluster_rows, compare, [Table, node_of(Theirs), Options]).

archive(Peer, Table, File) -> call(Peer, easy_cluster_rows, archive, [Table, File]).

file(#{root := Root}, Table) -> filename:join([Root, "archive", atom_to_list(Table) ++ ".rows"]).

compares_type({bag, _} = Type, Context) ->
    with(lists:concat(["compares ", table(a, Type)]), fun(#{ours := Ours, theirs := Theirs}) ->
        Table = table(compared, Type),
        create_on(Table, Type, [Ours, Theirs]),
        write_on(Ours, Table, [{Table, same, 2}, {Table, same, 1}, {Table, more, 1}, {Table, more, 2}, {Table, less, 1}]),
        write_on(Ours, Table, [{Table, mine, 1}, {Table, mine, 2}, {Table, mine, 3}]),
        write_on(Theirs, Table, [{Table, same, 1}, {Table, same, 2}, {Table, more, 1}, {Table, less, 1}, {Table, less, 2}]),
        write_on(Theirs, Table, [{Table, yours, 1}]),
        Expected = #{table => Table, here => 8, only_here => 3, different => 3},
        ?assertEqual({ok, Expected}, compare(Context, Table))
    end, Context);
compares_type(Type, Context) ->
    with(lists:concat(["compares ", table(a, Type)]), fun(#{ours := Ours, theirs := Theirs}) ->
        Table = table(compared, Type),
        create_on(Table, Type, [Ours, Theirs]),
        write_on(Ours, Table, [{Table, same, 1}, {Table, {other, <<"x">>}, 1}, {Table, [mine], 1}, {Table, mine, 2}]),
        write_on(Theirs, Table, [{Table, same, 1}, {Table, {other, <<"x">>}, 2}, {Table, yours, 1}]),
        Expected = #{table => Table, here => 4, only_here => 2, different => 1},
        ?assertEqual({ok, Expected}, compare(Context, Table))
    end, Context).

archives_type(Type, #{root := Root} = Context) ->
    with(lists:concat(["archives ", table(a, Type)]), fun(#{ours := Ours}) ->
        Table = table(archived, Type),
        create_on(Table, Type, [Ours]),
        write_on(Ours, Table, [{Table, Key, Value} || Key <- lists:seq(1, 1500), Value <- [{a, Key}, <<"b">>]]),
        Rows = rows_on(Ours, Table),
        File = file(Context, Table),
        Count = length(Rows),
        {ok, #{table := Table, rows := Count, bytes := Bytes}} = archive(Ours, Table, File),
        ?assertEqual(Bytes, filelib:file_size(File)),
        Node = node_of(Ours),
        {_, Storage} = Type,
        ?assertMatch(
            {ok, #{table := Table, rows := Count, bytes := Bytes, node := Node, storage := Storage}},
            easy_cluster_rows:read_archive(File)
        ),
        {ok, Read} = easy_cluster_rows:fold_archive(fun(Row, Acc) -> [Row | Acc] end, [], File),
        ?assertEqual(Rows, lists:sort(Read)),
        ?assertEqual([], filelib:wildcard(filename:join([Root, "archive", "*.new"])))
    end, Context).

compares_chunks(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(many, {set, ram_copies}, [Ours, Theirs]),
    ok = call(Ours, ?MODULE, fill, [many, 25000, x]),
    ok = call(Theirs, ?MODULE, fill, [many, 20000, x]),
    write_on(Theirs, many, [{many, Key, y} || Key <- lists:seq(1, 20000, 1000)]),
    ok = call(Ours, meck, new, [easy_cluster_rpc, [passthrough, no_link]]),
    ?assertEqual({ok, #{table => many, here => 25000, only_here => 5000, different => 20}}, compare(Context, many)),
    %% Ets may end a chunk before its limit, never after it.
    Calls = call(Ours, meck, num_calls, [easy_cluster_rpc, call, '_']),
    Keys = [length(lists:nth(3, Args)) || {_, {_, _, [_, lists, zipwith, Args, _]}, _} <- call(Ours, meck, history, [easy_cluster_rpc])],
    ok = call(Ours, meck, unload, [easy_cluster_rpc]),
    ?assertEqual(1000, lists:max(Keys)),
    ?assert(Calls =< 50).

compares_numbers(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(numbers, {ordered_set, ram_copies}, [Ours, Theirs]),
    write_on(Ours, numbers, [{numbers, 1, x}, {numbers, 2, x}]),
    write_on(Theirs, numbers, [{numbers, 1.0, x}, {numbers, 2, x}]),
    ?assertEqual({ok, #{table => numbers, here => 2, only_here => 0, different => 1}}, compare(Context, numbers)).

compares_large_rows(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(large, {set, ram_copies}, [Ours, Theirs]),
    Large = binary:copy(<<"x">>, 1024 * 1024),
    write_on(Ours, large, [{large, Key, Large} || Key <- lists:seq(1, 20)]),
    write_on(Theirs, large, [{large, Key, Large} || Key <- lists:seq(1, 19)]),
    ok = call(Ours, meck, new, [easy_cluster_rpc, [passthrough, no_link]]),
    ?assertEqual({ok, #{table => large, here => 20, only_here => 1, different => 0}}, compare(Context, large)),
    Calls = call(Ours, meck, num_calls, [easy_cluster_rpc, call, '_']),
    ok = call(Ours, meck, unload, [easy_cluster_rpc]),
    ?assertEqual(5, Calls).

compares_large_bag(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(large_bag, {bag, ram_copies}, [Ours, Theirs]),
    Rows = [{large_bag, Key, Value} || Key <- [a, b, c], Value <- lists:seq(1, 2500)],
    write_on(Ours, large_bag, Rows),
    write_on(Theirs, large_bag, Rows -- [{large_bag, b, 1}]),
    ?assertEqual({ok, #{table => large_bag, here => 7500, only_here => 0, different => 2500}}, compare(Context, large_bag)).

knows_missing_tables(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(only_ours, {set, ram_copies}, [Ours]),
    write_on(Ours, only_ours, [{only_ours, 1, 1}]),
    There = #{table => only_ours, node => node_of(Theirs)},
    ?assertEqual({error, {no_such_table, There}}, compare(Context, only_ours)),
    Here = #{table => nowhere, node => node_of(Ours)},
    ?assertEqual({error, {no_such_table, Here}}, compare(Context, nowhere)),
    ?assertEqual({error, {no_such_table, Here}}, archive(Ours, nowhere, file(Context, nowhere))).

knows_dead_nodes(#{ours := Ours, theirs := {_, Node}}) ->
    create_on(alone, {set, ram_copies}, [Ours]),
    write_on(Ours, alone, [{alone, 1, 1}]),
    Dead = 'nobody@127.0.77.99',
    ?assertMatch(
        {error, {node_unreachable, #{table := alone, node := Dead, reason := noconnection}}},
        call(Ours, easy_cluster_rows, compare, [alone, Dead, #{}])
    ),
    ?assertMatch(
        {error, {node_unreachable, #{table := alone, node := Node, reason := timeout}}},
        call(Ours, easy_cluster_rows, compare, [alone, Node, #{timeout => 0}])
    ).

checks_options(#{ours := Ours, theirs := Theirs}) ->
    ?assertMatch(
        {error, {unknown_option, #{option := chunk, known := [timeout]}}},
        compare(Ours, Theirs, alone, #{chunk => 1})
    ),
    ?assertMatch({error, {bad_timeout, #{timeout := soon}}}, compare(Ours, Theirs, alone, #{timeout => soon})).

makes_table_again(#{ours := Ours, theirs := Theirs} = Context) ->
    Options = [
        {type, bag},
        {record_name, person},
        {attributes, [name, town, age]},
        {index, [town]},
        {majority, true},
        {load_order, 7},
        {user_properties, [{owner, me}]},
        {disc_copies, [node_of(Ours)]}
    ],
    ok = call(Ours, ?MODULE, create, [people, Options]),
    File = file(Context, people),
    {ok, _} = archive(Ours, people, File),
    {ok, #{table := people, definition := Definition, rows := 0}} = easy_cluster_rows:read_archive(File),
    ok = call(Theirs, ?MODULE, create, [people, Definition]),
    [
        ?assertEqual(call(Ours, mnesia, table_info, [people, Item]), call(Theirs, mnesia, table_info, [people, Item]))
     || Item <- [type, record_name, attributes, index, majority, load_order, user_properties]
    ].

finds_damage(#{ours := Ours} = Context) ->
    create_on(small, {set, ram_copies}, [Ours]),
    write_on(Ours, small, [{small, Key, Key} || Key <- lists:seq(1, 3)]),
    File = file(Context, small),
    {ok, _} = archive(Ours, small, File),
    {ok, Bytes} = file:read_file(File),
    Size = byte_size(Bytes),
    Cuts = [binary:part(Bytes, 0, Cut) || Cut <- lists:seq(0, Size - 1)],
    Flips = [flip(Bytes, At, Mask) || At <- lists:seq(0, Size - 1), Mask <- [1, 255]],
    [
        begin
            ok = file:write_file(File, Damaged),
            ?assertMatch(
                {error, {archive_corrupt, #{path := _, reason := _, offset := _}}},
                easy_cluster_rows:read_archive(File)
            )
        end
     || Damaged <- [<<Bytes/binary, 0>> | Cuts ++ Flips]
    ],
    ok = file:delete(File),
    ?assertMatch({error, {archive_missing, _}}, easy_cluster_rows:read_archive(File)).

flip(Bytes, At, Mask) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor Mask), After/binary>>.

refuses_versions(#{ours := Ours} = Context) ->
    File = file(Context, small),
    {ok, _} = archive(Ours, small, File),
    {ok, <<Kind:8/binary, _:16, _:32, Records/binary>>} = file:read_file(File),
    Start = <<Kind/binary, 9:16>>,
    ok = file:write_file(File, [Start, <<(erlang:crc32(Start)):32>>, Records]),
    ?assertMatch(
        {error, {archive_version, #{reason := {unknown_version, 9}}}},
        easy_cluster_rows:read_archive(File)
    ).

leaves_nothing(#{root := Root, ours := Ours}) ->
    Taken = filename:join(Root, "taken.rows"),
    ok = file:make_dir(Taken),
    ?assertMatch({error, {archive_error, #{path := Taken, reason := eisdir}}}, archive(Ours, small, Taken)),
    ?assertMatch(
        {error, {archive_error, #{reason := enotdir}}},
        archive(Ours, small, filename:join("/dev/null", "x"))
    ).

%% The table goes while the other side answers the first chunk.
survives_vanishing(#{ours := Ours, theirs := Theirs} = Context) ->
    create_on(vanishing, {set, ram_copies}, [Ours, Theirs]),
    ok = call(Ours, ?MODULE, fill, [vanishing, 5000, x]),
    ok = call(Ours, meck, new, [easy_cluster_rpc, [passthrough, no_link]]),
    ok = call(Ours, meck, expect, [easy_cluster_rpc, call, 5, answer_deleting(vanishing)]),
    Answer = compare(Context, vanishing),
    ok = call(Ours, meck, unload, [easy_cluster_rpc]),
    ?assertEqual({error, {no_such_table, #{table => vanishing, node => node_of(Ours)}}}, Answer).

answer_deleting(Table) ->
    meck:exec(fun(_Node, _Lists, _Zipwith, [_, _, Keys], _Timeout) ->
        {atomic, ok} = mnesia:delete_table(Table),
        {ok, [[] || _ <- Keys]}
    end).

%% Merging: the archive is made of rows that the cluster's table then has changed.

merges_type({Type, Storage} = Kind, Copy, Context) ->
    Title = lists:concat(["merges ", table(a, Kind), " with its copy ", Copy]),
    with(Title, fun(#{ours := Ours, theirs := Theirs}) ->
        Table = table(lists:concat(["merged_", Copy]), Kind),
        Holder = maps:get(Copy, #{here => Ours, there => Theirs}),
        ok = call(Theirs, ?MODULE, create, [Table, [{type, Type}, {Storage, [node_of(Holder)]}]]),
        ok = call(Ours, mnesia, wait_for_tables, [[Table], 10000]),
        File = file(Context, Table),
        Conflicts = file(Context, table(conflicts, Kind)),
        write_on(Holder, Table, [{Table, new, 1}, {Table, same, 1}, {Table, other, ours}]),
        {ok, #{rows := 3}} = archive(Holder, Table, File),
        ok = call(Holder, ?MODULE, delete_all, [Table, [new, other]]),
        write_on(Holder, Table, [{Table, other, theirs}, {Table, yours, 1}]),
        Merge = fun() -> call(Ours, easy_cluster_rows, merge, [File, Conflicts]) end,
        {First, Second, Expected, Listed} = expected(Type, Table),
        ?assertEqual({ok, First}, Merge()),
        ?assertEqual(Expected, rows_on(Theirs, Table)),
        ?assertEqual({ok, Listed}, list(Conflicts)),
        ?assertEqual({ok, Second}, Merge()),
        ?assertEqual(Expected, rows_on(Theirs, Table)),
        ?assertEqual({ok, Listed}, list(Conflicts))
    end, Context).

expected(bag, Table) ->
    {
        #{table => Table, added => 2, same => 1, conflicts => 0},
        #{table => Table, added => 0, same => 3, conflicts => 0},
        [{Table, new, 1}, {Table, other, ours}, {Table, other, theirs}, {Table, same, 1}, {Table, yours, 1}],
        []
    };
expected(_Type, Table) ->
    {
        #{table => Table, added => 1, same => 1, conflicts => 1},
        #{table => Table, added => 0, same => 2, conflicts => 1},
        [{Table, new, 1}, {Table, other, theirs}, {Table, same, 1}, {Table, yours, 1}],
        [{Table, other, ours}]
    }.

list(Archive) -> easy_cluster_rows:fold_archive(fun(Row, Rows) -> [Row | Rows] end, [], Archive).

merges_bags(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [union, [{type, bag}, {ram_copies, [node_of(Theirs)]}]]),
    write_on(Theirs, union, [{union, a, Value} || Value <- [1, 2, 3]]),
    {ok, _} = archive(Theirs, union, file(Context, union)),
    ok = call(Theirs, ?MODULE, delete_all, [union, [a]]),
    write_on(Theirs, union, [{union, a, Value} || Value <- [3, 4]]),
    {ok, #{added := 2, same := 1, conflicts := 0}} =
        call(Ours, easy_cluster_rows, merge, [file(Context, union), file(Context, union_conflicts)]),
    ?assertEqual([{union, a, Value} || Value <- [1, 2, 3, 4]], rows_on(Theirs, union)).

merges_chunks(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [many_merged, [{ram_copies, [node_of(Theirs), node_of(Ours)]}]]),
    ok = call(Theirs, ?MODULE, fill, [many_merged, 5000, ours]),
    {ok, #{rows := 5000}} = archive(Theirs, many_merged, file(Context, many_merged)),
    ok = call(Theirs, ?MODULE, delete_all, [many_merged, lists:seq(1, 4000)]),
    write_on(Theirs, many_merged, [{many_merged, Key, theirs} || Key <- lists:seq(1, 1500)]),
    %% Dirty operations reach the other copies a little later.
    ok = easy_cluster_peers:until(fun() -> call(Ours, ?MODULE, row_count, [many_merged]) =:= 2500 end),
    ?assertEqual(
        {ok, #{table => many_merged, added => 2500, same => 1000, conflicts => 1500}},
        call(Ours, easy_cluster_rows, merge, [file(Context, many_merged), file(Context, many_conflicts)])
    ),
    {ok, Listed} = list(file(Context, many_conflicts)),
    ?assertEqual([{many_merged, Key, ours} || Key <- lists:seq(1, 1500)], lists:sort(Listed)),
    [?assertEqual(5000, call(Peer, ?MODULE, row_count, [many_merged])) || Peer <- [Ours, Theirs]].

refuses_other_shape(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [shape, [{ram_copies, [node_of(Theirs)]}]]),
    write_on(Theirs, shape, [{shape, 1, 1}]),
    File = file(Context, shape),
    {ok, _} = archive(Theirs, shape, File),
    {atomic, ok} = call(Theirs, mnesia, delete_table, [shape]),
    Merge = fun() -> call(Ours, easy_cluster_rows, merge, [File, file(Context, shape_conflicts)]) end,
    ?assertMatch({error, {no_such_table, #{table := shape}}}, Merge()),
    ok = call(Theirs, ?MODULE, create, [shape, [{attributes, [a, b, c]}, {ram_copies, [node_of(Theirs)]}]]),
    ?assertMatch({error, {definition_differs, #{table := shape, archive := _, cluster := _}}}, Merge()),
    ?assertEqual([], rows_on(Theirs, shape)).

merges_again(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [again, [{ram_copies, [node_of(Theirs)]}]]),
    ok = call(Theirs, ?MODULE, fill, [again, 3000, ours]),
    [File, Conflicts] = [file(Context, Name) || Name <- [again, again_conflicts]],
    {ok, _} = archive(Theirs, again, File),
    ok = call(Theirs, ?MODULE, delete_all, [again, lists:seq(1, 3000)]),
    write_on(Theirs, again, [{again, Key, theirs} || Key <- lists:seq(1, 3000, 2)]),
    ?assertEqual(killed_by_test, call(Ours, ?MODULE, merge_dying, [File, Conflicts, 1])),
    Between = call(Theirs, ?MODULE, row_count, [again]),
    ?assert(Between > 1500 andalso Between < 3000),
    ?assertEqual(missing, easy_cluster_files:info(Conflicts)),
    {ok, #{conflicts := 1500}} = call(Ours, easy_cluster_rows, merge, [File, Conflicts]),
    ?assertEqual(3000, call(Theirs, ?MODULE, row_count, [again])),
    ?assertMatch({ok, #{rows := 1500}}, easy_cluster_rows:read_archive(Conflicts)).

merges_nothing_damaged(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [damaged, [{ram_copies, [node_of(Theirs)]}]]),
    ok = call(Theirs, ?MODULE, fill, [damaged, 3000, ours]),
    File = file(Context, damaged),
    {ok, #{bytes := Bytes}} = archive(Theirs, damaged, File),
    ok = call(Theirs, ?MODULE, delete_all, [damaged, lists:seq(1, 3000)]),
    {ok, Fd} = file:open(File, [read, write, raw]),
    {ok, _} = file:position(Fd, Bytes - 1),
    ok = file:truncate(Fd),
    ok = file:close(Fd),
    Answer = call(Ours, easy_cluster_rows, merge, [File, file(Context, damaged_conflicts)]),
    ?assertMatch({error, {archive_corrupt, _}}, Answer),
    ?assertEqual([], rows_on(Theirs, damaged)).

tells_aborts(#{ours := Ours, theirs := Theirs} = Context) ->
    ok = call(Theirs, ?MODULE, create, [fixed, [{ram_copies, [node_of(Theirs)]}]]),
    write_on(Theirs, fixed, [{fixed, 1, 1}]),
    File = file(Context, fixed),
    {ok, _} = archive(Theirs, fixed, File),
    ok = call(Theirs, ?MODULE, delete_all, [fixed, [1]]),
    {atomic, ok} = call(Theirs, mnesia, change_table_access_mode, [fixed, read_only]),
    Conflicts = file(Context, fixed_conflicts),
    ?assertMatch(
        {error, {merge_aborted, #{table := fixed, reason := _}}},
        call(Ours, easy_cluster_rows, merge, [File, Conflicts])
    ),
    ?assertEqual(missing, easy_cluster_files:info(Conflicts ++ ".new")).
