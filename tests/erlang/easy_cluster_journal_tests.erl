-module(easy_cluster_journal_tests).

-include_lib("eunit/include/eunit.hrl").

-define(ID, <<"join-1">>).

journal_test_() ->
    {foreach, fun easy_cluster_peers:scratch/0, fun easy_cluster_peers:remove/1, [
        with("events are read back in order, with number and time", fun reads_back/1),
        with("an event can be read while the journal is open", fun is_on_disc_at_once/1),
        with("opened again it goes on with the next number", fun goes_on/1),
        with("folders are made, and the file is where it is said to be", fun makes_folders/1),
        with("an id is used once", fun is_exclusive/1),
        with("an id that could leave the folder is refused", fun refuses_ids/1),
        with("a journal that is not there is missing", fun is_missing/1),
        with("the list is sorted and holds journals only", fun lists_journals/1),
        with("a cut anywhere leaves a prefix", fun survives_cuts/1),
        with("a changed byte anywhere is an error or leaves a prefix", fun survives_flips/1),
        with("a torn tail is put aside before it is cut off", fun puts_torn_tail_aside/1),
        with("a second torn tail does not replace the first", fun keeps_each_torn_tail/1),
        with("a torn header is written anew", fun repairs_header/1),
        with("one that was closed before anything had begun is no unfinished one in the history", fun closes_what_never_began/1),
        with("a bad record before a good one is damage, and the file is left alone", fun refuses_damage/1),
        with("a record that is there twice is damage", fun refuses_repetition/1),
        with("an unknown version is refused without damage", fun refuses_versions/1),
        with("an append that cannot be written is an error and harms nothing", fun survives_failed_append/1)
    ]}.

with(Title, Fun) ->
    fun(Dir) -> {Title, fun() -> Fun(Dir) end} end.

