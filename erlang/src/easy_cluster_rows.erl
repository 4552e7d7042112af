%% Rows of tables: compared with another cluster, written to archives, merged from them.
%%
%%     1> easy_cluster_rows:compare(passwd, 'ejabberd@foo.bar', #{}).
%%     {ok, #{table => passwd, here => 3, only_here => 1, different => 0}}
%%     2> easy_cluster_rows:archive(passwd, "/var/lib/ejabberd/easy_cluster/archive/1/passwd.rows").
%%     {ok, #{table => passwd, rows => 3, bytes => 412, ...}}
%%     3> easy_cluster_rows:merge("/var/lib/ejabberd/easy_cluster/archive/1/passwd.rows", "passwd.conflicts").
%%     {ok, #{table => passwd, added => 1, same => 2, conflicts => 0}}
%%
%% The other cluster needs nothing of ours. At most a chunk of rows is held at a time: 1,000, or fewer when they are
%% large; of a bag, all rows of one key.
-module(easy_cluster_rows).

-include_lib("kernel/include/file.hrl").

%% Comparing
-export([compare/3]).
%% Archives
-export([archive/2]).
-export([read_archive/1]).
-export([fold_archive/3, fold_pieces/3]).
-export([open_archive/2, put_rows/2, close_archive/1, give_up_archive/1]).
-export([open_reader/1, next_rows/1, close_reader/1]).
-export([definition/1, file_name/1]).
-export([merge/2]).
-export([restore/1, put_back/2]).
-export_type([difference/0, options/0, description/0, head/0, writer/0, reader/0, merged/0, restored/0, problem/0]).

-define(KIND, <<"ecarchiv">>).
-define(ROWS, 1000).
-define(BYTES, 4194304).
-define(TIMEOUT, 15000).

-type difference() :: #{
    table := atom(),
    here := non_neg_integer(),
    only_here := non_neg_integer(),
    different := non_neg_integer()
}.
%% Rows here; those whose key the cluster lacks; those whose key it has with other contents. A bag is compared by
%% keys, each with all its rows.
-type options() :: #{timeout => timeout()}.
%% `timeout' is for one chunk, in milliseconds.
-type description() :: #{
    table := atom(),
    definition := [{atom(), term()}],
    storage := atom() | tuple(),
    node := node(),
    at := integer(),
    rows := non_neg_integer(),
    bytes := non_neg_integer(),
    atom() => term()
}.
%% `definition' is what mnesia:create_table/2 takes, without the nodes; `at' is microseconds of the wall clock.
%% What an archive begins with: the description without rows and bytes, and what its writer adds.
-type head() :: #{table := atom(), definition := [{atom(), term()}], atom() => term()}.
-opaque writer() :: #{
    fd := file:io_device(),
    path := file:filename(),
    file := file:filename(),
    rows := non_neg_integer(),
    bytes := non_neg_integer()
}.
-opaque reader() :: #{
    fd := file:io_device(),
    path := file:filename_all(),
    at := non_neg_integer(),
    size := non_neg_integer(),
    rows := non_neg_integer()
}.
-type merged() :: #{
    table := atom(),
    added := non_neg_integer(),
    same := non_neg_integer(),
    conflicts := non_neg_integer()
}.
-type restored() :: #{rows := non_neg_integer(), newer := non_neg_integer(), none => atom()}.
%% Rows that were written, rows whose key is there with others, and why the table takes none.
-type problem() :: {
    archive_corrupt
    | archive_error
    | archive_missing
    | archive_version
    | bad_timeout
    | definition_differs
    | merge_aborted
    | no_local_copy
    | no_such_table
    | node_unreachable
    | rpc_failed
    | table_unreadable
    | unknown_option,
    map()
}.

%% Rows that change meanwhile are counted as they were found.
-spec compare(atom(), node(), options()) -> {ok, difference()} | {error, problem()}.
compare(Table, Node, Options) ->
    case timeout(Options) of
        {ok, Timeout} -> compare_local(local_copy(Table), Table, Node, Timeout);
        {error, _} = Error -> Error
    end.

