%% A backup as Mnesia reads one that it is to install as the database of a node: a callback module of Mnesia's, as
%% `mnesia:install_fallback/2' takes them; Source: the user's guide of Mnesia, "Backup Callback Interface".
%%
%% The tables get this node as their only holder, and cookies that no other node has ever seen: a member of the cluster that
%% the backup is of refuses to merge with them, instead of bringing the old tables back.
-module(easy_cluster_backup_reader).

-export([new/3]).
-export([open_read/1, read/1, close_read/1]).

-define(COPIES, [ram_copies, disc_copies, disc_only_copies]).

-type state() :: #{schema := [tuple()], defined := [file:filename_all()], archives := [file:filename_all()], next := schema | rows,
                   open := none | {atom(), easy_cluster_rows:reader()}}.

%% `Schema' is what a backup of an empty database begins with. All tables in `Archives' are made, and those in `Filled' get their rows.
-spec new([tuple()], Archives :: [file:filename_all()], Filled :: [file:filename_all()]) -> state().
new(Schema, Archives, Filled) ->
    #{schema => Schema, defined => Archives, archives => Filled, next => schema, open => none}.

-spec open_read(state()) -> {ok, state()}.
open_read(State) ->
    {ok, State}.

%% Everything that is about definitions comes first.
-spec read(state()) -> {ok, state(), [tuple()]} | {error, term()}.
read(#{next := schema, schema := Schema, defined := Archives} = State) ->
    case definitions(Archives, []) of
        {ok, Definitions} -> {ok, State#{next := rows}, Schema ++ Definitions};
        {error, _} = Error -> Error
    end;
read(#{open := none, archives := []} = State) ->
    {ok, State, []};
read(#{open := none, archives := [Archive | Archives]} = State) ->
    case easy_cluster_rows:open_reader(Archive) of
        {ok, #{table := Table}, Reader} -> read(State#{open := {Table, Reader}, archives := Archives});
        {error, _} = Error -> Error
    end;
read(#{open := {Table, Reader}} = State) ->
    case easy_cluster_rows:next_rows(Reader) of
        {ok, Rows, Next} -> {ok, State#{open := {Table, Next}}, [setelement(1, Row, Table) || Row <- Rows]};
        {done, Last} ->
            ok = easy_cluster_rows:close_reader(Last),
            read(State#{open := none});
        {error, _} = Error -> Error
    end.

-spec close_read(state()) -> {ok, state()}.
close_read(#{open := {_Table, Reader}} = State) ->
    ok = easy_cluster_rows:close_reader(Reader),
    {ok, State#{open := none}};
close_read(State) ->
    {ok, State}.

definitions([], Definitions) ->
    {ok, lists:reverse(Definitions)};
definitions([Archive | Archives], Definitions) ->
    case easy_cluster_rows:open_reader(Archive) of
        {ok, #{table := Table, schema := Schema, storage := Storage}, Reader} ->
            ok = easy_cluster_rows:close_reader(Reader),
            definitions(Archives, [{schema, Table, here(Schema, Storage)} | Definitions]);
        {ok, _WithoutSchema, Reader} ->
            ok = easy_cluster_rows:close_reader(Reader),
            {error, {no_schema, Archive}};
        {error, _} = Error ->
            Error
    end.

here(Schema, Storage) ->
    Cookie = unique(),
    [here(Item, Storage, Cookie) || Item <- Schema].

here({Kind, _Nodes}, Storage, _Cookie) when Kind =:= Storage -> {Kind, [node()]};
here({cookie, _}, _Storage, Cookie) -> {cookie, Cookie};
here({frag_properties, Properties}, _Storage, _Cookie) -> {frag_properties, [pool(Property) || Property <- Properties]};
here({Kind, Value}, _Storage, _Cookie) ->
    case lists:member(Kind, ?COPIES) of
        true -> {Kind, []};
        false -> {Kind, Value}
    end;
here(Other, _Storage, _Cookie) ->
    Other.

%% Where the fragments that are added later are put.
pool({node_pool, _Nodes}) -> {node_pool, [node()]};
pool(Property) -> Property.

unique() ->
    {{erlang:system_time(), erlang:unique_integer(), rand:uniform(1 bsl 60)}, node()}.
