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
%% This is what a person types: it prints, and returns little, so that what was printed stays on the screen. `easy_cluster_api' has
%% the same functions and returns data.
%%
%% A node is given as an atom, a string or a binary; a bare host gets this node's own name part. What looks returns `ok' or
%% `{error, Code}'; a plan is `{ok, Id}'; what changes something returns `ok' or `{error, {Code, Details}}'. docs/errors.md lists all
%% codes. The words are those of 2012: the master is the node whose database the cluster keeps, a slave shares it.
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

-type node_name() :: easy_cluster_api:node_name().
-type operation() :: easy_cluster_api:operation().
-type options() :: easy_cluster_api:options().
-type repair() :: easy_cluster_api:repair().
-type plan() :: easy_cluster_api:plan().
-type error() :: easy_cluster_api:error().
-type id() :: easy_cluster_api:id().
%% How a look ended.
-type looked() :: ok | {error, Code :: atom()}.
%% How a change ended; a dry run only remembers its plan.
-type changed() :: ok | {ok, Id :: binary()} | error().
-export_type([node_name/0, operation/0, options/0, repair/0, plan/0, error/0, id/0, looked/0, changed/0]).

%% Whether Node could be joined: names, DNS, epmd, port, handshake, Mnesia. Prints the layers, and what is wrong
%% with the first one that is broken.
-spec test_node(node_name()) -> ok | error().
test_node(Node) ->
    test_node(Node, #{}).

%% Options: timeout.
-spec test_node(node_name(), options()) -> ok | error().
test_node(Node, Opts) ->
    easy_cluster_shell:tested(easy_cluster_api:test_node(Node, Opts)).

%% What an operation would do. Looks only; prints the plan in words and returns its name for commit/1.
-spec plan(operation()) -> {ok, Id :: binary()} | error().
plan(Operation) ->
    plan(Operation, #{}).

-spec plan(operation(), options()) -> {ok, Id :: binary()} | error().
plan(Operation, Opts) ->
    easy_cluster_shell:planned(easy_cluster_api:plan(Operation, Opts)).

%% The members of this node's cluster, stopped ones included, what is wrong with it, and what is under way.
-spec status() -> looked().
status() ->
    easy_cluster_shell:status(easy_cluster_api:status()).

%% Tables and nodes: class, type, rows and bytes of each table, how its copies are stored, and where that is not what the policy wants.
-spec tables() -> looked().
tables() ->
    easy_cluster_shell:shown(easy_cluster_api:tables()).

%% What was done here, oldest first: each operation, how far it came, what came of it, and how much is kept since.
-spec history() -> looked().
history() ->
    easy_cluster_shell:history(easy_cluster_api:history()).

%% One of these: its plan, each record of its journal, and what to do with what is kept.
-spec history(id()) -> looked().
history(Id) ->
    easy_cluster_shell:operation(easy_cluster_api:history(Id)).

%% What is wrong with this node's cluster: every member is asked what it sees, and the ways between all of them are tried in
%% both directions. Prints what was found and how to mend it.
-spec doctor() -> looked().
doctor() ->
    easy_cluster_shell:shown(easy_cluster_api:doctor()).

%% The same of Node's cluster, with the ways between it and this node.
-spec doctor(node_name()) -> looked().
doctor(Node) ->
    doctor(Node, #{}).

%% Options: timeout.
-spec doctor(node_name(), options()) -> looked().
doctor(Node, Opts) ->
    easy_cluster_shell:shown(easy_cluster_api:doctor(Node, Opts)).

%% Compares all copies of all durable tables, which every holder hashes by itself: nothing is locked, and little is sent. Prints
%% the keys whose rows are not the same everywhere, at two looks, and the members whose copies cannot be compared.
-spec diff() -> looked().
diff() ->
    easy_cluster_shell:shown(easy_cluster_api:diff()).

%% The same of the copies here and on Node.
-spec diff(node_name()) -> looked().
diff(Node) ->
    diff(Node, #{}).

%% Options: timeout (milliseconds that a silent node is waited for).
-spec diff(node_name(), options()) -> looked().
diff(Node, Opts) ->
    easy_cluster_shell:shown(easy_cluster_api:diff(Node, Opts)).

%% What a line of a log, a whole log or an error that anybody's function returned means: evidence, cause and fix are printed.
-spec explain(term()) -> looked().
explain(Term) ->
    easy_cluster_shell:shown(easy_cluster_api:explain(Term)).

%% Writes what every member says of itself and of the tables to a file, from which `easy-cluster plan' can plan anywhere. It has names and
%% sizes of tables and no rows, and no cookie.
-spec snapshot(file:name_all()) -> ok | error().
snapshot(File) ->
    easy_cluster_shell:ended(easy_cluster_api:snapshot(File)).

