%% Makes a whole stand-alone database beside the one of this node, in another VM that nobody can reach: this one goes on
%% serving, and no member that restarts meanwhile and still lists this node finds a Mnesia that knows nothing of it, by which it
%% would end with a bad cookie.
-module(easy_cluster_build).

%% Here
-export([database/3]).
%% In the other VM
-export([make/2, prove/2, from_backup/3]).

-type source() :: empty | {kept, file:filename(), easy_cluster_directory:id()} | {backup, file:filename_all()}.
%% `kept': what the operation of that id has kept in this Mnesia directory.
-export_type([source/0]).

%% What starting a VM takes beside the work.
-define(START, 10000).
%% What loading a large database may take.
-define(LOADING, 600000).
%% A slow disc.
-define(BYTES_PER_MILLISECOND, 1000).

%% What an earlier try has left in the folder goes.
-spec database(source(), file:filename(), pos_integer()) -> ok | {error, term()}.
database(empty, Folder, Timeout) ->
    in_fresh(Folder, fun() -> in_other_vm(make, [Folder, Timeout], 2 * Timeout) end);
database({kept, Directory, Id}, Folder, Timeout) ->
    Prove = fun() -> in_other_vm(prove, [Folder, max(Timeout, ?LOADING)], 2 * max(Timeout, ?LOADING)) end,
    in_fresh(Folder, fun() ->
        easy_cluster_files:in_order([fun() -> easy_cluster_directory:copy_kept(Directory, Id, Folder) end, Prove])
    end);
database({backup, Backup}, Folder, Timeout) ->
    case easy_cluster_backup:manifest(Backup) of
        {ok, #{tables := Tables}} ->
            Deadline = Timeout + lists:sum([Bytes || #{bytes := Bytes} <- Tables]) div ?BYTES_PER_MILLISECOND,
            in_other_vm(from_backup, [Backup, Folder, Deadline], 2 * Deadline);
        {error, _} = Error ->
            Error
    end.

in_fresh(Folder, Fill) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        Fill
    ]).

in_other_vm(Function, Args, Limit) ->
    case easy_cluster_vm:call(node(), ?MODULE, Function, Args, Limit + ?START) of
        {ok, Result} -> Result;
        {error, Reason} -> {error, {other_vm, Reason}}
    end.

%% An empty database with a schema cookie of its own.
-spec make(file:filename(), pos_integer()) -> ok | {error, term()}.
make(Folder, Timeout) ->
    ok = application:load(mnesia),
    ok = application:set_env(mnesia, dir, Folder),
    easy_cluster_files:in_order([fun() -> mnesia:create_schema([node()]) end, fun() -> started([], Timeout) end]).

%% Whether Mnesia starts on the database, alone, and loads its tables; it is stopped again.
-spec prove(file:filename(), pos_integer()) -> ok | {error, term()}.
prove(Folder, Timeout) ->
    ok = application:load(mnesia),
    ok = application:set_env(mnesia, dir, Folder),
    started([], Timeout).

%% The backup is read to its end before anything is built from it, and the tables once more when they are loaded.
-spec from_backup(file:filename_all(), file:filename(), pos_integer()) -> ok | {error, term()}.
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
                fun() -> started(Tables, Timeout) end
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

%% Tables of which the rows are known are compared.
started(Tables, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> application:start(mnesia) end,
        fun() -> stopped(filled(Tables, Timeout)) end
    ]).

filled(Tables, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> is_alone(Timeout) end,
        fun() -> loaded(mnesia:wait_for_tables(mnesia:system_info(local_tables), Timeout)) end,
        fun() -> easy_cluster_files:each(fun has_rows/1, Tables) end,
        fun() -> dumped = mnesia:dump_log(), ok end
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {timeout_waiting_for_tables, Names}};
loaded({error, _} = Error) -> Error.

has_rows(#{name := Name, digest := Expected}) ->
    case easy_cluster_digest:text(easy_cluster_digest:of_table(Name)) of
        Expected -> ok;
        Found -> {error, {built_differently, Name, Found, Expected}}
    end.

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
