%% Compares the copies of tables on several nodes without locking and without copying them: each holder hashes its own copy, and
%% from the root down only what differs is asked for. What differs at the first look and not at the second was being written.
-module(easy_cluster_diff).

-export([compare/2, told/2]).
-export([same/4]).
-export_type([compared/0]).

%% Rows of a table that differ: the key, and what each holder has of it, nothing or its hashes.
-type difference() :: #{key := term(), on := #{node() => absent | [easy_cluster_tree:hash()]}}.
-type compared() :: #{table := atom(), nodes := [node()], rows := #{node() => non_neg_integer()},
                      left_out := non_neg_integer(), differing := [difference()], unsettled := non_neg_integer(),
                      more := boolean()}
                  | #{table := atom(), nodes := [node()], node := node(), reason := term()}.

%% Differences of more leaves are not told one by one.
-define(MOST_LEAVES, 1024).
-define(WIDTH, 16).
%% A row that differs and changes at so many looks is being written all the time.
-define(LOOKS, 10).
%% Milliseconds before each look, and before the last one: a dirty write is applied on one node and then on the others, and who writes may
%% be held up in between.
-define(BEFORE_LOOK, 200).
-define(BEFORE_LAST_LOOK, 1000).
-define(POLL, 100).
%% Where time is no matter, asking how far it is should not be one.
-define(SLOW_POLL, 2000).

