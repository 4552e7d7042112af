%% What happens to Mnesia's directory while this node becomes a member of another cluster.
%%
%%     1> easy_cluster_directory:keep(Dir, Id).             %% a second name for each old file, in constant time
%%     2> easy_cluster_directory:delete_logs(Dir).          %% or they would be replayed into the new schema
%%     3> easy_cluster_directory:commit_schema(Dir, Id).    %% one rename: a member from here on
%%     4> easy_cluster_directory:replace_files(Dir, Id).
%%     5> easy_cluster_directory:restore(Dir, Id).          %% the way back, from wherever it stopped
%%
%% Each of these can be run again with the same end, is on disc when it returns, and refuses while Mnesia runs.
%%
%% At every moment the directory has a schema.DAT, since Mnesia without one starts in memory and is pulled into
%% a cluster by whoever finds it. What a start of Mnesia finds after a kill:
%%
%% ```
%% in or after      Mnesia boots as
%% keep             the old node
%% delete_logs      the old node: keep/2 refused unless the logs held nothing that the tables lack
%% commit_schema    a member
%% replace_files    a member; run it to the end before Mnesia starts, or rows of old local_content tables return
%% restore          a member until it renames schema.DAT, the old node after that
%% '''
%%
%% What the kept folder is worth depends on the moment, as a link shares its bytes with the file in the directory:
%%
%% - Until commit_schema the directory is the old database, and kept only names its files a second time (`shared'
%%   in kept/1). If the old node runs again, the directory is the one to believe, and restore/2 leaves it alone.
%% - From replace_files on, no file of the directory is a kept one: what Mnesia writes never reaches them, and they
%%   stay byte for byte what they were.
%% - restore/2 copies kept files and moves the copies in, so kept stays intact; a restore before the
%%   commit has nothing to bring back but the logs, and gives up the links instead.
-module(easy_cluster_directory).

-include_lib("kernel/include/file.hrl").

%% Where things are
-export([paths/2]).
-export([mnesia_files/1]).
%% There
-export([keep/2, keep_member/2]).
-export([delete_logs/1]).
-export([commit_schema/2]).
-export([replace_files/2]).
%% And back
-export([restore/2]).
-export([note_members/3, noted_members/2]).
-export([drop_staging/2, drop_backup/2, drop_half_archives/2, drop_probes/1]).
-export([drop_kept/2, drop_archive/2]).
-export([copy_kept/3]).
-export([set_aside/2]).
-export([copy_aside/2]).
%% Looking
-export([state_of_kept/2]).
-export([kept/1, archives/1]).
-export([is_committed/2]).
-export([is_restoring/2]).
-export([marks/2, marked/1]).
-export([free_bytes/1]).
-export([writable/1]).
-export([obstacles/1]).
-export_type([id/0, paths/0, kept/0, marks/0, obstacle/0, problem/0]).

%% How files begin that are made to see whether they can be; whose process made them comes next.
-define(PROBE, ".easy_cluster-").
-define(SCHEMA, "schema.DAT").
-define(LATEST_LOG, "LATEST.LOG").
-define(FALLBACK, "FALLBACK.BUP").
-define(MANIFEST, "manifest.term").
-define(MEMBERS, "members").
-define(MEMBERS_KIND, <<"ecmember">>).
-define(COMMITTING, "committing").
-define(RESTORED, "restored").
-define(GIVEN_UP, "given_up").
-define(READY, "ready").
-define(DF_TIMEOUT, 10000).

-type id() :: easy_cluster_journal:id().
-type paths() :: #{
    kept := file:filename(),
    staging := file:filename(),
    archive := file:filename(),
    backup := file:filename(),
    journal := file:filename()
}.
-type kept() :: #{
    id := id(),
    files := non_neg_integer(),
    bytes := non_neg_integer(),
    at := integer(),
    node := node(),
    shared := boolean()
}.
%% `at' is microseconds of the wall clock; `shared' means that the directory still has the same files.
-type problem() :: {
    bad_id | directory_error | fallback_installed | log_not_dumped | mnesia_running,
    easy_cluster_files:details()
}.
-type obstacle() :: {not_a_plain_file, #{path := file:filename_all(), kind := atom()}}
                 | {not_usable | no_hard_links, easy_cluster_files:details()}.
-type manifest() :: #{files := [{file:filename_all(), non_neg_integer()}], at := integer(), node := node()}.
-type phase() :: uncommitted | committed | lost | restored | given_up.
-type marks() :: #{phase := phase() | not_kept, staged := boolean(), restoring := boolean(), ready := boolean(), old_files := boolean()}.
-type result() :: ok | {error, problem()}.

%% Folders of one operation, and the journal's file. None of them need exist.
-spec paths(file:filename(), id()) -> paths().
paths(MnesiaDir, Id) ->
    #{
        kept => below(MnesiaDir, "kept", Id),
        staging => below(MnesiaDir, "staging", Id),
        archive => below(MnesiaDir, "archive", Id),
        backup => below(MnesiaDir, "backup", Id),
        journal => filename:join(easy_cluster_journal:folder(MnesiaDir), binary_to_list(Id) ++ ".journal")
    }.

below(MnesiaDir, Folder, Id) ->
    filename:join([MnesiaDir, "easy_cluster", Folder, binary_to_list(Id)]).

%% The names of the Mnesia files in the folder: real files by Mnesia's own suffixes, nothing below it, no links.
%% Source: mnesia_schema:purge_dir/2, which is what Mnesia itself deletes.
-spec mnesia_files(file:filename()) -> {ok, [file:filename_all()]} | {error, problem()}.
mnesia_files(Dir) ->
    case mnesia_entries(Dir) of
        {ok, Entries} -> {ok, [Name || {Name, #file_info{type = regular}} <- Entries]};
        {error, Details} -> {error, {directory_error, Details}}
    end.

mnesia_entries(Dir) ->
    case easy_cluster_files:names(Dir) of
        {ok, Names} -> infos(Dir, [Name || Name <- Names, is_mnesia_name(Name)], []);
        {error, _} = Error -> Error
    end.

infos(_Dir, [], Entries) ->
    {ok, lists:reverse(Entries)};
infos(Dir, [Name | Names], Entries) ->
    case easy_cluster_files:info(filename:join(Dir, Name)) of
        {ok, Info} -> infos(Dir, Names, [{Name, Info} | Entries]);
        missing -> infos(Dir, Names, Entries);
        {error, _} = Error -> Error
    end.

is_mnesia_name(Name) ->
    Suffixes = ["DAT", "LOG", "BUP", "DCL", "DCD", "TMP", "BUPTMP", "RET", "DMP", ""],
    lists:member(last_part(unicode:characters_to_list(Name)), Suffixes).

%% Unlike filename:extension/1 this tells "name" from "name." on every release.
last_part(Name) when is_list(Name) ->
    case string:split(Name, ".", trailing) of
        [[], _] -> no_name;
        [_, Part] -> Part;
        [_] -> no_name
    end;
last_part(_NotUnicode) ->
    no_name.

%% Gives each Mnesia file a second name in the kept folder and writes a manifest of them, which is the sign that all
%% are there. Nothing is done where it cannot all be done: without hard links, with a Mnesia file that is a link or a
%% folder, with a fallback that the next start would install, with transactions that are only in the log.
-spec keep(file:filename(), id()) -> result().
keep(MnesiaDir, Id) ->
    keep(MnesiaDir, Id, fun(Logs) -> dumped(MnesiaDir, Logs) end).

%% The same of a member, to whose log the others write until it has stopped. It has that from them: a kill after
%% delete_logs brings back a member that reads its tables from the others, if not the logs with it.
-spec keep_member(file:filename(), id()) -> result().
keep_member(MnesiaDir, Id) ->
    keep(MnesiaDir, Id, fun(_Logs) -> ok end).

keep(MnesiaDir, Id, CheckLogs) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept} = Paths) ->
        case manifest(Kept) of
            {ok, Manifest} -> still_kept(MnesiaDir, Paths, Manifest);
            missing -> keep_all(MnesiaDir, Kept, Id, CheckLogs);
            {error, _} = Error -> Error
        end
    end).

