#!/usr/bin/env escript
%%! +sbwt none
%% How fast rows are hashed, beside merely reading them and beside what needs no library: `escript benches/digest.escript'.
%% A table of a million rows of about 170 bytes in memory; medians of RUNS rounds, in turn.
-mode(compile).

-define(ROWS, 1000000).
-define(RUNS, 7).
-define(PIECE, 1000).

main(_) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    code:add_pathsa(filelib:wildcard(filename:join(Root, "_build/default/lib/*/ebin"))),
    ok = mnesia:start(),
    {atomic, ok} = mnesia:create_table(bench, [{attributes, [key, body, hash]}]),
    [ets:insert(bench, {bench, I, <<I:64, 0:448>>, <<I:128>>}) || I <- lists:seq(1, ?ROWS)],
    Ways = [{"read", fun() -> read(fun(_Rows) -> ok end) end},
            {"read and hash", fun() -> read(fun(Rows) -> easy_cluster_nif:hash_rows(Rows, 2, 42) end) end},
            {"read, term_to_binary, sha256", fun() -> read(fun in_erlang/1) end},
            {"a tree, one process", fun() -> tree(1) end},
            {"a tree, two processes", fun() -> tree(2) end}],
    Rounds = [[{Name, alone(Fun)} || {Name, Fun} <- Ways] || _ <- lists:seq(1, ?RUNS)],
    Medians = [{Name, median([proplists:get_value(Name, Round) || Round <- Rounds])} || {Name, _} <- Ways],
    Read = proplists:get_value("read", Medians),
    [io:format("~-30s ~6w ms  speed / reading ~.2f~n", [Name, Micros div 1000, Read / Micros]) || {Name, Micros} <- Medians],
    Hash = proplists:get_value("read and hash", Medians),
    io:format("reading and hashing against Erlang's own: ~.1f times as fast (target 1.5)~n",
              [proplists:get_value("read, term_to_binary, sha256", Medians) / Hash]),
    io:format("speed of reading: ~.2f (target 0.6)~n", [Read / Hash]),
    halt(case Read / Hash >= 0.6 of true -> 0; false -> 1 end).

read(Fun) ->
    read(ets:select(bench, [{'_', [], ['$_']}], ?PIECE), Fun).

read('$end_of_table', _Fun) -> ok;
read({Rows, Continuation}, Fun) ->
    Fun(Rows),
    read(ets:select(Continuation), Fun).

in_erlang(Rows) ->
    [crypto:hash(sha256, term_to_binary(Row, [deterministic, {minor_version, 2}])) || Row <- Rows].

tree(Workers) ->
    {ok, Tree} = easy_cluster_tree:start(#{owner => self(), table => bench, seed => 42, bits => 16, piece => ?PIECE, pause => 0,
                                           workers => Workers}),
    hashed(Tree).

hashed(Tree) ->
    case easy_cluster_tree:progress(Tree, 5000) of
        {hashing, _Rows} -> receive after 1 -> hashed(Tree) end;
        {hashed, #{rows := ?ROWS}} -> ok
    end.

%% In a process without garbage of others.
alone(Fun) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({took, element(1, timer:tc(Fun))}) end),
    receive {'DOWN', Monitor, process, Pid, {took, Micros}} -> Micros end.

median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).
