%% Writes numbered records, one a transaction, and knows which of them were acknowledged; also, in a file, how many of them a kill of this
%% node may not take: those that Mnesia has synced.
-module(lab_numbers).

-export([make_table/0, start/0, start/1, stop/0, missing/1, holes/1]).

-define(TABLE, lab_numbers).
-define(PACE, 5).
%% So many are acknowledged before anything else begins.
-define(FIRST, 5).
%% So many are synced at once.
-define(SYNCED, 20).

-spec make_table() -> ok.
make_table() ->
    {atomic, ok} = mnesia:create_table(?TABLE, [{disc_copies, [node()]}]),
    ok.

%% Begins with 1; what an earlier one has written is gone. Returns how many are acknowledged already.
-spec start() -> pos_integer().
start() ->
    start(none).

%% File says, as text, how many have come to the disc.
-spec start(file:filename() | none) -> pos_integer().
start(File) ->
    {atomic, ok} = mnesia:clear_table(?TABLE),
    Asker = self(),
    Pid = spawn(fun() ->
                        lists:foreach(fun(Number) -> {atomic, ok} = written(Number) end, lists:seq(1, ?FIRST)),
                        ok = synced(File, ?FIRST),
                        Asker ! {?MODULE, ?FIRST},
                        write(?FIRST + 1, File)
                end),
    true = register(?MODULE, Pid),
    receive {?MODULE, Acknowledged} -> Acknowledged end.

%% Aborted is not acknowledged, and tried again.
write(Number, File) ->
    case written(Number) of
        {atomic, ok} when Number rem ?SYNCED =:= 0 ->
            ok = synced(File, Number),
            next(Number, File);
        {atomic, ok} -> next(Number, File);
        {aborted, _Reason} -> next(Number - 1, File)
    end.

synced(none, _Number) ->
    ok;
synced(File, Number) ->
    ok = mnesia:sync_log(),
    New = File ++ ".new",
    ok = file:write_file(New, integer_to_list(Number)),
    file:rename(New, File).

written(Number) ->
    mnesia:transaction(fun() -> mnesia:write({?TABLE, Number, <<Number:64>>}) end).

next(Acknowledged, File) ->
    receive {stop, Asker} -> Asker ! {?MODULE, Acknowledged}
    after ?PACE -> write(Acknowledged + 1, File)
    end.

%% The last number that was acknowledged.
-spec stop() -> non_neg_integer().
stop() ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {stop, self()},
    receive
        {?MODULE, Acknowledged} ->
            demonitor(Monitor, [flush]),
            Acknowledged
    end.

%% The acknowledged numbers that cannot be read on this node.
-spec missing(non_neg_integer()) -> [pos_integer()].
missing(Acknowledged) ->
    [Number || Number <- lists:seq(1, Acknowledged), mnesia:dirty_read(?TABLE, Number) =/= [{?TABLE, Number, <<Number:64>>}]].

%% Where a node went on alone, its records are those of one moment: all up to one of them, and at least those that were acknowledged
%% before. What is missing of these.
-spec holes(non_neg_integer()) -> [pos_integer()].
holes(Before) ->
    missing(lists:max([Before | mnesia:dirty_all_keys(?TABLE)])).
