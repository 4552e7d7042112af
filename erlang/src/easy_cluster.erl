%% Clustering for ejabberd and any other Mnesia application that cannot lose data and explains itself.
%%
%% In `ejabberdctl debug' on the node that shall join:
%%
%%   1> easy_cluster:test_node('ejabberd@foo.bar').
%%     names         ejabberd@foo.bar: long, like this node
%%     resolver      foo.bar is 192.0.2.2
%%     epmd          192.0.2.2:4369 knows ejabberd (port 4370)
%%     distribution  192.0.2.2:4370 accepts, 0.3 ms
%%     handshake     ok: status, challenge, cookie, name; OTP 25 to 27
%%   ejabberd@foo.bar is reachable: OTP 25, ejabberd 23.01-1, mnesia 4.21.3; members ejabberd@foo.bar; 35 tables
%%   ok
%%   2> easy_cluster:join_as_master('ejabberd@foo.bar').
%%   join_as_master: ejabberd@hello.world becomes a full replica of the cluster of ejabberd@foo.bar
%%     ...
%%   ok
%%
%% A node is given as an atom, a string or a binary; a bare host gets this node's own name part. Errors are
%% `{error, {Code, Details}}'; docs/errors.md lists all of them. The words are those of 2012: the master is the node whose
%% database the cluster keeps, a slave shares it.
-module(easy_cluster).

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
-export([pause/0]).
-export([commit/1, resume/0]).
-export([drop_kept/1, drop_kept/2]).
-export([drop_archive/1, drop_archive/2]).

%% Backing up
-export([backup/1, backup/2]).

-export([rename/2, rename/3, rename/4]).

%% Reading
-export([help/0]).
-export([format_error/1]).

-type node_name() :: node() | string() | binary().
-type operation() :: {join | join_as_master | sync_node | forget, node_name()} | {repair, repair()}
                   | reset | leave | rollback | force_boot | repair.
-type repair() :: #{table := atom() | string() | binary(), winner := node_name()}.
-type options() :: #{dry_run => boolean(),
                     timeout => pos_integer(),
                     local_rows => archive | merge,
                     data => keep | empty,
                     yes => boolean(),
                     also => [node_name()],
                     lose => all | [atom() | string() | binary()],
                     quorum => boolean()}.
-type plan() :: easy_cluster_planner:plan().
-type error() :: easy_cluster_planner:error().
-export_type([node_name/0, operation/0, repair/0, options/0, plan/0, error/0]).

