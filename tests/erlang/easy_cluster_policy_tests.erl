%% From what ejabberd's YAML parser makes of a policy to the text that the core reads.
-module(easy_cluster_policy_tests).

-include_lib("eunit/include/eunit.hrl").

every_key_comes_through_test() ->
    Yaml = [{copies, 2},
            {nodes, [{'ejabberd@a.b', [{role, slave}, {zone, <<"rack \"1\"\\">>}, {memory, '2 GB'}, {disk, infinity}]},
                     {'ejabberd@c.d', ''}]},
            {classes, [{derived, [{storage, ram_copies}]}]},
            {tables, [{passwd, [{copies, all}, {pins, ['ejabberd@a.b', 'ejabberd@c.d']}]}]},
            {leave_alone, [one, <<"two">>]},
            {sync, off},
            {window, '02:00-05:00'},
            {max_stall, 1500}],
    {ok, Policy} = parsed(Yaml),
    ?assertMatch(#{copies := #{value := {exactly, 2}, line := 1}, sync := #{value := off}, max_stall := #{value := 1500}}, Policy),
    ?assertMatch([#{role := #{value := slave}, zone := #{value := <<"rack \"1\"\\">>}, memory := #{value := 2000000000},
                    disk := #{value := undefined}},
                  #{role := undefined}], maps:get(nodes, Policy)),
    ?assertMatch([#{pins := [#{value := 'ejabberd@a.b'}, #{value := 'ejabberd@c.d'}]}], maps:get(tables, Policy)),
    ?assertMatch([#{value := one}, #{value := two}], maps:get(leave_alone, Policy)),
    ?assertMatch([#{value := #{from := 120, to := 300}}], maps:get(windows, Policy)).

what_is_no_policy_is_refused_with_its_line_test() ->
    [?assertMatch({Yaml, {error, {_Code, #{}}}}, {Yaml, parsed(Yaml)})
     || Yaml <- [5, [a, b], [[a]], <<"text">>, [{copies, [[1]]}], [{copies, 1.5}], [{sync, true}], [{'no\nkey', 1}], [{copies, 1}, {copies, 2}]]],
    ?assertMatch({error, {policy_bad_value, #{line := 2}}}, parsed([{copies, all}, {sync, <<"perhaps">>}])),
    ?assertMatch({error, {policy_unknown_key, #{line := 3, key := <<"rôle"/utf8>>}}}, parsed([{nodes, [{'ejabberd@a.b', [{<<"rôle"/utf8>>, slave}]}]}])).

of_virtual_hosts_the_first_by_name_that_has_a_policy_decides_test() ->
    ok = logger:set_module_level(easy_cluster_policy, none),
    After = fun(Fun, Args) -> ok = apply(easy_cluster_policy, Fun, Args), easy_cluster_policy:current() end,
    ?assertEqual(undefined, After(set, [<<"a">>, undefined])),
    ?assertEqual(<<"copies: 9">>, After(set, [<<"copies: 9">>])),
    ?assertEqual(<<"copies: 3">>, After(set, [<<"c">>, <<"copies: 3">>])),
    ?assertEqual(<<"copies: 2">>, After(set, [<<"b">>, <<"copies: 2">>])),
    ?assertEqual(<<"copies: 2">>, After(set, [<<"c">>, <<"copies: 4">>])),
    ?assertEqual(<<"copies: 4">>, After(unset, [<<"b">>])),
    ?assertEqual(<<"copies: 9">>, After(unset, [<<"c">>])),
    ?assertEqual(<<"copies: 9">>, After(unset, [<<"a">>])),
    ?assertEqual(undefined, After(set, [undefined])).

parsed(Yaml) ->
    easy_cluster_native:call(policy, #{text => easy_cluster_policy:from_yaml(Yaml)}).
