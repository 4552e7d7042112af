%% Keeps the cluster as its policy wants it. Each member that has a policy looks whenever members, tables or the policy change, and now and
%% then; the first of them by name acts, or tells what it would do. What has to be done, and whether it may be done now, the core says.
-module(easy_cluster_sync).
-behaviour(gen_server).

-export([start_link/0]).
-export([look/0, look_everywhere/0, state/0, lately/0]).
-export([pause/1, continue/1, is_paused/0]).
%% Asked by other members
-export([opinion/0, pause_here/0, continue_here/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% ejabberd's modules make their tables and copies one after another when it starts.
-define(SETTLE, 2000).
-define(INTERVAL, 60000).
%% Somebody else was at it.
-define(SOON, 10000).
-define(TIMEOUT, 5000).
-define(HOUR, 3600).

%% What a look has come to.
-type finding() :: not_yet | no_policy | off | {follows, node()} | {paused, [node()]} | {differs, [node()]}
                 | {as_wanted, Warnings :: [term()]} | {proposed, Steps :: pos_integer(), Warnings :: [term()]}
                 | {brought, Id :: binary(), Steps :: pos_integer()} | {impossible, {atom(), map()}} | {failed, {atom(), map()}}.
-type state() :: #{finding := finding(), looked := calendar:datetime() | never, looking := boolean()}.
-type change() :: #{table := atom(), node := node()}.
-export_type([finding/0, state/0]).

-record(state, {finding = not_yet :: finding(),
                looked = never :: calendar:datetime() | never,
                %% The one that looks, and since when another look is wanted.
                looker = none :: none | {pid(), reference()},
                again = false :: boolean(),
                timer = none :: none | reference(),
                %% What was changed here by itself, with the time in seconds.
                changed = [] :: [{integer(), change()}]}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Something has changed, so that a look is worth it.
-spec look() -> ok.
look() ->
    gen_server:cast(?MODULE, look).

%% The policy here may have changed, and with it who acts and what the others agree with.
-spec look_everywhere() -> ok.
look_everywhere() ->
    lists:foreach(fun(Node) -> gen_server:cast({?MODULE, Node}, look) end, [node() | others()]).

-spec state() -> state().
state() ->
    gen_server:call(?MODULE, state).

%% What was changed here by itself within the last hour.
-spec lately() -> [change()].
lately() ->
    gen_server:call(?MODULE, lately).

%% What this member wants, for the one that acts. A member that is paused keeps all from acting.
-spec opinion() -> #{policy := binary() | undefined, paused := boolean()}.
opinion() ->
    #{policy => easy_cluster_policy:current(), paused => is_paused()}.

%% Nothing is brought to what the policy wants until continue/1, on no member: what is under way ends behind its present step.
-spec pause(timeout()) -> [{node(), ok | {error, term()}}].
pause(Timeout) ->
    on_members(pause_here, Timeout).

-spec continue(timeout()) -> [{node(), ok | {error, term()}}].
continue(Timeout) ->
    on_members(continue_here, Timeout).

on_members(Function, Timeout) ->
    Ask = fun(Node) -> easy_cluster_rpc:call(Node, ?MODULE, Function, [], Timeout) end,
    %% A member without easy_cluster has nothing to pause.
    [{Node, told(Answer)} || {Node, Answer} <- easy_cluster_rpc:parallel(Ask, [node() | others()], 2 * Timeout),
                             Answer =/= {ok, {error, undef}}].

told({ok, {ok, Told}}) -> Told;
told({ok, {error, Reason}}) -> {error, Reason};
told({error, Reason}) -> {error, Reason}.

others() ->
    mnesia:system_info(running_db_nodes) -- [node()].

-spec pause_here() -> ok | {error, term()}.
pause_here() ->
    Result = easy_cluster_files:in_order([
        fun() -> easy_cluster_files:make_folder(filename:dirname(pause_file())) end,
        fun() -> easy_cluster_files:write(pause_file(), <<>>) end
    ]),
    look(),
    Result.

-spec continue_here() -> ok | {error, term()}.
continue_here() ->
    Result = easy_cluster_files:delete(pause_file()),
    look(),
    Result.

-spec is_paused() -> boolean().
is_paused() ->
    easy_cluster_files:info(pause_file()) =/= missing.

%% Outlasts a restart.
pause_file() ->
    filename:join([mnesia:system_info(directory), "easy_cluster", "paused"]).

%% A Mnesia that stops ends who has subscribed with it.
init([]) ->
    process_flag(trap_exit, true),
    look_everywhere(),
    {ok, later(?SETTLE, #state{})}.

%% The first wish counts: a change each second must not put the look off for ever.
later(Milliseconds, #state{timer = none} = State) ->
    State#state{timer = erlang:send_after(Milliseconds, self(), look)};
later(Milliseconds, #state{timer = Timer} = State) ->
    case erlang:read_timer(Timer) of
        Left when is_integer(Left), Left > Milliseconds ->
            _ = erlang:cancel_timer(Timer),
            later(Milliseconds, State#state{timer = none});
        _Sooner ->
            State
    end.

handle_call(state, _From, #state{finding = Finding, looked = Looked, looker = Looker} = State) ->
    {reply, #{finding => Finding, looked => Looked, looking => Looker =/= none}, State};
handle_call(lately, _From, State) ->
    #state{changed = Changed} = Fresh = forget_old(State),
    {reply, [Change || {_At, Change} <- Changed], Fresh}.

forget_old(#state{changed = Changed} = State) ->
    Now = erlang:monotonic_time(second),
    State#state{changed = [Each || {At, _} = Each <- Changed, Now - At < ?HOUR]}.

handle_cast(look, State) ->
    {noreply, later(?SETTLE, State)};
handle_cast(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

handle_info(look, #state{looker = none} = State) ->
    ok = subscribe(),
    Looker = spawn_monitor(fun() -> exit({found, find()}) end),
    {noreply, later(interval(), State#state{looker = Looker, timer = none, again = false})};
handle_info(look, State) ->
    {noreply, State#state{timer = none, again = true}};
handle_info({'DOWN', Monitor, process, Pid, Reason}, #state{looker = {Pid, Monitor}, again = Again, finding = Before} = State) ->
    {Finding, Changes} = found(Reason),
    [logger:notice(#{what => easy_cluster_sync, finding => Finding}) || is_news(Finding, Before)],
    Now = erlang:monotonic_time(second),
    #state{changed = Changed} = Fresh = forget_old(State),
    Found = Fresh#state{finding = Finding, looked = calendar:universal_time(), looker = none,
                        changed = [{Now, Change} || Change <- Changes] ++ Changed},
    {noreply, next(Finding, Again, Found)};
handle_info({mnesia_system_event, {Event, _Node}}, State) when Event =:= mnesia_up; Event =:= mnesia_down ->
    {noreply, later(?SETTLE, State)};
handle_info({mnesia_table_event, {_Event, Record, _Activity}}, State) when element(1, Record) =:= schema ->
    {noreply, later(?SETTLE, State)};
handle_info(_OtherOfMnesia, State) ->
    {noreply, State}.

found({found, Found}) -> Found;
found(Reason) -> {{failed, {operation_died, #{id => <<"a look">>, reason => print(Reason)}}}, []}.

print(Reason) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Reason, 30])).

is_news(Same, Same) -> false;
is_news({follows, _}, _) -> false;
is_news(no_policy, not_yet) -> false;
is_news(_New, _Before) -> true.

%% What has changed meanwhile, and whether all is as it should be now.
next({brought, _, _}, _Again, State) -> later(?SETTLE, State);
next({failed, {Code, _}}, _Again, State) when Code =:= operation_in_progress; Code =:= plan_changed -> later(?SOON, State);
next(_Finding, true, State) -> later(?SETTLE, State);
next(_Finding, false, State) -> later(interval(), State).

interval() ->
    application:get_env(easy_cluster, sync_interval, ?INTERVAL).

%% A Mnesia that was stopped has forgotten who wanted to know. Subscribed is subscribed, however often.
subscribe() ->
    case mnesia:system_info(is_running) of
        yes -> lists:foreach(fun subscribe/1, [system, {table, schema, simple}]);
        _NotNow -> ok
    end.

subscribe(Category) ->
    try mnesia:subscribe(Category) of
        _Subscribed -> ok
    catch
        %% It is just stopping.
        exit:{_Reason, {gen_server, call, _}} -> ok
    end.

%%% In a process of its own

find() ->
    case {easy_cluster_policy:current(), mnesia:system_info(is_running), easy_cluster_server:state()} of
        {undefined, _, _} -> {no_policy, []};
        {_, Running, _} when Running =/= yes -> {not_yet, []};
        %% It may be one that has Mnesia elsewhere for now.
        {_, yes, #{operation := Operation}} when Operation =/= none -> {{failed, {operation_in_progress, #{holder => node()}}}, []};
        {Text, yes, _} -> wanted(easy_cluster_native:call(policy, #{text => Text}), Text)
    end.

wanted({ok, #{sync := #{value := off}}}, _Text) -> {off, []};
wanted({ok, #{sync := #{value := Mode}}}, Text) -> led(Mode, Text, opinions());
wanted({ok, #{sync := undefined}}, Text) -> led(propose, Text, opinions());
wanted({error, Reason}, _Text) -> {{impossible, Reason}, []}.

%% Of those that have one. Who does not answer has none.
opinions() ->
    Ask = fun(Node) -> easy_cluster_rpc:call(Node, ?MODULE, opinion, [], ?TIMEOUT) end,
    Answers = easy_cluster_rpc:parallel(Ask, [node() | others()], 2 * ?TIMEOUT),
    [{Node, Opinion} || {Node, {ok, {ok, #{policy := Policy} = Opinion}}} <- Answers, Policy =/= undefined].

led(Mode, Text, Opinions) ->
    Leader = lists:min([node() | [Node || {Node, _} <- Opinions]]),
    Paused = [Node || {Node, #{paused := true}} <- Opinions],
    Different = [Node || {Node, #{policy := Other}} <- Opinions, Other =/= Text],
    case {Leader =:= node(), Paused, Different} of
        {false, _, _} -> {{follows, Leader}, []};
        {true, [_ | _], _} -> {{paused, Paused}, []};
        {true, [], [_ | _]} -> {{differs, Different}, []};
        {true, [], []} -> planned(Mode, easy_cluster_planner:plan(repair, #{}))
    end.

planned(_Mode, {error, Reason}) ->
    {{impossible, Reason}, []};
planned(Mode, {ok, #{steps := Steps, warnings := Warnings} = Plan}) ->
    case {length(Steps) - 1, Mode} of
        {0, _} -> {{as_wanted, Warnings}, []};
        {Count, propose} -> {{proposed, Count, Warnings}, []};
        {Count, auto} -> brought(easy_cluster_server:run(Plan, fun(_Event) -> ok end), Plan, Count)
    end.

brought({ok, _}, #{id := Id} = Plan, Count) -> {{brought, Id, Count}, changes(Plan)};
brought({error, Reason}, Plan, _Count) -> {{failed, Reason}, changes(Plan)}.

changes(#{steps := Steps}) ->
    [maps:with([table, node], Action) || #{action := {_Name, #{table := _, node := _} = Action}} <- Steps].
