%% Carries out one action of a plan: does it, checks that it took effect. Each can be run again with the same end.
%% What each does, checks and undoes is documented at `plan::step::Action' in the core, which decides on them.
-module(easy_cluster_step).

-export([run/2]).

-type action() :: atom() | {atom(), map()}.
%% `connect' needs the timeout only.
-type context() :: #{timeout := timeout(),
                     id => binary(),
                     plan => map(),
                     directory => file:filename(),
                     progress => fun((map()) -> ok),
                     report => fun((term()) -> ok),
                     %% How the applications were started, to start them likewise: filled in by the steps.
                     started => #{atom() => permanent | transient | temporary},
                     %% What the variable `dir' of Mnesia said before it was pointed at the staging directory.
                     configured_directory => {ok, term()} | undefined,
                     %% On the way back.
                     undoing => boolean()}.
-type evidence() :: map().
-export_type([action/0, context/0]).

-define(RECONNECT_TIMEOUT, 2000).
-define(TABLES_INTERVAL, 500).
-define(PROGRESS_INTERVAL, 200).
%% Milliseconds that a table which is loaded is waited for, at least, and how often that is tried.
-define(LOAD_TIMEOUT, 60000).
-define(LOADS, 5).
%% How long nothing may arrive in a change in which a member was lost, milliseconds.
-define(LOST_TIMEOUT, 10000).

-spec run(action(), context()) -> {ok, evidence()} | {error, term()}.
run({connect, #{nodes := Nodes}}, _Context) ->
    all(fun connect/1, Nodes);
run(dump_log, _Context) ->
    dumped = mnesia:dump_log(),
    {ok, #{}};
run({stop_application, #{application := App}}, _Context) ->
    stop_application(App);
run({start_application, #{application := App}}, Context) ->
    start_application(App, started_as(App, Context));
run({archive_rows, #{tables := Tables}}, Context) ->
    all(fun(Table) -> easy_cluster_rows:archive(Table, archive_file(Table, Context)) end, Tables);
run({merge_rows, #{tables := Tables}}, Context) ->
    merge_rows(Tables, Context, #{});
run({restore_rows, #{tables := Tables}}, Context) ->
    restore_rows(Tables, Context);
run(stop_mnesia, Context) ->
    stop_mnesia(Context);
run(close_staging, Context) ->
    %% How that one was started is nothing to start Mnesia by.
    stopped(stop_mnesia(Context));
run(open_staging, Context) ->
    open_staging(Context);
run({join_schema, #{node := Node, members := Members}}, Context) ->
    join_schema(Node, Members, Context);
run(schema_to_disc, Context) ->
    schema_to_disc(Context);
run({build_database, #{source := Source}}, Context) ->
    build_database(Source, Context);
run(keep_database, Context) ->
    directory_step(keep, Context);
run(keep_member, Context) ->
    directory_step(keep_member, Context);
run(set_aside, #{directory := Directory} = Context) ->
    case directory_step(set_aside, Context) of
        {ok, _} -> evidence(easy_cluster_files:delete(easy_cluster_returning:marker(Directory)));
        {error, Reason} -> {error, Reason}
    end;
run(copy_aside, Context) ->
    directory_step(copy_aside, Context);
run(delete_logs, #{directory := Directory}) ->
    evidence(easy_cluster_directory:delete_logs(Directory));
run(commit_schema, Context) ->
    directory_step(commit_schema, Context);
run(replace_files, Context) ->
    directory_step(replace_files, Context);
run({start_mnesia, #{members := Members}}, Context) ->
    start_member(Members, Context);
run({copy_table, Copy}, Context) ->
    copy_table(Copy, Context);
run({copy_table_to, Copy}, Context) ->
    copy_table_to(Copy, Context);
run({delete_copy_on, #{table := Table, class := Class, node := Node, others := Least}}, #{timeout := Timeout}) ->
    known(evidence(delete_copy(Table, Class, Node, Least, Timeout)), Timeout);
run({back_up, #{tables := Tables}}, Context) ->
    back_up(Tables, Context);
run({drop_back_up, #{in_memory := InMemory}}, Context) ->
    drop_back_up(InMemory, Context);
run({keep_in_memory, #{tables := Tables}}, Context) ->
    evidence(keep_in_memory(Tables, Context));
run({delete_copies, #{tables := Tables}}, #{timeout := Timeout}) ->
    evidence(easy_cluster_files:each(fun(Table) -> delete_copy(Table, undefined, node(), 1, Timeout) end, Tables));
run({restore_archive, #{id := Id, tables := Tables}}, Context) ->
    all(fun(Table) -> restore_archive(Table, Context#{id := Id}) end, Tables);
run(drain, #{timeout := Timeout}) ->
    easy_cluster_drain:drain(Timeout);
run(open_listeners, _Context) ->
    evidence(easy_cluster_drain:open());
run({copy_tables, #{copies := Copies}}, Context) ->
    copy_tables(Copies, Context);
run({wait_for_tables, #{tables := Tables}}, Context) ->
    wait_for_tables(Tables, Context);
run(clear_caches, _Context) ->
    clear_caches();
run(verify, Context) ->
    verify(Context);
run({bar, #{nodes := Nodes, members := Members}}, #{timeout := Timeout}) ->
    easy_cluster_bar:on(Nodes, Members, Timeout);
run({force_load, #{tables := Tables}}, Context) ->
    force_load(Tables, Context);
run({delete_dead_copies, #{tables := Tables, nodes := Nodes}}, _Context) ->
    evidence(unless_mnesia_stops(fun() -> easy_cluster_schema:delete_dead_copies(Tables, Nodes) end));
run({forget_node, #{node := Node}}, #{timeout := Timeout}) ->
    unless_mnesia_stops(fun() -> easy_cluster_fence:forget(Node, Timeout) end);
run({renew_fence, #{members := Members}}, #{timeout := Timeout}) ->
    unless_mnesia_stops(fun() -> easy_cluster_fence:renew(Members, Timeout) end);
run({renew_schema, Arguments}, #{timeout := Timeout}) ->
    unless_mnesia_stops(fun() -> easy_cluster_fence:renew_schema(Arguments, Timeout) end);
run({unbar, #{nodes := Nodes, members := Members}}, #{timeout := Timeout}) ->
    easy_cluster_bar:off(Nodes, Members, Timeout);
run(ensure_fence, #{timeout := Timeout}) ->
    fenced(unless_mnesia_stops(fun() -> easy_cluster_fence:ensure(Timeout) end));
run({archive_drift, Args}, Context) ->
    easy_cluster_mend:archive(Args, Context);
run({mend_rows, Args}, Context) ->
    easy_cluster_mend:mend(Args, Context);
run({compare_copies, #{copies := Copies}}, #{timeout := Timeout}) ->
    easy_cluster_mend:check(Copies, Timeout);
run({forget_here, #{members := Members}}, Context) ->
    easy_cluster_forget:here(Members, maps:get(timeout, Context));
run(restore_database, Context) ->
    directory_step(restore, Context);
run(drop_staging, Context) ->
    restore_configuration(Context),
    directory_step(drop_staging, Context);
run(reopen_mnesia, Context) ->
    restore_configuration(Context),
    filled(start_and_load(Context), Context).

all(Fun, Items) ->
    lists:foldl(fun(Item, {ok, Evidence}) ->
                        case evidence(Fun(Item)) of
                            {ok, _} -> {ok, Evidence};
                            {error, Reason} -> {error, {Item, Reason}}
                        end;
                   (_Item, {error, Reason}) -> {error, Reason}
                end, {ok, #{}}, Items).

evidence(ok) -> {ok, #{}};
evidence({ok, Evidence}) when is_map(Evidence) -> {ok, Evidence};
evidence({ok, _Value}) -> {ok, #{}};
evidence({error, Reason}) -> {error, Reason}.

directory_step(Function, #{directory := Directory, id := Id}) ->
    evidence(easy_cluster_directory:Function(Directory, Id)).

archive_file(Table, #{directory := Directory, id := Id}) ->
    #{archive := Folder} = easy_cluster_directory:paths(Directory, Id),
    filename:join(Folder, easy_cluster_rows:file_name(Table)).

%% It is made as soon as all run.
fenced({ok, #{not_fenced := _}} = Result) ->
    easy_cluster_operation:unfenced(),
    Result;
fenced(Result) ->
    Result.

%%% The distribution

%% A connection that was opened for looking is hidden; a member's has to be visible, or Mnesia does not see the node.
%% The other side may need a moment to notice that the hidden one is gone.
connect(Node) ->
    drop_hidden(Node, lists:member(Node, nodes(hidden))),
    case easy_cluster_wait:until(fun() -> net_kernel:connect_node(Node) =:= true end, ?RECONNECT_TIMEOUT) of
        ok -> ok;
        timeout -> {error, noconnection}
    end.

drop_hidden(_Node, false) ->
    ok;
drop_hidden(Node, true) ->
    true = erlang:monitor_node(Node, true),
    _ = erlang:disconnect_node(Node),
    receive {nodedown, Node} -> ok end.

%%% Applications

stop_application(App) ->
    Type = start_type(App),
    case application:stop(App) of
        ok -> {ok, #{started => #{App => Type}}};
        {error, {not_started, App}} -> {ok, #{}};
        {error, Reason} -> {error, Reason}
    end.

%% The files are taken further, so they have to be whole; on the way back they are not taken anywhere, and a full disc that keeps
%% them from being written must not keep the old ones from coming back.
stop_mnesia(Context) ->
    Evidence = types(lists:keymember(mnesia, 1, application:which_applications())),
    case {easy_cluster_mnesia:stop(), mnesia:system_info(is_running), Context} of
        {ok, _, _} -> {ok, Evidence};
        {{error, Reason}, no, #{undoing := true}} ->
            logger:warning(#{what => easy_cluster_stop_mnesia, reason => Reason}),
            {ok, Evidence};
        {{error, Reason}, _, _} -> {error, Reason}
    end.

types(true) -> #{started => #{mnesia => start_type(mnesia)}};
types(false) -> #{}.

stopped({ok, _Types}) -> {ok, #{}};
stopped({error, Reason}) -> {error, Reason}.

%% Source: application:info/0; a permanent application takes the VM down with it, so its type must come back.
start_type(App) ->
    proplists:get_value(App, proplists:get_value(started, application:info(), []), temporary).

started_as(App, #{started := Started}) ->
    maps:get(App, Started, temporary).

start_application(App, Type) ->
    case application:ensure_all_started(App, Type) of
        {ok, _Started} -> is_running(App, lists:keymember(App, 1, application:which_applications()));
        {error, Reason} -> {error, Reason}
    end.

is_running(_App, true) -> {ok, #{}};
is_running(App, false) -> {error, {not_running, App}}.

%%% Mnesia beside and in its directory

open_staging(#{directory := Directory, id := Id, timeout := Timeout}) ->
    #{staging := Staging} = easy_cluster_directory:paths(Directory, Id),
    Configured = application:get_env(mnesia, dir),
    ok = filelib:ensure_dir(filename:join(Staging, "schema.DAT")),
    ok = application:set_env(mnesia, dir, Staging),
    case mnesia_up(temporary, Timeout) of
        ok -> is_fresh(mnesia:system_info(use_dir), mnesia:system_info(db_nodes), Configured);
        {error, Reason} -> {error, Reason}
    end.

is_fresh(false, [Here], Configured) when Here =:= node() -> {ok, #{configured_directory => Configured}};
is_fresh(UseDir, DbNodes, _Configured) -> {error, {staging_not_empty, UseDir, DbNodes}}.

build_database(Source, #{directory := Directory, id := Id, timeout := Timeout} = Context) ->
    #{staging := Staging} = easy_cluster_directory:paths(Directory, Id),
    evidence(easy_cluster_build:database(source(Source, Context), Staging, Timeout)).

%% Tables in memory that the new database could not have in a file get their rows from its backup; the old one has its own.
filled({ok, Evidence}, #{plan := #{steps := Steps}} = Context) ->
    Sources = [source(Source, Context) || #{action := {build_database, #{source := Source}}} <- Steps, not maps:get(undoing, Context, false)],
    case easy_cluster_files:each(fun easy_cluster_restore:fill_memory/1, [Backup || {backup, Backup} <- Sources]) of
        ok -> {ok, Evidence};
        {error, Reason} -> {error, Reason}
    end;
filled({error, Reason}, _Context) ->
    {error, Reason}.

source(empty, _Context) -> empty;
source({backup, #{path := Path}}, _Context) -> {backup, unicode:characters_to_list(Path)};
source({renamed, #{from := From, to := To}}, #{directory := Directory}) -> {renamed, Directory, From, To};
source({backed_up, _Rows}, Context) -> {backup, backup_folder(Context)};
source({kept, #{id := Id}}, #{directory := Directory}) -> {kept, Directory, Id}.

backup_folder(#{directory := Directory, id := Id}) ->
    #{backup := Folder} = easy_cluster_directory:paths(Directory, Id),
    Folder.

%% One that a kill has left behind is of an earlier moment.
back_up(Tables, #{progress := Progress, directory := Directory, id := Id} = Context) ->
    Report = fun(#{name := Table, rows := Rows, bytes := Bytes}) ->
                     Progress(#{table => Table, rows => Rows, of_rows => Rows, bytes => Bytes, of_bytes => Bytes})
             end,
    case easy_cluster_directory:drop_backup(Directory, Id) of
        ok -> evidence(easy_cluster_backup:write(backup_folder(Context), #{tables => Tables, left_out => [], report => Report}));
        {error, Reason} -> {error, Reason}
    end.

drop_back_up(InMemory, #{directory := Directory, id := Id} = Context) ->
    evidence(easy_cluster_files:in_order([
        fun() -> keep_in_memory(InMemory, Context) end,
        fun() -> easy_cluster_directory:drop_backup(Directory, Id) end
    ])).

is_on_disc(Table) ->
    lists:member(Table, mnesia:system_info(local_tables)) andalso mnesia:table_info(Table, storage_type) =/= ram_copies.

%% Mnesia has read them, and looks for them again only when it starts. Tables that ejabberd has put on disc meanwhile need theirs.
keep_in_memory(Tables, #{directory := Directory}) ->
    InFiles = [Table || Table <- Tables, not is_on_disc(Table),
                        not easy_cluster_backup:is_filled_in_memory(#{name => Table, storage => ram_copies})],
    Files = [lists:concat([Table, Extension]) || Table <- InFiles, Extension <- [".DCD", ".DCL"]],
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:each(fun(File) -> easy_cluster_files:delete(filename:join(Directory, File)) end, Files) end,
        fun() -> easy_cluster_files:sync_folder(Directory) end
    ]).

restore_configuration(#{configured_directory := {ok, Configured}}) -> application:set_env(mnesia, dir, Configured);
restore_configuration(#{configured_directory := undefined}) -> application:unset_env(mnesia, dir).

mnesia_up(Type, Timeout) ->
    case application:start(mnesia, Type) of
        ok -> mnesia_ready(Timeout);
        {error, {already_started, mnesia}} -> mnesia_ready(Timeout);
        {error, Reason} -> {error, Reason}
    end.

%% Merging the schema goes on after the application has started, and may end in Mnesia stopping again.
mnesia_ready(Timeout) ->
    Settled = fun() -> not lists:member(mnesia:system_info(is_running), [starting, stopping]) end,
    case {easy_cluster_wait:until(Settled, Timeout), mnesia:system_info(is_running)} of
        {ok, yes} -> ok;
        {_, State} -> {error, {mnesia_is, State}}
    end.

join_schema(Node, Members, #{directory := Directory, id := Id, timeout := Timeout}) ->
    case easy_cluster_directory:note_members(Directory, Id, Members) of
        ok -> joined(while_mnesia_runs(fun() -> mnesia:change_config(extra_db_nodes, [Node]) end), Node, Members, Timeout);
        {error, Reason} -> {error, Reason}
    end.

joined({ok, [Node]}, Node, Members, Timeout) -> all_see_all(Members, Timeout);
%% {ok, []}: the node answers and its Mnesia does not.
joined(Other, _Node, _Members, _Timeout) -> {error, {change_config, Other}}.

schema_to_disc(#{directory := Directory, id := Id}) ->
    #{staging := Staging} = easy_cluster_directory:paths(Directory, Id),
    case while_mnesia_runs(fun easy_cluster_schema:schema_to_disc/0) of
        {atomic, ok} -> has_schema(filelib:is_regular(filename:join(Staging, "schema.DAT")));
        {aborted, {already_exists, schema, _, disc_copies}} -> {ok, #{}};
        {aborted, Reason} -> {error, Reason}
    end.

%% A Mnesia that ends, as it does on a full disc, leaves who waits for a change of its schema waiting.
while_mnesia_runs(Fun) ->
    with_mnesia(Fun, #{every => infinity, report => fun() -> ok end, release => fun() -> ok end}, []).

unless_mnesia_stops(Fun) ->
    case while_mnesia_runs(Fun) of
        {aborted, Reason} -> {error, Reason};
        Result -> Result
    end.

%% `report' is called now and then meanwhile, and says how far it is; `release' is called when a change hangs.
with_mnesia(Fun, Watch, Nodes) ->
    {Pid, Asked} = spawn_monitor(fun() -> exit({answer, Fun()}) end),
    Mnesia = erlang:monitor(process, mnesia_sup),
    [true = erlang:monitor_node(Node, true) || Node <- Nodes],
    Answer = answer(Watch#{pid => Pid, asked => Asked, mnesia => Mnesia}, []),
    lists:foreach(fun unmonitor_node/1, Nodes),
    [erlang:demonitor(Monitor, [flush]) || Monitor <- [Asked, Mnesia]],
    exit(Pid, kill),
    Answer.

%% What has arrived already is nothing to the next step.
unmonitor_node(Node) ->
    true = erlang:monitor_node(Node, false),
    receive {nodedown, Node} -> ok after 0 -> ok end.

%% When a member is lost, Mnesia goes on: it ends the change, and not because of who asked for it, but for reasons of its own. It
%% aborts it at once where the member had the only copy to read from, and carries it out otherwise (each seen on OTP 25). So it has
%% failed when Mnesia has ended with it, and not before: whoever has the lock of the cluster next would find it under way.
answer(#{pid := Pid, asked := Asked, mnesia := Mnesia, every := Every, report := Report} = Waiting, Lost) ->
    receive
        {'DOWN', Asked, process, Pid, {answer, Given}} -> unless_lost(Lost, Given);
        {'DOWN', Asked, process, Pid, Reason} -> unless_lost(Lost, {aborted, Reason});
        {'DOWN', Mnesia, process, _, Reason} -> {aborted, {mnesia_stopped, Reason}};
        {nodedown, Node} -> answer(Waiting, [Node | Lost])
    after Every ->
        arrives(Report(), erlang:monotonic_time(millisecond), Waiting, Lost)
    end.

%% Mnesia may wait for ever for a member that was lost and is back at once, which itself waits for the lock of this change. Whoever
%% looks whether anything arrives any more gives it up.
arrives(_Progress, _Now, Waiting, []) ->
    answer(Waiting, []);
arrives(Progress, Now, #{progress := Progress, since := Since} = Waiting, Lost) when Now - Since < ?LOST_TIMEOUT ->
    answer(Waiting, Lost);
arrives(Progress, _Now, #{progress := Progress, release := Release} = Waiting, Lost) ->
    ok = Release(),
    answer(maps:without([release, progress], Waiting), Lost);
arrives(Progress, _Now, #{progress := Progress}, Lost) ->
    unless_lost(Lost, ok);
arrives(Progress, Now, Waiting, Lost) ->
    answer(Waiting#{progress => Progress, since => Now}, Lost).

unless_lost([], Answer) -> Answer;
unless_lost(Lost, _Answer) -> {aborted, {nodedown, lists:last(Lost)}}.

has_schema(true) -> {ok, #{}};
has_schema(false) -> {error, no_schema_file}.

start_member(Members, #{timeout := Timeout} = Context) ->
    restore_configuration(Context),
    case mnesia_up(started_as(mnesia, Context), Timeout) of
        ok -> all_see_all(Members, Timeout);
        {error, Reason} -> {error, Reason}
    end.

%% This node and every member are in each other's running_db_nodes.
all_see_all(Members, Timeout) ->
    Expected = lists:sort([node() | Members]),
    Sees = fun(Node) ->
                   case easy_cluster_rpc:call(Node, mnesia, system_info, [running_db_nodes], Timeout) of
                       {ok, Running} -> lists:sort(Running) =:= Expected;
                       {error, _} -> false
                   end
           end,
    case easy_cluster_wait:until(fun() -> lists:all(Sees, Expected) end, Timeout) of
        ok -> {ok, #{}};
        timeout -> {error, {not_connected, [Node || Node <- Expected, not Sees(Node)]}}
    end.

start_and_load(#{timeout := Timeout} = Context) ->
    case mnesia_up(started_as(mnesia, Context), Timeout) of
        ok -> load_local(erlang:monotonic_time(millisecond) + loading(Timeout));
        {error, Reason} -> {error, Reason}
    end.

%% Where ejabberd starts at the same time, it deletes tables and makes others: one that is gone would be waited for in vain.
load_local(Deadline) ->
    case mnesia:wait_for_tables(mnesia:system_info(local_tables), ?TABLES_INTERVAL) of
        ok -> {ok, #{}};
        {timeout, Waiting} ->
            case erlang:monotonic_time(millisecond) >= Deadline of
                true -> {error, {timeout_waiting_for_tables, Waiting}};
                false -> load_local(Deadline)
            end;
        {error, Reason} -> {error, Reason}
    end.

loading(Timeout) -> max(Timeout, 60000).

%%% Tables

copy_table(#{table := Table, storage := Storage} = Copy, Context) ->
    is_copied(copied(node(), [Copy], Context, fun() -> mnesia:add_table_copy(Table, node(), Storage) end), Table, Storage).

%% One transaction for all of them, or one each: an aborted one has left nothing behind.
copy_tables(Copies, Context) ->
    case copied(node(), Copies, Context, fun() -> easy_cluster_schema:add_copies(Copies) end) of
        {atomic, ok} -> each(fun is_stored/1, Copies, #{transactions => 1, rows => 0});
        {aborted, _Reason} ->
            each(fun(Copy) -> copy_table(Copy, Context) end, Copies, #{transactions => length(Copies), rows => 0})
    end.

each(_Fun, [], Evidence) ->
    {ok, Evidence};
each(Fun, [Copy | Copies], #{rows := Before} = Evidence) ->
    case Fun(Copy) of
        {ok, #{rows := Rows}} -> each(Fun, Copies, Evidence#{rows := Before + Rows});
        {error, Reason} -> {error, Reason}
    end.

copy_table_to(#{table := Table, node := Node, storage := Storage} = Copy, #{timeout := Timeout} = Context) ->
    case copied(Node, [Copy], Context, fun() -> mnesia:add_table_copy(Table, Node, Storage) end) of
        {atomic, ok} -> known(is_held(Table, Node, Storage, Timeout), Timeout);
        {aborted, {already_exists, Table, Node}} -> known(is_held(Table, Node, Storage, Timeout), Timeout);
        {aborted, Reason} -> {error, Reason}
    end.

%% On the discs of all members: one that is killed may start with an older record of a copy, and a Mnesia that finds one copy stored in
%% two ways does not start (`combine_error'). A copy that is gone, or new, does no harm.
known({ok, Evidence}, Timeout) ->
    Sync = fun(Member) -> easy_cluster_rpc:call(Member, mnesia, sync_log, [], Timeout) end,
    Answers = easy_cluster_rpc:parallel(Sync, mnesia:system_info(running_db_nodes), 2 * Timeout),
    case [{Member, Answer} || {Member, Answer} <- Answers, Answer =/= {ok, {ok, ok}}] of
        [] -> {ok, Evidence};
        Failed -> {error, {not_on_disc, Failed}}
    end;
known({error, Reason}, _Timeout) ->
    {error, Reason}.

%% What only it has would be lost. None of the others may go between comparison and deletion, as it may be the one that has the same.
delete_copy(Table, Class, Node, Least, Timeout) ->
    case easy_cluster_schema:deletable(Table, Node, Least) of
        {yes, Others} ->
            Here = [node() || lists:member(node(), Others)],
            compared(easy_cluster_diff:same(Table, Class, [Node | Here ++ (Others -- Here)], Timeout), Table, Node, length(Others));
        gone -> ok;
        {no, Problem} -> {error, {refused, Problem}}
    end.

compared(ok, Table, Node, Others) ->
    answered(while_mnesia_runs(fun() -> easy_cluster_schema:delete_copy(Table, Node, Others) end));
compared({error, Problem}, _Table, _Node, _Others) ->
    {error, {refused, Problem}}.

answered(ok) -> ok;
answered({error, {too_few_other_copies, _} = Problem}) -> {error, {refused, Problem}};
answered({_AbortedOrError, Reason}) -> {error, Reason}.

%% By what the member itself says.
is_held(Table, Node, Storage, Timeout) ->
    Calls = [{mnesia, table_info, [Table, Item]} || Item <- [storage_type, active_replicas]],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [Storage, Loaded]} -> is_loaded(lists:member(Node, Loaded), Table);
        {ok, [Other, _Loaded]} -> {error, {stored_as, Table, Other}};
        {error, Reason} -> {error, Reason}
    end.

is_loaded(true, _Table) -> {ok, #{}};
is_loaded(false, Table) -> {error, {not_loaded, Table}}.

copied(To, Copies, #{progress := Progress, plan := #{members := Members}}, Fun) ->
    Report = fun() ->
                     Arrived = arrived(To, Copies),
                     Progress(Arrived),
                     Arrived
             end,
    Here = [Table || #{table := Table, storage := disc_only_copies} <- Copies, To =:= node()],
    Release = fun() -> lists:foreach(fun easy_cluster_mnesia:end_hung/1, Here) end,
    with_mnesia(Fun, #{every => ?PROGRESS_INTERVAL, report => Report, release => Release}, Members).

%% Of several tables, the sum, under the name of the last that has begun to arrive.
arrived(To, [#{table := First} | _] = Copies) ->
    Begun = [{Table, Rows, Words * erlang:system_info(wordsize)}
             || #{table := Table} <- Copies, {ok, [Rows, Words]} <- [sizes(To, Table)], is_integer(Rows), is_integer(Words)],
    #{table => lists:last([First | [Table || {Table, _, _} <- Begun]]),
      rows => lists:sum([Rows || {_, Rows, _} <- Begun]),
      bytes => lists:sum([Bytes || {_, _, Bytes} <- Begun]),
      of_rows => lists:sum([Rows || #{rows := Rows} <- Copies]),
      of_bytes => lists:sum([Bytes || #{bytes := Bytes} <- Copies])}.

sizes(To, Table) ->
    easy_cluster_rpc:batch(To, [{ets, info, [Table, Item]} || Item <- [size, memory]], ?RECONNECT_TIMEOUT).

is_copied({atomic, ok}, Table, Storage) ->
    is_stored(mnesia:table_info(Table, storage_type), Table, Storage);
is_copied({aborted, {already_exists, Table, _Node}}, Table, Storage) ->
    is_stored(mnesia:table_info(Table, storage_type), Table, Storage);
is_copied({aborted, Reason}, _Table, _Storage) ->
    {error, Reason}.

is_stored(#{table := Table, storage := Storage}) ->
    is_stored(mnesia:table_info(Table, storage_type), Table, Storage).

is_stored(Storage, Table, Storage) ->
    case lists:member(node(), mnesia:table_info(Table, active_replicas)) of
        true -> {ok, #{rows => mnesia:table_info(Table, size)}};
        false -> {error, {not_loaded, Table}}
    end;
is_stored(Other, Table, _Storage) ->
    {error, {stored_as, Table, Other}}.

%% Keys that somebody has written since the switch stay as they are.
restore_archive(Table, Context) ->
    File = archive_file(Table, Context),
    easy_cluster_rows:put_back(File, conflict_file(File)).

wait_for_tables(Tables, #{timeout := Timeout}) ->
    case mnesia:wait_for_tables(Tables, loading(Timeout)) of
        ok -> {ok, #{}};
        {timeout, Waiting} -> {error, {timeout_waiting_for_tables, Waiting}};
        {error, Reason} -> {error, Reason}
    end.

%% One that is loaded by now is left alone.
force_load(Tables, #{timeout := Timeout} = Context) ->
    Load = fun({Table, Holder}) ->
                   case easy_cluster_rpc:call(Holder, mnesia, table_info, [Table, where_to_read], Timeout) of
                       {ok, nowhere} -> force_load(Holder, Table, max(Timeout, ?LOAD_TIMEOUT), ?LOADS);
                       {ok, _There} -> ok;
                       {error, Reason} -> {error, Reason}
                   end
           end,
    case all(Load, Tables) of
        {ok, _} -> wait_for_tables([Table || {Table, _Holder} <- Tables], Context);
        {error, Reason} -> {error, Reason}
    end.

%% It can hang for ever where a sender dies in the middle (otp#11344, mended in Mnesia 4.27): the next try finds another one. A table that is
%% large takes its time, and what was begun goes on: then the next try finds it loaded.
force_load(Holder, Table, Timeout, Left) ->
    case easy_cluster_rpc:call(Holder, mnesia, force_load_table, [Table], Timeout) of
        {ok, yes} -> ok;
        {error, timeout} when Left > 1 -> force_load(Holder, Table, 2 * Timeout, Left - 1);
        {ok, Other} -> {error, Other};
        {error, Reason} -> {error, Reason}
    end.

%% After a start, the tables may not be loaded yet.
restore_rows(Tables, #{timeout := Timeout} = Context) ->
    Here = [Table || Table <- Tables, lists:member(Table, mnesia:system_info(local_tables))],
    case mnesia:wait_for_tables(Here, max(Timeout, ?LOAD_TIMEOUT)) of
        ok -> all(fun(Table) -> restored(easy_cluster_rows:restore(archive_file(Table, Context)), Table) end, Tables);
        NotLoaded -> {error, NotLoaded}
    end.

%% An archive that is not there was not written when the VM died; what it would have held went as rows in memory do.
restored({ok, Restored}, Table) ->
    logger:notice(Restored#{what => easy_cluster_restore_rows, table => Table}),
    {ok, Restored};
restored({error, {archive_missing, _}}, _Table) ->
    {ok, #{rows => 0}};
restored({error, Reason}, _Table) ->
    {error, Reason}.

merge_rows([], _Context, Merged) ->
    {ok, #{merged => Merged}};
merge_rows([Table | Tables], Context, Merged) ->
    File = archive_file(Table, Context),
    case merge_table(Table, File) of
        {ok, Counts} ->
            merge_rows(Tables, Context, Merged#{Table => Counts#{conflict_file => conflict_file(File)}});
        {error, Reason} -> {error, {Table, Reason}}
    end.

%% A table that the cluster lacks is made there as it was here: the module that owns it runs here.
merge_table(Table, File) ->
    case lists:member(Table, mnesia:system_info(tables)) of
        true -> easy_cluster_rows:merge(File, conflict_file(File));
        false ->
            case create_table(Table, easy_cluster_rows:read_archive(File)) of
                ok -> merge_table(Table, File);
                {error, Reason} -> {error, Reason}
            end
    end.

conflict_file(File) ->
    filename:rootname(File) ++ ".conflicts".

create_table(Table, {ok, #{definition := Definition, storage := Storage}}) ->
    case while_mnesia_runs(fun() -> mnesia:create_table(Table, [{Storage, [node()]} | Definition]) end) of
        {atomic, ok} -> ok;
        {aborted, {already_exists, Table}} -> ok;
        {aborted, Reason} -> {error, Reason}
    end;
create_table(_Table, {error, Reason}) ->
    {error, Reason}.

%%% ejabberd

%% ets_cache belongs to ejabberd's library cache_tab and is not there on plain Mnesia nodes.
clear_caches() ->
    case erlang:function_exported(ets_cache, all, 0) of
        true -> clear_caches(ets_cache);
        false -> {ok, #{caches => 0}}
    end.

clear_caches(Module) ->
    Caches = Module:all(),
    lists:foreach(fun(Cache) -> Module:clear(Cache) end, Caches),
    {ok, #{caches => length(Caches)}}.

%% A member that is starting just now is waited for.
verify(#{plan := #{members := Members} = Plan, timeout := Timeout}) ->
    Reached = fun() -> is_reached(Plan, Members, Timeout) =:= ok end,
    case easy_cluster_wait:until(Reached, Timeout) of
        ok -> {ok, #{}};
        timeout -> evidence(is_reached(Plan, Members, Timeout))
    end.

is_reached(Plan, Members, Timeout) ->
    Snapshot = easy_cluster_gather:snapshot(Members, Timeout),
    case easy_cluster_native:call(verify, #{plan => Plan, snapshot => Snapshot}) of
        {ok, _Reached} -> ok;
        {error, Reason} -> {error, Reason}
    end.
