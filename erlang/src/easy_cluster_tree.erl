%% The digests of one copy of a table, this node's or that of a node without easy_cluster: its rows are hashed in pieces, several at once, into the leaves of a tree that
%% another node asks for, level by level. Nothing is locked and nothing is written: rows that change meanwhile are looked at again.
%% It lives as long as the process that asks.
-module(easy_cluster_tree).
-behaviour(gen_server).

-export([start/1]).
-export([progress/2, sums/4, keys/3, again/3]).
-export([flush/2, rows/2]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% bits: the tree has 2^bits leaves, a multiple of 4. piece: rows that are read at once. pause: milliseconds of rest behind a piece.
%% share: percent of one core's time that may be taken, at low priority; the rest behind a piece is as much longer as it takes.
%% at: the node whose copy is read from here, piece by piece, each within timeout.
-type wish() :: #{owner := pid(), table := atom(), seed := non_neg_integer(), bits := 4..32, piece := pos_integer(),
                  pause := non_neg_integer(), workers := pos_integer() | cores, share => 1..100, at => node(), timeout => timeout()}.
-type summary() :: #{rows := non_neg_integer(), left_out := non_neg_integer()}.
-type hash() :: binary().
-export_type([wish/0, summary/0, hash/0]).

-define(WIDTH, 16).
-define(SUM, 16).
-define(ALL, [{'_', [], ['$_']}]).
%% So many pieces are added to the leaves together, and more where the leaves are large, as they are copied each time.
-define(TOGETHER, 32).
-define(PART_OF_LEAVES, 8).
%% Milliseconds; a piece that took long, as the machine was busy, is not followed by an endless rest.
-define(LONGEST_REST, 1000).