%% As a kill leaves it between the making of the file and its first record.
closes_what_never_began(Dir) ->
    ok = filelib:ensure_dir(path(Dir, ?ID)),
    ok = file:write_file(path(Dir, ?ID), <<>>),
    ?assertMatch({ok, [#{outcome := unfinished}]}, easy_cluster_history:all(Dir)),
    {back, ?ID} = easy_cluster_executor:recover_offline(Dir),
    ?assertEqual(undefined, easy_cluster_history:unfinished(Dir)),
    ?assertMatch({ok, [#{outcome := undone}]}, easy_cluster_history:all(Dir)).

reads_back(Dir) ->
    Before = os:system_time(microsecond),
    write(Dir, [begun, {intent, 1}, #{done => [1.5, <<"x">>]}]),
    After = os:system_time(microsecond),
    {ok, #{events := Events, tail := clean}} = easy_cluster_journal:read(Dir, ?ID),
    ?assertMatch([{1, _, begun}, {2, _, {intent, 1}}, {3, _, #{done := [1.5, <<"x">>]}}], Events),
    ?assert(lists:all(fun({_, At, _}) -> Before =< At andalso At =< After end, Events)).

is_on_disc_at_once(Dir) ->
    {ok, Journal} = easy_cluster_journal:create(Dir, ?ID, one),
    ?assertEqual({[one], clean}, events(Dir)),
    {ok, Journal1} = easy_cluster_journal:append(Journal, two),
    ?assertEqual({[one, two], clean}, events(Dir)),
    ok = easy_cluster_journal:close(Journal1).

goes_on(Dir) ->
    write(Dir, [one]),
    {ok, Journal} = easy_cluster_journal:open(Dir, ?ID),
    {ok, Journal1} = easy_cluster_journal:append(Journal, two),
    ok = easy_cluster_journal:close(Journal1),
    {ok, #{events := Events}} = easy_cluster_journal:read(Dir, ?ID),
    ?assertMatch([{1, _, one}, {2, _, two}], Events).

makes_folders(Dir) ->
    ?assertEqual([], easy_cluster_journal:list(Dir)),
    write(Dir, [one]),
    ?assertEqual({ok, ["join-1.journal"]}, file:list_dir(filename:join([Dir, "easy_cluster", "journal"]))),
    ?assertEqual(path(Dir, ?ID), maps:get(journal, easy_cluster_directory:paths(Dir, ?ID))).

is_exclusive(Dir) ->
    write(Dir, [one]),
    ?assertMatch({error, {journal_exists, #{path := _}}}, easy_cluster_journal:create(Dir, ?ID, other)),
    ?assertEqual({[one], clean}, events(Dir)).

refuses_ids(Dir) ->
    Bad = [<<>>, <<".">>, <<"..">>, <<"../x">>, <<"a/b">>, <<"a\n">>, <<".a">>, binary:copy(<<"a">>, 101), "a", a],
    [?assertMatch({error, {bad_id, _}}, easy_cluster_journal:create(Dir, Id, one)) || Id <- Bad],
    [?assertMatch({error, {bad_id, _}}, easy_cluster_journal:read(Dir, Id)) || Id <- Bad],
    ?assertEqual({ok, []}, file:list_dir(Dir)).

is_missing(Dir) ->
    ?assertMatch({error, {journal_missing, #{path := _}}}, easy_cluster_journal:read(Dir, ?ID)),
    ?assertMatch({error, {journal_missing, #{path := _}}}, easy_cluster_journal:open(Dir, ?ID)),
    ?assertEqual([], easy_cluster_journal:list(Dir)).

lists_journals(Dir) ->
    [write(Dir, Id, [one]) || Id <- [<<"b">>, <<"c.2">>, <<"a">>]],
    ok = file:write_file(filename:join(folder(Dir), "a.torn-1"), <<>>),
    ok = file:write_file(filename:join(folder(Dir), ".x.journal"), <<>>),
    ?assertEqual([<<"a">>, <<"b">>, <<"c.2">>], easy_cluster_journal:list(Dir)).

survives_cuts(Dir) ->
    Written = write(Dir, [one, {two, <<"2">>}, [3]]),
    Bytes = bytes(Dir),
    [
        begin
            put_bytes(Dir, binary:part(Bytes, 0, Size)),
            {Events, Tail} = events(Dir),
            ?assert(lists:prefix(Events, Written)),
            assert_tail(Tail, Size)
        end
     || Size <- lists:seq(0, byte_size(Bytes) - 1)
    ].

assert_tail(clean, _Size) -> ok;
assert_tail({torn, Offset, Torn}, Size) -> ?assertEqual(Size, Offset + Torn).

survives_flips(Dir) ->
    Written = write(Dir, [one, {two, <<"2">>}, [3]]),
    Bytes = bytes(Dir),
    Answers = [
        begin
            put_bytes(Dir, flip(Bytes, At, Mask)),
            sane(easy_cluster_journal:read(Dir, ?ID), Written)
        end
     || At <- lists:seq(0, byte_size(Bytes) - 1), Mask <- [1, 128, 255]
    ],
    ?assertEqual([journal_corrupt, torn], lists:usort(Answers)).

sane({error, {Code, #{path := _, reason := _}}}, _Written) ->
    Code;
sane({ok, #{events := Entries, tail := {torn, _, _}}}, Written) ->
    Events = [Event || {_, _, Event} <- Entries],
    ?assert(lists:prefix(Events, Written)),
    ?assertNotEqual(Written, Events),
    torn.

puts_torn_tail_aside(Dir) ->
    write(Dir, [one, two]),
    Whole = bytes(Dir),
    write(Dir, <<"other">>, [one]),
    One = byte_size(bytes(Dir, <<"other">>)),
    put_bytes(Dir, binary:part(Whole, 0, byte_size(Whole) - 3)),
    {ok, Journal} = easy_cluster_journal:open(Dir, ?ID),
    {ok, Journal1} = easy_cluster_journal:append(Journal, again),
    ok = easy_cluster_journal:close(Journal1),
    ?assertEqual({[one, again], clean}, events(Dir)),
    Torn = binary:part(Whole, One, byte_size(Whole) - 3 - One),
    ?assertEqual({ok, Torn}, file:read_file(filename:join(folder(Dir), "join-1.torn-1"))).

keeps_each_torn_tail(Dir) ->
    write(Dir, [one]),
    [
        begin
            put_bytes(Dir, <<(bytes(Dir))/binary, Tail/binary>>),
            {ok, Journal} = easy_cluster_journal:open(Dir, ?ID),
            ok = easy_cluster_journal:close(Journal)
        end
     || Tail <- [<<"first">>, <<"second">>]
    ],
    ?assertEqual({ok, <<"first">>}, file:read_file(filename:join(folder(Dir), "join-1.torn-1"))),
    ?assertEqual({ok, <<"second">>}, file:read_file(filename:join(folder(Dir), "join-1.torn-2"))),
    ?assertEqual({[one], clean}, events(Dir)).

repairs_header(Dir) ->
    write(Dir, [one]),
    put_bytes(Dir, binary:part(bytes(Dir), 0, 5)),
    {ok, Journal} = easy_cluster_journal:open(Dir, ?ID),
    {ok, Journal1} = easy_cluster_journal:append(Journal, begun),
    ok = easy_cluster_journal:close(Journal1),
    ?assertEqual({[begun], clean}, events(Dir)).

refuses_damage(Dir) ->
    write(Dir, [one, two, three]),
    Damaged = flip(bytes(Dir), 30, 255),
    put_bytes(Dir, Damaged),
    ?assertMatch({error, {journal_corrupt, #{reason := bad_record, offset := 14}}}, easy_cluster_journal:read(Dir, ?ID)),
    ?assertMatch({error, {journal_corrupt, _}}, easy_cluster_journal:open(Dir, ?ID)),
    ?assertEqual(Damaged, bytes(Dir)).

refuses_repetition(Dir) ->
    write(Dir, [one]),
    <<Header:14/binary, Record/binary>> = bytes(Dir),
    put_bytes(Dir, <<Header/binary, Record/binary, Record/binary>>),
    ?assertMatch({error, {journal_corrupt, #{reason := out_of_sequence}}}, easy_cluster_journal:read(Dir, ?ID)).

refuses_versions(Dir) ->
    write(Dir, [one]),
    <<Kind:8/binary, _Version:16, _Crc:32, Records/binary>> = bytes(Dir),
    Start = <<Kind/binary, 2:16>>,
    Future = <<Start/binary, (erlang:crc32(Start)):32, Records/binary>>,
    put_bytes(Dir, Future),
    Expected = {unknown_version, 2},
    ?assertMatch({error, {journal_version, #{reason := Expected}}}, easy_cluster_journal:read(Dir, ?ID)),
    ?assertMatch({error, {journal_version, #{reason := Expected}}}, easy_cluster_journal:open(Dir, ?ID)),
    ?assertEqual(Future, bytes(Dir)).

survives_failed_append(Dir) ->
    {ok, Journal} = easy_cluster_journal:create(Dir, ?ID, one),
    ok = easy_cluster_journal:close(Journal),
    ?assertMatch({error, {journal_write, #{path := _, reason := _}}}, easy_cluster_journal:append(Journal, two)),
    ?assertEqual({[one], clean}, events(Dir)).

%% A full disc, where the machine lets us mount one.
full_disc_test_() ->
    {setup, fun mount_small/0, fun unmount/1, fun(Mounted) ->
        {"on a full disc what was written before stays whole", fun() -> fill_disc(Mounted) end}
    end}.

mount_small() ->
    Dir = easy_cluster_peers:scratch(),
    {Dir, os:cmd("mount -t tmpfs -o size=64k tmpfs " ++ Dir ++ " 2>&1")}.

unmount({Dir, []}) ->
    [] = os:cmd("umount " ++ Dir ++ " 2>&1"),
    easy_cluster_peers:remove(Dir);
unmount({Dir, _NotMounted}) ->
    easy_cluster_peers:remove(Dir).

fill_disc({Dir, []}) ->
    {ok, Journal} = easy_cluster_journal:create(Dir, ?ID, one),
    {error, {journal_write, #{reason := enospc}}} = easy_cluster_journal:append(Journal, noise(100000)),
    ?assertEqual({[one], clean}, events(Dir)),
    {ok, Journal1} = easy_cluster_journal:append(Journal, two),
    ok = easy_cluster_journal:close(Journal1),
    ?assertEqual({[one, two], clean}, events(Dir));
fill_disc({_Dir, NotMounted}) ->
    ?debugFmt("no small disc can be mounted here: ~ts", [NotMounted]).

noise(Size) -> rand:bytes(Size).

write(Dir, Events) -> write(Dir, ?ID, Events).

write(Dir, Id, [First | Events]) ->
    {ok, Created} = easy_cluster_journal:create(Dir, Id, First),
    Append = fun(Event, Journal) ->
        {ok, Appended} = easy_cluster_journal:append(Journal, Event),
        Appended
    end,
    ok = easy_cluster_journal:close(lists:foldl(Append, Created, Events)),
    [First | Events].

events(Dir) ->
    {ok, #{events := Entries, tail := Tail}} = easy_cluster_journal:read(Dir, ?ID),
    {[Event || {_, _, Event} <- Entries], Tail}.

bytes(Dir) -> bytes(Dir, ?ID).

bytes(Dir, Id) ->
    {ok, Bytes} = file:read_file(path(Dir, Id)),
    Bytes.

put_bytes(Dir, Bytes) -> ok = file:write_file(path(Dir, ?ID), Bytes).

path(Dir, Id) -> filename:join(folder(Dir), binary_to_list(Id) ++ ".journal").

folder(Dir) -> filename:join([Dir, "easy_cluster", "journal"]).

flip(Bytes, At, Mask) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor Mask), After/binary>>.
