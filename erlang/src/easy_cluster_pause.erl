%% Whether an operator has paused what happens by itself. One member that is paused keeps all from acting; the watch of each looks once a second.
-module(easy_cluster_pause).

-export([pause/1, continue/1, is_paused/0]).
%% On this member
-export([pause_here/0, continue_here/0]).

%% Nothing is done by itself until continue/1, on no member: what is under way ends behind its present step.
-spec pause(timeout()) -> [{node(), ok | {error, term()}}].
pause(Timeout) ->
    on_members(pause, Timeout).

-spec continue(timeout()) -> [{node(), ok | {error, term()}}].
continue(Timeout) ->
    on_members(continue, Timeout).

on_members(Request, Timeout) ->
    Ask = fun(Node) -> easy_cluster_rpc:peer(Node, Request, Timeout) end,
    %% A member without easy_cluster has nothing to pause.
    [{Node, told(Answer)} || {Node, Answer} <- easy_cluster_rpc:parallel(Ask, members(mnesia:system_info(is_running)), 2 * Timeout),
                             Answer =/= {ok, {error, undef}}].

told({ok, {ok, Told}}) -> Told;
told({ok, {error, Reason}}) -> {error, Reason};
told({error, Reason}) -> {error, Reason}.

members(yes) -> [node() | mnesia:system_info(running_db_nodes) -- [node()]];
members(_NotNow) -> [node()].

-spec pause_here() -> ok | {error, term()}.
pause_here() ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:make_folder(filename:dirname(pause_file())) end,
        fun() -> easy_cluster_files:write(pause_file(), <<>>) end
    ]).

-spec continue_here() -> ok | {error, term()}.
continue_here() ->
    easy_cluster_files:delete(pause_file()).

-spec is_paused() -> boolean().
is_paused() ->
    easy_cluster_files:info(pause_file()) =/= missing.

%% Outlasts a restart.
pause_file() ->
    filename:join([mnesia:system_info(directory), "easy_cluster", "paused"]).
