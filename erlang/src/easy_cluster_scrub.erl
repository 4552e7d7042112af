%% Compares the copies of all durable tables in the background while all is healthy, one table after the other, slowly and at low
%% priority. What differs is logged and told by easy_cluster:status(), until a later look finds it the same.
%%
%% The core says whose turn it is and what is compared. A round runs in a process of its own, which is ended as soon as an operation
%% begins, a member goes, or tables have to be loaded. Settings: scrub, scrub_interval (milliseconds), of the application.
-module(easy_cluster_scrub).
-behaviour(gen_server).

-export([start_link/0]).
-export([configure/0, now/0]).
-export([drift/0, looks/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(INTERVAL, 86400000).
%% Not right after the start, and not much later where the interval is long. The same for a round that could not be.
-define(SOON, 3600000).
-define(SOONER, 300000).
%% How often it is looked whether a round may go on.
-define(WATCH, 1000).
-define(TIMEOUT, 30000).
-define(ASK_TIMEOUT, 2000).
%% Percent of one core, on each node, and milliseconds between pieces: less than one transaction in a hundred meets a piece.
-define(SHARE, 2).
-define(REST, 500).

%% When a table was looked at, microseconds, and how many of its keys differed.
-type look() :: #{table := atom(), at := integer(), keys := non_neg_integer(), nodes := [node()]}.
-export_type([look/0]).

-record(state, {timer = none :: none | reference(),
                round = none :: none | {pid(), Members :: [node()]},
                looks = #{} :: #{atom() => look()}}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Takes the settings as they are now.
-spec configure() -> ok.
configure() ->
    gen_server:cast(?MODULE, configure).

%% Looks at once instead of later, unless it looks already.
-spec now() -> ok.
now() ->
    gen_server:cast(?MODULE, look).

%% What differs, by the last look of whichever member at each table.
-spec drift() -> [#{table := atom(), keys := pos_integer(), nodes := [node()], seen := binary()}].
drift() ->
    Ask = fun(Node) -> easy_cluster_rpc:call(Node, ?MODULE, looks, [], ?ASK_TIMEOUT) end,
    Answers = easy_cluster_rpc:parallel(Ask, members(), 2 * ?ASK_TIMEOUT),
    Looks = lists:append([Looks || {_Node, {ok, {ok, Looks}}} <- Answers, is_list(Looks)]),
    Last = lists:foldl(fun newest/2, #{}, Looks),
    [#{table => Table, keys => Keys, nodes => Nodes, seen => utc(At)}
     || #{table := Table, keys := Keys, nodes := Nodes, at := At} <- maps:values(Last), Keys > 0].

newest(#{table := Table, at := At, keys := Keys, nodes := [_ | _]} = Look, Last)
  when is_atom(Table), is_integer(At), abs(At) < 1 bsl 56, is_integer(Keys) ->
    case Last of
        #{Table := #{at := Later}} when Later >= At -> Last;
        _ -> Last#{Table => Look}
    end;
newest(_NotOurs, Last) ->
    Last.

utc(At) ->
    list_to_binary(calendar:system_time_to_rfc3339(At div 1000000, [{offset, "Z"}])).

members() ->
    case mnesia:system_info(is_running) of
        yes -> mnesia:system_info(running_db_nodes);
        _NotNow -> [node()]
    end.

%% What this member has seen.
-spec looks() -> [look()].
looks() ->
    gen_server:call(?MODULE, looks).

%% A round ends with this process, and this process does not with a round.
init([]) ->
    process_flag(trap_exit, true),
    {ok, later(min(interval(), ?SOON), #state{})}.

is_wanted() -> application:get_env(easy_cluster, scrub, true) =:= true.

interval() -> application:get_env(easy_cluster, scrub_interval, ?INTERVAL).

handle_call(looks, _From, #state{looks = Looks} = State) ->
    {reply, maps:values(Looks), State}.

handle_cast(configure, State) ->
    {noreply, later(min(interval(), ?SOON), ended(State))};
handle_cast(look, State) ->
    handle_info(look, State);
handle_cast(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

handle_info(look, #state{round = none} = State) ->
    {noreply, begun(is_wanted(), State)};
handle_info(look, State) ->
    {noreply, State};
handle_info(watch, #state{round = {_Round, Members}} = State) ->
    case is_quiet(Members) of
        true -> {noreply, watching(State)};
        false -> {noreply, later(min(interval(), ?SOONER), ended(State))}
    end;
handle_info(watch, State) ->
    {noreply, State};
handle_info({tables, Round, Tables}, #state{round = {Round, _}, looks = Looks} = State) ->
    {noreply, State#state{looks = maps:with(Tables, Looks)}};
handle_info({compared, Round, Compared}, #state{round = {Round, _}, looks = Looks} = State) ->
    {noreply, State#state{looks = noted(Compared, Looks)}};
handle_info({'DOWN', _Monitor, process, Round, Reason}, #state{round = {Round, _}} = State) ->
    {noreply, later(after_round(Reason), State#state{round = none})};
%% Of a round that was ended.
handle_info({Kind, Round, _Late}, State) when is_pid(Round), (Kind =:= tables orelse Kind =:= compared) orelse Kind =:= 'EXIT' ->
    {noreply, State};
handle_info({'DOWN', _Monitor, process, _Round, _Late}, State) ->
    {noreply, State};
handle_info(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

%% Another member does it, and may be gone then.
after_round({turn, {'of', _Node}}) -> min(interval(), ?SOON);
after_round({turn, {compare, _}}) -> interval();
after_round(Reason) ->
    logger:info(#{what => easy_cluster_scrub, put_off => Reason}),
    min(interval(), ?SOONER).

later(Milliseconds, #state{timer = Timer} = State) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= none],
    State#state{timer = erlang:send_after(Milliseconds, self(), look)}.

begun(false, State) ->
    later(interval(), State);
begun(true, State) ->
    Server = self(),
    {Round, _Monitor} = spawn_opt(fun() -> exit({turn, turn(Server)}) end, [monitor, link, {priority, low}]),
    watching(State#state{round = {Round, members()}}).

watching(State) ->
    _ = erlang:send_after(?WATCH, self(), watch),
    State.

ended(#state{round = none} = State) ->
    State;
ended(#state{round = {Round, _Members}} = State) ->
    true = unlink(Round),
    true = exit(Round, kill),
    State#state{round = none}.

%% No operation runs here or elsewhere, and the same members are there.
is_quiet(Members) ->
    is_idle() andalso easy_cluster_lock:holders() =:= []
        andalso members() =:= Members.

%% A server that does not answer in time has something to do.
is_idle() ->
    try easy_cluster_server:state() of
        #{operation := Operation} -> Operation =:= none
    catch
        exit:{_Reason, {gen_server, call, _}} -> false
    end.

%%% The round

turn(Server) ->
    Snapshot = easy_cluster_gather:snapshot([], ?TIMEOUT),
    case {is_quiet(members()), easy_cluster_native:call(scrub, #{snapshot => Snapshot, policy => easy_cluster_policy:current()})} of
        {false, _} -> {wait, operation};
        {true, {ok, {compare, Comparisons} = Turn}} ->
            Server ! {tables, self(), [Table || #{table := Table} <- Comparisons]},
            lists:foreach(fun(Comparison) -> Server ! {compared, self(), compare(Comparison)} end, Comparisons),
            Turn;
        {true, {ok, Other}} -> Other;
        {true, {error, Reason}} -> {wait, Reason}
    end.

compare(Comparison) ->
    Options = #{timeout => ?TIMEOUT, workers => 1, pause => ?REST, share => ?SHARE},
    [Compared] = easy_cluster_diff:compare([Comparison], Options),
    Compared.

%%% What was seen

noted(#{table := Table, node := Node, reason := Reason}, Looks) ->
    logger:notice(#{what => easy_cluster_scrub, table => Table, node => Node, not_compared => Reason}),
    Looks;
noted(#{table := Table, nodes := Nodes, differing := Differing}, Looks) ->
    Look = #{table => Table, at => os:system_time(microsecond), keys => length(Differing), nodes => Nodes},
    told(maps:get(keys, maps:get(Table, Looks, #{keys => 0})), Look),
    Looks#{Table => Look}.

%% Once, and again when it is more or less.
told(Keys, #{keys := Keys}) ->
    ok;
told(_Before, #{table := Table, keys := 0}) ->
    logger:notice(#{what => easy_cluster_scrub, table => Table, the_same_again => true});
told(_Before, #{table := Table, keys := Keys, nodes := Nodes, at := At}) ->
    Problem = {copies_differ, #{table => Table, keys => Keys, nodes => Nodes, seen => utc(At)}},
    logger:warning("~ts", [easy_cluster:format_error(Problem)]).
