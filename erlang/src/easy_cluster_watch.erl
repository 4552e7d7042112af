%% What happens without an operator. Sends what this member says of itself to the others, has the core decide about once a second and
%% whenever something has come about, and carries out what it answers (`easy_cluster::watch'). It decides nothing.
%%
%% What takes long is done in processes of its own (`easy_cluster_watch_job').
-module(easy_cluster_watch).
-behaviour(gen_server).

-export([start_link/0]).
-export([look/0, changed/0, scrub/0]).
-export([state/0, looks/0, drift/0]).
-export([event/1]).
-export([view/0]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds, each with the key of the application's environment that says otherwise. The core says what they are for
%% (`easy_cluster::watch::Pace').
-define(TICK, {watch_tick, 1000}).
-define(PACE, #{settle => {sync_settle, 2000}, interval => {sync_interval, 60000}, retry => {sync_retry, 10000},
                patience => {sync_timeout, 5000}, scrub_interval => {scrub_interval, 86400000}}).
-define(ASK_TIMEOUT, 2000).

-type view() :: #{boot := non_neg_integer(), mnesia := yes | no | starting | stopping, db_nodes := [node()], running_db_nodes := [node()],
                  policy := binary() | undefined, paused := boolean(), scrub := boolean(), operation := node() | undefined}.
%% When a table was looked at, microseconds, and how many of its keys differed.
-type look() :: #{table := atom(), at := integer(), keys := non_neg_integer(), nodes := [node()]}.
%% What the tenants are at, and in words what became of the policy.
-type state() :: #{reconciler := map(), scrub := #{comparing := boolean(), looks := [look()]}, text := binary() | undefined}.
-export_type([view/0, look/0, state/0]).

-record(state, {memory = undefined :: undefined | map(),
                report = #{reconciler => #{}, scrub => #{comparing => false, looks => []}, text => undefined} :: state(),
                %% What was heard of the other members, and when, in milliseconds.
                heard = #{} :: #{node() => {{said, term()} | silence | no_say | other_version, integer()}},
                jobs = #{} :: #{pos_integer() => pid()},
                timer = none :: none | reference(),
                %% The Mnesia that tells its events.
                mnesia = undefined :: undefined | pid(),
                %% Why the core did not answer.
                failed = none :: term()}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Somebody has changed something, so that a look is worth it, whatever has failed before.
-spec look() -> ok.
look() ->
    event(asked).

%% Compares the copies of all tables at once instead of later, unless it does so already.
-spec scrub() -> ok.
scrub() ->
    event(scrub).

%% The policy or a setting of this member may have changed: the others hear of it.
-spec changed() -> ok.
changed() ->
    gen_server:cast(?MODULE, changed).

-spec event(term()) -> ok.
event(Event) ->
    gen_server:cast(?MODULE, {event, Event}).

-spec state() -> state().
state() ->
    gen_server:call(?MODULE, state).

%% What this member has seen of the copies.
-spec looks() -> [look()].
looks() ->
    #{scrub := #{looks := Looks}} = state(),
    Looks.

%% What differs, by the last look of whichever member at each table.
-spec drift() -> [#{table := atom(), keys := pos_integer(), nodes := [node()], seen := binary()}].
drift() ->
    Ask = fun(Node) -> easy_cluster_rpc:peer(Node, looks, ?ASK_TIMEOUT) end,
    Answers = easy_cluster_rpc:parallel(Ask, [node() | others()], 2 * ?ASK_TIMEOUT),
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

%% What this member says. Where nobody looks, it has no say on the policy, as it will not act; that it is paused counts all the same.
-spec view() -> view().
view() ->
    Looks = whereis(?MODULE) =/= undefined,
    Running = mnesia:system_info(is_running),
    #{boot => erlang:system_info(creation),
      mnesia => Running,
      db_nodes => nodes_of(Running, db_nodes),
      running_db_nodes => nodes_of(Running, running_db_nodes),
      policy => digest(Looks, easy_cluster_policy:current()),
      paused => easy_cluster_pause:is_paused(),
      scrub => Looks andalso is_scrubbed(),
      operation => operation(easy_cluster_operation:executor())}.

nodes_of(yes, Which) -> lists:sort(mnesia:system_info(Which));
nodes_of(_NotNow, _Which) -> [].

digest(true, Policy) when is_binary(Policy) -> binary:encode_hex(erlang:md5(Policy));
digest(_Looks, _Policy) -> undefined.

is_scrubbed() -> application:get_env(easy_cluster, scrub, true) =:= true.

operation(undefined) ->
    case easy_cluster_lock:holders() of
        [Holder | _] -> Holder;
        [] -> undefined
    end;
operation(_Here) -> node().

others() ->
    nodes_of(mnesia:system_info(is_running), running_db_nodes) -- [node()].

%% A Mnesia that stops ends who has subscribed with it.
init([]) ->
    process_flag(trap_exit, true),
    {ok, #state{}, {continue, changed}}.

handle_continue(changed, State) ->
    {noreply, tick(State)}.

handle_call(state, _From, #state{report = Report} = State) ->
    {reply, Report, State}.

handle_cast({view, Version, Node, View}, #state{heard = Heard} = State) when is_atom(Node) ->
    What = case easy_cluster_rpc:protocol() of
               Version -> {said, View};
               _Another -> other_version
           end,
    {noreply, State#state{heard = Heard#{Node => {What, now_ms()}}}};
handle_cast({heard, Node, Answer}, #state{heard = Heard} = State) ->
    {noreply, decide([], State#state{heard = Heard#{Node => {Answer, now_ms()}}})};
handle_cast({event, Event}, State) ->
    {noreply, decide([Event], State)};
handle_cast(changed, State) ->
    {noreply, tick(State)};
handle_cast(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

handle_info(tick, State) ->
    {noreply, tick(State#state{timer = none})};
handle_info({mnesia_system_event, {Event, _Node}}, State) when Event =:= mnesia_up; Event =:= mnesia_down ->
    {noreply, tick(State)};
handle_info({mnesia_table_event, {_Event, Record, _Activity}}, State) when element(1, Record) =:= schema ->
    {noreply, decide([tables_changed], State)};
handle_info({'DOWN', _Monitor, process, Pid, Reason}, #state{jobs = Jobs} = State) ->
    Ended = [Job || {Job, Its} <- maps:to_list(Jobs), Its =:= Pid],
    {noreply, decide(died(Ended, Reason), State#state{jobs = maps:without(Ended, Jobs)})};
%% A job has ended, or Mnesia stops here.
handle_info({'EXIT', _Pid, _Reason}, State) ->
    {noreply, decide([], State)};
handle_info({Kind, _OtherOfMnesia}, State) when Kind =:= mnesia_system_event; Kind =:= mnesia_table_event ->
    {noreply, State};
handle_info(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

%% A job says what it has come to before it ends.
died(_Ended, normal) -> [];
died(Ended, Reason) -> [{failed, #{job => Job, problems => [easy_cluster_watch_job:died(Reason)]}} || Job <- Ended].

%%% Deciding

%% Nobody is waited for: a link that is full or being made gets the view of the next time.
tick(State) ->
    View = view(),
    _ = [erlang:send({?MODULE, Node}, {'$gen_cast', {view, easy_cluster_rpc:protocol(), node(), View}}, [nosuspend, noconnect]) || Node <- others()],
    decide([], subscribed(State)).

decide(Events, #state{memory = Memory, heard = Heard} = State) ->
    #{running_db_nodes := Running} = Own = view(),
    Now = now_ms(),
    Others = maps:with(Running -- [node()], Heard),
    Members = [#{node => Node, heard => What, ago => Now - At} || {Node, {What, At}} <- maps:to_list(Others)],
    Seen = #{here => node(), now => Now, pace => pace(), policy => easy_cluster_policy:current(), events => Events,
             members => [#{node => node(), heard => {said, Own}, ago => 0} | Members]},
    case easy_cluster_native:call(watch, #{memory => Memory, seen => Seen}) of
        {ok, #{memory := Next, effects := Effects, wake := Wake, report := Report, text := Text}} ->
            Decided = State#state{memory = Next, report = Report#{text => Text}, heard = Others, failed = none},
            later(Wake, lists:foldl(fun carry_out/2, Decided, Effects));
        {error, Reason} ->
            undecided(Reason, Events, State#state{heard = Others})
    end.

%% A member of another version says what is not understood here, or a job has failed with what is no problem of the catalogue.
undecided(Reason, Events, #state{heard = Heard} = State) ->
    Plain = [easy_cluster_watch_job:plain(Event) || Event <- Events],
    Understood = maps:map(fun(_Node, {What, At}) -> {understood(What), At} end, Heard),
    case {Plain, Understood} of
        {Events, Heard} ->
            [logger:error(#{what => easy_cluster_watch, reason => Reason}) || Reason =/= State#state.failed],
            later(undefined, State#state{failed = Reason});
        _Plainer ->
            decide(Plain, State#state{heard = Understood})
    end.

understood({said, #{boot := Boot, mnesia := _, db_nodes := Members, running_db_nodes := Running, policy := Policy, paused := Paused, scrub := Scrub,
                    operation := Operation}} = Said)
  when is_integer(Boot), is_list(Members), is_list(Running), is_boolean(Paused), is_boolean(Scrub), is_atom(Operation), is_binary(Policy) orelse Policy =:= undefined -> Said;
understood({said, _Otherwise}) -> other_version;
understood(Other) -> Other.

pace() ->
    (maps:map(fun(_Name, Setting) -> milliseconds(Setting) end, ?PACE))#{scrub => is_scrubbed()}.

milliseconds({Key, Default}) ->
    application:get_env(easy_cluster, Key, Default).

now_ms() ->
    erlang:monotonic_time(millisecond).

%% The next tick comes in time for what the core has to do next.
later(Wake, #state{timer = Timer} = State) ->
    Tick = milliseconds(?TICK),
    Wanted = max(1, min(Wake, Tick)),
    case Timer =/= none andalso erlang:read_timer(Timer) of
        Left when is_integer(Left), Left =< Wanted ->
            State;
        _Later ->
            _ = [erlang:cancel_timer(Timer) || Timer =/= none],
            State#state{timer = erlang:send_after(Wanted, self(), tick)}
    end.

%% A Mnesia that was stopped has forgotten who wanted to know.
subscribed(#state{mnesia = Known} = State) ->
    case {mnesia:system_info(is_running), whereis(mnesia_sup)} of
        {yes, Mnesia} when Mnesia =/= Known ->
            lists:foreach(fun subscribe/1, [system, {table, schema, simple}]),
            State#state{mnesia = Mnesia};
        _NotNow ->
            State
    end.

subscribe(Category) ->
    try mnesia:subscribe(Category) of
        _Subscribed -> ok
    catch
        %% It is just stopping.
        exit:{_Reason, {gen_server, call, _}} -> ok
    end.

%%% What was decided

carry_out({ask, Nodes}, State) ->
    lists:foreach(fun ask/1, Nodes),
    State;
carry_out({plan, #{job := Job, lately := Lately, refused := Refused}}, State) ->
    begun(Job, fun() -> easy_cluster_watch_job:plan(Job, Lately, Refused) end, [], State);
carry_out({compare, #{job := Job}}, State) ->
    begun(Job, fun() -> easy_cluster_watch_job:compare(Job) end, [link, {priority, low}], State);
carry_out({commit, #{job := Job}}, State) ->
    told(Job, commit, State);
carry_out({drop, #{job := Job}}, State) ->
    told(Job, drop, State);
carry_out({stop, #{job := Job}}, #state{jobs = Jobs} = State) ->
    _ = [begin true = unlink(Pid), exit(Pid, kill) end || #{Job := Pid} <- [Jobs]],
    State#state{jobs = maps:remove(Job, Jobs)};
carry_out({say, Saying}, State) ->
    say(Saying),
    State.

begun(Job, Fun, Options, #state{jobs = Jobs} = State) ->
    {Pid, _Monitor} = spawn_opt(Fun, [monitor | Options]),
    State#state{jobs = Jobs#{Job => Pid}}.

told(Job, Word, #state{jobs = Jobs} = State) ->
    _ = [Pid ! {Word, Job} || #{Job := Pid} <- [Jobs]],
    State.

ask(Node) ->
    Timeout = milliseconds(maps:get(patience, ?PACE)),
    Ask = fun() -> gen_server:cast(?MODULE, {heard, Node, heard(easy_cluster_rpc:peer(Node, view, Timeout))}) end,
    _ = spawn(Ask),
    ok.

heard({ok, View}) -> {said, View};
heard({error, undef}) -> no_say;
heard({error, {other_version, _}}) -> other_version;
heard({error, _NoAnswer}) -> silence.

say({found, Finding}) ->
    logger:notice(#{what => easy_cluster_watch, finding => Finding});
say({put_off, Reason}) ->
    logger:info(#{what => easy_cluster_watch, comparison => put_off, reason => Reason});
say({differs, #{table := Table, keys := Keys, nodes := Nodes, at := At}}) ->
    Problem = {copies_differ, #{table => Table, keys => Keys, nodes => Nodes, seen => utc(At)}},
    logger:warning("~ts", [easy_cluster_text:error(Problem)]);
say({the_same_again, Table}) ->
    logger:notice(#{what => easy_cluster_watch, table => Table, the_same_again => true});
say({not_compared, #{table := Table, node := Node, reason := Reason}}) ->
    logger:notice(#{what => easy_cluster_watch, table => Table, node => Node, not_compared => Reason}).
