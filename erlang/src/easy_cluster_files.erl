%% Changes to files and folders that survive a power loss once the function has returned.
%%
%%     1> easy_cluster_files:make_folder("/var/lib/app/easy_cluster/journal").
%%     ok
%%     2> easy_cluster_files:write("/var/lib/app/easy_cluster/note", <<"kept">>).
%%     ok
%%
%% Failures are `{error, #{path, reason}}'; each caller wraps them into the code that its own readers know.
-module(easy_cluster_files).

-include_lib("kernel/include/file.hrl").

%% Folders
-export([make_folder/1]).
-export([sync_folder/1]).
-export([delete_folder/1]).
%% Files
-export([write/2]).
-export([copy/2]).
-export([link/2]).
-export([rename/2]).
-export([delete/1]).
-export([sync/1]).
%% Looking
-export([info/1]).
-export([identity/1]).
-export([names/1]).
%% Doing one after another
-export([each/2]).
-export([in_order/1]).
-export_type([details/0, failure/0, identity/0]).

-type details() :: #{path := file:filename_all(), reason := term()}.
-type failure() :: {error, details()}.
-type identity() :: {Device :: non_neg_integer(), Inode :: non_neg_integer()}.

%% Makes the folder and what is missing above it; each new name is synced into the folder that holds it.
-spec make_folder(file:filename_all()) -> ok | failure().
make_folder(Path) ->
    case file:make_dir(Path) of
        ok -> sync_folder(filename:dirname(Path));
        {error, eexist} -> is_folder(Path);
        {error, enoent} -> in_order([fun() -> make_parent(Path) end, fun() -> make_folder(Path) end]);
        {error, Reason} -> failure(Path, Reason)
    end.

make_parent(Path) ->
    case filename:dirname(Path) of
        Path -> failure(Path, enoent);
        Parent -> make_folder(Parent)
    end.

is_folder(Path) ->
    case file:read_file_info(Path, [raw, {time, posix}]) of
        {ok, #file_info{type = directory}} -> ok;
        {ok, #file_info{}} -> failure(Path, enotdir);
        {error, Reason} -> failure(Path, Reason)
    end.

%% Names made, renamed and deleted in the folder are on disc when this returns. Some file systems cannot sync a
%% folder and say `einval'; there is nothing more that one could do there.
-spec sync_folder(file:filename_all()) -> ok | failure().
sync_folder(Path) ->
    case sync_opened(file:open(Path, [read, raw, directory])) of
        {error, einval} -> ok;
        {error, Reason} -> failure(Path, Reason);
        ok -> ok
    end.

