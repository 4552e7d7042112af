%% Ends the VM in the middle of an operation, exactly: just before the change with the number that was asked for.
%%
%% A change is a call by a module of easy_cluster that does more than look: of `file', of Mnesia, of applications, or of these on another
%% node; or any call that the caller of instrument_loaded/2 names. The modules' own code is compiled once more with these calls going through call/3; nothing else in them
%% differs. Each change that was made, and each sync, is written to a trace, from which a power loss can be made.
%%
%% Where something else is to happen to another node, this VM says when the moment has come, by a file, and waits for a second one.
-module(lab_faults).

%% Before
-export([instrument_files/1, instrument_loaded/2]).
-export([arm/1, disarm/0]).
%% In the middle
-export([call/3]).
%% After
-export([finished/1]).

-type plan() :: #{%% Who counts; VMs of other names have the same file to read.
                  node := node(),
                  trace := file:filename(),
                  %% The change that is not made any more; 0 for none. With a moment, that change is the one before which it comes.
                  kill_at := non_neg_integer(),
                  %% How long after the change before it the VM is ended, if that is not later; milliseconds. With a moment, how long
                  %% after the change has begun that comes.
                  early := non_neg_integer() | infinity,
                  %% The step before which the moment comes; 0 for none.
                  step := non_neg_integer(),
                  %% The file that says that the moment has come; none where it is this VM that is ended.
                  moment := file:filename() | none,
                  %% Where files that lose their name get another one; none when nobody will ask.
                  shadow := file:filename() | none}.

%% What looks only. Whatever else the modules call in `file' is taken for a change.
-define(LOOKS, [close, consult, format_error, get_cwd, list_dir, list_dir_all, native_name_encoding, open_for_reading, position,
                pread, read, read_file, read_file_info, read_line, read_link, read_link_all, read_link_info]).
-define(SYNCS, [sync, datasync]).
%% What changes a schema, or what runs.
-define(CALLS, #{application => [ensure_all_started, start, stop],
                 mnesia => [add_table_copy, backup_checkpoint, change_config, change_table_copy_type, create_table, deactivate_checkpoint,
                            del_table_copy, delete_table, dump_log, force_load_table],
                 erlang => [set_cookie],
                 easy_cluster_schema => [add_copies, delete_copy],
                 %% Those that ask for one of the above.
                 easy_cluster_rpc => [batch, call],
                 %% No change of its own.
                 easy_cluster_step => [run]}).
%% They start and stop what has nothing to do with an operation.
-define(NO_CALLS, ["easy_cluster_app", "easy_cluster_configuration"]).
%% Files that are made and deleted to see whether that is possible; see easy_cluster_directory:writable/1.
-define(PROBE, ".easy_cluster-").

%%% Before

%% Has the installed modules in Folder count from the next start of the VM on.
-spec instrument_files(file:filename()) -> ok.
instrument_files(Folder) ->
    Beams = filelib:wildcard(filename:join(Folder, "easy_cluster*.beam")),
    true = Beams =/= [],
    lists:foreach(fun(Beam) ->
                          {_Module, Binary} = instrumented(Beam, is_change(filename:basename(Beam, ".beam"))),
                          ok = file:write_file(Beam, Binary)
                  end, Beams).

%% Loads Module with calls to Changes counted. Nothing is written.
-spec instrument_loaded(module(), [{module(), atom()}]) -> ok.
instrument_loaded(Module, Changes) ->
    {Module, Binary} = instrumented(code:which(Module), fun(M, F, _Arity) -> lists:member({M, F}, Changes) end),
    {module, Module} = code:load_binary(Module, atom_to_list(Module), Binary),
    ok.

is_change(In) ->
    Calls = case lists:member(In, ?NO_CALLS) of
                true -> #{};
                false -> ?CALLS
            end,
    fun (file, Function, _Arity) -> not lists:member(Function, ?LOOKS);
        (Module, Function, _Arity) -> lists:member(Function, maps:get(Module, Calls, []))
    end.

instrumented(Beam, IsChange) ->
    {ok, {Module, [{abstract_code, {_Version, Forms}}]}} = beam_lib:chunks(Beam, [abstract_code]),
    {ok, Module, Binary} = compile:forms(rewrite(Forms, IsChange), [debug_info]),
    {Module, Binary}.

rewrite({call, Line, {remote, _, {atom, _, Module}, {atom, _, Function}} = Called, Args}, IsChange) ->
    Rewritten = rewrite(Args, IsChange),
    case IsChange(Module, Function, length(Args)) of
        true -> through(Line, Module, Function, Rewritten);
        false -> {call, Line, Called, Rewritten}
    end;
rewrite({'fun', Line, {function, {atom, _, Module}, {atom, _, Function}, {integer, _, Arity}}} = Fun, IsChange) ->
    case IsChange(Module, Function, Arity) of
        true ->
            Args = [{var, Line, list_to_atom("Arg" ++ integer_to_list(N))} || N <- lists:seq(1, Arity)],
            {'fun', Line, {clauses, [{clause, Line, Args, [], [through(Line, Module, Function, Args)]}]}};
        false -> Fun
    end;
