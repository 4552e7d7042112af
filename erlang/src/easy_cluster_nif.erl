%% The native library. A module that cannot load it still loads, and knows why.
-module(easy_cluster_nif).

-export([call/1, call_io/1]).
-export([loaded/0]).
-export([version/0]).
-on_load(load/0).

%% Written by c_src/Makefile with the version of the library, or with the reason why there is none.
-include("../include/easy_cluster_native.hrl").

%% A request and its answer in external term format; on a dirty CPU scheduler.
-spec call(binary()) -> binary().
call(_Request) -> erlang:nif_error(not_loaded).

%% The same on a dirty I/O scheduler, for what waits for the network.
-spec call_io(binary()) -> binary().
call_io(_Request) -> erlang:nif_error(not_loaded).

%% Whether the two above can be called.
-spec loaded() -> ok | {error, {native_library, #{path := binary(), reason := binary()}}}.
loaded() ->
    case persistent_term:get({?MODULE, not_loaded}, loaded) of
        loaded -> ok;
        Details -> {error, {native_library, Details}}
    end.

-spec version() -> string().
version() -> ?EASY_CLUSTER_VERSION.

%% on_load must not fail: a module that is not there explains nothing.
load() ->
    Path = path(),
    case erlang:load_nif(Path, 0) of
        ok ->
            _ = persistent_term:erase({?MODULE, not_loaded}),
            ok;
        {error, {Reason, Text}} ->
            persistent_term:put({?MODULE, not_loaded},
                                #{path => unicode:characters_to_binary([Path, ".so"]),
                                  reason => unicode:characters_to_binary(io_lib:format("~ts: ~ts", [Reason, Text]))})
    end.

%% The file carries the version, as an upgrade leaves the old one beside it.
path() ->
    Name = "easy_cluster-" ++ ?EASY_CLUSTER_VERSION,
    Folders = [Folder || Folder <- [code:priv_dir(easy_cluster), beside_beam()], is_list(Folder)],
    Found = [Folder || Folder <- Folders, filelib:is_regular(filename:join(Folder, Name ++ ".so"))],
    filename:join(hd(Found ++ Folders), Name).

beside_beam() ->
    case code:which(?MODULE) of
        Beam when is_list(Beam) -> filename:join(filename:dirname(filename:dirname(Beam)), "priv");
        _NotAFile -> "priv"
    end.
