%% The one codec of journals and archives: a header, then records of one term each.
%%
%%     header: kind (8 bytes), format version (16 bits), CRC-32 of both
%%     record: marker (32 bits), length of the payload (32), CRC-32 of length and payload (32), payload (a term)
%%
%% The marker lets a reader look for a good record behind a bad one: none behind it means that the writer was
%% interrupted, one behind it means damage. Kind, version and their sum keep their place in every version to come.
-module(easy_cluster_frame).

-export([header/1]).
-export([check_header/2]).
-export([header_size/0]).
-export([record/1]).
-export([next/1]).
-export([payload_size/1]).
-export([holds_record/1]).
-export_type([kind/0]).

-define(VERSION, 1).
-define(MARKER, 16#EC0DE5A1).
-define(HEADER_SIZE, 14).

-type kind() :: <<_:64>>.

-spec header(kind()) -> binary().
header(Kind) ->
    Start = <<Kind:8/binary, ?VERSION:16>>,
    <<Start/binary, (erlang:crc32(Start)):32>>.

-spec header_size() -> pos_integer().
header_size() ->
    ?HEADER_SIZE.

%% `torn' is the beginning of a header and nothing else: its writer died at once.
-spec check_header(kind(), binary()) -> {ok, binary()} | torn | {version, non_neg_integer()} | bad.
check_header(Kind, <<Start:10/binary, Crc:32, Rest/binary>>) ->
    case {erlang:crc32(Start), Start} of
        {Crc, <<Kind:8/binary, ?VERSION:16>>} -> {ok, Rest};
        {Crc, <<Kind:8/binary, Version:16>>} -> {version, Version};
        _ -> bad
    end;
check_header(Kind, Short) ->
    case binary:longest_common_prefix([header(Kind), Short]) =:= byte_size(Short) of
        true -> torn;
        false -> bad
    end.

-spec record(term()) -> iolist().
record(Term) ->
    Payload = term_to_binary(Term),
    Length = <<(byte_size(Payload)):32>>,
    [<<?MARKER:32>>, Length, <<(erlang:crc32([Length, Payload])):32>>, Payload].

%% The first record. Its checksum is looked at before its term is.
-spec next(binary()) -> {ok, term(), Rest :: binary()} | bad | done.
next(<<?MARKER:32, Length:32, Crc:32, Payload:Length/binary, Rest/binary>>) ->
    case erlang:crc32([<<Length:32>>, Payload]) of
        Crc -> decoded(Payload, Rest);
        _ -> bad
    end;
next(<<>>) ->
    done;
next(_) ->
    bad.

decoded(Payload, Rest) ->
    try binary_to_term(Payload) of
        Term -> {ok, Term, Rest}
    catch
        error:badarg -> bad
    end.

%% How much follows the first 12 bytes of a record, for readers that do not take in the file as a whole.
-spec payload_size(binary()) -> {ok, non_neg_integer()} | bad.
payload_size(<<?MARKER:32, Length:32, _Crc:32>>) -> {ok, Length};
payload_size(_) -> bad.

%% Whether a good record begins anywhere in these bytes.
-spec holds_record(binary()) -> boolean().
holds_record(Bytes) ->
    Starts = binary:matches(Bytes, <<?MARKER:32>>),
    lists:any(fun({Start, _}) -> is_record_at(Start, Bytes) end, Starts).

is_record_at(Start, Bytes) ->
    case next(binary:part(Bytes, Start, byte_size(Bytes) - Start)) of
        {ok, _Term, _Rest} -> true;
        bad -> false
    end.
