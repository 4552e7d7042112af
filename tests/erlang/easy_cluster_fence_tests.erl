-module(easy_cluster_fence_tests).
-include_lib("eunit/include/eunit.hrl").

-define(FENCE, easy_cluster_fence).

%% As an ejabberd that starts: it has listed its tables, and the fence is deleted before Mnesia hears of its wish.
who_waits_for_all_tables_while_the_fence_is_made_anew_waits_no_longer_test_() ->
    {timeout, 60, fun() ->
        with_cluster(fun([Here | _] = Peers) ->
            Members = [Node || {_, Node} <- Peers],
            {ok, #{}} = easy_cluster_peers:call(Here, easy_cluster_fence, ensure, [5000]),
            Cookie = mnesia(Here, table_info, [?FENCE, cookie]),
            {atomic, ok} = mnesia(Here, delete_table, [?FENCE]),
            Waiting = [wait_on(Peer) || Peer <- Peers],
            ?assertEqual({ok, #{}}, easy_cluster_peers:call(Here, easy_cluster_fence, renew, [Members, 5000])),
            ?assertNotEqual(Cookie, mnesia(Here, table_info, [?FENCE, cookie])),
            ?assertEqual([ok, ok], answers(Waiting))
        end)
    end}.

%% It lists the fence while another member makes it, and its wish comes before Mnesia here can read it.
who_waits_for_all_tables_while_the_fence_is_made_waits_no_longer_test_() ->
    {timeout, 60, fun() ->
        with_cluster(fun([Here | _] = Peers) ->
            Waiting = [wait_on(Peer) || Peer <- Peers],
            ?assertEqual({ok, #{}}, easy_cluster_peers:call(Here, easy_cluster_fence, ensure, [5000])),
            ?assertEqual([ok, ok], answers(Waiting))
        end)
    end}.

with_cluster(Test) ->
    Dir = easy_cluster_peers:scratch(),
    Peers = easy_cluster_peers:start(2),
    try
        ok = easy_cluster_peers:start_cluster(Peers, Dir),
        Test(Peers)
    after
        [easy_cluster_peers:stop(Peer) || Peer <- Peers],
        easy_cluster_peers:remove(Dir)
    end.

answers(Waiting) ->
    [receive {Pid, Answer} -> Answer after 10000 -> waits end || Pid <- Waiting].

%% A process that waits on the peer without end; it tells what Mnesia has answered.
wait_on(Peer) ->
    Test = self(),
    Pid = spawn(fun() -> Test ! {self(), mnesia(Peer, wait_for_tables, [[schema, ?FENCE], infinity])} end),
    Controller = easy_cluster_peers:call(Peer, erlang, whereis, [mnesia_controller]),
    Waits = fun() ->
        {dictionary, Dictionary} = easy_cluster_peers:call(Peer, erlang, process_info, [Controller, dictionary]),
        lists:keymember({sync_tab, ?FENCE}, 1, Dictionary)
    end,
    ok = easy_cluster_peers:until(Waits),
    Pid.

mnesia(Peer, Function, Args) ->
    easy_cluster_peers:call(Peer, mnesia, Function, Args).
