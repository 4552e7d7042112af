%% Keeps the cluster as its policy wants it. Each member that has a policy looks whenever members, tables or the policy change, and now and
%% then; the first of them by name acts, or tells what it would do. What has to be done, and whether it may be done now, the core says.
-module(easy_cluster_sync).
-behaviour(gen_server).

-export([start_link/0]).
-export([look/0, look_everywhere/0, state/0]).
-export([pause/1, continue/1, is_paused/0]).
%% Asked by other members
-export([opinion/0, pause_here/0, continue_here/0]).
%% What they have said
-export([judge/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds, each with the key of the application's environment that says otherwise.
%% ejabberd's modules make their tables and copies one after another when it starts.
-define(SETTLE, {sync_settle, 2000}).
-define(INTERVAL, {sync_interval, 60000}).
%% After a failure; twice as long after each more, up to the longest.
-define(SOON, {sync_retry, 10000}).
-define(LONGEST, 300000).
-define(TIMEOUT, {sync_timeout, 5000}).
-define(HOUR, 3600).

%% These tell of tables that stay as they are although the policy wants them otherwise.
-define(LEFT_UNDONE, [policy_stalls, policy_undone]).

%% What a look has come to.
-type finding() :: not_yet | no_policy | off | {follows, node()} | {paused, [node()]} | {differs, [node()]} | {silent, [node()]}
                 | {as_wanted, Warnings :: [term()]} | {waits, Warnings :: [term()]}
                 | {proposed, Steps :: pos_integer(), Warnings :: [term()]}
                 | {brought | in_vain, Id :: binary(), Steps :: pos_integer()} | {impossible, {atom(), map()}} | {failed, {atom(), map()}}.
%% `put_off' are milliseconds before nothing is tried again; `lately' is what was changed here by itself within the last hour.
-type state() :: #{finding := finding(), looked := calendar:datetime() | never, looking := boolean(),
                   put_off := non_neg_integer(), lately := [change()]}.
-type change() :: #{table := atom(), node := node()}.
-type refused() :: #{Table :: atom() => {Code :: atom(), Details :: map()}}.
-type opinion() :: #{policy := binary() | undefined, paused := boolean()}.
-export_type([finding/0, state/0, opinion/0]).

-record(state, {finding = not_yet :: finding(),
                looked = never :: calendar:datetime() | never,
                %% The one that looks, what it has changed so far, and whether another look is wanted.
                looker = none :: none | {pid(), reference()},
                made = [] :: [change()],
                again = false :: boolean(),
                timer = none :: none | reference(),
                %% The policy that was looked with last.
                policy = undefined :: binary() | undefined,
                %% What was changed here by itself, with the time in seconds.
                changed = [] :: [{integer(), change()}],
                %% What the last look has done that did something.
                brought = [] :: [term()],
                %% Tables of which a copy was not to be deleted, and why: the others do not wait for them.
                refused = #{} :: refused(),
                %% How often it was tried to no avail, and when it may be tried again, in milliseconds.
                failures = 0 :: non_neg_integer(),
                not_before = now :: now | integer()}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Somebody has changed something, so that a look is worth it, whatever has failed before.
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

%% What this member wants, for the one that acts. A member that is paused keeps all from acting. One where nobody looks has no
%% say on the policy: it will not act, and others must not wait for it.
-spec opinion() -> opinion().
opinion() ->
    #{policy => policy_of(whereis(?MODULE)), paused => is_paused()}.

policy_of(undefined) -> undefined;
policy_of(_Looks) -> easy_cluster_policy:current().

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
    others(mnesia:system_info(is_running)).

others(yes) -> mnesia:system_info(running_db_nodes) -- [node()];
others(_NotNow) -> [].

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
    {ok, later(milliseconds(?SETTLE), #state{})}.

milliseconds({Key, Default}) ->
    application:get_env(easy_cluster, Key, Default).

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
    {reply, #{finding => Finding, looked => Looked, looking => Looker =/= none, put_off => put_off(State), lately => lately(State)}, State}.

%% Somebody wants it, or has another policy.
handle_cast(look, State) ->
    {noreply, later(milliseconds(?SETTLE), anew(State))};
handle_cast(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

handle_info(look, #state{looker = none} = Before) ->
    ok = subscribe(),
    State = Before#state{timer = none, again = false},
    {noreply, looked(with_policy(easy_cluster_policy:current(), State))};
handle_info(look, State) ->
    {noreply, State#state{timer = none, again = true}};
handle_info({made, Pid, Change}, #state{looker = {Pid, _Monitor}, made = Made} = State) ->
    {noreply, State#state{made = [Change | Made]}};
handle_info({'DOWN', Monitor, process, Pid, Reason}, #state{looker = {Pid, Monitor}, finding = Before} = State) ->
    {Found, Steps} = found(Reason),
    {Finding, Next} = came_to(Found, Steps, changed(State)),
    [logger:notice(#{what => easy_cluster_sync, finding => Finding}) || is_news(Finding, Before)],
    {noreply, next(Finding, Next#state{finding = Finding, looked = calendar:universal_time(), looker = none})};
handle_info({mnesia_system_event, {Event, _Node}}, State) when Event =:= mnesia_up; Event =:= mnesia_down ->
    {noreply, later(milliseconds(?SETTLE), anew(State))};
handle_info({mnesia_table_event, {_Event, Record, _Activity}}, State) when element(1, Record) =:= schema ->
    {noreply, later(milliseconds(?SETTLE), State)};
%% Mnesia stops here.
handle_info({'EXIT', _Subscribed, _Reason}, State) ->
    {noreply, later(milliseconds(?SETTLE), anew(State))};
handle_info(_OtherOfMnesia, State) ->
    {noreply, State}.

%% What was done for another policy was no fight about this one.
with_policy(Policy, #state{policy = Before} = State) when Policy =:= undefined; Policy =:= Before -> State;
with_policy(Policy, State) -> anew(State#state{policy = Policy, changed = []}).

looked(#state{refused = Refused} = State) ->
    case put_off(State) of
        0 ->
            Server = self(),
            Lately = lately(State),
            Looker = spawn_monitor(fun() -> exit({found, find(Server, Lately, Refused)}) end),
            later(milliseconds(?INTERVAL), State#state{looker = Looker});
        Left ->
            later(min(Left, milliseconds(?INTERVAL)), State)
    end.

%% Milliseconds before nothing is tried again.
put_off(#state{not_before = now}) -> 0;
put_off(#state{not_before = Then}) -> max(0, Then - erlang:monotonic_time(millisecond)).

lately(State) ->
    [Change || {_At, Change} <- of_last_hour(State)].

of_last_hour(#state{changed = Changed}) ->
    Now = erlang:monotonic_time(second),
    [Each || {At, _Change} = Each <- Changed, Now - At < ?HOUR].

%% With what the look has changed. A copy can go aside and come back on the way to what is wanted, which is one change.
changed(#state{made = Made} = State) ->
    Now = erlang:monotonic_time(second),
    State#state{made = [], changed = [{Now, Change} || Change <- lists:usort(Made)] ++ of_last_hour(State)}.

found({found, Found}) -> Found;
found(Reason) -> {{failed, {operation_died, #{id => <<"a look">>, reason => print(Reason)}}}, []}.

print(Reason) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Reason, 30])).

%% The very same steps again: they do not lead to where the plan takes them to lead.
came_to({brought, Id, Count}, Steps, #state{brought = Steps} = State) -> {{in_vain, Id, Count}, backed_off(State)};
came_to({brought, _, _} = Finding, Steps, #state{refused = Refused} = State) -> {Finding, (anew(State))#state{brought = Steps, refused = Refused}};
%% Other tables are next.
came_to({failed, {_, #{problems := [{_, #{table := Table}} = Problem, {step_failed, _}]}}} = Finding, _Steps, #state{refused = Refused} = State) ->
    {Finding, later(milliseconds(?SETTLE), State#state{refused = Refused#{Table => Problem}})};
came_to({failed, _} = Finding, _Steps, State) -> {Finding, backed_off(State)};
%% All but these.
came_to({waits, _} = Finding, _Steps, #state{refused = Refused} = State) when Refused =/= #{} -> {Finding, backed_off(State)};
came_to({silent, _} = Finding, _Steps, State) -> {Finding, State};
came_to(Finding, _Steps, State) -> {Finding, anew(State)}.

%% As if nothing had been tried before.
anew(State) ->
    State#state{brought = [], refused = #{}, failures = 0, not_before = now}.

backed_off(#state{failures = Failures} = State) ->
    Wait = min(milliseconds(?SOON) bsl min(Failures, 16), ?LONGEST),
    later(Wait, State#state{refused = #{}, failures = Failures + 1, not_before = erlang:monotonic_time(millisecond) + Wait}).

is_news(Same, Same) -> false;
is_news({follows, _}, _) -> false;
is_news(no_policy, not_yet) -> false;
is_news(_New, _Before) -> true.

%% What has changed meanwhile, and whether all is as it should be now.
next({brought, _, _}, State) -> later(milliseconds(?SETTLE), State);
next({silent, _}, State) -> later(milliseconds(?SOON), State);
next(_Finding, #state{again = true} = State) -> later(milliseconds(?SETTLE), State);
next(_Finding, State) -> later(milliseconds(?INTERVAL), State).

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

%% With the steps that were done.
find(Server, Lately, Refused) ->
    case {easy_cluster_policy:current(), mnesia:system_info(is_running), easy_cluster_server:state()} of
        {undefined, _, _} -> {no_policy, []};
        {_, Running, _} when Running =/= yes -> {not_yet, []};
        %% It may be one that has Mnesia elsewhere for now.
        {_, yes, #{operation := Operation}} when Operation =/= none -> {{failed, {operation_in_progress, #{holder => node()}}}, []};
        {Text, yes, _} -> acted(wanted(easy_cluster_native:call(policy, #{text => Text}), Text), Server, Lately, Refused)
    end.

wanted({ok, #{sync := #{value := off}}}, _Text) -> off;
wanted({ok, #{sync := #{value := Mode}}}, Text) -> led(Mode, Text, judge(opinions()));
wanted({ok, #{sync := undefined}}, Text) -> led(propose, Text, judge(opinions()));
wanted({error, Reason}, _Text) -> {impossible, Reason}.

opinions() ->
    Timeout = milliseconds(?TIMEOUT),
    Ask = fun(Node) -> easy_cluster_rpc:call(Node, ?MODULE, opinion, [], Timeout) end,
    easy_cluster_rpc:parallel(Ask, [node() | others()], 2 * Timeout).

%% Who has a policy, who is paused, and who does not tell. A member without easy_cluster has no say, nor has one whose easy_cluster
%% is another and says what is not understood here.
-spec judge([{node(), {ok, {ok, term()} | {error, term()}} | {error, term()}}]) ->
          #{policies := [{node(), binary()}], paused := [node()], silent := [node()]}.
judge(Answers) ->
    #{policies => [{Node, Policy} || {Node, {ok, {ok, #{policy := Policy}}}} <- Answers, is_binary(Policy)],
      paused => [Node || {Node, {ok, {ok, #{paused := true}}}} <- Answers],
      silent => [Node || {Node, Answer} <- Answers, is_silent(Answer)]}.

is_silent({ok, {ok, _Opinion}}) -> false;
is_silent({ok, {error, undef}}) -> false;
is_silent(_NoAnswer) -> true.

led(Mode, Text, #{policies := Policies, paused := Paused, silent := Silent}) ->
    Leader = lists:min([node() | [Node || {Node, _} <- Policies]]),
    Different = [Node || {Node, Other} <- Policies, Other =/= Text],
    case {Leader =:= node(), Paused, Different} of
        {false, _, _} -> {follows, Leader};
        {true, [_ | _], _} -> {paused, Paused};
        {true, [], [_ | _]} -> {differs, Different};
        {true, [], []} -> agreed(Mode, Silent)
    end.

%% Who is silent may be paused, or want something else.
agreed(auto, [_ | _] = Silent) -> {silent, Silent};
agreed(Mode, _Silent) -> {acts, Mode}.

acted({acts, Mode}, Server, Lately, Refused) ->
    planned(Mode, easy_cluster_planner:unattended(Lately, maps:keys(Refused)), Server, maps:values(Refused));
acted(Finding, _Server, _Lately, _Refused) ->
    {Finding, []}.

planned(_Mode, {error, Reason}, _Server, _Refused) ->
    {{impossible, Reason}, []};
planned(Mode, {ok, #{steps := Steps, warnings := Warnings} = Plan}, Server, Refused) ->
    case {length(Steps) - 1, Mode} of
        {0, _} -> {settled(Warnings, Refused), []};
        {Count, propose} -> {{proposed, Count, Warnings}, []};
        {Count, auto} ->
            Result = easy_cluster_server:run(Plan, reporter(Server)),
            {brought(Result, Plan, Count), [essence(Action) || #{action := Action} <- Steps]}
    end.

settled(Warnings, Refused) ->
    case Refused ++ [Warning || {Code, _} = Warning <- Warnings, lists:member(Code, ?LEFT_UNDONE)] of
        [] -> {as_wanted, Warnings};
        _LeftUndone -> {waits, Warnings ++ Refused}
    end.

%% Told as it is done, so that it is known also when what follows fails.
reporter(Server) ->
    Looker = self(),
    fun({step, done, #{action := {_Name, #{table := Table, node := Node}}}, _Evidence}) ->
            Server ! {made, Looker, #{table => Table, node => Node}},
            ok;
       (_Event) ->
            ok
    end.

brought({ok, _}, #{id := Id}, Count) -> {brought, Id, Count};
brought({error, Reason}, _Plan, _Count) -> {failed, Reason}.

%% A step without what other writers change.
essence({Name, #{} = Args}) -> {Name, maps:with([table, node, storage], Args)};
essence(Action) -> Action.
