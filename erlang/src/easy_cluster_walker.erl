%% Goes through steps: those of a plan, of its way back, or of what is left of it after a kill. A way is data, which says what is journalled
%% when; what a failure means to the operation, whoever has the steps gone through decides.
-module(easy_cluster_walker).

-export([walk/4]).
-export([context/3]).
-export_type([event/0, report/0, step/0, context/0]).

%% `forward': each step's intent is on disc before it, and nothing is done without; its outcome goes to disc with the next intent.
%% `back': what is taken back is noted before and behind it, but a journal that cannot be written must not keep the database from coming back.
%% `settle': what Mnesia has to be stopped for, on the way forward. The directory shows what was done, and all of it can be done again.
-type way() :: forward | back | settle.

-record(way, {before :: intent | undo | nothing,
              behind :: done | undone | nothing,
              failed :: failed | undo_failed,
              %% Whether a member that cannot be told to forget this node is told later, and an archive that is damaged stays where it is.
              leaves :: boolean()}).

-type step() :: #{action := easy_cluster_step:action(), number => pos_integer(), on_failure => keep | undo | resume, _ => _}.
%% What an operation tells while it runs.
-type event() :: {step, begun | done, map(), map()} |
                 {progress, map()} |
                 {backed_up, easy_cluster_backup_writer:written()} |
                 {undo, easy_cluster_step:action()}.
-type report() :: fun((event()) -> ok).
%% What the steps find out: how applications were started, where Mnesia's directory was configured, and which members have to be told later.
%% `unwritten' are outcomes that are not in the journal yet.
-type context() :: #{id := binary(), plan := map(), directory := file:filename(), timeout := timeout(), started := map(), pending := [node()],
                     configured_directory := {ok, term()} | undefined, unwritten := [term()], undoing => boolean(),
                     progress := fun((map()) -> ok), report := report()}.
-type ending() :: done | {failed, step(), Reason :: term()} | {not_begun, easy_cluster_planner:error()}.

-spec context(map(), file:filename(), report()) -> context().
context(#{id := Id, options := #{timeout := Timeout}} = Plan, Directory, Report) ->
    #{id => Id, plan => Plan, directory => Directory, timeout => Timeout, started => #{}, pending => [], unwritten => [],
      configured_directory => application:get_env(mnesia, dir),
      progress => fun(Progress) -> Report({progress, Progress}) end,
      report => Report}.