rewrite(Form, IsChange) when is_tuple(Form) -> list_to_tuple(rewrite(tuple_to_list(Form), IsChange));
rewrite([Head | Tail], IsChange) -> [rewrite(Head, IsChange) | rewrite(Tail, IsChange)];
rewrite(Form, _IsChange) -> Form.

through(Line, Module, Function, Args) ->
    List = lists:foldr(fun(Arg, Rest) -> {cons, Line, Arg, Rest} end, {nil, Line}, Args),
    {call, Line, {remote, Line, {atom, Line, ?MODULE}, {atom, Line, call}}, [{atom, Line, Module}, {atom, Line, Function}, List]}.

-spec arm(plan()) -> ok.
arm(#{node := Node, kill_at := KillAt, early := _, step := _, moment := _, trace := _, shadow := _} = Plan) when Node =:= node() ->
    ok = persistent_term:put(?MODULE, Plan#{count => counters:new(1, []), steps => counters:new(1, [])}),
    ok = end_early(Plan, KillAt =:= 1).

-spec disarm() -> ok.
disarm() ->
    persistent_term:put(?MODULE, off).

%% A VM that was not armed by a call is armed by the file beside this module, if there is one for its name: that is how a recovery is
%% killed, and what no shell can be asked for.
plan() ->
    case persistent_term:get(?MODULE, undefined) of
        undefined ->
            File = filename:join(filename:dirname(code:which(?MODULE)), "lab_faults.plan"),
            case file:consult(File) of
                {ok, [#{node := Node} = Plan]} when Node =:= node() -> arm(Plan);
                _NotForThisNode -> disarm()
            end,
            plan();
        Plan -> Plan
    end.

%%% In the middle

-spec call(module(), atom(), [term()]) -> term().
call(Module, Function, Args) ->
    Paths = paths(Module, Function, Args),
    case {plan(), kind(Module, Function, Args), lists:any(fun is_probe/1, Paths)} of
        {off, _, _} -> done(Function, Args, apply(Module, Function, Args));
        {_, _, true} -> done(Function, Args, apply(Module, Function, Args));
        {_, look, _} -> done(Function, Args, apply(Module, Function, Args));
        {Plan, step, _} ->
            begun(Plan, Args),
            apply(Module, Function, Args);
        {Plan, sync, _} -> traced(Plan, 0, file, Function, Paths, #{}, Args, apply(Module, Function, Args));
        {Plan, change, _} ->
            Number = next(Plan),
            Known = before(Plan, Number, Module, Function, Args, Paths),
            {Took, Result} = timer:tc(Module, Function, Args),
            Facts = Known#{there => is_there(Module, Function, Args), took => Took div 1000},
            traced(Plan, Number, Module, Function, Paths, Facts, Args, Result)
    end.

kind(file, open, [_Path, Modes]) ->
    case lists:member(write, Modes) of
        true -> change;
        false -> look
    end;
kind(file, Function, _Args) ->
    case lists:member(Function, ?SYNCS) of
        true -> sync;
        false -> change
    end;
kind(easy_cluster_rpc, call, [_Node, Module, Function | _]) ->
    kind_there([{Module, Function}]);
kind(easy_cluster_rpc, batch, [_Node, Calls | _]) ->
    kind_there([{Module, Function} || {Module, Function, _Args} <- Calls]);
%% Neither the connections before the first step nor the way back are steps of the plan.
kind(easy_cluster_step, run, [_Action, #{undoing := true}]) ->
    look;
kind(easy_cluster_step, run, [_Action, #{id := _}]) ->
    step;
kind(easy_cluster_step, run, _Args) ->
    look;
kind(_Module, _Function, _Args) ->
    change.

kind_there(Calls) ->
    case [Call || {Module, Function} = Call <- Calls, lists:member(Function, maps:get(Module, ?CALLS, []))] of
        [] -> look;
        _Changes -> change
    end.

next(#{count := Count} = Plan) ->
    ok = counters:add(Count, 1, 1),
    Number = counters:get(Count, 1),
    ok = reached(Plan, Number),
    Number.

reached(#{kill_at := Number, moment := none}, Number) -> halted();
reached(#{kill_at := Number, early := infinity} = Plan, Number) -> held(Plan);
reached(#{kill_at := Number, early := Early} = Plan, Number) ->
    _ = spawn(fun() -> receive after Early -> come(Plan) end end),
    ok;
reached(_Plan, _Number) -> ok.

begun(#{steps := Steps, trace := Trace} = Plan, [Action | _]) ->
    ok = counters:add(Steps, 1, 1),
    Number = counters:get(Steps, 1),
    ok = written(Trace, {0, {easy_cluster_step, run}, [text(action(Action))], #{step => Number, ok => true}}),
    case Plan of
        #{step := Number} -> held(Plan);
        #{} -> ok
    end.

action({Name, _Args}) -> atom_to_list(Name);
action(Name) -> atom_to_list(Name).

held(#{moment := File} = Plan) ->
    ok = come(Plan),
    wait_for(File ++ ".over").

come(#{moment := File}) ->
    file:write_file(File, <<>>, [raw]).

wait_for(File) ->
    case filelib:is_file(File) of
        true -> ok;
        false -> receive after 5 -> wait_for(File) end
    end.

%% Whether other members take part in a change. A Mnesia that starts or stops here does so with theirs.
is_there(file, _Function, _Args) -> false;
is_there(erlang, _Function, _Args) -> false;
is_there(mnesia, dump_log, _Args) -> false;
is_there(application, _Function, [App | _]) -> App =:= mnesia;
is_there(_Module, _Function, _Args) -> true.

paths(file, Function, [From, To]) when Function =:= rename; Function =:= make_link; Function =:= copy -> [text(From), text(To)];
paths(file, Function, [File | _]) when Function =:= pwrite; Function =:= write; Function =:= truncate; Function =:= sync;
                                       Function =:= datasync -> [get({?MODULE, File})];
paths(file, _Function, [Path | _]) -> [text(Path)];
paths(_Module, _Function, Args) -> [text(io_lib:format("~0P", [Args, 12]))].

text(Path) ->
    unicode:characters_to_binary(Path).

is_probe(Path) ->
    string:prefix(filename:basename(Path), ?PROBE) =/= nomatch.

%% What can no more be known afterwards.
before(Plan, Number, file, rename, [_From, To], _Paths) ->
    #{existed => shadowed(Plan, Number, To)};
before(Plan, Number, file, delete, [Path | _], _Paths) ->
    #{existed => shadowed(Plan, Number, Path)};
before(_Plan, _Number, file, copy, [_From, To], _Paths) ->
    #{existed => filelib:is_file(To)};
before(_Plan, _Number, file, Function, [Path | _], _Paths) when Function =:= open; Function =:= write_file ->
    #{existed => filelib:is_file(Path)};
before(_Plan, _Number, file, pwrite, [_File, Offset, Data], [Path]) ->
    #{offset => Offset, events => events(Path, iolist_to_binary(Data))};
before(_Plan, _Number, _Module, _Function, _Args, _Paths) ->
    #{}.

shadowed(#{shadow := none}, _Number, Path) ->
    filelib:is_file(Path);
shadowed(#{shadow := Shadow}, Number, Path) ->
    file:make_link(Path, filename:join(Shadow, integer_to_list(Number))) =:= ok.

%% The names of the events in a piece of a journal.
events(Path, Data) ->
    case filename:extension(Path) of
        <<".journal">> -> [text(name(Event)) || Event <- frames(Data)];
        _Other -> []
    end.

frames(Data) ->
    Size = easy_cluster_frame:header_size(),
    case easy_cluster_frame:next(Data) of
        {ok, {_Sequence, _At, Event}, Rest} -> [Event | frames(Rest)];
        done -> [];
        bad when byte_size(Data) > Size -> frames(binary:part(Data, Size, byte_size(Data) - Size));
        bad -> []
    end.

name({begun, _Plan}) -> "begun";
name({intent, Number, {Name, _}}) -> io_lib:format("intent ~b ~s", [Number, Name]);
name({intent, Number, Name}) -> io_lib:format("intent ~b ~s", [Number, Name]);
name({done, Number, _}) -> io_lib:format("done ~b", [Number]);
name({outcome, Outcome, _}) -> io_lib:format("outcome ~s", [Outcome]);
name(Event) -> io_lib:format("~0P", [Event, 5]).

traced(#{trace := Trace, kill_at := KillAt} = Plan, Number, Module, Function, Paths, Known, Args, Result) ->
    Facts = Known#{ok => is_ok(Result), at => erlang:monotonic_time(millisecond)},
    ok = written(Trace, {Number, {Module, Function}, Paths, Facts}),
    ok = end_early(Plan, Number > 0 andalso Number =:= KillAt - 1),
    done(Function, Args, Result).

written(Trace, Term) ->
    Entry = term_to_binary(Term),
    file:write_file(Trace, [<<(byte_size(Entry)):32>>, Entry], [append, raw]).

end_early(#{early := Early, moment := none}, true) when is_integer(Early) ->
    _ = spawn(fun() -> receive after Early -> halted() end end),
    ok;
end_early(_Plan, _IsLastChange) ->
    ok.

%% As SIGKILL: nothing is flushed, nobody is told.
halted() ->
    erlang:halt(137, [{flush, false}]).

is_ok(ok) -> true;
is_ok({ok, _}) -> true;
is_ok(_) -> false.

%% An open file knows no name.
done(open, [Path | _], {ok, File}) ->
    put({?MODULE, File}, text(Path)),
    {ok, File};
done(_Function, _Args, Result) ->
    Result.

%%% After

%% The last point of all: everything is done, and nobody knows yet.
-spec finished(term()) -> term().
finished(Answer) ->
    #{} = Plan = plan(),
    _ = next(Plan),
    ok = disarm(),
    Answer.
