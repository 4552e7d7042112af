%% Runs operations in processes of their own, one at a time, so that neither a shell that goes away nor the stop of ejabberd
%% ends them. Remembers members that still have to forget this node and tries again.
%%
%% The process of an operation outlives this one, as it may be half-way in the database. It bears a name, by which there is only
%% one; whoever is started meanwhile adopts it, and sees what is left to do when it has ended.
-module(easy_cluster_server).
-behaviour(gen_server).

-export([start_link/0]).
-export([run/2, backup/3]).
-export([remember/1, remembered/1]).
-export([subscribe/1, unsubscribe/1]).
-export([resume/1]).
-export([drop_kept/2, drop_archive/2]).
-export([state/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(RETRY_INTERVAL, 1000).
-define(RETRY_TIMEOUT, 3000).
-define(RESUME_INTERVAL, 10000).
%% So many plans are remembered.
-define(PLANS, 16).
%% Who has so many messages waiting gets no progress.
-define(SLOW, 100).
%% The name of the process that carries an operation out.
-define(EXECUTOR, easy_cluster_operation).

-record(state, {operation = none :: none | operation(),
                pending = [] :: [{Id :: binary(), node()}],
                %% When what was interrupted goes on, and what its last attempt has come to.
                resume = none :: none | reference(),
                told = none :: term(),
                %% The last plans, the newest first.
                plans = [] :: [easy_cluster_planner:plan()],
                %% Who gets the events of all operations, with its monitor.
                subscribers = #{} :: #{pid() => reference()},
                %% Forgotten nodes that came back, with the last time.
                returned = #{} :: #{node() => calendar:datetime()}}).
-type operation() :: #{id := binary(), pid := pid(), monitor := reference(), owner := pid() | none, tag := reference(),
                       step := term(), progress := easy_cluster_progress:progress()}.

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Commits a plan and returns how it ended; Report is called in this process with each event.
-spec run(easy_cluster_planner:plan(), easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
run(Plan, Report) ->
    ordered({run, Plan}, Report).

%% Goes on with what was interrupted here, as the start of this node would.
-spec resume(easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
resume(Report) ->
    ordered(resume, Report).

%% Gives up the database that an operation has kept; Confirm is its name once more.
-spec drop_kept(binary(), binary() | undefined) -> {ok, map()} | easy_cluster_planner:error().
drop_kept(Id, Confirm) ->
    ordered({drop_kept, Id, Confirm}, fun(_Event) -> ok end).

%% The same with archived rows.
-spec drop_archive(binary(), binary() | undefined) -> {ok, map()} | easy_cluster_planner:error().
drop_archive(Id, Confirm) ->
    ordered({drop_archive, Id, Confirm}, fun(_Event) -> ok end).

%% Makes a backup: an operation as any other, with an event for each table.
-spec backup(file:filename(), easy_cluster_backup:wanted(), easy_cluster_walker:report()) ->
    {ok, easy_cluster_backup:manifest()} | {error, easy_cluster_backup:problem()} | easy_cluster_planner:error().
backup(Folder, Wanted, Report) ->
    ordered({backup, Folder, Wanted}, Report).

ordered(Order, Report) ->
    Monitor = erlang:monitor(process, ?MODULE),
    case gen_server:call(?MODULE, Order, infinity) of
        {ok, Tag, Executor} -> follow(Tag, Executor, Monitor, Report);
        {error, Reason} ->
            erlang:demonitor(Monitor, [flush]),
            {error, Reason}
    end.

follow(Tag, Executor, Monitor, Report) ->
    receive
        {Tag, event, Event} ->
            ok = Report(Event),
            follow(Tag, Executor, Monitor, Report);
        {Tag, result, Result} ->
            erlang:demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, _, _Reason} ->
            outlived(erlang:monitor(process, Executor))
    end.

%% The server is gone, and what it has begun goes on.
outlived(Monitor) ->
    receive
        {'DOWN', Monitor, process, _, Reason} -> result(<<"?">>, Reason)
    end.

%% Keeps a plan until others have come after it.
-spec remember(easy_cluster_planner:plan()) -> ok.
remember(Plan) ->
    gen_server:call(?MODULE, {remember, Plan}).

%% The plan of a name, or the last one.
-spec remembered(Id :: binary()) -> {ok, easy_cluster_planner:plan()} | easy_cluster_planner:error().
remembered(Id) ->
    gen_server:call(?MODULE, {remembered, Id}).

%% Has a process of this node get `{easy_cluster, Id, Event}' for each event of each operation.
-spec subscribe(pid()) -> ok.
subscribe(Pid) ->
    gen_server:call(?MODULE, {subscribe, Pid}).

-spec unsubscribe(pid()) -> ok.
unsubscribe(Pid) ->
    gen_server:call(?MODULE, {unsubscribe, Pid}).

-spec state() -> #{operation := none | map(), pending := [node()], returned := #{node() => calendar:datetime()}}.
state() ->
    gen_server:call(?MODULE, state).

init([]) ->
    {ok, begin_with(easy_cluster_operation:executor())}.

begin_with(undefined) ->
    ok = easy_cluster_recovery:before_mnesia(),
    take_up(#state{});
begin_with(Pid) ->
    adopt(Pid, #state{}).

%% What others have left to do. Members that were left behind before this VM was started stand in the journals.
take_up(#state{pending = Known} = State) ->
    self() ! recover,
    Directory = mnesia:system_info(directory),
    ok = easy_cluster_drop:finish(Directory),
    ok = easy_cluster_directory:drop_probes(Directory),
    Pending = lists:usort(easy_cluster_history:pending(Directory) ++ Known),
    ok = easy_cluster_bar:here(nodes_of(Pending)),
    _ = [retry_later() || Pending =/= []],
    _ = [fence_later() || easy_cluster_history:unfenced(Directory)],
    State#state{pending = Pending}.

%% Mnesia may have its directory elsewhere meanwhile, and a journal is being written. Nobody waits for the result.
adopt(Pid, State) ->
    Monitor = erlang:monitor(process, Pid),
    Begun = case erlang:process_info(Pid, dictionary) of
                {dictionary, Dictionary} -> proplists:get_value(?EXECUTOR, Dictionary, unknown());
                undefined -> unknown()
            end,
    logger:notice(#{what => easy_cluster_adopted, operation => maps:get(id, Begun)}),
    State#state{operation = Begun#{pid => Pid, monitor => Monitor, owner => none, step => none}}.

unknown() ->
    #{id => <<>>, tag => make_ref(), progress => none}.

nodes_of(Pending) ->
    lists:usort([Node || {_Id, Node} <- Pending]).

handle_call({run, Plan}, {Owner, _}, #state{operation = none} = State) ->
    begun(maps:get(id, Plan, <<>>), Plan, Owner, fun(Report) -> easy_cluster_executor:commit(Plan, Report) end, State);
handle_call(resume, {Owner, _}, #state{operation = none} = State) ->
    Directory = mnesia:system_info(directory),
    case easy_cluster_history:unfinished(Directory) of
        undefined -> {reply, {error, {nothing_to_resume, #{here => node()}}}, State};
        Id -> begun(Id, none, Owner, fun(Report) -> easy_cluster_recovery:run(Directory, Report) end, State)
    end;
handle_call({drop_kept, Id, Confirm}, {Owner, _}, #state{operation = none} = State) ->
    begun(Id, none, Owner, fun(_Report) -> dropped(mnesia:system_info(directory), Id, Confirm) end, State);
handle_call({drop_archive, Id, Confirm}, {Owner, _}, #state{operation = none} = State) ->
    begun(Id, none, Owner, fun(_Report) -> archive_dropped(mnesia:system_info(directory), Id, Confirm) end, State);
handle_call({backup, Folder, Wanted}, {Owner, _}, #state{operation = none} = State) ->
    Backup = fun(Report) ->
                     Told = fun(Table) -> Report({backed_up, Table}) end,
                     easy_cluster_backup:write(Folder, Wanted#{report => Told})
             end,
    begun(<<"backup">>, none, Owner, Backup, State);
handle_call(state, _From, #state{operation = Operation, pending = Pending, returned = Returned} = State) ->
    {reply, #{operation => shown(Operation), pending => nodes_of(Pending), returned => Returned}, State};
handle_call({remember, #{id := Id} = Plan}, _From, #state{plans = Plans} = State) ->
    Others = [Other || #{id := OtherId} = Other <- Plans, OtherId =/= Id],
    {reply, ok, State#state{plans = lists:sublist([Plan | Others], ?PLANS)}};
handle_call({remembered, Id}, _From, #state{plans = Plans} = State) ->
    {reply, plan_of(Id, Plans), State};
handle_call({subscribe, Pid}, _From, #state{subscribers = Subscribers} = State) when is_map_key(Pid, Subscribers) ->
    {reply, ok, State};
handle_call({subscribe, Pid}, _From, #state{subscribers = Subscribers} = State) ->
    {reply, ok, State#state{subscribers = Subscribers#{Pid => erlang:monitor(process, Pid)}}};
handle_call({unsubscribe, Pid}, _From, State) ->
    {reply, ok, unsubscribed(Pid, State)};
handle_call(_Order, _From, State) ->
    {reply, {error, {operation_in_progress, #{holder => node()}}}, State}.

plan_of(<<"last">>, [Plan | _Older]) -> {ok, Plan};
plan_of(<<"last">>, []) -> {error, {no_plan, #{here => node()}}};
plan_of(Id, Plans) ->
    case [Plan || #{id := Known} = Plan <- Plans, Known =:= Id] of
        [Plan] -> {ok, Plan};
        [] -> {error, {unknown_plan, #{id => Id, known => iolist_to_binary(lists:join(", ", [Known || #{id := Known} <- Plans]))}}}
    end.

unsubscribed(Pid, #state{subscribers = Subscribers} = State) ->
    case maps:take(Pid, Subscribers) of
        {Monitor, Others} ->
            erlang:demonitor(Monitor, [flush]),
            State#state{subscribers = Others};
        error -> State
    end.

%% Nobody who looks on holds an operation up.
publish(Id, Event, Subscribers) ->
    _ = [Pid ! {easy_cluster, Id, Event} || Pid <- maps:keys(Subscribers), keeps_up(Event, Pid)],
    ok.

keeps_up({progress, _}, Pid) when node(Pid) =:= node() ->
    case erlang:process_info(Pid, message_queue_len) of
        {message_queue_len, Waiting} -> Waiting < ?SLOW;
        undefined -> false
    end;
keeps_up(_Event, _Pid) -> true.

begun(Id, Plan, Owner, Fun, State) ->
    #{tag := Tag, pid := Executor} = Operation = begin_operation(Id, Plan, Owner, Fun),
    {reply, {ok, Tag, Executor}, State#state{operation = Operation}}.

shown(none) -> none;
shown(#{progress := Progress} = Operation) ->
    (maps:with([id, step], Operation))#{progress => easy_cluster_progress:told(Progress, erlang:monotonic_time(millisecond))}.

%% Only nodes say this, of themselves; the last ones are enough.
handle_cast({returned, Node}, #state{returned = Returned} = State) when is_atom(Node), map_size(Returned) < 100 ->
    {noreply, State#state{returned = Returned#{Node => calendar:universal_time()}}};
handle_cast({returned, _Node}, State) ->
    {noreply, State};
handle_cast(resume, #state{resume = none} = State) ->
    {noreply, State#state{resume = erlang:send_after(?RESUME_INTERVAL, self(), recover)}};
handle_cast(resume, State) ->
    {noreply, State};
handle_cast({event, Tag, Event}, #state{operation = #{id := Id, tag := Tag, owner := Owner, progress := Progress} = Operation} = State) ->
    [Owner ! {Tag, event, Event} || is_pid(Owner), Owner =/= self()],
    publish(Id, Event, State#state.subscribers),
    {noreply, State#state{operation = Operation#{step := last_step(Event, Operation), progress := easy_cluster_progress:event(Event, Progress)}}};
handle_cast(unfenced, State) ->
    fence_later(),
    {noreply, State};
handle_cast({pending, []}, State) ->
    {noreply, State};
handle_cast({pending, More}, #state{pending = Pending} = State) ->
    retry_later(),
    {noreply, State#state{pending = lists:usort(More ++ Pending)}};
handle_cast(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

handle_info({'DOWN', Monitor, process, _, Reason}, #state{operation = #{monitor := Monitor} = Operation} = State) ->
    #{id := Id, owner := Owner, tag := Tag} = Operation,
    Result = result(Id, Reason),
    publish(Id, {ended, outcome(Result)}, State#state.subscribers),
    Left = State#state{operation = none},
    case Owner of
        none -> {noreply, take_up(told(Result, Left))};
        _Pid ->
            Owner ! {Tag, result, Result},
            {noreply, Left}
    end;
handle_info({'DOWN', Monitor, process, Pid, _Reason}, #state{subscribers = Subscribers} = State)
  when map_get(Pid, Subscribers) =:= Monitor ->
    {noreply, unsubscribed(Pid, State)};
%% What was interrupted goes on when Mnesia runs. Its owner is this process, as nobody waits for it.
handle_info(recover, #state{operation = none, resume = Timer} = State) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= none],
    {noreply, recover(easy_cluster_operation:executor(), Timer =/= none, State#state{resume = none})};
handle_info(recover, State) ->
    easy_cluster_operation:resume(),
    {noreply, State#state{resume = none}};
handle_info({_Tag, result, Result}, State) ->
    {noreply, told(Result, State)};
handle_info(retry, #state{pending = []} = State) ->
    {noreply, State};
%% Not while an operation runs, which may be about the same members.
handle_info(retry, #state{operation = none, pending = Pending} = State) ->
    Server = self(),
    _ = spawn_link(fun() -> Server ! {retried, retry_all(nodes_of(Pending))} end),
    {noreply, State};
handle_info(retry, State) ->
    retry_later(),
    {noreply, State};
%% Not while an operation runs, which has the lock or may want it.
handle_info(fence, #state{operation = none} = State) ->
    Server = self(),
    Complete = fun(fence) -> easy_cluster_fence:complete() end,
    _ = spawn_link(fun() -> Server ! {fenced, easy_cluster_rpc:parallel(Complete, [fence], infinity) =:= [{fence, {ok, true}}]} end),
    {noreply, State};
handle_info(fence, State) ->
    fence_later(),
    {noreply, State};
handle_info({fenced, true}, State) ->
    {noreply, State};
handle_info({fenced, false}, State) ->
    fence_later(),
    {noreply, State};
handle_info({retried, Answers}, #state{pending = Pending} = State) ->
    Left = easy_cluster_forget:left_behind(Answers),
    Told = [Node || {Node, _Answer} <- Answers] -- Left,
    ok = easy_cluster_bar:lift(Told),
    {Done, StillPending} = lists:partition(fun({_Id, Node}) -> lists:member(Node, Told) end, Pending),
    lists:foreach(fun note_forgotten/1, Done),
    retry_later(),
    {noreply, State#state{pending = StillPending}};
handle_info(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

%% What has failed in this VM may have left Mnesia stopped, which nobody else will start. At the start of a VM somebody does.
recover(undefined, FailedHere, State) ->
    Directory = mnesia:system_info(directory),
    case {easy_cluster_history:unfinished(Directory), FailedHere orelse mnesia:system_info(is_running) =:= yes} of
        {undefined, _} ->
            State;
        {Id, true} ->
            Recover = fun(Report) -> easy_cluster_recovery:run(Directory, Report) end,
            State#state{operation = begin_operation(Id, none, self(), Recover)};
        {_Id, false} ->
            _ = erlang:send_after(?RETRY_INTERVAL, self(), recover),
            State
    end;
%% It was just being begun when this server's predecessor died.
recover(Pid, _FailedHere, State) ->
    adopt(Pid, State).

%% What is tried again and again is told once.
told(Result, #state{told = Result} = State) ->
    State;
told(Result, State) ->
    logger:notice(#{what => easy_cluster_recovered, result => easy_cluster_text:print(Result)}),
    State#state{told = Result}.

dropped(Directory, Id, Confirm) ->
    case easy_cluster_directory:kept(Directory) of
        {error, Reason} -> {error, Reason};
        Kept ->
            Facts = [maps:with([id, files, bytes, shared], Database) || Database <- Kept],
            Request = #{id => Id, confirm => Confirm, kept => Facts, unfinished => easy_cluster_history:unfinished(Directory)},
            Drop = fun(Database) -> easy_cluster_drop:kept(Directory, Database) end,
            allowed(easy_cluster_native:call(drop_kept, Request), [Database || #{id := Of} = Database <- Facts, Of =:= Id], Drop)
    end.

archive_dropped(Directory, Id, Confirm) ->
    case easy_cluster_directory:archives(Directory) of
        {error, Reason} -> {error, Reason};
        Archives ->
            Request = #{id => Id, confirm => Confirm, archives => Archives, unfinished => easy_cluster_history:unfinished(Directory)},
            Drop = fun(Archive) -> easy_cluster_drop:archive(Directory, Archive) end,
            allowed(easy_cluster_native:call(drop_archive, Request), [Archive || #{id := Of} = Archive <- Archives, Of =:= Id], Drop)
    end.

allowed({ok, _May}, [Stored], Drop) ->
    case Drop(Stored) of
        ok -> {ok, Stored};
        {error, Reason} -> {error, Reason}
    end;
allowed({error, Reason}, _Stored, _Drop) ->
    {error, Reason}.

begin_operation(Id, Plan, Owner, Fun) ->
    Begun = #{id => Id, tag => make_ref(), progress => easy_cluster_progress:begun(Plan, erlang:monotonic_time(millisecond))},
    {Pid, Monitor} = spawn_monitor(fun() -> exit({result, executed(Begun, Fun)}) end),
    Begun#{pid => Pid, monitor => Monitor, owner => Owner, step => none}.

%% Nothing is touched before the name is this process's own.
executed(#{tag := Tag} = Begun, Fun) ->
    try register(?EXECUTOR, self()) of
        true ->
            put(?EXECUTOR, Begun),
            Fun(fun(Event) -> gen_server:cast(?MODULE, {event, Tag, Event}) end)
    catch
        error:badarg -> {error, {operation_in_progress, #{holder => node()}}}
    end.

retry_all(Pending) ->
    easy_cluster_rpc:answers(fun(Node) -> easy_cluster_forget:retry(Node, ?RETRY_TIMEOUT) end, Pending, 4 * ?RETRY_TIMEOUT).

retry_later() ->
    _ = erlang:send_after(?RETRY_INTERVAL, self(), retry),
    ok.

fence_later() ->
    _ = erlang:send_after(?RETRY_INTERVAL, self(), fence),
    ok.

note_forgotten({Id, Node}) ->
    logger:notice(#{what => easy_cluster_forgotten_by, member => Node, operation => Id}),
    case easy_cluster_history:forgotten(mnesia:system_info(directory), Id, Node) of
        ok -> ok;
        %% It will be asked once more after a restart, and will say that it knows nothing of this node.
        {error, Reason} -> logger:error(#{what => easy_cluster_journal, operation => Id, reason => Reason})
    end.

last_step({step, _, Step, _}, _Operation) -> Step;
last_step({undo, Action}, _Operation) -> {undo, Action};
last_step({progress, _}, #{step := Step}) -> Step;
last_step({backed_up, #{name := Table}}, _Operation) -> {backed_up, Table}.

outcome({ok, _What}) -> ok;
outcome({error, Reason}) -> {error, Reason}.

result(_Id, {result, Result}) -> Result;
result(Id, Reason) -> {error, {operation_died, #{id => Id, reason => easy_cluster_text:print(Reason)}}}.
