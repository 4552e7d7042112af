%% Stopping Mnesia for good.
-module(easy_cluster_mnesia).

-export([stop/0]).

-define(DEADLINE, 60000).

%% Stops Mnesia; its files are whole when this returns. mnesia:stop/0 alone leaves it to dets to notice that its tables have lost
%% their owner, and rows of disc_only_copies are in the caches of dets until then, also those that mnesia:dump_log/0 has taken
%% out of the log: a VM that ends at once loses them (seen on OTP 25). It stops also when a file cannot be written, and says so.
-spec stop() -> ok | {error, term()}.
stop() ->
    Open = dets:all(),
    Written = [sync(Table) || Table <- Open],
    easy_cluster_files:in_order([
        fun() -> stopped(application:stop(mnesia)) end,
        fun() -> closed(easy_cluster_gather:until(fun() -> Open -- (Open -- dets:all()) =:= [] end, ?DEADLINE)) end,
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
closed(timeout) -> {error, {still_open, dets:all()}}.