%% With what the steps have found out.
-spec walk([step()], way(), easy_cluster_journal:journal(), context()) -> {ending(), easy_cluster_journal:journal(), context()}.
walk(Steps, Way, Journal, Context) ->
    each(Steps, way(Way), Journal, Context#{undoing => Way =:= back}).

way(forward) -> #way{before = intent, behind = done, failed = failed, leaves = false};
way(back) -> #way{before = undo, behind = undone, failed = undo_failed, leaves = true};
way(settle) -> #way{before = nothing, behind = nothing, failed = undo_failed, leaves = true}.

each([], _Way, Journal, Context) ->
    {done, Journal, Context};
each([Step | Steps] = All, Way, Journal, Context) ->
    case may_begin(Way, All, Context) of
        ok -> begun(Step, Steps, Way, Journal, Context);
        {error, _} = Error -> {{not_begun, Error}, Journal, Context}
    end.

%% What was done of a repair is good in itself, and the rest can be planned anew.
may_begin(#way{before = intent}, [#{number := Number} = Step | _] = Steps, #{id := Id, plan := #{operation := {repair, Repair}} = Plan}) ->
    case easy_cluster_pause:is_paused() of
        true -> {error, {paused, #{id => Id, done => Number - 1, left => length(Steps)}}};
        false -> in_time(easy_cluster_native:call(may_begin, (maps:with([options, node], Plan))#{
                             repair => Repair, step => Step, policy => easy_cluster_policy:current(),
                             minute => easy_cluster_planner:minute()}))
    end;
may_begin(_Way, _Steps, _Context) ->
    ok.

in_time({ok, _}) -> ok;
in_time({error, Reason}) -> {error, Reason}.

begun(#{action := Action} = Step, Steps, Way, Journal, #{report := Report} = Context) ->
    tell(begun, Way, Step, #{}, Report),
    case before(Way, Step, Journal, Context) of
        {ok, Noted} ->
            {Micros, Result} = timer:tc(fun() -> attempt(Action, Context) end),
            ended(Result, Micros div 1000, Step, Steps, Way, Noted, Context#{unwritten := []});
        {error, Reason} ->
            ended({error, Reason}, 0, Step, Steps, Way, Journal, Context)
    end.

tell(When, #way{before = intent}, Step, Evidence, Report) -> Report({step, When, Step, Evidence});
tell(begun, #way{before = undo}, #{action := Action}, _Evidence, Report) -> Report({undo, Action});
tell(_When, _Way, _Step, _Evidence, _Report) -> ok.

%% The plan, which is on disc since the beginning, has the copies already, and to make one twice does no harm: dozens of
%% small ones need not wait for the disc each.
before(#way{before = intent}, #{number := Number, action := Action}, Journal, #{unwritten := Unwritten}) ->
    Events = Unwritten ++ [{intent, Number, Action}],
    case Action of
        {Copy, _} when Copy =:= copy_table; Copy =:= copy_tables -> easy_cluster_journal:write_all(Journal, Events);
        _Other -> easy_cluster_journal:append_all(Journal, Events)
    end;
before(#way{before = undo}, #{action := Action}, Journal, _Context) ->
    {ok, easy_cluster_journal:note(Journal, [{undo, Action}])};
before(#way{before = nothing}, _Step, Journal, _Context) ->
    {ok, Journal}.

%% A step that crashes has failed like any other: the way back has to run.
attempt(Action, Context) ->
    try easy_cluster_step:run(Action, Context)
    catch Class:Reason:Stack -> {error, {Class, Reason, Stack}}
    end.

ended({ok, Evidence}, Took, Step, Steps, Way, Journal, #{report := Report} = Context) ->
    tell(done, Way, Step, Evidence, Report),
    {Noted, Known} = behind(Way, Step, Evidence, Took, Journal, Context),
    each(Steps, Way, Noted, remember(Way, Evidence, Known));
ended({error, _Silent}, _Took, #{action := {forget_here, #{members := Members}}}, Steps, #way{leaves = true} = Way, Journal, Context) ->
    Others = Members -- [node()],
    ok = easy_cluster_bar:here(Others),
    each(Steps, Way, Journal, remember(Way, #{pending => Others}, Context));
ended({error, {_Table, {archive_corrupt, _}} = Reason}, _Took, #{action := {restore_rows, _} = Action}, Steps, #way{leaves = true} = Way,
      Journal, Context) ->
    logger:error(#{what => easy_cluster_restore_rows, reason => Reason}),
    each(Steps, Way, easy_cluster_journal:note(Journal, [{undo_failed, Action, Reason}]), Context);
ended({error, Reason}, _Took, #{number := Number} = Step, _Steps, #way{failed = failed}, Journal, #{unwritten := Unwritten} = Context) ->
    {{failed, Step, Reason}, easy_cluster_journal:note(Journal, Unwritten ++ [{failed, Number, Reason}]), Context#{unwritten := []}};
ended({error, Reason}, _Took, #{action := Action} = Step, _Steps, #way{failed = undo_failed}, Journal, Context) ->
    {{failed, Step, Reason}, easy_cluster_journal:note(Journal, [{undo_failed, Action, Reason}]), Context}.

behind(#way{behind = done}, #{number := Number}, Evidence, Took, Journal, Context) ->
    {Journal, Context#{unwritten := [{done, Number, Evidence#{milliseconds => Took}}]}};
behind(#way{behind = undone}, #{action := Action}, Evidence, _Took, Journal, Context) ->
    {easy_cluster_journal:note(Journal, [{undone, Action, Evidence}]), Context};
behind(#way{behind = nothing}, _Step, _Evidence, _Took, Journal, Context) ->
    {Journal, Context}.

%% On the way forward, a step that has told members knows all of them that are left; on the way back each knows its own.
remember(#way{before = intent}, Evidence, Context) ->
    maps:merge(known(Evidence, Context), maps:with([pending], Evidence));
remember(_Way, Evidence, #{pending := Pending} = Context) ->
    (known(Evidence, Context))#{pending := Pending ++ maps:get(pending, Evidence, [])}.

known(Evidence, #{started := Started} = Context) ->
    maps:merge(Context#{started := maps:merge(Started, maps:get(started, Evidence, #{}))}, maps:with([configured_directory], Evidence)).
