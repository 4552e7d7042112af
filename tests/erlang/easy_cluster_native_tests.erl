-module(easy_cluster_native_tests).
-include_lib("eunit/include/eunit.hrl").

%% Asking

one_version_everywhere_test() ->
    {ok, #{version := Version}} = easy_cluster_native:call(version, #{}),
    _ = application:load(easy_cluster),
    {ok, Application} = application:get_key(easy_cluster, vsn),
    ?assertEqual(easy_cluster_nif:version(), binary_to_list(Version)),
    ?assertEqual(easy_cluster_nif:version(), Application).

a_name_is_answered_as_text_test() ->
    ?assertEqual({ok, <<"ejabberd@foo.bar">>},
                 easy_cluster_native:call(node_name, #{text => <<"ejabberd@foo.bar">>, here => 'a@hello.world'})).

what_is_no_request_is_a_bad_request_test_() ->
    [{Title, ?_assertMatch({error, {bad_request, #{reason := <<_, _/binary>>}}},
                           easy_cluster_native:call(Operation, Args))}
     || {Title, Operation, Args} <-
            [{"unknown operation", no_such_operation, #{}},
             {"missing argument", node_name, #{here => node()}},
             {"wrong type", node_name, #{text => 1.5, here => node()}},
             {"a pid for a text", node_name, #{text => self(), here => node()}},
             {"no map", version, []},
             {"no snapshot", plan, #{operation => {join, node()}, snapshot => foo}}]].

bytes_that_are_no_term_are_a_bad_request_test_() ->
    Whole = term_to_binary({version, #{}}, [{minor_version, 2}]),
    Beginnings = [binary:part(Whole, 0, Size) || Size <- lists:seq(0, byte_size(Whole) - 1)],
    Bytes = [<<0>>, <<Whole/binary, 106>>, nested(1000000) | Beginnings],
    [?_assertMatch({error, [{bad_request, #{reason := _}}]}, binary_to_term(easy_cluster_nif:call(Request)))
     || Request <- Bytes].

%% `[[[...]]]'.
nested(Depth) ->
    iolist_to_binary([131, lists:duplicate(Depth, <<108, 1:32>>), 106, lists:duplicate(Depth, 106)]).

a_term_of_a_hundred_megabytes_is_a_bad_request_test() ->
    {error, {bad_request, #{reason := Reason}}} =
        easy_cluster_native:call(node_name, #{text => binary:copy(<<"x">>, 100000000), here => node()}),
    ?assertMatch({match, _}, re:run(Reason, "67108864 are the most")).

what_is_not_binary_is_a_bad_argument_test_() ->
    [?_assertError(badarg, easy_cluster_nif:call(Term)) || Term <- [version, "version", <<1:1>>, self(), #{}]].

%% Only words of the core become atoms, so the second of two requests of a kind makes none.
what_was_asked_makes_no_atoms_test() ->
    Ask = fun() ->
        Unseen = integer_to_binary(erlang:unique_integer([positive])),
        Name = <<"never_seen_", Unseen/binary>>,
        Atom = <<119, (byte_size(Name)), Name/binary>>,
        Request = <<131, 104, 2, Atom/binary, 116, 1:32, Atom/binary, 106>>,
        {error, [{bad_request, _}]} = binary_to_term(easy_cluster_nif:call(Request)),
        {ok, _} = easy_cluster_native:call(node_name, #{text => <<Name/binary, "@foo.bar">>, here => 'a@hello.world'}),
        {error, _} = easy_cluster_native:call(options, #{options => #{Name => Name}})
    end,
    Ask(),
    Before = erlang:system_info(atom_count),
    [Ask() || _ <- lists:seq(1, 20)],
    ?assertEqual(Before, erlang:system_info(atom_count)).

calls_at_the_same_moment_are_all_answered_test() ->
    Self = self(),
    Ask = fun() -> Self ! {self(), easy_cluster_native:call(version, #{})} end,
    Pids = [spawn_link(Ask) || _ <- lists:seq(1, 100)],
    [receive {Pid, Answer} -> ?assertMatch({ok, #{version := _}}, Answer) end || Pid <- Pids].

%% Loading, in a VM that may be spoilt

loading_test_() ->
    {foreach, fun installed/0, fun({Peer, Dir}) -> easy_cluster_peers:stop(Peer), easy_cluster_peers:remove(Dir) end,
     [fun(Installed) -> {timeout, 60, ?_test(Test(Installed))} end
      || Test <- [fun an_upgrade_loads_while_the_old_version_is_there/1,
                  fun a_deleted_module_loads_again/1,
                  fun a_library_that_is_not_there_is_told/1,
                  fun a_library_that_is_none_is_told/1,
                  fun a_library_that_comes_later_is_loaded/1]]}.

%% The two modules and the library in a folder of their own, as `module_install' leaves them.
installed() ->
    Dir = easy_cluster_peers:scratch(),
    [ok = file:make_dir(filename:join(Dir, Sub)) || Sub <- ["ebin", "priv"]],
    [{ok, _} = file:copy(code:which(Module), filename:join([Dir, "ebin", atom_to_list(Module) ++ ".beam"]))
     || Module <- [easy_cluster_nif, easy_cluster_native]],
    {ok, _} = file:copy(filename:join(code:priv_dir(easy_cluster), library_name()), library(Dir)),
    Ours = filename:dirname(code:which(easy_cluster_nif)),
    Others = [Path || Path <- code:get_path(), Path =/= Ours],
    {ok, Peer, _Node} = peer:start(#{connection => standard_io,
                                     args => ["-pa", filename:join(Dir, "ebin") | Others]}),
    {Peer, Dir}.

library_name() -> "easy_cluster-" ++ easy_cluster_nif:version() ++ ".so".
library(Dir) -> filename:join([Dir, "priv", library_name()]).

version_at(Peer) -> easy_cluster_peers:call(Peer, easy_cluster_native, call, [version, #{}]).
code_at(Peer, Function) -> easy_cluster_peers:call(Peer, code, Function, [easy_cluster_nif]).

an_upgrade_loads_while_the_old_version_is_there({Peer, _Dir}) ->
    ?assertMatch({ok, _}, version_at(Peer)),
    [begin
         code_at(Peer, purge),
         ?assertEqual({module, easy_cluster_nif}, code_at(Peer, load_file)),
         ?assertMatch({ok, _}, version_at(Peer))
     end || _ <- [1, 2, 3]].

a_deleted_module_loads_again({Peer, _Dir}) ->
    ?assertMatch({ok, _}, version_at(Peer)),
    ?assert(code_at(Peer, delete)),
    code_at(Peer, purge),
    ?assertMatch({ok, _}, version_at(Peer)).

a_library_that_is_not_there_is_told({Peer, Dir}) ->
    ok = file:delete(library(Dir)),
    {error, {native_library, #{path := Path, reason := Reason}}} = version_at(Peer),
    ?assertEqual(library(Dir), binary_to_list(Path)),
    ?assertMatch({match, _}, re:run(Reason, "No such file")).

a_library_that_is_none_is_told({Peer, Dir}) ->
    ok = file:write_file(library(Dir), <<"text">>),
    {error, {native_library, #{path := Path, reason := _}}} = version_at(Peer),
    ?assertEqual(library(Dir), binary_to_list(Path)).

a_library_that_comes_later_is_loaded({Peer, Dir}) ->
    ok = file:rename(library(Dir), library(Dir) ++ ".later"),
    ?assertMatch({error, {native_library, _}}, version_at(Peer)),
    ok = file:rename(library(Dir) ++ ".later", library(Dir)),
    code_at(Peer, purge),
    ?assertEqual({module, easy_cluster_nif}, code_at(Peer, load_file)),
    ?assertMatch({ok, _}, version_at(Peer)).

%% Building, with a cargo that does as it is told

building_test_() ->
    {foreach, fun sources/0, fun easy_cluster_peers:remove/1,
     [fun(Dir) -> {timeout, 60, ?_test(Test(Dir))} end
      || Test <- [fun a_build_that_fails_stops_the_compiler/1,
                  fun a_build_that_succeeds_replaces_the_old_library/1,
                  fun a_current_library_is_kept_when_cargo_fails/1,
                  fun no_toolchain_and_no_library_stops_the_compiler/1,
                  fun no_toolchain_is_needed_with_a_library/1,
                  fun an_archive_needs_no_toolchain/1]]}.

%% A clone with the parts that the build looks at, and a cargo that does not run, as rustup's without a toolchain.
sources() ->
    Dir = easy_cluster_peers:scratch(),
    [ok = filelib:ensure_dir(filename:join(Dir, File))
     || File <- ["bin/x", "src/x", "native/x", "erlang/src/x", "erlang/c_src/x", "erlang/priv/x"]],
    [ok = file:write_file(filename:join(Dir, File), "") || File <- ["Cargo.toml", "Cargo.lock"]],
    [{ok, _} = file:copy(source(File), filename:join(Dir, File))
     || File <- ["erlang/src/easy_cluster_nif.erl", "erlang/c_src/Makefile", "erlang/c_src/VERSION",
                 "erlang/c_src/build.sh"]],
    script(Dir, "exit 1\n"),
    Dir.

%% The tests run at the top of the project.
source(File) ->
    {ok, Here} = file:get_cwd(),
    filename:join(Here, File).

%% A cargo that answers --version and then runs the lines.
cargo(Dir, Lines) ->
    script(Dir, ["[ \"$1\" = --version ] && exit 0\n", Lines]).

script(Dir, Lines) ->
    File = filename:join(Dir, "bin/cargo"),
    ok = file:write_file(File, ["#!/bin/sh\n", Lines]),
    ok = file:change_mode(File, 8#755).

builds(Text) ->
    ["mkdir -p \"$CARGO_TARGET_DIR/release\"\n",
     "printf '", Text, "' > \"$CARGO_TARGET_DIR/release/libeasy_cluster_nif.so\"\n"].

make(Dir) ->
    Make = os:find_executable("make"),
    Environment = [{"PATH", filename:join(Dir, "bin") ++ ":/usr/bin:/bin"}, {"HOME", Dir}
                   | [{Name, false} || Name <- ["CARGO_HOME", "CARGO_TARGET_DIR", "MAKEFLAGS"]]],
    Port = open_port({spawn_executable, Make},
                     [{args, ["-C", filename:join(Dir, "erlang/c_src")]}, {env, Environment},
                      exit_status, stderr_to_stdout, binary]),
    status(Port).

status(Port) ->
    receive
        {Port, {data, _}} -> status(Port);
        {Port, {exit_status, Status}} -> Status
    end.

compile(Dir) ->
    compile:file(filename:join(Dir, "erlang/src/easy_cluster_nif.erl"), [return, binary]).

built(Dir) -> filename:join([Dir, "erlang/priv", library_name()]).

%% What `module_install' sees: the compiler's error.
assert_stopped(Dir, Expected) ->
    ?assertNotEqual(0, make(Dir)),
    {error, Errors, _Warnings} = compile(Dir),
    Text = lists:flatten([Module:format_error(Error) || {_File, Infos} <- Errors, {_Where, Module, Error} <- Infos]),
    ?assertMatch({match, _}, re:run(Text, Expected), Text).

a_build_that_fails_stops_the_compiler(Dir) ->
    cargo(Dir, "printf 'error: no \"linker\"\\n\\nCaused by:\\n  a missing gcc\\n' >&2; exit 101\n"),
    assert_stopped(Dir, "the native build failed: no linker: a missing gcc; see .*/easy_cluster-build.log").

a_build_that_succeeds_replaces_the_old_library(Dir) ->
    Old = filename:join([Dir, "erlang/priv/easy_cluster-0.0.1.so"]),
    ok = file:write_file(Old, "old"),
    cargo(Dir, builds("new")),
    ?assertEqual(0, make(Dir)),
    ?assertEqual({ok, <<"new">>}, file:read_file(built(Dir))),
    ?assertNot(filelib:is_regular(Old)),
    ?assertMatch({ok, easy_cluster_nif, _, _}, compile(Dir)).

a_current_library_is_kept_when_cargo_fails(Dir) ->
    ok = file:write_file(built(Dir), "current"),
    cargo(Dir, "echo 'error: no network' >&2; exit 101\n"),
    ok = file:change_time(built(Dir), {{2100, 1, 1}, {0, 0, 0}}),
    ?assertEqual(0, make(Dir)),
    ok = file:change_time(built(Dir), {{2000, 1, 1}, {0, 0, 0}}),
    assert_stopped(Dir, "no network").

no_toolchain_and_no_library_stops_the_compiler(Dir) ->
    assert_stopped(Dir, "it cannot be built: there is no Rust toolchain for the user").

no_toolchain_is_needed_with_a_library(Dir) ->
    ok = file:write_file(built(Dir), "prebuilt"),
    ?assertEqual(0, make(Dir)),
    ?assertMatch({ok, easy_cluster_nif, _, _}, compile(Dir)).

an_archive_needs_no_toolchain(Dir) ->
    ok = file:delete(filename:join(Dir, "Cargo.toml")),
    cargo(Dir, "exit 101\n"),
    assert_stopped(Dir, "the Rust sources are not here"),
    ok = file:write_file(built(Dir), "prebuilt"),
    ?assertEqual(0, make(Dir)).
