#!/usr/bin/env escript
%% Whether calls between rooms point down only, and none goes in a circle (ARCHITECTURE.md).
%%
%%     $ escript tests/rooms.escript _build/default/lib/easy_cluster/ebin src
%%
%% Erlang: the call graph comes from xref. Rust: the paths that begin with `crate::'.

%% From the top. A module belongs to the one room that lists it; those of one room may call one another.
erlang() ->
    [{faces, [easy_cluster, easy_cluster_api, easy_cluster_shell, easy_cluster_status, easy_cluster_rename_main, mod_easy_cluster]},
     {peer, ours([peer])},
     {watch, ours([watch, watch_job])},
     {run, ours([app, sup, server, planner, executor, walker, recovery, salvage, progress, rename])},
     {do, ours([step, build, restore, renamed, schema, fence, returning, forget, bar, drain, mend, lock])},
     {look, ours([gather, reach, ways, configuration, configuration_files, doctor, explain, boot, diff, tree, undecided, policy])},
     {disk, ours([directory, files, frame, journal, history, damage, drop, pause, schema_file, mnesia, rows, digest, backup, backup_writer,
                  backup_reader])},
     {ground, ours([rpc, text, wait, vm, operation, unexpected])},
     {bridge, ours([native, nif])}].

ours(Names) -> [list_to_atom("easy_cluster_" ++ atom_to_list(Name)) || Name <- Names].

rust() ->
    [[explain], [watch], [operation], [topology], [plan], [validate], [model]].

main([Ebin, Source]) ->
    Wrong = of_erlang(Ebin) ++ of_rust(Source),
    [io:format(standard_error, "~ts~n", [Each]) || Each <- Wrong],
    case Wrong of
        [] -> io:format("rooms: all calls point down, and none goes in a circle~n");
        _ -> halt(1)
    end.

of_erlang(Ebin) ->
    {ok, _} = xref:start(rooms),
    ok = xref:set_default(rooms, [{warnings, false}]),
    {ok, _} = xref:add_directory(rooms, Ebin),
    {ok, Modules} = xref:q(rooms, "AM"),
    {ok, All} = xref:q(rooms, "ME"),
    Calls = [{From, To} || {From, To} <- All, From =/= To, lists:member(From, Modules), lists:member(To, Modules)],
    Floors = numbered([{Room, Each} || {Room, Each} <- erlang()]),
    Homeless = [io_lib:format("~s is in no room", [Module]) || Module <- Modules, not is_map_key(Module, Floors)],
    Gone = [io_lib:format("~s is in a room and does not exist", [Module]) || Module <- maps:keys(Floors), not lists:member(Module, Modules)],
    Up = [io_lib:format("~s calls ~s, which is in a room above it", [From, To])
          || {From, To} <- Calls, is_map_key(From, Floors), is_map_key(To, Floors), maps:get(From, Floors) > maps:get(To, Floors)],
    Homeless ++ Gone ++ Up ++ circles(Calls).

numbered(Rooms) ->
    Numbers = lists:zip(lists:seq(1, length(Rooms)), Rooms),
    maps:from_list([{Module, Number} || {Number, {_Room, Modules}} <- Numbers, Module <- Modules]).

circles(Calls) ->
    Graph = digraph:new(),
    [digraph:add_vertex(Graph, Each) || {From, To} <- Calls, Each <- [From, To]],
    [digraph:add_edge(Graph, From, To) || {From, To} <- Calls],
    [io_lib:format("~ts call one another in a circle", [lists:join(", ", [atom_to_list(Each) || Each <- Circle])])
     || [_, _ | _] = Circle <- digraph_utils:strong_components(Graph)].

of_rust(Source) ->
    Numbers = lists:zip(lists:seq(1, length(rust())), rust()),
    Floors = maps:from_list([{Room, Number} || {Number, Rooms} <- Numbers, Room <- Rooms]),
    lists:append([arrows(File, Floors, Source) || File <- filelib:wildcard(filename:join(Source, "**/*.rs"))]).

%% Tests may look up.
arrows(File, Floors, Source) ->
    {ok, Text} = file:read_file(File),
    [Code | _Tests] = binary:split(Text, <<"#[cfg(test)]">>),
    [Top | _] = lists:nthtail(length(filename:split(Source)), filename:split(File)),
    Own = maps:get(list_to_atom(filename:rootname(Top)), Floors, 0),
    Uncommented = re:replace(Code, "^\\s*//.*$", "", [global, multiline]),
    Named = case re:run(Uncommented, "crate::([a-z]+)", [global, {capture, all_but_first, list}]) of
                {match, Found} -> lists:usort([list_to_atom(Room) || [Room] <- Found]);
                nomatch -> []
            end,
    [io_lib:format("~ts uses ~s, which is above it", [File, Room]) || Room <- Named, maps:get(Room, Floors, infinity) < Own,
                                                                       filename:basename(File) =/= "recovery_tests.rs"].
