-module(easy_cluster_journal_prop_tests).

%% Debian's proper comes without its header, hence no macros.
-include_lib("eunit/include/eunit.hrl").

-define(ID, <<"any">>).

properties_test_() ->
    [
        {"any events, cut at any byte, leave a prefix", property(fun prop_cut/1)},
        {"any events, any byte changed, are an error or a prefix", property(fun prop_flip/1)},
        {"any events behind a torn tail go on where the good ones end", property(fun prop_go_on/1)}
    ].

property(Property) ->
    {timeout, 120, fun() ->
        Dir = easy_cluster_peers:scratch(),
        Result = proper:quickcheck(Property(Dir), [{numtests, 100}, {max_size, 20}, {to_file, user}, quiet]),
        easy_cluster_peers:remove(Dir),
        ?assertEqual(true, Result)
    end}.

prop_cut(Dir) ->
    proper:forall({events(), share()}, fun({Events, Share}) ->
        Bytes = write(Dir, Events),
        Size = trunc(Share * byte_size(Bytes)),
        put_bytes(Dir, binary:part(Bytes, 0, Size)),
        case easy_cluster_journal:read(Dir, ?ID) of
            {ok, #{events := Entries, tail := clean}} ->
                is_prefix(Entries, Events);
            {ok, #{events := Entries, tail := {torn, Offset, Torn}}} ->
                Offset + Torn =:= Size andalso is_prefix(Entries, Events)
        end
    end).

prop_flip(Dir) ->
    proper:forall({events(), share(), proper_types:integer(1, 255)}, fun({Events, Share, Mask}) ->
        Bytes = write(Dir, Events),
        At = min(trunc(Share * byte_size(Bytes)), byte_size(Bytes) - 1),
        <<Before:At/binary, Byte, After/binary>> = Bytes,
        put_bytes(Dir, <<Before/binary, (Byte bxor Mask), After/binary>>),
        case easy_cluster_journal:read(Dir, ?ID) of
            {ok, #{events := Entries, tail := {torn, _, _}}} ->
                length(Entries) < length(Events) andalso is_prefix(Entries, Events);
            {error, {journal_corrupt, #{path := _, reason := _, offset := Offset}}} ->
                Offset =< At
        end
    end).

prop_go_on(Dir) ->
    proper:forall({events(), share(), events()}, fun({Events, Share, More}) ->
        Bytes = write(Dir, Events),
        put_bytes(Dir, binary:part(Bytes, 0, trunc(Share * byte_size(Bytes)))),
        {ok, #{events := Left}} = easy_cluster_journal:read(Dir, ?ID),
        {ok, Opened} = easy_cluster_journal:open(Dir, ?ID),
        append(Opened, More),
        {ok, #{events := Entries, tail := clean}} = easy_cluster_journal:read(Dir, ?ID),
        Sequences = [Sequence || {Sequence, _, _} <- Entries],
        lists:prefix(Left, Entries) andalso
            [Event || {_, _, Event} <- lists:nthtail(length(Left), Entries)] =:= More andalso
            Sequences =:= lists:seq(1, length(Entries))
    end).

events() -> proper_types:non_empty(proper_types:list(proper_types:term())).

share() -> proper_types:float(0.0, 1.0).

is_prefix(Entries, Events) ->
    lists:prefix([Event || {_, _, Event} <- Entries], Events).

write(Dir, [First | Events]) ->
    clear(Dir),
    {ok, Journal} = easy_cluster_journal:create(Dir, ?ID, First),
    append(Journal, Events),
    {ok, Bytes} = file:read_file(path(Dir)),
    Bytes.

append(Journal, []) ->
    ok = easy_cluster_journal:close(Journal);
append(Journal, [Event | Events]) ->
    {ok, Appended} = easy_cluster_journal:append(Journal, Event),
    append(Appended, Events).

clear(Dir) ->
    [ok = file:delete(File) || File <- filelib:wildcard(filename:join(easy_cluster_journal:folder(Dir), "*"))].

put_bytes(Dir, Bytes) -> ok = file:write_file(path(Dir), Bytes).

path(Dir) -> filename:join(easy_cluster_journal:folder(Dir), "any.journal").
