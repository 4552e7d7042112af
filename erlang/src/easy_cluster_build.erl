%% Makes a whole stand-alone database beside the one of this node. Mnesia is stopped before and after; its variable `dir'
%% names the folder that is built in.
-module(easy_cluster_build).

-export([database/3]).
%% In the other VM
-export([from_backup/3]).

-type source() :: empty | {backup, file:filename_all()}.
-export_type([source/0]).

%% A slow disc.
-define(BYTES_PER_MILLISECOND, 1000).

%% What an earlier try has left there goes.
-spec database(source(), file:filename(), timeout()) -> ok | {error, term()}.
database(empty, Folder, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        fun() -> mnesia:create_schema([node()]) end,
        fun() -> application:start(mnesia) end,
        fun() -> stopped(built(Timeout)) end
    ]);
%% Filling it may take a while, and a member that starts meanwhile and still lists this node must not find a Mnesia that knows
%% nothing of it: it would end with a bad cookie.
database({backup, Backup}, Folder, Timeout) ->
    case easy_cluster_backup:manifest(Backup) of
        {ok, #{tables := Tables}} ->
            Deadline = Timeout + lists:sum([Bytes || #{bytes := Bytes} <- Tables]) div ?BYTES_PER_MILLISECOND,
            said(easy_cluster_vm:call(node(), ?MODULE, from_backup, [Backup, Folder, Deadline], 2 * Deadline));
        {error, _} = Error ->
            Error
    end.

said({ok, Result}) -> Result;
said({error, Reason}) -> {error, Reason}.

%% The backup is read to its end before anything is built from it, and the tables once more when they are loaded.
-spec from_backup(file:filename_all(), file:filename(), timeout()) -> ok | {error, term()}.
from_backup(Backup, Folder, Timeout) ->
    ok = application:load(mnesia),
    ok = application:set_env(mnesia, dir, Folder),
    {ok, _} = application:ensure_all_started(crypto),
    case easy_cluster_backup:verify(Backup) of
        {ok, #{tables := Tables}} ->
            Archives = [easy_cluster_backup:archive(Backup, Table) || Table <- Tables],
            easy_cluster_files:in_order([
                fun() -> easy_cluster_files:delete_folder(Folder) end,
                fun() -> easy_cluster_files:make_folder(Folder) end,
                fun() -> mnesia:create_schema([node()]) end,
                fun() -> install(empty_schema(Folder), Archives) end,
                fun() -> application:start(mnesia) end,
                fun() -> stopped(filled(Tables, Timeout)) end
            ]);
        {error, _} = Error ->
            Error
    end.

%% create_schema/1 leaves a backup that the next start of Mnesia installs: of the right format, and with a new cookie.
empty_schema(Folder) ->
    File = filename:join(Folder, "FALLBACK.BUP"),
    case mnesia_backup:open_read(File) of
        {ok, Opened} -> first_items(mnesia_backup:read(Opened), [], File);
        {error, _} = Error -> Error
    end.

first_items({ok, Opened, []}, Items, File) ->
    _ = mnesia_backup:close_read(Opened),
    case easy_cluster_files:delete(File) of
        ok -> {ok, Items};
        {error, _} = Error -> Error
    end;
first_items({ok, Opened, More}, Items, File) ->
    first_items(mnesia_backup:read(Opened), Items ++ More, File);
first_items({error, _} = Error, _Items, _File) ->
    Error.

install({ok, Schema}, Archives) ->
    Reader = easy_cluster_backup_reader:new(Schema, Archives),
    mnesia:install_fallback(Reader, [{module, easy_cluster_backup_reader}, {scope, local}]);
install({error, _} = Error, _Archives) ->
    Error.

filled(Tables, Timeout) ->
    Names = [Name || #{name := Name} <- Tables],
    easy_cluster_files:in_order([
        fun() -> is_alone(Timeout) end,
        fun() -> loaded(mnesia:wait_for_tables(Names, Timeout)) end,
        fun() -> easy_cluster_files:each(fun has_rows/1, Tables) end,
        fun() -> dumped(mnesia:dump_log()) end
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {timeout_waiting_for_tables, Names}};
loaded({error, _} = Error) -> Error.

has_rows(#{name := Name, digest := Expected}) ->
    case easy_cluster_digest:text(easy_cluster_digest:of_table(Name)) of
        Expected -> ok;
        Found -> {error, {built_differently, Name, Found, Expected}}
    end.

built(Timeout) ->
    case is_alone(Timeout) of
        ok -> dumped(mnesia:dump_log());
        {error, Reason} -> {error, Reason}
    end.

dumped(dumped) -> ok;
dumped(Other) -> {error, {dump_log, Other}}.

stopped(Built) ->
    _ = application:stop(mnesia),
    Built.

is_alone(Timeout) ->
    Started = fun() -> mnesia:system_info(is_running) =/= starting end,
    case {easy_cluster_gather:until(Started, Timeout), mnesia:system_info(is_running)} of
        {ok, yes} -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes));
        {_, State} -> {error, {mnesia_is, State}}
    end.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.
