%% easy_cluster as a git dependency of another rebar3 project, which calls it on plain Mnesia nodes.
-module(easy_cluster_dependency_tests).
-include_lib("eunit/include/eunit.hrl").

dependency_test_() ->
    {timeout, 600, fun a_project_that_depends_on_it_joins_its_node_to_a_plain_one/0}.

a_project_that_depends_on_it_joins_its_node_to_a_plain_one() ->
    Dir = easy_cluster_peers:scratch(),
    try
        Ebin = built(project(Dir, repository(Dir))),
        [Ours, {_, Theirs} = Plain] = Peers = easy_cluster_peers:start(2),
        try
            ok = use(Ours, Ebin),
            ok = use(Plain, none),
            joined(Ours, Theirs, Plain, Dir)
        after
            [easy_cluster_peers:stop(Peer) || Peer <- Peers]
        end
    after
        easy_cluster_peers:remove(Dir)
    end.

joined(Ours, Theirs, Plain, Dir) ->
    easy_cluster_peers:start_mnesia(Ours, filename:join(Dir, "ours")),
    easy_cluster_peers:start_mnesia(Plain, filename:join(Dir, "theirs")),
    {atomic, ok} = easy_cluster_peers:call(Plain, mnesia, create_table, [stock, [{disc_copies, [Theirs]}]]),
    [ok = easy_cluster_peers:call(Plain, mnesia, dirty_write, [{stock, Key, Key}]) || Key <- lists:seq(1, 10)],
    {ok, _} = easy_cluster_peers:call(Ours, application, ensure_all_started, [easy_cluster]),
    ?assertEqual(ok, easy_cluster_peers:call(Ours, easy_cluster, join_as_master, [Theirs, #{yes => true}])),
    ?assertEqual(10, easy_cluster_peers:call(Ours, mnesia, table_info, [stock, size])),
    ?assertEqual(disc_copies, easy_cluster_peers:call(Ours, mnesia, table_info, [stock, storage_type])).

%% What is in the work tree now, committed.
repository(Dir) ->
    Repository = filename:join(Dir, "repository"),
    {ok, Here} = file:get_cwd(),
    run(Here, "git ls-files -z --cached --others --exclude-standard -- . ':!tests'"
              " | xargs -0 cp --parents --no-dereference --target-directory \"$0\"", [made(Repository)]),
    run(Repository, "git init -q -b main && git add -A &&"
                    " git -c user.name=test -c user.email=test@localhost commit -q -m everything", []),
    Repository.

made(Dir) ->
    ok = file:make_dir(Dir),
    Dir.

project(Dir, Repository) ->
    Project = made(filename:join(Dir, "shop")),
    made(filename:join(Project, "src")),
    Dependency = {easy_cluster, {git, "file://" ++ Repository, {branch, "main"}}},
    ok = file:write_file(filename:join(Project, "rebar.config"), io_lib:format("~p.~n", [{deps, [Dependency]}])),
    ok = file:write_file(filename:join(Project, "src/shop.app.src"),
                         io_lib:format("~p.~n", [{application, shop,
                                                  [{description, "A shop"}, {vsn, "1"},
                                                   {applications, [kernel, stdlib, easy_cluster]}]}])),
    Project.

%% Builds the project, without optimisation; the crates that it needs are built once for all runs of the tests.
built(Project) ->
    {ok, Here} = file:get_cwd(),
    run(Project, "CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=\"$0\" rebar3 compile", [filename:join(Here, "_build/dependency_target")]),
    Ebin = filename:join(Project, "_build/default/lib/easy_cluster/ebin"),
    ?assert(filelib:is_regular(filename:join(Ebin, "easy_cluster.app"))),
    Ebin.

run(Dir, Line, Args) ->
    Shell = os:find_executable("sh"),
    Port = open_port({spawn_executable, Shell},
                     [{cd, Dir}, {args, ["-c", Line | Args]}, exit_status, stderr_to_stdout, binary]),
    {Status, Output} = output(Port, []),
    ?assertEqual(0, Status, Output).

output(Port, Before) ->
    receive
        {Port, {data, Data}} -> output(Port, [Before, Data]);
        {Port, {exit_status, Status}} -> {Status, unicode:characters_to_list(iolist_to_binary(Before))}
    end.

%% Has the node find easy_cluster there and nowhere else.
use(Peer, Ebin) ->
    easy_cluster_peers:call(Peer, code, del_path, [easy_cluster]),
    [true = easy_cluster_peers:call(Peer, code, add_patha, [Ebin]) || Ebin =/= none],
    Found = easy_cluster_peers:call(Peer, code, which, [easy_cluster]),
    ?assertEqual(expected(Ebin), Found),
    ok.

expected(none) -> non_existing;
expected(Ebin) -> filename:join(Ebin, "easy_cluster.beam").