timeout(Options) ->
    case {maps:keys(maps:without([timeout], Options)), maps:get(timeout, Options, ?TIMEOUT)} of
        {[], infinity} -> {ok, infinity};
        {[], Timeout} when is_integer(Timeout), Timeout >= 0 -> {ok, Timeout};
        {[], Timeout} -> {error, {bad_timeout, #{timeout => Timeout}}};
        {[Option | _], _} -> {error, {unknown_option, #{option => Option, known => [timeout]}}}
    end.

compare_local({ok, Type, Storage}, Table, Node, Timeout) ->
    Start = #{table => Table, here => 0, only_here => 0, different => 0},
    Compare = fun(Groups, Counts) -> compare_chunk(Groups, Counts, Node, Timeout) end,
    walk(Table, Type, Storage, Compare, Start);
compare_local({error, _} = Error, _Table, _Node, _Timeout) ->
    Error.

compare_chunk(Groups, #{table := Table} = Counts, Node, Timeout) ->
    Keys = [Key || {Key, _Rows} <- Groups],
    Tables = lists:duplicate(length(Keys), Table),
    %% External funs need no code of ours over there.
    Args = [fun mnesia:dirty_read/2, Tables, Keys],
    case easy_cluster_rpc:call(Node, lists, zipwith, Args, Timeout) of
        {ok, Theirs} when length(Theirs) =:= length(Keys) ->
            {ok, lists:foldl(fun count/2, Counts, lists:zip(Groups, Theirs))};
        {ok, Other} ->
            {error, {rpc_failed, #{table => Table, node => Node, reason => {unexpected, Other}}}};
        {error, Reason} ->
            {error, remote_problem(Reason, Table, Node)}
    end.

count({{_Key, Ours}, Theirs}, #{here := Here} = Counts) ->
    Rows = length(Ours),
    Counted = Counts#{here := Here + Rows},
    case {Theirs, lists:sort(Ours) =:= lists:sort(Theirs)} of
        {[], _} -> add(only_here, Rows, Counted);
        {_, true} -> Counted;
        {_, false} -> add(different, Rows, Counted)
    end.

add(Name, Number, Counts) ->
    maps:update_with(Name, fun(Count) -> Count + Number end, Counts).

remote_problem({aborted, {no_exists, _}}, Table, Node) ->
    {no_such_table, #{table => Table, node => Node}};
remote_problem({aborted, {node_not_running, Other}}, Table, Node) ->
    {node_unreachable, #{table => Table, node => Node, reason => {mnesia_not_running, Other}}};
remote_problem(Reason, Table, Node) when Reason =:= noconnection; Reason =:= timeout ->
    {node_unreachable, #{table => Table, node => Node, reason => Reason}};
remote_problem(Reason, Table, Node) ->
    {rpc_failed, #{table => Table, node => Node, reason => Reason}}.

%% Walking a local table: Fun gets lists of {Key, Rows} and answers {ok, Acc}, or {error, _} and the walk ends.

local_copy(Table) ->
    try {mnesia:table_info(Table, type), mnesia:table_info(Table, storage_type)} of
        {_Type, unknown} -> {error, {no_local_copy, #{table => Table, node => node()}}};
        {Type, Storage} -> {ok, Type, Storage}
    catch
        exit:{aborted, _Reason} -> {error, {no_such_table, #{table => Table, node => node()}}}
    end.

walk(Table, Type, Storage, Fun, Acc) ->
    case reading(Table, fun() -> fix(Table, Storage, true) end) of
        {ok, _} -> walk_fixed(Table, Type, Storage, Fun, Acc);
        {error, _} = Error -> Error
    end.

%% A table that vanished during the walk is told from one that cannot be read.
reading(Table, Read) ->
    try mnesia:async_dirty(Read) of
        Result -> {ok, Result}
    catch
        exit:Reason -> unreadable(Table, Reason);
        error:badarg -> unreadable(Table, badarg)
    end.

unreadable(Table, Reason) ->
    case local_copy(Table) of
        {ok, _, _} -> {error, {table_unreadable, #{table => Table, node => node(), reason => Reason}}};
        {error, _} = Error -> Error
    end.

walk_fixed(Table, Type, Storage, Fun, Acc) ->
    try walk(Table, Type, Fun, Acc) of
        Result -> Result
    after
        %% The table may be gone.
        reading(Table, fun() -> fix(Table, Storage, false) end)
    end.

%% Rows that others write or delete meanwhile neither end a walk nor make it visit a row twice.
fix(Table, disc_only_copies, Fix) -> dets:safe_fixtable(Table, Fix);
fix(Table, Storage, Fix) when Storage =:= ram_copies; Storage =:= disc_copies -> ets:safe_fixtable(Table, Fix);
fix(_Table, _External, _Fix) -> true.

%% Select may cut between the rows of one key of a bag, so a bag is walked by its keys.
walk(Table, bag, Fun, Acc) ->
    by_key(first_group(Table), Table, Fun, Acc, [], 0, 0);
walk(Table, _SetOrOrderedSet, Fun, Acc) ->
    by_rows(reading(Table, fun() -> mnesia:select(Table, [{'_', [], ['$_']}], ?ROWS, read) end), Table, Fun, Acc).

by_rows({ok, '$end_of_table'}, _Table, _Fun, Acc) ->
    {ok, Acc};
by_rows({ok, {Rows, Continuation}}, Table, Fun, Acc) ->
    case in_pieces([{element(2, Row), [Row]} || Row <- Rows], Fun, Acc, [], 0) of
        {ok, Next} -> by_rows(reading(Table, fun() -> mnesia:select(Continuation) end), Table, Fun, Next);
        {error, _} = Error -> Error
    end;
by_rows({error, _} = Error, _Table, _Fun, _Acc) ->
    Error.

%% A thousand large rows are more than one message should carry.
in_pieces([], Fun, Acc, Piece, _Bytes) ->
    visit(Piece, Fun, Acc);
in_pieces(Groups, Fun, Acc, Piece, Bytes) when Bytes >= ?BYTES ->
    case visit(Piece, Fun, Acc) of
        {ok, Next} -> in_pieces(Groups, Fun, Next, [], 0);
        {error, _} = Error -> Error
    end;
in_pieces([Group | Groups], Fun, Acc, Piece, Bytes) ->
    in_pieces(Groups, Fun, Acc, [Group | Piece], Bytes + erlang:external_size(Group)).

visit([], _Fun, Acc) -> {ok, Acc};
visit(Piece, Fun, Acc) -> Fun(lists:reverse(Piece), Acc).

first_group(Table) ->
    reading(Table, fun() -> group(Table, mnesia:first(Table)) end).

next_group(Table, Key) ->
    reading(Table, fun() -> group(Table, mnesia:next(Table, Key)) end).

group(_Table, '$end_of_table') -> '$end_of_table';
group(Table, Key) -> {Key, mnesia:read(Table, Key)}.

by_key({ok, '$end_of_table'}, _Table, Fun, Acc, Piece, _Rows, _Bytes) ->
    visit(Piece, Fun, Acc);
by_key({ok, {Key, []}}, Table, Fun, Acc, Piece, Rows, Bytes) ->
    by_key(next_group(Table, Key), Table, Fun, Acc, Piece, Rows, Bytes);
by_key({ok, _} = Group, Table, Fun, Acc, Piece, Rows, Bytes) when Rows >= ?ROWS; Bytes >= ?BYTES ->
    case visit(Piece, Fun, Acc) of
        {ok, Next} -> by_key(Group, Table, Fun, Next, [], 0, 0);
        {error, _} = Error -> Error
    end;
by_key({ok, {Key, Found} = Group}, Table, Fun, Acc, Piece, Rows, Bytes) ->
    Size = erlang:external_size(Group),
    by_key(next_group(Table, Key), Table, Fun, Acc, [Group | Piece], Rows + length(Found), Bytes + Size);
by_key({error, _} = Error, _Table, _Fun, _Acc, _Piece, _Rows, _Bytes) ->
    Error.

%% The name of a table's archive. A table may be called anything, also `../x'; what is no plain word gets a name by its
%% digest.
-spec file_name(atom()) -> file:filename().
file_name(Table) ->
    Name = atom_to_binary(Table),
    case re:run(Name, "\\A[A-Za-z0-9_-]{1,100}\\z", [{capture, none}]) of
        match -> binary_to_list(Name) ++ ".rows";
        nomatch -> "table-" ++ [Digit || <<Half:4>> <= erlang:md5(Name), Digit <- integer_to_list(Half, 16)] ++ ".rows"
    end.

%% Writes all rows of the local copy to File, which is there as a whole or not at all.
-spec archive(atom(), file:filename()) -> {ok, description()} | {error, problem()}.
archive(Table, File) ->
    case local_copy(Table) of
        {ok, Type, Storage} -> archive(Table, Type, Storage, File);
        {error, _} = Error -> Error
    end.

archive(Table, Type, Storage, File) ->
    Head = head(Table, Storage),
    Fill = fun(Writer) ->
        case walk(Table, Type, Storage, fun put_groups/2, Writer) of
            {ok, Written} -> {ok, {Written, none}};
            {error, _} = Error -> Error
        end
    end,
    case write_archive(Head, File, Fill) of
        {ok, Rows, Bytes, none} -> {ok, Head#{rows => Rows, bytes => Bytes}};
        {error, _} = Error -> Error
    end.

put_groups(Groups, Writer) ->
    put_rows(lists:append([Rows || {_Key, Rows} <- Groups]), Writer).

head(Table, Storage) ->
    #{
        table => Table,
        definition => definition(Table),
        storage => Storage,
        node => node(),
        at => os:system_time(microsecond)
    }.

%% What mnesia:create_table/2 takes, without the nodes.
%% Fragments are archived as the tables that they are, so frag_properties stay out.
-spec definition(atom()) -> [{atom(), term()}].
definition(Table) ->
    Options = [
        type,
        record_name,
        attributes,
        index,
        local_content,
        majority,
        load_order,
        access_mode,
        user_properties,
        storage_properties
    ],
    [{Option, mnesia:table_info(Table, Option)} || Option <- Options].

%% Fill writes the rows and answers {ok, {Writer, Result}}.
write_archive(Head, File, Fill) ->
    case open_archive(Head, File) of
        {ok, Empty} -> filled(Fill(Empty), Empty);
        {error, _} = Error -> Error
    end.

filled({ok, {Writer, Result}}, _Empty) ->
    case close_archive(Writer) of
        {ok, Rows, Bytes} -> {ok, Rows, Bytes, Result};
        {error, _} = Error -> Error
    end;
filled({error, _} = Error, Empty) ->
    ok = give_up_archive(Empty),
    Error.

%% Begins an archive. Until it is closed it has another name; only the process that opened it can write.
-spec open_archive(head(), file:filename()) -> {ok, writer()} | {error, problem()}.
open_archive(Head, File) ->
    New = unicode:characters_to_list([File, ".new"]),
    case easy_cluster_files:make_folder(filename:dirname(File)) of
        ok -> opened(file:open(New, [write, raw, binary]), Head, New, File);
        {error, Details} -> {error, {archive_error, Details}}
    end.

opened({ok, Fd}, Head, New, File) ->
    Empty = #{fd => Fd, path => New, file => File, rows => 0, bytes => 0},
    case put_bytes([easy_cluster_frame:header(?KIND), easy_cluster_frame:record({archive, Head})], Empty) of
        {ok, Begun} ->
            {ok, Begun};
        {error, _} = Error ->
            ok = give_up_archive(Empty),
            Error
    end;
opened({error, Reason}, _Head, New, _File) ->
    {error, {archive_error, #{path => New, reason => Reason}}}.

%% Ends an archive, which is on disc under its own name when this returns. What could not be ended is gone.
-spec close_archive(writer()) -> {ok, Rows :: non_neg_integer(), Bytes :: non_neg_integer()} | {error, problem()}.
close_archive(#{rows := Rows} = Writer) ->
    case put_bytes(easy_cluster_frame:record({rows_end, Rows}), Writer) of
        {ok, Written} ->
            settled(Written, easy_cluster_files:in_order([
                fun() -> in_file(Written, fun file:sync/1) end,
                fun() -> in_file(Written, fun file:close/1) end,
                fun() -> settle(Written) end
            ]));
        {error, _} = Error ->
            ok = give_up_archive(Writer),
            Error
    end.

in_file(#{fd := Fd, path := Path}, Fun) ->
    case Fun(Fd) of
        ok -> ok;
        {error, Reason} -> {error, #{path => Path, reason => Reason}}
    end.

settle(#{path := New, file := File}) ->
    easy_cluster_files:in_order([
        fun() -> easy_cluster_files:rename(New, File) end,
        fun() -> easy_cluster_files:sync_folder(filename:dirname(File)) end
    ]).

settled(#{rows := Rows, bytes := Bytes}, ok) ->
    {ok, Rows, Bytes};
settled(Writer, {error, Details}) ->
    ok = give_up_archive(Writer),
    {error, {archive_error, Details}}.

-spec give_up_archive(writer()) -> ok.
give_up_archive(#{fd := Fd, path := Path}) ->
    _ = file:close(Fd),
    _ = easy_cluster_files:delete(Path),
    ok.

-spec put_rows([tuple()], writer()) -> {ok, writer()} | {error, problem()}.
put_rows([], Writer) ->
    {ok, Writer};
put_rows(Rows, #{rows := Count} = Writer) ->
    put_bytes(easy_cluster_frame:record({rows, Rows}), Writer#{rows := Count + length(Rows)}).

put_bytes(Data, #{fd := Fd, path := Path, bytes := Bytes} = Writer) ->
    case file:write(Fd, Data) of
        ok -> {ok, Writer#{bytes := Bytes + iolist_size(Data)}};
        {error, Reason} -> {error, {archive_error, #{path => Path, reason => Reason}}}
    end.

%% Reads the archive to its end: what it answers is true of the whole file.
-spec read_archive(file:filename()) -> {ok, description()} | {error, problem()}.
read_archive(File) ->
    Count = fun(Rows, Sum) -> {ok, Sum + length(Rows)} end,
    case fold_pieces(Count, 0, File) of
        {ok, Head, Rows, Bytes} -> {ok, Head#{rows => Rows, bytes => Bytes}};
        {error, _} = Error -> Error
    end.

%% Rows come in the order of the archive. After an error nothing is known of the rows that follow.
-spec fold_archive(fun((Row :: tuple(), Acc) -> Acc), Acc, file:filename()) -> {ok, Acc} | {error, problem()}.
fold_archive(Fun, Acc, File) ->
    Fold = fun(Rows, Folded) -> {ok, lists:foldl(Fun, Folded, Rows)} end,
    case fold_pieces(Fold, Acc, File) of
        {ok, _Head, Result, _Bytes} -> {ok, Result};
        {error, _} = Error -> Error
    end.

%% The same with the rows as they were written, many at a time. Fun answers {ok, Acc}, or {error, _} and the fold ends.
-spec fold_pieces(fun(([tuple()], Acc) -> {ok, Acc} | {error, Reason}), Acc, file:filename_all()) ->
    {ok, head(), Acc, Bytes :: non_neg_integer()} | {error, problem() | Reason}.
fold_pieces(Fun, Acc, File) ->
    case open_reader(File) of
        {ok, Head, Reader} ->
            Result = fold_reader(Fun, Acc, Head, Reader),
            ok = close_reader(Reader),
            Result;
        {error, _} = Error ->
            Error
    end.

fold_reader(Fun, Acc, Head, Reader) ->
    case next_rows(Reader) of
        {ok, Rows, Next} -> fold_rows(Fun(Rows, Acc), Fun, Head, Next);
        {done, #{size := Size}} -> {ok, Head, Acc, Size};
        {error, _} = Error -> Error
    end.

fold_rows({ok, Acc}, Fun, Head, Reader) -> fold_reader(Fun, Acc, Head, Reader);
fold_rows({error, _} = Error, _Fun, _Head, _Reader) -> Error.

%% Only the process that opened it can read.
-spec open_reader(file:filename_all()) -> {ok, head(), reader()} | {error, problem()}.
open_reader(File) ->
    case file:open(File, [read, raw, binary, read_ahead]) of
        {ok, Fd} ->
            opened_reader(read_head(Fd, File), Fd);
        {error, enoent} ->
            {error, {archive_missing, #{path => File, reason => enoent}}};
        {error, Reason} ->
            {error, {archive_error, #{path => File, reason => Reason}}}
    end.

opened_reader({ok, _Head, _Reader} = Opened, _Fd) ->
    Opened;
opened_reader({error, _} = Error, Fd) ->
    _ = file:close(Fd),
    Error.

-spec close_reader(reader()) -> ok.
close_reader(#{fd := Fd}) ->
    _ = file:close(Fd),
    ok.

read_head(Fd, File) ->
    Reader = #{fd => Fd, path => File, at => easy_cluster_frame:header_size(), rows => 0},
    case {file:read_file_info(File, [raw, {time, posix}]), file:read(Fd, easy_cluster_frame:header_size())} of
        {{ok, #file_info{size = Size}}, {ok, Header}} ->
            checked(easy_cluster_frame:check_header(?KIND, Header), Reader#{size => Size});
        {{ok, _}, eof} ->
            corrupt(Reader#{at := 0}, bad_header);
        {{error, Reason}, _} ->
            {error, {archive_error, #{path => File, reason => Reason}}};
        {_, {error, Reason}} ->
            {error, {archive_error, #{path => File, reason => Reason}}}
    end.

checked({ok, <<>>}, Reader) ->
    case next(Reader) of
        {ok, {archive, #{table := _, definition := _} = Head}, Records} -> {ok, Head, Records};
        {ok, _Other, _} -> corrupt(Reader, no_head);
        {error, _} = Error -> Error
    end;
checked({version, Version}, #{path := File}) ->
    {error, {archive_version, #{path => File, reason => {unknown_version, Version}}}};
checked(_TornOrBad, Reader) ->
    corrupt(Reader#{at := 0}, bad_header).

%% `done' is said only of an archive that has all the rows that were written to it.
-spec next_rows(reader()) -> {ok, [tuple()], reader()} | {done, reader()} | {error, problem()}.
next_rows(#{rows := Count} = Reader) ->
    case next(Reader) of
        {ok, {rows, Rows}, Next} -> {ok, Rows, Next#{rows := Count + length(Rows)}};
        {ok, {rows_end, Count}, #{at := Size, size := Size} = Next} -> {done, Next};
        {ok, _Other, _Records} -> corrupt(Reader, rows_missing_or_added);
        {error, _} = Error -> Error
    end.

%% A length is believed only as far as there are bytes, or a damaged one would take all memory.
next(#{fd := Fd, at := At, size := Size} = Reader) ->
    case file:read(Fd, 12) of
        {ok, Start} -> payload(easy_cluster_frame:payload_size(Start), Start, Size - At - 12, Reader);
        eof -> corrupt(Reader, truncated);
        {error, Reason} -> unreadable_file(Reader, Reason)
    end.

payload({ok, Length}, Start, Left, #{fd := Fd, at := At} = Reader) when Length =< Left ->
    case file:read(Fd, Length) of
        {ok, Payload} -> decoded(easy_cluster_frame:next(<<Start/binary, Payload/binary>>), Reader, At + 12 + Length);
        eof -> corrupt(Reader, truncated);
        {error, Reason} -> unreadable_file(Reader, Reason)
    end;
payload({ok, _Length}, _Start, _Left, Reader) ->
    corrupt(Reader, truncated);
payload(bad, _Start, _Left, Reader) ->
    corrupt(Reader, bad_record).

decoded({ok, Term, <<>>}, Reader, At) -> {ok, Term, Reader#{at := At}};
decoded(_Bad, Reader, _At) -> corrupt(Reader, bad_record).

corrupt(#{path := Path, at := At}, Reason) ->
    {error, {archive_corrupt, #{path => Path, reason => Reason, offset => At}}}.

unreadable_file(#{path := Path}, Reason) ->
    {error, {archive_error, #{path => Path, reason => Reason}}}.

%% Writes the archive's rows to the cluster that this node is in, whether or not it has a copy of the table. A key that
%% the cluster lacks is added; a row that it has is the same; of one that differs the cluster's stays and ours goes to
%% the archive ConflictFile, which is written also when it stays empty. A bag becomes the union of both, so nothing in
%% it conflicts. Run again it ends the same, with what it added before counted as the same.
-spec merge(file:filename(), file:filename()) -> {ok, merged()} | {error, problem()}.
merge(File, ConflictFile) ->
    case read_archive(File) of
        {ok, Description} -> merge_checked(maps:without([rows, bytes], Description), File, ConflictFile);
        {error, _} = Error -> Error
    end.

merge_checked(#{table := Table, definition := Definition} = Head, File, ConflictFile) ->
    case same_definition(Table, Definition) of
        {ok, Type} -> merge_rows(Head, Type, File, ConflictFile);
        {error, _} = Error -> Error
    end.

same_definition(Table, Definition) ->
    Shape = [Option || {Name, _} = Option <- Definition, lists:member(Name, [type, record_name, attributes])],
    try [{Name, mnesia:table_info(Table, Name)} || {Name, _} <- Shape] of
        Shape -> {ok, proplists:get_value(type, Shape)};
        Other -> {error, {definition_differs, #{table => Table, archive => Shape, cluster => Other}}}
    catch
        exit:{aborted, _Reason} -> {error, {no_such_table, #{table => Table, node => node()}}}
    end.

merge_rows(#{table := Table} = Head, Type, File, ConflictFile) ->
    Start = #{table => Table, added => 0, same => 0, conflicts => 0},
    Merge = fun(Rows, {Writer, Counts}) -> merge_piece(Table, Type, Rows, Writer, Counts) end,
    Fill = fun(Writer) ->
        case fold_pieces(Merge, {Writer, Start}, File) of
            {ok, _Head, Merged, _Bytes} -> {ok, Merged};
            {error, _} = Error -> Error
        end
    end,
    case write_archive(Head, ConflictFile, Fill) of
        {ok, _Rows, _Bytes, Merged} -> {ok, Merged};
        {error, _} = Error -> Error
    end.

%% Most rows are in the cluster already as they are; only the others are worth a lock everywhere.
merge_piece(Table, Type, Rows, Writer, Counts) ->
    case [Row || Row <- Rows, fate(Type, Row, mnesia:dirty_read(Table, element(2, Row))) =/= same] of
        [] ->
            {ok, {Writer, add(same, length(Rows), Counts)}};
        Others ->
            merge_others(Table, Type, Others, Writer, add(same, length(Rows) - length(Others), Counts))
    end.

merge_others(Table, Type, Rows, Writer, Counts) ->
    Merge = fun() -> lists:foldl(fun(Row, Fates) -> merge_row(Table, Type, Row, Fates) end, {0, 0, []}, Rows) end,
    case mnesia:transaction(Merge) of
        {atomic, {Added, Same, Conflicts}} ->
            Counted = add(added, Added, add(same, Same, add(conflicts, length(Conflicts), Counts))),
            put_conflicts(lists:reverse(Conflicts), Writer, Counted);
        {aborted, Reason} ->
            {error, {merge_aborted, #{table => Table, reason => Reason}}}
    end.

put_conflicts(Conflicts, Writer, Counts) ->
    case put_rows(Conflicts, Writer) of
        {ok, Written} -> {ok, {Written, Counts}};
        {error, _} = Error -> Error
    end.

merge_row(Table, Type, Row, {Added, Same, Conflicts}) ->
    case fate(Type, Row, mnesia:read(Table, element(2, Row), write)) of
        new ->
            ok = mnesia:write(Table, Row, write),
            {Added + 1, Same, Conflicts};
        same ->
            {Added, Same + 1, Conflicts};
        conflict ->
            {Added, Same, [Row | Conflicts]}
    end.

fate(_Type, _Row, []) -> new;
fate(bag, Row, Theirs) -> bag_fate(lists:any(fun(Their) -> Their =:= Row end, Theirs));
fate(_Type, Row, [Row]) -> same;
fate(_Type, _Row, [_Their]) -> conflict.

bag_fate(true) -> same;
bag_fate(false) -> new.

%% Writes the archive's rows into the table of this node that they came from, which was emptied since. A row that is there is
%% newer and stays, ours being in the archive still. A table that is gone, or another by now, takes none.
-spec restore(file:filename()) -> {ok, restored()} | {error, problem()}.
restore(File) ->
    case read_archive(File) of
        {ok, #{table := Table, definition := Definition}} ->
            Restore = fun() -> restore_checked(here(local_copy(Table), same_definition(Table, Definition)), Table, File) end,
            while_writable(Table, Definition, Restore);
        {error, _} = Error ->
            Error
    end.

%% The same by merge/2, for rows that another operation has archived.
-spec put_back(file:filename(), file:filename()) -> {ok, merged()} | {error, problem()}.
put_back(File, ConflictFile) ->
    case read_archive(File) of
        {ok, #{table := Table, definition := Definition}} ->
            while_writable(Table, Definition, fun() -> merge(File, ConflictFile) end);
        {error, _} = Error ->
            Error
    end.

%% A read-only table takes rows only while it is not. It becomes again what it was when the archive was written, also when an earlier
%% try has been killed meanwhile.
while_writable(Table, Definition, Write) ->
    case change_mode(Table, read_write) of
        ok -> closed(Write(), change_mode(Table, proplists:get_value(access_mode, Definition, read_write)));
        {error, _} = Error -> Error
    end.

closed({ok, _} = Written, ok) -> Written;
closed({ok, _}, {error, _} = Error) -> Error;
closed({error, _} = Error, _Closed) -> Error.

change_mode(Table, Mode) ->
    case local_copy(Table) of
        {ok, _Type, _Storage} -> change_mode(mnesia:table_info(Table, access_mode), Mode, Table);
        {error, _Gone} -> ok
    end.

change_mode(Mode, Mode, _Table) ->
    ok;
change_mode(_Other, Mode, Table) ->
    case mnesia:change_table_access_mode(Table, Mode) of
        {atomic, ok} -> ok;
        {aborted, Reason} -> {error, {merge_aborted, #{table => Table, reason => Reason}}}
    end.

here({ok, _Type, _Storage}, {ok, Type}) -> {ok, Type};
here({error, {Code, _}}, _Definition) -> {none, Code};
here(_Copy, {error, {Code, _}}) -> {none, Code}.

restore_checked({none, Why}, _Table, _File) ->
    {ok, #{rows => 0, newer => 0, none => Why}};
restore_checked({ok, Type}, Table, File) ->
    Restore = fun(Rows, Counts) -> restore_piece(Table, Type, Rows, Counts) end,
    case fold_pieces(Restore, #{rows => 0, newer => 0}, File) of
        {ok, _Head, Counts, _Bytes} -> {ok, Counts};
        {error, _} = Error -> Error
    end.

restore_piece(Table, Type, Rows, Counts) ->
    Restore = fun() -> lists:foldl(fun(Row, Fates) -> merge_row(Table, Type, Row, Fates) end, {0, 0, []}, Rows) end,
    case mnesia:transaction(Restore) of
        {atomic, {Added, _Same, Newer}} -> {ok, add(rows, Added, add(newer, length(Newer), Counts))};
        {aborted, Reason} -> {error, {merge_aborted, #{table => Table, reason => Reason}}}
    end.
