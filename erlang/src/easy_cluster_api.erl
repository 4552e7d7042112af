%% Everything that easy_cluster does and knows, as data: nothing here prints. What a person types is in `easy_cluster'; what calls from
%% a program, a command or a page is here.
%%
%% A node is given as an atom, a string or a binary; a bare host gets this node's own name part. Errors are `{error, {Code, Details}}';
%% docs/errors.md lists all of them, and `easy_cluster:format_error/1' has their words. Where an answer has a `text', it is the same in
%% words.
-module(easy_cluster_api).

%% Looking
-export([test_node/1, test_node/2]).
-export([plan/1, plan/2]).
-export([status/0, tables/0, history/0, history/1]).
-export([doctor/0, doctor/1, doctor/2]).
-export([diff/0, diff/1, diff/2]).
-export([explain/1]).
-export([snapshot/1]).

%% Changing
-export([join/1, join/2]).
-export([join_as_master/1, join_as_master/2]).
-export([sync_node/1, sync_node/2]).
-export([reset/0, reset/1]).
-export([leave/0, leave/1]).
-export([rollback/0, rollback/1]).
-export([force_boot/0, force_boot/1]).
-export([restore/1, restore/2]).
-export([forget/1, forget/2]).
-export([repair/0, repair/1, repair/2]).
-export([rename/2, rename/3, rename/4]).
-export([planned/1, commit/1, commit/2]).
-export([pause/0, interrupted/0, resume/0, resume/1]).
-export([drop_kept/1, drop_kept/2]).
-export([drop_archive/1, drop_archive/2]).

%% Backing up
-export([backup/1, backup/2, backup/3]).

%% Following
-export([subscribe/0, unsubscribe/0]).

-type node_name() :: node() | string() | binary().
-type operation() :: easy_cluster_planner:operation().
-type options() :: #{dry_run => boolean(),
                     timeout => pos_integer(),
                     local_rows => archive | merge,
                     data => keep | empty,
                     yes => boolean(),
                     also => [node_name()],
                     lose => all | [atom() | string() | binary()],
                     quorum => boolean()}.
-type repair() :: #{table := atom() | string() | binary(), winner := node_name()}.
-type plan() :: easy_cluster_planner:plan().
-type error() :: easy_cluster_planner:error().
%% The name of a plan or of an operation.
-type id() :: atom() | string() | binary().
-export_type([node_name/0, operation/0, options/0, repair/0, plan/0, error/0, id/0]).