%% Compares the tables that the core has chosen, one after the other. `afar': the copy of a node without easy_cluster is read from here,
%% which takes as much of the network as to copy it; else it is told.
-spec compare([map()], #{timeout := pos_integer(), pause => non_neg_integer(), workers => pos_integer() | cores,
                         share => 1..100, afar => boolean()}) -> [compared()].
compare(Comparisons, Options) ->
    [table(Comparison, Options) || Comparison <- Comparisons].

%% What was compared, in words too. Members whose copies could not be compared are an error, which has the rest.
-spec told([compared()], NotCompared :: [{atom(), map()}]) ->
    {ok, #{compared := [compared()], text := unicode:chardata()}} | easy_cluster_planner:error().
told(Compared, NotCompared) ->
    case easy_cluster_native:call(differences, #{compared => [found(Each) || Each <- Compared], not_compared => NotCompared}) of
        {ok, #{text := Text, problems := []}} ->
            {ok, #{compared => Compared, text => Text}};
        {ok, #{text := Text, problems := [{Code, Details} | _] = All}} ->
            {error, {Code, Details#{problems => All, compared => Compared, text => Text}}};
        {error, Reason} ->
            {error, Reason}
    end.

%% Keys are any terms, and the core gets the first of them as text.
found(#{reason := Reason, node := Node} = Compared) ->
    (maps:with([table, nodes], Compared))#{found => {failed, #{node => Node, reason => printed(Reason)}}};
found(#{differing := Differing} = Compared) ->
    Rows = maps:with([rows, left_out, unsettled, more], Compared),
    (maps:with([table, nodes], Compared))#{found => {rows, Rows#{count => length(Differing),
                                                                 differing => [key(Key) || Key <- lists:sublist(Differing, 20)]}}}.

key(#{key := Key, on := On}) ->
    Versions = lists:foldl(fun({Node, Rows}, All) -> maps:update_with(Rows, fun(Nodes) -> [Node | Nodes] end, [Node], All) end,
                           #{}, lists:reverse(lists:sort(maps:to_list(On)))),
    #{key => printed(Key), absent => maps:get(absent, Versions, []), versions => lists:sort(maps:values(maps:remove(absent, Versions)))}.

%% At most a line.
printed(Term) ->
    unicode:characters_to_binary(io_lib:format("~0tP", [Term, 20])).

%% Whether a copy, that on the first of the nodes, is the same as one on another of them, so that nothing is lost with it. The core says
%% of which tables that matters, by the class where a policy has been asked. An error is a problem of the catalogue.
-spec same(atom(), Class :: atom(), [node(), ...], pos_integer()) -> ok | {error, {Code :: atom(), Details :: map()}}.
same(Table, _Class, [Node], _Timeout) ->
    {error, {no_other_copy, #{table => Table, holder => Node}}};
same(Table, Class, [Node | Others] = Nodes, Timeout) ->
    case easy_cluster_rpc:batch(Node, [{mnesia, table_info, [Table, Item]} || Item <- [size, memory, storage_type]], Timeout) of
        {ok, [Rows, Memory, Storage]} ->
            Copies = #{table => Table, class => Class, rows => Rows, bytes => bytes(Memory, Storage), nodes => Nodes},
            same_as_one(easy_cluster_native:call(before_deletion, Copies), Node, Others, Timeout);
        {error, Reason} -> {error, not_compared(Table, Node, Reason)}
    end.

bytes(Memory, disc_only_copies) -> Memory;
bytes(Memory, _InMemory) -> Memory * erlang:system_info(wordsize).

same_as_one({ok, undefined}, _Node, _Others, _Timeout) -> ok;
same_as_one({ok, Comparison}, Node, Others, Timeout) -> any_same(Others, Node, Comparison, Timeout);
same_as_one({error, Reason}, _Node, _Others, _Timeout) -> {error, Reason}.

any_same([Other | Others], Node, Comparison, Timeout) ->
    [Compared] = compare([Comparison#{nodes := [Node, Other]}], #{timeout => Timeout, afar => true}),
    case {is_same(Compared), Others} of
        {ok, _} -> ok;
        {{error, Problem}, []} -> {error, Problem};
        {{error, Problem}, _} ->
            case any_same(Others, Node, Comparison, Timeout) of
                ok -> ok;
                {error, _OfAnother} -> {error, Problem}
            end
    end.

is_same(#{differing := [], unsettled := 0, more := false, left_out := 0}) ->
    ok;
is_same(#{table := Table, node := Node, reason := Reason}) ->
    {error, not_compared(Table, Node, Reason)};
is_same(#{differing := [], more := false, unsettled := Unsettled, table := Table, nodes := [Node, _Other]}) when Unsettled > 0 ->
    {error, not_compared(Table, Node, {written_all_the_time, Unsettled})};
is_same(#{differing := [], more := false, left_out := LeftOut, table := Table}) ->
    {error, {rows_not_comparable, #{table => Table, rows => LeftOut}}};
is_same(#{differing := Differing, more := More, table := Table, nodes := [Node, Other]}) ->
    Absent = fun(On) -> length([Key || #{key := Key, on := #{On := absent}} <- Differing]) end,
    {error, {copy_differs, #{table => Table, node => Node, other => Other, keys => length(Differing), more => More,
                             only_there => Absent(Other), missing_there => Absent(Node)}}}.

not_compared(Table, Node, Reason) ->
    {copies_not_compared, #{table => Table, node => Node,
                            reason => unicode:characters_to_binary(io_lib:format("~tP", [Reason, 20]))}}.

%% In a process of its own, so that the trees end with it, also when a node is lost.
table(#{table := Table, nodes := Nodes} = Comparison, #{timeout := Timeout} = Options) ->
    Asker = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
                                           ends_with(Asker, self()),
                                           exit({compared, trees(Comparison, Options, Timeout)})
                                   end),
    Base = #{table => Table, nodes => Nodes},
    receive
        {'DOWN', Monitor, process, Pid, {compared, {ok, Result}}} -> maps:merge(Base, Result);
        {'DOWN', Monitor, process, Pid, {compared, {error, Node, Reason}}} -> Base#{node => Node, reason => Reason};
        {'DOWN', Monitor, process, Pid, Reason} -> Base#{node => node(), reason => Reason}
    end.

%% Who asked may be killed.
ends_with(Asker, Pid) ->
    _ = spawn(fun() ->
                      [Gone, Done] = [erlang:monitor(process, Each) || Each <- [Asker, Pid]],
                      receive
                          {'DOWN', Gone, process, _, _} -> exit(Pid, kill);
                          {'DOWN', Done, process, _, _} -> ok
                      end
              end),
    ok.

trees(#{nodes := Nodes, table := Table, bits := Bits, piece := Piece}, Options, Timeout) ->
    %% Nobody can choose rows beforehand whose hashes are equal.
    <<Seed:64>> = crypto:strong_rand_bytes(8),
    Wish = maps:merge(#{owner => self(), table => Table, seed => Seed, bits => Bits, piece => Piece, pause => 0, workers => cores},
                      maps:with([pause, workers, share], Options)),
    case on_all([{Node, Node} || Node <- Nodes],
                fun(Node) -> start(Node, Wish, maps:get(afar, Options, false), Timeout) end, Timeout) of
        {ok, Started} ->
            case [{Node, Reason} || {Node, {error, Reason}} <- [{Node, tree(Answer)} || {Node, Answer} <- Started]] of
                [] -> hashed([{Node, Tree} || {Node, {ok, {ok, Tree}}} <- Started], Bits, poll(Options), Timeout);
                [{Node, Reason} | _] -> {error, Node, Reason}
            end;
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

start(Node, Wish, Afar, Timeout) ->
    case easy_cluster_rpc:peer(Node, {hash, Wish}, Timeout) of
        {error, undef} when Afar -> {ok, easy_cluster_tree:start(Wish#{at => Node, timeout => Timeout})};
        Answer -> Answer
    end.

tree({ok, {ok, Tree}}) -> {ok, Tree};
tree({ok, {error, Reason}}) -> {error, Reason};
tree({error, Reason}) -> {error, Reason}.

%% A function of something of each node, side by side.
on_all(Things, Fun, Timeout) ->
    Answers = easy_cluster_rpc:parallel(fun({_Node, Thing}) -> Fun(Thing) end, Things, twice(Timeout)),
    case [{Node, Reason} || {{Node, _}, {error, Reason}} <- Answers] of
        [] -> {ok, [{Node, Answer} || {{Node, _}, {ok, Answer}} <- Answers]};
        [{Node, Reason} | _] -> {error, Node, Reason}
    end.

twice(infinity) -> infinity;
twice(Timeout) -> 2 * Timeout.

poll(#{share := _}) -> ?SLOW_POLL;
poll(_All) -> ?POLL.

hashed(Trees, Bits, Poll, Timeout) ->
    case on_all(Trees, fun(Tree) -> easy_cluster_tree:progress(Tree, Timeout) end, Timeout) of
        {ok, Answers} ->
            Failed = [{Node, Reason} || {Node, {failed, Reason}} <- Answers],
            Summaries = [{Node, Summary} || {Node, {hashed, Summary}} <- Answers],
            if
                Failed =/= [] -> [{Node, Reason} | _] = Failed, {error, Node, Reason};
                length(Summaries) =:= length(Trees) -> descended(Trees, Bits div 4, Summaries, Timeout);
                true -> receive after Poll -> hashed(Trees, Bits, Poll, Timeout) end
            end;
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

descended(Trees, Depth, Summaries, Timeout) ->
    Result = #{rows => maps:from_list([{Node, Rows} || {Node, #{rows := Rows}} <- Summaries]),
               left_out => lists:max([LeftOut || {_, #{left_out := LeftOut}} <- Summaries]),
               differing => [], unsettled => 0, more => false},
    case descend(Trees, 0, Depth, root, Timeout) of
        {ok, []} -> {ok, Result};
        {ok, Leaves} -> looked_at(Trees, Leaves, Result, Timeout);
        {error, Node, Reason} -> {error, Node, Reason}
    end.

%% The nodes of the last level whose sums are not the same everywhere.
descend(Trees, Level, Depth, Parents, Timeout) ->
    case on_all(Trees, fun(Tree) -> easy_cluster_tree:sums(Tree, Level, Parents, Timeout) end, Timeout) of
        {ok, Answers} ->
            case differing(Parents, [Sums || {_Node, Sums} <- Answers]) of
                Different when Level < Depth, Different =/= [] ->
                    descend(Trees, Level + 1, Depth, lists:sublist(Different, ?MOST_LEAVES + 1), Timeout);
                Different ->
                    {ok, Different}
            end;
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

differing(root, Sums) ->
    [0 || length(lists:usort(Sums)) > 1];
differing([Parent | Parents], Answers) ->
    Children = [[Sum || <<Sum:16/binary>> <= hd(Sums)] || Sums <- Answers],
    [Parent * ?WIDTH + Child || Child <- different(Children, 0)] ++ differing(Parents, [tl(Sums) || Sums <- Answers]);
differing([], _Answers) ->
    [].

different([[] | _], _Child) ->
    [];
different(Sums, Child) ->
    [Child || length(lists:usort([hd(Each) || Each <- Sums])) > 1] ++ different([tl(Each) || Each <- Sums], Child + 1).

looked_at(Trees, Leaves, Result, Timeout) ->
    Some = lists:sublist(Leaves, ?MOST_LEAVES),
    %% Each of them reads its whole copy.
    case on_all(Trees, fun(Tree) -> easy_cluster_tree:keys(Tree, Some, infinity) end, infinity) of
        {ok, Answers} ->
            Looks = [{Node, by_key(Found)} || {Node, Found} <- Answers],
            case settle(Trees, candidates(Looks), ?LOOKS, #{}, Timeout) of
                {ok, Settled, Unsettled} ->
                    confirmed(Trees, Settled, Unsettled, Result#{more := length(Leaves) > ?MOST_LEAVES}, Timeout);
                {error, Node, Reason} ->
                    {error, Node, Reason}
            end;
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

by_key(Found) ->
    maps:map(fun(_Key, Hashes) -> lists:sort(Hashes) end,
             lists:foldl(fun({Key, Hash}, Keys) -> maps:update_with(Key, fun(Hashes) -> [Hash | Hashes] end, [Hash], Keys) end,
                         #{}, Found)).

%% Keys whose rows are not the same everywhere, with what each node has.
candidates(Looks) ->
    Keys = lists:usort(lists:append([maps:keys(Found) || {_Node, Found} <- Looks])),
    maps:from_list([{Key, On} || Key <- Keys,
                                 On <- [maps:from_list([{Node, maps:get(Key, Found, [])} || {Node, Found} <- Looks])],
                                 length(lists:usort(maps:values(On))) > 1]).

%% A difference is settled when it is the same at two looks, and what was written before the first one has arrived everywhere at the second.
settle(_Trees, Candidates, Looks, Settled, _Timeout) when map_size(Candidates) =:= 0; Looks =:= 0 ->
    {ok, Settled, map_size(Candidates)};
settle(Trees, Candidates, Looks, Settled, Timeout) ->
    case look(Trees, maps:keys(Candidates), ?BEFORE_LOOK, Timeout) of
        {ok, Now} ->
            {Same, Others} = same_as(Candidates, Now),
            settle(Trees, Others, Looks - 1, maps:merge(Settled, Same), Timeout);
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

%% It counts when it is still the same later: on a busy machine who writes can be held up for long.
confirmed(_Trees, Settled, Unsettled, Result, _Timeout) when map_size(Settled) =:= 0 ->
    {ok, Result#{unsettled := Unsettled}};
confirmed(Trees, Settled, Unsettled, Result, Timeout) ->
    case look(Trees, maps:keys(Settled), ?BEFORE_LAST_LOOK, Timeout) of
        {ok, Now} ->
            {Same, Others} = same_as(Settled, Now),
            {ok, Result#{differing := [#{key => Key, on => told(On)} || {Key, On} <- lists:sort(maps:to_list(Same))],
                         unsettled := Unsettled + map_size(Others)}};
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

same_as(Before, Now) ->
    Same = maps:filter(fun(Key, On) -> maps:get(Key, Before) =:= On end, Now),
    {Same, maps:without(maps:keys(Same), Now)}.

%% Those of the keys that differ in a while, when what was written before has arrived.
look(Trees, Keys, Wait, Timeout) ->
    receive after Wait -> ok end,
    Nodes = [Node || {Node, _Tree} <- Trees],
    Flush = fun({Node, Tree}) -> flush(Node, Tree, Nodes -- [Node], Timeout) end,
    case on_all([{Node, Named} || {Node, _Tree} = Named <- Trees], Flush, length(Nodes) * Timeout) of
        {ok, Flushed} ->
            case [{Node, Answer} || {Node, Answer} <- Flushed, Answer =/= {ok, ok}] of
                [] -> look(Trees, Keys, Timeout);
                [{Node, Reason} | _] -> {error, Node, Reason}
            end;
        {error, Node, Reason} ->
            {error, Node, Reason}
    end.

look(Trees, Keys, Timeout) ->
    case on_all(Trees, fun(Tree) -> easy_cluster_tree:again(Tree, Keys, Timeout) end, Timeout) of
        {ok, Answers} -> {ok, candidates([{Node, maps:from_list(Found)} || {Node, Found} <- Answers])};
        {error, Node, Reason} -> {error, Node, Reason}
    end.

%% As easy_cluster_tree:flush/2 does, by functions that every node has where the tree is not on it.
flush(Node, Tree, Others, Timeout) when node(Tree) =:= Node ->
    easy_cluster_rpc:peer(Node, {flush, Others, Timeout}, (length(Others) + 1) * Timeout);
flush(Node, _Afar, Others, Timeout) ->
    case easy_cluster_rpc:call(Node, rpc, multicall, [Others, mnesia, system_info, [transactions], Timeout], 2 * Timeout) of
        {ok, {_Transactions, []}} -> {ok, ok};
        {ok, {_Transactions, Silent}} -> {error, {silent, Silent}};
        {error, Reason} -> {error, Reason}
    end.

told(On) ->
    maps:map(fun(_Node, []) -> absent; (_Node, Hashes) -> Hashes end, On).
