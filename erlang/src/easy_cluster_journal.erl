%% What an operation did, one file each, kept outside the Mnesia files so that it outlives any exchange of them.
%%
%%     1> {ok, Journal} = easy_cluster_journal:create(Dir, <<"join-1">>, {begun, join}).
%%     2> {ok, Journal1} = easy_cluster_journal:append(Journal, {intent, 1}).
%%     3> ok = easy_cluster_journal:close(Journal1).
%%     4> easy_cluster_journal:read(Dir, <<"join-1">>).
%%     {ok, #{events => [{1, 1700000000000000, {begun, join}}, {2, 1700000000000100, {intent, 1}}], tail => clean}}
%%
%% An event is on disc when create/3 or append/2 has returned. Reading never changes a file. Only the
%% process that opened a journal can append to it: its file is a raw one, as Erlang's file server ends a file at the
%% first write that fails.
-module(easy_cluster_journal).

%% Writing
-export([create/3]).
-export([open/2]).
-export([append/2, append_all/2, write_all/2, note/2]).
-export([close/1]).
-export([delete/2]).
%% Reading
-export([read/2]).
-export([list/1]).
-export([folder/1]).
-export([is_id/1]).
-export_type([journal/0, id/0, entry/0, tail/0, contents/0, problem/0]).

-define(KIND, <<"ecjournl">>).
-define(EXTENSION, ".journal").

-opaque journal() :: #{
    file := file:fd(),
    path := file:filename(),
    size := non_neg_integer(),
    sequence := non_neg_integer()
}.
-type id() :: binary().
%% Letters, digits, `.', `_' and `-'; at most 100 of them, the first a letter or a digit.
-type entry() :: {Sequence :: pos_integer(), WallClockMicroseconds :: integer(), Event :: term()}.
-type tail() :: clean | {torn, Offset :: non_neg_integer(), Bytes :: pos_integer()}.
%% Bytes after the last good record: what was being written when the machine died.
-type contents() :: #{events := [entry()], tail := tail()}.
-type problem() :: {
    bad_id
    | journal_corrupt
    | journal_exists
    | journal_missing
    | journal_read
    | journal_version
    | journal_write,
    #{path := file:filename() | binary(), reason := term(), offset => non_neg_integer()}
}.

%% Dir is Mnesia's directory; the folder for journals below it is made when missing.
-spec create(file:filename(), id(), Event :: term()) -> {ok, journal()} | {error, problem()}.
create(Dir, Id, Event) ->
    with_path(Dir, Id, fun(Path) -> create_file(folder(Dir), Path, Event) end).

create_file(Folder, Path, Event) ->
    case easy_cluster_files:make_folder(Folder) of
        ok -> started(file:open(Path, [write, read, raw, binary, exclusive]), Folder, Path, Event);
        {error, Details} -> {error, {journal_write, Details}}
    end.

started({ok, File}, Folder, Path, Event) ->
    Journal = #{file => File, path => Path, size => 0, sequence => 0},
    case write(Journal, [easy_cluster_frame:header(?KIND), record(1, Event)], 1) of
        {ok, Written} -> named(easy_cluster_files:sync_folder(Folder), Written);
        {error, _} = Error -> never_was(Error, Journal)
    end;
started({error, eexist}, _Folder, Path, _Event) ->
    problem(journal_exists, Path, eexist);
started({error, Reason}, _Folder, Path, _Event) ->
    problem(journal_write, Path, Reason).

named(ok, Journal) -> {ok, Journal};
named({error, Details}, Journal) -> never_was({error, {journal_write, Details}}, Journal).

