%% Journals with wrong bytes, beside directories at each stage of an exchange that real functions made: a start has an answer
%% to each, and no file is lost.
-module(easy_cluster_salvage_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run on the node
-export([prepare/1, try_all/3]).
%% Run by `make fuzz-journal'
-export([fuzz/1]).

-define(ID, <<"join-1">>).
%% Nobody is there.
-define(NOBODY, 'nobody@127.0.77.99').

journals_test_() ->
    {timeout, 600, fun() ->
        with_stages(fun(Peer, Root, Stages) ->
            [?assertEqual([], tried(Peer, Root, Stage, systematic(maps:get(journal, Stage)))) || Stage <- Stages]
        end)
    end}.

%% What is right has to be found out by these checks, too, or they would find nothing.
whole_journals_test_() ->
    {timeout, 120, fun() ->
        with_stages(fun(Peer, Root, Stages) ->
            Tried = [{maps:get(name, Stage), call(Peer, try_all, [Root, Stage, [maps:get(journal, Stage)]])} || Stage <- Stages],
            ?assertEqual([{Name, [Expected]} || #{name := Name, whole := Expected} <- Stages],
                         [{Name, [Result || {_Bytes, Result, _Wrong} <- Results]} || {Name, Results} <- Tried])
        end)
    end}.

%% Random changes until the time is up; prints what was done.
fuzz(Seconds) ->
    Seed = rand:export_seed_s(rand:seed(exsss)),
    Deadline = erlang:monotonic_time(second) + Seconds,
    {Runs, Wrong} = with_stages(fun(Peer, Root, Stages) -> fuzz(Peer, Root, Stages, Deadline, 0, []) end),
    io:format("fuzz-journal: ~w runs in ~w s, ~w findings; seed ~p~n", [Runs, Seconds, length(Wrong), Seed]),
    [io:format("  ~p~n", [Each]) || Each <- lists:sublist(Wrong, 10)],
    Wrong =:= [].

fuzz(Peer, Root, Stages, Deadline, Runs, Wrong) ->
    case erlang:monotonic_time(second) >= Deadline of
        true -> {Runs, Wrong};
        false ->
            Stage = lists:nth(rand:uniform(length(Stages)), Stages),
            Changed = [changed(maps:get(journal, Stage)) || _ <- lists:seq(1, 50)],
            fuzz(Peer, Root, Stages, Deadline, Runs + 50, tried(Peer, Root, Stage, Changed) ++ Wrong)
    end.

tried(Peer, Root, #{name := Name} = Stage, Changed) ->
    [{Name, Wrong, Result, Bytes} || {Bytes, Result, Wrong} <- call(Peer, try_all, [Root, Stage, Changed]), Wrong =/= right].

%% Cuts and changed bytes all over it, the beginnings of records more closely.
systematic(Bytes) ->
    Size = byte_size(Bytes),
    Records = [At || {At, _} <- binary:matches(Bytes, <<16#EC0DE5A1:32>>)] ++ [Size],
    Near = [At + Offset || At <- Records, Offset <- [-1, 0, 5, 13], At + Offset >= 0, At + Offset < Size],
    Places = lists:usort(Near ++ lists:seq(0, Size - 1, max(1, Size div 12))),
    [binary:part(Bytes, 0, At) || At <- Places] ++ [flipped(Bytes, At, 16#55) || At <- Places] ++ [of_version(Bytes, 2), <<>>].

changed(Bytes) ->
    Size = byte_size(Bytes),
    case rand:uniform(6) of
        1 -> binary:part(Bytes, 0, rand:uniform(Size) - 1);
        2 -> flipped(Bytes, rand:uniform(Size) - 1, rand:uniform(255));
        3 -> lists:foldl(fun(_, Some) -> flipped(Some, rand:uniform(Size) - 1, rand:uniform(255)) end, Bytes, lists:seq(1, rand:uniform(8)));
        4 -> <<(binary:part(Bytes, 0, rand:uniform(Size) - 1))/binary, (rand:bytes(rand:uniform(300)))/binary>>;
        5 -> part_twice(Bytes, rand:uniform(Size) - 1, rand:uniform(Size) - 1);
        6 -> of_version(Bytes, rand:uniform(65536) - 1)
    end.

flipped(Bytes, At, Mask) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor Mask), After/binary>>.

part_twice(Bytes, A, B) ->
    <<(binary:part(Bytes, 0, max(A, B)))/binary, (binary:part(Bytes, min(A, B), byte_size(Bytes) - min(A, B)))/binary>>.

of_version(<<Kind:8/binary, _:48, Records/binary>>, Version) ->
    Start = <<Kind/binary, Version:16>>,
    <<Start/binary, (erlang:crc32(Start)):32, Records/binary>>.

%%% The stages

with_stages(Fun) ->
    Root = easy_cluster_peers:scratch_in_memory(),
    [Peer] = easy_cluster_peers:start(1),
    try
        Fun(Peer, Root, call(Peer, prepare, [Root]))
    after
        easy_cluster_peers:stop(Peer),
        easy_cluster_peers:remove(Root)
    end.

call(Peer, Function, Args) ->
    easy_cluster_peers:call(Peer, ?MODULE, Function, Args).

%% A directory for each stage of a join, with the journal that it has then.
prepare(Root) ->
    First = filename:join(Root, "staged"),
    easy_cluster_directory_tests:prepare(First),
    Old = tables(First),
    #{staging := Staging} = easy_cluster_directory:paths(First, ?ID),
    New = file(Staging, "schema.DAT"),
    Plan = plan(),
    Grow = fun({Name, From, Step, Last, Whole}) ->
        Dir = filename:join(Root, Name),
        Dir =:= filename:join(Root, From) orelse copied(filename:join(Root, From), Dir),
        step(Step, Dir),
        #{name => Name, dir => Dir, journal => journal(Dir, Plan, Last), old => Old, new => New, whole => Whole}
    end,
    Stages = lists:map(Grow, [
        {"staged", "staged", none, schema_to_disc, {back, ?ID}},
        {"kept", "staged", keep, keep_database, {back, ?ID}},
        {"without_logs", "kept", delete_logs, delete_logs, {back, ?ID}},
        {"committed", "without_logs", commit_schema, commit_schema, {back, ?ID}},
        {"half_replaced", "committed", half, replace_files, {back, ?ID}},
        {"replaced", "committed", replace_files, replace_files, {back, ?ID}},
        {"serving", "replaced", none, verify, {forward, ?ID}},
        {"half_restored", "replaced", half_restore, undo, {back, ?ID}}
    ]),
    Stages.

step(none, _Dir) -> ok;
step(delete_logs, Dir) -> ok = easy_cluster_directory:delete_logs(Dir);
step(half, Dir) -> ok = file:delete(filename:join(Dir, "settings.DCD"));
step(half_restore, Dir) -> {killed_in, restore} = easy_cluster_directory_tests:run_killed(Dir, [restore], 20);
step(Step, Dir) -> ok = easy_cluster_directory:Step(Dir, ?ID).

%% That of a join of a real snapshot, with members that nobody reaches.
plan() ->
    {ok, Bytes} = file:read_file("native/easy_cluster_wire/tests/fixtures/plan.etf"),
    {plan, Inputs} = binary_to_term(Bytes),
    {ok, #{options := Options} = Plan} = easy_cluster_native:call(plan, Inputs),
    nobody(Plan#{id := ?ID, options := Options#{timeout := 100}}).

nobody(Node) when Node =:= 'ejabberd@foo.bar'; Node =:= 'ejabberd@third.host' -> ?NOBODY;
nobody(Map) when is_map(Map) -> maps:map(fun(_Key, Value) -> nobody(Value) end, Map);
nobody(List) when is_list(List) -> [nobody(Each) || Each <- List];
nobody(Tuple) when is_tuple(Tuple) -> list_to_tuple(nobody(tuple_to_list(Tuple)));
nobody(Term) -> Term.

%% Records up to the step of that name.
journal(Dir, #{steps := Steps} = Plan, Last) ->
    {Before, From} = lists:splitwith(fun(#{action := Action}) -> name(Action) =/= Last end, Steps),
    Begun = Before ++ lists:sublist(From, 1),
    Events = lists:append([[{intent, Number, Action}, {done, Number, #{}}] || #{number := Number, action := Action} <- Begun]),
    Undo = [{undo, restore_database} || Last =:= undo],
    #{journal := Path} = easy_cluster_directory:paths(Dir, ?ID),
    _ = file:delete(Path),
    {ok, Created} = easy_cluster_journal:create(Dir, ?ID, {begun, Plan}),
    {ok, Written} = easy_cluster_journal:append_all(Created, without_opening(Events, Last) ++ Undo),
    ok = easy_cluster_journal:close(Written),
    {ok, Bytes} = file:read_file(Path),
    Bytes.

%% On the way back nobody was let in before.
without_opening(Events, undo) ->
    lists:takewhile(fun({intent, _, Action}) -> name(Action) =/= start_application; (_) -> true end, Events);
without_opening(Events, _Last) ->
    Events.

name({Name, _Args}) -> Name;
name(Name) -> Name.

copied(From, To) ->
    [] = os:cmd("cp -a '" ++ From ++ "' '" ++ To ++ "' 2>&1"),
    ok.

%%% One start each

try_all(Root, Stage, Journals) ->
    [try_one(filename:join(Root, "try"), Stage, Bytes) || Bytes <- Journals].

try_one(Dir, #{dir := From} = Stage, Bytes) ->
    copied(From, Dir),
    #{journal := Path} = easy_cluster_directory:paths(Dir, ?ID),
    ok = file:write_file(Path, Bytes),
    Readable = easy_cluster_journal:read(Dir, ?ID),
    Result = try easy_cluster_executor:recover_offline(Dir)
             catch Class:Reason:Stack -> {crashed, Class, Reason, Stack}
             end,
    Wrong = first_wrong([fun() -> is_answer(Result) end,
                         fun() -> nothing_lost(Dir, Stage) end,
                         fun() -> whole(Result, Dir, Stage) end,
                         fun() -> untouched(Readable, Path, Bytes) end]),
    ok = file:del_dir_r(Dir),
    {Bytes, Result, Wrong}.

first_wrong([]) -> right;
first_wrong([Check | Checks]) ->
    case Check() of
        right -> first_wrong(Checks);
        Wrong -> Wrong
    end.

is_answer(none) -> right;
is_answer({Direction, ?ID}) when Direction =:= forward; Direction =:= back -> right;
is_answer({error, {Code, #{}}}) when Code =:= half_exchanged; Code =:= recovery_failed -> right;
is_answer(_Other) -> no_answer.

%% The old tables are in the directory or kept.
nothing_lost(Dir, #{old := Old}) ->
    #{kept := Kept} = easy_cluster_directory:paths(Dir, ?ID),
    case {holds(tables(Dir), Old), holds(tables(Kept), Old)} of
        {false, false} -> lost;
        _ -> right
    end.

holds(Files, Old) -> maps:with(maps:keys(Old), Files) =:= Old.

%% What Mnesia finds is the old node, or a member without a file of the old one.
whole({error, _}, _Dir, _Stage) ->
    right;
whole(_Answer, Dir, #{old := #{"schema.DAT" := OldSchema} = Old, new := NewSchema}) ->
    Files = tables(Dir),
    case Files of
        #{"schema.DAT" := OldSchema} -> right_if(holds(Files, Old), half_an_old_node);
        #{"schema.DAT" := NewSchema} ->
            right_if([Name || {Name, Bytes} <- maps:to_list(Old), maps:get(Name, Files, none) =:= Bytes] =:= [], half_a_member);
        #{} -> no_schema
    end.

right_if(true, _Wrong) -> right;
right_if(false, Wrong) -> Wrong.

untouched({error, _}, Path, Bytes) -> right_if(file:read_file(Path) =:= {ok, Bytes}, written_to);
untouched({ok, _}, _Path, _Bytes) -> right.

tables(Dir) ->
    case easy_cluster_directory:mnesia_files(Dir) of
        {ok, Names} -> maps:from_list([{Name, file(Dir, Name)} || Name <- Names, not lists:suffix(".LOG", Name)]);
        {error, _} -> #{}
    end.

file(Dir, Name) ->
    {ok, Bytes} = file:read_file(filename:join(Dir, Name)),
    Bytes.