%% Whether Node could be joined: names, DNS, epmd, port, handshake, Mnesia. Prints the layers, and what is wrong
%% with the first one that is broken.
-spec test_node(node_name()) -> ok | error().
test_node(Node) ->
    test_node(Node, #{}).

%% Options: timeout.
-spec test_node(node_name(), options()) -> ok | error().
test_node(Node, Opts) ->
    easy_cluster_shell:tested(easy_cluster_planner:test(Node, Opts)).

%% What an operation would do. Looks only; prints the plan in words and returns it for commit/1.
-spec plan(operation()) -> {ok, plan()} | error().
plan(Operation) ->
    plan(Operation, #{}).

-spec plan(operation(), options()) -> {ok, plan()} | error().
plan(Operation, Opts) ->
    easy_cluster_shell:planned(planned(Operation, Opts)).

%% The members of this node's cluster, stopped ones included, what is wrong with it, and what is under way.
-spec status() -> {ok, map()} | error().
status() ->
    easy_cluster_shell:status(with_application(fun easy_cluster_planner:status/0)).

%% Tables and nodes: class, type, rows and bytes of each table, how its copies are stored, and where that is not what the policy wants.
-spec tables() -> {ok, map()} | error().
tables() ->
    easy_cluster_shell:matrix(with_application(fun easy_cluster_planner:tables/0)).

%% What was done here, oldest first: each operation, how far it came, what came of it, and how much is kept since.
-spec history() -> {ok, [easy_cluster_executor:past()]} | error().
history() ->
    easy_cluster_shell:history(easy_cluster_executor:history(mnesia:system_info(directory))).

%% One of these: its plan, each record of its journal, and what to do with what is kept.
-spec history(Id :: atom() | string() | binary()) -> {ok, easy_cluster_executor:past()} | error().
history(Id) ->
    easy_cluster_shell:operation(easy_cluster_executor:history(mnesia:system_info(directory), id(Id))).

%% What is wrong with this node's cluster: every member is asked what it sees, and the ways between all of them are tried in
%% both directions. Prints what was found and how to mend it.
-spec doctor() -> {ok, #{problems := [{Code :: atom(), Details :: map()}]}} | error().
doctor() ->
    easy_cluster_shell:diagnosed(easy_cluster_planner:doctor(#{})).

%% The same of Node's cluster, with the ways between it and this node.
-spec doctor(node_name()) -> {ok, #{problems := [{Code :: atom(), Details :: map()}]}} | error().
doctor(Node) ->
    doctor(Node, #{}).

%% Options: timeout.
-spec doctor(node_name(), options()) -> {ok, #{problems := [{Code :: atom(), Details :: map()}]}} | error().
doctor(Node, Opts) ->
    easy_cluster_shell:diagnosed(easy_cluster_planner:doctor(Node, Opts)).

%% Compares all copies of all durable tables, which every holder hashes by itself: nothing is locked, and little is sent. Prints
%% and returns the keys whose rows are not the same everywhere, at two looks. A member whose copies cannot be compared is an error, which
%% has the other copies under `compared'.
-spec diff() -> {ok, [easy_cluster_diff:compared()]} | error().
diff() ->
    differences(all, #{}).

%% The same of the copies here and on Node.
-spec diff(node_name()) -> {ok, [easy_cluster_diff:compared()]} | error().
diff(Node) ->
    diff(Node, #{}).

%% Options: timeout (milliseconds that a silent node is waited for).
-spec diff(node_name(), options()) -> {ok, [easy_cluster_diff:compared()]} | error().
diff(Node, Opts) ->
    differences({node, Node}, Opts).

differences(With, Opts) ->
    case with_application(fun() -> easy_cluster_planner:comparisons(With, Opts) end) of
        {ok, #{comparisons := Comparisons, not_compared := NotCompared}, Timeout} ->
            easy_cluster_shell:compared(easy_cluster_diff:compare(Comparisons, #{timeout => Timeout}), NotCompared);
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

%% What a line of a log, a whole log or an error that anybody's function returned means: evidence, cause and fix are printed.
-spec explain(term()) -> {ok, [easy_cluster_explain:sighting()]} | error().
explain(Term) ->
    easy_cluster_shell:explained(easy_cluster_explain:explain(Term)).

%% Writes what every member says of itself and of the tables to a file, from which `easy-cluster plan' can plan anywhere. It has names and
%% sizes of tables and no rows, and no cookie.
-spec snapshot(file:name_all()) -> ok | error().
snapshot(File) ->
    case easy_cluster_planner:write_snapshot(File) of
        ok -> ok;
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

%% Becomes a slave of Node's cluster: the schema is on disc here, tables are read where they are, except those that
%% ejabberd's own modules copy when they start, which the plan counts. This node's database is kept.
-spec join(node_name()) -> ok | {ok, plan()} | error().
join(Node) ->
    join(Node, #{}).

%% Options: dry_run (returns {ok, Plan}), timeout (milliseconds that a silent node is waited for), local_rows (archive or
%% merge), yes (agrees to long stalls).
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
%% diff/0 tells them. What each node has of these is archived first. It is done when a comparison finds no difference any more.
-spec repair(options() | repair()) -> ok | {ok, plan()} | error().
repair(#{table := _} = Wish) ->
    repair(Wish, #{});
repair(Opts) ->
    operate(repair, Opts).

%% Options: dry_run, timeout.
-spec repair(repair(), options()) -> ok | {ok, plan()} | error().
repair(Wish, Opts) ->
    operate({repair, Wish}, Opts).

%% Brings nothing to what the policy wants by itself until resume/0, on no member; a repair that is under way ends behind its present
%% step. It outlasts restarts.
-spec pause() -> ok | error().
pause() ->
    easy_cluster_shell:paused(with_application(fun() -> {paused, easy_cluster_sync:pause(5000)} end)).

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
        {ok, #{options := #{dry_run := true}}} = Planned -> easy_cluster_shell:planned(Planned);
        {ok, Plan} ->
            easy_cluster_shell:show(Plan),
            easy_cluster_shell:finished(easy_cluster_rename:commit(Plan, Directory));
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

%% Carries out a plan, or refuses it when the cluster has changed since it was made.
-spec commit(plan()) -> ok | error().
commit(Plan) ->
    case easy_cluster_planner:read_plan(Plan) of
        ok ->
            Run = fun() -> easy_cluster_server:run(Plan, easy_cluster_shell:reporter(Plan)) end,
            easy_cluster_shell:finished(with_application(Run));
        {error, Reason} ->
            easy_cluster_shell:failed(Reason)
    end.

%% Brings what was interrupted here to its end, as the next start of this node would: to what was planned, or back. After pause/0
%% the cluster is brought to its policy again.
-spec resume() -> ok | error().
resume() ->
    case with_application(fun() -> {is_paused, easy_cluster_sync:is_paused()} end) of
        {is_paused, true} -> easy_cluster_shell:paused({continued, easy_cluster_sync:continue(5000)});
        {is_paused, false} -> resume_interrupted();
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

resume_interrupted() ->
    easy_cluster_shell:resumed(with_application(fun() -> easy_cluster_server:resume(easy_cluster_shell:reporter(interrupted())) end)).

interrupted() ->
    Directory = mnesia:system_info(directory),
    case easy_cluster_executor:unfinished(Directory) of
        undefined -> #{};
        Id ->
            case easy_cluster_executor:plan_of(Directory, Id) of
                {ok, Plan} -> Plan;
                error -> #{}
            end
    end.

%% Deletes the database that an operation has kept, which nothing brings back: tells what to type.
-spec drop_kept(Id :: atom() | string() | binary()) -> ok | error().
drop_kept(Id) ->
    drop_kept(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_kept(Id :: atom() | string() | binary(), #{confirm => atom() | string() | binary()}) -> ok | error().
drop_kept(Id, Opts) ->
    drop(fun easy_cluster_server:drop_kept/2, "the database that ~ts had kept is", Id, Opts).

%% Deletes the rows that an operation has archived, which nothing brings back: tells what to type.
-spec drop_archive(Id :: atom() | string() | binary()) -> ok | error().
drop_archive(Id) ->
    drop_archive(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_archive(Id :: atom() | string() | binary(), #{confirm => atom() | string() | binary()}) -> ok | error().
drop_archive(Id, Opts) ->
    drop(fun easy_cluster_server:drop_archive/2, "the rows that ~ts had archived are", Id, Opts).

drop(Drop, What, Id, Opts) when is_map(Opts) ->
    Confirm = maps:get(confirm, Opts, undefined),
    case maps:keys(maps:without([confirm], Opts)) of
        [] ->
            easy_cluster_shell:dropped(with_application(fun() -> Drop(id(Id), confirmed(Confirm)) end), What);
        [Unknown | _] ->
            easy_cluster_shell:failed({unknown_option, #{option => printed(Unknown), known => <<"confirm">>}})
    end;
drop(_Drop, _What, _Id, Opts) ->
    easy_cluster_shell:failed({bad_option, #{option => <<"the options">>, value => printed(Opts), expected => <<"a map">>}}).

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
%% copies are, while clients are served. Prints a line for each table and returns the manifest.
-spec backup(file:name_all()) -> {ok, easy_cluster_backup:manifest() | map()} | error().
backup(Folder) ->
    backup(Folder, #{}).

%% Options: dry_run (returns what would be taken), timeout (milliseconds that a silent member is waited for).
-spec backup(file:name_all(), options()) -> {ok, easy_cluster_backup:manifest() | map()} | error().
backup(Folder, Opts) ->
    case unless_busy(fun() -> easy_cluster_planner:backup(Folder, Opts) end) of
        {ok, #{text := Text, wanted := Wanted, dry_run := true}} ->
            easy_cluster_shell:backing_up(Text),
            {ok, Wanted};
        {ok, #{text := Text, folder := Path, wanted := Wanted}} ->
            easy_cluster_shell:backing_up(Text),
            easy_cluster_shell:backed_up(Path, easy_cluster_server:backup(Path, Wanted, easy_cluster_shell:backup_reporter()));
        {error, Reason} ->
            easy_cluster_shell:failed(Reason)
    end.

%% An error of any function here in words: code, evidence, cause, fix.
-spec format_error(term()) -> unicode:chardata().
format_error({error, Reason}) ->
    format_error(Reason);
format_error({Code, Details}) when is_atom(Code), is_map(Details) ->
    easy_cluster_shell:problems(Details, {Code, Details});
format_error(Other) ->
    io_lib:format("~tp~n", [Other]).

-spec help() -> ok.
help() ->
    io:put_chars(
      "easy_cluster: clustering that cannot lose data\n"
      "\n"
      "  test_node(Node)       can Node be joined? names, DNS, epmd, port, cookie, Mnesia\n"
      "  plan({join_as_master, Node})\n"
      "                        what would be done; also {join, Node}, {sync_node, Node},\n"
      "                        leave, rollback, reset, force_boot, repair\n"
      "  commit(Plan)          do it, if nothing has changed since\n"
      "  join(Node)            become a slave: tables are read where they are, except those that\n"
      "                        ejabberd's modules copy when they start\n"
      "  join_as_master(Node)  become a full replica: either node can fail\n"
      "  sync_node(Node)       copy every table that is missing here\n"
      "  leave()               go on alone with a copy of the cluster's data; leave(#{data => empty}) without\n"
      "  rollback()            take back what was done here last; what was written since is kept\n"
      "  force_boot()          load tables that wait here for nodes that are gone for good\n"
      "  reset()               go on with an empty database; the old one is kept\n"
      "  restore(Folder)       go on with what a backup holds; restore(Folder, #{dry_run => true}) tells what changes\n"
      "  rename(From, To)      give a stopped node's database to another name\n"
      "  snapshot(File)        write what every member says to a file, for `easy-cluster plan` on any machine\n"
      "  backup(Folder)        write all data of the cluster to an empty folder, while clients are served\n"
      "  forget(Node)          take a member that is gone for good out of the cluster\n"
      "  repair()              bring the cluster to what its policy wants (docs/policy.md)\n"
      "  pause()               do so by itself no more, until resume()\n"
      "  status()              who belongs, who runs, what is wrong\n"
      "  tables()              tables and nodes: who holds what, and what the policy wants\n"
      "  history()             what was done here, and what is kept since; history(Id) tells more of one\n"
      "  resume()              bring what was interrupted here to its end, as the next start would\n"
      "  drop_kept(Id)         give up the database that an operation has kept\n"
      "  drop_archive(Id)      give up the rows that an operation has archived\n"
      "  doctor()              what is wrong between all members, and how to mend it; doctor(Node)\n"
      "  diff()                which rows are not the same in all copies; diff(Node) of the copies here and there\n"
      "  repair(#{table => Table, winner => Node})\n"
      "                        make all copies of a table what Node has; what the others have is archived first\n"
      "  explain(Text)         a line of a log, or any error term: what it means, what to do\n"
      "  format_error(Error)   an error in words\n"
      "\n"
      "Node is an atom, a string or a binary, as in 'ejabberd@foo.bar', \"foo.bar\".\n"
      "Each takes a map of options behind it: dry_run, timeout, local_rows => archive | merge, yes;\n"
      "leave, too: data => keep | empty; forget: also => [Node], lose => all | [Table], quorum => false.\n"
      "This node's old database is kept in the folder easy_cluster of the Mnesia directory.\n").

operate(Operation, Opts) ->
    case planned(Operation, Opts) of
        {ok, #{options := #{dry_run := true}}} = Planned -> easy_cluster_shell:planned(Planned);
        {ok, Plan} ->
            easy_cluster_shell:show(Plan),
            commit(Plan);
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

planned(Operation, Opts) ->
    unless_busy(fun() -> easy_cluster_planner:plan(Operation, Opts) end).

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
        {error, Reason} -> {error, {application_not_started, #{reason => iolist_to_binary(io_lib:format("~tp", [Reason]))}}}
    end.