%% Becomes a slave of Node's cluster: the schema is on disc here, tables are read where they are, except those that
%% ejabberd's own modules copy when they start, which the plan counts. This node's database is kept.
-spec join(node_name()) -> changed().
join(Node) ->
    join(Node, #{}).

%% Options: dry_run (shows the plan and remembers it), timeout (milliseconds that a silent node is waited for), local_rows (archive or
%% merge), yes (agrees to long stalls).
-spec join(node_name(), options()) -> changed().
join(Node, Opts) ->
    operate({join, Node}, Opts).

%% Becomes a full replica of Node's cluster, after which either can fail. This node's database is kept.
-spec join_as_master(node_name()) -> changed().
join_as_master(Node) ->
    join_as_master(Node, #{}).

-spec join_as_master(node_name(), options()) -> changed().
join_as_master(Node, Opts) ->
    operate({join_as_master, Node}, Opts).

%% Copies every table of the cluster that this node lacks, with Node's storage types. Copies nothing when run again.
-spec sync_node(node_name()) -> changed().
sync_node(Node) ->
    sync_node(Node, #{}).

-spec sync_node(node_name(), options()) -> changed().
sync_node(Node, Opts) ->
    operate({sync_node, Node}, Opts).

%% Goes on with an empty database; the old one is kept. Refused on a member of a cluster, which has to leave first.
-spec reset() -> changed().
reset() ->
    reset(#{}).

-spec reset(options()) -> changed().
reset(Opts) ->
    operate(reset, Opts).

%% Leaves the cluster, after the clients of this node were sent to the others, and goes on alone with a copy of the cluster's
%% data. Tables that only this node has are copied to a member first. What this node had as a member is kept.
-spec leave() -> changed().
leave() ->
    leave(#{}).

%% Options: data (keep, or empty), dry_run, timeout, yes.
-spec leave(options()) -> changed().
leave(Opts) ->
    operate(leave, Opts).

%% Takes back what was done here last, as history/0 has it: this node returns to the database that the operation has kept, to
%% its cluster, or to the tables that it had. What was written since is kept in its turn.
-spec rollback() -> changed().
rollback() ->
    rollback(#{}).

-spec rollback(options()) -> changed().
rollback(Opts) ->
    operate(rollback, Opts).

%% After a total outage: loads the tables that wait here for nodes that are gone for good. What those wrote last is given up, which
%% has to be agreed to with #{yes => true}; #{dry_run => true} shows what it is. Refused while one of them gives a sign of life, and where
%% another node has the newer copies.
-spec force_boot() -> changed().
force_boot() ->
    force_boot(#{}).

-spec force_boot(options()) -> changed().
force_boot(Opts) ->
    operate(force_boot, Opts).

%% Takes Node, which is gone for good, out of this node's cluster. What only Node has goes with it; one that comes back with
%% its old database is turned away. On any member.
-spec forget(node_name()) -> changed().
forget(Node) ->
    forget(Node, #{}).

%% Options: also (members that are gone for good, too), lose (tables whose only copy may go), quorum (false: although those
%% that are left are no majority), yes (takes copies that may be older than Node's), dry_run, timeout.
-spec forget(node_name(), options()) -> changed().
forget(Node, Opts) ->
    operate({forget, Node}, Opts).

%% Goes on with what a backup holds, of this cluster or another one, whatever its nodes were called; this node's database is
%% kept. Refused on a member of a cluster, which has to leave first; the others then join this node. The backup is read to its
%% end before, and the plan tells what it changes table by table.
-spec restore(file:name_all()) -> changed().
restore(Folder) ->
    restore(Folder, #{}).

%% Options: dry_run (tells what would change), timeout, yes.
-spec restore(file:name_all(), options()) -> changed().
restore(Folder, Opts) ->
    operate({restore, Folder}, Opts).

%% Brings the cluster to what its policy wants (docs/policy.md), whatever `sync' says there: copies that are missing, those that
%% are not wanted, and how they are stored. On any member. Does nothing when run again.
-spec repair() -> changed().
repair() ->
    repair(#{}).

%% Options: dry_run, timeout, yes (also copies that keep transactions waiting for longer than the policy allows).
%%
%% With a table and a winner it is another operation: all copies of the table become what the winner has of the keys that differ, as
%% diff/0 tells them. What each node has of these is archived first. It is done when a comparison finds no difference any more.
-spec repair(options() | repair()) -> changed().
repair(#{table := _} = Wish) ->
    repair(Wish, #{});
repair(Opts) ->
    operate(repair, Opts).

%% Options: dry_run, timeout.
-spec repair(repair(), options()) -> changed().
repair(Wish, Opts) ->
    operate({repair, Wish}, Opts).

%% Brings nothing to what the policy wants by itself until resume/0, on no member; a repair that is under way ends behind its present
%% step. It outlasts restarts.
-spec pause() -> ok | error().
pause() ->
    easy_cluster_shell:told("paused", easy_cluster_api:pause()).

%% Gives this VM's Mnesia directory, whose database is From's, to the name To. Mnesia is stopped. Where no ejabberd starts, as
%% its name is another one already, it is done from a terminal: `easy-cluster rename FROM TO DIRECTORY'.
-spec rename(node_name(), node_name()) -> ok | error().
rename(From, To) ->
    rename(From, To, #{}).

%% Options: dry_run.
-spec rename(node_name(), node_name(), options()) -> ok | error().
rename(From, To, Opts) ->
    rename(From, To, mnesia:system_info(directory), Opts).

-spec rename(node_name(), node_name(), file:filename(), options()) -> ok | error().
rename(From, To, Directory, Opts) ->
    case easy_cluster_rename:plan(From, To, Directory, Opts) of
        %% Nobody but this function carries it out, so that it has no name to commit it by.
        {ok, #{options := #{dry_run := true}} = Plan} ->
            easy_cluster_shell:show(Plan);
        {ok, #{steps := Steps} = Plan} ->
            easy_cluster_shell:show(Plan),
            easy_cluster_shell:finished(Steps, easy_cluster_rename:commit(Plan, Directory));
        {error, Reason} ->
            easy_cluster_shell:failed(Reason)
    end.

%% Carries out a plan, or refuses it when the cluster has changed since it was made: the plan of a name, `last' for the one that was
%% made last, or a plan itself.
-spec commit(id() | plan()) -> ok | error().
commit(What) ->
    case easy_cluster_api:planned(What) of
        {ok, Plan} -> carried_out(Plan);
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.

carried_out(#{steps := Steps} = Plan) ->
    easy_cluster_shell:finished(Steps, easy_cluster_api:commit(Plan, easy_cluster_shell:reporter(Plan))).

%% Brings what was interrupted here to its end, as the next start of this node would: to what was planned, or back. After pause/0
%% the cluster is brought to its policy again.
-spec resume() -> ok | error().
resume() ->
    easy_cluster_shell:resumed(easy_cluster_api:resume(easy_cluster_shell:reporter(easy_cluster_api:interrupted()))).

%% Deletes the database that an operation has kept, which nothing brings back: tells what to type.
-spec drop_kept(id()) -> ok | error().
drop_kept(Id) ->
    drop_kept(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_kept(id(), #{confirm => id()}) -> ok | error().
drop_kept(Id, Opts) ->
    easy_cluster_shell:dropped("the database that ~ts had kept is", easy_cluster_api:drop_kept(Id, Opts)).

%% Deletes the rows that an operation has archived, which nothing brings back: tells what to type.
-spec drop_archive(id()) -> ok | error().
drop_archive(Id) ->
    drop_archive(Id, #{}).

%% Options: confirm (the same name once more).
-spec drop_archive(id(), #{confirm => id()}) -> ok | error().
drop_archive(Id, Opts) ->
    easy_cluster_shell:dropped("the rows that ~ts had archived are", easy_cluster_api:drop_archive(Id, Opts)).

%% Writes all data of this node's cluster to a folder that is empty or not there yet: the tables of one moment, wherever their
%% copies are, while clients are served. Prints a line for each table.
-spec backup(file:name_all()) -> ok | error().
backup(Folder) ->
    backup(Folder, #{}).

%% Options: dry_run (tells what would be taken), timeout (milliseconds that a silent member is waited for).
-spec backup(file:name_all(), options()) -> ok | error().
backup(Folder, Opts) ->
    easy_cluster_shell:backed_up(Folder, easy_cluster_api:backup(Folder, Opts, fun easy_cluster_shell:backing_up/1)).

%% An error of any function here in words: code, evidence, cause, fix.
-spec format_error(term()) -> unicode:chardata().
format_error(Error) ->
    easy_cluster_text:error(Error).

-spec help() -> ok.
help() ->
    io:put_chars(
      "easy_cluster: clustering that cannot lose data\n"
      "\n"
      "  test_node(Node)       can Node be joined? names, DNS, epmd, port, cookie, Mnesia\n"
      "  plan({join_as_master, Node})\n"
      "                        what would be done; also {join, Node}, {sync_node, Node},\n"
      "                        leave, rollback, reset, force_boot, repair\n"
      "  commit(last)          do what the last plan says, if nothing has changed since; also commit(Id)\n"
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
    case easy_cluster_api:plan(Operation, Opts) of
        {ok, #{options := #{dry_run := true}}} = Planned -> easy_cluster_shell:planned(Planned);
        {ok, Plan} ->
            easy_cluster_shell:show(Plan),
            carried_out(Plan);
        {error, Reason} -> easy_cluster_shell:failed(Reason)
    end.
