%% Digests of rows: the same for the same term wherever it lies, another for another one, and what trees make of them.
-module(easy_cluster_tree_tests).

%% Debian's proper comes without its header, hence no macros.
-include_lib("eunit/include/eunit.hrl").

-define(SEED, 42).

%%% Terms

properties_test_() ->
    [{"terms are the same exactly when their hashes are", property(fun prop_same/0)},
     {"a copy that has gone through another node has the same hash", property(fun prop_copied/0)},
     {"the order of rows makes no difference to a tree", property(fun prop_order/0)}].

property(Property) ->
    {timeout, 120, fun() ->
        ?assertEqual(true, proper:quickcheck(Property(), [{numtests, 500}, {to_file, user}, quiet]))
    end}.

%% Small terms are often equal.
prop_same() ->
    proper:forall({small(), small()}, fun({One, Other}) -> (One =:= Other) =:= (hash(One) =:= hash(Other)) end).

small() ->
    Leaf = proper_types:oneof([proper_types:integer(-2, 2), proper_types:oneof([1.0, -1.0, 0.5]), proper_types:oneof([a, '', 'é', 'ж']),
                               proper_types:oneof([<<>>, <<0>>, <<1:1>>, <<0:1>>, <<0:9>>, <<"a">>])]),
    Shape = proper_types:integer(0, 5),
    proper_types:bind({Shape, Leaf, proper_types:list(Leaf)}, fun({Number, One, More}) -> shaped(Number, One, More) end, false).

