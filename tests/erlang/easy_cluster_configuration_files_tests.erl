-module(easy_cluster_configuration_files_tests).
-include_lib("eunit/include/eunit.hrl").

-import(easy_cluster_configuration_files, [references/1, is_before/2]).

references_of(Options) -> references({ok, [Options]}).

absolute_paths_are_named_once_test() ->
    Options = [{<<"certfiles">>, [<<"/etc/b.pem">>, <<"/etc/a.pem">>]}, {<<"ca_file">>, <<"/etc/a.pem">>}],
    ?assertEqual({ok, ["/etc/a.pem", "/etc/b.pem"]}, references_of(Options)).

what_is_no_file_is_left_out_test_() ->
    [{binary_to_list(Text), ?_assertEqual({ok, []}, references_of([{<<"option">>, [Text]}]))}
     || Text <- [<<"localhost">>, <<"hello.world">>, <<"127.0.0.0/8">>, <<"::1/128">>, <<"https://foo.bar:5443/upload">>,
                 <<"admin@localhost">>, <<>>, <<"true">>, <<"*">>]].

keys_are_no_files_test() ->
    ?assertEqual({ok, []}, references_of([{<<"request_handlers">>, [{<<"/admin">>, <<"ejabberd_web_admin">>}]}, {5000, 1.5}])).

a_value_of_a_file_option_that_is_none_test() ->
    ?assertEqual({ok, []}, references_of([{<<"certfile_check">>, <<"false">>}, {<<"max_file_size">>, 10}, {<<"file">>, <<"10">>}])).

what_cannot_be_told_is_unknown_test_() ->
    [{lists:flatten(io_lib:format("~0p", [Option])), ?_assertEqual(unknown, references_of([{<<"x">>, [[Option]]}]))}
     || Option <- [{<<"include_config_file">>, <<"/etc/more.yml">>}, {<<"certfiles">>, [<<"/etc/*.pem">>]}, {<<"ca_file">>, <<"ca">>},
                   {<<"CERT">>, <<"word">>}, {<<"option">>, <<"some/where">>}, {<<"option">>, <<"ca.PEM">>},
                   {<<"option">>, <<"/etc/@HOST@.txt">>}, {<<"option">>, <<"file:///etc/x">>}, {<<"option">>, <<"/etc/a b">>},
                   {<<"option">>, <<"~/x">>}, {<<"option">>, an_atom}, {<<"install_contrib_modules">>, [<<"mod_x">>]},
                   {<<"extauth_program">>, <<"/usr/bin/auth">>}, {<<"jwt_key">>, <<"word">>}]].

no_yaml_is_unknown_test() ->
    ?assertEqual(unknown, references({error, {scanner_error, <<>>, 1, 1}})).

a_file_is_before_what_comes_seconds_later_test_() ->
    Path = code:which(lists),
    {ok, Info} = file:read_link_info(Path, [{time, posix}]),
    Changed = max(element(6, Info), element(7, Info)),
    [?_assertNot(is_before(Path, Changed)),
     ?_assertNot(is_before(Path, Changed + 1)),
     ?_assertNot(is_before(Path ++ ".gone", erlang:system_time(second))),
     ?_assertNot(is_before("/proc/version", erlang:system_time(second) + 1000)),
     ?_assertNot(is_before("relative", erlang:system_time(second)))].
