%% Gives the database of a stopped node to another name, as for a container whose host is called otherwise than before. ejabberd
%% refuses such a database: "the mnesia database is owned by".
%%
%% In a terminal, as the user that ejabberd runs as:
%%
%%     $ easy-cluster rename ejabberd@old.host ejabberd@new.host /var/lib/ejabberd
%%
%% The old database is kept, and the way to the new one is that of a join: staging, kept, one rename of schema.DAT. All of
%% it is done in a VM that has the old name and reaches nobody.
-module(easy_cluster_rename).

-include_lib("kernel/include/file.hrl").

%% Here
-export([plan/4, commit/2]).
-export([main/1]).
%% In the VM of the old name
-export([carry_out/2, end_interrupted/1, build/5]).
%% In the VM of the new name
-export([prove/2]).

-define(SCHEMA, "schema.DAT").
-define(LOG, "LATEST.LOG").
-define(COPIES, [ram_copies, disc_copies, disc_only_copies]).
-define(START, 10000).
%% A slow disc.
-define(BYTES_PER_MILLISECOND, 1000).

%% What would be done, or what forbids it. Changes nothing.
-spec plan(term(), term(), file:filename(), map()) -> {ok, easy_cluster_planner:plan()} | easy_cluster_planner:error().
plan(From, To, Directory, Opts) ->
    case {easy_cluster_planner:options(Opts), database(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Details}} -> {error, {directory_error, Details}};
        {{ok, Options}, {ok, Database}} ->
            Wish = Database#{from => easy_cluster_planner:text(From), to => easy_cluster_planner:text(To), options => Options,
                             directory => unicode:characters_to_binary(Directory), at => easy_cluster_planner:timestamp(Directory)},
            easy_cluster_native:call(rename, Wish)
    end.

%% What the directory says of its database.
database(Directory) ->
    Copy = filename:join(Directory, ".easy_cluster-" ++ os:getpid() ++ "-schema"),
    Result = case easy_cluster_files:copy(filename:join(Directory, ?SCHEMA), Copy) of
                 ok -> facts(Directory, Copy, schema(Copy));
                 {error, _} = Error -> Error
             end,
    _ = easy_cluster_files:delete(Copy),
    Result.

%% A copy may be mended where it is; a node that was killed leaves a file that has to be.
schema(File) ->
    Name = make_ref(),
    case dets:open_file(Name, [{file, File}, {keypos, 2}]) of
        {ok, Name} ->
            Objects = dets:match_object(Name, '_'),
            ok = dets:close(Name),
            {ok, Objects};
        {error, Reason} ->
            {error, #{path => File, reason => Reason}}
    end.

facts(Directory, Copy, {ok, Objects}) when is_list(Objects) ->
    Files = case easy_cluster_directory:mnesia_files(Directory) of
                {ok, Names} -> Names;
                {error, _Unreadable} -> []
            end,
    Sizes = [filelib:file_size(filename:join(Directory, Name)) || Name <- Files],
    {ok, #file_info{uid = Owner}} = file:read_file_info(Directory, [raw, {time, posix}]),
    {ok, #file_info{uid = RunsAs}} = file:read_file_info(Copy, [raw, {time, posix}]),
    Definitions = [Definition || {schema, schema, Definition} <- Objects],
    {ok, #{members => lists:usort([Node || Definition <- Definitions, {Kind, Nodes} <- Definition,
                                           lists:member(Kind, ?COPIES), Node <- Nodes]),
           tables => length(Objects) - length(Definitions), bytes => lists:sum(Sizes), free => free(Directory),
           owner => Owner, runs_as => RunsAs, user => user(Directory),
           fallback => lists:member("FALLBACK.BUP", Files), unfinished => easy_cluster_history:unfinished(Directory),
           obstacles => easy_cluster_gather:obstacles(Directory)}};
