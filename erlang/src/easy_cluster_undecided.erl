%% A Mnesia that does not start, as it waits for the end of a transaction that was under way when it was killed: only a node that
%% took part knows it, and Mnesia waits for one of them without limit (`max_wait_for_decision').
-module(easy_cluster_undecided).

-export([awaited/2]).
-export([watch/0]).
-export_type([transaction/0]).

%% How often Mnesia's start is looked at, and how often at most while it has not begun.
-define(INTERVAL, 1000).
-define(LOOKS, 300).

%% Source: mnesia_recover, `handle_call({wait_for_decision, _}, _, _)', and the record `decision' of mnesia.hrl: the same on OTP 25,
%% 27 and 29.
-type transaction() :: {tid, term(), pid()}.

%% Whether the Mnesia of a node, which is starting, waits for the end of a transaction, and for which nodes.
-spec awaited(node(), timeout()) -> none | {transaction(), [node()]}.
awaited(Node, Timeout) ->
    case easy_cluster_rpc:call(Node, sys, get_state, [mnesia_recover, Timeout], Timeout) of
        {ok, State} when is_tuple(State) -> unclear(tuple_to_list(State));
        %% It does not run, or ends.
        _NoState -> none
    end.

unclear([{decision, Transaction, _Outcome, _DiscNodes, _RamNodes}, Nodes | _]) when is_list(Nodes) -> {Transaction, Nodes};
unclear([_ | Rest]) -> unclear(Rest);
unclear([]) -> none.

%% Says in the log of this node, once, when the Mnesia that is about to start here waits so.
-spec watch() -> pid().
watch() ->
    spawn(fun() -> watch(mnesia:system_info(is_running), ?LOOKS) end).

watch(starting, Looks) ->
    case awaited(node(), ?INTERVAL) of
        {_Transaction, Nodes} ->
            logger:error("~ts", [easy_cluster_text:error({waits_for_decision, #{node => node(), awaited => Nodes}})]);
        none ->
            watch_later(Looks)
    end;
watch(no, Looks) when Looks > 0 -> watch_later(Looks - 1);
watch(_RunsOrStops, _Looks) -> ok.

watch_later(Looks) ->
    receive after ?INTERVAL -> watch(mnesia:system_info(is_running), Looks) end.
