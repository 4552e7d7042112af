%% Carries out a plan: for each step journals the intent, does it, checks it, journals the outcome. When one fails, either
%% takes back what was begun, or stops with what is good in itself.
-module(easy_cluster_executor).

-export([commit/2, commit_offline/3]).
-export([recover_offline/1, recover_online/2]).

%% In the journal: an interrupted operation goes forward, and what needs a stopped Mnesia for that is done.
-define(OFFLINE_DONE, {recovered, offline}).
%% It goes back, and so much for that is done.
-define(BACK_DONE, {recovered, back}).

%% Takes the cluster's lock, refuses a plan that no longer fits, and carries it out.
-spec commit(easy_cluster_planner:plan(), easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
commit(#{members := Members, node := Node, options := #{timeout := Timeout}} = Plan, Report) when Node =:= node() ->
    Before = nodes(),
    Result = case easy_cluster_step:run({connect, #{nodes => Members}}, #{timeout => Timeout}) of
                 {ok, _} -> locked(easy_cluster_lock:take([node() | Members]), [node() | Members], Plan, Report);
                 {error, {Silent, Reason}} -> {error, {no_connection, #{node => Silent, reason => easy_cluster_text:print(Reason)}}}
             end,
    leave_strangers(Members, Before),
    Result;
commit(#{node := Node}, _Report) ->
    {error, {bad_plan, #{reason => iolist_to_binary(["it was made on ", atom_to_list(Node), " and is carried out there only"])}}}.

%% What was refused or taken back leaves no connection behind, nor does a membership that has ended. A node that was connected to
%% one of them before, has members of its own, or is about to take somebody in stays in the mesh that all of these are in.
leave_strangers(Connected, Before) ->
    Own = own_members(mnesia:system_info(is_running)) -- [node()],
    case {Own, easy_cluster_lock:holders(), [Node || Node <- Connected, lists:member(Node, Before)]} of
        {[], [], []} -> easy_cluster_bar:leave(Connected);
        _Needed -> ok
    end.

own_members(no) -> [];
own_members(_Running) -> mnesia:system_info(db_nodes).

locked(ok, Nodes, Plan, Report) ->
    try checked(easy_cluster_planner:recheck(Plan), Plan, Report)
    after easy_cluster_lock:release(Nodes)
    end;
locked({error, Reason}, _Nodes, _Plan, _Report) ->
    {error, Reason}.

checked(ok, Plan, Report) ->
    commit_offline(Plan, mnesia:system_info(directory), Report);
checked({error, Reason}, _Plan, _Report) ->
    {error, Reason}.

%% Carries out a plan that is about nobody but the database in Directory.
-spec commit_offline(easy_cluster_planner:plan(), file:filename(), easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
commit_offline(#{id := Id} = Plan, Directory, Report) ->
    ok = easy_cluster_drop:old(Directory),
    case easy_cluster_journal:create(Directory, Id, {begun, Plan}) of
        {ok, Journal} -> run(maps:get(steps, Plan), Journal, easy_cluster_walker:context(Plan, Directory, Report));
        {error, Reason} -> {error, Reason}
    end.

%%% Forward, and back where a step has failed

run(Steps, Journal, Context) ->
    ended(easy_cluster_walker:walk(Steps, forward, Journal, Context)).

%% The last outcomes go to disc with the end.
ended({done, Journal, #{id := Id, plan := Plan, pending := Pending, unwritten := Unwritten}}) ->
    finish(Journal, Unwritten, done, #{pending => Pending}),
    easy_cluster_operation:pending(Id, Pending),
    {ok, Plan};
ended({{not_begun, Error}, Journal, #{unwritten := Unwritten}}) ->
    finish(Journal, Unwritten, stopped, #{}),
    Error;
ended({{failed, #{on_failure := keep} = Step, Reason}, Journal, Context}) ->
    finish(Journal, [], stopped, #{}),
    step_failed(Step, Reason, <<"What was done before is good in itself and stays">>, Context);
ended({{failed, #{on_failure := resume} = Step, Reason}, Journal, Context}) ->
    ok = easy_cluster_journal:close(Journal),
    easy_cluster_operation:resume(),
    step_failed(Step, Reason, <<"It cannot be taken back and goes on by itself as soon as it can">>, Context);
ended({{failed, #{on_failure := undo, number := Number} = Step, Reason}, Journal, #{plan := #{undo := Undo}} = Context}) ->
    WayBack = [#{action => Action} || #{since := Since, action := Action} <- Undo, Since =< Number],
    undone(easy_cluster_walker:walk(WayBack, back, Journal, Context#{pending := []}), Step, Reason).

undone({done, Journal, #{id := Id, pending := Pending} = Context}, Step, Reason) ->
    finish(Journal, [], undone, #{pending => Pending}),
    easy_cluster_operation:pending(Id, Pending),
    step_failed(Step, Reason, words_of_undone(Pending), Context);
undone({{failed, #{action := Action}, Why}, Journal, Context}, Step, Reason) ->
    ok = easy_cluster_journal:close(Journal),
    step_failed(Step, Reason, words_of_stuck(Action, Why), Context).

words_of_undone([]) ->
    <<"Everything was taken back: this node is what it was">>;
words_of_undone(Pending) ->
    iolist_to_binary(["Everything was taken back here; ", lists:join(", ", [atom_to_list(Node) || Node <- Pending]),
                      " cannot be reached and will be told to forget this node when back"]).

words_of_stuck(Action, Why) ->
    unicode:characters_to_binary(io_lib:format("The way back stopped at ~ts: ~ts; the kept database and the journal are "
                                               "in the folder easy_cluster of the Mnesia directory",
                                               [name(Action), easy_cluster_text:print(Why)])).

%% A step that refuses has a problem of the catalogue for it, which says what to do and comes first.
step_failed(Step, {refused, {Code, Details} = Problem}, Outcome, Context) ->
    {error, {step_failed, Failed}} = step_failed(Step, Code, Outcome, Context),
    {error, {Code, Details#{problems => [Problem, {step_failed, Failed}]}}};
step_failed(#{number := Number, action := Action}, Reason, Outcome, #{id := Id}) ->
    {error, {step_failed, #{id => Id, number => Number, step => name(Action), reason => easy_cluster_text:print(Reason),
                            outcome => Outcome}}}.

finish(Journal, Events, Outcome, Details) ->
    ok = easy_cluster_journal:close(easy_cluster_journal:note(Journal, Events ++ [{outcome, Outcome, Details}])).

name({Name, _Args}) -> atom_to_binary(Name);
name(Name) -> atom_to_binary(Name).


%%% After an interruption

%% Does what an interrupted operation needs while Mnesia is stopped, and says what it came to. To be called before Mnesia
%% starts; where it runs already, it is stopped and started again.
-spec recover_offline(file:filename()) -> none | {forward | back | nowhere, Id :: binary()} | {error, term()}.
recover_offline(Directory) ->
    case {easy_cluster_salvage:settle(Directory), easy_cluster_history:begun(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {ok, undefined} -> none;
        {ok, Id} -> recover_offline(Directory, Id, easy_cluster_journal:read(Directory, Id))
    end.

recover_offline(Directory, Id, {ok, #{events := Entries, tail := Tail}}) ->
    Events = [Event || {_Sequence, _At, Event} <- Entries],
    case Events of
        [{begun, Plan} | Rest] ->
            case {lists:member(?OFFLINE_DONE, Rest), lists:member(?BACK_DONE, Rest)} of
                {true, _} -> {forward, Id};
                {_, true} -> {back, Id};
                {false, false} -> recover_offline(Directory, Id, Plan, Events, Tail)
            end;
        %% Its writer died before the plan was on disc, and nothing was done.
        [] -> closed(Directory, Id, undone, #{pending => []}, {back, Id})
    end;
recover_offline(_Directory, _Id, {error, Reason}) ->
    {error, Reason}.

recover_offline(Directory, Id, Plan, Events, Tail) ->
    case {recovery(Directory, Plan, Events, Tail), easy_cluster_journal:open(Directory, Id)} of
        {{ok, #{direction := nowhere}}, {ok, Journal}} ->
            stopped(easy_cluster_journal:note(Journal, [{recovery, nowhere}]), Plan, Events),
            {nowhere, Id};
        {{ok, #{direction := Direction, offline := Offline, online := Online}}, {ok, Journal}} ->
            Noted = easy_cluster_journal:note(Journal, [{recovery, Direction}]),
            Context = started(Events, easy_cluster_walker:context(Plan, Directory, fun(_Event) -> ok end)),
            Steps = [#{action => Action} || Action <- Offline],
            Way = case Direction of
                      forward -> settle;
                      back -> back
                  end,
            settled(easy_cluster_walker:walk(Steps, Way, Noted, Context#{pending := []}), Direction, Online);
        {{ok, _}, {error, {Code, Details}}} ->
            {error, {recovery_failed, #{id => Id, step => atom_to_binary(Code), reason => easy_cluster_text:print(Details)}}};
        {{error, Reason}, {ok, Journal}} ->
            ok = easy_cluster_journal:close(Journal),
            {error, {recovery_failed, #{id => Id, step => <<"recover">>, reason => easy_cluster_text:print(Reason)}}};
        {{error, Reason}, {error, _}} ->
            {error, {recovery_failed, #{id => Id, step => <<"recover">>, reason => easy_cluster_text:print(Reason)}}}
    end.

recovery(Directory, #{id := Id, operation := Operation, options := #{timeout := Timeout}} = Plan, Events, Tail) ->
    case easy_cluster_directory:marks(Directory, Id) of
        {ok, #{phase := Phase, staged := Staged, restoring := Restoring}} ->
            Begun = lists:max([0 | [Number || {intent, Number, _Action} <- Events]]),
            easy_cluster_native:call(recover, #{plan => Plan,
                                                begun => Begun,
                                                undoing => Restoring orelse lists:any(fun is_undo/1, Events),
                                                committed => Phase =:= committed,
                                                reached => reached(Operation, Timeout),
                                                running => mnesia:system_info(is_running) =/= no,
                                                torn => Tail =/= clean,
                                                staged => Staged,
                                                kept => Phase =:= uncommitted});
        {error, Reason} ->
            {error, Reason}
    end;
recovery(_Directory, Plan, _Events, _Tail) ->
    {error, {bad_plan, Plan}}.

is_undo({undo, _Action}) -> true;
is_undo({recovery, back}) -> true;
is_undo(_Event) -> false.

%% Whether the node that the operation joins or copies from answers. What is about no other waits for nobody, nor what is about a dead one.
reached({Name, Target}, Timeout) when Name =:= join; Name =:= join_as_master; Name =:= sync_node ->
    easy_cluster_rpc:call(Target, mnesia, system_info, [is_running], Timeout) =:= {ok, yes};
reached(_OfHere, _Timeout) ->
    true.

%% How applications were started stands in the outcomes of the steps that stopped them.
started(Events, Context) ->
    Found = [maps:with([started, configured_directory, pending], Evidence) || {done, _Number, Evidence} <- Events],
    Pending = [#{pending => Nodes} || {pending, Nodes} <- Events],
    lists:foldl(fun(Evidence, #{started := Started} = Known) ->
                        maps:merge(Known, Evidence#{started => maps:merge(Started, maps:get(started, Evidence, #{}))})
                end, Context, Found ++ Pending).

%% What needs a stopped Mnesia is done, or cannot be.
settled({done, Journal, #{id := Id, directory := Directory, pending := Pending, plan := #{members := Members}}}, back, Online) ->
    %% Of no use to anybody, and in nobody's way.
    _ = easy_cluster_directory:drop_half_archives(Directory, Id),
    Events = case Online of
                 [] -> [{outcome, undone, #{pending => Pending}}];
                 _RowsToBring -> [{pending, Pending}, ?BACK_DONE]
             end,
    ok = easy_cluster_journal:close(easy_cluster_journal:note(Journal, Events)),
    leave_strangers(Members, []),
    {back, Id};
settled({done, Journal, #{id := Id, pending := Pending}}, forward, _Online) ->
    ok = easy_cluster_journal:close(easy_cluster_journal:note(Journal, [{pending, Pending}, ?OFFLINE_DONE])),
    {forward, Id};
settled({{failed, #{action := Action}, Reason}, Journal, #{id := Id}}, _Direction, _Online) ->
    ok = easy_cluster_journal:close(Journal),
    {error, {recovery_failed, #{id => Id, step => name(Action), reason => easy_cluster_text:print(Reason)}}}.

%% As after a pause.
stopped(Journal, #{id := Id, steps := Steps}, Events) ->
    finish(Journal, [], stopped, #{}),
    Done = length([Number || {done, Number, _Evidence} <- Events]),
    logger:notice(#{what => easy_cluster_recovery, operation => Id, stopped => {Done, 'of', length(Steps)}}).

closed(Directory, Id, Outcome, Details, Result) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} ->
            finish(Journal, [], Outcome, Details),
            Result;
        {error, Reason} ->
            {error, Reason}
    end.

%% The steps that are left when Mnesia runs again.
-spec recover_online(file:filename(), easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
recover_online(Directory, Report) ->
    case easy_cluster_history:begun(Directory) of
        %% The way back is at its end.
        undefined -> {ok, #{steps => []}};
        Id -> recover_online(Directory, Id, easy_cluster_journal:read(Directory, Id), Report)
    end.

recover_online(Directory, Id, {ok, #{events := [{_, _, {begun, Plan}} | _] = Entries, tail := Tail}}, Report) ->
    Events = [Event || {_Sequence, _At, Event} <- Entries],
    case recovery(Directory, Plan, Events, Tail) of
        {ok, #{lock := Lock} = Recovery} ->
            Recover = fun() ->
                              Context = started(Events, easy_cluster_walker:context(Plan, Directory, Report)),
                              recovered(Recovery, easy_cluster_journal:open(Directory, Id), Events, Context)
                      end,
            under(Lock, lists:usort([node() | mnesia:system_info(running_db_nodes)]), Recover);
        {error, Reason} ->
            {error, Reason}
    end;
recover_online(_Directory, _Id, {error, Reason}, _Report) ->
    {error, Reason}.

%% What would wait for it is tried again later.
under(Lock, Nodes, Recover) ->
    case {easy_cluster_lock:take(Nodes), Lock} of
        {ok, _} ->
            try Recover()
            after easy_cluster_lock:release(Nodes)
            end;
        {{error, _Held}, if_free} ->
            Recover();
        {{error, Reason}, needed} ->
            easy_cluster_operation:resume(),
            {error, Reason}
    end.

recovered(#{direction := forward, online := Steps}, {ok, Journal}, _Events, Context) ->
    run(Steps, Journal, Context);
recovered(#{direction := back, online := Steps}, {ok, Journal}, Events, Context) ->
    rows_back(easy_cluster_walker:walk(Steps, back, Journal, Context), Events);
%% Of a release that would have gone on.
recovered(#{direction := nowhere}, {ok, Journal}, Events, #{plan := Plan}) ->
    stopped(Journal, Plan, Events),
    {ok, #{stopped => maps:get(id, Plan)}};
recovered(_Recovery, {error, Reason}, _Events, _Context) ->
    {error, Reason}.

rows_back({done, Journal, #{plan := Plan, pending := Pending}}, Events) ->
    case lists:member(?BACK_DONE, Events) of
        true -> finish(Journal, [], undone, #{pending => Pending});
        false -> ok = easy_cluster_journal:close(Journal)
    end,
    {ok, Plan#{steps => []}};
rows_back({{failed, Step, Reason}, Journal, Context}, _Events) ->
    ok = easy_cluster_journal:close(Journal),
    step_failed(Step, Reason, <<"The rows are in the archive still; easy_cluster:resume() tries again">>, Context).
