%% Databases on disc get another owner, each in VMs of the names that own them.
-module(easy_cluster_rename_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run in other VMs
-export([make/1, make_and_die/1, holds/1, die_at/4]).

-define(OLD, 'ejabberd@old.host').
-define(NEW, 'chat@10.0.0.7').
-define(STEPS, [build_database, keep_database, delete_logs, commit_schema, replace_files]).

rename_test_() ->
    [
        with("another owner, the same rows, the old database kept", fun renames/1),
        with("what a killed node has left in its log comes along", fun brings_log/1),
        with("a Mnesia that is stopped has lost nothing when its VM ends at once", fun stopped_for_good/1),
        with("a short name becomes a long one", fun to_long/1),
        with("a dry run changes nothing", fun dry/1),
        with("what forbids it", fun refuses/1)
        | [with(lists:concat(["a kill when ", Step, " is ", Moment]), fun(Dir) -> killed(Dir, Step, Moment) end)
           || Step <- ?STEPS, Moment <- [begun, done]]
    ].

with(Title, Test) ->
    {timeout, 120, {Title, fun() ->
        Dir = easy_cluster_peers:scratch(),
        try Test(Dir)
        after easy_cluster_peers:remove(Dir)
        end
    end}}.

vm(Name, Function, Args) ->
    easy_cluster_vm:call(Name, ?MODULE, Function, Args, 60000).

%%% In other VMs

make(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    Kinds = [{Type, Storage} || Type <- [set, bag], Storage <- [ram_copies, disc_copies, disc_only_copies]],
    Names = [{list_to_atom(lists:concat([Type, "_", Storage])), Type, Storage} || {Type, Storage} <- Kinds],
    [{atomic, ok} = mnesia:create_table(Name, [{type, Type}, {Storage, [node()]}, {index, [3]}]) || {Name, Type, Storage} <- Names],
    Write = fun() -> [mnesia:write({Name, K, V}) || {Name, _, _} <- Names, K <- lists:seq(1, 50), V <- [a, b]] end,
    {atomic, _} = mnesia:transaction(Write),
    dumped = mnesia:dump_log(),
    easy_cluster_mnesia:stop().

%% The last row is nowhere but in the log.
make_and_die(Dir) ->
    ok = make(Dir),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables(mnesia:system_info(local_tables), 10000),
    {atomic, ok} = mnesia:transaction(fun() -> mnesia:write({set_disc_copies, last, row}) end),
    ok = mnesia:sync_log(),
    erlang:halt(0, [{flush, false}]).

%% What Mnesia has there, started under this VM's name.
holds(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables(mnesia:system_info(local_tables), 10000),
    Held = {mnesia:system_info(db_nodes), [{Table, mnesia:table_info(Table, size)} || Table <- lists:sort(mnesia:system_info(tables)),
                                                                                   Table =/= schema]},
    ok = easy_cluster_mnesia:stop(),
    Held.

die_at(Plan, Dir, Step, Moment) ->
    ok = application:set_env(mnesia, dir, Dir),
    easy_cluster_executor:commit_offline(Plan, Dir, fun
        ({step, Reached, #{action := Action}, _}) when Reached =:= Moment -> die_if(name(Action) =:= Step);
        (_Event) -> ok
    end).

die_if(true) -> erlang:halt(137, [{flush, false}]);
die_if(false) -> ok.

name({Name, _}) -> Name;
name(Name) -> Name.

%%% Tests

on_disc() ->
    [{bag_disc_copies, 100}, {bag_disc_only_copies, 100}, {bag_ram_copies, 0}, {set_disc_copies, 50}, {set_disc_only_copies, 50},
     {set_ram_copies, 0}].

plan(Dir) ->
    easy_cluster_rename:plan(?OLD, ?NEW, Dir, #{}).

renames(Dir) ->
    {ok, ok} = vm(?OLD, make, [Dir]),
    {ok, #{id := Id} = Plan} = plan(Dir),
    ?assertMatch({ok, _}, easy_cluster_rename:commit(Plan, Dir)),
    ?assertEqual({ok, {[?NEW], on_disc()}}, vm(?NEW, holds, [Dir])),
    ?assertMatch([#{id := Id, node := ?OLD, shared := false}], easy_cluster_directory:kept(Dir)),
    ?assertMatch({ok, [#{outcome := done, operation := <<"rename ejabberd@old.host chat@10.0.0.7">>}]}, easy_cluster_history:all(Dir)),
    #{kept := Kept, staging := Staging} = easy_cluster_directory:paths(Dir, Id),
    Copy = filename:join(Dir, "copy"),
    ok = file:make_dir(Copy),
    {ok, Names} = easy_cluster_directory:mnesia_files(Kept),
    [ok = easy_cluster_files:copy(filename:join(Kept, Name), filename:join(Copy, Name)) || Name <- Names],
    ?assertEqual({ok, {[?OLD], on_disc()}}, vm(?OLD, holds, [Copy])),
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, easy_cluster_directory:mnesia_files(Staging)).

brings_log(Dir) ->
    {error, {ended, 0, _}} = vm(?OLD, make_and_die, [Dir]),
    {ok, Plan} = plan(Dir),
    ?assertMatch({ok, _}, easy_cluster_rename:commit(Plan, Dir)),
    ?assertEqual({ok, {[?NEW], lists:keyreplace(set_disc_copies, 1, on_disc(), {set_disc_copies, 51})}}, vm(?NEW, holds, [Dir])).

%% By mnesia:stop/0 alone some of these lose rows.
stopped_for_good(Dir) ->
    Folders = [filename:join(Dir, integer_to_list(N)) || N <- lists:seq(1, 10)],
    [begin
         ok = file:make_dir(Folder),
         {ok, ok} = vm(?OLD, make, [Folder]),
         ?assertEqual({ok, {[?OLD], on_disc()}}, vm(?OLD, holds, [Folder]))
     end || Folder <- Folders].

to_long(Dir) ->
    {ok, ok} = vm('ejabberd@localhost', make, [Dir]),
    {ok, Plan} = easy_cluster_rename:plan("ejabberd@localhost", <<"ejabberd@foo.bar">>, Dir, #{}),
    ?assertMatch({ok, _}, easy_cluster_rename:commit(Plan, Dir)),
    ?assertEqual({ok, {['ejabberd@foo.bar'], on_disc()}}, vm('ejabberd@foo.bar', holds, [Dir])).

contents(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    [{Name, file:read_file(filename:join(Dir, Name))} || Name <- lists:sort(Names)].

dry(Dir) ->
    {ok, ok} = vm(?OLD, make, [Dir]),
    Before = contents(Dir),
    ?assertMatch({ok, #{options := #{dry_run := true}, steps := [_, _, _, _, _]}}, easy_cluster_rename:plan(?OLD, ?NEW, Dir, #{dry_run => true})),
    %% Nothing to be committed by a name: this function alone carries it out.
    ?assertEqual(ok, easy_cluster:rename(?OLD, ?NEW, Dir, #{dry_run => true})),
    ?assertEqual(Before, contents(Dir)).

refuses(Dir) ->
    ?assertMatch({error, {directory_error, #{reason := enoent}}}, plan(Dir)),
    {ok, ok} = vm(?OLD, make, [Dir]),
    Before = contents(Dir),
    ?assertMatch({error, {database_of_other, #{owner := ?OLD}}}, easy_cluster_rename:plan("who@else.where", ?NEW, Dir, #{})),
    ?assertMatch({error, {bad_node_name, _}}, easy_cluster_rename:plan(?OLD, "new.host", Dir, #{})),
    ?assertMatch({error, {bad_node_name, _}}, easy_cluster_rename:plan(?OLD, "chat@new host", Dir, #{})),
    ?assertMatch({error, {bad_node_name, _}}, easy_cluster_rename:plan(?OLD, ?OLD, Dir, #{})),
    ?assertMatch({error, {unknown_option, _}}, easy_cluster_rename:plan(?OLD, ?NEW, Dir, #{force => true})),
    {ok, Open} = file:open(filename:join(Dir, "LATEST.LOG"), [append]),
    Pid = list_to_integer(os:getpid()),
    ?assertMatch({error, {directory_in_use, #{process := Pid}}}, plan(Dir)),
    ok = file:close(Open),
    ok = of_two(Dir),
    ?assertMatch({error, {cannot_rename_member, #{members := ['ejabberd@foo.bar', ?OLD]}}}, plan(Dir)),
    ?assertEqual(lists:keydelete("schema.DAT", 1, Before), lists:keydelete("schema.DAT", 1, contents(Dir))).

of_two(Dir) ->
    {ok, Schema} = dets:open_file(make_ref(), [{file, filename:join(Dir, "schema.DAT")}, {keypos, 2}]),
    [{schema, schema, Definition}] = dets:lookup(Schema, schema),
    Two = lists:keyreplace(disc_copies, 1, Definition, {disc_copies, [?OLD, 'ejabberd@foo.bar']}),
    ok = dets:insert(Schema, {schema, schema, Two}),
    dets:close(Schema).

%% Whoever owns it then has all of it, and it can be asked for again.
killed(Dir, Step, Moment) ->
    {error, {ended, 0, _}} = vm(?OLD, make_and_die, [Dir]),
    {ok, Plan} = plan(Dir),
    {error, {ended, 137, _}} = vm(?OLD, die_at, [Plan, Dir, Step, Moment]),
    {ok, _} = easy_cluster_vm:call(nonode@nohost, easy_cluster_rename, end_interrupted, [Dir], 60000),
    Rows = lists:keyreplace(set_disc_copies, 1, on_disc(), {set_disc_copies, 51}),
    Committed = Step =:= replace_files orelse {Step, Moment} =:= {commit_schema, done},
    Owner = owner(Committed),
    ?assertEqual({ok, {[Owner], Rows}}, vm(Owner, holds, [Dir])),
    again(Committed, Dir, Rows).

owner(true) -> ?NEW;
owner(false) -> ?OLD.

again(true, _Dir, _Rows) ->
    ok;
again(false, Dir, Rows) ->
    {ok, Plan} = plan(Dir),
    ?assertMatch({ok, _}, easy_cluster_rename:commit(Plan, Dir)),
    ?assertEqual({ok, {[?NEW], Rows}}, vm(?NEW, holds, [Dir])).
