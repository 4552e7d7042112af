%% Backups of a whole cluster: tables of one moment, also those that have no copy here, each in an archive of its own, with a
%% manifest that names them all.
%%
%%     1> easy_cluster_backup:write("/var/backups/chat", #{tables => [passwd, roster], left_out => []}).
%%     {ok, #{tables => [#{name => passwd, rows => 3, digest => <<"3 0b1c...">>, ...}, ...], ...}}
%%     2> easy_cluster_backup:verify("/var/backups/chat").
%%     {ok, #{...}}
%%
%% Mnesia runs and is written to meanwhile: the moment is that of a checkpoint of Mnesia's. The manifest is written last, so
%% that what has none is no backup.
-module(easy_cluster_backup).

%% Making
-export([write/2]).
%% Reading
-export([manifest/1, verify/1, archive/2, is_filled_in_memory/1]).
-export_type([manifest/0, wanted/0, problem/0]).

-define(FORMAT, 1).
-define(MANIFEST, "manifest.term").
-define(TABLES, "tables").
%% Of a damaged or foreign file no more is read.
-define(MANIFEST_LIMIT, 64000000).
-define(TIMEOUT, 15000).
-define(LOCK_TIMEOUT, 60000).

-type manifest() :: #{
    format := pos_integer(),
    at := integer(),
    node := node(),
    members := [node()],
    versions := #{atom() => string()},
    tables := [table()],
    left_out := [left_out()]
}.
%% `at' is microseconds of the wall clock.
-type table() :: #{
    name := atom(),
    type := set | ordered_set | bag,
    storage := ram_copies | disc_copies | disc_only_copies,
    attributes := [atom()],
    record_name := atom(),
    index := [term()],
    local_content := boolean(),
    file := file:filename(),
    rows := non_neg_integer(),
    bytes := non_neg_integer(),
    digest := binary()
}.
%% Of a `local_content' table it has the rows of the node that it was made on.
-type left_out() :: #{name := atom(), reason := atom()}.
-type wanted() :: #{
    tables := [atom()],
    left_out := [left_out()],
    report => easy_cluster_backup_writer:report()
}.
-type problem() :: {
    backup_damaged | backup_failed | backup_folder_not_empty | backup_missing | backup_version | directory_error,
    map()
}.

%% Makes a backup in a folder that is empty or not there yet. What cannot be finished is taken away again.
-spec write(file:filename(), wanted()) -> {ok, manifest()} | {error, problem()}.
write(Folder, #{tables := Names} = Wanted) ->
    case empty_folder(Folder) of
        ok -> written(checkpoint(Folder, Names, Wanted), Folder, Wanted);
        {error, _} = Error -> Error
    end.

empty_folder(Folder) ->
    case easy_cluster_files:names(Folder) of
        {ok, []} -> ok;
        {ok, [First | _]} -> {error, {backup_folder_not_empty, #{path => Folder, found => First}}};
        {error, #{reason := enoent}} -> made(easy_cluster_files:make_folder(Folder));
        {error, Details} -> {error, {directory_error, Details}}
    end.

made(ok) -> ok;
made({error, Details}) -> {error, {directory_error, Details}}.

%% Retainers of the checkpoint are on other nodes, too, and outlive a VM that was killed: its name tells whose it was.
checkpoint(Folder, Names, Wanted) ->
    Name = {?MODULE, node()},
    ok = drop_checkpoint(Name),
    case activate(Name, Names) of
        {ok, Name, _Nodes} ->
            try backup(Name, Folder, Names, Wanted)
            after mnesia:deactivate_checkpoint(Name)
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% Mnesia takes no checkpoint of nothing.
activate(Name, []) ->
    {error, {no_tables, Name}};
activate(Name, Names) ->
    Activate = fun(Checkpoint) -> mnesia:transaction(fun() -> activate_locked(Checkpoint, Names) end) end,
    case easy_cluster_rpc:parallel(Activate, [Name], ?LOCK_TIMEOUT) of
        [{Name, {ok, {atomic, Activated}}}] -> Activated;
        [{Name, {ok, {aborted, Reason}}}] -> {error, Reason};
        [{Name, {error, Reason}}] -> {error, {locking, Reason}}
    end.

%% A transaction that commits while a checkpoint is activated can be in it on one node and not on the other (seen on OTP 25 with
%% tables of different holders). Who holds these locks has no such transactions beside him.
activate_locked(Name, Names) ->
    lists:foreach(fun(Table) -> mnesia:lock({table, Table}, lock_kind(Table)) end, Names),
    mnesia:activate_checkpoint([{name, Name}, {min, Names}, {ram_overrides_dump, true}]).

%% A lock to read is taken on one node: that of the checkpoint, unless there are several others to choose from.
lock_kind(Table) ->
    Holders = mnesia:table_info(Table, where_to_write),
    case lists:member(node(), Holders) orelse length(Holders) < 2 of
        true -> read;
        false -> write
    end.

drop_checkpoint(Name) ->
    Drop = fun(Node) -> drop_checkpoint(Name, Node) end,
    _ = easy_cluster_rpc:parallel(Drop, mnesia:system_info(running_db_nodes), ?TIMEOUT),
    ok.

drop_checkpoint(Name, Node) ->
    case easy_cluster_rpc:call(Node, mnesia, system_info, [checkpoints], ?TIMEOUT) of
        {ok, Checkpoints} ->
            _ = [easy_cluster_rpc:call(Node, mnesia, deactivate_checkpoint, [Name], ?TIMEOUT)
                 || lists:member(Name, Checkpoints)],
            ok;
        {error, _Unasked} ->
            ok
    end.

backup(Checkpoint, Folder, Names, Wanted) ->
    Tag = make_ref(),
    Report = maps:get(report, Wanted, fun(_Table) -> ok end),
    Tables = [wanted(Name, Folder) || Name <- Names],
    Writer = easy_cluster_backup_writer:new(Tables, Report, {self(), Tag}),
    case mnesia:backup_checkpoint(Checkpoint, Writer, easy_cluster_backup_writer) of
        ok -> receive {Tag, Written} -> {ok, Written} end;
        {error, Reason} -> {error, Reason}
    end.

wanted(Name, Folder) ->
    File = filename:join(?TABLES, easy_cluster_rows:file_name(Name)),
    Storage = storage(Name),
    Definition = easy_cluster_rows:definition(Name),
    Shown = maps:from_list([Item || {Key, _} = Item <- Definition, lists:member(Key, [type, attributes, record_name, index, local_content])]),
    #{name => Name,
      file => filename:join(Folder, File),
      head => #{table => Name, definition => Definition, storage => Storage, node => node(),
                at => os:system_time(microsecond)},
      shown => Shown#{storage => Storage, file => File}}.

%% This node's, or the safest that any member has.
storage(Name) ->
    Holders = [{Storage, mnesia:table_info(Name, Storage)} || Storage <- [disc_copies, disc_only_copies, ram_copies]],
    Here = [Storage || {Storage, Nodes} <- Holders, lists:member(node(), Nodes)],
    hd(Here ++ [Storage || {Storage, [_ | _]} <- Holders]).

written({ok, Tables}, Folder, #{left_out := LeftOut}) ->
    Manifest = #{
        format => ?FORMAT,
        at => os:system_time(microsecond),
        node => node(),
        members => lists:sort(mnesia:system_info(db_nodes)),
        versions => versions(),
        tables => Tables,
        left_out => LeftOut
    },
    ok = easy_cluster_files:sync_folder(filename:join(Folder, ?TABLES)),
    case easy_cluster_files:write(filename:join(Folder, ?MANIFEST), text(Manifest)) of
        ok -> {ok, Manifest};
        {error, Details} -> failed(Folder, Details)
    end;
written({error, Reason}, Folder, _Wanted) ->
    failed(Folder, Reason).

failed(Folder, Reason) ->
    _ = easy_cluster_files:delete_folder(filename:join(Folder, ?TABLES)),
    {error, {backup_failed, #{path => Folder, reason => Reason}}}.

versions() ->
    Loaded = [{App, Version} || {App, _Description, Version} <- application:loaded_applications()],
    Known = maps:with([mnesia, ejabberd, easy_cluster], maps:from_list(Loaded)),
    Known#{otp => erlang:system_info(otp_release)}.

%% A last line has the digest of all others.
text(Manifest) ->
    Text = unicode:characters_to_binary(io_lib:format("%% coding: utf-8~n~tp.~n", [Manifest])),
    [Text, sum(Text)].

sum(Text) ->
    io_lib:format("{sha256, \"~64.16.0b\"}.~n", [binary:decode_unsigned(crypto:hash(sha256, Text))]).

-spec manifest(file:filename_all()) -> {ok, manifest()} | {error, problem()}.
manifest(Folder) ->
    Path = filename:join(Folder, ?MANIFEST),
    case read_limited(Path) of
        {ok, Bytes} -> checked(split(Bytes), Path);
        {error, enoent} -> {error, {backup_missing, #{path => Path}}};
        {error, Reason} -> {error, {directory_error, #{path => Path, reason => Reason}}}
    end.

read_limited(Path) ->
    case file:open(Path, [read, raw, binary]) of
        {ok, File} ->
            Read = file:read(File, ?MANIFEST_LIMIT),
            _ = file:close(File),
            at_all(Read);
        {error, _} = Error ->
            Error
    end.

at_all(eof) -> {ok, <<>>};
at_all(Read) -> Read.

split(Bytes) ->
    case binary:matches(Bytes, <<"\n{sha256, ">>) of
        [] -> no_sum;
        Matches ->
            {At, _} = lists:last(Matches),
            <<Text:(At + 1)/binary, Sum/binary>> = Bytes,
            {Text, Sum, iolist_to_binary(sum(Text))}
    end.

%% Only what was written as it is there is read as terms.
checked({Text, Sum, Sum}, Path) -> parsed(parse(Text), Path);
checked(_Other, Path) -> damaged(Path, manifest, wrong_sum).

parse(Text) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text)),
    erl_parse:parse_term(Tokens).

parsed({ok, #{format := ?FORMAT, tables := [_ | _], left_out := _, node := _, members := _} = Manifest}, _Path) ->
    {ok, Manifest};
parsed({ok, #{format := Format}}, Path) ->
    {error, {backup_version, #{path => Path, format => iolist_to_binary(io_lib:format("~tp", [Format]))}}};
parsed(_Other, Path) ->
    damaged(Path, manifest, no_manifest).

damaged(Path, Table, Reason) ->
    {error, {backup_damaged, #{path => Path, table => Table, reason => Reason}}}.

%% The file of one of the manifest's tables.
-spec archive(file:filename_all(), table()) -> file:filename_all().
archive(Folder, #{file := File}) ->
    filename:join(Folder, File).

%% Mnesia fills a table in memory from a file of the table's name, when it starts from a backup. Any atom may be a table's name: one that may
%% make no file, or one that is not found again, is filled when Mnesia runs.
-spec is_filled_in_memory(#{name := atom(), storage := atom(), _ => _}) -> boolean().
is_filled_in_memory(#{name := Name, storage := ram_copies}) ->
    re:run(atom_to_binary(Name), "\\A[A-Za-z0-9_][ -.0-~]{0,199}\\z", [{capture, none}]) =:= nomatch;
is_filled_in_memory(_OnDisc) ->
    false.

%% Reads everything: each table has its rows, and they have its digest.
-spec verify(file:filename_all()) -> {ok, manifest()} | {error, problem()}.
verify(Folder) ->
    case manifest(Folder) of
        {ok, #{tables := Tables} = Manifest} ->
            verified(easy_cluster_files:each(fun(Table) -> verify_table(Folder, Table) end, Tables), Manifest);
        {error, _} = Error ->
            Error
    end.

verified(ok, Manifest) -> {ok, Manifest};
verified({error, _} = Error, _Manifest) -> Error.

verify_table(Folder, #{name := Name, digest := Digest} = Table) ->
    File = archive(Folder, Table),
    Add = fun(Rows, Sum) -> {ok, easy_cluster_digest:add(Rows, Sum)} end,
    case easy_cluster_rows:fold_pieces(Add, easy_cluster_digest:new(), File) of
        {ok, #{table := Name}, Sum, _Bytes} -> same(easy_cluster_digest:text(Sum), Digest, File, Name);
        {ok, #{table := Other}, _Sum, _Bytes} -> damaged(File, Name, {holds, Other});
        {error, Reason} -> damaged(File, Name, Reason)
    end.

same(Digest, Digest, _File, _Name) -> ok;
same(Found, _Expected, File, Name) -> damaged(File, Name, {digest, Found}).
