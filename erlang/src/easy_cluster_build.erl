%% Makes a whole stand-alone database beside the one of this node. Mnesia is stopped before and after; its variable `dir'
%% names the folder that is built in.
-module(easy_cluster_build).

-export([database/3]).

-type source() :: empty.
-export_type([source/0]).

%% What an earlier try has left there goes.
-spec database(source(), file:filename(), timeout()) -> ok | {error, term()}.
database(empty, Folder, Timeout) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        fun() -> mnesia:create_schema([node()]) end,
        fun() -> application:start(mnesia) end,
        fun() -> stopped(built(Timeout)) end
    ]).

built(Timeout) ->
    case is_alone(Timeout) of
        ok ->
            dumped = mnesia:dump_log(),
            ok;
        {error, Reason} ->
            {error, Reason}
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
