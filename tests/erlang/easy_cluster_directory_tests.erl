%% Each case has a node of its own, which runs a real Mnesia on the directory.
-module(easy_cluster_directory_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run on the nodes
-export([prepare/1, boot/1, boot_and_write/2, run_killed/3]).

-define(ID, <<"join-1">>).
-define(LOGS, ["DECISION_TAB.LOG", "LATEST.LOG"]).

directory_test_() ->
    {foreach, fun setup/0, fun cleanup/1, [
        with("only Mnesia's own files are Mnesia files", fun names_mnesia_files/1),
        with("kept files are the same files, and listed", fun keeps_by_links/1),
        with("keeping again changes nothing", fun keeps_once/1),
        with("the way there leaves a member without old rows, and kept as it was", fun replaces/1),
        with("each step can be run again", fun repeats_each_step/1),
        with("the way back leaves exactly the old files, and kept as it was", fun restores/1),
        with("what the restored node writes reaches neither kept nor a second restore", fun restores_once/1),
        with("a restore before the commit brings the logs back and gives the links up", fun restores_uncommitted/1),
        with("an old node that ran again after it was kept is left alone", fun leaves_the_living_alone/1),
        with("a repaired schema of the old node is no commit", fun tells_repair_from_commit/1),
        with("keep refuses transactions that are only in the log", fun refuses_undumped/1),
        with("keep refuses a pending fallback", fun refuses_fallback/1),
        with("keep refuses a link among the Mnesia files, and does nothing", fun refuses_links/1),
        with("keep refuses a directory without a schema", fun refuses_no_schema/1),
        with("without hard links nothing is done", fun refuses_without_links/1),
        with("logs that are not kept are not deleted", fun refuses_to_delete_unkept/1),
        with("no commit without kept, without staging or with logs", fun refuses_early_commit/1),
        with("nothing is replaced before the commit", fun refuses_early_replace/1),
        with("nothing is done while Mnesia runs", fun refuses_running/1),
        with("a staging folder goes unless Mnesia runs in it", fun refuses_to_drop_what_is_open/1),
        with("a bad id touches nothing", fun refuses_ids/1),
        with("a kept file that is gone stops the restore before it has begun", fun refuses_incomplete_restore/1),
        with("a database that is set aside is whole, and nothing is left", fun sets_aside/1),
        with("dropping", fun drops/1),
        with("an archive that is half written goes, whole ones stay", fun drops_half_archives/1),
        with("what a kill has left of a look goes, what is under way stays", fun drops_probes/1),
        with("a folder that is a link is not followed when dropped", fun does_not_follow/1),
        with("the directory can be written to, and nothing is left", fun knows_writable/1),
        with("a directory that can be kept has no obstacles, while Mnesia runs and after a join, too", fun knows_none/1),
        with("what is no plain file among Mnesia's is an obstacle", fun knows_odd_files/1),
        with("what stands in the place of a folder is an obstacle", fun knows_folders/1),
        with("a file system without hard links is an obstacle", fun knows_missing_links/1)
    ]}.

killed_test_() ->
    [
        {"a kill anywhere on the way there leaves the old node or a member, and the way goes on",
            {timeout, 300, fun() -> with_directory(fun kill_on_the_way_there/1) end}},
        {"a kill anywhere on the way back leaves something that ends as the old node",
            {timeout, 300, fun() -> with_directory(fun kill_on_the_way_back/1) end}},
        {"a kill anywhere while a database is set aside leaves none here, and it goes on",
            {timeout, 300, fun() -> with_directory(fun kill_while_set_aside/1) end}}
    ].

with(Title, Fun) ->
    fun(Context) -> {timeout, 60, {Title, fun() -> Fun(Context) end}} end.

with_directory(Fun) ->
    Context = setup(),
    try
        Fun(Context)
    after
        cleanup(Context)
    end.

%% An old database in `dir', and in its staging folder that of a member.
setup() ->
    Root = easy_cluster_peers:scratch(),
    Peer = easy_cluster_peers:start_lonely(),
    Dir = filename:join(Root, "spool"),
    call(Peer, ?MODULE, prepare, [Dir]),
    #{root => Root, peer => Peer, dir => Dir, old => contents(Dir)}.

cleanup(#{root := Root, peer := Peer}) ->
    easy_cluster_peers:stop(Peer),
    easy_cluster_peers:remove(Root).

call(Peer, Module, Function, Args) ->
    easy_cluster_peers:call(Peer, Module, Function, Args).

%% On the node.

prepare(Dir) ->
    Staging = maps:get(staging, easy_cluster_directory:paths(Dir, ?ID)),
    _ = application:load(mnesia),
    create(Dir, [
        {settings, [{disc_copies, [node()]}]},
        {here, [{disc_copies, [node()]}, {local_content, true}]},
        {log, [{disc_only_copies, [node()]}, {type, bag}]},
        {sorted, [{disc_copies, [node()]}, {type, ordered_set}]}
    ]),
    [fill(Table, 20) || Table <- [settings, here, log, sorted]],
    mnesia:dump_log(),
    [fill(Table, 40) || Table <- [settings, here, log, sorted]],
    mnesia:dump_log(),
    stopped = mnesia:stop(),
    create(Staging, [
        {here, [{disc_copies, [node()]}, {local_content, true}]},
        {member, [{disc_copies, [node()]}]}
    ]),
    mnesia:dump_log(),
    stopped = mnesia:stop(),
    [
        begin
            ok = filelib:ensure_dir(filename:join(Dir, Other)),
            ok = file:write_file(filename:join(Dir, Other), <<"not Mnesia's">>)
        end
     || Other <- [".erlang.cookie", "acl.data", "upload/picture.DAT"]
    ],
    ok.

create(Dir, Tables) ->
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    [{atomic, ok} = mnesia:create_table(Table, Options) || {Table, Options} <- Tables],
    ok = mnesia:wait_for_tables([Table || {Table, _} <- Tables], 10000).

fill(Table, Rows) ->
    [ok = mnesia:dirty_write({Table, Key, {row, Rows, Key}}) || Key <- lists:seq(1, Rows)].

%% What a start of Mnesia in the directory finds.
boot(Dir) ->
    boot_and_write(Dir, []).

boot_and_write(Dir, Rows) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:start(),
    Tables = lists:sort(mnesia:system_info(tables) -- [schema]),
    ok = mnesia:wait_for_tables(Tables, 10000),
    [ok = mnesia:dirty_write(Row) || Row <- Rows],
    dumped = mnesia:dump_log(),
    Found = [{Table, lists:sort(mnesia:dirty_match_object(mnesia:table_info(Table, wild_pattern)))} || Table <- Tables],
    Disc = mnesia:table_info(schema, storage_type),
    stopped = mnesia:stop(),
    {Disc, Found}.

%% Runs the steps and is killed instead of making the change of that number. Changes are made by these functions only.
run_killed(Dir, Steps, Number) ->
    ok = meck:new(easy_cluster_files, [passthrough]),
    Counter = counters:new(1, []),
    [
        meck:expect(easy_cluster_files, Function, killing(Arity, Counter, Number))
     || {Function, Arity} <- [{make_folder, 1}, {delete_folder, 1}, {write, 2}, {copy, 2}, {link, 2}, {rename, 2}, {delete, 1}]
    ],
    {Pid, Monitor} = spawn_monitor(fun() ->
        [
            begin
                put(step, Step),
                ok = apply(easy_cluster_directory, Step, arguments(Step, Dir))
            end
         || Step <- Steps
        ],
        exit(done)
    end),
    Result =
        receive
            {'DOWN', Monitor, process, Pid, Reason} -> Reason
        end,
    ok = meck:unload(easy_cluster_files),
    Result.

killing(1, Counter, Number) ->
    fun(A) -> killed_at(Counter, Number, [A]) end;
killing(2, Counter, Number) ->
    fun(A, B) -> killed_at(Counter, Number, [A, B]) end.

killed_at(Counter, Number, Args) ->
    ok = counters:add(Counter, 1, 1),
    case counters:get(Counter, 1) of
        Number -> exit({killed_in, get(step)});
        _ -> meck:passthrough(Args)
    end.

arguments(delete_logs, Dir) -> [Dir];
arguments(_Step, Dir) -> [Dir, ?ID].

%% In the test.

run(#{peer := Peer}, Step, Dir) ->
    call(Peer, easy_cluster_directory, Step, arguments(Step, Dir)).

there(#{dir := Dir} = Context) -> there(Context, Dir).

there(Context, Dir) ->
    go(steps(), Context, Dir).

go(Steps, Context, Dir) ->
    [?assertEqual({Step, ok}, {Step, run(Context, Step, Dir)}) || Step <- Steps],
    ok.

steps() -> [keep, delete_logs, commit_schema, replace_files].

%% Name and contents of each Mnesia file.
contents(Dir) ->
    {ok, Names} = easy_cluster_directory:mnesia_files(Dir),
    maps:from_list([{Name, read(Dir, Name)} || Name <- Names]).

read(Dir, Name) ->
    {ok, Bytes} = file:read_file(filename:join(Dir, Name)),
    Bytes.

kept_folder(Dir) -> maps:get(kept, easy_cluster_directory:paths(Dir, ?ID)).
staging_folder(Dir) -> maps:get(staging, easy_cluster_directory:paths(Dir, ?ID)).

rows(Table, Rows) -> [{Table, Key, {row, Rows, Key}} || Key <- lists:seq(1, Rows)].

old_tables() ->
    Log = lists:sort(rows(log, 20) ++ rows(log, 40)),
    [{here, rows(here, 40)}, {log, Log}, {settings, rows(settings, 40)}, {sorted, rows(sorted, 40)}].

member_tables() -> [{here, []}, {member, []}].

boots_as(Tables, #{peer := Peer}, Dir) ->
    ?assertEqual({disc_copies, Tables}, call(Peer, ?MODULE, boot, [Dir])).

others_untouched(Dir) ->
    [
        ?assertEqual(<<"not Mnesia's">>, read(Dir, Other))
     || Other <- [".erlang.cookie", "acl.data", "upload/picture.DAT"]
    ].

names_mnesia_files(#{dir := Dir}) ->
    [ok = file:write_file(filename:join(Dir, Name), <<>>) || Name <- ["A.RET", "x.TMP", "dot.", "y.dat", "DAT", ".LOG"]],
    ok = file:make_symlink("acl.data", filename:join(Dir, "link.DAT")),
    ok = file:make_dir(filename:join(Dir, "folder.DCD")),
    Expected = lists:sort([
        "A.RET", "x.TMP", "dot.", "schema.DAT", "log.DAT",
        "here.DCD", "settings.DCD", "sorted.DCD" | ?LOGS
    ]),
    {ok, Names} = easy_cluster_directory:mnesia_files(Dir),
    ?assertEqual(Expected, [Name || Name <- Names, filename:extension(Name) =/= ".DCL"]),
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, easy_cluster_directory:mnesia_files(Dir ++ "x")).

keeps_by_links(#{dir := Dir, old := Old} = Context) ->
    Before = os:system_time(microsecond),
    ok = run(Context, keep, Dir),
    [
        ?assertEqual(
            easy_cluster_files:identity(filename:join(Dir, Name)),
            easy_cluster_files:identity(filename:join(kept_folder(Dir), Name))
        )
     || Name <- maps:keys(Old)
    ],
    Bytes = lists:sum([byte_size(Content) || Content <- maps:values(Old)]),
    Files = map_size(Old),
    [#{id := ?ID, files := Files, bytes := Bytes, node := nonode@nohost, shared := true, at := At}] =
        easy_cluster_directory:kept(Dir),
    ?assert(At >= Before),
    ?assertEqual(Old, contents(Dir)).

keeps_once(#{dir := Dir} = Context) ->
    ok = run(Context, keep, Dir),
    First = easy_cluster_directory:kept(Dir),
    ok = run(Context, keep, Dir),
    ?assertEqual(First, easy_cluster_directory:kept(Dir)),
    ok = run(Context, delete_logs, Dir),
    ?assertEqual(ok, run(Context, keep, Dir)),
    ?assertEqual(First, easy_cluster_directory:kept(Dir)).

replaces(#{dir := Dir, old := Old, peer := Peer} = Context) ->
    Staged = contents(staging_folder(Dir)),
    there(Context),
    ?assertEqual(Staged, contents(Dir)),
    ?assertEqual({error, enoent}, file:list_dir(staging_folder(Dir))),
    {disc_copies, Written} = call(Peer, ?MODULE, boot_and_write, [Dir, rows(member, 3) ++ rows(here, 3)]),
    ?assertEqual([{here, rows(here, 3)}, {member, rows(member, 3)}], Written),
    ?assertEqual(Old, contents(kept_folder(Dir))),
    ?assertMatch([#{shared := false}], easy_cluster_directory:kept(Dir)),
    others_untouched(Dir).

repeats_each_step(#{dir := Dir, old := Old} = Context) ->
    [begin ok = run(Context, Step, Dir), ok = run(Context, Step, Dir) end || Step <- steps()],
    %% A member that has run is not thrown back either, and its logs are its own.
    boots_as(member_tables(), Context, Dir),
    go(steps() -- [delete_logs], Context, Dir),
    ?assertMatch({error, {directory_error, #{reason := not_kept}}}, run(Context, delete_logs, Dir)),
    boots_as(member_tables(), Context, Dir),
    ?assertEqual(Old, contents(kept_folder(Dir))).

restores(#{dir := Dir, old := Old, peer := Peer} = Context) ->
    there(Context),
    call(Peer, ?MODULE, boot_and_write, [Dir, rows(member, 3) ++ rows(here, 3)]),
    ?assertEqual(ok, run(Context, restore, Dir)),
    ?assertEqual(Old, contents(Dir)),
    boots_as(old_tables(), Context, Dir),
    ?assertEqual(Old, contents(kept_folder(Dir))),
    others_untouched(Dir).

restores_once(#{dir := Dir, old := Old, peer := Peer} = Context) ->
    there(Context),
    ok = run(Context, restore, Dir),
    {disc_copies, Written} = call(Peer, ?MODULE, boot_and_write, [Dir, [{settings, new, new}, {log, new, new}]]),
    ?assertEqual(ok, run(Context, restore, Dir)),
    boots_as(Written, Context, Dir),
    ?assertNotEqual(old_tables(), Written),
    ?assertEqual(Old, contents(kept_folder(Dir))),
    ?assertMatch([#{shared := false}], easy_cluster_directory:kept(Dir)),
    ?assertMatch({error, {directory_error, #{reason := restored}}}, run(Context, commit_schema, Dir)),
    ?assertMatch({error, {directory_error, #{reason := restored}}}, run(Context, replace_files, Dir)),
    boots_as(Written, Context, Dir).

restores_uncommitted(#{dir := Dir, old := Old} = Context) ->
    ok = run(Context, keep, Dir),
    ok = run(Context, delete_logs, Dir),
    ?assertEqual(lists:sort(maps:keys(Old) -- ?LOGS), lists:sort(maps:keys(contents(Dir)))),
    ?assertEqual(ok, run(Context, restore, Dir)),
    ?assertEqual(Old, contents(Dir)),
    ?assertEqual([], easy_cluster_directory:kept(Dir)),
    ?assertEqual(ok, run(Context, restore, Dir)),
    ?assertEqual(Old, contents(Dir)).

leaves_the_living_alone(#{dir := Dir, peer := Peer} = Context) ->
    ok = run(Context, keep, Dir),
    ok = run(Context, delete_logs, Dir),
    {disc_copies, Written} = call(Peer, ?MODULE, boot_and_write, [Dir, [{settings, new, new}]]),
    %% Its old decisions are not those of its new log.
    ok = file:delete(filename:join(Dir, "DECISION_TAB.LOG")),
    Living = contents(Dir),
    ?assertMatch({error, {directory_error, #{reason := changed_since_kept}}}, run(Context, keep, Dir)),
    ?assertMatch({error, {directory_error, _}}, run(Context, delete_logs, Dir)),
    ?assertMatch({error, {directory_error, _}}, run(Context, commit_schema, Dir)),
    ?assertEqual(ok, run(Context, restore, Dir)),
    ?assertEqual(Living, contents(Dir)),
    ?assertEqual([], easy_cluster_directory:kept(Dir)),
    boots_as(Written, Context, Dir).

tells_repair_from_commit(#{dir := Dir} = Context) ->
    ok = run(Context, keep, Dir),
    boots_as(old_tables(), Context, Dir),
    Schema = filename:join(Dir, "schema.DAT"),
    ok = easy_cluster_files:copy(Schema, Schema),
    Living = contents(Dir),
    [?assertMatch({error, _}, run(Context, Step, Dir)) || Step <- [keep, commit_schema, replace_files]],
    ?assertEqual(ok, run(Context, restore, Dir)),
    ?assertEqual(Living, contents(Dir)).

refuses_undumped(#{dir := Dir, peer := Peer} = Context) ->
    ok = call(Peer, application, set_env, [mnesia, dir, Dir]),
    ok = call(Peer, mnesia, start, []),
    ok = call(Peer, mnesia, wait_for_tables, [[settings], 10000]),
    ok = call(Peer, mnesia, dirty_write, [{settings, late, late}]),
    stopped = call(Peer, mnesia, stop, []),
    refuses_to_keep(log_not_dumped, "LATEST.LOG", Context).

refuses_to_keep(Code, Name, #{dir := Dir} = Context) ->
    Before = contents(Dir),
    Path = filename:join(Dir, Name),
    ?assertMatch({error, {Code, #{path := Path, reason := _}}}, run(Context, keep, Dir)),
    ?assertEqual(missing, easy_cluster_files:info(kept_folder(Dir))),
    ?assertEqual(Before, contents(Dir)).

refuses_fallback(#{dir := Dir} = Context) ->
    ok = file:write_file(filename:join(Dir, "FALLBACK.BUP"), <<"backup">>),
    refuses_to_keep(fallback_installed, "FALLBACK.BUP", Context).

refuses_links(#{dir := Dir, root := Root} = Context) ->
    Elsewhere = filename:join(Root, "elsewhere"),
    Table = filename:join(Dir, "settings.DCD"),
    ok = file:rename(Table, Elsewhere),
    ok = file:make_symlink(Elsewhere, Table),
    refuses_to_keep(directory_error, "settings.DCD", Context).

refuses_no_schema(#{dir := Dir} = Context) ->
    ok = file:delete(filename:join(Dir, "schema.DAT")),
    refuses_to_keep(directory_error, "schema.DAT", Context).

%% As on a file system that has none.
refuses_without_links(#{dir := Dir, peer := Peer, old := Old} = Context) ->
    ok = call(Peer, meck, new, [easy_cluster_files, [passthrough, no_link]]),
    Refusal = {error, #{path => "the third", reason => enotsup}},
    ok = call(Peer, meck, expect, [easy_cluster_files, link, 2, meck:seq([ok, ok, Refusal])]),
    ?assertEqual({error, {directory_error, #{path => "the third", reason => enotsup}}}, run(Context, keep, Dir)),
    ok = call(Peer, meck, unload, [easy_cluster_files]),
    ?assertEqual(missing, easy_cluster_files:info(kept_folder(Dir))),
    ?assertEqual(Old, contents(Dir)).

refuses_to_delete_unkept(#{dir := Dir, old := Old} = Context) ->
    ?assertMatch({error, {directory_error, #{reason := not_kept}}}, run(Context, delete_logs, Dir)),
    ?assertEqual(Old, contents(Dir)).

refuses_early_commit(#{dir := Dir} = Context) ->
    ?assertMatch({error, {directory_error, #{reason := not_kept}}}, run(Context, commit_schema, Dir)),
    ok = run(Context, keep, Dir),
    ?assertMatch({error, {directory_error, #{reason := log_not_deleted}}}, run(Context, commit_schema, Dir)),
    ok = run(Context, delete_logs, Dir),
    ok = run(Context, drop_staging, Dir),
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, run(Context, commit_schema, Dir)),
    boots_as(old_tables(), Context, Dir).

refuses_early_replace(#{dir := Dir} = Context) ->
    ?assertMatch({error, {directory_error, #{reason := not_kept}}}, run(Context, replace_files, Dir)),
    ok = run(Context, keep, Dir),
    ok = run(Context, delete_logs, Dir),
    ?assertMatch({error, {directory_error, #{reason := uncommitted}}}, run(Context, replace_files, Dir)),
    boots_as(old_tables(), Context, Dir).

refuses_running(#{dir := Dir, peer := Peer} = Context) ->
    ok = call(Peer, application, set_env, [mnesia, dir, Dir]),
    ok = call(Peer, mnesia, start, []),
    [
        ?assertMatch({Step, {error, {mnesia_running, #{reason := yes}}}}, {Step, run(Context, Step, Dir)})
     || Step <- steps() ++ [keep_member, restore]
    ],
    stopped = call(Peer, mnesia, stop, []).

%% A database is built there while Mnesia runs in its own directory.
refuses_to_drop_what_is_open(#{dir := Dir, peer := Peer} = Context) ->
    Staging = staging_folder(Dir),
    ok = call(Peer, application, set_env, [mnesia, dir, Staging]),
    ok = call(Peer, mnesia, start, []),
    ?assertMatch({error, {mnesia_running, #{reason := yes}}}, run(Context, drop_staging, Dir)),
    stopped = call(Peer, mnesia, stop, []),
    ok = call(Peer, application, set_env, [mnesia, dir, Dir]),
    ok = call(Peer, mnesia, start, []),
    ?assertEqual(ok, run(Context, drop_staging, Dir)),
    ?assertNot(filelib:is_dir(Staging)),
    stopped = call(Peer, mnesia, stop, []).

refuses_ids(#{dir := Dir, old := Old}) ->
    [
        ?assertMatch({error, {bad_id, _}}, easy_cluster_directory:Step(Dir, <<"../../x">>))
     || Step <- [keep, commit_schema, replace_files, restore, drop_staging, drop_kept]
    ],
    ?assertEqual(Old, contents(Dir)).

refuses_incomplete_restore(#{dir := Dir} = Context) ->
    there(Context),
    Member = contents(Dir),
    ok = file:delete(filename:join(kept_folder(Dir), "log.DAT")),
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, run(Context, restore, Dir)),
    ?assertEqual(Member, contents(Dir)).

drops_half_archives(#{dir := Dir}) ->
    ?assertEqual(ok, easy_cluster_directory:drop_half_archives(Dir, ?ID)),
    #{archive := Archive} = easy_cluster_directory:paths(Dir, ?ID),
    ok = filelib:ensure_dir(filename:join(Archive, "x")),
    [ok = file:write_file(filename:join(Archive, Name), Name) || Name <- ["whole.rows", "half.rows.new"]],
    ?assertEqual(ok, easy_cluster_directory:drop_half_archives(Dir, ?ID)),
    ?assertEqual({ok, ["whole.rows"]}, file:list_dir(Archive)).

drops_probes(#{dir := Dir}) ->
    Kept = filename:join([Dir, "easy_cluster", "kept"]),
    ok = filelib:ensure_dir(filename:join(Kept, "x")),
    Dead = [filename:join(Folder, ".easy_cluster-" ++ Pid ++ "-1") || Folder <- [Dir, filename:dirname(Kept), Kept],
                                                                      Pid <- [os:getpid(), "999999999"]],
    Living = filename:join(Dir, ".easy_cluster-1-1"),
    [ok = file:write_file(File, <<>>) || File <- [Living | Dead]],
    ?assertEqual(ok, easy_cluster_directory:drop_probes(Dir)),
    ?assertEqual([Living], [File || File <- [Living | Dead], filelib:is_regular(File)]).

drops(#{dir := Dir} = Context) ->
    ok = run(Context, keep, Dir),
    [?assertEqual(ok, run(Context, Drop, Dir)) || Drop <- [drop_kept, drop_kept, drop_staging, drop_staging]],
    ?assertEqual([], easy_cluster_directory:kept(Dir)),
    ?assertEqual({ok, []}, file:list_dir(filename:join([Dir, "easy_cluster", "kept"]))),
    ?assertEqual({ok, []}, file:list_dir(filename:join([Dir, "easy_cluster", "staging"]))),
    boots_as(old_tables(), Context, Dir).

does_not_follow(#{dir := Dir, root := Root} = Context) ->
    Elsewhere = filename:join(Root, "elsewhere"),
    ok = file:rename(staging_folder(Dir), Elsewhere),
    Before = contents(Elsewhere),
    ok = file:make_symlink(Elsewhere, staging_folder(Dir)),
    ?assertMatch({error, {directory_error, #{reason := enotdir}}}, run(Context, drop_staging, Dir)),
    ?assertEqual(Before, contents(Elsewhere)).

knows_none(#{dir := Dir, peer := Peer} = Context) ->
    Before = everything_below(Dir),
    ?assertEqual([], easy_cluster_directory:obstacles(Dir)),
    ?assertEqual(Before, everything_below(Dir)),
    ok = run(Context, keep, Dir),
    ?assertEqual([], easy_cluster_directory:obstacles(Dir)),
    ok = call(Peer, application, set_env, [mnesia, dir, Dir]),
    ok = call(Peer, mnesia, start, []),
    ?assertEqual([], call(Peer, easy_cluster_directory, obstacles, [Dir])),
    ?assertEqual([], easy_cluster_directory:obstacles(Dir ++ "x")).

knows_odd_files(#{dir := Dir}) ->
    [Link, Folder] = [filename:join(Dir, Name) || Name <- ["a.DAT", "b.LOG"]],
    ok = file:make_symlink("settings.DCD", Link),
    ok = file:make_dir(Folder),
    ok = file:make_dir(filename:join(Dir, "folder")),
    ?assertEqual([{not_a_plain_file, #{path => Link, kind => symlink}},
                  {not_a_plain_file, #{path => Folder, kind => directory}}],
                 easy_cluster_directory:obstacles(Dir)).

knows_folders(#{dir := Dir, root := Root}) ->
    #{kept := Kept, staging := Staging, journal := Journal} = easy_cluster_directory:paths(Dir, ?ID),
    [KeptFolder, StagingFolder, JournalFolder] = [filename:dirname(Path) || Path <- [Kept, Staging, Journal]],
    _ = file:del_dir_r(filename:dirname(KeptFolder)),
    ok = file:make_dir(filename:dirname(KeptFolder)),
    ok = file:write_file(KeptFolder, <<>>),
    ok = file:make_symlink(filename:join(Root, "nowhere"), StagingFolder),
    ok = file:make_symlink(Root, JournalFolder),
    Before = everything_below(Dir),
    ?assertEqual([{not_usable, #{path => KeptFolder, reason => enotdir}},
                  {not_usable, #{path => StagingFolder, reason => enoent}}],
                 easy_cluster_directory:obstacles(Dir)),
    ?assertEqual(Before, everything_below(Dir)).

knows_missing_links(#{dir := Dir, peer := Peer}) ->
    Before = everything_below(Dir),
    ok = call(Peer, meck, new, [easy_cluster_files, [passthrough, no_link]]),
    ok = call(Peer, meck, expect, [easy_cluster_files, link, 2, {error, #{path => "the second", reason => enotsup}}]),
    Found = call(Peer, easy_cluster_directory, obstacles, [Dir]),
    ok = call(Peer, meck, unload, [easy_cluster_files]),
    ?assertMatch([_ | _], Found),
    ?assertEqual([], [Other || Other <- Found, not is_no_links(Dir, Other)]),
    ?assertEqual(Before, everything_below(Dir)).

is_no_links(Dir, {no_hard_links, #{path := Path, reason := enotsup}}) -> lists:prefix(Dir, Path);
is_no_links(_Dir, _Other) -> false.

everything_below(Dir) ->
    lists:sort(filelib:wildcard("**", Dir) ++ filelib:wildcard(".*", Dir) ++ filelib:wildcard("easy_cluster/**/.*", Dir)).

knows_writable(#{dir := Dir}) ->
    Before = file:list_dir(Dir),
    ?assertEqual(ok, easy_cluster_directory:writable(Dir)),
    ?assertEqual(Before, file:list_dir(Dir)),
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, easy_cluster_directory:writable(Dir ++ "x")).

free_bytes_test_() ->
    {setup, fun easy_cluster_peers:scratch/0, fun easy_cluster_peers:remove/1, fun(Dir) ->
        [
            {"free bytes are what df says", fun() ->
                {ok, Bytes} = easy_cluster_directory:free_bytes(Dir),
                Df = list_to_integer(string:trim(os:cmd("df -k --output=avail " ++ Dir ++ " | tail -1"))) * 1024,
                %% Others write to the disc at the same time.
                ?assert(abs(Bytes - Df) < 1024 * 1024 * 1024),
                ?assert(Bytes > 0)
            end},
            {"a name is no option and no command", fun() ->
                Odd = filename:join(Dir, "--help $(id) ; x"),
                ok = file:make_dir(Odd),
                ?assertMatch({ok, Bytes} when Bytes > 0, easy_cluster_directory:free_bytes(Odd)),
                ?assertMatch({error, {directory_error, #{reason := _}}}, easy_cluster_directory:free_bytes("--help"))
            end},
            {"nothing is left in the mailbox", fun() ->
                Was = process_flag(trap_exit, true),
                {ok, _} = easy_cluster_directory:free_bytes(Dir),
                ?assertEqual({messages, []}, process_info(self(), messages)),
                process_flag(trap_exit, Was)
            end}
        ]
    end}.

%% Kills. Each case works on a copy of the whole directory that keeps hard links.

clone(Dir, Root, Name) ->
    Clone = filename:join(Root, Name),
    [] = os:cmd("rm -rf " ++ Clone ++ " && cp -a " ++ Dir ++ " " ++ Clone ++ " 2>&1"),
    Clone.

kill_on_the_way_there(#{dir := Dir} = Context) ->
    Points = each_kill(Dir, steps(), 1, Context, fun(Step, Killed) -> after_kill_there(Step, Killed, Context) end),
    ?assert(Points > 20).

sets_aside(#{dir := Dir, old := Old} = Context) ->
    ?assertEqual(ok, run(Context, set_aside, Dir)),
    is_aside(Old, Dir),
    ?assertMatch([#{id := ?ID, shared := false}], easy_cluster_directory:kept(Dir)),
    ?assertEqual(ok, run(Context, set_aside, Dir)),
    is_aside(Old, Dir),
    boots_as(old_tables(), Context, kept_folder(Dir)).

is_aside(Old, Dir) ->
    ?assertEqual({ok, []}, easy_cluster_directory:mnesia_files(Dir)),
    ?assertEqual(Old, contents(kept_folder(Dir))).

%% The schema goes first: no kill leaves one that Mnesia would start with.
kill_while_set_aside(#{dir := Dir, old := Old} = Context) ->
    Changes = each_kill(Dir, [set_aside], 1, Context, fun(set_aside, Killed) ->
        case easy_cluster_directory:mnesia_files(Killed) of
            {ok, Left} -> ?assert(not lists:member("schema.DAT", Left) orelse contents(Killed) =:= Old)
        end,
        ?assertEqual(ok, run(Context, set_aside, Killed)),
        is_aside(Old, Killed)
    end),
    ?assert(Changes > map_size(Old)).

%% For each change that the steps make, a clone in which they were killed instead of making it.
each_kill(Dir, Steps, Number, #{root := Root, peer := Peer} = Context, Check) ->
    Killed = clone(Dir, Root, "killed"),
    case call(Peer, ?MODULE, run_killed, [Killed, Steps, Number]) of
        {killed_in, Step} ->
            Check(Step, Killed),
            each_kill(Dir, Steps, Number + 1, Context, Check);
        done ->
            Number
    end.

after_kill_there(Step, Killed, #{root := Root, peer := Peer, old := Old} = Context) ->
    %% Going on at once with the step that was killed.
    Rest = lists:dropwhile(fun(Earlier) -> Earlier =/= Step end, steps()),
    On = clone(Killed, Root, "on"),
    go(Rest, Context, On),
    boots_as(member_tables(), Context, On),
    ?assertEqual(Old, contents(kept_folder(On))),
    %% A start of Mnesia first.
    Booted = clone(Killed, Root, "booted"),
    {disc_copies, Found} = call(Peer, ?MODULE, boot, [Booted]),
    case proplists:is_defined(member, Found) of
        true ->
            ?assertEqual([here, member], [Table || {Table, _} <- Found]),
            go(Rest, Context, Booted),
            boots_as_member(Context, Booted);
        false ->
            ?assertEqual(old_tables(), Found)
    end,
    %% Going back at once, where there is something to go back from.
    Back = clone(Killed, Root, "back"),
    case easy_cluster_directory:kept(Back) of
        [] ->
            ok;
        [_] ->
            ?assertEqual(ok, run(Context, restore, Back)),
            ?assertEqual(Old, contents(Back))
    end,
    boots_as(old_tables(), Context, Back).

%% Rows of `here' may have been seen before the old files went.
boots_as_member(#{peer := Peer}, Dir) ->
    {disc_copies, Found} = call(Peer, ?MODULE, boot, [Dir]),
    ?assertEqual([here, member], [Table || {Table, _} <- Found]).

kill_on_the_way_back(#{dir := Dir} = Context) ->
    there(Context),
    boots_as(member_tables(), Context, Dir),
    Points = each_kill(Dir, [restore], 1, Context, fun(restore, Killed) -> after_kill_back(Killed, Context) end),
    ?assert(Points > 20).

after_kill_back(Killed, #{root := Root, peer := Peer, old := Old} = Context) ->
    On = clone(Killed, Root, "on"),
    ?assertEqual(ok, run(Context, restore, On)),
    ?assertEqual(Old, contents(On)),
    ?assertEqual(Old, contents(kept_folder(On))),
    Booted = clone(Killed, Root, "booted"),
    {disc_copies, Found} = call(Peer, ?MODULE, boot, [Booted]),
    case proplists:is_defined(member, Found) of
        true -> ok;
        false -> ?assertEqual(old_tables(), Found)
    end,
    ?assertEqual(ok, run(Context, restore, Booted)),
    boots_as(old_tables(), Context, Booted),
    ?assertEqual(Old, contents(kept_folder(Booted))).
