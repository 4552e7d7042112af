%% From a backup to a stand-alone database, and what that would change.
-module(easy_cluster_restore).

%% Here
-export([build/3, fill_memory/1]).
-export([described/1, compare/3]).
%% In the other VM
-export([from_backup/3]).

%% A slow disc.
-define(BYTES_PER_MILLISECOND, 1000).
-define(START, 10000).

%%% Building

%% Makes a whole database of this node from a backup, in another VM: filling it may take a while, and a member that starts
%% meanwhile and still lists this node must not find a Mnesia that knows nothing of it.
-spec build(file:filename_all(), file:filename(), pos_integer()) -> ok | {error, term()}.
build(Backup, Folder, Timeout) ->
    case easy_cluster_backup:manifest(Backup) of
        {ok, #{tables := Tables}} ->
            Deadline = Timeout + lists:sum([Bytes || #{bytes := Bytes} <- Tables]) div ?BYTES_PER_MILLISECOND,
            said(easy_cluster_vm:call(node(), ?MODULE, from_backup, [Backup, Folder, Deadline], 4 * Deadline + ?START));
        {error, _} = Error ->
            Error
    end.

said({ok, Result}) -> Result;
said({error, Reason}) -> {error, {other_vm, Reason}}.

%% The backup is read to its end before anything is built from it, and the tables once more when they are loaded.
-spec from_backup(file:filename_all(), file:filename(), pos_integer()) -> ok | {error, term()}.
from_backup(Backup, Folder, Timeout) ->
    ok = application:set_env(mnesia, dir, Folder),
    {ok, _} = application:ensure_all_started(crypto),
    case easy_cluster_backup:verify(Backup) of
        {ok, #{tables := Tables}} ->
            Filled = [Table || Table <- Tables, not easy_cluster_backup:is_filled_in_memory(Table)],
            easy_cluster_files:in_order([
                fun() -> easy_cluster_files:delete_folder(Folder) end,
                fun() -> easy_cluster_files:make_folder(Folder) end,
                fun() -> mnesia:create_schema([node()]) end,
                fun() -> install(empty_schema(Folder), archives(Backup, Tables), archives(Backup, Filled)) end,
                fun() -> application:start(mnesia) end,
                fun() -> filled(Tables, Filled, Timeout) end,
                fun easy_cluster_mnesia:stop/0
            ]);
        {error, _} = Error ->
            Error
    end.

%% create_schema/1 leaves a backup that the next start of Mnesia installs: of the right format, and with a new cookie.
empty_schema(Folder) ->
    File = filename:join(Folder, "FALLBACK.BUP"),
    case mnesia_backup:open_read(File) of
        {ok, Opened} -> first_items(mnesia_backup:read(Opened), [], File);
        {error, _} = Error -> Error
    end.

first_items({ok, Opened, []}, Items, File) ->
    _ = mnesia_backup:close_read(Opened),
    case easy_cluster_files:delete(File) of
        ok -> {ok, Items};
        {error, _} = Error -> Error
    end;
first_items({ok, Opened, More}, Items, File) ->
    first_items(mnesia_backup:read(Opened), Items ++ More, File);
first_items({error, _} = Error, _Items, _File) ->
    Error.

archives(Backup, Tables) ->
    [easy_cluster_backup:archive(Backup, Table) || Table <- Tables].

install({ok, Schema}, Archives, Filled) ->
    Reader = easy_cluster_backup_reader:new(Schema, Archives, Filled),
    mnesia:install_fallback(Reader, [{module, easy_cluster_backup_reader}, {scope, local}]);
install({error, _} = Error, _Archives, _Filled) ->
    Error.

filled(Tables, Filled, Timeout) ->
    Names = [Name || #{name := Name} <- Tables],
    easy_cluster_files:in_order([
        fun() -> loaded(mnesia:wait_for_tables(Names, Timeout)) end,
        fun() -> is_alone(mnesia:system_info(use_dir), mnesia:system_info(db_nodes)) end,
        fun() -> easy_cluster_files:each(fun has_rows/1, Filled) end,
        fun dump/0
    ]).

loaded(ok) -> ok;
loaded({timeout, Names}) -> {error, {not_loaded, Names}};
loaded({error, _} = Error) -> Error.

is_alone(true, [Here]) when Here =:= node() -> ok;
is_alone(UseDir, DbNodes) -> {error, {not_alone, UseDir, DbNodes}}.

has_rows(#{name := Name, digest := Expected}) ->
    case easy_cluster_digest:text(easy_cluster_digest:of_table(Name)) of
        Expected -> ok;
        Found -> {error, {built_differently, Name, Found, Expected}}
    end.

dump() ->
    dumped = mnesia:dump_log(),
    ok.

%%% Filling

%% When Mnesia runs on what was built. Rows that are there by now are newer and stay; a backup that is deleted has done its service.
-spec fill_memory(file:filename_all()) -> ok | {error, term()}.
fill_memory(Backup) ->
    case easy_cluster_backup:manifest(Backup) of
        {ok, #{tables := Tables}} ->
            easy_cluster_files:each(fun(Table) -> restored(easy_cluster_rows:restore(easy_cluster_backup:archive(Backup, Table))) end,
                                    [Table || Table <- Tables, easy_cluster_backup:is_filled_in_memory(Table)]);
        {error, {backup_missing, _}} -> ok;
        {error, _} = Error -> Error
    end.

restored({ok, _Counts}) -> ok;
restored({error, _} = Error) -> Error.

%%% What it would change

%% A backup as the core has it, when every file of it is as it was written.
-spec described(file:filename()) -> {ok, map()} | {error, easy_cluster_backup:problem()}.
described(Folder) ->
    case easy_cluster_backup:verify(Folder) of
        {ok, #{node := Node, at := At, tables := Tables, left_out := LeftOut}} ->
            {ok, #{path => unicode:characters_to_binary(Folder), node => Node, at => time(At),
                   tables => [table(Table) || Table <- Tables], left_out => [Name || #{name := Name} <- LeftOut]}};
        {error, _} = Error ->
            Error
    end.

time(Microseconds) ->
    list_to_binary(calendar:system_time_to_rfc3339(Microseconds div 1000000, [{offset, "Z"}])).

table(#{index := Index} = Table) ->
    Known = maps:with([name, type, storage, attributes, record_name, rows, bytes], Table),
    Known#{index => iolist_to_binary(io_lib:format("~tw", [Index])), changes => undefined}.

%% How the rows of the tables named differ from the backup's. Rows that change meanwhile are counted as they were found.
-spec compare(file:filename(), map(), [atom()]) -> {ok, map()} | {error, term()}.
compare(Folder, #{tables := Tables} = Backup, Names) ->
    {ok, #{tables := Files}} = easy_cluster_backup:manifest(Folder),
    case compare_each(Tables, Files, Folder, Names, []) of
        {ok, Compared} -> {ok, Backup#{tables := Compared}};
        {error, _} = Error -> Error
    end.

compare_each([], [], _Folder, _Names, Compared) ->
    {ok, lists:reverse(Compared)};
compare_each([#{name := Name} = Table | Tables], [#{name := Name} = File | Files], Folder, Names, Compared) ->
    case lists:member(Name, Names) andalso compared(Name, easy_cluster_backup:archive(Folder, File)) of
        false -> compare_each(Tables, Files, Folder, Names, [Table | Compared]);
        {ok, Changes} -> compare_each(Tables, Files, Folder, Names, [Table#{changes := Changes} | Compared]);
        {error, Reason} -> {error, {rows_not_compared, #{table => Name, reason => Reason}}}
    end.

compared(Name, Archive) ->
    Start = #{same => 0, only_in_backup => 0, different => 0},
    Count = fun(Rows, Counts) -> {ok, lists:foldl(fun(Row, Sum) -> count(Name, Row, Sum) end, Counts, Rows)} end,
    try {easy_cluster_rows:fold_pieces(Count, Start, Archive), mnesia:table_info(Name, size)} of
        {{ok, _Head, #{same := Same, different := Different} = Counts, _Bytes}, Here} ->
            Changes = maps:remove(same, Counts),
            {ok, Changes#{here => Here, only_here => max(0, Here - Same - Different)}};
        {{error, Reason}, _Here} ->
            {error, Reason}
    catch
        exit:{aborted, Reason} -> {error, Reason}
    end.

count(Name, Row, Counts) ->
    Rows = mnesia:dirty_read(Name, element(2, Row)),
    Fate = fate(lists:member(Row, Rows), Rows, mnesia:table_info(Name, type)),
    maps:update_with(Fate, fun(Count) -> Count + 1 end, Counts).

fate(true, _Rows, _Type) -> same;
fate(false, [_Other], Type) when Type =/= bag -> different;
fate(false, _Rows, _Type) -> only_in_backup.
