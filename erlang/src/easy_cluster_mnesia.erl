%% Stopping Mnesia for good, and what hangs in it.
-module(easy_cluster_mnesia).

-export([stop/0]).
-export([end_hung/1]).
-export([shared/0]).

-define(DEADLINE, 60000).
%% A dets table that says nothing for so long hangs, milliseconds.
-define(HANGS, 2000).

%% Stops Mnesia; its files are whole when this returns. mnesia:stop/0 alone leaves it to dets to notice that its tables have lost
%% their owner, and rows of disc_only_copies are in the caches of dets until then, also those that mnesia:dump_log/0 has taken
%% out of the log: a VM that ends at once loses them (seen on OTP 25). It stops also when a file cannot be written, and says so. Dets tables of
%% others are none of Mnesia's.
-spec stop() -> ok | {error, term()}.
stop() ->
    Open = open(),
    Written = [sync(Table) || Table <- Open],
    easy_cluster_files:in_order([
        fun() -> stopped(application:stop(mnesia)) end,
        fun() -> closed(easy_cluster_wait:until(fun() -> Open -- (Open -- dets:all()) =:= [] end, ?DEADLINE)) end,
        fun() -> easy_cluster_files:each(fun(Result) -> Result end, Written) end
    ]).

%% One that was closed meanwhile is whole.
sync(Table) ->
    case dets:sync(Table) of
        {error, not_owner} -> ok;
        {error, badarg} -> ok;
        Result -> Result
    end.

stopped({error, {not_started, mnesia}}) -> ok;
stopped(Result) -> Result.

closed(ok) -> ok;
closed(timeout) -> {error, {still_open, open()}}.

%% Dets tables in a file of Mnesia's directory with a name such as Mnesia gives them.
%% Source: mnesia_lib:tab2dat/1 and tab2tmp/1, mnesia_index:tab2filename/2, mnesia_checkpoint:retainer_fname/2.
open() ->
    Directory = filename:absname(mnesia:system_info(directory)),
    Files = easy_cluster_rpc:parallel(fun(Table) -> dets:info(Table, filename) end, dets:all(), ?HANGS),
    [Table || {Table, {ok, File}} <- Files, is_mnesias(File, Directory)].

is_mnesias(File, Directory) when is_list(File) ->
    filename:dirname(filename:absname(File)) =:= Directory andalso lists:member(filename:extension(File), [".DAT", ".TMP", ".RET"]);
is_mnesias(_ClosedMeanwhile, _Directory) ->
    false.

%% Ends the process of a dets table that answers nobody. One that is filled from another node waits for its rows without limit: when
%% that node dies, Mnesia tells the process that has asked for the copy, and the rows are awaited by that of dets.
%% Source: mnesia_loader:get_data/3 and mnesia_controller:handle_cast({mnesia_down, _}, _); dets_server has the table of processes.
-spec end_hung(atom()) -> ok.
end_hung(Table) ->
    case easy_cluster_rpc:parallel(fun(Hung) -> dets:info(Hung, size) end, [Table], ?HANGS) of
        [{Table, {error, timeout}}] -> [exit(Pid, kill) || {_Table, _Users, Pid} <- ets:lookup(dets_registry, Table)], ok;
        [_Answers] -> ok
    end.

%% Files of Mnesia's that another process has open as well, and would keep open when Mnesia stops.
-spec shared() -> [{file:filename(), [pid()]}].
shared() ->
    [{File, Others} || Table <- open(), File <- [dets:info(Table, filename)], is_list(File),
                       Others <- [others(dets:info(Table, users))], Others =/= []].

others(Users) when is_list(Users) -> [User || User <- Users, application:get_application(User) =/= {ok, mnesia}];
others(_ClosedMeanwhile) -> [].
