%% A digest of a table's rows that is the same in whatever order they come, on OTP 25 to 29, and for whatever storage.
%%
%%     1> easy_cluster_digest:text(easy_cluster_digest:add([{passwd, a, 1}], easy_cluster_digest:new())).
%%     <<"1 7d0d...">>
%%
%% It is the number of rows and the sum of the SHA-256 of each, modulo 2^256: a row that is missing, doubled or changed
%% changes it.
-module(easy_cluster_digest).

-export([new/0, add/2, rows/1, text/1]).
-export([of_table/1]).
-export_type([digest/0]).

-opaque digest() :: {Rows :: non_neg_integer(), Sum :: non_neg_integer()}.

-define(MODULUS, (1 bsl 256)).
-define(PIECE, 1000).

-spec new() -> digest().
new() ->
    {0, 0}.

-spec add([tuple()], digest()) -> digest().
add(Rows, Digest) ->
    lists:foldl(fun add_row/2, Digest, Rows).

%% Without both options, the bytes of equal terms differ between releases, and for maps between VMs.
add_row(Row, {Rows, Sum}) ->
    Bytes = term_to_binary(Row, [deterministic, {minor_version, 2}]),
    <<Hash:256>> = crypto:hash(sha256, Bytes),
    {Rows + 1, (Sum + Hash) rem ?MODULUS}.

-spec rows(digest()) -> non_neg_integer().
rows({Rows, _Sum}) ->
    Rows.

-spec text(digest()) -> binary().
text({Rows, Sum}) ->
    iolist_to_binary(io_lib:format("~w ~64.16.0b", [Rows, Sum])).

%% Of the rows that can be read here. A table that is written to meanwhile has no digest.
-spec of_table(atom()) -> digest().
of_table(Table) ->
    mnesia:async_dirty(fun() -> selected(mnesia:select(Table, [{'_', [], ['$_']}], ?PIECE, read), new()) end).

selected('$end_of_table', Digest) -> Digest;
selected({Rows, Continuation}, Digest) -> selected(mnesia:select(Continuation), add(Rows, Digest)).
