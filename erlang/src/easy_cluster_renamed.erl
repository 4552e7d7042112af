%% The database of a node for another name, made beside the one that is there. This VM has the old name.
-module(easy_cluster_renamed).

-export([build/5]).
%% In the VM of the new name
-export([prove/2]).

-define(SCHEMA, "schema.DAT").
-define(COPIES, [ram_copies, disc_copies, disc_only_copies]).
-define(START, 10000).
%% A slow disc.
-define(BYTES_PER_MILLISECOND, 1000).

%% Makes the renamed database beside the one that is there. This VM has the old name: it can bring into the tables what a
%% node that was killed has left in its log.
-spec build(file:filename(), node(), node(), file:filename(), pos_integer()) -> ok | {error, term()}.
build(Directory, From, To, Folder, Timeout) when From =:= node() ->
    easy_cluster_files:in_order([
        fun() -> started_in(Directory, Timeout) end,
        fun() -> easy_cluster_files:delete_folder(Folder) end,
        fun() -> easy_cluster_files:make_folder(Folder) end,
        fun() -> copied(easy_cluster_directory:mnesia_files(Directory), Directory, Folder) end,
        fun() -> renamed(filename:join(Folder, ?SCHEMA), From, To) end,
        fun() -> proven(easy_cluster_vm:call(To, ?MODULE, prove, [Folder, Timeout], 2 * allowed(Directory, Timeout))) end
    ]).

allowed(Directory, Timeout) ->
    {ok, Files} = easy_cluster_directory:mnesia_files(Directory),
    Bytes = lists:sum([filelib:file_size(filename:join(Directory, Name)) || Name <- Files]),
    Timeout + ?START + Bytes div ?BYTES_PER_MILLISECOND.

started_in(Directory, Timeout) ->
    ok = application:set_env(mnesia, dir, Directory),
    Allowed = allowed(Directory, Timeout),
    easy_cluster_files:in_order([
        fun() -> application:start(mnesia) end,
        fun() -> loaded(mnesia:wait_for_tables(mnesia:system_info(local_tables), Allowed)) end,
        fun() -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes)) end,
        fun dump/0,
        fun easy_cluster_mnesia:stop/0
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {not_loaded, Names}};
loaded({error, _} = Error) -> Error.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.

dump() ->
    dumped = mnesia:dump_log(),
    ok.

%% Logs have nothing in them that the tables lack, and name the old node.
copied({ok, Names}, Directory, Folder) ->
    Copy = fun(Name) -> easy_cluster_files:copy(filename:join(Directory, Name), filename:join(Folder, Name)) end,
    easy_cluster_files:each(Copy, [Name || Name <- Names, filename:extension(Name) =/= ".LOG"]);
copied({error, _} = Error, _Directory, _Folder) ->
    Error.

renamed(File, From, To) ->
    Name = make_ref(),
    case dets:open_file(Name, [{file, File}, {keypos, 2}, {repair, false}]) of
        {ok, Name} ->
            Objects = dets:match_object(Name, '_'),
            Renamed = [{schema, Table, [renamed_in(Item, From, To) || Item <- Definition]}
                       || {schema, Table, Definition} <- Objects],
            easy_cluster_files:in_order([
                fun() -> dets:insert(Name, Renamed) end,
                fun() -> dets:close(Name) end,
                fun() -> easy_cluster_files:sync(File) end
            ]);
        {error, _} = Error ->
            Error
    end.

renamed_in({frag_properties, Properties}, From, To) ->
    {frag_properties, [renamed_in(Property, From, To) || Property <- Properties]};
renamed_in({Kind, Nodes}, From, To) when is_list(Nodes) ->
    case lists:member(Kind, [node_pool | ?COPIES]) of
        true -> {Kind, [renamed_node(Node, From, To) || Node <- Nodes]};
        false -> {Kind, Nodes}
    end;
renamed_in(Other, _From, _To) -> Other.

renamed_node(From, From, To) -> To;
renamed_node(Other, _From, _To) -> Other.

proven({ok, Result}) -> Result;
proven({error, Reason}) -> {error, {other_vm, Reason}}.

%% Whether Mnesia starts on it under the new name, alone, and loads every table.
-spec prove(file:filename(), pos_integer()) -> ok | {error, term()}.
prove(Folder, Timeout) ->
    started_in(Folder, Timeout).