-spec start(wish()) -> {ok, pid()} | {error, term()}.
start(#{table := Table, at := Node, timeout := Timeout} = Wish) ->
    case easy_cluster_rpc:call(Node, mnesia, table_info, [Table, storage_type], Timeout) of
        {ok, Storage} -> start(Storage, Wish);
        {error, Reason} -> {error, Reason}
    end;
start(#{table := Table} = Wish) ->
    start(storage(Table), Wish).

start(Storage, Wish) when Storage =:= ram_copies; Storage =:= disc_copies; Storage =:= disc_only_copies ->
    {ok, _Tree} = gen_server:start(?MODULE, Wish#{storage => Storage, reader => reader(Storage)}, []);
start(_NoCopy, _Wish) ->
    {error, no_copy}.

storage(Table) ->
    case lists:member(Table, mnesia:system_info(tables)) of
        true -> mnesia:table_info(Table, storage_type);
        false -> unknown
    end.

reader(disc_only_copies) -> dets;
reader(_InMemory) -> ets.

%% How far it is.
-spec progress(pid(), timeout()) -> {hashing, Rows :: non_neg_integer()} | {hashed, summary()} | {failed, term()}.
progress(Tree, Timeout) ->
    gen_server:call(Tree, progress, Timeout).

%% The sums of the 16 nodes below each of some nodes of a level; level 0 is the root, and below nothing there is only that.
-spec sums(pid(), Level :: non_neg_integer(), [non_neg_integer()] | root, timeout()) -> [hash()].
sums(Tree, Level, Parents, Timeout) ->
    gen_server:call(Tree, {sums, Level, Parents}, Timeout).

%% The keys that belong to some leaves, with the hash of each of their rows. Reads the whole table again.
-spec keys(pid(), [non_neg_integer()], timeout()) -> [{Key :: term(), hash()}].
keys(Tree, Leaves, Timeout) ->
    gen_server:call(Tree, {keys, Leaves}, Timeout).

%% The hashes of the rows that some keys have now.
-spec again(pid(), [term()], timeout()) -> [{Key :: term(), [hash()]}].
again(Tree, Keys, Timeout) ->
    gen_server:call(Tree, {again, Keys}, Timeout).

%% Returns when other nodes have applied what was written here before: messages from here to them keep their order, and their
%% mnesia_tm, which writes for others, answers behind what it got earlier. Needs no tree.
-spec flush([node()], timeout()) -> ok | {error, {node(), term()}}.
flush([], _Timeout) ->
    ok;
flush([Node | Nodes], Timeout) ->
    case easy_cluster_rpc:call(Node, mnesia, system_info, [transactions], Timeout) of
        {ok, _Transactions} -> flush(Nodes, Timeout);
        {error, Reason} -> {error, {Node, Reason}}
    end.

%% The rows that this node's copy has under some keys. Needs no tree.
-spec rows(atom(), [term()]) -> [{Key :: term(), [tuple()]}].
rows(Table, Keys) ->
    Reader = reader(storage(Table)),
    [{Key, Reader:lookup(Table, Key)} || Key <- Keys].

-spec init(map()) -> {ok, map(), {continue, begin_hashing}}.
init(#{owner := Owner} = Wish) ->
    process_flag(trap_exit, true),
    as_low_as(Wish),
    _ = erlang:monitor(process, Owner),
    {ok, Wish#{rows => 0, left_out => 0, waiting => [], taken => 0, pieces => unknown, state => hashing}, {continue, begin_hashing}}.

-spec handle_continue(begin_hashing, map()) -> {noreply, map()}.
handle_continue(begin_hashing, #{bits := Bits} = State) ->
    fix(State, true),
    Server = self(),
    [First | _] = Workers = [spawn_link(fun() -> worker(Server, State) end) || _ <- lists:seq(1, workers(State))],
    [Worker ! {next, Next} || {Worker, Next} <- lists:zip(Workers, tl(Workers) ++ [First])],
    First ! {turn, 0, first},
    {noreply, State#{leaves => binary:copy(<<0:(8 * ?SUM)>>, 1 bsl Bits)}}.

%% So that no row is passed over while others are inserted. It ends with the process that asked for it: where the copy is on another
%% node, one there, as long as this one lives.
fix(#{at := Node, reader := Reader, table := Table}, true) ->
    Calls = [{Reader, safe_fixtable, [Table, true]}, {erlang, send, [self(), {fixed, Node}]}, {timer, sleep, [infinity]}],
    {Modules, Functions, Args} = lists:unzip3(Calls),
    Fixer = spawn_link(Node, lists, zipwith3, [fun erlang:apply/3, Modules, Functions, Args]),
    receive
        {fixed, Node} -> ok;
        {'EXIT', Fixer, Reason} -> exit({Node, Reason})
    end;
fix(#{at := _Node}, false) ->
    ok;
fix(#{reader := Reader, table := Table}, Fixed) ->
    _ = Reader:safe_fixtable(Table, Fixed),
    ok.

workers(#{workers := cores}) -> erlang:system_info(schedulers_online);
workers(#{workers := Count}) -> Count.

%% Whose turn it is reads a piece and passes the turn on before hashing it.
worker(Server, State) ->
    as_low_as(State),
    receive {next, Next} -> worker(Server, Next, State) end.

worker(Server, Next, #{seed := Seed} = State) ->
    receive
        {turn, Number, Continuation} ->
            Begun = erlang:monotonic_time(microsecond),
            case read(Continuation, State) of
                {gone, Reason} ->
                    Server ! {gone, Reason};
                {Rows, Following} ->
                    Next ! {turn, Number + 1, Following},
                    {Hashes, LeftOut} = easy_cluster_nif:hash_rows(Rows, 2, Seed),
                    Server ! {piece, Hashes, length(LeftOut)},
                    rest(pause(Begun, State)),
                    worker(Server, Next, State);
                '$end_of_table' ->
                    Server ! {pieces, Number}
            end
    end.

as_low_as(#{share := _}) -> _ = process_flag(priority, low), ok;
as_low_as(_All) -> ok.

%% Milliseconds behind a piece that was begun then.
pause(Begun, #{share := Share, pause := Pause}) ->
    Spent = erlang:monotonic_time(microsecond) - Begun,
    min(?LONGEST_REST, max(Pause, 1 + Spent * (100 - Share) div (Share * 1000)));
pause(_Begun, #{pause := Pause}) ->
    Pause.

rest(0) -> ok;
rest(Milliseconds) -> receive after Milliseconds -> ok end.

%% The table may be deleted meanwhile, or its copy here.
read(Continuation, State) ->
    try piece(Continuation, State)
    catch error:badarg -> {gone, gone}
    end.

%% As Mnesia's select reads copies of other nodes: a continuation is not the same behind a distribution.
piece('$end_of_table', #{at := _Node}) ->
    '$end_of_table';
piece(first, #{at := Node, storage := Storage, table := Table, piece := Piece} = State) ->
    afar(Node, db_select_init, [Storage, Table, ?ALL, Piece], State);
piece(Continuation, #{at := Node, storage := Storage} = State) ->
    afar(Node, db_select_cont, [Storage, Continuation, ?ALL], State);
piece(first, #{reader := Reader, table := Table, piece := Piece}) -> Reader:select(Table, ?ALL, Piece);
piece(Continuation, #{reader := Reader}) -> Reader:select(Continuation).

%% Source: mnesia_lib:db_select_init/4 and db_select_cont/3, on OTP 25 to 29.
afar(Node, Function, Args, #{timeout := Timeout}) ->
    case easy_cluster_rpc:call(Node, mnesia_lib, Function, Args, Timeout) of
        {ok, Piece} -> Piece;
        {error, Reason} -> {gone, {Node, Reason}}
    end.

-spec handle_info(term(), map()) -> {noreply, map()} | {stop, shutdown, map()}.
handle_info({piece, Hashes, LeftOut}, #{waiting := Waiting, taken := Taken, rows := Rows, left_out := Before} = State) ->
    More = State#{waiting := [Hashes | Waiting], taken := Taken + 1, rows := Rows + byte_size(Hashes) div 24 + LeftOut,
                  left_out := Before + LeftOut},
    {noreply, whole(added(More))};
handle_info({pieces, Count}, State) ->
    {noreply, whole(State#{pieces := Count})};
handle_info({'DOWN', _Monitor, process, Owner, _Reason}, #{owner := Owner} = State) ->
    %% Not `normal', which the workers would outlive.
    {stop, shutdown, State};
handle_info({'EXIT', _Worker, normal}, State) ->
    {noreply, State};
handle_info({'EXIT', _Worker, Reason}, State) ->
    {noreply, State#{state := {failed, Reason}}};
handle_info({gone, Reason}, State) ->
    {noreply, State#{state := {failed, Reason}}};
handle_info(Unexpected, State) ->
    easy_cluster_unexpected:message(?MODULE, Unexpected),
    {noreply, State}.

added(#{waiting := Waiting, leaves := Leaves} = State) when length(Waiting) >= ?TOGETHER ->
    case iolist_size(Waiting) * ?PART_OF_LEAVES >= byte_size(Leaves) of
        true -> add(State);
        false -> State
    end;
added(State) ->
    State.

add(#{waiting := Waiting, leaves := Leaves} = State) ->
    State#{waiting := [], leaves := easy_cluster_nif:add_hashes(Leaves, Waiting)}.

whole(#{pieces := Count, taken := Count, state := hashing} = State) ->
    #{leaves := Leaves, bits := Bits} = Added = add(State),
    fix(State, false),
    Added#{state := hashed, levels => levels(Bits div 4, Leaves, [])};
whole(State) ->
    State.

%% From the root to the leaves.
levels(0, Root, Below) -> list_to_tuple([Root | Below]);
levels(Level, Sums, Below) -> levels(Level - 1, easy_cluster_nif:level_above(Sums, ?WIDTH), [Sums | Below]).

-spec handle_call(term(), gen_server:from(), map()) -> {reply, term(), map()}.
handle_call(progress, _From, State) ->
    {reply, progress(State), State};
handle_call({sums, 0, root}, _From, #{levels := Levels} = State) ->
    {reply, [element(1, Levels)], State};
handle_call({sums, Level, Parents}, _From, #{levels := Levels} = State) ->
    Sums = element(Level + 1, Levels),
    {reply, [binary:part(Sums, Parent * ?WIDTH * ?SUM, ?WIDTH * ?SUM) || Parent <- Parents], State};
handle_call({keys, Leaves}, _From, State) ->
    {reply, keys_of(Leaves, State), State};
handle_call({again, Keys}, _From, #{at := Node, reader := Reader, table := Table, seed := Seed, timeout := Timeout} = State) ->
    {ok, Found} = easy_cluster_rpc:batch(Node, [{Reader, lookup, [Table, Key]} || Key <- Keys], Timeout),
    {reply, [{Key, hashes(Rows, Seed)} || {Key, Rows} <- lists:zip(Keys, Found)], State};
handle_call({again, Keys}, _From, #{reader := Reader, table := Table, seed := Seed} = State) ->
    {reply, [{Key, hashes(Reader:lookup(Table, Key), Seed)} || Key <- Keys], State}.

progress(#{state := hashing, rows := Rows}) -> {hashing, Rows};
progress(#{state := hashed, rows := Rows, left_out := LeftOut}) -> {hashed, #{rows => Rows, left_out => LeftOut}};
progress(#{state := {failed, Reason}}) -> {failed, Reason}.

keys_of(Leaves, #{at := _Node} = State) ->
    keys_of(read(first, State), Leaves, State, []);
keys_of(Leaves, State) ->
    fix(State, true),
    Keys = keys_of(read(first, State), Leaves, State, []),
    fix(State, false),
    Keys.

keys_of('$end_of_table', _Leaves, _State, Found) ->
    Found;
keys_of({gone, gone}, _Leaves, _State, Found) ->
    Found;
keys_of({gone, Reason}, _Leaves, _State, _Found) ->
    exit(Reason);
keys_of({Rows, Continuation}, Leaves, #{seed := Seed, bits := Bits} = State, Found) ->
    Begun = erlang:monotonic_time(microsecond),
    More = easy_cluster_nif:keys_of_leaves(Rows, 2, Seed, Bits, Leaves),
    rest_unless_alone(pause(Begun, State), State),
    keys_of(read(Continuation, State), Leaves, State, More ++ Found).

%% Nobody waits for the keys when who asked for them is gone.
rest_unless_alone(0, _State) ->
    ok;
rest_unless_alone(Milliseconds, #{owner := Owner}) ->
    receive {'DOWN', _Monitor, process, Owner, _Reason} -> exit(shutdown)
    after Milliseconds -> ok
    end.

%% In whatever order the rows of a bag are.
hashes(Rows, Seed) ->
    {Hashes, _LeftOut} = easy_cluster_nif:hash_rows(Rows, 2, Seed),
    lists:sort([Hash || <<_OfKey:8/binary, Hash:16/binary>> <= Hashes]).

-spec handle_cast(term(), map()) -> {noreply, map()}.
handle_cast(_Unknown, State) ->
    {noreply, State}.

-spec terminate(term(), map()) -> ok.
terminate(_Reason, _State) ->
    ok.
