%% Gives the database of a stopped node to another name, as for a container whose host is called otherwise than before. ejabberd
%% refuses such a database: "the mnesia database is owned by".
%%
%% The old database is kept, and the way to the new one is that of a join: staging, kept, one rename of schema.DAT. All of
%% it is done in a VM that has the old name and reaches nobody.
-module(easy_cluster_rename).

-include_lib("kernel/include/file.hrl").

%% Here
-export([plan/4, commit/2]).
%% In the VM of the old name
-export([carry_out/2, end_interrupted/1]).

-define(SCHEMA, "schema.DAT").
-define(LOG, "LATEST.LOG").
-define(COPIES, [ram_copies, disc_copies, disc_only_copies]).

%% What would be done, or what forbids it. Changes nothing.
-spec plan(term(), term(), file:filename(), map()) -> {ok, easy_cluster_planner:plan()} | easy_cluster_planner:error().
plan(From, To, Directory, Opts) ->
    case {easy_cluster_planner:options(Opts), database(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Details}} -> {error, {directory_error, Details}};
        {{ok, Options}, {ok, Database}} ->
            Wish = Database#{from => easy_cluster_text:typed(From), to => easy_cluster_text:typed(To), options => Options,
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
        {error, Reason} -> {error, {operation_died, #{id => Id, reason => easy_cluster_text:print(Reason)}}}
    end.


-spec carry_out(easy_cluster_planner:plan(), file:filename()) -> {ok, map()} | easy_cluster_planner:error().
carry_out(Plan, Directory) ->
    ok = application:set_env(mnesia, dir, Directory),
    easy_cluster_executor:commit_offline(Plan, Directory, fun(_Event) -> ok end).

%% Brings a rename that was interrupted to its end or back, as the next start of ejabberd would.
-spec end_interrupted(file:filename()) -> term().
end_interrupted(Directory) ->
    ok = application:set_env(mnesia, dir, Directory),
    easy_cluster_executor:recover_offline(Directory).