%% Deletes the files and links in the folder, then the folder. A folder inside is an error, a link is never followed.
-spec delete_folder(file:filename_all()) -> ok | failure().
delete_folder(Path) ->
    case info(Path) of
        {ok, #file_info{type = directory}} -> delete_contents(Path);
        {ok, #file_info{}} -> failure(Path, enotdir);
        missing -> ok;
        {error, _} = Error -> Error
    end.

delete_contents(Path) ->
    case names(Path) of
        {ok, Names} ->
            in_order([
                fun() -> each(fun(Name) -> delete(filename:join(Path, Name)) end, Names) end,
                fun() -> wrapped(Path, file:del_dir(Path)) end,
                fun() -> sync_folder(filename:dirname(Path)) end
            ]);
        {error, _} = Error ->
            Error
    end.

%% Writes the file under another name first, so that under its own name it is there as a whole or not at all.
-spec write(file:filename_all(), iodata()) -> ok | failure().
write(Path, Data) ->
    New = new_name(Path),
    in_order([
        fun() -> wrapped(New, file:write_file(New, Data, [raw])) end,
        fun() -> settle(New, Path) end
    ]).

%% Copies contents and mode. The copy shares nothing with the original and is there as a whole or not at all.
-spec copy(file:filename_all(), file:filename_all()) -> ok | failure().
copy(From, To) ->
    New = new_name(To),
    in_order([
        fun() -> copy_contents(From, New) end,
        fun() -> settle(New, To) end
    ]).

copy_contents(From, New) ->
    case {file:copy(From, New), file:read_file_info(From, [raw, {time, posix}])} of
        {{ok, _Bytes}, {ok, #file_info{mode = Mode}}} -> wrapped(New, file:change_mode(New, Mode band 8#7777));
        {{error, Reason}, _} -> failure(New, Reason);
        {_, {error, Reason}} -> failure(From, Reason)
    end.

settle(New, Path) ->
    in_order([
        fun() -> sync(New) end,
        fun() -> rename(New, Path) end,
        fun() -> sync_folder(filename:dirname(Path)) end
    ]).

new_name(Path) when is_binary(Path) -> <<Path/binary, ".new">>;
new_name(Path) -> unicode:characters_to_list([Path, ".new"]).

%% A second name of the same file; it is checked to be the same one.
-spec link(file:filename_all(), file:filename_all()) -> ok | failure().
link(From, To) ->
    case file:make_link(From, To) of
        ok -> same(identity(From), identity(To), To);
        {error, Reason} -> failure(To, Reason)
    end.

same({ok, Identity}, {ok, Identity}, _To) -> ok;
same(_Other, _OtherStill, To) -> failure(To, not_linked).

-spec rename(file:filename_all(), file:filename_all()) -> ok | failure().
rename(From, To) ->
    wrapped(To, file:rename(From, To)).

%% Already gone is success.
-spec delete(file:filename_all()) -> ok | failure().
delete(Path) ->
    case file:delete(Path, [raw]) of
        {error, enoent} -> ok;
        Result -> wrapped(Path, Result)
    end.

-spec sync(file:filename_all()) -> ok | failure().
sync(Path) ->
    wrapped(Path, sync_opened(file:open(Path, [read, raw]))).

sync_opened({ok, File}) ->
    Synced = file:sync(File),
    Closed = file:close(File),
    first_error(Synced, Closed);
sync_opened({error, _} = Error) ->
    Error.

first_error(ok, Second) -> Second;
first_error(First, _Second) -> First.

%% What is there under this name itself: a link is shown as a link.
-spec info(file:filename_all()) -> {ok, file:file_info()} | missing | failure().
info(Path) ->
    case file:read_link_info(Path, [raw, {time, posix}]) of
        {ok, Info} -> {ok, Info};
        {error, enoent} -> missing;
        {error, Reason} -> failure(Path, Reason)
    end.

%% Two names with the same identity are one file.
-spec identity(file:filename_all()) -> {ok, identity()} | missing | failure().
identity(Path) ->
    case info(Path) of
        {ok, #file_info{type = regular, major_device = Device, inode = Inode}} -> {ok, {Device, Inode}};
        {ok, #file_info{type = Type}} -> failure(Path, {not_a_file, Type});
        missing -> missing;
        {error, _} = Error -> Error
    end.

%% Sorted; names that are not valid in the file system's encoding are binaries.
-spec names(file:filename_all()) -> {ok, [file:filename_all()]} | failure().
names(Path) ->
    case file:list_dir_all(Path) of
        {ok, Names} -> {ok, lists:sort(Names)};
        {error, Reason} -> failure(Path, Reason)
    end.

%% Stops at the first that fails.
-spec each(fun((Item) -> ok | {error, Reason}), [Item]) -> ok | {error, Reason}.
each(_Fun, []) ->
    ok;
each(Fun, [Item | Items]) ->
    case Fun(Item) of
        ok -> each(Fun, Items);
        {error, _} = Error -> Error
    end.

%% Stops at the first that fails.
-spec in_order([fun(() -> ok | {error, Reason})]) -> ok | {error, Reason}.
in_order(Funs) ->
    each(fun(Fun) -> Fun() end, Funs).

wrapped(_Path, ok) -> ok;
wrapped(Path, {error, Reason}) -> failure(Path, Reason).

failure(Path, Reason) ->
    {error, #{path => Path, reason => Reason}}.
