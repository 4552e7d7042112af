%% Gets the clients off this node before it leaves: nobody new comes in, who is here is sent away with a stream error and comes
%% back to another member, then the rooms of this node are closed.
%%
%% ejabberd's stop does the same in one go; here it is done while this node is still a member, and it is seen to end, so that
%% no table of the members keeps a session or a room of this node. Its functions are the ones that its own stop calls,
%% exported on 23.01 to 26.07.
-module(easy_cluster_drain).

-export([drain/1]).
-export([open/0]).

%% Milliseconds that sessions and rooms are given.
-define(GRACE, 15000).

%% Without ejabberd there is nobody to send away.
-spec drain(timeout()) -> {ok, #{sessions := non_neg_integer(), rooms := non_neg_integer()}} | {error, term()}.
drain(Timeout) ->
    case is_running() of
        true -> drained(max(Timeout, ?GRACE));
        false -> {ok, #{sessions => 0, rooms => 0}}
    end.

drained(Timeout) ->
    ok = ejabberd(ejabberd_listener, stop_listeners, []),
    Closed = close(sessions()),
    case easy_cluster_wait:until(fun() -> close_late(sessions()) end, Timeout) of
        ok -> rooms_closed(Closed, close_rooms(), Timeout);
        timeout -> {error, {sessions_left, length(sessions())}}
    end.

rooms_closed(Sessions, Rooms, Timeout) ->
    Closed = fun() -> not lists:any(fun is_process_alive/1, Rooms) end,
    case easy_cluster_wait:until(Closed, Timeout) of
        ok -> {ok, #{sessions => Sessions, rooms => length(Rooms)}};
        timeout -> {error, {rooms_left, length([Room || Room <- Rooms, is_process_alive(Room)])}}
    end.

%% Those that had been accepted already and logged in since.
close_late([]) -> true;
close_late(Sessions) -> close(Sessions) =:= 0.

%% To a client, `reset' says: connect again, as your server has moved.
close(Pids) ->
    Error = ejabberd(xmpp, serr_reset, []),
    lists:foreach(fun(Pid) ->
                          ok = ejabberd(ejabberd_c2s, send, [Pid, Error]),
                          ok = ejabberd(ejabberd_c2s, stop_async, [Pid])
                  end, Pids),
    length(Pids).

%% The processes of the sessions of this node. A session is a record {session, {Time, Pid}, ...} on all releases.
sessions() ->
    [element(2, element(2, Session)) || Session <- ejabberd(ejabberd_sm, dirty_get_my_sessions_list, [])].

%% Whoever is in one from another node is told, and comes back to the room on a member.
close_rooms() ->
    Hosts = [Host || Host <- ejabberd(ejabberd_option, hosts, []), ejabberd(gen_mod, is_loaded, [Host, mod_muc])],
    lists:append([ejabberd(mod_muc, shutdown_rooms, [Host]) || Host <- Hosts]).

%% Lets clients in again. Those listeners that run stay.
-spec open() -> ok.
open() ->
    case is_running() of
        true -> ejabberd(ejabberd_listener, start_listeners, []);
        false -> ok
    end.

is_running() ->
    lists:keymember(ejabberd, 1, application:which_applications()).

%% ejabberd is not there when this is compiled.
ejabberd(Module, Function, Args) ->
    apply(Module, Function, Args).