facts(_Directory, Copy, {ok, Reason}) ->
    {error, #{path => Copy, reason => Reason}};
facts(_Directory, _Copy, {error, Details}) ->
    {error, Details}.

free(Directory) ->
    case easy_cluster_directory:free_bytes(Directory) of
        {ok, Bytes} -> Bytes;
        {error, _Unknown} -> undefined
    end.

%% The process that has Mnesia's log open, if any can be seen in /proc.
user(Directory) ->
    Log = filename:absname(filename:join(Directory, ?LOG)),
    Links = filelib:wildcard("/proc/[0-9]*/fd/*"),
    Open = [Link || Link <- Links, file:read_link(Link) =:= {ok, Log}],
    case Open of
        [Link | _] -> list_to_integer(lists:nth(3, filename:split(Link)));
        [] -> undefined
    end.

%% Carries a plan out. Its end, and what is kept, are in the journal beside the database.
-spec commit(easy_cluster_planner:plan(), file:filename()) -> {ok, map()} | easy_cluster_planner:error().
commit(#{id := Id, node := From} = Plan, Directory) ->
    case easy_cluster_vm:call(From, ?MODULE, carry_out, [Plan, filename:absname(Directory)], infinity) of
        {ok, Result} -> Result;
        {error, Reason} -> {error, {operation_died, #{id => Id, reason => print(Reason)}}}
    end.

print(Reason) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Reason, 30])).

-spec carry_out(easy_cluster_planner:plan(), file:filename()) -> {ok, map()} | easy_cluster_planner:error().
carry_out(Plan, Directory) ->
    ok = application:set_env(mnesia, dir, Directory),
    easy_cluster_executor:commit_offline(Plan, Directory, fun(_Event) -> ok end).

%% Brings a rename that was interrupted to its end or back, as the next start of ejabberd would.
-spec end_interrupted(file:filename()) -> term().
end_interrupted(Directory) ->
    ok = application:set_env(mnesia, dir, Directory),
    easy_cluster_executor:recover_offline(Directory).

%% Makes the renamed database beside the one that is there. This VM has the old name: it can bring into the tables what a
%% node that was killed has left in its log.
-spec build(file:filename(), node(), node(), file:filename(), pos_integer()) -> ok | {error, term()}.
build(Directory, From, To, Folder, Timeout) when From =:= node() ->
    easy_cluster_files:in_order([
        fun() -> started_in(Directory, Timeout) end,
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        fun() -> copied(easy_cluster_directory:mnesia_files(Directory), Directory, Folder) end,
        fun() -> renamed(filename:join(Folder, ?SCHEMA), From, To) end,
        fun() -> proven(easy_cluster_vm:call(To, ?MODULE, prove, [Folder, Timeout], 2 * allowed(Directory, Timeout))) end
    ]).

allowed(Directory, Timeout) ->
    {ok, Files} = easy_cluster_directory:mnesia_files(Directory),
    Bytes = lists:sum([filelib:file_size(filename:join(Directory, Name)) || Name <- Files]),
    Timeout + ?START + Bytes div ?BYTES_PER_MILLISECOND.

started_in(Directory, Timeout) ->
    ok = application:set_env(mnesia, dir, Directory),
    Allowed = allowed(Directory, Timeout),
    easy_cluster_files:in_order([
        fun() -> application:start(mnesia) end,
        fun() -> loaded(mnesia:wait_for_tables(mnesia:system_info(local_tables), Allowed)) end,
        fun() -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes)) end,
        fun dump/0,
        fun easy_cluster_mnesia:stop/0
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {not_loaded, Names}};
loaded({error, _} = Error) -> Error.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.

dump() ->
    dumped = mnesia:dump_log(),
    ok.

%% Logs have nothing in them that the tables lack, and name the old node.
copied({ok, Names}, Directory, Folder) ->
    Copy = fun(Name) -> easy_cluster_files:copy(filename:join(Directory, Name), filename:join(Folder, Name)) end,
    easy_cluster_files:each(Copy, [Name || Name <- Names, filename:extension(Name) =/= ".LOG"]);
copied({error, _} = Error, _Directory, _Folder) ->
    Error.

renamed(File, From, To) ->
    Name = make_ref(),
    case dets:open_file(Name, [{file, File}, {keypos, 2}, {repair, false}]) of
        {ok, Name} ->
            Objects = dets:match_object(Name, '_'),
            Renamed = [{schema, Table, [renamed_in(Item, From, To) || Item <- Definition]}
                       || {schema, Table, Definition} <- Objects],
            easy_cluster_files:in_order([
                fun() -> dets:insert(Name, Renamed) end,
                fun() -> dets:close(Name) end,
                fun() -> easy_cluster_files:sync(File) end
            ]);
        {error, _} = Error ->
            Error
    end.

renamed_in({frag_properties, Properties}, From, To) ->
    {frag_properties, [renamed_in(Property, From, To) || Property <- Properties]};
renamed_in({Kind, Nodes}, From, To) when is_list(Nodes) ->
    case lists:member(Kind, [node_pool | ?COPIES]) of
        true -> {Kind, [renamed_node(Node, From, To) || Node <- Nodes]};
        false -> {Kind, Nodes}
    end;
renamed_in(Other, _From, _To) -> Other.

renamed_node(From, From, To) -> To;
renamed_node(Other, _From, _To) -> Other.

proven({ok, Result}) -> Result;
proven({error, Reason}) -> {error, {other_vm, Reason}}.

%% Whether Mnesia starts on it under the new name, alone, and loads every table.
-spec prove(file:filename(), pos_integer()) -> ok | {error, term()}.
prove(Folder, Timeout) ->
    started_in(Folder, Timeout).

%%% In a terminal

%% From, To, Directory and whether it is a dry run, as `erl -run' hands them over.
-spec main([string()]) -> no_return().
main([From, To, Directory, Kind]) ->
    ok = io:setopts([{encoding, unicode}]),
    Path = filename:absname(Directory),
    DryRun = Kind =:= "dry_run",
    ok = ended(DryRun, easy_cluster_history:unfinished(Path), Path),
    halt(status(rename(From, To, Path, #{dry_run => DryRun}))).

%% Only what a rename has left: the rest is for the start of ejabberd.
ended(false, Id, Directory) when is_binary(Id) ->
    case binary:longest_common_suffix([Id, <<"-rename">>]) of
        7 ->
            _ = easy_cluster_vm:call(nonode@nohost, ?MODULE, end_interrupted, [Directory], infinity),
            ok;
        _Another -> ok
    end;
ended(_DryRun, _Unfinished, _Directory) ->
    ok.

rename(From, To, Directory, Opts) ->
    easy_cluster:rename(From, To, Directory, Opts).

status(ok) -> 0;
status({ok, _Plan}) -> 0;
status({error, _Reason}) -> 1.
