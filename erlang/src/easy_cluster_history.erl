%% What the journals of a Mnesia directory say: which operations there were, what came of them, and what they have left to be done.
-module(easy_cluster_history).

-export([all/1, one/2]).
-export([unfinished/1, begun/1, plan_of/2, plans/1]).
-export([pending/1, forgotten/3, unfenced/1]).
-export([copied/1, copies_of/1, learned_from/0]).
-export([outcome/1, pending_in/1, stored/1]).

%% So many operations that copied something are looked at for what copies took.
-define(LEARN_FROM, 20).

-type past() :: #{id := binary(), operation := binary(), outcome := done | undone | stopped | unfinished | unreadable,
                  begun := binary() | undefined, ended := binary() | undefined, milliseconds := non_neg_integer() | undefined,
                  done := non_neg_integer(), steps := non_neg_integer(), kept := non_neg_integer() | undefined,
                  archived := non_neg_integer() | undefined,
                  dropped := binary() | undefined, damage := binary() | undefined}.
-type event_of_past() :: #{at := binary() | undefined, what := binary()}.
-export_type([past/0, event_of_past/0]).

%% The operation in a Mnesia directory that was begun and has no outcome, if any.
-spec unfinished(file:filename()) -> binary() | undefined.
unfinished(Directory) ->
    case begun(Directory) of
        undefined -> easy_cluster_damage:half(Directory);
        Id -> Id
    end.

