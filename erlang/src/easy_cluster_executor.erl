%% Carries out a plan: for each step journals the intent, does it, checks it, journals the outcome. When one fails, either
%% takes back what was begun, or stops with what is good in itself.
-module(easy_cluster_executor).

-export([commit/2, commit_offline/3]).
-export([recover_offline/1, recover_online/2]).
-export([unfinished/1, plan_of/2, plans/1]).
-export([history/1, history/2]).
-export([drop_kept/2, drop_archive/2, finish_drops/1]).
-export([pending/1, forgotten/3, unfenced/1]).
-export([copied/1]).

%% In the journal: an interrupted operation goes forward, and what needs a stopped Mnesia for that is done.
-define(OFFLINE_DONE, {recovered, offline}).
%% It goes back, and so much for that is done.
-define(BACK_DONE, {recovered, back}).

%% So many operations that copied something are looked at for what copies took.
-define(LEARN_FROM, 20).
%% So many repairs that have ended stay in the history, and so many other operations.
-define(KEEP_ENDED, 20).

-type report() :: fun((event()) -> ok).
%% What an operation tells while it runs.
-type event() :: {step, begun | done, map(), map()} |
                 {progress, map()} |
                 {backed_up, easy_cluster_backup_writer:written()} |
                 {undo, easy_cluster_step:action()}.
-type past() :: #{id := binary(), operation := binary(), outcome := done | undone | stopped | unfinished | unreadable,
                  begun := binary() | undefined, ended := binary() | undefined, milliseconds := non_neg_integer() | undefined,
                  done := non_neg_integer(), steps := non_neg_integer(), kept := non_neg_integer() | undefined,
                  archived := non_neg_integer() | undefined,
                  dropped := binary() | undefined, damage := binary() | undefined}.
-type event_of_past() :: #{at := binary() | undefined, what := binary()}.
-export_type([report/0, event/0, past/0, event_of_past/0]).

