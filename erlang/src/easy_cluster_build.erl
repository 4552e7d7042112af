%% Makes a whole stand-alone database beside the one of this node, in another VM that nobody can reach: this one goes on
%% serving, and no member that restarts meanwhile finds a Mnesia here that knows nothing of it.
-module(easy_cluster_build).

%% Here
-export([database/3]).
%% In the other VM
-export([make/2, prove/2]).

-type source() :: empty | {kept, file:filename(), easy_cluster_directory:id()}.
%% `kept': what the operation of that id has kept in this Mnesia directory.
-export_type([source/0]).

%% What starting a VM takes beside the work, and what loading a large database may take.
-define(START, 10000).
-define(LOADING, 600000).

%% What an earlier try has left in the folder goes.
-spec database(source(), file:filename(), pos_integer()) -> ok | {error, term()}.
database(Source, Folder, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        fun() -> fill(Source, Folder, Timeout) end
    ]).

fill(empty, Folder, Timeout) ->
    in_other_vm(make, Folder, Timeout);
fill({kept, Directory, Id}, Folder, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_directory:copy_kept(Directory, Id, Folder) end,
        fun() -> in_other_vm(prove, Folder, max(Timeout, ?LOADING)) end
    ]).

in_other_vm(Function, Folder, Timeout) ->
    case easy_cluster_vm:call(node(), ?MODULE, Function, [Folder, Timeout], 2 * Timeout + ?START) of
        {ok, Result} -> Result;
        {error, Reason} -> {error, {other_vm, Reason}}
    end.

%% An empty database with a schema cookie of its own.
-spec make(file:filename(), pos_integer()) -> ok | {error, term()}.
make(Folder, Timeout) ->
    ok = application:set_env(mnesia, dir, Folder),
    easy_cluster_files:in_order([
        fun() -> mnesia:create_schema([node()]) end,
        fun() -> prove(Folder, Timeout) end
    ]).

%% Whether Mnesia starts on the database, alone, and loads its tables; it is stopped again.
-spec prove(file:filename(), pos_integer()) -> ok | {error, term()}.
prove(Folder, Timeout) ->
    ok = application:set_env(mnesia, dir, Folder),
    easy_cluster_files:in_order([
        fun() -> application:start(mnesia) end,
        fun() -> is_alone(Timeout) end,
        fun() -> loaded(mnesia:wait_for_tables(mnesia:system_info(local_tables), Timeout)) end,
        fun() -> dumped(mnesia:dump_log()) end,
        fun() -> application:stop(mnesia) end
    ]).

is_alone(Timeout) ->
    Started = fun() -> mnesia:system_info(is_running) =/= starting end,
    case {easy_cluster_gather:until(Started, Timeout), mnesia:system_info(is_running)} of
        {ok, yes} -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes));
        {_, State} -> {error, {mnesia_is, State}}
    end.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.

loaded({timeout, Tables}) -> {error, {not_loaded, Tables}};
loaded(Result) -> Result.

dumped(dumped) -> ok;
dumped(Other) -> {error, {not_dumped, Other}}.