%% The one whose journal says so. Those that cannot be read are another's.
begun(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> undefined;
        Ids -> first([Id || Id <- Ids, is_unfinished(easy_cluster_journal:read(Directory, Id))])
    end.

first([]) -> undefined;
first([Id | _]) -> Id.

is_unfinished({ok, #{events := []}}) -> true;
is_unfinished({ok, #{events := [{_, _, {begun, Plan}} | Entries]}}) ->
    [Outcome || {_, _, {outcome, Outcome, _}} <- Entries] =:= [] andalso easy_cluster_damage:is_plan(Plan);
is_unfinished(_OtherOrDamaged) -> false.

%% Every operation of a Mnesia directory, oldest first, and what came of it; what is kept or archived without a journal, too.
-spec all(file:filename()) -> {ok, [past()]} | {error, {atom(), map()}}.
all(Directory) ->
    case {easy_cluster_journal:list(Directory), stored(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {Ids, #{kept := Databases, archives := Archives} = Kept} ->
            All = lists:usort(Ids ++ [Id || #{id := Id} <- Databases ++ Archives]),
            {ok, [past(Id, easy_cluster_journal:read(Directory, Id), Kept) || Id <- All]}
    end.

%% What operations have left to be had back.
stored(Directory) ->
    case {easy_cluster_directory:kept(Directory), easy_cluster_directory:archives(Directory)} of
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {Kept, Archives} -> #{kept => Kept, archives => Archives}
    end.

%% One of them: its plan, if it had one, and each record of its journal.
-spec one(file:filename(), binary()) -> {ok, past(), Plan :: map() | undefined, [event_of_past()]} | {error, {atom(), map()}}.
one(Directory, Id) ->
    case {easy_cluster_journal:read(Directory, Id), stored(Directory)} of
        {{error, {bad_id, _} = Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason};
        {{ok, #{events := Entries}} = Read, Kept} ->
            Events = [#{at => utc(At), what => easy_cluster_text:print(without_plan(Event))} || {_, At, Event} <- Entries],
            {ok, past(Id, Read, Kept), plan(Entries), Events};
        {{error, Reason} = Read, Kept} ->
            case past(Id, Read, Kept) of
                #{kept := undefined, archived := undefined} -> {error, Reason};
                Past -> {ok, Past, undefined, []}
            end
    end.

plan([{_, _, {begun, #{id := _, fingerprint := _} = Plan}} | _]) -> Plan;
plan(_Other) -> undefined.

without_plan({begun, #{operation := Operation}}) -> {begun, Operation};
without_plan(Event) -> Event.

past(Id, {ok, #{events := [{_, Begun, {begun, #{operation := Operation, steps := Steps}}} | Entries]}}, Kept) when is_list(Steps) ->
    {Outcome, Ended} = outcome(Entries),
    Past = described(Id, operation(Operation), Outcome, Begun, Ended, Entries, Kept),
    Past#{done => length([done || {_, _, {done, _, _}} <- Entries]), steps => length(Steps)};
past(Id, {ok, #{events := [{_, Begun, {salvage, #{id := Of}}} | Entries]}}, Kept) ->
    {Outcome, Ended} = outcome(Entries),
    described(Id, <<"salvage ", Of/binary>>, Outcome, Begun, Ended, Entries, Kept);
%% Its writer died before the plan was on disc.
past(Id, {ok, #{events := Entries}}, Kept) ->
    {Outcome, _Ended} = outcome(Entries),
    described(Id, <<>>, Outcome, undefined, undefined, Entries, Kept);
past(Id, {error, {Code, Details}}, Kept) ->
    Damage = easy_cluster_text:print({Code, maps:get(reason, Details, undefined)}),
    (described(Id, <<>>, unreadable, undefined, undefined, [], Kept))#{damage => Damage}.

described(Id, Operation, Outcome, Begun, Ended, Entries, Kept) ->
    Dropped = [utc(At) || {_, At, {dropped, _Bytes}} <- Entries],
    #{id => Id, operation => Operation, outcome => Outcome, begun => utc(Begun), ended => utc(Ended),
      milliseconds => milliseconds(Begun, Ended), done => 0, steps => 0, kept => bytes(Id, maps:get(kept, Kept)),
      archived => bytes(Id, maps:get(archives, Kept)),
      dropped => lists:last([undefined | Dropped]), damage => undefined}.

utc(Microseconds) when is_integer(Microseconds), abs(Microseconds) < 1 bsl 56 ->
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Microseconds, microsecond),
    iolist_to_binary(io_lib:format("~4..0w-~2..0w-~2..0w ~2..0w:~2..0w:~2..0w", [Year, Month, Day, Hour, Minute, Second]));
utc(_NoTime) ->
    undefined.

%% As it was typed.
operation({Name, Node}) when is_atom(Node) -> iolist_to_binary([atom_to_list(Name), " ", atom_to_list(Node)]);
operation({Name, #{waits := _}}) -> atom_to_binary(Name);
operation({Name, #{policy := _}}) -> atom_to_binary(Name);
operation({Name, #{id := Id}}) -> iolist_to_binary([atom_to_list(Name), " ", Id]);
operation({Name, #{from := From, to := To}}) -> iolist_to_binary(io_lib:format("~ts ~ts ~ts", [Name, From, To]));
operation({Name, #{table := Table, winner := Winner}}) -> iolist_to_binary(io_lib:format("~ts ~ts ~ts", [Name, Table, Winner]));
operation({Name, #{path := Path}}) -> iolist_to_binary([atom_to_list(Name), " ", Path]);
operation({Name, Text}) when is_binary(Text) -> iolist_to_binary([atom_to_list(Name), " ", Text]);
operation(Name) when is_atom(Name) -> atom_to_binary(Name);
operation(Other) -> easy_cluster_text:print(Other).

outcome(Entries) ->
    case [{Outcome, At} || {_, At, {outcome, Outcome, _Details}} <- Entries] of
        [] -> {unfinished, undefined};
        Outcomes -> lists:last(Outcomes)
    end.

%% A clock that was set back says nothing.
milliseconds(Begun, Ended) when is_integer(Ended), Ended >= Begun -> (Ended - Begun) div 1000;
milliseconds(_Begun, _Unknown) -> undefined.

bytes(Id, Stored) ->
    case [Bytes || #{id := Of, bytes := Bytes} <- Stored, Of =:= Id] of
        [Bytes] -> Bytes;
        [] -> undefined
    end.

%% The same for the core, which decides from the plans what takes the last of them back.
-spec plans(file:filename()) -> {ok, [map()]} | {error, {atom(), map()}}.
plans(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, Reason} -> {error, Reason};
        Ids -> {ok, [planned(Id, easy_cluster_journal:read(Directory, Id), Directory) || Id <- Ids]}
    end.

planned(Id, {ok, #{events := [{_, _, {begun, Plan}} | Entries]}}, Directory) ->
    {Outcome, _Ended} = outcome(Entries),
    #{id => Id, outcome => Outcome, plan => Plan, begun => lists:usort([Number || {_, _, {intent, Number, _}} <- Entries]),
      kept => kept_for_core(easy_cluster_directory:state_of_kept(Directory, Id)),
      archive_dropped => [Bytes || {_, _, {archive_dropped, Bytes}} <- Entries] =/= []};
planned(Id, {ok, #{events := _NothingBegun}}, _Directory) ->
    #{id => Id, outcome => unfinished, plan => undefined, begun => [], kept => missing};
planned(Id, {error, _Damaged}, _Directory) ->
    #{id => Id, outcome => unreadable, plan => undefined, begun => [], kept => missing}.

-spec learned_from() -> pos_integer().
learned_from() -> ?LEARN_FROM.

%% Copies that operations have made here, the last one of each table and storage type. What is long ago tells little of now.
-spec copied(file:filename()) -> [map()].
copied(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> [];
        Ids ->
            All = lists:append(newest_copies(lists:reverse(Ids), Directory, ?LEARN_FROM, [])),
            maps:values(maps:from_list([{{Table, Storage}, Copy} || #{table := Table, storage := Storage} = Copy <- All]))
    end.

%% Of each operation that made some, the oldest first.
newest_copies([], _Directory, _Left, Found) ->
    Found;
newest_copies(_Older, _Directory, 0, Found) ->
    Found;
newest_copies([Id | Older], Directory, Left, Found) ->
    case copies_of(easy_cluster_journal:read(Directory, Id)) of
        [] -> newest_copies(Older, Directory, Left, Found);
        Copies -> newest_copies(Older, Directory, Left - 1, [Copies | Found])
    end.

copies_of({ok, #{events := [{_, _, {begun, #{steps := Steps}}} | Entries]}}) ->
    Took = maps:from_list([{Number, Took} || {_, _, {done, Number, #{milliseconds := Took}}} <- Entries]),
    [(maps:with([table, storage, rows, bytes], Copy))#{milliseconds => maps:get(Number, Took)}
     || #{number := Number, action := {_Name, #{table := _, storage := _, rows := _, bytes := _} = Copy}} <- Steps,
        is_map_key(Number, Took)];
copies_of(_NoneOrDamaged) ->
    [].

kept_for_core({damaged, #{path := Path, reason := Reason}}) ->
    {damaged, #{path => unicode:characters_to_binary(Path), reason => easy_cluster_text:print(Reason)}};
kept_for_core(State) ->
    State.

%% Members that still have to forget this node, with the operation that left them behind.
-spec pending(file:filename()) -> [{Id :: binary(), node()}].
pending(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> [];
        Ids -> [{Id, Node} || Id <- Ids, Node <- pending_in(easy_cluster_journal:read(Directory, Id))]
    end.

pending_in({ok, #{events := Entries}}) ->
    Found = [maps:get(pending, Details, []) || {_, _, {outcome, _, Details}} <- Entries]
        ++ [Nodes || {_, _, {pending, Nodes}} <- Entries] ++ [Nodes || {_, _, {done, _, #{pending := Nodes}}} <- Entries],
    Left = lists:usort(lists:append(Found)),
    Left -- [Node || {_, _, {forgotten, Node}} <- Entries];
pending_in({error, _Damaged}) ->
    [].

%% Whether an operation here has left the cluster without its fence, as a member was down.
-spec unfenced(file:filename()) -> boolean().
unfenced(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, _Unreadable} -> false;
        Ids -> lists:any(fun(Id) -> is_unfenced(easy_cluster_journal:read(Directory, Id)) end, Ids)
    end.

is_unfenced({ok, #{events := Entries}}) -> [left || {_, _, {done, _, #{not_fenced := _}}} <- Entries] =/= [];
is_unfenced({error, _Damaged}) -> false.

%% Notes that a member has forgotten this node after all.
-spec forgotten(file:filename(), binary(), node()) -> ok | {error, term()}.
forgotten(Directory, Id, Node) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} -> easy_cluster_journal:close(easy_cluster_journal:note(Journal, [{forgotten, Node}]));
        {error, Reason} -> {error, Reason}
    end.

%% The plan that an operation was begun with.
-spec plan_of(file:filename(), binary()) -> {ok, map()} | error.
plan_of(Directory, Id) ->
    case easy_cluster_journal:read(Directory, Id) of
        {ok, #{events := [{_, _, {begun, Plan}} | _]}} -> {ok, Plan};
        _NoPlan -> error
    end.
