%% Makes the copies of one table what one node, the winner, has of the keys that differ: archives what each node has, writes, and
%% compares again. What the winner has is read under a lock on all copies, so that what is written meanwhile is not undone.
%%
%% Each node has an archive, with the keys in its head, the winner first. Where rows change between archive and lock, there is one more.
%% A winner whose Mnesia was restarted in between has loaded its table from another node: what it had is in its archive.
-module(easy_cluster_mend).

-export([drift/3]).
-export([archive/2, mend/2, check/2]).
-export_type([drift/0]).

%% As `model::request::Drift' in the core.
-type drift() :: #{keys := non_neg_integer(), copies := [map()], more := boolean(), left_out := non_neg_integer(), digest := binary()}.
-type comparison() :: #{table := atom(), nodes := [node()], bits := pos_integer(), piece := pos_integer()}.

%% Keys that are locked together.
-define(KEYS, 50).
%% Rows that change each time they were archived are being written all the time, by something that does not ask for locks.
-define(ROUNDS, 10).
-define(LOADING, 60000).

%% How the copies differ from the winner's.
-spec drift(comparison(), node(), timeout()) -> {ok, drift()} | {error, {node(), term()}}.
drift(Comparison, Winner, Timeout) ->
    case easy_cluster_diff:compare([Comparison], #{timeout => Timeout}) of
        [#{differing := Differing} = Compared] ->
            States = [{Key, states(On, Winner)} || #{key := Key, on := On} <- Differing],
            Copies = [Copy || Node <- maps:get(nodes, Comparison) -- [Winner], Copy <- copy(Node, States)],
            Found = maps:with([more, left_out], Compared),
            {ok, Found#{keys => length(Differing), copies => Copies, digest => digest(States)}};
        [#{node := Node, reason := Reason}] ->
            {error, {Node, Reason}}
    end.

states(On, Winner) ->
    Wanted = maps:get(Winner, On),
    maps:map(fun(_Node, Have) -> state(Have, Wanted) end, On).

state(Same, Same) -> same;
state(absent, _Wanted) -> missing;
state(_Have, absent) -> foreign;
state(_Have, _Wanted) -> different.

copy(Node, States) ->
    Of = [State || {_Key, #{Node := State}} <- States, State =/= same],
    Count = fun(Wanted) -> length([State || State <- Of, State =:= Wanted]) end,
    [#{node => Node, missing => Count(missing), foreign => Count(foreign), different => Count(different)} || Of =/= []].

digest(Term) ->
    binary:encode_hex(crypto:hash(sha256, term_to_binary(Term, [deterministic]))).

%% In whatever order they are; 1 and 1.0, which sort as equal, are told apart.
of_rows(Rows) ->
    digest(lists:sort([term_to_binary(Row, [deterministic]) || Row <- Rows])).

%%% Archives

%% One that is there was written before anything was mended. The winner's has all keys, and who has one more than that winner does not.
-spec archive(map(), easy_cluster_step:context()) -> {ok, map()} | {error, term()}.
archive(#{copies := #{table := Table, nodes := Nodes}} = Args, Context) ->
    case loaded(Table, Nodes, Context) of
        ok -> archive_loaded(Args, Context);
        {error, Reason} -> {error, Reason}
    end.

archive_loaded(#{winner := Winner, copies := #{table := Table, nodes := Nodes} = Comparison}, Context) ->
    All = [Winner | Nodes -- [Winner]],
    Missing = [Node || Node <- All, not filelib:is_regular(file(Table, Node, 1, Context))],
    case keys(Missing, Comparison, file(Table, Winner, 1, Context), Winner, Context) of
        {ok, Keys} -> written_archives(write_all(Table, Winner, [{Node, Keys} || Node <- Missing], 1, Context), Table, All, Context);
        {error, Reason} -> {error, Reason}
    end.

%% After a restart, copies are on their way; who is not there yet takes no writes.
loaded(Table, Nodes, #{timeout := Timeout}) ->
    case mnesia:wait_for_tables([Table], max(Timeout, ?LOADING)) of
        ok ->
            case easy_cluster_wait:until(fun() -> writers(Table) =:= lists:sort(Nodes) end, Timeout) of
                ok -> ok;
                timeout -> {error, {copies, Nodes, but_written_to, writers(Table)}}
            end;
        {timeout, _Tables} -> {error, {not_loaded, Table}};
        {error, Reason} -> {error, Reason}
    end.

writers(Table) -> lists:sort(mnesia:table_info(Table, where_to_write)).

written_archives(ok, Table, Nodes, Context) -> archived(Table, Nodes, Context);
written_archives({error, Reason}, _Table, _Nodes, _Context) -> {error, Reason}.

keys([], _Comparison, _File, _Winner, _Context) ->
    {ok, []};
keys([Winner | _], Comparison, _File, Winner, #{timeout := Timeout}) ->
    case easy_cluster_diff:compare([Comparison], #{timeout => Timeout}) of
        [#{more := true}] -> {error, more_than_can_be_mended};
        [#{differing := Differing}] -> {ok, [Key || #{key := Key} <- Differing]};
        [#{node := Node, reason := Reason}] -> {error, {Node, Reason}}
    end;
keys(_Others, _Comparison, File, _Winner, _Context) ->
    case easy_cluster_rows:read_archive(File) of
        {ok, #{keys := Keys}} -> {ok, Keys};
        {error, Reason} -> {error, Reason}
    end.

%% What there is, read to its end.
archived(Table, Nodes, Context) ->
    Read = fun(Node, {ok, #{archived := Told}}) ->
                   File = file(Table, Node, 1, Context),
                   case easy_cluster_rows:read_archive(File) of
                       {ok, #{rows := Rows}} -> {ok, #{archived => [#{node => Node, rows => Rows, file => File} | Told]}};
                       {error, Reason} -> {error, Reason}
                   end;
              (_Node, {error, Reason}) -> {error, Reason}
           end,
    lists:foldr(Read, {ok, #{archived => []}}, Nodes).

write_all(Table, Winner, Keys, Round, Context) ->
    easy_cluster_files:each(fun({Node, Of}) -> write(Table, Winner, Node, Of, Round, Context) end, Keys).

write(Table, Winner, Node, Keys, Round, #{timeout := Timeout} = Context) ->
    Head = #{table => Table, definition => easy_cluster_rows:definition(Table), storage => storage(Table, Node), node => Node,
             at => os:system_time(microsecond), winner => Winner, keys => Keys},
    case incarnation(Winner, Timeout) of
        {ok, Mnesia} ->
            Opened = easy_cluster_rows:open_archive(Head#{mnesia => Mnesia}, file(Table, Node, Round, Context)),
            opened(Opened, Keys, Table, Node, Timeout);
        {error, Reason} ->
            {error, {Winner, Reason}}
    end.

%% Another one whenever Mnesia is started.
incarnation(Node, Timeout) ->
    easy_cluster_rpc:call(Node, erlang, whereis, [mnesia_sup], Timeout).

opened({ok, Writer}, Keys, Table, Node, Timeout) -> filled(put_all(pieces(Keys), Table, Node, Timeout, Writer));
opened({error, Reason}, _Keys, _Table, _Node, _Timeout) -> {error, Reason}.

storage(Table, Node) ->
    hd([Storage || Storage <- [disc_copies, disc_only_copies, ram_copies], lists:member(Node, mnesia:table_info(Table, Storage))]).

filled({ok, Writer}) ->
    case easy_cluster_rows:close_archive(Writer) of
        {ok, _Rows, _Bytes} -> ok;
        {error, Reason} -> {error, Reason}
    end;
filled({error, Reason, Writer}) ->
    ok = easy_cluster_rows:give_up_archive(Writer),
    {error, Reason}.

put_all([], _Table, _Node, _Timeout, Writer) ->
    {ok, Writer};
put_all([Keys | Pieces], Table, Node, Timeout, Writer) ->
    case easy_cluster_rpc:peer(Node, {rows, Table, Keys}, Timeout) of
        {ok, Found} -> put_piece(lists:append([Rows || {_Key, Rows} <- Found]), Pieces, Table, Node, Timeout, Writer);
        {error, Reason} -> {error, {Node, Reason}, Writer}
    end.

put_piece(Rows, Pieces, Table, Node, Timeout, Writer) ->
    case easy_cluster_rows:put_rows(Rows, Writer) of
        {ok, Written} -> put_all(Pieces, Table, Node, Timeout, Written);
        {error, Reason} -> {error, Reason, Writer}
    end.

pieces([]) -> [];
pieces(Keys) when length(Keys) =< ?KEYS -> [Keys];
pieces(Keys) ->
    {Piece, Others} = lists:split(?KEYS, Keys),
    [Piece | pieces(Others)].

file(Table, Node, Round, #{directory := Directory, id := Id}) ->
    #{archive := Folder} = easy_cluster_directory:paths(Directory, Id),
    Parts = [filename:rootname(easy_cluster_rows:file_name(Table)), node_name(atom_to_binary(Node)), integer_to_list(Round)],
    filename:join(Folder, lists:flatten([lists:join("-", Parts), ".rows"])).

%% A name of a node is part of the name of a file where it can be.
node_name(Name) ->
    case re:run(Name, "\\A[A-Za-z0-9_.@-]{1,100}\\z", [{capture, none}]) of
        match -> binary_to_list(Name);
        nomatch -> binary_to_list(binary:encode_hex(erlang:md5(Name)))
    end.

%%% Mending

-spec mend(map(), easy_cluster_step:context()) -> {ok, map()} | {error, term()}.
mend(#{table := Table, nodes := Nodes} = Args, Context) ->
    case loaded(Table, Nodes, Context) of
        ok -> mend_loaded(Args, Context);
        {error, Reason} -> {error, Reason}
    end.

mend_loaded(#{table := Table, winner := Winner, nodes := Nodes}, #{timeout := Timeout} = Context) ->
    Mend = #{table => Table, winner => Winner, nodes => Nodes, context => Context},
    case {read(file(Table, Winner, 1, Context), Winner), known(Nodes, 1, #{}, Mend), incarnation(Winner, Timeout)} of
        {{ok, #{mnesia := Mnesia, keys := Keys, found := Found}}, {ok, Known, Next}, {ok, Now}} ->
            Had = had(Mnesia =:= Now, Found),
            Rounds = rounds(Keys, Known, Next, 0, Mend#{type => mnesia:table_info(Table, type), had => Had}),
            flushed(Rounds, Nodes, Context);
        {{error, Reason}, _, _} -> {error, Reason};
        {_, {error, Reason}, _} -> {error, Reason};
        {_, _, {error, Reason}} -> {error, {Winner, Reason}}
    end.

%% What the winner had of each key, where it is not what it has.
had(true, _Found) -> #{};
had(false, Found) -> maps:from_list(Found).

%% For each key of each node the digest of the rows that are in its last archive.
known(Nodes, Round, Known, #{table := Table, context := Context} = Mend) ->
    Files = [{Node, file(Table, Node, Round, Context)} || Node <- Nodes],
    case [Named || {_Node, File} = Named <- Files, Round =:= 1 orelse filelib:is_regular(File)] of
        [] -> {ok, Known, Round};
        There ->
            case add_known(There, Known) of
                {ok, More} -> known(Nodes, Round + 1, More, Mend);
                {error, Reason} -> {error, Reason}
            end
    end.

add_known([], Known) ->
    {ok, Known};
add_known([{Node, File} | Files], Known) ->
    case read(File, Node) of
        {ok, #{found := Found}} ->
            Digests = maps:from_list([{{Node, Key}, of_rows(Rows)} || {Key, Rows} <- Found]),
            add_known(Files, maps:merge(Known, Digests));
        {error, Reason} ->
            {error, Reason}
    end.

%% The head of an archive, and the rows of each of its keys.
read(File, Node) ->
    case {easy_cluster_rows:read_archive(File), easy_cluster_rows:fold_archive(fun(Row, Rows) -> [Row | Rows] end, [], File)} of
        {{ok, #{keys := Keys, node := Node, definition := Definition} = Head}, {ok, Rows}} ->
            {ok, Head#{found => by_key(proplists:get_value(type, Definition), Rows, Keys)}};
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

%% Rows by key as the table has them: to an `ordered_set', 1 and 1.0 are one key.
by_key(ordered_set, Rows, Keys) ->
    Tree = lists:foldl(fun(Row, Found) -> gb_trees:enter(element(2, Row), [Row], Found) end, gb_trees:empty(), Rows),
    [{Key, of_tree(gb_trees:lookup(Key, Tree))} || Key <- Keys];