keep_all(MnesiaDir, Kept, Id, CheckLogs) ->
    case mnesia_entries(MnesiaDir) of
        {ok, Entries} ->
            easy_cluster_files:in_order([
                fun() -> keepable(MnesiaDir, Entries, CheckLogs) end,
                fun() -> link_all(MnesiaDir, Kept, Entries) end,
                fun() -> write_manifest(Kept, Id, Entries) end
            ]);
        {error, Details} ->
            {error, Details}
    end.

keepable(MnesiaDir, Entries, CheckLogs) ->
    Odd = [{Name, Type} || {Name, #file_info{type = Type}} <- Entries, Type =/= regular],
    Names = [Name || {Name, _} <- Entries],
    case {Odd, lists:member(?SCHEMA, Names), lists:member(?FALLBACK, Names)} of
        {[], true, false} -> CheckLogs([Name || Name <- Names, is_log(Name)]);
        {[], true, true} -> coded(fallback_installed, MnesiaDir, ?FALLBACK, installed_at_next_start);
        {[], false, _} -> failed(MnesiaDir, ?SCHEMA, enoent);
        {[{Name, Type} | _], _, _} -> failed(MnesiaDir, Name, {not_a_file, Type})
    end.

%% A Mnesia that stopped after a dump leaves logs without transactions. With some in them, a kill after delete_logs
%% would bring back the old node without its last writes.
dumped(MnesiaDir, Logs) ->
    TransactionLogs = [Log || Log <- Logs, lists:member(Log, [?LATEST_LOG, "PREVIOUS.LOG"])],
    easy_cluster_files:each(fun(Log) -> log_dumped(MnesiaDir, Log) end, TransactionLogs).

log_dumped(MnesiaDir, Log) ->
    Name = make_ref(),
    File = filename:join(MnesiaDir, Log),
    case disk_log:open([{name, Name}, {file, File}, {mode, read_only}, {repair, false}]) of
        {ok, Name} ->
            Commits = commits(Name, start),
            ok = disk_log:close(Name),
            log_dumped(MnesiaDir, Log, Commits);
        {error, Reason} ->
            coded(log_not_dumped, MnesiaDir, Log, Reason)
    end.

log_dumped(_MnesiaDir, _Log, none) -> ok;
log_dumped(MnesiaDir, Log, Found) -> coded(log_not_dumped, MnesiaDir, Log, Found).

commits(Log, From) ->
    case disk_log:chunk(Log, From) of
        eof -> none;
        {error, Reason} -> Reason;
        {Next, Terms} -> commits(Log, Next, lists:any(fun is_commit/1, Terms));
        {_Next, _Terms, BadBytes} -> {bad_bytes, BadBytes}
    end.

commits(Log, Next, false) -> commits(Log, Next);
commits(_Log, _Next, true) -> transactions_in_log.

is_commit(Term) ->
    is_tuple(Term) andalso tuple_size(Term) > 0 andalso element(1, Term) =:= commit.

%% An earlier try that has no manifest has harmed nothing and is begun anew.
link_all(MnesiaDir, Kept, Entries) ->
    Linked = easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Kept) end,
        fun() -> easy_cluster_files:make_folder(Kept) end,
        fun() -> link_each(MnesiaDir, Kept, [Name || {Name, _} <- Entries]) end,
        fun() -> easy_cluster_files:sync_folder(Kept) end
    ]),
    case Linked of
        ok ->
            ok;
        {error, _} = Error ->
            _ = easy_cluster_files:delete_folder(Kept),
            Error
    end.

link_each(From, To, Names) ->
    easy_cluster_files:each(
        fun(Name) -> easy_cluster_files:link(filename:join(From, Name), filename:join(To, Name)) end,
        Names
    ).

write_manifest(Kept, Id, Entries) ->
    Manifest = #{
        id => Id,
        node => node(),
        at => os:system_time(microsecond),
        files => [{Name, Size} || {Name, #file_info{size = Size}} <- Entries]
    },
    Text = unicode:characters_to_binary(io_lib:format("%% coding: utf-8~n~tp.~n", [Manifest])),
    easy_cluster_files:write(filename:join(Kept, ?MANIFEST), Text).

%% Moves every Mnesia file into the kept folder by a rename, the schema first, so that from its first step on there is no
%% database here. Logs with transactions go along, and the whole is what it was. Done again, it moves what is left.
-spec set_aside(file:filename(), id()) -> result().
set_aside(MnesiaDir, Id) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept}) ->
        easy_cluster_files:in_order([
            fun() -> easy_cluster_files:make_folder(Kept) end,
            fun() -> move_aside(mnesia_files(MnesiaDir), MnesiaDir, Kept) end,
            fun() -> described_aside(mnesia_entries(Kept), Kept, Id) end
        ])
    end).

move_aside({error, _} = Error, _MnesiaDir, _Kept) ->
    Error;
move_aside({ok, Names}, MnesiaDir, Kept) ->
    {Schema, Others} = lists:partition(fun(Name) -> Name =:= ?SCHEMA end, Names),
    easy_cluster_files:in_order([
        fun() -> move_each(MnesiaDir, Kept, Schema) end,
        fun() -> easy_cluster_files:sync_folder(Kept) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> move_each(MnesiaDir, Kept, Others) end,
        fun() -> easy_cluster_files:sync_folder(Kept) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end
    ]).

described_aside({ok, Entries}, Kept, Id) -> write_manifest(Kept, Id, Entries);
described_aside({error, _} = Error, _Kept, _Id) -> Error.

