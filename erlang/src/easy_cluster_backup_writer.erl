%% What Mnesia hands over when it backs up a checkpoint, as one archive a table. This is a callback module of Mnesia's, as
%% `mnesia:backup_checkpoint/3' takes them; Source: the user's guide of Mnesia, "Backup Callback Interface".
%%
%% While others write, Mnesia gives the rows of a table as they are by then, followed by each key that was written
%% since the checkpoint and what it held before. Such an archive is gone over once more, so that it has the rows of the
%% checkpoint and nothing else; what is held in memory for that are the keys that were written meanwhile.
-module(easy_cluster_backup_writer).

-export([new/3]).
-export([open_write/1, write/2, commit_write/1, abort_write/1]).
-export_type([written/0, report/0]).

-define(PIECE, 1000).

%% A table as it is in the backup: `item' is what Mnesia's schema says of it.
-type written() :: #{name := atom(), rows := non_neg_integer(), bytes := non_neg_integer(), digest := binary(), atom() => term()}.
-type report() :: fun((written()) -> ok).
-type wanted() :: #{name := atom(), file := file:filename(), head := easy_cluster_rows:head(), shown := map()}.
-opaque state() :: #{wanted := #{atom() => wanted()},
                     open := none | map(),
                     written := [written()],
                     report := report(),
                     answer := {pid(), reference()}}.
-export_type([state/0, wanted/0]).

%% `Answer' is sent `{Tag, Written}' when all is on disc.
-spec new([wanted()], report(), {pid(), reference()}) -> state().
new(Wanted, Report, Answer) ->
    #{wanted => maps:from_list([{Name, Table} || #{name := Name} = Table <- Wanted]), open => none,
      written => [], report => Report, answer => Answer}.

-spec open_write(state()) -> {ok, state()}.
open_write(State) ->
    {ok, State}.

%% The first terms are a header and the definitions. Rows and keys come with the name of their table in front, whatever
%% the name of the record.
-spec write(state(), [tuple()]) -> {ok, state()} | {error, term()}.
write(State, []) ->
    {ok, State};