by_key(_SetOrBag, Rows, Keys) ->
    Add = fun(Row, Found) -> maps:update_with(element(2, Row), fun(Others) -> [Row | Others] end, [Row], Found) end,
    Found = lists:foldl(Add, #{}, Rows),
    [{Key, maps:get(Key, Found, [])} || Key <- Keys].

of_tree({value, Rows}) -> Rows;
of_tree(none) -> [].

rounds([], _Known, _Round, Written, _Mend) ->
    {ok, Written};
rounds(_Keys, _Known, Round, _Written, _Mend) when Round > ?ROUNDS ->
    {error, written_all_the_time};
rounds(Keys, Known, Round, Written, #{table := Table, winner := Winner, context := Context} = Mend) ->
    case pieces_mended(pieces(Keys), Known, Written, [], Mend) of
        {ok, More, []} -> {ok, More};
        {ok, More, Moved} ->
            ByNode = [{Node, [Key || {Of, Key} <- Moved, Of =:= Node]} || Node <- lists:usort([Node || {Node, _Key} <- Moved])],
            case write_all(Table, Winner, ByNode, Round, Context) of
                ok -> again(ByNode, Known, Round, More, Mend);
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} -> {error, Reason}
    end.

again(ByNode, Known, Round, Written, #{table := Table, context := Context} = Mend) ->
    case add_known([{Node, file(Table, Node, Round, Context)} || {Node, _Keys} <- ByNode], Known) of
        {ok, More} -> rounds(lists:usort(lists:append([Keys || {_Node, Keys} <- ByNode])), More, Round + 1, Written, Mend);
        {error, Reason} -> {error, Reason}
    end.

pieces_mended([], _Known, Written, Moved, _Mend) ->
    {ok, Written, Moved};
pieces_mended([Keys | Pieces], Known, Written, Moved, #{table := Table} = Mend) ->
    case mnesia:transaction(fun() -> piece(Keys, Known, Mend) end) of
        {atomic, {More, Changed}} -> pieces_mended(Pieces, Known, Written + More, Changed ++ Moved, Mend);
        {aborted, Reason} -> {error, {aborted, Table, Reason}}
    end.

%% Nobody else writes under the locks, and what was committed before them is in every copy.
piece(Keys, Known, #{table := Table, nodes := Nodes} = Mend) ->
    lists:foreach(fun(Key) -> mnesia:lock({record, Table, Key}, write) end, Keys),
    [mnesia:abort({not_loaded_everywhere, Table}) || writers(Table) =/= lists:sort(Nodes)],
    Copies = [{Node, rows(Node, Keys, Mend)} || Node <- Nodes],
    Fates = [key(Key, [{Node, maps:get(Key, Rows)} || {Node, Rows} <- Copies], Known, Mend) || Key <- Keys],
    {length([written || written <- Fates]), lists:append([Moved || {moved, Moved} <- Fates])}.

rows(Node, Keys, #{table := Table, context := #{timeout := Timeout}}) ->
    case easy_cluster_rpc:peer(Node, {rows, Table, Keys}, Timeout) of
        {ok, Found} -> maps:from_list([{Key, {of_rows(Rows), Rows}} || {Key, Rows} <- Found]);
        {error, Reason} -> mnesia:abort({Node, Reason})
    end.

key(Key, Copies, Known, Mend) ->
    {Wanted, Rows} = wanted(Key, Copies, Known, Mend),
    Others = [{Node, Digest} || {Node, {Digest, _Rows}} <- Copies, Digest =/= Wanted],
    Archived = fun(Digest) -> [Of || Of <- maps:get(nodes, Mend), maps:get({Of, Key}, Known, none) =:= Digest] =/= [] end,
    case [{Node, Key} || {Node, Digest} <- Others, not Archived(Digest)] of
        [] when Others =:= [] -> same;
        [] -> written(Key, Rows, Mend);
        Moved -> {moved, Moved}
    end.

%% What the winner has, unless it has loaded what another one had.
wanted(Key, Copies, Known, #{winner := Winner, nodes := Nodes, had := Had}) ->
    {Winner, {Digest, _Rows} = Has} = lists:keyfind(Winner, 1, Copies),
    Loaded = [Node || Node <- Nodes -- [Winner], maps:get({Node, Key}, Known, none) =:= Digest],
    case Had of
        #{Key := Rows} when Loaded =/= [] -> {of_rows(Rows), Rows};
        _ -> Has
    end.

%% Through Mnesia, so that it reaches all copies, logs and indexes.
written(Key, Rows, #{table := Table, type := Type}) ->
    [ok = mnesia:delete(Table, Key, write) || Type =:= bag orelse Rows =:= []],
    [ok = mnesia:write(Table, Row, write) || Row <- Rows],
    written.

%% A commit is on disc some time later, and caches of ejabberd know the rows that were there.
flushed({ok, Written}, Nodes, #{timeout := Timeout}) ->
    Calls = [{mnesia, sync_log, []}, {easy_cluster_step, run, [clear_caches, #{}]}],
    case [{Node, Reason} || Node <- Nodes, {error, Reason} <- [easy_cluster_rpc:batch(Node, Calls, Timeout)]] of
        [] -> {ok, #{mended => Written}};
        [Failed | _] -> {error, Failed}
    end;
flushed({error, Reason}, _Nodes, _Context) ->
    {error, Reason}.

%%% Checking

%% What changes at each look was not seen to be the same.
-spec check(comparison(), timeout()) -> {ok, map()} | {error, term()}.
check(Comparison, Timeout) ->
    case easy_cluster_diff:compare([Comparison], #{timeout => Timeout}) of
        [#{differing := [], unsettled := 0, more := false}] -> {ok, #{}};
        [#{differing := Differing, unsettled := Unsettled}] -> {error, {still_differ, length(Differing), being_written, Unsettled}};
        [#{node := Node, reason := Reason}] -> {error, {Node, Reason}}
    end.
