%% The native library. A module that cannot load it still loads, and knows why.
-module(easy_cluster_nif).

-export([call/1, call_io/1]).
-export([hash_rows/3, add_hashes/2, level_above/2, keys_of_leaves/5]).
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

%% Digests; see `native/easy_cluster_nif/src/digest.rs'. Of each row 24 bytes, and the places of the rows that are not comparable.
-spec hash_rows([tuple()], KeyPosition :: pos_integer(), Seed :: non_neg_integer()) -> {binary(), [non_neg_integer()]}.
hash_rows(_Rows, _KeyPosition, _Seed) -> erlang:nif_error(not_loaded).

%% The leaves of a tree, 16 bytes each, a power of two of them, with hashes added.
-spec add_hashes(Leaves :: binary(), [Hashes :: binary()]) -> binary().
add_hashes(_Leaves, _Hashes) -> erlang:nif_error(not_loaded).

%% The sums of each Width sums in a row.
-spec level_above(Sums :: binary(), Width :: pos_integer()) -> binary().
level_above(_Sums, _Width) -> erlang:nif_error(not_loaded).

%% The keys of the rows that belong to some of the 2^Bits leaves, with the hash of the row. Leaves count from 0 and are sorted.
-spec keys_of_leaves([tuple()], pos_integer(), non_neg_integer(), Bits :: 0..32, Leaves :: [non_neg_integer()]) ->
          [{Key :: term(), Hash :: binary()}].
keys_of_leaves(_Rows, _KeyPosition, _Seed, _Bits, _Leaves) -> erlang:nif_error(not_loaded).

%% Whether the functions above can be called.
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