shaped(0, One, _More) -> One;
shaped(1, _One, More) -> More;
shaped(2, _One, More) -> list_to_tuple(More);
shaped(3, One, More) -> lists:foldr(fun(Each, Tail) -> [Each | Tail] end, One, More);
shaped(4, One, More) -> maps:from_list([{Each, One} || Each <- More]);
shaped(5, One, More) -> {More, #{One => [One], a => More}}.

prop_copied() ->
    proper:forall(proper_types:term(), fun(Term) ->
        hash(Term) =:= hash(binary_to_term(term_to_binary(Term, [{minor_version, 1}, {compressed, 9}])))
    end).

prop_order() ->
    proper:forall(proper_types:list({proper_types:integer(), proper_types:term()}), fun(Pairs) ->
        Rows = [{t, Key, Value} || {Key, Value} <- Pairs],
        tree(Rows, 4) =:= tree(lists:reverse(Rows), 4)
    end).

hash(Term) ->
    {<<_Key:8/binary, Hash:16/binary>>, []} = easy_cluster_nif:hash_rows([{row, key, Term}], 2, ?SEED),
    Hash.

tree(Rows, Bits) ->
    {Hashes, []} = easy_cluster_nif:hash_rows(Rows, 2, ?SEED),
    easy_cluster_nif:add_hashes(binary:copy(<<0:128>>, 1 bsl Bits), [Hashes]).

%% Where a writer of bytes could take one term for another.
terms_that_look_alike_have_hashes_of_their_own_test() ->
    Alike = [1, 1.0, -1, 1 bsl 63, 1 bsl 64, -(1 bsl 63), -(1 bsl 64), 1 bsl 3000, -(1 bsl 3000), '1', "1", <<"1">>, {1}, [1], [[1]],
             [1 | 1], [1, 1], {1, 1}, {{1}, 1}, {1, {1}}, [[], []], [[[]]], [], {}, #{}, #{1 => 1}, #{1 => 1.0}, #{1.0 => 1},
             #{1 => {1, 1}}, #{{1, 1} => 1}, #{1 => 2, 2 => 1}, #{1 => 1, 2 => 2}, <<>>, <<0:1>>, <<0:2>>, <<0:8>>, <<0:9>>, '', a, b, ab,
             'é', 'ж', <<"é"/utf8>>, list_to_binary("é"), fun lists:map/2, fun lists:map/3, fun maps:map/2, self(), make_ref(),
             hd(erlang:ports()), true, undefined],
    ?assertEqual(length(Alike), length(lists:usort([hash(Term) || Term <- Alike]))).

the_order_of_a_maps_keys_makes_no_difference_test() ->
    Keys = [{I, make_ref(), integer_to_binary(I)} || I <- lists:seq(1, 200)],
    One = maps:from_list([{Key, 1} || Key <- Keys]),
    Other = lists:foldl(fun(Key, Map) -> Map#{Key => 1} end, #{}, lists:reverse(Keys)),
    ?assertEqual(hash(One), hash(Other)).

deep_terms_take_no_stack_test() ->
    Nest = fun(Wrap) -> lists:foldl(fun(_, Term) -> Wrap(Term) end, end_of_it, lists:seq(1, 1000000)) end,
    Deep = [Nest(fun(Term) -> [Term] end), Nest(fun(Term) -> {Term, 1} end), Nest(fun(Term) -> [1 | Term] end)],
    ?assertEqual(3, length(lists:usort([hash(Term) || Term <- Deep]))).

a_local_fun_is_left_out_and_its_place_told_test() ->
    Rows = [{t, 1, a}, {t, 2, [fun() -> ok end]}, {t, 3, b}, {t, fun(X) -> X end, c}],
    {Hashes, LeftOut} = easy_cluster_nif:hash_rows(Rows, 2, ?SEED),
    ?assertEqual({48, [1, 3]}, {byte_size(Hashes), LeftOut}),
    ?assertEqual({Hashes, []}, easy_cluster_nif:hash_rows([{t, 1, a}, {t, 3, b}], 2, ?SEED)).

%% Nobody can choose rows whose hashes are equal whatever the seed.
the_seed_changes_every_hash_test() ->
    {One, []} = easy_cluster_nif:hash_rows([{t, 1, a}], 2, 1),
    {Other, []} = easy_cluster_nif:hash_rows([{t, 1, a}], 2, 2),
    ?assertNotEqual(binary:part(One, 0, 8), binary:part(Other, 0, 8)),
    ?assertNotEqual(binary:part(One, 8, 16), binary:part(Other, 8, 16)).

%% What a node of another release or machine must find, too; changes only together with the version of the trees.
the_hashes_are_those_that_every_release_makes_test() ->
    Terms = [0, -1, 1 bsl 100, 1.5, 'ж', <<"bin">>, <<5:3>>, {a, [b | c]}, #{x => 1, 2 => y}, fun lists:map/2],
    {Hashes, []} = easy_cluster_nif:hash_rows([{t, I, Term} || {I, Term} <- lists:zip(lists:seq(1, length(Terms)), Terms)], 2, 7),
    ?assertEqual(<<"6956C11980215EDC75C7C53A7B5BC5D3BAA36DD6975B554C3CC2A19ACB68A9DE">>, binary:encode_hex(crypto:hash(sha256, Hashes))).

bad_arguments_are_told_test_() ->
    [?_assertError(badarg, easy_cluster_nif:hash_rows(Rows, Position, Seed))
     || {Rows, Position, Seed} <- [{[{t, 1}], 3, 1}, {[{t, 1}], 0, 1}, {[not_a_row], 1, 1}, {foo, 1, 1}, {[{t, 1} | tail], 1, 1}, {[{t}], 1, -1}]]
    ++ [?_assertError(badarg, easy_cluster_nif:add_hashes(Leaves, Hashes))
        || {Leaves, Hashes} <- [{<<0:8>>, []}, {<<0:384>>, []}, {<<>>, []}, {<<0:128>>, [<<1:8>>]}, {<<0:128>>, [foo]}]]
    ++ [?_assertError(badarg, easy_cluster_nif:level_above(Sums, Width))
        || {Sums, Width} <- [{<<0:128>>, 0}, {<<0:128>>, 2}, {<<0:8>>, 1}, {<<0:128>>, 1 bsl 62}]]
    ++ [?_assertError(badarg, easy_cluster_nif:keys_of_leaves([{t, 1}], 2, 1, 33, [0]))].

%% A panic inside the library is caught and raised as nif_panicked; no argument may lead to one.
no_argument_makes_a_function_panic_test_() ->
    Lists = [[a | b], [{t, 1} | tail], [<<0:192>> | <<0:192>>], [0 | 1], [[] | a], [[0 | 1]], [<<0:192>>, 0 | foo]],
    Numbers = [-1, 0, 1, 2, 1 bsl 31, 1 bsl 32, 1 bsl 60, 1 bsl 62, (1 bsl 64) - 1, 1 bsl 64, 1 bsl 200, 1.5],
    Odd = Lists ++ Numbers ++ [foo, <<>>, <<0:128>>, <<1:1>>, <<0:256>>, {}, #{}, #{[a | b] => 1}, self(), make_ref(), fun() -> ok end, [], [[]],
                               [{t, 1}], [{t, [a | b]}], [{t, #{[a | b] => fun() -> ok end}}], <<131, 108, 0, 0, 0, 1, 97, 1, 97, 2>>],
    Good = [{call, [<<>>]}, {call_io, [<<>>]}, {hash_rows, [[{t, 1}], 2, 1]}, {add_hashes, [<<0:128>>, [<<0:192>>]]},
            {level_above, [<<0:128>>, 1]}, {level_above, [<<>>, 1]}, {keys_of_leaves, [[{t, 1}], 2, 1, 4, [0]]}],
    Exported = easy_cluster_nif:module_info(exports) -- [{loaded, 0}, {version, 0}, {module_info, 0}, {module_info, 1}],
    [?_assertEqual(lists:sort(Exported), lists:usort([{Function, length(Args)} || {Function, Args} <- Good]))
     | [{lists:concat([Function, " argument ", Place]),
         ?_assertEqual([], [{Term, Reason} || Term <- Odd, Reason <- [called(Function, Place, Term, Args)], Reason =/= fine])}
        || {Function, Args} <- Good, Place <- lists:seq(1, length(Args))]].

called(Function, Place, Term, Args) ->
    {Before, [_ | After]} = lists:split(Place - 1, Args),
    try apply(easy_cluster_nif, Function, Before ++ [Term | After]) of
        _Answer -> fine
    catch
        error:badarg -> fine;
        error:Reason -> Reason
    end.

%%% Trees of a table

a_table_is_hashed_by_several_at_once_test() ->
    with_table([{t, I, I} || I <- lists:seq(1, 5000)], fun(Table) ->
        Roots = [root(Table, Workers, Piece) || {Workers, Piece} <- [{1, 1000}, {3, 1000}, {4, 7}]],
        ?assertMatch([_], lists:usort(Roots)),
        ets:insert(Table, {t, 17, changed}),
        ?assertNotEqual(hd(Roots), root(Table, 2, 100))
    end).

the_rows_of_a_leaf_are_found_again_test() ->
    with_table([{t, I, I} || I <- lists:seq(1, 2000)], fun(Table) ->
        {Tree, #{rows := 2000}} = hashed(Table, 2, 100),
        All = lists:append([easy_cluster_tree:keys(Tree, [Leaf], 5000) || Leaf <- lists:seq(0, 255)]),
        ?assertEqual(lists:seq(1, 2000), lists:sort([Key || {Key, _} <- All])),
        [{Key, Hash} | _] = All,
        ?assertEqual([{Key, [Hash]}, {nothing, []}], easy_cluster_tree:again(Tree, [Key, nothing], 5000))
    end).

a_table_that_goes_is_told_test() ->
    with_table([{t, I, I} || I <- lists:seq(1, 2000)], fun(Table) ->
        {ok, Tree} = easy_cluster_tree:start((wish(Table, 1, 1))#{pause := 1}),
        {atomic, ok} = mnesia:delete_table(Table),
        ?assertMatch({failed, _}, progress(Tree))
    end),
    ?assertEqual({error, no_copy}, in_mnesia(fun() -> easy_cluster_tree:start(wish(no_such_table, 1, 1)) end)).

a_tree_ends_with_who_asked_for_it_and_so_do_its_workers_test() ->
    with_table([{t, I, I} || I <- lists:seq(1, 5000)], fun(Table) ->
        Owner = spawn(fun() -> receive go -> ok end end),
        {ok, Tree} = easy_cluster_tree:start((wish(Table, 2, 1))#{owner := Owner, pause := 1000}),
        {hashing, _} = easy_cluster_tree:progress(Tree, 5000),
        {links, [_, _] = Workers} = process_info(Tree, links),
        Monitors = [{erlang:monitor(process, Pid), Pid} || Pid <- [Tree | Workers]],
        Owner ! go,
        ?assertEqual([shutdown, shutdown, shutdown],
                     [receive {'DOWN', Monitor, process, Pid, Reason} -> Reason end || {Monitor, Pid} <- Monitors])
    end).

%% At a twentieth of a core, the rests are 19 times as long as the pieces, and at least a millisecond each.
a_tree_with_a_share_rests_and_finds_the_same_test_() ->
    {timeout, 60, fun() ->
        with_table([{t, I, I} || I <- lists:seq(1, 5000)], fun(Table) ->
            Root = root(Table, 1, 100),
            {ok, Tree} = easy_cluster_tree:start((wish(Table, 1, 100))#{share => 5}),
            ?assertEqual({priority, low}, process_info(Tree, priority)),
            %% Whoever asks over and over without waiting leaves nothing to a process of low priority.
            IsHashed = fun() -> element(1, easy_cluster_tree:progress(Tree, 5000)) =:= hashed end,
            {Slow, ok} = timer:tc(fun() -> easy_cluster_wait:until(IsHashed, 50000) end),
            ?assertEqual([Root], easy_cluster_tree:sums(Tree, 0, root, 5000)),
            ?assert(Slow > 49000, Slow)
        end)
    end}.

a_comparison_ends_with_who_asked_for_it_test() ->
    with_table([{t, I, I} || I <- lists:seq(1, 5000)], fun(Table) ->
        Comparison = #{table => Table, nodes => [node()], bits => 8, piece => 1},
        Asker = spawn(fun() -> easy_cluster_diff:compare([Comparison], #{timeout => 5000, workers => 1, pause => 1000}) end),
        IsRead = fun() -> ets:info(Table, safe_fixed) =/= false end,
        ok = easy_cluster_wait:until(IsRead, 5000),
        true = exit(Asker, kill),
        ?assertEqual(ok, easy_cluster_wait:until(fun() -> not IsRead() end, 5000))
    end).

the_rows_of_keys_are_those_of_the_copy_here_test() ->
    with_table([{t, 1, a}, {t, 2, b}], fun(Table) ->
        ?assertEqual([{2, [{t, 2, b}]}, {3, []}], easy_cluster_tree:rows(Table, [2, 3]))
    end).

root(Table, Workers, Piece) ->
    {Tree, #{rows := 5000, left_out := 0}} = hashed(Table, Workers, Piece),
    [Root] = easy_cluster_tree:sums(Tree, 0, root, 5000),
    Root.

hashed(Table, Workers, Piece) ->
    {ok, Tree} = easy_cluster_tree:start(wish(Table, Workers, Piece)),
    {hashed, Summary} = progress(Tree),
    {Tree, Summary}.

progress(Tree) ->
    case easy_cluster_tree:progress(Tree, 5000) of
        {hashing, _Rows} -> erlang:yield(), progress(Tree);
        Done -> Done
    end.

wish(Table, Workers, Piece) ->
    #{owner => self(), table => Table, seed => ?SEED, bits => 8, piece => Piece, pause => 0, workers => Workers}.

%% A Mnesia in memory with one table.
with_table(Rows, Fun) ->
    in_mnesia(fun() ->
        {atomic, ok} = mnesia:create_table(t, [{attributes, [key, value]}]),
        [ok = mnesia:dirty_write(Row) || Row <- Rows],
        Fun(t)
    end).

in_mnesia(Fun) ->
    ok = mnesia:start(),
    try Fun() after mnesia:stop() end.
