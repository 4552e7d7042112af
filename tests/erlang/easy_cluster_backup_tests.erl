%% A cluster of two real nodes is backed up, and a third node, of another name, is built from the backup.
-module(easy_cluster_backup_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run on the nodes
-export([create/2, fill/2, fill_fragments/2, change_while/3, die_while/2, write_for_ever/2, rows/1, builds/3, start_in/1]).

-define(KINDS, [{Type, Storage, Place} || Type <- [set, bag, ordered_set], Storage <- [ram_copies, disc_copies, disc_only_copies],
                                          not (Type =:= ordered_set andalso Storage =:= disc_only_copies),
                                          Place <- [one, two, both]]).

cluster_test_() ->
    {setup, fun cluster/0, fun cleanup/1, fun(Context) ->
        [
            with("tables of all kinds and places come back as they were", fun all_kinds/1, Context),
            with("what is written meanwhile is not in it", fun moment/1, Context),
            with("transactions are in it as a whole or not at all", fun whole_transactions/1, Context),
            with("a killed writer leaves no backup and no checkpoint that stands in the way", fun killed/1, Context),
            with("a folder that is not empty is left alone", fun not_empty/1, Context),
            with("any changed byte or missing end is found", fun damage/1, Context),
            with("a table that nobody has loaded fails it with nothing left", fun not_loaded/1, Context),
            with("what is built can be built again, and never merges with the old cluster", fun never_merges/1, Context),
            with("a damaged backup builds nothing", fun builds_nothing/1, Context)
        ]
    end}.

with(Title, Fun, Context) ->
    {timeout, 120, {Title, fun() -> Fun(Context) end}}.

cluster() ->
    Root = easy_cluster_peers:scratch(),
    [One, Two, Three] = easy_cluster_peers:start(3),
    [ok = call(Peer, crypto, start, []) || Peer <- [One, Two, Three]],
    easy_cluster_peers:start_mnesia(One, filename:join(Root, "one")),
    ok = call(Two, application, load, [mnesia]),
    ok = call(Two, application, set_env, [mnesia, dir, filename:join(Root, "two")]),
    ok = call(Two, mnesia, start, []),
    {ok, [_]} = call(Two, mnesia, change_config, [extra_db_nodes, [node_of(One)]]),
    {atomic, ok} = call(Two, mnesia, change_table_copy_type, [schema, node_of(Two), disc_copies]),
    ok = call(Three, application, load, [mnesia]),
    #{root => Root, one => One, two => Two, three => Three}.

cleanup(#{root := Root, one := One, two := Two, three := Three}) ->
    [easy_cluster_peers:stop(Peer) || Peer <- [One, Two, Three]],
    easy_cluster_peers:remove(Root).

call({_, _} = Peer, Module, Function, Args) -> easy_cluster_peers:call(Peer, Module, Function, Args).
here(Peer, Function, Args) -> call(Peer, ?MODULE, Function, Args).
node_of({_, Node}) -> Node.

folder(#{root := Root}) ->
    filename:join(Root, lists:concat(["backup-", erlang:unique_integer([positive])])).

backup(Peer, Folder, Tables) ->
    call(Peer, easy_cluster_backup, write, [Folder, #{tables => Tables, left_out => []}]).

%%% On the nodes

create(Name, Options) ->
    {atomic, ok} = mnesia:create_table(Name, Options),
    ok.

fill(Name, Rows) ->
    mnesia:async_dirty(fun() -> [ok = mnesia:write(Name, Row, write) || Row <- Rows] end),
    ok.

fill_fragments(Name, Rows) ->
    mnesia:activity(sync_dirty, fun() -> [ok = mnesia:write(Name, Row, write) || Row <- Rows] end, [], mnesia_frag),
    ok.

rows(Name) ->
    lists:sort(mnesia:async_dirty(fun() -> mnesia:match_object(Name, mnesia:table_info(Name, wild_pattern), read) end)).

%% The changes come when the first rows of the second table have been read, and before the others are.
change_while(Folder, Name, Changes) ->
    Gate = fun(#{name := a_first}) -> in_process(Changes);
              (_Other) -> ok
           end,
    easy_cluster_backup:write(Folder, #{tables => [a_first, Name], left_out => [], report => Gate}).

in_process(Changes) ->
    {Pid, Monitor} = spawn_monitor(fun() -> lists:foreach(fun({F, Args}) -> apply(mnesia, F, Args) end, Changes) end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end.

%% Ends in the middle of the second table.
die_while(Folder, Name) ->
    Self = self(),
    Wait = fun(#{name := a_first}) -> Self ! half_way, receive never -> ok end;
              (_Other) -> ok
           end,
    Write = fun() -> easy_cluster_backup:write(Folder, #{tables => [a_first, Name], left_out => [], report => Wait}) end,
    Pid = spawn(Write),
    receive half_way -> true = exit(Pid, kill) end,
    mnesia:system_info(checkpoints).

%% Two tables get the same number in each transaction.
write_for_ever(Number, Tables) ->
    {atomic, ok} = mnesia:transaction(fun() -> [ok = mnesia:write({Table, Number, Number}) || Table <- Tables], ok end),
    write_for_ever(Number + 1, Tables).

builds(Backup, Staging, Timeout) ->
    easy_cluster_build:database({backup, Backup}, Staging, Timeout).

start_in(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables(mnesia:system_info(tables), 10000),
    mnesia:system_info(db_nodes).

%%% Tests

all_kinds(#{one := One, two := Two, three := Three, root := Root} = Context) ->
    Kinds = [{list_to_atom(lists:concat([T, "_", S, "_", P])), T, S, P} || {T, S, P} <- ?KINDS],
    Places = #{one => [node_of(One)], two => [node_of(Two)], both => [node_of(One), node_of(Two)]},
    [ok = here(One, create, [Name, [{type, T}, {S, maps:get(P, Places)}, {record_name, thing}, {attributes, [k, v, w]},
                                    {index, [v]}]]) || {Name, T, S, P} <- Kinds],
    Odd = 'an odd name; $(å)',
    ok = here(One, create, [Odd, [{disc_copies, [node_of(Two)]}, {attributes, [k, v]}, {user_properties, [{owner, me}]}]]),
    ok = here(One, create, [empty, [{disc_only_copies, [node_of(Two)]}]]),
    ok = here(One, create, [mine, [{local_content, true}, {disc_copies, [node_of(One), node_of(Two)]}]]),
    ok = here(One, create, [pieces, [{frag_properties, [{n_fragments, 3}, {n_disc_copies, 1}, {node_pool, [node_of(Two)]}]}]]),
    Values = [1, 1.5, <<"bin">>, "text", {tuple, []}, #{map => 1, other => "x", 3 => 4}, node_of(Two), 1 bsl 100],
    Rows = [{thing, {N, K}, N rem 3, V} || N <- lists:seq(1, 100), {K, V} <- lists:enumerate(Values)],
    [ok = here(One, fill, [Name, Rows]) || {Name, _, _, _} <- Kinds],
    [ok = here(One, fill, [Name, [setelement(4, Row, again) || Row <- Rows]]) || {Name, bag, _, _} <- Kinds],
    ok = here(One, fill, [Odd, [{Odd, 1, 2}]]),
    ok = here(One, fill, [mine, [{mine, 1, one}]]),
    ok = here(Two, fill, [mine, [{mine, 2, two}]]),
    Fragments = [pieces, pieces_frag2, pieces_frag3],
    ok = here(Two, fill_fragments, [pieces, [{pieces, N, N} || N <- lists:seq(1, 30)]]),
    Names = [Name || {Name, _, _, _} <- Kinds] ++ [Odd, empty, mine | Fragments],
    Before = [here(One, rows, [Name]) || Name <- Names],
    Folder = folder(Context),

    {ok, #{tables := Tables} = Manifest} = backup(One, Folder, Names),

    ?assertEqual({ok, Manifest}, call(Three, easy_cluster_backup, verify, [Folder])),
    ?assertEqual(lists:sort([{Name, length(Of)} || {Name, Of} <- lists:zip(Names, Before)]),
                 [{Name, Count} || #{name := Name, rows := Count} <- Tables]),
    Staging = filename:join(Root, "three"),
    ?assertEqual(ok, here(Three, builds, [Folder, Staging, 10000])),
    ?assertEqual([node_of(Three)], here(Three, start_in, [Staging])),
    ?assertEqual(Before, [here(Three, rows, [Name]) || Name <- Names]),
    [?assertEqual({Name, [node_of(Three)]}, {Name, call(Three, mnesia, table_info, [Name, S])}) || {Name, _, S, _} <- Kinds],
    [?assertEqual(call(One, easy_cluster_rows, definition, [Name]), call(Three, easy_cluster_rows, definition, [Name])) || Name <- Names],
    [?assertNotEqual(call(One, mnesia, table_info, [Name, cookie]), call(Three, mnesia, table_info, [Name, cookie]))
     || Name <- [schema | Names]],
    Indexed = fun(Peer) -> lists:sort(call(Peer, mnesia, dirty_index_read, [bag_disc_copies_two, 1, 3])) end,
    ?assertEqual(Indexed(One), Indexed(Three)),
    ?assertNotEqual([], Indexed(Three)),
    ?assertEqual([node_of(Three)], proplists:get_value(node_pool, call(Three, mnesia, table_info, [pieces, frag_properties]))),
    {atomic, ok} = call(Three, mnesia, change_table_frag, [pieces, {add_frag, [node_of(Three)]}]),
    stopped = call(Three, mnesia, stop, []).

moment(#{one := One, two := Two, three := Three} = Context) ->
    ok = here(One, create, [a_first, [{ram_copies, [node_of(One)]}]]),
    ok = here(One, fill, [a_first, [{a_first, 1, 1}]]),
    Kinds = [{Type, Peer} || Type <- [set, ordered_set, bag], Peer <- [One, Two]],
    lists:foreach(
        fun({Type, Peer}) ->
            Name = list_to_atom(lists:concat(["changing_", Type, "_", atom_to_list(node_of(Peer))])),
            ok = here(One, create, [Name, [{type, Type}, {disc_copies, [node_of(Peer)]}]]),
            ok = here(One, fill, [Name, [{Name, N, V} || N <- lists:seq(1, 3000), V <- [a, b]]]),
            Before = here(One, rows, [Name]),
            Folder = folder(Context),
            Changes = [{dirty_delete, [Name, 1]}, {dirty_write, [{Name, 2, changed}]}, {dirty_write, [{Name, new, 1}]},
                       {dirty_delete, [Name, 2999]}, {dirty_write, [{Name, 3000, changed}]}, {dirty_write, [{Name, 2999, back}]}]
                ++ [{dirty_write, [{Name, N, more}]} || N <- lists:seq(1000, 2500)],

            {ok, Manifest} = here(One, change_while, [Folder, Name, Changes]),

            ?assertNotEqual(Before, here(One, rows, [Name])),
            ?assertEqual({ok, Manifest}, call(Three, easy_cluster_backup, verify, [Folder])),
            Archive = filename:join([Folder, "tables", easy_cluster_rows:file_name(Name)]),
            {ok, Rows} = easy_cluster_rows:fold_archive(fun(Row, All) -> [Row | All] end, [], Archive),
            ?assertEqual(Before, lists:sort(Rows)),
            ?assertEqual([], call(One, mnesia, system_info, [checkpoints]))
        end, Kinds).

whole_transactions(#{one := One, two := Two} = Context) ->
    Homes = [{pair_a, One}, {pair_b, Two}, {pair_c, One}],
    [ok = here(One, create, [Name, [{disc_copies, [node_of(Peer)]}]]) || {Name, Peer} <- Homes],
    Names = [Name || {Name, _} <- Homes],
    Writers = [call(Peer, erlang, spawn, [?MODULE, write_for_ever, [From, Names]]) || {Peer, From} <- [{One, 1}, {Two, 1000000}]],
    Sizes = [taken_while_writing(One, folder(Context), Names) || _ <- lists:seq(1, 20)],
    [call(One, erlang, exit, [Writer, kill]) || Writer <- Writers],
    ?assert(lists:last(Sizes) > hd(Sizes)),
    ?assertEqual(Sizes, lists:usort(Sizes)).

taken_while_writing(Peer, Folder, Names) ->
    Before = call(Peer, mnesia, table_info, [pair_a, size]),
    ok = easy_cluster_peers:until(fun() -> call(Peer, mnesia, table_info, [pair_a, size]) > Before + 100 end),
    {ok, #{tables := Tables}} = backup(Peer, Folder, Names),
    Archives = [filename:join([Folder, "tables", atom_to_list(Name) ++ ".rows"]) || Name <- Names],
    [First | Others] = [lists:sort(element(2, easy_cluster_rows:fold_archive(fun({_, K, _}, All) -> [K | All] end, [], Archive)))
                        || Archive <- Archives],
    [?assertEqual(First, Other) || Other <- Others],
    ?assertEqual([length(First)], lists:usort([Count || #{rows := Count} <- Tables])),
    length(First).

killed(#{one := One, two := Two} = Context) ->
    Folder = folder(Context),
    ok = here(One, create, [z_second, [{disc_copies, [node_of(Two)]}]]),
    ok = here(One, fill, [z_second, [{z_second, 1, 1}]]),
    ?assertEqual([{easy_cluster_backup, node_of(One)}], here(One, die_while, [Folder, z_second])),
    ?assertMatch({error, {backup_missing, _}}, call(One, easy_cluster_backup, manifest, [Folder])),
    ?assertMatch({error, {backup_missing, _}}, call(One, easy_cluster_backup, verify, [Folder])),
    ?assertMatch({ok, _}, backup(One, folder(Context), [a_first, z_second])),
    [?assertEqual([], call(Peer, mnesia, system_info, [checkpoints])) || Peer <- [One, Two]].

not_empty(#{one := One, root := Root}) ->
    {ok, Before} = file:list_dir(Root),
    ?assertMatch({error, {backup_folder_not_empty, #{path := Root}}}, backup(One, Root, [a_first])),
    ?assertEqual({ok, Before}, file:list_dir(Root)).

damage(#{one := One} = Context) ->
    Folder = folder(Context),
    {ok, _} = backup(One, Folder, [a_first, z_second]),
    Files = [filename:join(Folder, Name) || Name <- ["manifest.term", "tables/a_first.rows", "tables/z_second.rows"]],
    lists:foreach(
        fun(File) ->
            {ok, Whole} = file:read_file(File),
            Size = byte_size(Whole),
            Damaged = [[binary:part(Whole, 0, At), binary:at(Whole, At) bxor 1, binary:part(Whole, At + 1, Size - At - 1)]
                       || At <- lists:seq(0, Size - 1, 3)] ++ [binary:part(Whole, 0, At) || At <- lists:seq(0, Size - 1, 3)],
            lists:foreach(
                fun(Bytes) ->
                    ok = file:write_file(File, Bytes),
                    ?assertMatch({error, {Code, _}} when Code =:= backup_damaged; Code =:= backup_version, easy_cluster_backup:verify(Folder))
                end, Damaged),
            ok = file:write_file(File, Whole)
        end, Files),
    ?assertMatch({ok, _}, easy_cluster_backup:verify(Folder)),
    ok = file:rename(lists:last(Files), lists:last(Files) ++ ".away"),
    ?assertMatch({error, {backup_damaged, #{table := z_second}}}, easy_cluster_backup:verify(Folder)).

not_loaded(#{one := One, two := Two, root := Root} = Context) ->
    stopped = call(Two, mnesia, stop, []),
    Folder = folder(Context),
    ?assertMatch({error, {backup_failed, #{path := Folder}}}, backup(One, Folder, [a_first, z_second])),
    ?assertEqual({ok, []}, file:list_dir(Folder)),
    here(Two, start_in, [filename:join(Root, "two")]).

never_merges(#{one := One, two := Two, three := Three, root := Root} = Context) ->
    Folder = folder(Context),
    Staging = filename:join(Root, "again"),
    {ok, _} = backup(One, Folder, [a_first, z_second]),
    ?assertEqual(ok, here(Three, builds, [Folder, Staging, 10000])),
    ?assertEqual(ok, here(Three, builds, [Folder, Staging, 10000])),
    ?assertEqual([node_of(Three)], here(Three, start_in, [Staging])),
    ?assertMatch({error, _}, call(Three, mnesia, change_config, [extra_db_nodes, [node_of(One)]])),
    Members = lists:sort([node_of(One), node_of(Two)]),
    [?assertEqual(Members, lists:sort(call(Peer, mnesia, system_info, [db_nodes]))) || Peer <- [One, Two]],
    ?assertEqual([{z_second, 1, 1}], here(One, rows, [z_second])),
    _ = call(Three, mnesia, stop, []).

builds_nothing(#{one := One, three := Three, root := Root} = Context) ->
    Folder = folder(Context),
    {ok, _} = backup(One, Folder, [a_first, z_second]),
    File = filename:join(Folder, "tables/z_second.rows"),
    {ok, Whole} = file:read_file(File),
    ok = file:write_file(File, binary:part(Whole, 0, byte_size(Whole) - 1)),
    Staging = filename:join(Root, "nothing"),
    ?assertMatch({error, {backup_damaged, #{table := z_second}}}, here(Three, builds, [Folder, Staging, 10000])),
    ?assertEqual({error, enoent}, file:list_dir(Staging)).
