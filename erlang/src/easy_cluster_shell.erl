%% What a person at a terminal sees. The words come from the core; here is only when and where they are printed.
-module(easy_cluster_shell).

-export([tested/1, planned/1, show/1, shown/1, status/1, history/1, operation/1]).
-export([reporter/1, finished/2, resumed/1, ended/1, told/2, dropped/2]).
-export([backing_up/1, backed_up/2]).
-export([failed/1]).

-define(BAR_WIDTH, 24).
%% 1970 in Gregorian seconds.
-define(EPOCH, 62167219200).

-spec tested({ok, map()} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
tested({ok, #{text := Text}}) ->
    io:put_chars([Text, $\n]);
tested({error, {_Code, #{layers := Layers}} = Reason}) ->
    io:put_chars(Layers),
    failed(Reason);
tested({error, Reason}) ->
    failed(Reason).

%% The name is what commit/1 takes.
-spec planned({ok, easy_cluster_api:plan()} | easy_cluster_api:error()) -> {ok, binary()} | easy_cluster_api:error().
planned({ok, #{id := Id} = Plan}) ->
    show(Plan),
    {ok, Id};
planned({error, Reason}) ->
    failed(Reason).

-spec show(easy_cluster_api:plan()) -> ok.
show(Plan) ->
    io:put_chars(easy_cluster_text:words(render_plan, #{plan => Plan})).

%% What was looked at, in words. What was found beside an error is printed, too.
-spec shown({ok, #{text := unicode:chardata(), _ => _}} | easy_cluster_api:error()) -> easy_cluster:looked().
shown({ok, #{text := Text}}) ->
    io:put_chars(Text);
shown({error, {Code, #{text := Text} = Details}}) when is_map_key(compared, Details) ->
    io:put_chars(Text),
    not_shown({Code, maps:without([text, compared], Details)});
shown({error, Reason}) ->
    not_shown(Reason).

not_shown({Code, _Details} = Reason) ->
    {error, _} = failed(Reason),
    {error, Code}.

-spec status({ok, map()} | easy_cluster_api:error()) -> easy_cluster:looked().
status({ok, #{text := Text} = Status}) ->
    shown({ok, #{text => [Text | local(Status)]}});
status({error, Reason}) ->
    not_shown(Reason).

-spec history({ok, [easy_cluster_history:past()]} | easy_cluster_api:error()) -> easy_cluster:looked().
history({ok, Past}) ->
    in_words(render_history, #{past => Past});
history({error, Reason}) ->
    not_shown(Reason).

%% One of them.
-spec operation({ok, easy_cluster_history:past(), easy_cluster_api:plan() | undefined, [easy_cluster_history:event_of_past()]}
                | easy_cluster_api:error()) -> easy_cluster:looked().
operation({ok, Past, Plan, Events}) ->
    in_words(render_operation, #{past => Past, plan => Plan, events => Events});
operation({error, Reason}) ->
    not_shown(Reason).

in_words(Request, Args) ->
    case easy_cluster_native:call(Request, Args) of
        {ok, Text} -> shown({ok, #{text => Text}});
        {error, Reason} -> not_shown(Reason)
    end.

-spec dropped(What :: string(), {ok, map()} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
dropped(What, {ok, #{id := Id, files := Files, bytes := Bytes}}) ->
    io:format("  " ++ What ++ " gone: ~w files, ~ts~n", [Id, Files, size_of(Bytes)]);
dropped(_What, {error, Reason}) ->
    failed(Reason).

-spec resumed({ok, {continued, [node()]} | {ended, map()}} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
resumed({ok, {continued, Nodes}}) ->
    told("continued", {ok, Nodes});
resumed({ok, {ended, #{steps := [_ | _] = Steps}}}) ->
    finished(Steps, ok);
resumed({ok, {ended, #{stopped := Id}}}) ->
    io:format("  ~ts ends where it was; easy_cluster:repair() plans what is left~n", [Id]);
resumed({ok, {ended, _Back}}) ->
    io:put_chars("  it was taken back: this node is what it was\n");
resumed({error, Reason}) ->
    failed(Reason).

%% On which members.
-spec told(What :: string(), {ok, [node()]} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
told(What, {ok, Nodes}) ->
    io:format("  ~s on ~ts~n", [What, names(Nodes)]);
told(_What, {error, Reason}) ->
    failed(Reason).

-spec ended(ok | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
ended(ok) -> ok;
ended({error, Reason}) -> failed(Reason).

%% What only this node knows: what is under way, pending, unfinished and kept.
local(#{operation := Operation, elsewhere := Elsewhere, watch := #{text := Followed}, pending := Pending, returned := Returned, unfinished := Unfinished, kept := Kept}) ->
    [[under_way(node(), Operation) || Operation =/= none],
     [under_way(Node, Other) || {Node, Other} <- Elsewhere],
     [["  policy      ", Followed, $\n] || Followed =/= undefined],
     [io_lib:format("  pending     ~ts has to forget this node when it is back~n", [Node]) || Node <- Pending],
     [io_lib:format("  returned    ~ts was forgotten and came back with its old database at ~s; it does not start~n",
                    [Node, calendar:system_time_to_rfc3339(calendar:datetime_to_gregorian_seconds(At) - ?EPOCH, [{offset, "Z"}])])
      || {Node, At} <- maps:to_list(Returned)],
     [io_lib:format("  unfinished  ~ts~n", [Unfinished]) || Unfinished =/= undefined],
     [io_lib:format("  kept        ~ts, ~w files, ~ts~n", [Id, Files, size_of(Bytes)])
      || #{id := Id, files := Files, bytes := Bytes} <- Kept]].

under_way(Node, #{id := Id, progress := Progress}) ->
    io_lib:format("  under way   ~ts on ~ts~ts~n", [Id, Node, far(Progress)]).

far(undefined) -> "";
far(#{steps := {Steps, OfSteps}, tables := {Tables, OfTables}, rows := {Rows, OfRows}, bytes := {Bytes, OfBytes},
      bytes_per_second := Rate, milliseconds_left := Left}) ->
    [io_lib:format(": ~w of ~w steps, ~w of ~w tables, ~w of ~w rows, ~ts of ~ts",
                   [Steps, OfSteps, Tables, OfTables, Rows, OfRows, size_of(Bytes), size_of(OfBytes)]),
     [io_lib:format(", ~.1f MB/s", [Rate / 1.0e6]) || is_integer(Rate)],
     io_lib:format(", about ~.1f s left", [Left / 1.0e3])].

names(Nodes) ->
    lists:join(", ", [atom_to_list(Node) || Node <- Nodes]).

%% One line a step. While a table is copied, a terminal shows a bar; elsewhere a line now and then.
-spec reporter(easy_cluster_api:plan()) -> easy_cluster_walker:report().
reporter(#{steps := Steps}) ->
    Total = length(Steps),
    Terminal = is_terminal(),
    fun(Event) -> event(Event, Total, Terminal) end;
reporter(_NotAPlan) ->
    fun(_Event) -> ok end.

is_terminal() ->
    case io:columns() of
        {ok, _Columns} -> true;
        {error, enotsup} -> false
    end.

event({step, begun, #{action := Action} = Step, _}, Total, true) ->
    io:put_chars([position(Step, Total), describe(Action)]);
event({step, begun, _Step, _}, _Total, false) ->
    ok;
event({step, done, #{action := Action} = Step, Evidence}, Total, Terminal) ->
    Clear = [["\r", clear_to_end()] || Terminal],
    io:put_chars([Clear, position(Step, Total), describe(Action), evidence(Evidence), $\n]);
event({progress, #{table := Table} = Progress}, _Total, true) ->
    io:put_chars(["\r", clear_to_end(), io_lib:format("  copying ~tw ", [Table]), bar(Progress), amount(Progress)]);
event({progress, #{table := Table} = Progress}, _Total, false) ->
    io:put_chars([io_lib:format("          ~tw: ", [Table]), amount(Progress), $\n]);
event({undo, Action}, _Total, _Terminal) ->
    io:put_chars(["\n  undo: ", describe(Action)]).

clear_to_end() -> "\e[K".

position(#{number := Number}, Total) ->
    io_lib:format("  [~*w/~w] ", [length(integer_to_list(Total)), Number, Total]).

describe(Action) ->
    easy_cluster_text:words(describe, #{action => Action}).

evidence(#{rows := Rows}) when Rows > 0 -> io_lib:format(", ~w arrived", [Rows]);
evidence(#{merged := Merged}) ->
    [io_lib:format("~n          ~tw: ~w added, ~w the same, ~w different~ts",
                   [Table, Added, Same, Conflicts, [[", in ", File] || Conflicts > 0]])
     || {Table, #{added := Added, same := Same, conflicts := Conflicts, conflict_file := File}} <- maps:to_list(Merged)];
evidence(#{archived := Archived}) ->
    [io_lib:format("~n          ~w rows of ~ts in ~ts", [Rows, Node, File])
     || #{node := Node, rows := Rows, file := File} <- Archived, Rows > 0];
evidence(#{mended := Keys}) -> io_lib:format(", ~w were written", [Keys]);
evidence(_Nothing) -> "".

bar(#{rows := Rows, of_rows := Of}) when Of > 0 ->
    Full = min(?BAR_WIDTH, Rows * ?BAR_WIDTH div Of),
    [$[, lists:duplicate(Full, $#), lists:duplicate(?BAR_WIDTH - Full, $-), "] "];
bar(_Empty) ->
    "".

amount(#{rows := Rows, of_rows := OfRows, bytes := Bytes, of_bytes := OfBytes}) ->
    %% What a table takes is estimated before, and more may come.
    io_lib:format("~w of ~w rows, ~ts of ~ts", [Rows, max(Rows, OfRows), size_of(Bytes), size_of(max(Bytes, OfBytes))]).

%% Bytes, in the unit that the core prints them in.
size_of(Bytes) when Bytes < 1000 -> io_lib:format("~w bytes", [Bytes]);
size_of(Bytes) when Bytes < 1000000 -> io_lib:format("~.1f kB", [Bytes / 1.0e3]);
size_of(Bytes) when Bytes < 1000000000 -> io_lib:format("~.1f MB", [Bytes / 1.0e6]);
size_of(Bytes) -> io_lib:format("~.2f GB", [Bytes / 1.0e9]).

%% How an operation of these steps has ended.
-spec finished([map()], ok | {ok, map()} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
finished(Steps, {ok, _Plan}) ->
    finished(Steps, ok);
finished([_Verify], ok) ->
    io:put_chars("  done: 1 step, checked\n");
finished(Steps, ok) ->
    io:format("  done: ~w steps, each checked~n", [length(Steps)]);
finished(_Steps, {error, Reason}) ->
    io:nl(),
    failed(Reason).

%% What will be taken, and a line for each table that is on disc.
-spec backing_up({backing_up, unicode:chardata()} | {backed_up, map()}) -> ok.
backing_up({backing_up, Text}) ->
    io:put_chars(Text);
backing_up({backed_up, #{name := Name, rows := Rows, bytes := Bytes}}) ->
    io:put_chars(io_lib:format("  ~-24ts  ~9w rows  ~10.3f MB~n", [io_lib:format("~tw", [Name]), Rows, Bytes / 1.0e6])).

-spec backed_up(file:name_all(), {ok, map()} | easy_cluster_api:error()) -> ok | easy_cluster_api:error().
backed_up(Folder, {ok, #{format := _, tables := Tables}}) ->
    Rows = lists:sum([Rows || #{rows := Rows} <- Tables]),
    io:put_chars(io_lib:format("  done: ~w tables, ~w rows, in ~ts~n", [length(Tables), Rows, Folder]));
backed_up(_Folder, {ok, _Wanted}) ->
    ok;
backed_up(_Folder, {error, Reason}) ->
    failed(Reason).

%% Prints a problem and hands it on.
-spec failed({atom(), map()}) -> easy_cluster_api:error().
failed({_Code, Details} = Reason) ->
    io:put_chars(easy_cluster_text:problems(Details, Reason)),
    {error, Reason}.
