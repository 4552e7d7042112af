%% Makes a whole stand-alone database beside the one of this node, in another VM that nobody can reach: this one goes on
%% serving, and no member that restarts meanwhile and still lists this node finds a Mnesia that knows nothing of it, by which it
%% would end with a bad cookie.
-module(easy_cluster_build).

%% Here
-export([database/3]).
%% In the other VM
-export([make/2, prove/2]).

-type source() :: empty | {kept, file:filename(), easy_cluster_directory:id()} | {backup, file:filename_all()}
                | {renamed, file:filename(), From :: node(), To :: node()}.
%% `kept': what the operation of that id has kept in this Mnesia directory.
-export_type([source/0]).

%% What starting a VM takes beside the work.
-define(START, 10000).
%% What loading a large database may take.
-define(LOADING, 600000).

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
    easy_cluster_restore:build(Backup, Folder, Timeout);
database({renamed, Directory, From, To}, Folder, Timeout) ->
    easy_cluster_renamed:build(Directory, From, To, Folder, Timeout).

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
    easy_cluster_files:in_order([fun() -> mnesia:create_schema([node()]) end, fun() -> started(Timeout) end]).

%% Whether Mnesia starts on the database, alone, and loads its tables; it is stopped again.
-spec prove(file:filename(), pos_integer()) -> ok | {error, term()}.
prove(Folder, Timeout) ->
    ok = application:load(mnesia),
    ok = application:set_env(mnesia, dir, Folder),
    started(Timeout).

started(Timeout) ->
    easy_cluster_files:in_order([
        fun() -> application:start(mnesia) end,
        fun() -> stopped(filled(Timeout)) end
    ]).

filled(Timeout) ->
    easy_cluster_files:in_order([
        fun() -> is_alone(Timeout) end,
        fun() -> loaded(mnesia:wait_for_tables(mnesia:system_info(local_tables), Timeout)) end,
        fun() -> dumped = mnesia:dump_log(), ok end
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {timeout_waiting_for_tables, Names}};
loaded({error, _} = Error) -> Error.

stopped(Built) ->
    Stopped = easy_cluster_mnesia:stop(),
    easy_cluster_files:in_order([fun() -> Built end, fun() -> Stopped end]).

is_alone(Timeout) ->
    Started = fun() -> mnesia:system_info(is_running) =/= starting end,
    case {easy_cluster_wait:until(Started, Timeout), mnesia:system_info(is_running)} of
        {ok, yes} -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes));
        {_, State} -> {error, {mnesia_is, State}}
    end.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.