%% So that the same id can be asked for again.
never_was(Error, #{file := File, path := Path}) ->
    _ = easy_cluster_files:delete(Path),
    abandoned(Error, File).

abandoned(Error, File) ->
    _ = file:close(File),
    Error.

%% Opens for appending. A torn tail is first copied to `<Id>.torn-<n>' beside the journal, then cut off.
-spec open(file:filename(), id()) -> {ok, journal()} | {error, problem()}.
open(Dir, Id) ->
    with_path(Dir, Id, fun(Path) -> open_file(folder(Dir), Id, Path) end).

open_file(Folder, Id, Path) ->
    case read_file(Path) of
        {ok, #{events := Events, tail := Tail}, Bytes} -> open_whole(Folder, Id, Path, length(Events), Tail, Bytes);
        {error, _} = Error -> Error
    end.

open_whole(_Folder, _Id, Path, Sequence, clean, Bytes) ->
    reopened(Path, Sequence, byte_size(Bytes));
open_whole(Folder, Id, Path, Sequence, {torn, Offset, Size}, Bytes) ->
    case put_aside(Folder, Id, binary:part(Bytes, Offset, Size), 1) of
        ok -> reopened(Path, Sequence, Offset);
        {error, Details} -> {error, {journal_write, Details}}
    end.

put_aside(Folder, Id, Torn, Number) ->
    Name = unicode:characters_to_list([Id, ".torn-", integer_to_list(Number)]),
    Aside = filename:join(Folder, Name),
    case easy_cluster_files:info(Aside) of
        missing -> easy_cluster_files:write(Aside, Torn);
        {ok, _Earlier} -> put_aside(Folder, Id, Torn, Number + 1);
        {error, _} = Error -> Error
    end.

reopened(Path, Sequence, Size) ->
    case file:open(Path, [write, read, raw, binary]) of
        {ok, File} -> trimmed(#{file => File, path => Path, size => Size, sequence => Sequence});
        {error, Reason} -> problem(journal_write, Path, Reason)
    end.

%% A header that was torn is written anew.
trimmed(#{file := File, size := Size} = Journal) ->
    Trimmed = trim(Journal),
    case {Trimmed, Size} of
        {ok, 0} -> headed(write(Journal, easy_cluster_frame:header(?KIND), 0), File);
        {ok, _} -> {ok, Journal};
        {{error, _} = Error, _} -> abandoned(Error, File)
    end.

headed({ok, Journal}, _File) -> {ok, Journal};
headed({error, _} = Error, File) -> abandoned(Error, File).

trim(#{file := File, path := Path, size := Size}) ->
    Result = easy_cluster_files:in_order([
        fun() -> moved(file:position(File, Size)) end,
        fun() -> file:truncate(File) end,
        fun() -> file:sync(File) end
    ]),
    case Result of
        ok -> ok;
        {error, Reason} -> problem(journal_write, Path, Reason)
    end.

moved({ok, _Position}) -> ok;
moved({error, _} = Error) -> Error.

%% On an error the journal that was given in stays good: what was half written is cut off, or written over by the
%% next append.
-spec append(journal(), Event :: term()) -> {ok, journal()} | {error, problem()}.
append(Journal, Event) ->
    append_all(Journal, [Event]).

%% Several events for the price of one, as it is the disc that takes the time.
-spec append_all(journal(), [Event :: term()]) -> {ok, journal()} | {error, problem()}.
append_all(Journal, Events) ->
    write_events(Journal, Events, fun file:datasync/1).

%% As append_all/2, but left to the operating system to bring to disc, or to the next append: the events outlive this VM,
%% not this machine.
-spec write_all(journal(), [Event :: term()]) -> {ok, journal()} | {error, problem()}.
write_all(Journal, Events) ->
    write_events(Journal, Events, fun(_File) -> ok end).

record(Sequence, Event) ->
    easy_cluster_frame:record({Sequence, os:system_time(microsecond), Event}).

write_events(#{sequence := Sequence} = Journal, Events, Sync) ->
    {Data, Last} = lists:mapfoldl(fun(Event, Before) -> {record(Before + 1, Event), Before + 1} end, Sequence, Events),
    write(Journal, Data, Last, Sync).

write(Journal, Data, Sequence) ->
    write(Journal, Data, Sequence, fun file:datasync/1).

write(#{file := File, path := Path, size := Size} = Journal, Data, Sequence, Sync) ->
    Result = easy_cluster_files:in_order([
        fun() -> file:pwrite(File, Size, Data) end,
        fun() -> Sync(File) end
    ]),
    case Result of
        ok ->
            {ok, Journal#{size := Size + iolist_size(Data), sequence := Sequence}};
        {error, Reason} ->
            _ = trim(Journal),
            problem(journal_write, Path, Reason)
    end.

%% Events without which things go on: a journal that cannot be written must not keep the database from coming back.
-spec note(journal(), [term()]) -> journal().
note(Journal, Events) ->
    case append_all(Journal, Events) of
        {ok, Noted} -> Noted;
        {error, Reason} ->
            logger:error(#{what => easy_cluster_journal, events => length(Events), reason => Reason}),
            Journal
    end.

-spec close(journal()) -> ok | {error, problem()}.
close(#{file := File, path := Path}) ->
    case file:close(File) of
        ok -> ok;
        {error, Reason} -> problem(journal_write, Path, Reason)
    end.

%% With what was torn off it.
-spec delete(file:filename(), id()) -> ok | {error, problem()}.
delete(Dir, Id) ->
    case is_id(Id) of
        true -> deleted([path(Dir, Id) | torn(folder(Dir), Id)]);
        false -> problem(bad_id, Dir, {bad_id, Id})
    end.

torn(Folder, Id) ->
    Prefix = <<Id/binary, ".torn-">>,
    case easy_cluster_files:names(Folder) of
        {ok, Names} -> [filename:join(Folder, Name) || Name <- Names, is_list(Name), string:prefix(Name, Prefix) =/= nomatch];
        {error, _Unreadable} -> []
    end.

deleted(Paths) ->
    case easy_cluster_files:each(fun easy_cluster_files:delete/1, Paths) of
        ok -> ok;
        {error, Details} -> {error, {journal_write, Details}}
    end.

-spec read(file:filename(), id()) -> {ok, contents()} | {error, problem()}.
read(Dir, Id) ->
    with_path(Dir, Id, fun(Path) -> contents(read_file(Path)) end).

contents({ok, Contents, _Bytes}) -> {ok, Contents};
contents({error, _} = Error) -> Error.

read_file(Path) ->
    case file:read_file(Path) of
        {ok, Bytes} -> parsed(Path, Bytes, parse(Bytes));
        {error, enoent} -> problem(journal_missing, Path, enoent);
        {error, Reason} -> problem(journal_read, Path, Reason)
    end.

parsed(_Path, Bytes, {ok, Contents}) ->
    {ok, Contents, Bytes};
parsed(Path, _Bytes, {version, Version}) ->
    problem(journal_version, Path, {unknown_version, Version});
parsed(Path, _Bytes, {corrupt, Offset, Reason}) ->
    {error, {journal_corrupt, #{path => Path, reason => Reason, offset => Offset}}}.

parse(Bytes) ->
    case easy_cluster_frame:check_header(?KIND, Bytes) of
        {ok, Records} -> entries(Records, byte_size(Bytes) - byte_size(Records), 1, []);
        torn -> {ok, #{events => [], tail => torn_tail(0, byte_size(Bytes))}};
        {version, Version} -> {version, Version};
        bad -> {corrupt, 0, bad_header}
    end.

torn_tail(_Offset, 0) -> clean;
torn_tail(Offset, Size) -> {torn, Offset, Size}.

entries(Bytes, Offset, Sequence, Entries) ->
    case easy_cluster_frame:next(Bytes) of
        {ok, {Sequence, At, _Event} = Entry, Rest} when is_integer(At) ->
            entries(Rest, Offset + byte_size(Bytes) - byte_size(Rest), Sequence + 1, [Entry | Entries]);
        {ok, _Other, _Rest} ->
            {corrupt, Offset, out_of_sequence};
        done ->
            {ok, #{events => lists:reverse(Entries), tail => clean}};
        bad ->
            ended(easy_cluster_frame:holds_record(Bytes), Bytes, Offset, Entries)
    end.

ended(true, _Bytes, Offset, _Entries) ->
    {corrupt, Offset, bad_record};
ended(false, Bytes, Offset, Entries) ->
    {ok, #{events => lists:reverse(Entries), tail => {torn, Offset, byte_size(Bytes)}}}.

%% Sorted; a missing folder holds none.
-spec list(file:filename()) -> [id()] | {error, problem()}.
list(Dir) ->
    case easy_cluster_files:names(folder(Dir)) of
        {ok, Names} -> lists:sort(lists:filtermap(fun named_id/1, Names));
        {error, #{reason := enoent}} -> [];
        {error, Details} -> {error, {journal_read, Details}}
    end.

named_id(Name) when is_list(Name) ->
    Id = unicode:characters_to_binary(filename:basename(Name, ?EXTENSION)),
    case filename:extension(Name) =:= ?EXTENSION andalso is_id(Id) of
        true -> {true, Id};
        false -> false
    end;
named_id(_NotUnicode) ->
    false.

%% Where the journals are: below Mnesia's directory, where Mnesia itself never looks.
-spec folder(file:filename()) -> file:filename_all().
folder(Dir) ->
    filename:join([Dir, "easy_cluster", "journal"]).

%% Whether it can be the name of an operation, and so of its file and folders.
-spec is_id(term()) -> boolean().
is_id(Id) when is_binary(Id) ->
    re:run(Id, "\\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\\z", [{capture, none}]) =:= match;
is_id(_) ->
    false.

with_path(Dir, Id, Fun) ->
    case is_id(Id) of
        true -> Fun(path(Dir, Id));
        false -> problem(bad_id, Dir, {bad_id, Id})
    end.

path(Dir, Id) ->
    filename:join(folder(Dir), binary_to_list(Id) ++ ?EXTENSION).

problem(Code, Path, Reason) ->
    {error, {Code, #{path => Path, reason => Reason}}}.
