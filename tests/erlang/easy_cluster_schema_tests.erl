-module(easy_cluster_schema_tests).
-include_lib("eunit/include/eunit.hrl").

-export([ignore/1, arrives_behind_the_second_look/1]).

add_copies_test_() ->
    [{"all kinds of tables in one transaction", with(fun all_kinds/1)},
     {"what is here already is left out", with(fun already_here/1)},
     {"all or none", with(fun all_or_none/1)},
     {"a table that is not there", with(fun not_there/1)},
     {"one after another where they cannot come at once", with(fun one_after_another/1)}].

delete_copy_test_() ->
    [{"a copy of each kind goes, and the last one stays", with(fun the_last_one_stays/1)},
     {"one that is not loaded is none that is left", with(fun loaded_ones_count/1)},
     {"one of a read-only table goes, too", with(fun of_a_read_only_table/1)},
     {"the same where Mnesia lacks the functions", with(fun the_last_one_stays/1, fun less_exported/1)}].

delete_dead_copies_test_() ->
    [{"those of a node that is down go where Mnesia locks nothing", with(fun not_locked/1)},
     {"those of a node that is up stay", with(fun up/1)}].

%% Before a copy goes.
same_test_() ->
    [{"copies of each kind, also of a node without easy_cluster", with(fun(Peers) -> [same(Peers, Kind) || Kind <- kinds()] end)},
     {"one of several others is enough", with(fun one_is_enough/1)},
     {"what arrives late is no difference", with(fun late/1)},
     {"what cannot be compared is told", with(fun not_compared/1)}].

%% Two members; the second has all tables.
with(Test) -> with(Test, fun(_Peer) -> ok end).

