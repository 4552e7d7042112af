%% The program that other nodes evaluate: it is text to the compiler that compiles easy_cluster.
-module(easy_cluster_ways_tests).

-include_lib("eunit/include/eunit.hrl").

the_program_compiles_without_a_warning_test() ->
    Bound = [{var, 1, Name} || Name <- ['Timeout', 'EpmdPort', 'Others']],
    Function = {function, 1, ways, 3, [{clause, 1, Bound, [], easy_cluster_ways:program()}]},
    Forms = [{attribute, 1, module, ways}, {attribute, 1, export, [{ways, 3}]}, Function],
    ?assertMatch({ok, ways, _Code, []}, compile:forms(Forms, [return])).

%% What is compiled is what is evaluated: each function that it calls is one that every node has.
it_calls_nothing_of_ours_test() ->
    Called = [Module || {remote, _, {atom, _, Module}, _} <- flat(easy_cluster_ways:program())],
    ?assertEqual([erl_epmd, gen_tcp, inet, io_lib, lists], lists:usort(Called)).

flat(List) when is_list(List) -> lists:append([flat(Each) || Each <- List]);
flat(Tuple) when is_tuple(Tuple) -> [Tuple | flat(tuple_to_list(Tuple))];
flat(_Other) -> [].