%% Takes the cluster's lock, refuses a plan that no longer fits, and carries it out.
-spec commit(easy_cluster_planner:plan(), report()) -> {ok, map()} | easy_cluster_planner:error().
commit(#{members := Members, node := Node, options := #{timeout := Timeout}} = Plan, Report) when Node =:= node() ->
    Before = nodes(),
    Result = case easy_cluster_step:run({connect, #{nodes => Members}}, #{timeout => Timeout}) of
                 {ok, _} -> locked(easy_cluster_lock:take([node() | Members]), [node() | Members], Plan, Report);
                 {error, {Silent, Reason}} -> {error, {no_connection, #{node => Silent, reason => print(Reason)}}}
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
-spec commit_offline(easy_cluster_planner:plan(), file:filename(), report()) -> {ok, map()} | easy_cluster_planner:error().
commit_offline(#{id := Id} = Plan, Directory, Report) ->
    ok = delete_old(Directory),
    case easy_cluster_journal:create(Directory, Id, {begun, Plan}) of
        {ok, Journal} -> run(maps:get(steps, Plan), Journal, [], context(Plan, Directory, Report));
        {error, Reason} -> {error, Reason}
    end.

context(#{id := Id, options := #{timeout := Timeout}} = Plan, Directory, Report) ->
    #{id => Id, plan => Plan, directory => Directory, timeout => Timeout, started => #{}, pending => [],
      configured_directory => application:get_env(mnesia, dir),
      progress => fun(Progress) -> Report({progress, Progress}) end,
      report => Report}.

%%% Forward

%% An outcome goes to disc together with the next intent: until then nothing else is done, and a step that is done can be
%% run again.
run([], Journal, Done, #{id := Id, plan := Plan, pending := Pending}) ->
    finish(Journal, Done, done, #{pending => Pending}),
    easy_cluster_server:pending(Id, Pending),
    {ok, Plan};
run(Steps, Journal, Done, Context) ->
    case may_begin(Steps, Context) of
        ok ->
            run_next(Steps, Journal, Done, Context);
        {error, Reason} ->
            finish(Journal, Done, stopped, #{}),
            {error, Reason}
    end.

%% What was done of a repair is good in itself, and the rest can be planned anew.
may_begin([#{number := Number} = Step | _] = Steps, #{id := Id, plan := #{operation := {repair, Repair}} = Plan}) ->
    case easy_cluster_pause:is_paused() of
        true -> {error, {paused, #{id => Id, done => Number - 1, left => length(Steps)}}};
        false -> in_time(easy_cluster_native:call(may_begin, (maps:with([options, node], Plan))#{
                             repair => Repair, step => Step, policy => easy_cluster_policy:current(),
                             minute => easy_cluster_planner:minute()}))
    end;
may_begin(_Steps, _Context) ->
    ok.

in_time({ok, _}) -> ok;
in_time({error, Reason}) -> {error, Reason}.

run_next([#{number := Number, action := Action} = Step | Steps], Journal, Done, #{report := Report} = Context) ->
    Report({step, begun, Step, #{}}),
    %% Without a record of the intent, nothing is done.
    case record_intent(Action, Journal, Done ++ [{intent, Number, Action}]) of
        {ok, Journal1} ->
            {Micros, Result} = timer:tc(fun() -> attempt(fun() -> easy_cluster_step:run(Action, Context) end) end),
            case Result of
                {ok, Evidence} ->
                    Report({step, done, Step, Evidence}),
                    run(Steps, Journal1, [{done, Number, Evidence#{milliseconds => Micros div 1000}}], remember(Evidence, Context));
                {error, Reason} ->
                    failed(Step, Reason, Journal1, Context)
            end;
        {error, Reason} ->
            failed(Step, Reason, Journal, Context)
    end.

%% The plan, which is on disc since the beginning, has the copies already, and to make one twice does no harm: dozens of
%% small ones need not wait for the disc each.
record_intent({copy_table, _}, Journal, Events) -> easy_cluster_journal:write_all(Journal, Events);
record_intent({copy_tables, _}, Journal, Events) -> easy_cluster_journal:write_all(Journal, Events);
record_intent(_Action, Journal, Events) -> easy_cluster_journal:append_all(Journal, Events).

%% A step that crashes has failed like any other: the way back has to run.
attempt(Fun) ->
    try Fun()
    catch Class:Reason:Stack -> {error, {Class, Reason, Stack}}
    end.

%% How an application was started, where Mnesia's directory was configured, and which members have to be told later, come
%% back from the steps that found it.
remember(Evidence, #{started := Started} = Context) ->
    Known = Context#{started := maps:merge(Started, maps:get(started, Evidence, #{}))},
    maps:merge(Known, maps:with([configured_directory, pending], Evidence)).

failed(#{on_failure := keep} = Step, Reason, Journal, Context) ->
    finish(Journal, [{failed, maps:get(number, Step), Reason}], stopped, #{}),
    step_failed(Step, Reason, <<"What was done before is good in itself and stays">>, Context);
failed(#{on_failure := resume, number := Number} = Step, Reason, Journal, Context) ->
    ok = easy_cluster_journal:close(note(Journal, [{failed, Number, Reason}])),
    easy_cluster_server:resume(),
    step_failed(Step, Reason, <<"It cannot be taken back and goes on by itself as soon as it can">>, Context);
failed(#{on_failure := undo, number := Number} = Step, Reason, Journal, #{plan := #{undo := Undo}} = Context) ->
    Journal1 = note(Journal, [{failed, Number, Reason}]),
    WayBack = [Action || #{since := Since, action := Action} <- Undo, Since =< Number],
    undo(WayBack, Journal1, Context#{undoing => true}, Step, Reason, []).

%%% Back

undo([], Journal, Context, Step, Reason, Pending) ->
    finish(Journal, [], undone, #{pending => Pending}),
    easy_cluster_server:pending(maps:get(id, Context), Pending),
    step_failed(Step, Reason, undone(Pending), Context);
undo([Action | Rest], Journal, #{report := Report} = Context, Step, Reason, Pending) ->
    Report({undo, Action}),
    Journal1 = note(Journal, [{undo, Action}]),
    case attempt(fun() -> easy_cluster_step:run(Action, Context) end) of
        {ok, Evidence} ->
            More = maps:get(pending, Evidence, []),
            undo(Rest, note(Journal1, [{undone, Action, Evidence}]), Context, Step, Reason, Pending ++ More);
        {error, Why} ->
            Stuck = note(Journal1, [{undo_failed, Action, Why}]),
            ok = easy_cluster_journal:close(Stuck),
            step_failed(Step, Reason, print_stuck(Action, Why), Context)
    end.

undone([]) ->
    <<"Everything was taken back: this node is what it was">>;
undone(Pending) ->
    iolist_to_binary(["Everything was taken back here; ", lists:join(", ", [atom_to_list(Node) || Node <- Pending]),
                      " cannot be reached and will be told to forget this node when back"]).

print_stuck(Action, Why) ->
    unicode:characters_to_binary(io_lib:format("The way back stopped at ~ts: ~ts; the kept database and the journal are "
                                               "in the folder easy_cluster of the Mnesia directory",
                                               [name(Action), print(Why)])).

%% A step that refuses has a problem of the catalogue for it, which says what to do and comes first.
step_failed(Step, {refused, {Code, Details} = Problem}, Outcome, Context) ->
    {error, {step_failed, Failed}} = step_failed(Step, Code, Outcome, Context),
    {error, {Code, Details#{problems => [Problem, {step_failed, Failed}]}}};
step_failed(#{number := Number, action := Action}, Reason, Outcome, #{id := Id}) ->
    {error, {step_failed, #{id => Id, number => Number, step => name(Action), reason => print(Reason),
                            outcome => Outcome}}}.

%% On the way back a journal that cannot be written must not keep the database from coming back.
note(Journal, Events) ->
    case easy_cluster_journal:append_all(Journal, Events) of
        {ok, Journal1} -> Journal1;
        {error, Reason} ->
            logger:error(#{what => easy_cluster_journal, events => length(Events), reason => Reason}),
            Journal
    end.

finish(Journal, Events, Outcome, Details) ->
    ok = easy_cluster_journal:close(note(Journal, Events ++ [{outcome, Outcome, Details}])).

name({Name, _Args}) -> atom_to_binary(Name);
name(Name) -> atom_to_binary(Name).

print(Reason) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Reason, 30])).

%%% After an interruption

%% Does what an interrupted operation needs while Mnesia is stopped, and says what it came to. To be called before Mnesia
%% starts; where it runs already, it is stopped and started again.
-spec recover_offline(file:filename()) -> none | {forward | back | nowhere, Id :: binary()} | {error, term()}.
recover_offline(Directory) ->
    case {easy_cluster_salvage:settle(Directory), begun(Directory)} of
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
            stopped(note(Journal, [{recovery, nowhere}]), Plan, Events),
            {nowhere, Id};
        {{ok, #{direction := Direction, offline := Offline, online := Online}}, {ok, Journal}} ->
            Report = fun(_Event) -> ok end,
            Noted = note(Journal, [{recovery, Direction}]),
            Context = started(Events, context(Plan, Directory, Report)),
            offline(Offline, Noted, Context#{online => Online, undoing => Direction =:= back}, Direction, Id, []);
        {{ok, _}, {error, {Code, Details}}} ->
            {error, {recovery_failed, #{id => Id, step => atom_to_binary(Code), reason => print(Details)}}};
        {{error, Reason}, {ok, Journal}} ->
            ok = easy_cluster_journal:close(Journal),
            {error, {recovery_failed, #{id => Id, step => <<"recover">>, reason => print(Reason)}}};
        {{error, Reason}, {error, _}} ->
            {error, {recovery_failed, #{id => Id, step => <<"recover">>, reason => print(Reason)}}}
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

%% Whether the node that the operation is about answers; where it is about no other, there is nobody to wait for.
reached({_Name, Target}, Timeout) when is_atom(Target) ->
    easy_cluster_rpc:call(Target, mnesia, system_info, [is_running], Timeout) =:= {ok, yes};
reached(_OfHere, _Timeout) ->
    true.

%% How applications were started stands in the outcomes of the steps that stopped them.
started(Events, Context) ->
    Pending = [#{pending => Nodes} || {pending, Nodes} <- Events],
    lists:foldl(fun remember/2, Context, [Evidence || {done, _Number, Evidence} <- Events] ++ Pending).

offline([], Journal, #{plan := #{members := Members}, online := Online, directory := Directory}, back, Id, Pending) ->
    %% Of no use to anybody, and in nobody's way.
    _ = easy_cluster_directory:drop_half_archives(Directory, Id),
    Events = case Online of
                 [] -> [{outcome, undone, #{pending => Pending}}];
                 _RowsToBring -> [{pending, Pending}, ?BACK_DONE]
             end,
    ok = easy_cluster_journal:close(note(Journal, Events)),
    leave_strangers(Members, []),
    {back, Id};
offline([], Journal, _Context, forward, Id, Pending) ->
    ok = easy_cluster_journal:close(note(Journal, [{pending, Pending}, ?OFFLINE_DONE])),
    {forward, Id};
offline([Action | Actions], Journal, Context, Direction, Id, Pending) ->
    Noted = note(Journal, [{undo, Action} || Direction =:= back]),
    case {attempt(fun() -> easy_cluster_step:run(Action, Context) end), Action} of
        {{ok, Evidence}, _} ->
            offline(Actions, Noted, remember(Evidence, Context), Direction, Id, Pending ++ maps:get(pending, Evidence, []));
        %% A member that cannot forget this node now is kept away from it, and told later.
        {{error, _Reason}, {forget_here, #{members := Members}}} ->
            ok = easy_cluster_bar:here(Members),
            offline(Actions, Noted, Context, Direction, Id, Pending ++ Members);
        {{error, Reason}, _} ->
            ok = easy_cluster_journal:close(note(Noted, [{undo_failed, Action, Reason}])),
            {error, {recovery_failed, #{id => Id, step => name(Action), reason => print(Reason)}}}
    end.

%% As after a pause.
stopped(Journal, #{id := Id, steps := Steps}, Events) ->
    finish(Journal, [], stopped, #{}),
    Done = length([Number || {done, Number, _Evidence} <- Events]),
    logger:notice(#{what => easy_cluster_recovery, operation => Id, stopped => {Done, 'of', length(Steps)}}),
    easy_cluster_watch:look().

closed(Directory, Id, Outcome, Details, Result) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} ->
            finish(Journal, [], Outcome, Details),
            Result;
        {error, Reason} ->
            {error, Reason}
    end.

%% The steps that are left when Mnesia runs again.
-spec recover_online(file:filename(), report()) -> {ok, map()} | easy_cluster_planner:error().
recover_online(Directory, Report) ->
    case begun(Directory) of
        %% The way back is at its end.
        undefined -> {ok, #{steps => []}};
        Id -> recover_online(Directory, Id, easy_cluster_journal:read(Directory, Id), Report)
    end.

recover_online(Directory, Id, {ok, #{events := [{_, _, {begun, Plan}} | _] = Entries, tail := Tail}}, Report) ->
    Events = [Event || {_Sequence, _At, Event} <- Entries],
    case recovery(Directory, Plan, Events, Tail) of
        {ok, #{lock := Lock} = Recovery} ->
            Recover = fun() ->
                              Context = started(Events, context(Plan, Directory, Report)),
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
            easy_cluster_server:resume(),
            {error, Reason}
    end.

recovered(#{direction := forward, online := Steps}, {ok, Journal}, _Events, Context) ->
    run(Steps, Journal, [], Context);
recovered(#{direction := back, online := Steps}, {ok, Journal}, Events, Context) ->
    rows_back(Steps, Journal, Events, Context);
%% Of a release that would have gone on.
recovered(#{direction := nowhere}, {ok, Journal}, Events, #{plan := Plan}) ->
    stopped(Journal, Plan, Events),
    {ok, #{stopped => maps:get(id, Plan)}};
recovered(_Recovery, {error, Reason}, _Events, _Context) ->
    {error, Reason}.

%% An archive that is damaged stays where it is and brings nothing back; whatever else fails is tried again.
rows_back([], Journal, Events, #{plan := Plan, pending := Pending}) ->
    case lists:member(?BACK_DONE, Events) of
        true -> finish(Journal, [], undone, #{pending => Pending});
        false -> ok = easy_cluster_journal:close(Journal)
    end,
    {ok, Plan#{steps => []}};
rows_back([#{action := {restore_rows, #{tables := Tables}} = Action} = Step | Steps], Journal, Events, Context) ->
    #{timeout := Timeout, report := Report} = Context,
    Report({undo, Action}),
    Here = [Table || Table <- Tables, lists:member(Table, mnesia:system_info(local_tables))],
    Loaded = mnesia:wait_for_tables(Here, max(Timeout, 60000)),
    case {Loaded, attempt(fun() -> easy_cluster_step:run(Action, Context) end)} of
        {ok, {ok, Evidence}} ->
            rows_back(Steps, note(Journal, [{undone, Action, Evidence}]), Events, Context);
        {ok, {error, {_Table, {archive_corrupt, _}} = Reason}} ->
            logger:error(#{what => easy_cluster_restore_rows, reason => Reason}),
            rows_back(Steps, note(Journal, [{undo_failed, Action, Reason}]), Events, Context);
        {ok, {error, Reason}} ->
            rows_failed(Step, Reason, Journal, Context);
        {NotLoaded, _} ->
            rows_failed(Step, NotLoaded, Journal, Context)
    end.

rows_failed(#{action := Action} = Step, Reason, Journal, Context) ->
    ok = easy_cluster_journal:close(note(Journal, [{undo_failed, Action, Reason}])),
    step_failed(Step, Reason, <<"The rows are in the archive still; easy_cluster:resume() tries again">>, Context).

%%% What the journals say

%% The operation in a Mnesia directory that was begun and has no outcome, if any.
-spec unfinished(file:filename()) -> binary() | undefined.
unfinished(Directory) ->
    case begun(Directory) of
        undefined -> easy_cluster_salvage:half(Directory);
        Id -> Id
    end.

%% The one whose journal says so. Those that cannot be read are another's.
begun(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> undefined;
        Ids -> first([Id || Id <- Ids, is_unfinished(easy_cluster_journal:read(Directory, Id))])
    end.

first([]) -> undefined;
first([Id | _]) -> Id.

is_unfinished({ok, #{events := []}}) -> true;
is_unfinished({ok, #{events := [{_, _, {begun, Plan}} | Entries]}}) ->
    [Outcome || {_, _, {outcome, Outcome, _}} <- Entries] =:= [] andalso easy_cluster_salvage:is_plan(Plan);
is_unfinished(_OtherOrDamaged) -> false.

%% Every operation of a Mnesia directory, oldest first, and what came of it; what is kept or archived without a journal, too.
-spec history(file:filename()) -> {ok, [past()]} | {error, {atom(), map()}}.
history(Directory) ->
    case {easy_cluster_journal:list(Directory), stored(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {Ids, #{kept := Databases, archives := Archives} = Kept} ->
            All = lists:usort(Ids ++ [Id || #{id := Id} <- Databases ++ Archives]),
            {ok, [past(Id, easy_cluster_journal:read(Directory, Id), Kept) || Id <- All]}
    end.

%% What operations have left to be had back.
stored(Directory) ->
    case {easy_cluster_directory:kept(Directory), easy_cluster_directory:archives(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {Kept, Archives} -> #{kept => Kept, archives => Archives}
    end.

%% One of them: its plan, if it had one, and each record of its journal.
-spec history(file:filename(), binary()) -> {ok, past(), Plan :: map() | undefined, [event_of_past()]} | {error, {atom(), map()}}.
history(Directory, Id) ->
    case {easy_cluster_journal:read(Directory, Id), stored(Directory)} of
        {{error, {bad_id, _} = Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {{ok, #{events := Entries}} = Read, Kept} ->
            Events = [#{at => utc(At), what => print(without_plan(Event))} || {_, At, Event} <- Entries],
            {ok, past(Id, Read, Kept), plan(Entries), Events};
        {{error, Reason} = Read, Kept} ->
            case past(Id, Read, Kept) of
                #{kept := undefined, archived := undefined} -> {error, Reason};
                Past -> {ok, Past, undefined, []}
            end
    end.

plan([{_, _, {begun, #{id := _, fingerprint := _} = Plan}} | _]) -> Plan;
plan(_Other) -> undefined.

without_plan({begun, #{operation := Operation}}) -> {begun, Operation};
without_plan(Event) -> Event.

past(Id, {ok, #{events := [{_, Begun, {begun, #{operation := Operation, steps := Steps}}} | Entries]}}, Kept) when is_list(Steps) ->
    {Outcome, Ended} = outcome(Entries),
    Past = described(Id, operation(Operation), Outcome, Begun, Ended, Entries, Kept),
    Past#{done => length([done || {_, _, {done, _, _}} <- Entries]), steps => length(Steps)};
past(Id, {ok, #{events := [{_, Begun, {salvage, #{id := Of}}} | Entries]}}, Kept) ->
    {Outcome, Ended} = outcome(Entries),
    described(Id, <<"salvage ", Of/binary>>, Outcome, Begun, Ended, Entries, Kept);
%% Its writer died before the plan was on disc.
past(Id, {ok, #{events := Entries}}, Kept) ->
    {Outcome, _Ended} = outcome(Entries),
    described(Id, <<>>, Outcome, undefined, undefined, Entries, Kept);
past(Id, {error, {Code, Details}}, Kept) ->
    Damage = print({Code, maps:get(reason, Details, undefined)}),
    (described(Id, <<>>, unreadable, undefined, undefined, [], Kept))#{damage => Damage}.

described(Id, Operation, Outcome, Begun, Ended, Entries, Kept) ->
    Dropped = [utc(At) || {_, At, {dropped, _Bytes}} <- Entries],
    #{id => Id, operation => Operation, outcome => Outcome, begun => utc(Begun), ended => utc(Ended),
      milliseconds => milliseconds(Begun, Ended), done => 0, steps => 0, kept => bytes(Id, maps:get(kept, Kept)),
      archived => bytes(Id, maps:get(archives, Kept)),
      dropped => lists:last([undefined | Dropped]), damage => undefined}.

utc(Microseconds) when is_integer(Microseconds), abs(Microseconds) < 1 bsl 56 ->
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Microseconds, microsecond),
    iolist_to_binary(io_lib:format("~4..0w-~2..0w-~2..0w ~2..0w:~2..0w:~2..0w", [Year, Month, Day, Hour, Minute, Second]));
utc(_NoTime) ->
    undefined.

%% As it was typed.
operation({Name, Node}) when is_atom(Node) -> iolist_to_binary([atom_to_list(Name), " ", atom_to_list(Node)]);
operation({Name, #{waits := _}}) -> atom_to_binary(Name);
operation({Name, #{policy := _}}) -> atom_to_binary(Name);
operation({Name, #{id := Id}}) -> iolist_to_binary([atom_to_list(Name), " ", Id]);
operation({Name, #{from := From, to := To}}) -> iolist_to_binary(io_lib:format("~ts ~ts ~ts", [Name, From, To]));
operation({Name, #{table := Table, winner := Winner}}) -> iolist_to_binary(io_lib:format("~ts ~ts ~ts", [Name, Table, Winner]));
operation({Name, #{path := Path}}) -> iolist_to_binary([atom_to_list(Name), " ", Path]);
operation({Name, Text}) when is_binary(Text) -> iolist_to_binary([atom_to_list(Name), " ", Text]);
operation(Name) when is_atom(Name) -> atom_to_binary(Name);
operation(Other) -> print(Other).

outcome(Entries) ->
    case [{Outcome, At} || {_, At, {outcome, Outcome, _Details}} <- Entries] of
        [] -> {unfinished, undefined};
        Outcomes -> lists:last(Outcomes)
    end.

%% A clock that was set back says nothing.
milliseconds(Begun, Ended) when is_integer(Ended), Ended >= Begun -> (Ended - Begun) div 1000;
milliseconds(_Begun, _Unknown) -> undefined.

bytes(Id, Stored) ->
    case [Bytes || #{id := Of, bytes := Bytes} <- Stored, Of =:= Id] of
        [Bytes] -> Bytes;
        [] -> undefined
    end.

%% The same for the core, which decides from the plans what takes the last of them back.
-spec plans(file:filename()) -> {ok, [map()]} | {error, {atom(), map()}}.
plans(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, Reason} -> {error, Reason};
        Ids -> {ok, [planned(Id, easy_cluster_journal:read(Directory, Id), Directory) || Id <- Ids]}
    end.

planned(Id, {ok, #{events := [{_, _, {begun, Plan}} | Entries]}}, Directory) ->
    {Outcome, _Ended} = outcome(Entries),
    #{id => Id, outcome => Outcome, plan => Plan, begun => lists:usort([Number || {_, _, {intent, Number, _}} <- Entries]),
      kept => kept_for_core(easy_cluster_directory:state_of_kept(Directory, Id)),
      archive_dropped => [Bytes || {_, _, {archive_dropped, Bytes}} <- Entries] =/= []};
planned(Id, {ok, #{events := _NothingBegun}}, _Directory) ->
    #{id => Id, outcome => unfinished, plan => undefined, begun => [], kept => missing};
planned(Id, {error, _Damaged}, _Directory) ->
    #{id => Id, outcome => unreadable, plan => undefined, begun => [], kept => missing}.

%% Copies that operations have made here, the last one of each table and storage type. What is long ago tells little of now.
-spec copied(file:filename()) -> [map()].
copied(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> [];
        Ids ->
            All = lists:append(newest_copies(lists:reverse(Ids), Directory, ?LEARN_FROM, [])),
            maps:values(maps:from_list([{{Table, Storage}, Copy} || #{table := Table, storage := Storage} = Copy <- All]))
    end.

%% Of each operation that made some, the oldest first.
newest_copies([], _Directory, _Left, Found) ->
    Found;
newest_copies(_Older, _Directory, 0, Found) ->
    Found;
newest_copies([Id | Older], Directory, Left, Found) ->
    case copies_of(easy_cluster_journal:read(Directory, Id)) of
        [] -> newest_copies(Older, Directory, Left, Found);
        Copies -> newest_copies(Older, Directory, Left - 1, [Copies | Found])
    end.

copies_of({ok, #{events := [{_, _, {begun, #{steps := Steps}}} | Entries]}}) ->
    Took = maps:from_list([{Number, Took} || {_, _, {done, Number, #{milliseconds := Took}}} <- Entries]),
    [(maps:with([table, storage, rows, bytes], Copy))#{milliseconds => maps:get(Number, Took)}
     || #{number := Number, action := {_Name, #{table := _, storage := _, rows := _, bytes := _} = Copy}} <- Steps,
        is_map_key(Number, Took)];
copies_of(_NoneOrDamaged) ->
    [].

kept_for_core({damaged, #{path := Path, reason := Reason}}) ->
    {damaged, #{path => unicode:characters_to_binary(Path), reason => print(Reason)}};
kept_for_core(State) ->
    State.

%% Members that still have to forget this node, with the operation that left them behind.
-spec pending(file:filename()) -> [{Id :: binary(), node()}].
pending(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> [];
        Ids -> [{Id, Node} || Id <- Ids, Node <- pending_in(easy_cluster_journal:read(Directory, Id))]
    end.

pending_in({ok, #{events := Entries}}) ->
    Found = [maps:get(pending, Details, []) || {_, _, {outcome, _, Details}} <- Entries]
        ++ [Nodes || {_, _, {pending, Nodes}} <- Entries] ++ [Nodes || {_, _, {done, _, #{pending := Nodes}}} <- Entries],
    Left = lists:usort(lists:append(Found)),
    Left -- [Node || {_, _, {forgotten, Node}} <- Entries];
pending_in({error, _Damaged}) ->
    [].

%% Whether an operation here has left the cluster without its fence, as a member was down.
-spec unfenced(file:filename()) -> boolean().
unfenced(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> false;
        Ids -> lists:any(fun(Id) -> is_unfenced(easy_cluster_journal:read(Directory, Id)) end, Ids)
    end.

is_unfenced({ok, #{events := Entries}}) -> [left || {_, _, {done, _, #{not_fenced := _}}} <- Entries] =/= [];
is_unfenced({error, _Damaged}) -> false.

%% Notes that a member has forgotten this node after all.
-spec forgotten(file:filename(), binary(), node()) -> ok | {error, term()}.
forgotten(Directory, Id, Node) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} -> easy_cluster_journal:close(note(Journal, [{forgotten, Node}]));
        {error, Reason} -> {error, Reason}
    end.

%% The plan that an operation was begun with.
-spec plan_of(file:filename(), binary()) -> {ok, map()} | error.
plan_of(Directory, Id) ->
    case easy_cluster_journal:read(Directory, Id) of
        {ok, #{events := [{_, _, {begun, Plan}} | _]}} -> {ok, Plan};
        _NoPlan -> error
    end.

%%% Giving up what was kept

%% Deletes a kept database. The intent is on disc before, so that a kill leaves none that looks whole and is not; the next start
%% goes on. A journal that cannot be read is not written to.
-spec drop_kept(file:filename(), #{id := binary(), bytes := non_neg_integer(), _ => _}) -> ok | {error, {atom(), map()}}.
drop_kept(Directory, Database) ->
    drop(Directory, Database, kept).

%% Deletes archived rows likewise.
-spec drop_archive(file:filename(), #{id := binary(), bytes := non_neg_integer(), _ => _}) -> ok | {error, {atom(), map()}}.
drop_archive(Directory, Archive) ->
    drop(Directory, Archive, archive).

drop(Directory, #{id := Id, bytes := Bytes}, What) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} -> dropping(easy_cluster_journal:append(Journal, {dropping(What), Bytes}), Journal, Directory, Id, Bytes, What);
        {error, {Code, _}} when Code =:= journal_corrupt; Code =:= journal_version; Code =:= journal_missing; Code =:= journal_read ->
            deleted(What, Directory, Id);
        {error, Reason} -> {error, Reason}
    end.

dropping(kept) -> dropping;
dropping(archive) -> dropping_archive.

dropped(kept) -> dropped;
dropped(archive) -> archive_dropped.

deleted(kept, Directory, Id) -> easy_cluster_directory:drop_kept(Directory, Id);
deleted(archive, Directory, Id) -> easy_cluster_directory:drop_archive(Directory, Id).

dropping({ok, Journal}, _Before, Directory, Id, Bytes, What) ->
    case deleted(What, Directory, Id) of
        ok -> easy_cluster_journal:close(note(Journal, [{dropped(What), Bytes}]));
        {error, Reason} ->
            ok = easy_cluster_journal:close(note(Journal, [{drop_failed, Reason}])),
            {error, Reason}
    end;
dropping({error, Reason}, Journal, _Directory, _Id, _Bytes, _What) ->
    ok = easy_cluster_journal:close(Journal),
    {error, Reason}.

%% What a kill has interrupted.
-spec finish_drops(file:filename()) -> ok.
finish_drops(Directory) ->
    Ids = case easy_cluster_journal:list(Directory) of
              {error, _Unreadable} -> [];
              Listed -> Listed
          end,
    Begun = [{Id, Bytes, What} || Id <- Ids, {ok, #{events := [_ | _] = Entries}} <- [easy_cluster_journal:read(Directory, Id)],
                                  {_, _, {Dropping, Bytes}} <- [lists:last(Entries)],
                                  What <- [kept, archive], dropping(What) =:= Dropping],
    lists:foreach(fun({Id, Bytes, What}) ->
                          dropped_at_start(drop(Directory, #{id => Id, bytes => Bytes}, What), Id)
                  end, Begun).

dropped_at_start(ok, Id) -> logger:notice(#{what => easy_cluster_drop_kept, operation => Id});
dropped_at_start({error, Reason}, Id) -> logger:error(#{what => easy_cluster_drop_kept, operation => Id, reason => Reason}).

%%% Giving up the history of what cannot be had back

%% A policy that is followed makes repairs for years, operators leave and take it back, and each look reads all journals. What can be had
%% back, what has not ended, members that still have to forget this node, and the copies that estimates are learned from stay.
delete_old(Directory) ->
    case {easy_cluster_journal:list(Directory), stored(Directory)} of
        {[_ | _] = Ids, #{kept := Kept, archives := Archives}} ->
            Stored = [Id || #{id := Id} <- Kept ++ Archives],
            Newest = [told(Id, easy_cluster_journal:read(Directory, Id)) || Id <- lists:reverse(Ids)],
            Teaching = lists:sublist([Id || #{id := Id, teaches := true} <- Newest], ?LEARN_FROM),
            Old = lists:append([beyond_newest([Id || #{id := Id, ended := Kind} <- Newest, Kind =:= Wanted]) || Wanted <- [repair, other]]),
            delete_each(Old -- (Teaching ++ Stored), Directory);
        {_NoneOrUnreadable, _} ->
            ok
    end.

beyond_newest(Ids) ->
    lists:nthtail(min(?KEEP_ENDED, length(Ids)), Ids).

told(Id, Read) ->
    #{id => Id, teaches => copies_of(Read) =/= [], ended => ended(Read)}.

%% Repairs are many, and push no other operation out.
ended({ok, #{events := [{_, _, {begun, #{operation := Operation}}} | Entries]}} = Read) ->
    case lists:member(element(1, outcome(Entries)), [done, stopped, undone]) andalso pending_in(Read) =:= [] of
        true when element(1, Operation) =:= repair -> repair;
        true -> other;
        false -> no
    end;
ended(_OtherOrDamaged) ->
    no.

%% One that stays is deleted the next time.
delete_each(Ids, Directory) ->
    [logger:error(#{what => easy_cluster_journal, operation => Id, reason => Reason})
     || Id <- Ids, {error, Reason} <- [easy_cluster_journal:delete(Directory, Id)]],
    ok.