%% Whether Node could be joined: names, DNS, epmd, port, handshake, Mnesia. Details of an error have the layers that hold, in words.
-spec test_node(node_name()) -> {ok, #{text := unicode:chardata()}} | error().
test_node(Node) ->
    test_node(Node, #{}).

%% Options: timeout (milliseconds that a silent node is waited for).
-spec test_node(node_name(), options()) -> {ok, #{text := unicode:chardata()}} | error().
test_node(Node, Opts) ->
    easy_cluster_planner:test(Node, Opts).

%% What an operation would do. Looks only. The last sixteen plans of this node are remembered for commit/1, by their `id'.
-spec plan(operation()) -> {ok, plan()} | error().
plan(Operation) ->
    plan(Operation, #{}).

-spec plan(operation(), options()) -> {ok, plan()} | error().
plan(Operation, Opts) ->
    case unless_busy(fun() -> easy_cluster_planner:plan(Operation, Opts) end) of
        {ok, Plan} ->
            ok = easy_cluster_server:remember(Plan),
            {ok, Plan};
        {error, Reason} ->
            {error, Reason}
    end.

%% The members of this node's cluster, stopped ones included, what is wrong with it, and what is under way.
-spec status() -> {ok, map()} | error().
status() ->
    with_application(fun easy_cluster_status:status/0).

%% Tables and nodes: class, type, rows and bytes of each table, how its copies are stored, and where that is not what the policy wants.
-spec tables() -> {ok, map()} | error().
tables() ->
    with_application(fun easy_cluster_planner:tables/0).

%% What was done here, oldest first: each operation, how far it came, what came of it, and how much is kept since.
-spec history() -> {ok, [easy_cluster_history:past()]} | error().
history() ->
    easy_cluster_history:all(mnesia:system_info(directory)).

%% One of these: its plan, if the journal has it, and each record of its journal.
-spec history(id()) -> {ok, easy_cluster_history:past(), plan() | undefined, [easy_cluster_history:event_of_past()]} | error().
history(Id) ->
    easy_cluster_history:one(mnesia:system_info(directory), id(Id)).

%% What is wrong with this node's cluster: every member is asked what it sees, and the ways between all of them are tried in
%% both directions.
-spec doctor() -> {ok, easy_cluster_doctor:diagnosis()} | error().
doctor() ->
    easy_cluster_planner:doctor(#{}).

%% The same of Node's cluster, with the ways between it and this node.
-spec doctor(node_name()) -> {ok, easy_cluster_doctor:diagnosis()} | error().
doctor(Node) ->
    doctor(Node, #{}).

%% Options: timeout.
-spec doctor(node_name(), options()) -> {ok, easy_cluster_doctor:diagnosis()} | error().
doctor(Node, Opts) ->
    easy_cluster_planner:doctor(Node, Opts).

%% Compares all copies of all durable tables, which every holder hashes by itself: nothing is locked, and little is sent. The answer has
%% the keys whose rows are not the same everywhere, at two looks. A member whose copies cannot be compared is an error, which has the other
%% copies under `compared'.
-spec diff() -> {ok, #{compared := [easy_cluster_diff:compared()], text := unicode:chardata()}} | error().
diff() ->
    differences(all, #{}).

%% The same of the copies here and on Node.
-spec diff(node_name()) -> {ok, #{compared := [easy_cluster_diff:compared()], text := unicode:chardata()}} | error().
diff(Node) ->
    diff(Node, #{}).

%% Options: timeout (milliseconds that a silent node is waited for).
-spec diff(node_name(), options()) -> {ok, #{compared := [easy_cluster_diff:compared()], text := unicode:chardata()}} | error().
diff(Node, Opts) ->
    differences({node, Node}, Opts).

%% What a line of a log, a whole log or an error that anybody's function returned means; the sightings are in the order of the text.
-spec explain(term()) -> {ok, #{text := unicode:chardata(), sightings := [easy_cluster_explain:sighting()]}} | error().
explain(Term) ->
    easy_cluster_explain:explain(Term).

%% Writes what every member says of itself and of the tables to a file, from which `easy-cluster plan' can plan anywhere. It has names and
%% sizes of tables and no rows, and no cookie.
-spec snapshot(file:name_all()) -> ok | error().
snapshot(File) ->
    easy_cluster_planner:write_snapshot(File).

%% Becomes a slave of Node's cluster: the schema is on disc here, tables are read where they are, except those that
%% ejabberd's own modules copy when they start, which the plan counts. This node's database is kept.
%%
%% This and all that follow up to repair/2 return `ok' when every step was done and checked, and `{ok, Plan}' with `dry_run'.
-spec join(node_name()) -> ok | {ok, plan()} | error().
join(Node) ->
    join(Node, #{}).

%% Options: dry_run, timeout, local_rows (archive or merge), yes (agrees to long stalls).
-spec join(node_name(), options()) -> ok | {ok, plan()} | error().
join(Node, Opts) ->
    operate({join, Node}, Opts).

%% Becomes a full replica of Node's cluster, after which either can fail. This node's database is kept.
-spec join_as_master(node_name()) -> ok | {ok, plan()} | error().
join_as_master(Node) ->
    join_as_master(Node, #{}).

-spec join_as_master(node_name(), options()) -> ok | {ok, plan()} | error().
join_as_master(Node, Opts) ->
    operate({join_as_master, Node}, Opts).

%% Copies every table of the cluster that this node lacks, with Node's storage types. Copies nothing when run again.
-spec sync_node(node_name()) -> ok | {ok, plan()} | error().
sync_node(Node) ->
    sync_node(Node, #{}).

-spec sync_node(node_name(), options()) -> ok | {ok, plan()} | error().
sync_node(Node, Opts) ->
    operate({sync_node, Node}, Opts).

%% Goes on with an empty database; the old one is kept. Refused on a member of a cluster, which has to leave first.
-spec reset() -> ok | {ok, plan()} | error().
reset() ->
    reset(#{}).

-spec reset(options()) -> ok | {ok, plan()} | error().
reset(Opts) ->
    operate(reset, Opts).

%% Leaves the cluster, after the clients of this node were sent to the others, and goes on alone with a copy of the cluster's
%% data. Tables that only this node has are copied to a member first. What this node had as a member is kept.
-spec leave() -> ok | {ok, plan()} | error().
leave() ->
    leave(#{}).

%% Options: data (keep, or empty), dry_run, timeout, yes.
-spec leave(options()) -> ok | {ok, plan()} | error().
leave(Opts) ->
    operate(leave, Opts).

%% Takes back what was done here last, as history/0 has it: this node returns to the database that the operation has kept, to
%% its cluster, or to the tables that it had. What was written since is kept in its turn.
-spec rollback() -> ok | {ok, plan()} | error().
rollback() ->
    rollback(#{}).

-spec rollback(options()) -> ok | {ok, plan()} | error().
rollback(Opts) ->
    operate(rollback, Opts).

%% After a total outage: loads the tables that wait here for nodes that are gone for good. What those wrote last is given up, which
%% has to be agreed to with #{yes => true}; #{dry_run => true} shows what it is. Refused while one of them gives a sign of life, and where
%% another node has the newer copies.
-spec force_boot() -> ok | {ok, plan()} | error().
force_boot() ->
    force_boot(#{}).

-spec force_boot(options()) -> ok | {ok, plan()} | error().
force_boot(Opts) ->
    operate(force_boot, Opts).

%% Takes Node, which is gone for good, out of this node's cluster. What only Node has goes with it; one that comes back with
%% its old database is turned away. On any member.
-spec forget(node_name()) -> ok | {ok, plan()} | error().
forget(Node) ->
    forget(Node, #{}).

%% Options: also (members that are gone for good, too), lose (tables whose only copy may go), quorum (false: although those
%% that are left are no majority), yes (takes copies that may be older than Node's), dry_run, timeout.
-spec forget(node_name(), options()) -> ok | {ok, plan()} | error().
forget(Node, Opts) ->
    operate({forget, Node}, Opts).

%% Goes on with what a backup holds, of this cluster or another one, whatever its nodes were called; this node's database is
%% kept. Refused on a member of a cluster, which has to leave first; the others then join this node. The backup is read to its
%% end before, and the plan tells what it changes table by table.
-spec restore(file:name_all()) -> ok | {ok, plan()} | error().
restore(Folder) ->
    restore(Folder, #{}).

%% Options: dry_run (tells what would change and returns {ok, Plan}), timeout, yes.
-spec restore(file:name_all(), options()) -> ok | {ok, plan()} | error().
restore(Folder, Opts) ->
    operate({restore, Folder}, Opts).

%% Brings the cluster to what its policy wants (docs/policy.md), whatever `sync' says there: copies that are missing, those that
%% are not wanted, and how they are stored. On any member. Does nothing when run again.
-spec repair() -> ok | {ok, plan()} | error().
repair() ->
    repair(#{}).

%% Options: dry_run, timeout, yes (also copies that keep transactions waiting for longer than the policy allows).
%%
%% With a table and a winner it is another operation: all copies of the table become what the winner has of the keys that differ, as
%% diff/0 has them. What each node has of these is archived first. It is done when a comparison finds no difference any more.
-spec repair(options() | repair()) -> ok | {ok, plan()} | error().
repair(#{table := _} = Wish) ->
    repair(Wish, #{});
repair(Opts) ->
    operate(repair, Opts).

%% Options: dry_run, timeout.
-spec repair(repair(), options()) -> ok | {ok, plan()} | error().
repair(Wish, Opts) ->
    operate({repair, Wish}, Opts).

%% Gives this VM's Mnesia directory, whose database is From's, to the name To. Mnesia is stopped. Where no ejabberd starts, as
%% its name is another one already, it is done from a terminal: `easy-cluster rename FROM TO DIRECTORY'.
-spec rename(node_name(), node_name()) -> ok | {ok, plan()} | error().
rename(From, To) ->
    rename(From, To, #{}).

%% Options: dry_run.
-spec rename(node_name(), node_name(), options()) -> ok | {ok, plan()} | error().
rename(From, To, Opts) ->
    rename(From, To, mnesia:system_info(directory), Opts).

-spec rename(node_name(), node_name(), file:filename(), options()) -> ok | {ok, plan()} | error().
rename(From, To, Directory, Opts) ->
    case easy_cluster_rename:plan(From, To, Directory, Opts) of
        {ok, #{options := #{dry_run := true}}} = Planned -> Planned;
        {ok, Plan} -> done(easy_cluster_rename:commit(Plan, Directory));
        {error, Reason} -> {error, Reason}
    end.

%% Carries out a plan, or refuses it when the cluster has changed since it was made. What is no plan is the `id' of a remembered one, or
%% `last' for the one that was made last.
-spec commit(plan() | id()) -> ok | error().
commit(What) ->
    commit(What, fun(_Event) -> ok end).

%% Report is called with each event in the calling process, before this returns.
-spec commit(plan() | id(), easy_cluster_walker:report()) -> ok | error().
commit(What, Report) ->
    case planned(What) of
        {ok, Plan} -> done(with_application(fun() -> easy_cluster_server:run(Plan, Report) end));
        {error, Reason} -> {error, Reason}
    end.

%% The plan that commit/1 would carry out.
-spec planned(plan() | id()) -> {ok, plan()} | error().
planned(Id) when is_atom(Id); is_binary(Id); is_list(Id) ->
    with_application(fun() -> easy_cluster_server:remembered(id(Id)) end);
planned(Plan) ->
    case easy_cluster_planner:read_plan(Plan) of
        ok -> {ok, Plan};
        {error, Reason} -> {error, Reason}
    end.

%% Brings nothing to what the policy wants by itself until resume/0, on no member; a repair that is under way ends behind its present
%% step. It outlasts restarts. The answer has the members that were told.
-spec pause() -> {ok, [node()]} | error().
pause() ->
    with_application(fun() -> on_members(easy_cluster_pause:pause(5000)) end).

%% The plan of what was interrupted here, or `none' where nothing was, or its journal has no plan.
-spec interrupted() -> plan() | none.
interrupted() ->
    Directory = mnesia:system_info(directory),
    case easy_cluster_history:unfinished(Directory) of
        undefined -> none;
        Id -> plan_of(easy_cluster_history:plan_of(Directory, Id))
    end.

plan_of({ok, Plan}) -> Plan;
plan_of(error) -> none.

%% Brings what was interrupted here to its end, as the next start of this node would: to what was planned, or back. After pause/0
%% the cluster is brought to its policy again, and the answer has the members that were told.
-spec resume() -> {ok, {continued, [node()]} | {ended, map()}} | error().
resume() ->
    resume(fun(_Event) -> ok end).

-spec resume(easy_cluster_walker:report()) -> {ok, {continued, [node()]} | {ended, map()}} | error().
resume(Report) ->
    with_application(fun() -> resume(easy_cluster_pause:is_paused(), Report) end).

resume(true, _Report) ->
    tagged(continued, on_members(easy_cluster_pause:continue(5000)));
resume(false, Report) ->
    tagged(ended, easy_cluster_server:resume(Report)).

tagged(Tag, {ok, What}) -> {ok, {Tag, What}};
tagged(_Tag, {error, Reason}) -> {error, Reason}.

on_members(Answers) ->
    case [{Node, Reason} || {Node, {error, Reason}} <- Answers] of
        [] -> {ok, [Node || {Node, ok} <- Answers]};
        [{Node, Reason} | _] -> {error, {not_paused, #{node => Node, reason => Reason}}}
    end.

%% Deletes the database that an operation has kept, which nothing brings back: the error of this one has what confirms it.
-spec drop_kept(id()) -> {ok, #{id := binary(), files := non_neg_integer(), bytes := non_neg_integer(), _ => _}} | error().
drop_kept(Id) ->
    drop_kept(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_kept(id(), #{confirm => id()}) -> {ok, #{id := binary(), files := non_neg_integer(), bytes := non_neg_integer(), _ => _}} | error().
drop_kept(Id, Opts) ->
    drop(fun easy_cluster_server:drop_kept/2, Id, Opts).

%% The same with the rows that an operation has archived.
-spec drop_archive(id()) -> {ok, #{id := binary(), files := non_neg_integer(), bytes := non_neg_integer(), _ => _}} | error().
drop_archive(Id) ->
    drop_archive(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_archive(id(), #{confirm => id()}) -> {ok, #{id := binary(), files := non_neg_integer(), bytes := non_neg_integer(), _ => _}} | error().
drop_archive(Id, Opts) ->
    drop(fun easy_cluster_server:drop_archive/2, Id, Opts).

drop(Drop, Id, Opts) when is_map(Opts) ->
    Confirm = maps:get(confirm, Opts, undefined),
    case maps:keys(maps:without([confirm], Opts)) of
        [] -> with_application(fun() -> Drop(id(Id), confirmed(Confirm)) end);
        [Unknown | _] -> {error, {unknown_option, #{option => printed(Unknown), known => <<"confirm">>}}}
    end;
drop(_Drop, _Id, Opts) ->
    {error, {bad_option, #{option => <<"the options">>, value => printed(Opts), expected => <<"a map">>}}}.

confirmed(undefined) -> undefined;
confirmed(Confirm) -> id(Confirm).

%% Names of operations are text; what cannot be one is shown as it was typed.
id(Id) when is_atom(Id) -> atom_to_binary(Id);
id(Id) ->
    try unicode:characters_to_binary(Id) of
        Text when is_binary(Text) -> Text;
        _NotText -> printed(Id)
    catch error:badarg -> printed(Id)
    end.

printed(Term) ->
    unicode:characters_to_binary(io_lib:format("~tp", [Term])).

%% Writes all data of this node's cluster to a folder that is empty or not there yet: the tables of one moment, wherever their
%% copies are, while clients are served. The answer is the manifest.
-spec backup(file:name_all()) -> {ok, easy_cluster_backup:manifest() | map()} | error().
backup(Folder) ->
    backup(Folder, #{}).

%% Options: dry_run (returns what would be taken), timeout (milliseconds that a silent member is waited for).
-spec backup(file:name_all(), options()) -> {ok, easy_cluster_backup:manifest() | map()} | error().
backup(Folder, Opts) ->
    backup(Folder, Opts, fun(_Event) -> ok end).

%% Report is called in the calling process with `{backing_up, Text}' and with `{backed_up, Table}' for each table that is on disc.
-spec backup(file:name_all(), options(), fun((tuple()) -> ok)) -> {ok, easy_cluster_backup:manifest() | map()} | error().
backup(Folder, Opts, Report) ->
    case unless_busy(fun() -> easy_cluster_planner:backup(Folder, Opts) end) of
        {ok, #{text := Text, wanted := Wanted, dry_run := true}} ->
            ok = Report({backing_up, Text}),
            {ok, Wanted};
        {ok, #{text := Text, folder := Path, wanted := Wanted}} ->
            ok = Report({backing_up, Text}),
            easy_cluster_server:backup(Path, Wanted, Report);
        {error, Reason} ->
            {error, Reason}
    end.

%% From now on the calling process gets `{easy_cluster, Id, Event}' for each event of each operation of this node, whoever has begun it:
%% the steps, the progress of copies, and `{ended, ok | {error, {Code, Details}}}'. One that does not keep up misses progress only.
-spec subscribe() -> ok | error().
subscribe() ->
    with_application(fun() -> easy_cluster_server:subscribe(self()) end).

-spec unsubscribe() -> ok | error().
unsubscribe() ->
    with_application(fun() -> easy_cluster_server:unsubscribe(self()) end).

operate(Operation, Opts) ->
    case plan(Operation, Opts) of
        {ok, #{options := #{dry_run := true}}} = Planned -> Planned;
        {ok, Plan} -> commit(Plan);
        {error, Reason} -> {error, Reason}
    end.

done({ok, _Plan}) -> ok;
done({error, Reason}) -> {error, Reason}.

differences(With, Opts) ->
    case with_application(fun() -> easy_cluster_planner:comparisons(With, Opts) end) of
        {ok, #{comparisons := Comparisons, not_compared := NotCompared}, Timeout} ->
            easy_cluster_diff:told(easy_cluster_diff:compare(Comparisons, #{timeout => Timeout}), NotCompared);
        {error, Reason} ->
            {error, Reason}
    end.

unless_busy(Fun) ->
    with_application(fun() ->
                             case easy_cluster_server:state() of
                                 #{operation := none} -> Fun();
                                 #{operation := _} -> {error, {operation_in_progress, #{holder => node()}}}
                             end
                     end).

with_application(Fun) ->
    case easy_cluster_app:ensure_started() of
        ok -> Fun();
        {error, Reason} -> {error, {application_not_started, #{reason => printed(Reason)}}}
    end.
