%% From what an operator asked for to a plan: looks, asks the core, changes nothing.
-module(easy_cluster_planner).

-export([plan/2]).
-export([unattended/2]).
-export([test/2]).
-export([backup/2]).
-export([write_snapshot/1]).
-export([tables/0]).
-export([doctor/1, doctor/2]).
-export([comparisons/2]).
-export([recheck/1]).
-export([read_plan/1]).
-export([node_name/1]).
-export([options/1, timestamp/1, minute/0]).

-type error() :: {error, {Code :: atom(), Details :: map()}}.
-type plan() :: map().
-type operation() :: {join | join_as_master | sync_node | forget, node() | string() | binary()}
                   | {restore, file:name_all()} | {repair, #{table := atom() | string() | binary(), winner := node() | string() | binary()}}
                   | reset | leave | rollback | force_boot | repair.
-export_type([error/0, plan/0, operation/0]).

%% Those that name another node, and those that are about this node and its cluster.
-define(WITH_NODE, [join, join_as_master, sync_node, forget]).
-define(OF_HERE, [reset, leave, rollback, force_boot, repair]).
%% Those that name a folder.
-define(WITH_FOLDER, [restore]).

%% A plan, or what forbids it.
-spec plan(operation(), map()) -> {ok, plan()} | error().
plan(Operation, Opts) when is_map(Opts) ->
    case {wish(Operation), options(Opts)} of
        {{ok, Wish}, {ok, Options}} -> ask(Wish, Options, #{});
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end;
plan(_Operation, Opts) ->
    bad_options(Opts).

%% What an operator wants, as the core takes it.
wish({restore, Typed}) ->
    case folder(Typed) of
        {ok, Folder} -> {ok, {restore, unicode:characters_to_binary(Folder)}};
        {error, Reason} -> {error, Reason}
    end;
wish({repair, #{table := Typed, winner := Named} = Wish}) when map_size(Wish) =:= 2 ->
    case node_name(Named) of
        {ok, Winner} -> {ok, {repair_table, #{table => easy_cluster_text:typed(Typed), winner => Winner}}};
        {error, Reason} -> {error, Reason}
    end;
wish({repair, Wish}) ->
    {error, {bad_option, #{option => <<"what is to be repaired">>, value => easy_cluster_text:whole(Wish),
                           expected => <<"#{table => Table, winner => Node}">>}}};
wish({Name, Typed}) ->
    case lists:member(Name, ?WITH_NODE) andalso node_name(Typed) of
        {ok, Node} -> {ok, {Name, Node}};
        {error, Reason} -> {error, Reason};
        false -> bad_operation({Name, Typed})
    end;
wish(Name) when is_atom(Name) ->
    case lists:member(Name, ?OF_HERE) of
        true -> {ok, Name};
        false -> bad_operation(Name)
    end;
wish(Other) ->
    bad_operation(Other).

bad_options(Opts) ->
    {error, {bad_option, #{option => <<"the options">>, value => easy_cluster_text:whole(Opts), expected => <<"a map">>}}}.

bad_operation(Operation) ->
    Known = iolist_to_binary(lists:join(", ", [io_lib:format("{~s, Node}", [Name]) || Name <- ?WITH_NODE]
                                        ++ [io_lib:format("{~s, Folder}", [Name]) || Name <- ?WITH_FOLDER]
                                        ++ ["{repair, #{table => Table, winner => Node}}"]
                                        ++ [atom_to_list(Name) || Name <- ?OF_HERE])),
    {error, {bad_operation, #{operation => easy_cluster_text:whole(Operation), known => Known}}}.

%% The node that an operator means by an atom, a string or a binary.
-spec node_name(term()) -> {ok, node()} | error().
node_name(Typed) ->
    case easy_cluster_native:call(node_name, #{text => easy_cluster_text:typed(Typed), here => node()}) of
        %% The one place that may make an atom of what was typed, and only of what the core calls a node's name.
        {ok, Name} -> {ok, binary_to_atom(Name)};
        {error, Reason} -> {error, Reason}
    end.

%% An operator's options as the core takes them.
-spec options(term()) -> {ok, map()} | error().
options(Opts) when not is_map(Opts) ->
    bad_options(Opts);
options(Opts) ->
    case named(maps:get(also, Opts, none), []) of
        {ok, Also} ->
            Values = maps:from_list([{easy_cluster_text:typed(Key), option(Value)} || {Key, Value} <- maps:to_list(maps:merge(Opts, Also))]),
            easy_cluster_native:call(options, #{options => Values});
        {error, Reason} ->
            {error, Reason}
    end.

%% The nodes that an option names; what is no list of them is refused with the other options.
named(Typed, Nodes) when is_list(Typed) andalso Typed =/= [] ->
    case node_name(hd(Typed)) of
        {ok, Node} -> named(tl(Typed), [Node | Nodes]);
        {error, Reason} -> {error, Reason}
    end;
named([], Nodes) -> {ok, #{also => lists:reverse(Nodes)}};
named(_NoList, _Nodes) -> {ok, #{}}.

option(Value) when is_boolean(Value) -> Value;
option(Value) when is_integer(Value), abs(Value) < 1 bsl 60 -> Value;
option(Value) when is_atom(Value) -> atom_to_binary(Value);
option([_ | _] = Value) when not is_integer(hd(Value)), length(Value) > 0 -> [easy_cluster_text:typed(Name) || Name <- Value];
option([]) -> [];
option(Value) -> easy_cluster_text:whole(Value).

%% The plan for the policy, without what was made again and again lately and tables of which a copy was refused just now. Who asks for a
%% repair by hand means it.
-spec unattended([#{table := atom(), node := node()}], [atom()]) -> {ok, plan()} | error().
unattended(Lately, Refused) ->
    case {options(#{}), policy(Lately, Refused)} of
        {{ok, Options}, {ok, Policy}} -> ask(repair, Options, #{policy => Policy});
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

policy(Lately, Refused) ->
    case easy_cluster_policy:current() of
        undefined -> {error, {no_policy, #{}}};
        Text -> {ok, #{policy => Text, minute => minute(), lately => Lately, refused => Refused}}
    end.

%% The time of the day here, by which windows are open.
-spec minute() -> 0..1439.
minute() ->
    {_Date, {Hour, Minute, _Second}} = calendar:local_time(),
    60 * Hour + Minute.

%%% The core says what it needs to know; it is fetched, and the core is asked again.

ask(Wish, #{timeout := Timeout} = Options, Answers) ->
    Ask = #{wish => Wish, options => Options, here => node(), at => timestamp(mnesia:system_info(directory))},
    answered(ask, Ask, #{snapshot => undefined, answers => Answers}, Timeout).

%% The snapshot is a term of its own in a request, which is encoded once.
answered(Name, About, #{snapshot := Snapshot, answers := Answers} = Known, Timeout) ->
    case easy_cluster_native:call(Name, #{about => About, snapshot => encoded(Snapshot), answers => Answers}) of
        {ok, {need, [Need]}} -> fetched(Need, fun(Known2) -> answered(Name, About, Known2, Timeout) end, Known, Timeout);
        {ok, {plan, Plan}} -> {ok, Plan};
        {ok, fits} -> ok;
        {error, Reason} -> {error, Reason}
    end.

encoded(undefined) -> undefined;
encoded({_Snapshot, Encoded}) -> Encoded.

%% Goes on with what was fetched. Connections that a look has opened stay until the end, as more is asked through them.
fetched({members, #{contacts := Contacts, nodes := Nodes, look := Look}}, Next, #{answers := Answers} = Known, Timeout) ->
    case first_reached(Contacts, Timeout) of
        {ok, Contact} ->
            easy_cluster_gather:with_snapshot(Look, Nodes ++ [Node || Node <- [Contact], Node =/= undefined], Timeout, fun(Snapshot) ->
                Next(Known#{snapshot := {Snapshot, term_to_binary(Snapshot)}, answers := Answers#{contact => Contact}})
            end);
        {error, Reason} ->
            {error, Reason}
    end;
fetched(Need, Next, #{answers := Answers} = Known, Timeout) ->
    case fetch(Need, Known, Timeout) of
        {ok, Answer} -> Next(Known#{answers := maps:merge(Answers, Answer)});
        {error, Reason} -> {error, Reason}
    end.

first_reached([], _Timeout) -> {ok, undefined};
first_reached([Node | Others], Timeout) ->
    case {reach(Node, Timeout), Others} of
        {ok, _} -> {ok, Node};
        {{error, _Silent}, [_ | _]} -> first_reached(Others, Timeout);
        {{error, Reason}, []} -> {error, Reason}
    end.

fetch({rows, #{tables := Tables, node := Node}}, _Known, Timeout) ->
    compare_rows(Tables, Node, Timeout, []);
%% The backup is read to its end before anything else.
fetch({backup, #{folder := Folder}}, _Known, _Timeout) ->
    case easy_cluster_restore:described(unicode:characters_to_list(Folder)) of
        {ok, Backup} -> {ok, #{backup => Backup}};
        {error, Reason} -> {error, Reason}
    end;
fetch({backup_rows, #{backup := #{path := Folder} = Backup, tables := Tables}}, _Known, _Timeout) ->
    case easy_cluster_restore:compare(unicode:characters_to_list(Folder), Backup, Tables) of
        {ok, Compared} -> {ok, #{compared => Compared}};
        {error, {Code, #{reason := Reason} = Details}} -> {error, {Code, Details#{reason := easy_cluster_text:whole(Reason)}}}
    end;
fetch(history, _Known, _Timeout) ->
    case easy_cluster_history:plans(mnesia:system_info(directory)) of
        {ok, History} -> {ok, #{history => History}};
        {error, Reason} -> {error, Reason}
    end;
fetch(waiting, #{snapshot := {Snapshot, _Encoded}}, Timeout) ->
    case easy_cluster_boot:awaited(easy_cluster_boot:waiting(), Snapshot, Timeout) of
        {ok, Force} -> {ok, #{waiting => Force}};
        {error, Reason} -> {error, Reason}
    end;
%% Who asks for a repair by hand means it.
fetch(policy, _Known, _Timeout) ->
    case policy([], []) of
        {ok, Policy} -> {ok, #{policy => Policy}};
        {error, Reason} -> {error, Reason}
    end;
fetch({drift, #{comparison := #{table := Table} = Comparison, winner := Winner}}, _Known, Timeout) ->
    case easy_cluster_mend:drift(Comparison, Winner, Timeout) of
        {ok, Drift} -> {ok, #{drift => Drift}};
        {error, {Node, Reason}} -> {error, {copies_not_compared, #{table => Table, node => Node, reason => easy_cluster_text:whole(Reason)}}}
    end.

compare_rows([], _Node, _Timeout, Rows) ->
    {ok, #{rows => Rows}};
compare_rows([Table | Tables], Node, Timeout, Rows) ->
    case easy_cluster_rows:compare(Table, Node, #{timeout => Timeout}) of
        {ok, Row} -> compare_rows(Tables, Node, Timeout, [Row | Rows]);
        {error, Reason} -> {error, {rows_not_compared, #{table => Table, reason => easy_cluster_text:whole(Reason)}}}
    end.

%% Whether a plan still fits the cluster, which is looked at again.
-spec recheck(plan()) -> ok | error().
recheck(#{options := #{timeout := Timeout}} = Plan) ->
    answered(ask_again, Plan, #{snapshot => undefined, answers => #{}}, Timeout).

reach(Node, Timeout) ->
    case is_connected(Node) orelse easy_cluster_reach:check(Node, Timeout) of
        true -> ok;
        {ok, _Layers} -> ok;
        %% It may have connected meanwhile.
        {error, Reason} ->
            case is_connected(Node) of
                true -> ok;
                false -> {error, Reason}
            end
    end.

is_connected(Node) ->
    lists:member(Node, [node() | nodes(connected)]).

%% Whether a node could be joined: the layers on the way to it, and what it says of itself.
-spec test(term(), map()) -> {ok, #{text := unicode:chardata()}} | error().
test(_Typed, Opts) when not is_map(Opts) ->
    bad_options(Opts);
test(Typed, Opts) ->
    case {node_name(Typed), options(Opts)} of
        {{ok, Node}, {ok, #{timeout := Timeout}}} -> tested(Node, Timeout, layers(Node, Timeout));
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

%% A node that is connected can be asked, even if it could not be connected with again.
layers(Node, Timeout) ->
    case {easy_cluster_reach:check(Node, Timeout), is_connected(Node)} of
        {{error, {_Code, #{layers := Layers}}}, true} -> {ok, Layers};
        {Checked, _Connected} -> Checked
    end.

tested(Node, Timeout, {ok, Layers}) ->
    Snapshot = easy_cluster_gather:snapshot([Node], Timeout),
    case easy_cluster_native:call(test_node, #{node => Node, snapshot => Snapshot}) of
        {ok, #{text := Text}} -> {ok, #{text => [Layers, Text]}};
        {error, {Code, Details}} -> {error, {Code, Details#{layers => Layers}}}
    end;
tested(_Node, _Timeout, {error, Reason}) ->
    {error, Reason}.

%% What is wrong with this node's cluster, or with another node's.
-spec doctor(map()) -> {ok, easy_cluster_doctor:diagnosis()} | error().
doctor(Opts) ->
    examined({ok, node()}, Opts).

-spec doctor(term(), map()) -> {ok, easy_cluster_doctor:diagnosis()} | error().
doctor(Typed, Opts) ->
    examined(node_name(Typed), Opts).

examined(Node, Opts) when is_map(Opts) ->
    case {Node, options(Opts)} of
        {{ok, Name}, {ok, #{timeout := Timeout}}} -> easy_cluster_doctor:examine(Name, Timeout);
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end;
examined(_Node, Opts) ->
    bad_options(Opts).

%% Which copies of which tables diff/0 and diff/1 compare, and which they cannot.
-spec comparisons(all | {node, term()}, map()) -> {ok, #{comparisons := [map()], not_compared := [{atom(), map()}]}, Timeout :: pos_integer()} | error().
comparisons(_With, Opts) when not is_map(Opts) ->
    bad_options(Opts);
comparisons(With, Opts) ->
    case {compared_with(With), options(Opts)} of
        {{ok, Node}, {ok, #{timeout := Timeout}}} -> comparisons_with(Node, Timeout);
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

compared_with(all) -> {ok, undefined};
compared_with({node, Typed}) -> node_name(Typed).

comparisons_with(Node, Timeout) ->
    Snapshot = easy_cluster_gather:snapshot([], Timeout),
    case easy_cluster_native:call(comparisons, #{snapshot => Snapshot, node => Node, policy => easy_cluster_policy:current()}) of
        {ok, Chosen} -> {ok, Chosen, Timeout};
        {error, Reason} -> {error, Reason}
    end.

%% What a backup of this node's cluster would take, or what forbids it.
-spec backup(term(), map()) -> {ok, #{folder := file:filename(), text := binary(), wanted := easy_cluster_backup:wanted(),
                                      dry_run := boolean()}} | error().
backup(_Typed, Opts) when not is_map(Opts) ->
    bad_options(Opts);
backup(Typed, Opts) ->
    case {folder(Typed), options(Opts)} of
        {{ok, Folder}, {ok, Options}} -> backup_to(Folder, Options);
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

%% The folder that an operator means by a string or a binary.
folder(Typed) when is_list(Typed); is_binary(Typed) ->
    try unicode:characters_to_list(Typed) of
        [_ | _] = Path -> {ok, filename:absname(Path)};
        _NoText -> bad_folder(Typed)
    catch error:badarg -> bad_folder(Typed)
    end;
folder(Typed) ->
    bad_folder(Typed).

bad_folder(Typed) ->
    {error, {bad_option, #{option => <<"the folder">>, value => easy_cluster_text:whole(Typed),
                           expected => <<"a path, as in \"/var/backups/today\"">>}}}.

backup_to(Folder, #{timeout := Timeout, dry_run := DryRun}) ->
    Snapshot = easy_cluster_gather:snapshot([], Timeout),
    Path = unicode:characters_to_binary(Folder),
    Facts = #{path => Path, found => found(easy_cluster_files:names(Folder)), free => free(Folder)},
    case easy_cluster_native:call(backup, #{snapshot => Snapshot, folder => Facts}) of
        {ok, #{tables := Tables, left_out := LeftOut} = Backup} ->
            {ok, Text} = easy_cluster_native:call(render_backup, #{backup => Backup, path => Path}),
            {ok, #{folder => Folder, text => Text, wanted => #{tables => Tables, left_out => LeftOut}, dry_run => DryRun}};
        {error, Reason} ->
            {error, Reason}
    end.

found({ok, [Name | _]}) -> unicode:characters_to_binary(Name);
found(_EmptyOrNone) -> undefined.

%% Of the folder, or the first one above it that is there.
free(Folder) ->
    case {filelib:is_dir(Folder), filename:dirname(Folder)} of
        {false, Parent} when Parent =/= Folder -> free(Parent);
        _ ->
            case easy_cluster_directory:free_bytes(Folder) of
                {ok, Bytes} -> Bytes;
                {error, _Unknown} -> undefined
            end
    end.

%% What every member says, as a file in external term format.
-spec write_snapshot(term()) -> ok | error().
write_snapshot(Typed) ->
    case folder(Typed) of
        {ok, File} ->
            Snapshot = easy_cluster_gather:snapshot([], 5000),
            written(File, easy_cluster_files:write(File, term_to_binary(Snapshot)));
        {error, _BadOption} ->
            {error, {bad_option, #{option => <<"the file">>, value => easy_cluster_text:whole(Typed),
                                   expected => <<"a path, as in \"/tmp/cluster.snapshot\"">>}}}
    end.

written(_File, ok) ->
    ok;
written(File, {error, #{reason := Reason}}) ->
    {error, {file_not_written, #{path => unicode:characters_to_binary(File), reason => easy_cluster_text:whole(Reason)}}}.

%% The tables of this node's cluster and who holds them, with what the policy wants, where there is one.
-spec tables() -> {ok, map()} | error().
tables() ->
    Snapshot = easy_cluster_gather:snapshot([], 5000),
    easy_cluster_native:call(tables, #{snapshot => Snapshot, policy => easy_cluster_policy:current()}).

%% Whether it is a plan at all, whatever was done to it.
-spec read_plan(term()) -> ok | error().
read_plan(#{id := _, node := _, operation := _, options := #{}, steps := _} = Plan) ->
    case easy_cluster_native:call(render_plan, #{plan => Plan}) of
        {ok, _Text} -> ok;
        {error, {bad_request, #{reason := Reason}}} -> {error, {bad_plan, #{reason => Reason}}};
        {error, Reason} -> {error, Reason}
    end;
read_plan(Other) ->
    {error, {bad_plan, #{reason => unicode:characters_to_binary(io_lib:format("~tP", [Other, 20]))}}}.

%% UTC with microseconds, which names an operation. The order of the names is that of the operations, by which the last one is
%% known: where the clock went back, the name goes on from the last that is there.
-spec timestamp(file:filename()) -> binary().
timestamp(Directory) ->
    Named = [named_time(Id) || Id <- journals(easy_cluster_journal:list(Directory)) ++ easy_cluster_directory:marked(Directory)],
    Time = max(erlang:system_time(microsecond), lists:max([0 | Named]) + 1),
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Time, microsecond),
    iolist_to_binary(io_lib:format("~4..0w~2..0w~2..0wT~2..0w~2..0w~2..0w.~6..0wZ",
                                   [Year, Month, Day, Hour, Minute, Second, Time rem 1000000])).

journals({error, _Unreadable}) -> [];
journals(Ids) -> Ids.

named_time(Id) ->
    Form = "^(\\d{4})(\\d{2})(\\d{2})T(\\d{2})(\\d{2})(\\d{2})(?:\\.(\\d{6}))?Z",
    case re:run(Id, Form, [{capture, all_but_first, list}]) of
        {match, Parts} -> microseconds([list_to_integer(Part) || Part <- Parts]);
        nomatch -> 0
    end.

%% A name without microseconds comes after all with them in the same second.
microseconds([Year, Month, Day, Hour, Minute, Second]) ->
    microseconds([Year, Month, Day, Hour, Minute, Second, 999999]);
microseconds([Year, Month, Day, Hour, Minute, Second, Microseconds]) when Hour < 24, Minute < 60, Second < 60 ->
    case calendar:valid_date(Year, Month, Day) of
        true ->
            Seconds = calendar:datetime_to_gregorian_seconds({{Year, Month, Day}, {Hour, Minute, Second}}),
            (Seconds - calendar:datetime_to_gregorian_seconds({{1970, 1, 1}, {0, 0, 0}})) * 1000000 + Microseconds;
        false -> 0
    end;
microseconds(_NoTime) ->
    0.