write(#{wanted := Wanted} = State, [{schema, Name, Definition} | Items]) when is_map_key(Name, Wanted) ->
    #{Name := #{head := Head} = Table} = Wanted,
    write(State#{wanted := Wanted#{Name := Table#{head := Head#{schema => Definition}}}}, Items);
write(#{wanted := Wanted} = State, [Item | _] = Items) when is_map_key(element(1, Item), Wanted) ->
    rows(element(1, Item), Items, State);
write(State, [_Header | Items]) ->
    write(State, Items).

rows(Name, Items, #{open := #{name := Name}} = State) -> into_open(Items, State);
rows(Name, Items, #{open := none} = State) -> opened(Name, Items, State);
rows(Name, Items, State) -> next_table(Name, Items, State).

next_table(Name, Items, State) ->
    case close_open(State) of
        {ok, Closed} -> opened(Name, Items, Closed);
        {error, _} = Error -> Error
    end.

opened(Name, Items, State) ->
    case open(Name, State) of
        {ok, Opened} -> into_open(Items, Opened);
        {error, _} = Error -> Error
    end.

open(Name, #{wanted := Wanted} = State) ->
    #{Name := #{head := Head, file := File}} = Wanted,
    case easy_cluster_rows:open_archive(Head, File) of
        {ok, Writer} ->
            {ok, State#{open := #{name => Name, writer => Writer, digest => easy_cluster_digest:new(),
                                  record => record_name(Head), before => none}}};
        {error, _} = Error ->
            Error
    end.

record_name(#{definition := Definition}) ->
    proplists:get_value(record_name, Definition).

into_open(Items, #{open := #{before := none} = Open} = State) ->
    {Rows, Rest} = lists:splitwith(fun(Item) -> tuple_size(Item) > 2 end, Items),
    case put_rows(Rows, Open) of
        {ok, Put} when Rest =:= [] -> {ok, State#{open := Put}};
        {ok, Put} -> into_open(Rest, State#{open := Put#{before := before(State)}});
        {error, _} = Error -> Error
    end;
into_open(Items, #{open := #{before := Before, record := Record}} = State) ->
    lists:foreach(fun(Item) -> remember(Item, Record, Before) end, Items),
    {ok, State}.

%% Keys that are equal to the table are equal here.
before(#{open := #{name := Name}, wanted := Wanted}) ->
    #{Name := #{head := #{definition := Definition}}} = Wanted,
    Type = case proplists:get_value(type, Definition) of
               ordered_set -> ordered_set;
               _SetOrBag -> set
           end,
    ets:new(?MODULE, [Type, private]).

remember({_Table, Key}, _Record, Before) ->
    ets:insert(Before, {Key, []});
remember(Row, Record, Before) ->
    Key = element(2, Row),
    [{_, Rows}] = ets:lookup(Before, Key),
    ets:insert(Before, {Key, [setelement(1, Row, Record) | Rows]}).

put_rows(Items, #{writer := Writer, digest := Digest, record := Record} = Open) ->
    Rows = [setelement(1, Item, Record) || Item <- Items],
    case easy_cluster_rows:put_rows(Rows, Writer) of
        {ok, Put} -> {ok, Open#{writer := Put, digest := easy_cluster_digest:add(Rows, Digest)}};
        {error, _} = Error -> Error
    end.

close_open(#{open := none} = State) ->
    {ok, State};
close_open(#{open := #{before := none, writer := Writer, digest := Digest, name := Name}} = State) ->
    closed(easy_cluster_rows:close_archive(Writer), Name, Digest, State);
close_open(#{open := #{before := Before, writer := Writer}} = State) ->
    case easy_cluster_rows:close_archive(Writer) of
        {ok, _Rows, _Bytes} -> go_over(Before, State);
        {error, _} = Error -> Error
    end.

closed({ok, Rows, Bytes}, Name, Digest, #{wanted := Wanted, written := Written, report := Report} = State) ->
    #{Name := #{shown := Shown}} = Wanted,
    Table = Shown#{name => Name, rows => Rows, bytes => Bytes, digest => easy_cluster_digest:text(Digest)},
    ok = Report(Table),
    {ok, State#{open := none, written := [Table | Written]}};
closed({error, _} = Error, _Name, _Digest, _State) ->
    Error.

%% Rows of keys that were written since the checkpoint give way to those that it had.
go_over(Before, #{open := #{name := Name, record := Record}, wanted := Wanted} = State) ->
    #{Name := #{head := Head, file := File}} = Wanted,
    case easy_cluster_rows:open_archive(Head, File) of
        {ok, Writer} ->
            Empty = #{writer => Writer, digest => easy_cluster_digest:new(), record => Record},
            gone_over(unwritten(File, Before, Empty), Before, Writer, Name, State);
        {error, _} = Error ->
            Error
    end.

unwritten(File, Before, Empty) ->
    Keep = fun(Rows, Open) -> put_rows([Row || Row <- Rows, not ets:member(Before, element(2, Row))], Open) end,
    case easy_cluster_rows:fold_pieces(Keep, Empty, File) of
        {ok, _Head, Open, _Bytes} -> put_before(ets:match_object(Before, '_', ?PIECE), Open);
        {error, _} = Error -> Error
    end.

put_before('$end_of_table', Open) ->
    {ok, Open};
put_before({Found, Continuation}, Open) ->
    case put_rows(lists:append([Rows || {_Key, Rows} <- Found]), Open) of
        {ok, Put} -> put_before(ets:match_object(Continuation), Put);
        {error, _} = Error -> Error
    end.

gone_over({ok, #{writer := Writer, digest := Digest}}, Before, _Begun, Name, State) ->
    true = ets:delete(Before),
    closed(easy_cluster_rows:close_archive(Writer), Name, Digest, State);
gone_over({error, _} = Error, _Before, Begun, _Name, _State) ->
    ok = easy_cluster_rows:give_up_archive(Begun),
    Error.

%% Mnesia says nothing of tables without rows.
-spec commit_write(state()) -> {ok, state()} | {error, term()}.
commit_write(State) ->
    case close_open(State) of
        {ok, #{wanted := Wanted, written := Written} = Closed} ->
            Empty = lists:sort(maps:keys(Wanted) -- [Name || #{name := Name} <- Written]),
            committed(write_empty(Empty, Closed));
        {error, _} = Error ->
            Error
    end.

write_empty([], State) ->
    {ok, State};
write_empty([Name | Names], State) ->
    case open(Name, State) of
        {ok, Opened} -> written_empty(close_open(Opened), Names);
        {error, _} = Error -> Error
    end.

written_empty({ok, Closed}, Names) -> write_empty(Names, Closed);
written_empty({error, _} = Error, _Names) -> Error.

committed({ok, #{written := Written, answer := {Pid, Tag}} = State}) ->
    Pid ! {Tag, lists:sort(fun(#{name := A}, #{name := B}) -> A =< B end, Written)},
    {ok, State};
committed({error, _} = Error) ->
    Error.

%% The folder has no manifest, so that what is in it is no backup.
-spec abort_write(state()) -> {ok, state()}.
abort_write(#{open := #{writer := Writer}} = State) ->
    ok = easy_cluster_rows:give_up_archive(Writer),
    {ok, State#{open := none}};
abort_write(State) ->
    {ok, State}.