%% Copies every Mnesia file into the kept folder, logs with transactions along. The database starts as it is in a moment and
%% writes on into its files, so that a second name would not keep them. Done again, it copies what is missing.
-spec copy_aside(file:filename(), id()) -> result().
copy_aside(MnesiaDir, Id) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept}) ->
        case manifest(Kept) of
            {ok, _AllThere} -> ok;
            missing -> copy_each(mnesia_entries(MnesiaDir), MnesiaDir, Kept, Id);
            {error, _} = Error -> Error
        end
    end).

copy_each({error, _} = Error, _MnesiaDir, _Kept, _Id) ->
    Error;
copy_each({ok, Entries}, MnesiaDir, Kept, Id) ->
    Files = [Entry || {_Name, #file_info{type = regular}} = Entry <- Entries],
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:make_folder(Kept) end,
        fun() -> easy_cluster_files:each(fun({Name, _}) -> copy_to(Name, MnesiaDir, Kept) end, Files) end,
        fun() -> write_manifest(Kept, Id, Files) end
    ]).

copy_to(Name, From, To) ->
    easy_cluster_files:copy(filename:join(From, Name), filename:join(To, Name)).

-spec manifest(file:filename()) -> {ok, manifest()} | missing | easy_cluster_files:failure().
manifest(Kept) ->
    Path = filename:join(Kept, ?MANIFEST),
    case file:consult(Path) of
        {ok, [#{files := Files, at := At, node := Node} = Manifest]} when
            is_list(Files), is_integer(At), is_atom(Node)
        ->
            {ok, Manifest};
        {ok, _Other} ->
            details(Path, bad_manifest);
        {error, enoent} ->
            missing;
        {error, Reason} ->
            details(Path, Reason)
    end.

%% Kept before. Before the commit the directory has to be what it was then; after it there is nothing to compare.
still_kept(MnesiaDir, #{kept := Kept} = Paths, Manifest) ->
    easy_cluster_files:in_order([
        fun() -> all_there(Kept, Manifest) end,
        fun() -> unchanged(phase(MnesiaDir, Paths), MnesiaDir, Kept, Manifest) end
    ]).

all_there(Kept, #{files := Files}) ->
    easy_cluster_files:each(fun({Name, Size}) -> is_there(filename:join(Kept, Name), Size) end, Files).

is_there(Path, Size) ->
    case easy_cluster_files:info(Path) of
        {ok, #file_info{type = regular, size = Size}} -> ok;
        {ok, _Other} -> details(Path, changed_since_kept);
        missing -> details(Path, enoent);
        {error, _} = Error -> Error
    end.

unchanged({ok, uncommitted}, MnesiaDir, Kept, #{files := Files}) ->
    Tables = [Name || {Name, _Size} <- Files, not is_log(Name)],
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:each(fun(Name) -> same_file(MnesiaDir, Kept, Name) end, Tables) end,
        fun() -> not_run_since(MnesiaDir, Kept) end
    ]);
unchanged({ok, _Committed}, _MnesiaDir, _Kept, _Manifest) ->
    ok;
unchanged({error, _} = Error, _MnesiaDir, _Kept, _Manifest) ->
    Error.

same_file(MnesiaDir, Kept, Name) ->
    case same_in_both(MnesiaDir, Kept, Name) of
        {ok, true} -> ok;
        {ok, false} -> details(filename:join(MnesiaDir, Name), changed_since_kept);
        {error, _} = Error -> Error
    end.

not_run_since(MnesiaDir, Kept) ->
    case has_run(MnesiaDir, Kept) of
        {ok, false} -> ok;
        {ok, true} -> details(filename:join(MnesiaDir, ?LATEST_LOG), changed_since_kept);
        {error, _} = Error -> Error
    end.

%% Whether Mnesia has started in the directory since it was kept: each start makes a LATEST.LOG of its own.
has_run(MnesiaDir, Kept) ->
    Log = filename:join(MnesiaDir, ?LATEST_LOG),
    case {easy_cluster_files:identity(Log), same_in_both(MnesiaDir, Kept, ?LATEST_LOG)} of
        {missing, _} -> {ok, false};
        {{ok, _}, {ok, Same}} -> {ok, not Same};
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

same_in_both(MnesiaDir, Kept, Name) ->
    Here = easy_cluster_files:identity(filename:join(MnesiaDir, Name)),
    There = easy_cluster_files:identity(filename:join(Kept, Name)),
    case {Here, There} of
        {{ok, Identity}, {ok, Identity}} -> {ok, true};
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error;
        _ -> {ok, false}
    end.

%% How far the operation came. The schema.DAT alone cannot tell: a Mnesia that ran here after keep may have put a
%% repaired one in its place, so a commit is announced in the kept folder first.
-spec phase(file:filename(), paths()) -> {ok, phase()} | easy_cluster_files:failure().
phase(MnesiaDir, #{kept := Kept, staging := Staging}) ->
    Marks = [there(filename:join(Kept, Mark)) || Mark <- [?GIVEN_UP, ?RESTORED, ?COMMITTING]],
    Here = there(filename:join(MnesiaDir, ?SCHEMA)),
    Staged = there(filename:join(Staging, ?SCHEMA)),
    case {Marks ++ [Here, Staged], same_in_both(MnesiaDir, Kept, ?SCHEMA)} of
        {[true, _, _, _, _], _} -> {ok, given_up};
        {[_, true, _, _, _], _} -> {ok, restored};
        {[_, _, _, false, _], _} -> {ok, lost};
        {_, {ok, true}} -> {ok, uncommitted};
        {[_, _, true, _, false], {ok, false}} -> {ok, committed};
        {_, {ok, false}} -> {ok, uncommitted};
        {_, {error, _} = Error} -> Error
    end.

there(Path) ->
    filelib:is_regular(Path).

%% Whether the directory is that of a member, by the operation Id. Mnesia may run.
-spec is_committed(file:filename(), id()) -> boolean().
is_committed(MnesiaDir, Id) ->
    phase(MnesiaDir, paths(MnesiaDir, Id)) =:= {ok, committed}.

%% Whether a way back has begun to copy kept files and has not ended.
-spec is_restoring(file:filename(), id()) -> boolean().
is_restoring(MnesiaDir, Id) ->
    #{kept := Kept} = paths(MnesiaDir, Id),
    filelib:is_dir(below(MnesiaDir, "restoring", Id)) andalso not there(filename:join(Kept, ?RESTORED)).

%% What tells how far the operation came when its journal does not. Mnesia may run.
-spec marks(file:filename(), id()) -> {ok, marks()} | {error, problem()}.
marks(MnesiaDir, Id) ->
    case easy_cluster_journal:is_id(Id) of
        true -> marks_of(MnesiaDir, Id, paths(MnesiaDir, Id));
        false -> {error, {bad_id, #{path => MnesiaDir, reason => {bad_id, Id}}}}
    end.

marks_of(MnesiaDir, Id, #{kept := Kept} = Paths) ->
    case {manifest(Kept), there(filename:join(Kept, ?GIVEN_UP)), phase(MnesiaDir, Paths)} of
        {_, true, {ok, _}} -> marks(MnesiaDir, Id, Paths, given_up, []);
        {missing, false, {ok, _}} -> marks(MnesiaDir, Id, Paths, not_kept, []);
        {{ok, #{files := Files}}, false, {ok, Phase}} -> marks(MnesiaDir, Id, Paths, Phase, Files);
        {{error, Details}, _, _} -> {error, {directory_error, Details}};
        {_, _, {error, Details}} -> {error, {directory_error, Details}}
    end.

marks(MnesiaDir, Id, #{kept := Kept, staging := Staging}, Phase, Files) ->
    {ok, #{
        phase => Phase,
        staged => has_mnesia_files(Staging) orelse there(filename:join(Staging, ?MEMBERS)),
        restoring => is_restoring(MnesiaDir, Id),
        ready => is_restoring(MnesiaDir, Id) andalso there(filename:join(below(MnesiaDir, "restoring", Id), ?READY)),
        old_files => lists:any(fun({Name, _Size}) -> same_in_both(MnesiaDir, Kept, Name) =:= {ok, true} end, Files)
    }}.

has_mnesia_files(Folder) ->
    case mnesia_entries(Folder) of
        {ok, Entries} -> Entries =/= [];
        {error, _} -> false
    end.

%% The operations of which something is kept, staged, or half brought back.
-spec marked(file:filename()) -> [id()].
marked(MnesiaDir) ->
    Named = [easy_cluster_files:names(filename:join([MnesiaDir, "easy_cluster", Folder])) || Folder <- ["kept", "staging", "restoring"]],
    lists:usort([unicode:characters_to_binary(Name) || {ok, Names} <- Named, Name <- Names, is_kept_name(Name)]).

%% Deletes the directory's logs, as old operations in them would be replayed into the new schema. A log without a
%% second name has not been kept and is not deleted.
-spec delete_logs(file:filename()) -> result().
delete_logs(MnesiaDir) ->
    stopped(MnesiaDir, fun() ->
        case mnesia_entries(MnesiaDir) of
            {ok, Entries} -> delete_kept_logs(MnesiaDir, [Entry || {Name, _} = Entry <- Entries, is_log(Name)]);
            {error, _} = Error -> Error
        end
    end).

delete_kept_logs(MnesiaDir, Logs) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:each(fun(Log) -> is_kept(MnesiaDir, Log) end, Logs) end,
        fun() -> delete_each(MnesiaDir, [Name || {Name, _} <- Logs]) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end
    ]).

is_kept(_MnesiaDir, {_Name, #file_info{type = regular, links = Links}}) when Links > 1 -> ok;
is_kept(MnesiaDir, {Name, _Info}) -> details(filename:join(MnesiaDir, Name), not_kept).

%% LATEST, PREVIOUS and DECISION_TAB, and the DECISION and PDECISION of old releases.
is_log(Name) ->
    is_list(Name) andalso lists:suffix(".LOG", Name).

%% Renames staging's schema.DAT over the directory's.
-spec commit_schema(file:filename(), id()) -> result().
commit_schema(MnesiaDir, Id) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept} = Paths) ->
        case kept_phase(MnesiaDir, Paths) of
            {ok, uncommitted, Manifest} -> commit(MnesiaDir, Paths, Manifest);
            {ok, committed, _Manifest} -> easy_cluster_files:sync_folder(MnesiaDir);
            {ok, Other, _Manifest} -> details(Kept, Other);
            {error, _} = Error -> Error
        end
    end).

kept_phase(MnesiaDir, #{kept := Kept} = Paths) ->
    case {manifest(Kept), phase(MnesiaDir, Paths)} of
        {{ok, Manifest}, {ok, Phase}} -> {ok, Phase, Manifest};
        {missing, {ok, given_up}} -> {ok, given_up, #{files => []}};
        {missing, _} -> details(filename:join(Kept, ?MANIFEST), not_kept);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% Mnesia closes its files without a sync, so what is going to be live is synced before it is.
commit(MnesiaDir, #{kept := Kept, staging := Staging} = Paths, Manifest) ->
    Staged = filename:join(Staging, ?SCHEMA),
    easy_cluster_files:in_order([
        fun() -> still_kept(MnesiaDir, Paths, Manifest) end,
        fun() -> no_logs(MnesiaDir) end,
        fun() -> is_file(Staged) end,
        fun() -> sync_mnesia_files(Staging) end,
        fun() -> easy_cluster_files:write(filename:join(Kept, ?COMMITTING), <<>>) end,
        fun() -> easy_cluster_files:rename(Staged, filename:join(MnesiaDir, ?SCHEMA)) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> easy_cluster_files:sync_folder(Staging) end
    ]).

is_file(Path) ->
    case easy_cluster_files:identity(Path) of
        {ok, _} -> ok;
        missing -> details(Path, enoent);
        {error, _} = Error -> Error
    end.

no_logs(MnesiaDir) ->
    case mnesia_entries(MnesiaDir) of
        {ok, Entries} -> none_of([Name || {Name, _} <- Entries, is_log(Name)], MnesiaDir, log_not_deleted);
        {error, _} = Error -> Error
    end.

none_of([], _Dir, _Reason) -> ok;
none_of([Name | _], Dir, Reason) -> details(filename:join(Dir, Name), Reason).

sync_mnesia_files(Dir) ->
    for_mnesia_files(Dir, fun(Name) -> easy_cluster_files:sync(filename:join(Dir, Name)) end).

for_mnesia_files(Dir, Fun) ->
    case mnesia_entries(Dir) of
        {ok, Entries} -> easy_cluster_files:each(Fun, [Name || {Name, #file_info{type = regular}} <- Entries]);
        {error, _} = Error -> Error
    end.

%% Deletes the old files, known by being the kept ones, and moves the rest of staging in. A file that the
%% directory has in the meantime under the name of one in staging was made by a Mnesia that ran as a member, and stays;
%% the one in staging goes with its folder.
-spec replace_files(file:filename(), id()) -> result().
replace_files(MnesiaDir, Id) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept, staging := Staging} = Paths) ->
        case kept_phase(MnesiaDir, Paths) of
            {ok, committed, Manifest} -> replace(MnesiaDir, Kept, Staging, Manifest);
            {ok, Other, _Manifest} -> details(Kept, Other);
            {error, _} = Error -> Error
        end
    end).

replace(MnesiaDir, Kept, Staging, Manifest) ->
    easy_cluster_files:in_order([
        fun() -> all_there(Kept, Manifest) end,
        fun() -> for_mnesia_files(MnesiaDir, fun(Name) -> delete_old(MnesiaDir, Kept, Name) end) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> move_rest(Staging, MnesiaDir) end
    ]).

delete_old(MnesiaDir, Kept, Name) ->
    case same_in_both(MnesiaDir, Kept, Name) of
        {ok, true} -> easy_cluster_files:delete(filename:join(MnesiaDir, Name));
        {ok, false} -> ok;
        {error, _} = Error -> Error
    end.

move_rest(Staging, MnesiaDir) ->
    case easy_cluster_files:info(Staging) of
        {ok, _} ->
            easy_cluster_files:in_order([
                fun() -> sync_mnesia_files(Staging) end,
                fun() -> for_mnesia_files(Staging, fun(Name) -> move_in(Staging, MnesiaDir, Name) end) end,
                fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
                fun() -> easy_cluster_files:delete_folder(Staging) end
            ]);
        missing ->
            ok;
        {error, _} = Error ->
            Error
    end.

move_in(From, To, Name) ->
    Target = filename:join(To, Name),
    case easy_cluster_files:info(Target) of
        missing -> easy_cluster_files:rename(filename:join(From, Name), Target);
        {ok, _Newer} -> ok;
        {error, _} = Error -> Error
    end.

%% Makes the directory's Mnesia files exactly the kept ones. After the commit: copies all of them aside first, which
%% takes their time and their room on the disc and can fail without harm; then exchanges the files by renames, the
%% schema.DAT after the tables and before the logs. What Mnesia wrote as a member goes. Done once, it stays done:
%% a later call does not touch what the restored node has written since.
-spec restore(file:filename(), id()) -> result().
restore(MnesiaDir, Id) ->
    stopped(MnesiaDir, Id, fun(#{kept := Kept} = Paths) ->
        Copies = below(MnesiaDir, "restoring", Id),
        case kept_phase(MnesiaDir, Paths) of
            {ok, uncommitted, Manifest} -> put_logs_back(MnesiaDir, Kept, Manifest);
            {ok, committed, Manifest} -> bring_back(MnesiaDir, Kept, Copies, Manifest);
            {ok, lost, Manifest} -> bring_back(MnesiaDir, Kept, Copies, Manifest);
            {ok, restored, _Manifest} -> easy_cluster_files:delete_folder(Copies);
            {ok, given_up, Manifest} -> delete_links(Kept, Manifest);
            {error, _} = Error -> Error
        end
    end).

%% Before the commit. If Mnesia has run here since, it went on from the tables, and the old logs are old.
put_logs_back(MnesiaDir, Kept, #{files := Files} = Manifest) ->
    case has_run(MnesiaDir, Kept) of
        {ok, true} ->
            give_up_links(Kept, Manifest);
        {ok, false} ->
            Logs = logs_last_latest([Name || {Name, _Size} <- Files, is_log(Name)]),
            easy_cluster_files:in_order([
                fun() -> easy_cluster_files:each(fun(Log) -> link_back(MnesiaDir, Kept, Log) end, Logs) end,
                fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
                fun() -> give_up_links(Kept, Manifest) end
            ]);
        {error, _} = Error ->
            Error
    end.

link_back(MnesiaDir, Kept, Log) ->
    case easy_cluster_files:info(filename:join(MnesiaDir, Log)) of
        missing -> link_each(Kept, MnesiaDir, [Log]);
        {ok, _} -> ok;
        {error, _} = Error -> Error
    end.

%% LATEST.LOG is what a Mnesia that has run is known by, so it comes after the others.
logs_last_latest(Logs) ->
    {Latest, Others} = lists:partition(fun(Log) -> Log =:= ?LATEST_LOG end, Logs),
    Others ++ Latest.

%% The directory never stopped being the database; links to files that it is going to write keep nothing.
give_up_links(Kept, Manifest) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:write(filename:join(Kept, ?GIVEN_UP), <<>>) end,
        fun() -> delete_links(Kept, Manifest) end
    ]).

delete_links(Kept, #{files := Files}) ->
    easy_cluster_files:in_order([
        fun() -> delete_each(Kept, [?MANIFEST | [Name || {Name, _Size} <- Files]]) end,
        fun() -> easy_cluster_files:sync_folder(Kept) end
    ]).

%% After the commit. Once the copies are ready, the one of schema.DAT is gone exactly when it has become the
%% directory's.
bring_back(MnesiaDir, Kept, Copies, #{files := Files}) ->
    Names = [Name || {Name, _Size} <- Files],
    Ready = easy_cluster_files:identity(filename:join(Copies, ?READY)),
    Schema = easy_cluster_files:identity(filename:join(Copies, ?SCHEMA)),
    case {Ready, Schema} of
        {{ok, _}, missing} ->
            finish_bringing(MnesiaDir, Kept, Copies, Names);
        {{error, _} = Error, _} ->
            Error;
        {_, {error, _} = Error} ->
            Error;
        {{ok, _}, {ok, _}} ->
            exchange(MnesiaDir, Kept, Copies, Names, Files);
        {missing, _} ->
            easy_cluster_files:in_order([
                fun() -> easy_cluster_files:delete_folder(Copies) end,
                fun() -> exchange(MnesiaDir, Kept, Copies, Names, Files) end
            ])
    end.

%% An exchange that was interrupted has moved some copies into the directory, where a member may have written to
%% them; they are made again.
exchange(MnesiaDir, Kept, Copies, Names, Files) ->
    {Logs, Tables} = lists:partition(fun is_log/1, Names),
    easy_cluster_files:in_order([
        fun() -> all_there(Kept, #{files => Files}) end,
        fun() -> easy_cluster_files:make_folder(Copies) end,
        fun() -> easy_cluster_files:each(fun(Name) -> copy_missing(Kept, Copies, Name) end, Names) end,
        fun() -> easy_cluster_files:write(filename:join(Copies, ?READY), <<>>) end,
        fun() -> for_mnesia_files(MnesiaDir, fun(Name) -> delete_but_schema(MnesiaDir, Name) end) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> move_each(Copies, MnesiaDir, Tables -- [?SCHEMA]) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> move_each(Copies, MnesiaDir, [?SCHEMA]) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> finish_bringing(MnesiaDir, Kept, Copies, Logs) end
    ]).

copy_missing(Kept, Copies, Name) ->
    To = filename:join(Copies, Name),
    case easy_cluster_files:info(To) of
        missing -> easy_cluster_files:copy(filename:join(Kept, Name), To);
        {ok, _} -> ok;
        {error, _} = Error -> Error
    end.

delete_but_schema(_MnesiaDir, ?SCHEMA) -> ok;
delete_but_schema(MnesiaDir, Name) -> easy_cluster_files:delete(filename:join(MnesiaDir, Name)).

move_each(From, To, Names) ->
    easy_cluster_files:each(
        fun(Name) -> easy_cluster_files:rename(filename:join(From, Name), filename:join(To, Name)) end,
        Names
    ).

%% If Mnesia has started in between, as the old node, its logs are the right ones.
finish_bringing(MnesiaDir, Kept, Copies, Names) ->
    Logs = logs_last_latest([Name || Name <- Names, is_log(Name)]),
    easy_cluster_files:in_order([
        fun() -> move_logs(easy_cluster_files:info(filename:join(MnesiaDir, ?LATEST_LOG)), MnesiaDir, Copies, Logs) end,
        fun() -> easy_cluster_files:sync_folder(MnesiaDir) end,
        fun() -> easy_cluster_files:write(filename:join(Kept, ?RESTORED), <<>>) end,
        fun() -> easy_cluster_files:delete_folder(Copies) end
    ]).

move_logs(missing, MnesiaDir, Copies, Logs) ->
    easy_cluster_files:each(fun(Log) -> move_if_there(Copies, MnesiaDir, Log) end, Logs);
move_logs({ok, _}, _MnesiaDir, _Copies, _Logs) ->
    ok;
move_logs({error, _} = Error, _MnesiaDir, _Copies, _Logs) ->
    Error.

move_if_there(From, To, Name) ->
    case easy_cluster_files:info(filename:join(From, Name)) of
        {ok, _} -> move_each(From, To, [Name]);
        missing -> ok;
        {error, _} = Error -> Error
    end.

%% Beside the staging database, who is about to list this node: as long as its schema is in memory only, nothing but the
%% journal would tell, and that may become unreadable.
-spec note_members(file:filename(), id(), [node()]) -> result().
note_members(MnesiaDir, Id, Members) ->
    with_id(MnesiaDir, Id, fun(#{staging := Staging}) ->
        easy_cluster_files:in_order([
            fun() -> easy_cluster_files:make_folder(Staging) end,
            fun() -> easy_cluster_files:write(filename:join(Staging, ?MEMBERS),
                                              [easy_cluster_frame:header(?MEMBERS_KIND), easy_cluster_frame:record(Members)]) end
        ])
    end).

%% None where it is not there or damaged.
-spec noted_members(file:filename(), id()) -> [node()].
noted_members(MnesiaDir, Id) ->
    #{staging := Staging} = paths(MnesiaDir, Id),
    case file:read_file(filename:join(Staging, ?MEMBERS)) of
        {ok, Bytes} -> members_in(easy_cluster_frame:check_header(?MEMBERS_KIND, Bytes));
        {error, _NotThere} -> []
    end.

members_in({ok, Record}) ->
    case easy_cluster_frame:next(Record) of
        {ok, Members, <<>>} when is_list(Members) -> [Node || Node <- Members, is_atom(Node)];
        _Damaged -> []
    end;
members_in(_NoHeader) ->
    [].

-spec drop_staging(file:filename(), id()) -> result().
drop_staging(MnesiaDir, Id) ->
    with_id(MnesiaDir, Id, fun(#{staging := Staging}) ->
        case not_open(Staging) of
            ok -> easy_cluster_files:delete_folder(Staging);
            {error, _} = Error -> Error
        end
    end).

%% Deletes a backup that was made for a moment only; the folder inside is that of its tables. Mnesia may run.
-spec drop_backup(file:filename(), id()) -> result().
drop_backup(MnesiaDir, Id) ->
    with_id(MnesiaDir, Id, fun(#{backup := Backup}) ->
        easy_cluster_files:in_order([
            fun() -> easy_cluster_files:delete(filename:join(Backup, ?MANIFEST)) end,
            fun() -> easy_cluster_files:delete_folder(filename:join(Backup, "tables")) end,
            fun() -> easy_cluster_files:delete_folder(Backup) end
        ])
    end).

%% Deletes archives that a kill has left half written; those that are whole stay. Mnesia may run.
-spec drop_half_archives(file:filename(), id()) -> result().
drop_half_archives(MnesiaDir, Id) ->
    with_id(MnesiaDir, Id, fun(#{archive := Archive}) ->
        case easy_cluster_files:names(Archive) of
            {ok, Names} ->
                Half = [Name || Name <- Names, filename:extension(Name) =:= ".new"],
                easy_cluster_files:each(fun(Name) -> easy_cluster_files:delete(filename:join(Archive, Name)) end, Half);
            {error, #{reason := enoent}} -> ok;
            {error, _} = Error -> Error
        end
    end).

%% A Mnesia that runs elsewhere does not mind.
not_open(Folder) ->
    case {mnesia:system_info(is_running), mnesia:system_info(directory)} of
        {no, _} -> ok;
        {State, Folder} -> {error, {mnesia_running, #{path => Folder, reason => State}}};
        {_State, _Elsewhere} -> ok
    end.

%% Gives the kept database up. Refused while a restore from it has begun and not ended. Mnesia may run.
-spec drop_kept(file:filename(), id()) -> result().
drop_kept(MnesiaDir, Id) ->
    with_id(MnesiaDir, Id, fun(#{kept := Kept}) ->
        Copies = below(MnesiaDir, "restoring", Id),
        case {easy_cluster_files:info(Copies), easy_cluster_files:info(filename:join(Kept, ?RESTORED))} of
            {{ok, _}, missing} -> details(Copies, restore_under_way);
            {{error, _} = Error, _} -> Error;
            _ -> drop(Kept, Copies)
        end
    end).

%% The manifest goes first, so that a folder that has lost a file never looks whole.
drop(Kept, Copies) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Copies) end,
        fun() -> easy_cluster_files:delete(filename:join(Kept, ?MANIFEST)) end,
        fun() -> easy_cluster_files:delete_folder(Kept) end
    ]).

%% Gives archived rows up. Mnesia may run.
-spec drop_archive(file:filename(), id()) -> result().
drop_archive(MnesiaDir, Id) ->
    with_id(MnesiaDir, Id, fun(#{archive := Archive}) -> easy_cluster_files:delete_folder(Archive) end).

%% Copies what is kept into a folder, as a database that is ready to be started: keep/2 has seen that nothing is in the logs, which
%% stay behind. Mnesia may run.
-spec copy_kept(file:filename(), id(), file:filename()) -> result().
copy_kept(MnesiaDir, Id, Folder) ->
    with_id(MnesiaDir, Id, fun(#{kept := Kept}) ->
        case manifest(Kept) of
            {ok, Manifest} -> copy_all(Kept, Folder, Manifest);
            missing -> details(filename:join(Kept, ?MANIFEST), not_kept);
            {error, _} = Error -> Error
        end
    end).

copy_all(Kept, Folder, #{files := Files} = Manifest) ->
    Names = [Name || {Name, _Size} <- Files, not is_log(Name)],
    Copied = #{files => [File || {Name, _} = File <- Files, not is_log(Name)]},
    easy_cluster_files:in_order([
        fun() -> all_there(Kept, Manifest) end,
        fun() -> easy_cluster_files:each(fun(Name) -> copy_missing(Kept, Folder, Name) end, Names) end,
        fun() -> all_there(Folder, Copied) end
    ]).

%% Whether what an operation has kept is all there, and this node's.
-spec state_of_kept(file:filename(), id()) -> {whole, #{bytes := non_neg_integer()}} | missing
                                            | {damaged, easy_cluster_files:details()}.
state_of_kept(MnesiaDir, Id) ->
    #{kept := Kept} = paths(MnesiaDir, Id),
    case {manifest(Kept), there(filename:join(Kept, ?GIVEN_UP))} of
        {missing, _} -> missing;
        {_, true} -> missing;
        {{ok, #{node := Node, files := Files} = Manifest}, false} when Node =:= node() ->
            whole(all_there(Kept, Manifest), lists:sum([Size || {_Name, Size} <- Files]));
        {{ok, #{node := Other}}, false} -> {damaged, #{path => Kept, reason => {database_of, Other}}};
        {{error, Details}, false} -> {damaged, Details}
    end.

whole(ok, Bytes) -> {whole, #{bytes => Bytes}};
whole({error, Details}, _Bytes) -> {damaged, Details}.

%% The databases that are kept, oldest first.
-spec kept(file:filename()) -> [kept()] | {error, problem()}.
kept(MnesiaDir) ->
    case easy_cluster_files:names(filename:join([MnesiaDir, "easy_cluster", "kept"])) of
        {ok, Names} -> list_kept(MnesiaDir, [list_to_binary(Name) || Name <- Names, is_kept_name(Name)], []);
        {error, #{reason := enoent}} -> [];
        {error, Details} -> {error, {directory_error, Details}}
    end.

is_kept_name(Name) ->
    is_list(Name) andalso easy_cluster_journal:is_id(unicode:characters_to_binary(Name)).

list_kept(_MnesiaDir, [], Found) ->
    lists:sort(fun(#{at := A}, #{at := B}) -> A =< B end, Found);
list_kept(MnesiaDir, [Id | Ids], Found) ->
    #{kept := Kept} = paths(MnesiaDir, Id),
    case {manifest(Kept), there(filename:join(Kept, ?GIVEN_UP))} of
        {{ok, Manifest}, false} -> list_kept(MnesiaDir, Ids, [described(MnesiaDir, Kept, Id, Manifest) | Found]);
        {{error, Details}, _} -> {error, {directory_error, Details}};
        {_, _} -> list_kept(MnesiaDir, Ids, Found)
    end.

%% The archives of rows, oldest first by their names.
-spec archives(file:filename()) -> [#{id := id(), files := non_neg_integer(), bytes := non_neg_integer()}] | {error, problem()}.
archives(MnesiaDir) ->
    case easy_cluster_files:names(filename:join([MnesiaDir, "easy_cluster", "archive"])) of
        {ok, Names} -> list_archives(MnesiaDir, lists:sort([list_to_binary(Name) || Name <- Names, is_kept_name(Name)]), []);
        {error, #{reason := enoent}} -> [];
        {error, Details} -> {error, {directory_error, Details}}
    end.

list_archives(_MnesiaDir, [], Found) ->
    lists:reverse(Found);
list_archives(MnesiaDir, [Id | Ids], Found) ->
    #{archive := Archive} = paths(MnesiaDir, Id),
    case easy_cluster_files:names(Archive) of
        {ok, Names} ->
            Sizes = [Size || Name <- Names, {ok, #file_info{size = Size, type = regular}}
                                 <- [easy_cluster_files:info(filename:join(Archive, Name))]],
            list_archives(MnesiaDir, Ids, [#{id => Id, files => length(Sizes), bytes => lists:sum(Sizes)} || Sizes =/= []] ++ Found);
        {error, #{reason := enoent}} -> list_archives(MnesiaDir, Ids, Found);
        {error, Details} -> {error, {directory_error, Details}}
    end.

described(MnesiaDir, Kept, Id, #{files := Files, at := At, node := Node}) ->
    Shared = lists:any(fun({Name, _Size}) -> same_in_both(MnesiaDir, Kept, Name) =:= {ok, true} end, Files),
    Bytes = lists:sum([Size || {_Name, Size} <- Files]),
    #{id => Id, files => length(Files), bytes => Bytes, at => At, node => Node, shared => Shared}.

%% What a user without privileges may still write on the file system of Dir, by POSIX `df -Pk'.
-spec free_bytes(file:filename()) -> {ok, non_neg_integer()} | {error, problem()}.
free_bytes(Dir) ->
    case os:find_executable("df") of
        false -> {error, {directory_error, #{path => Dir, reason => {no_program, "df"}}}};
        Df -> run_df(Df, Dir)
    end.

%% In a process of its own, as a port sends to its owner also after it was given up.
run_df(Df, Dir) ->
    Asker = self(),
    Answer = make_ref(),
    {Pid, Monitor} = spawn_monitor(fun() -> Asker ! {Answer, df(Df, Dir)} end),
    receive
        {Answer, Result} ->
            erlang:demonitor(Monitor, [flush]),
            free(Result, Dir);
        {'DOWN', Monitor, process, Pid, Reason} ->
            free({error, Reason}, Dir)
    end.

free({ok, Bytes}, _Dir) -> {ok, Bytes};
free({error, Reason}, Dir) -> {error, {directory_error, #{path => Dir, reason => Reason}}}.

df(Df, Dir) ->
    Options = [{args, ["-Pk", "--", Dir]}, {env, [{"LC_ALL", "C"}]}, exit_status, binary, stderr_to_stdout, hide],
    Port = open_port({spawn_executable, Df}, Options),
    df_output(Port, erlang:monotonic_time(millisecond) + ?DF_TIMEOUT, <<>>).

df_output(Port, Deadline, Output) ->
    receive
        {Port, {data, Data}} -> df_output(Port, Deadline, <<Output/binary, Data/binary>>);
        {Port, {exit_status, 0}} -> parse_df(Output);
        {Port, {exit_status, _}} -> {error, string:trim(Output)}
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
        {error, timeout}
    end.

%% Device and mount point may contain spaces, so the numbers are found by the share that follows them.
parse_df(Output) ->
    case re:run(Output, "\\n.*\\s\\d+\\s+\\d+\\s+(-?\\d+)\\s+(?:\\d+%|-)\\s", [{capture, [1], list}]) of
        {match, [Kilobytes]} -> {ok, max(0, list_to_integer(Kilobytes)) * 1024};
        nomatch -> {error, {unreadable_output, Output}}
    end.

%% What would stop keep/2 and what comes after it. Mnesia may run. Nothing is left behind: folders that are not there
%% are not made, as an operation may need them the next moment, but the one above them is tried.
-spec obstacles(file:filename()) -> [obstacle()].
obstacles(MnesiaDir) ->
    case mnesia_entries(MnesiaDir) of
        {ok, Entries} -> lists:append([odd(MnesiaDir, Entry) || Entry <- Entries]) ++ folder_obstacles(MnesiaDir);
        {error, #{reason := enoent}} -> [];
        {error, Details} -> [{not_usable, Details}]
    end.

%% The kernel gives a second name to what one owns or may read and write.
odd(MnesiaDir, {Name, #file_info{type = regular, access = Access}}) ->
    [{not_usable, #{path => filename:join(MnesiaDir, Name), reason => eacces}} || Access =/= read_write];
odd(MnesiaDir, {Name, #file_info{type = Kind}}) ->
    [{not_a_plain_file, #{path => filename:join(MnesiaDir, Name), kind => Kind}}].

%% Files are written in all of these, and have second names in the first or are renamed from and to the others. The
%% Mnesia directory itself has writable/1.
folder_obstacles(MnesiaDir) ->
    Linked = [existing(filename:join([MnesiaDir, "easy_cluster", Name])) || Name <- ["kept", "staging", "restoring"]],
    Written = [existing(filename:join([MnesiaDir, "easy_cluster", "archive"])),
               existing(filename:join([MnesiaDir, "easy_cluster", "backup"])),
               existing(easy_cluster_journal:folder(MnesiaDir))],
    Unusable = [{not_usable, Details} || {error, Details} <- lists:usort(Linked ++ Written)],
    Folders = lists:delete(MnesiaDir, lists:usort([Folder || {ok, Folder} <- Linked ++ Written])),
    Unwritable = [{Folder, Reason} || Folder <- Folders, {error, {_, #{reason := Reason}}} <- [writable(Folder)]],
    Links = lists:usort([Folder || {ok, Folder} <- Linked, not lists:keymember(Folder, 1, Unwritable)]),
    Unusable ++ [{not_usable, #{path => Folder, reason => Reason}} || {Folder, Reason} <- Unwritable]
        ++ no_links(MnesiaDir, Links).

%% The folder, or the first one above it that is there.
existing(Path) ->
    case {easy_cluster_files:info(Path), file:read_file_info(Path, [raw])} of
        {missing, _} -> existing(filename:dirname(Path));
        {{error, #{reason := enotdir}}, _} -> existing(filename:dirname(Path));
        {{ok, _}, {ok, #file_info{type = directory}}} -> {ok, Path};
        {{ok, _}, {ok, _Other}} -> details(Path, enotdir);
        {{ok, _}, {error, Reason}} -> details(Path, Reason);
        {{error, _} = Error, _} -> Error
    end.

no_links(MnesiaDir, Folders) ->
    Probe = probe_file(MnesiaDir),
    case file:write_file(Probe, <<>>, [raw, exclusive]) of
        ok ->
            Refused = [{no_hard_links, #{path => Folder, reason => Reason}}
                       || Folder <- Folders, {error, #{reason := Reason}} <- [linked(Probe, probe_file(Folder))]],
            _ = easy_cluster_files:delete(Probe),
            Refused;
        {error, _NotWritable} ->
            []
    end.

linked(From, To) ->
    Result = easy_cluster_files:link(From, To),
    _ = easy_cluster_files:delete(To),
    Result.

probe_file(Dir) ->
    Name = ?PROBE ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive])),
    filename:join(Dir, Name).

%% Deletes what a kill in the middle of such a try has left. Others may be in the middle of theirs: the name says whose it is.
-spec drop_probes(file:filename()) -> ok.
drop_probes(MnesiaDir) ->
    Own = filename:join(MnesiaDir, "easy_cluster"),
    Folders = [MnesiaDir, Own | [filename:join(Own, Name) || {ok, Names} <- [easy_cluster_files:names(Own)], Name <- Names]],
    Left = [filename:join(Folder, Name) || Folder <- Folders, {ok, Names} <- [easy_cluster_files:names(Folder)], Name <- Names,
                                           is_left_probe(Name)],
    lists:foreach(fun(Path) -> _ = easy_cluster_files:delete(Path) end, Left).

is_left_probe(?PROBE ++ Rest) ->
    [Pid | _] = string:split(Rest, "-"),
    Pid =:= os:getpid() orelse not filelib:is_dir(filename:join("/proc", Pid));
is_left_probe(_Other) ->
    false.

%% Whether files can be made, written and deleted in Dir; tried with one that is not Mnesia's.
-spec writable(file:filename()) -> result().
writable(Dir) ->
    Path = probe_file(Dir),
    Written = written(file:open(Path, [write, raw, binary, exclusive]), Path),
    in_code(easy_cluster_files:in_order([fun() -> Written end, fun() -> easy_cluster_files:delete(Path) end])).

written({ok, File}, Path) ->
    Result = easy_cluster_files:in_order([
        fun() -> file:write(File, <<"writable">>) end,
        fun() -> file:sync(File) end,
        fun() -> file:close(File) end
    ]),
    tried(Result, File, Path);
written({error, Reason}, Path) ->
    details(Path, Reason).

tried(ok, _File, _Path) ->
    ok;
tried({error, Reason}, File, Path) ->
    _ = file:close(File),
    _ = easy_cluster_files:delete(Path),
    details(Path, Reason).

delete_each(Dir, Names) ->
    easy_cluster_files:each(fun(Name) -> easy_cluster_files:delete(filename:join(Dir, Name)) end, Names).

%% A running Mnesia holds its files open and would write old contents over new.
stopped(MnesiaDir, Id, Fun) ->
    with_id(MnesiaDir, Id, fun(Paths) -> if_stopped(MnesiaDir, fun() -> Fun(Paths) end) end).

stopped(MnesiaDir, Fun) ->
    in_code(if_stopped(MnesiaDir, Fun)).

if_stopped(MnesiaDir, Fun) ->
    case mnesia:system_info(is_running) of
        no -> Fun();
        State -> {error, {mnesia_running, #{path => MnesiaDir, reason => State}}}
    end.

with_id(MnesiaDir, Id, Fun) ->
    case easy_cluster_journal:is_id(Id) of
        true -> in_code(Fun(paths(MnesiaDir, Id)));
        false -> {error, {bad_id, #{path => MnesiaDir, reason => {bad_id, Id}}}}
    end.

in_code(ok) -> ok;
in_code({error, #{path := _} = Details}) -> {error, {directory_error, Details}};
in_code({error, {_Code, _Details}} = Error) -> Error.

coded(Code, Dir, Name, Reason) ->
    {error, {Code, #{path => filename:join(Dir, Name), reason => Reason}}}.

failed(Dir, Name, Reason) ->
    coded(directory_error, Dir, Name, Reason).

details(Path, Reason) ->
    {error, #{path => Path, reason => Reason}}.
