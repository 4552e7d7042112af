%% Plans that are remembered by their names, and events for whoever wants to see them.
-module(easy_cluster_api_tests).

-include_lib("eunit/include/eunit.hrl").

-export([followed/1, hold/1, gone/0]).

plans_test_() ->
    {setup, fun start/0, fun stop/1,
     fun({[Here, {_, There}], _Dir}) ->
         [{"the last sixteen plans are remembered", {timeout, 60, fun() -> remembers(Here, There) end}},
          {"who looks on gets each event, and who is slow no progress", {timeout, 60, fun() -> follows(Here, There) end}},
          {"who has ended is forgotten", {timeout, 60, fun() -> forgets(Here) end}}]
     end}.

start() ->
    Dir = easy_cluster_peers:scratch_in_memory(),
    Peers = [_, {_, There} = Other] = easy_cluster_peers:start(2),
    ok = easy_cluster_peers:start_cluster(Peers, Dir),
    {atomic, ok} = easy_cluster_peers:call(Other, mnesia, create_table, [stock, [{disc_copies, [There]}]]),
    [ok = easy_cluster_peers:call(Other, mnesia, dirty_write, [{stock, Key, Key}]) || Key <- lists:seq(1, 100)],
    {Peers, Dir}.

stop({Peers, Dir}) ->
    [easy_cluster_peers:stop(Peer) || Peer <- Peers],
    easy_cluster_peers:remove(Dir).

remembers({_, Node} = Here, There) ->
    Api = fun(Function, Args) -> easy_cluster_peers:call(Here, easy_cluster_api, Function, Args) end,
    ?assertMatch({error, {no_plan, #{here := Node}}}, Api(planned, [last])),
    ?assertMatch({error, {unknown_plan, #{id := <<"no such plan">>, known := <<>>}}}, Api(commit, ["no such plan"])),
    Plans = [element(2, {ok, _} = Api(plan, [{sync_node, There}])) || _ <- lists:seq(1, 17)],
    [#{id := Oldest}, #{id := Second} = Plan | _] = Plans,
    {error, {unknown_plan, #{known := Known}}} = Api(planned, [Oldest]),
    ?assertEqual(16, length(binary:split(Known, <<", ">>, [global]))),
    ?assertEqual([{ok, Plan}, {ok, Plan}, {ok, Plan}],
                 [Api(planned, [Name]) || Name <- [Second, binary_to_list(Second), binary_to_atom(Second)]]),
    ?assertEqual({ok, lists:last(Plans)}, Api(planned, [last])).

follows(Here, There) ->
    {Id, Mine, Reported, Slow} = easy_cluster_peers:call(Here, ?MODULE, followed, [There]),
    ?assertEqual({ended, ok}, lists:last(Mine)),
    ?assertEqual(Reported, lists:droplast(Mine)),
    ?assertMatch([_ | _], [Number || {step, done, #{number := Number}, _} <- Mine]),
    Progress = [Event || {progress, _} = Event <- Mine],
    ?assertMatch([_ | _], Progress),
    ?assertEqual(Mine -- Progress, Slow),
    ?assertMatch({ok, #{id := Id}}, easy_cluster_peers:call(Here, easy_cluster_api, planned, [last])).

%% On the node: the events that this process got, those that its report got, and those of a process that never looks.
followed(There) ->
    Me = self(),
    Slow = spawn_link(fun() -> ok = easy_cluster_api:subscribe(), Me ! subscribed, receive go -> ok end end),
    receive subscribed -> ok end,
    [Slow ! noise || _ <- lists:seq(1, 100)],
    ok = easy_cluster_api:subscribe(),
    {ok, #{id := Id}} = easy_cluster_api:plan({sync_node, There}),
    %% The copy waits for the table's lock until its progress is seen.
    Holder = spawn_link(There, ?MODULE, hold, [Me]),
    receive held -> ok end,
    Report = fun(Event) ->
                     [Holder ! release || {progress, _} <- [Event]],
                     Me ! {reported, Event},
                     ok
             end,
    ok = easy_cluster_api:commit(Id, Report),
    ok = easy_cluster_api:unsubscribe(),
    {messages, Messages} = process_info(Slow, messages),
    Slow ! go,
    {Id, taken(easy_cluster, Id), reported(), [Event || {easy_cluster, _, Event} <- Messages]}.

hold(Asker) ->
    {atomic, ok} = mnesia:transaction(fun() ->
                                              mnesia:write_lock_table(stock),
                                              Asker ! held,
                                              receive release -> ok end
                                      end).

taken(Tag, Id) ->
    receive {Tag, Id, Event} -> [Event | taken(Tag, Id)]
    after 0 -> []
    end.

reported() ->
    receive {reported, Event} -> [Event | reported()]
    after 0 -> []
    end.

forgets(Here) ->
    ok = easy_cluster_peers:call(Here, ?MODULE, gone, []).

gone() ->
    {Pid, Monitor} = spawn_monitor(fun() -> ok = easy_cluster_api:subscribe() end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end,
    easy_cluster_peers:until(fun() -> not is_subscribed(Pid) end).

is_subscribed(Pid) ->
    lists:any(fun(Field) -> is_map_key(Pid, Field) end, [Field || Field <- tuple_to_list(sys:get_state(easy_cluster_server)), is_map(Field)]).