with(Test, Prepare) ->
    {timeout, 120, fun() ->
        Dir = easy_cluster_peers:scratch(),
        Peers = easy_cluster_peers:start(2),
        try
            [Prepare(Peer) || Peer <- Peers],
            ok = easy_cluster_peers:start_cluster(Peers, Dir),
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

%% Mnesia itself would delete the table with its last copy.
the_last_one_stays([{_, One} = Here, {_, Two} = There]) ->
    Kinds = [{in_order, ram_copies, [{type, ordered_set}]}, {bag, disc_only_copies, [{type, bag}]},
             {indexed, disc_copies, [{attributes, [key, a, b]}, {index, [b]}]}],
    [{atomic, ok} = mnesia(There, create_table, [Name, [{Storage, [One, Two]} | Options]]) || {Name, Storage, Options} <- Kinds],
    [ok = mnesia(Here, sync_dirty, [fun mnesia:write/1, [Row]]) || Row <- [{in_order, 1, 1}, {bag, 1, 1}, {indexed, 1, x, y}]],
    [begin
         ?assertEqual(ok, delete(Here, Name, Two, 1)),
         ?assertEqual([One], mnesia(There, table_info, [Name, where_to_write])),
         ?assertEqual(ok, delete(Here, Name, Two, 1)),
         [?assertEqual({error, {too_few_other_copies, #{table => Name, node => One, others => [], wanted => 1}}},
                       delete(Peer, Name, One, Least)) || Peer <- [Here, There], Least <- [0, 1]],
         ?assertEqual(1, length(mnesia(There, dirty_read, [Name, 1])))
     end || {Name, _, _} <- Kinds],
    ?assertEqual([{indexed, 1, x, y}], mnesia(Here, dirty_index_read, [indexed, y, b])),
    ?assertEqual(ok, delete(Here, nowhere, One, 1)).

loaded_ones_count([{_, One} = Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{disc_copies, [One, Two]}]]),
    stopped = mnesia(There, stop, []),
    ?assertMatch({error, {too_few_other_copies, #{others := []}}}, delete(Here, a, One, 1)),
    ok = mnesia(There, start, []),
    ok = mnesia(There, wait_for_tables, [[a], 5000]),
    ?assertMatch({error, {too_few_other_copies, #{others := [Two], wanted := 2}}}, delete(Here, a, One, 2)),
    ?assertEqual(ok, delete(Here, a, One, 1)).

of_a_read_only_table([{_, One} = Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{disc_copies, [One, Two]}]]),
    ok = mnesia(There, sync_dirty, [fun mnesia:write/1, [{a, 1, 1}]]),
    {atomic, ok} = mnesia(There, change_table_access_mode, [a, read_only]),
    ?assertEqual(ok, delete(Here, a, One, 1)),
    ?assertEqual([Two], mnesia(Here, table_info, [a, disc_copies])),
    ?assertEqual({[{a, 1, 1}], read_only}, {mnesia(Here, dirty_read, [a, 1]), mnesia(Here, table_info, [a, access_mode])}).

not_locked([{_, One} = Here, {_, Two} = There]) ->
    Both = [One, Two],
    Tables = [{memory, ram_copies}, {disc, disc_copies}, {file, disc_only_copies}],
    [{atomic, ok} = mnesia(There, create_table, [Name, [{Storage, Both}, {majority, true}]]) || {Name, Storage} <- Tables],
    {atomic, ok} = mnesia(There, create_table, [read, [{disc_copies, Both}]]),
    {atomic, ok} = mnesia(There, change_table_access_mode, [read, read_only]),
    stopped = mnesia(There, stop, []),
    ?assertMatch({aborted, _}, mnesia(Here, del_table_copy, [schema, Two])),
    Before = commits(Here),
    ?assertEqual(ok, delete_dead(Here, [memory, disc, file, read, nowhere], [Two])),
    ?assertEqual(1, commits(Here) - Before),
    [?assertEqual([One], mnesia(Here, table_info, [Name, Storage])) || {Name, Storage} <- [{read, disc_copies} | Tables]],
    ?assertEqual(ok, delete_dead(Here, [memory, disc, file, read], [Two])),
    ?assertMatch({atomic, ok}, mnesia(Here, transaction, [fun mnesia:write/1, [{disc, 1, 1}]])),
    ?assertEqual({atomic, ok}, mnesia(Here, del_table_copy, [schema, Two])).

up([{_, One} = Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{disc_copies, [One, Two]}]]),
    ?assertEqual({error, {not_down, [Two]}}, delete_dead(Here, [a], [Two])),
    ?assertEqual([One, Two], lists:sort(mnesia(Here, table_info, [a, disc_copies]))).

delete_dead(Peer, Tables, Nodes) -> easy_cluster_peers:call(Peer, easy_cluster_schema, delete_dead_copies, [Tables, Nodes]).

%% As a release would be that does not export one of them; nothing in Mnesia calls it from another module.
less_exported(Peer) ->
    Beam = easy_cluster_peers:call(Peer, code, which, [mnesia_schema]),
    {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(Beam, [abstract_code]),
    Less = [case Form of
                {attribute, At, export, Functions} -> {attribute, At, export, Functions -- [{insert_schema_ops, 2}]};
                _ -> Form
            end || Form <- Forms],
    {ok, Module, Binary} = compile:forms(Less, []),
    _ = easy_cluster_peers:call(Peer, code, unstick_mod, [Module]),
    {module, Module} = easy_cluster_peers:call(Peer, code, load_binary, [Module, "less exported", Binary]),
    [{insert_schema_ops, 2}] = easy_cluster_peers:call(Peer, easy_cluster_schema, missing, []).

delete(Peer, Table, Node, Others) -> easy_cluster_peers:call(Peer, easy_cluster_schema, delete_copy, [Table, Node, Others]).

kinds() ->
    [{ram_copies, set}, {disc_copies, ordered_set}, {disc_only_copies, set}, {disc_only_copies, bag}].

%% Rows enough for several pieces.
same([{_, One} = Here, {_, Two} = There], {Storage, Type}) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{Storage, [One, Two]}, {type, Type}]]),
    written(Here, There, [{a, I, I} || I <- lists:seq(1, 2500)]),
    [begin
         Prepare(There),
         [?assertEqual(ok, same(Here, a, Nodes)) || Nodes <- [[One, Two], [Two, One]]],
         by_mnesia_unseen(There, Storage, insert, {a, only, there}),
         by_mnesia_unseen(There, Storage, delete, 1234),
         ?assertEqual({error, {copy_differs, #{table => a, node => Node, other => Other, keys => 2, more => false,
                                               only_there => 1, missing_there => 1}}}, same(Here, a, [Node, Other])),
         by_mnesia_unseen(There, Storage, delete, only),
         by_mnesia_unseen(There, Storage, insert, {a, 1234, 1234})
     end || {Prepare, Node, Other} <- [{fun has_easy_cluster/1, One, Two}, {fun has_no_easy_cluster/1, Two, One}]],
    ok = easy_cluster_peers:until(fun() -> by_mnesia_unseen(There, Storage, info, safe_fixed) =:= false end),
    has_easy_cluster(There),
    {atomic, ok} = mnesia(Here, delete_table, [a]).

one_is_enough([{_, One} = Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{ram_copies, [One, Two]}]]),
    written(Here, There, [{a, 1, 1}]),
    Gone = 'gone@127.0.77.3',
    ?assertEqual(ok, same(Here, a, [One, Gone, Two])),
    by_mnesia_unseen(There, ram_copies, insert, {a, 2, 2}),
    ?assertMatch({error, {copies_not_compared, #{table := a, node := Gone}}}, same(Here, a, [One, Gone, Two])),
    ?assertMatch({error, {copy_differs, #{other := Two, only_there := 0, missing_there := 1}}}, same(Here, a, [One, Two, Gone])).

late([{_, One} = Here, {_, Two} = There]) ->
    {atomic, ok} = mnesia(There, create_table, [a, [{ram_copies, [One, Two]}]]),
    by_mnesia_unseen(There, ram_copies, insert, {a, 1, 1}),
    has_easy_cluster(Here),
    ok = easy_cluster_peers:call(Here, ?MODULE, arrives_behind_the_second_look, [{a, 1, 1}]),
    ?assertEqual(ok, same(Here, a, [Two, One])),
    ?assertEqual([{a, 1, 1}], mnesia(Here, dirty_read, [a, 1])).

%% The first one reads all, the second the keys that differ.
arrives_behind_the_second_look(Row) ->
    Looked = {easy_cluster_tree, again, 3},
    Asker = self(),
    _ = spawn(fun() ->
                      _ = erlang:trace(all, true, [call]),
                      1 = erlang:trace_pattern(Looked, [{'_', [], [{return_trace}]}]),
                      Asker ! traces,
                      [receive {trace, _Pid, return_from, Looked, _Found} -> ok end || _Copy <- [one, other]],
                      true = ets:insert(element(1, Row), Row)
              end),
    receive traces -> ok end.

not_compared([{_, One} = Here, {_, Two} = There]) ->
    [{atomic, ok} = mnesia(There, create_table, [Name, [{ram_copies, [One, Two]}]]) || Name <- [a, session]],
    {atomic, ok} = mnesia(There, create_table, [lonely, [{ram_copies, [Two]}]]),
    by_mnesia_unseen(There, ram_copies, insert, {session, 1, 1}),
    ?assertEqual(ok, same(Here, session, [Two, One])),
    ?assertMatch({error, {copy_differs, #{table := session, keys := 1}}}, same(Here, session, durable, [Two, One])),
    ?assertEqual(ok, same(Here, lonely, derived, [Two, One])),
    ?assertEqual({error, {no_other_copy, #{table => lonely, holder => Two}}}, same(Here, lonely, [Two])),
    ?assertMatch({error, {copies_not_compared, #{table := lonely, node := One, reason := <<"no_copy">>}}},
                 same(Here, lonely, [Two, One])),
    written(Here, There, [{a, 1, fun() -> Here end}]),
    ?assertEqual({error, {rows_not_comparable, #{table => a, rows => 1}}}, same(Here, a, [Two, One])).

same(Peer, Table, Nodes) -> same(Peer, Table, undefined, Nodes).

same(Peer, Table, Class, Nodes) -> easy_cluster_peers:call(Peer, easy_cluster_diff, same, [Table, Class, Nodes, 5000]).

written(Here, {_, _} = There, [Row | _] = Rows) ->
    ok = easy_cluster_peers:call(Here, lists, foreach, [fun mnesia:dirty_write/1, Rows]),
    Size = fun(Peer) -> mnesia(Peer, table_info, [element(1, Row), size]) end,
    ok = easy_cluster_peers:until(fun() -> Size(Here) =:= Size(There) end).

%% What one copy has and the other one has not.
by_mnesia_unseen(Peer, disc_only_copies, Function, Arg) -> in_table(Peer, dets, Function, Arg);
by_mnesia_unseen(Peer, _InMemory, Function, Arg) -> in_table(Peer, ets, Function, Arg).

in_table(Peer, Module, insert, Row) -> easy_cluster_peers:call(Peer, Module, insert, [element(1, Row), Row]);
in_table(Peer, Module, Function, Arg) -> easy_cluster_peers:call(Peer, Module, Function, [a, Arg]).

has_easy_cluster(Peer) ->
    _ = easy_cluster_peers:call(Peer, code, purge, [easy_cluster_tree]),
    {module, _} = easy_cluster_peers:call(Peer, code, load_file, [easy_cluster_tree]).

%% A module without functions, as what is in the first path is found again whatever becomes of the path.
has_no_easy_cluster(Peer) ->
    {ok, Module, Binary} = compile:forms([{attribute, 1, module, easy_cluster_tree}], []),
    _ = easy_cluster_peers:call(Peer, code, purge, [Module]),
    {module, Module} = easy_cluster_peers:call(Peer, code, load_binary, [Module, "none", Binary]).

step(Peer, Copies, Members) ->
    Context = #{plan => #{members => Members}, progress => fun ?MODULE:ignore/1, timeout => 5000},
    easy_cluster_peers:call(Peer, easy_cluster_step, run, [{copy_tables, #{copies => Copies}}, Context]).

ignore(_Progress) -> ok.

copy(Table, Storage) -> #{table => Table, storage => Storage, rows => 1, bytes => 100}.
commits(Peer) -> mnesia(Peer, system_info, [transaction_commits]).
add(Peer, Copies) -> easy_cluster_peers:call(Peer, easy_cluster_schema, add_copies, [Copies]).
mnesia(Peer, Function, Args) -> easy_cluster_peers:call(Peer, mnesia, Function, Args).
