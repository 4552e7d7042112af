%% Gathers the snapshot that every decision is made from: what each member says of itself, of the others and of the
%% tables. Only reads. The layout is that of `model::snapshot' in the core.
-module(easy_cluster_gather).

-include_lib("kernel/include/file.hrl").

-export([snapshot/2]).
-export([with_snapshot/4]).
-export([obstacles/1]).

-type snapshot() :: map().
-export_type([snapshot/0, look/0]).

%% Definitions are equal when all of these are; active_replicas differ from node to node and are joined instead.
-define(DEFINITION, [type, ram_copies, disc_copies, disc_only_copies, external_copies, attributes, record_name, index,
                     local_content, majority, load_order, cookie, version, user_properties, storage_properties,
                     frag_properties, access_mode]).
%% Of a read-only table, where_to_write is always empty.
-define(DYNAMIC, [active_replicas, size, memory]).

%% So often a look is begun whose connection goes, and milliseconds before the next.
-define(LOOKS, 6).
-define(BEFORE_LOOK, 30).

%% What this node is given at least to answer itself, however little the others are given.
-define(OWN_TIMEOUT, 5000).

%% How closely members are looked at. A preflight, for what stops ejabberd, says also whether ejabberd could start again here;
%% forgetting says how far the other members get towards the nodes, and which tables are in databases that were kept.
-type look() :: facts | preflight | forgetting.

%% The snapshot of this node, the nodes given, and all that any of them lists as a member. A node that does not answer costs Timeout
%% once, however many there are.
-spec snapshot([node()], timeout()) -> snapshot().
snapshot(Nodes, Timeout) ->
    with_snapshot(facts, Nodes, Timeout, fun(Snapshot) -> Snapshot end).

%% What Fun makes of a snapshot. Connections that were opened for it are closed when Fun has ended, however it ends.
-spec with_snapshot(look(), [node()], timeout(), fun((snapshot()) -> Result)) -> Result.
with_snapshot(Look, Nodes, Timeout, Fun) ->
    Check = [easy_cluster_configuration:start() || Look =:= preflight],
    Answers = ask_all(lists:usort([node() | Nodes]), Timeout, #{}),
    try
        Snapshot = (assemble(Answers))#{copied => easy_cluster_history:copied(mnesia:system_info(directory))},
        Fun(looked(Look, Snapshot, Check, Nodes, Timeout))
    after
        lists:foreach(fun easy_cluster_rpc:disconnect_hidden/1, [Node || {Node, #{connection := opened}} <- maps:to_list(Answers)])
    end.

looked(facts, Snapshot, [], _Nodes, _Timeout) ->
    Snapshot;
looked(preflight, #{members := [Here | Others]} = Snapshot, [Check], _Nodes, _Timeout) ->
    Snapshot#{members := [configured(Here, easy_cluster_configuration:await(Check)) | Others]};
looked(forgetting, #{members := Members} = Snapshot, [], Nodes, Timeout) ->
    Others = [{Member, Directory} || #{node := Member, answer := {facts, #{directory := Directory}}} <- Members,
                                     not lists:member(Member, Nodes)],
    Look = fun({Member, Directory}) ->
                   {easy_cluster_ways:ways(Member, Nodes, Timeout), kept_files(Member, Directory, Timeout)}
           end,
    Looked = [Found || {_Member, {ok, Found}} <- easy_cluster_rpc:parallel(Look, Others, 2 * Timeout)],
    Snapshot#{ways => lists:append([Ways || {Ways, _} <- Looked]), kept => lists:append([Kept || {_, Kept} <- Looked])}.

configured(#{answer := {facts, Facts}} = Here, Verdict) -> Here#{answer := {facts, Facts#{configuration => Verdict}}};
configured(#{answer := {silent, _}} = Here, _Verdict) -> Here.

%% By a function that every node has; a path that is no text is of no use to anybody who reads of it.
kept_files(_Member, <<>>, _Timeout) ->
    [];
kept_files(Member, Directory, Timeout) ->
    Folder = unicode:characters_to_list(Directory),
    case easy_cluster_rpc:call(Member, filelib, wildcard, ["easy_cluster/kept/*/*.{DCD,DAT}", Folder], Timeout) of
        {ok, Files} -> [#{node => Member, path => unicode:characters_to_binary(filename:join(Folder, File))}
                        || File <- Files, io_lib:printable_unicode_list(File)];
        {error, _Unasked} -> []
    end.

%%% Asking

ask_all([], _Timeout, Answers) ->
    Answers;
ask_all(Nodes, Timeout, Answers) ->
    {Here, Others} = lists:partition(fun(Node) -> Node =:= node() end, Nodes),
    Asked = easy_cluster_rpc:parallel(fun ask_each/1, [{Here, max(Timeout, ?OWN_TIMEOUT)}, {Others, Timeout}], infinity),
    New = [{Node, flatten(Answer)} || {_Group, {ok, Group}} <- Asked, {Node, Answer} <- Group],
    All = maps:merge(Answers, maps:from_list(New)),
    Listed = lists:usort(lists:append([maps:get(db_nodes, Facts) || {_, #{facts := Facts}} <- New])),
    ask_all([Node || Node <- Listed, not is_map_key(Node, All)], Timeout, All).

ask_each({Nodes, Timeout}) ->
    easy_cluster_rpc:parallel(fun(Node) -> ask(Node, Timeout) end, Nodes, Timeout + 500).

flatten({ok, Answer}) -> Answer;
flatten({error, Reason}) -> #{silent => Reason}.

%% Who is looked at may look at this node just now: its probe holds up a connection that is being made, and its look closes the connection
%% of both when it ends. Mnesia may stop between two questions. Another look finds what is true.
ask(Node, Timeout) ->
    ask_again(Node, Timeout, ?LOOKS).

ask_again(Node, Timeout, Left) ->
    case maybe_connected(easy_cluster_rpc:connect_hidden(Node, Timeout), Node, Timeout) of
        #{silent := Reason} = Answer when Left > 1 ->
            case is_passing(Reason) of
                true ->
                    receive after ?BEFORE_LOOK -> ok end,
                    keep_opened(Answer, ask_again(Node, Timeout, Left - 1));
                false -> Answer
            end;
        Answer -> Answer
    end.

%% What was opened is closed in the end, whichever look opened it.
keep_opened(#{connection := opened}, #{connection := _} = Answer) -> Answer#{connection := opened};
keep_opened(_Before, Answer) -> Answer.

%% Mnesia's functions fail in many ways while it stops. Who was silent for the whole time has had it.
is_passing(timeout) -> false;
is_passing(_NoConnectionOrStopped) -> true.

maybe_connected({error, Reason}, _Node, _Timeout) ->
    #{silent => Reason};
maybe_connected({ok, Connection}, Node, Timeout) ->
    case facts(Node, Timeout) of
        {ok, Facts, Tables} -> #{connection => Connection, facts => Facts, tables => Tables};
        {error, Reason} -> #{connection => Connection, silent => Reason}
    end.

facts(Node, Timeout) ->
    Before = erlang:system_time(millisecond),
    Calls = [{erlang, whereis, [easy_cluster_operation]},
             {erlang, system_info, [otp_release]},
             {erlang, system_info, [wordsize]},
             {erlang, system_time, [millisecond]},
             {erlang, nodes, []},
             {net_kernel, get_net_ticktime, []},
             {application, which_applications, []},
             {application, loaded_applications, []},
             {mnesia, system_info, [is_running]},
             {erlang, whereis, [easy_cluster_operation]}],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [OperatingBefore, Release, WordSize, Clock, Connected, TickTime, Running, Loaded, Mnesia, OperatingAfter]} ->
            After = erlang:system_time(millisecond),
            Common = #{operating => is_pid(OperatingBefore) orelse is_pid(OperatingAfter),
                       otp_release => list_to_binary(Release),
                       versions => versions(Loaded),
                       applications => dependents(Node, Running),
                       running_applications => running(Node, Running),
                       mnesia => Mnesia,
                       connected => Connected,
                       tick_time => tick_time(TickTime),
                       clock_offset => Clock - (Before + After) div 2},
            with_mnesia(Node, Mnesia, WordSize, maps:merge(Common, memory(Node)), Timeout);
        {error, Reason} ->
            {error, Reason}
    end.

tick_time({ongoing_change_to, Seconds}) -> Seconds;
tick_time(ignored) -> 0;
tick_time(Seconds) -> Seconds.

versions(Loaded) ->
    maps:from_list([{atom_to_binary(App), unicode:characters_to_binary(Version)}
                    || {App, _Description, Version} <- Loaded, lists:member(App, [mnesia, ejabberd, easy_cluster])]).

%% Running applications that need Mnesia, dependents first: `which_applications' has the last started first. ejabberd
%% does not name Mnesia among its applications, as it starts it by itself.
dependents(Node, _Running) when Node =/= node() ->
    [];
dependents(_Here, Running) ->
    [App || {App, _, _} <- Running, App =/= easy_cluster, App =:= ejabberd orelse needs_mnesia(App)].

running(Node, _Running) when Node =/= node() -> [];
running(_Here, Running) -> [App || {App, _Description, _Version} <- Running].

needs_mnesia(App) ->
    {ok, Needs} = application:get_key(App, applications),
    lists:member(mnesia, Needs).

with_mnesia(Node, yes, WordSize, Common, Timeout) ->
    Items = [db_nodes, running_db_nodes, extra_db_nodes, use_dir, fallback_activated, directory, tables],
    Calls = [{mnesia, system_info, [Item]} || Item <- Items]
        ++ [{mnesia, table_info, [schema, cookie]}, {mnesia_recover, get_master_nodes, [schema]}],
    case easy_cluster_rpc:batch(Node, Calls, Timeout) of
        {ok, [DbNodes, RunningNodes, ExtraNodes, UseDir, Fallback, Directory, Tables, Cookie, Masters]} ->
            Facts = Common#{db_nodes => DbNodes, running_db_nodes => RunningNodes, extra_db_nodes => ExtraNodes,
                            use_dir => UseDir, fallback => Fallback, schema_cookie => print(Cookie),
                            directory => unicode:characters_to_binary(Directory), master_nodes => Masters},
            with_tables(tables(Node, Tables -- [schema], WordSize, Timeout),
                        maps:merge(Facts, on_disc(Node, UseDir, Directory, Timeout)));
        {error, Reason} ->
            {error, Reason}
    end;
with_mnesia(Node, NotRunning, _WordSize, Common, Timeout) ->
    Facts = Common#{awaits => awaits(Node, NotRunning, Timeout), db_nodes => [], running_db_nodes => [], extra_db_nodes => [], use_dir => false,
                    fallback => false, directory => <<>>, master_nodes => []},
    with_tables({ok, []}, Facts).

awaits(Node, starting, Timeout) ->
    case easy_cluster_undecided:awaited(Node, Timeout) of
        {_Transaction, Nodes} -> Nodes;
        none -> []
    end;
awaits(_Node, _Stopped, _Timeout) ->
    [].

with_tables({ok, Tables}, Facts) -> {ok, Facts, Tables};
with_tables({error, Reason}, _Facts) -> {error, Reason}.

%% Every property of every table in one round trip, then sizes of those that have a copy there: Mnesia would ask yet
%% another node for the others.
tables(Node, Names, WordSize, Timeout) ->
    case table_info(Node, Names, ?DEFINITION, Timeout) of
        {ok, Definitions} -> sizes(Node, lists:zip(Names, Definitions), WordSize, Timeout);
        {error, Reason} -> {error, Reason}
    end.

sizes(Node, Definitions, WordSize, Timeout) ->
    Held = [{Name, Storage} || {Name, Values} <- Definitions, Storage <- [storage(Node, Values)], Storage =/= none],
    Names = [Name || {Name, _} <- Held],
    InEts = [Name || {Name, Storage} <- Held, Storage =/= disc_only_copies, Storage =/= external],
    case {table_info(Node, Names, ?DYNAMIC, Timeout), row_bytes(Node, InEts, Timeout)} of
        {{ok, Dynamic}, {ok, RowBytes}} ->
            Sizes = lists:zipwith(fun({Name, Storage}, Values) ->
                                          {Name, size(Values, Storage, WordSize, maps:get(Name, RowBytes, 0))}
                                  end, Held, Dynamic),
            Known = maps:from_list(Sizes),
            {ok, [{Name, Values, maps:get(Name, Known, none)} || {Name, Values} <- Definitions]};
        {{error, Reason}, _} ->
            {error, Reason};
        {_, {error, Reason}} ->
            {error, Reason}
    end.

%% One that waits for another holder at the start is not there yet.
size([Active, undefined, _], _Storage, _WordSize, _RowBytes) -> {Active, 0, 0};
size([Active, Size, Bytes], disc_only_copies, _WordSize, _RowBytes) -> {Active, Size, Bytes};
size([Active, Size, Words], _Ets, WordSize, RowBytes) -> {Active, Size, max(Words * WordSize, Size * RowBytes)}.

%% Bytes of a row, by the first twenty: ets does not count binaries of more than 64 bytes, which lie outside its tables.
%% Evaluated over there by erl_eval, which every node has, so that the rows stay where they are.
row_bytes(Node, Tables, Timeout) ->
    {ok, Tokens, _} = erl_scan:string(
        "[{Table, case ets:select(Table, [{'$1', [], ['$1']}], 20) of"
        "             {Rows, _More} -> erlang:external_size(Rows) div length(Rows);"
        "             '$end_of_table' -> 0"
        "         end} || Table <- Tables, ets:whereis(Table) =/= undefined]."),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    case easy_cluster_rpc:call(Node, erl_eval, exprs, [Exprs, [{'Tables', Tables}]], Timeout) of
        {ok, {value, Sizes, _Bindings}} -> {ok, maps:from_list(Sizes)};
        {error, Reason} -> {error, Reason}
    end.

storage(Node, [_Type, Ram, Disc, DiscOnly, External | _]) ->
    Found = [Storage || {Storage, Nodes} <- [{ram_copies, Ram}, {disc_copies, Disc}, {disc_only_copies, DiscOnly},
                                             {external, External}],
                        is_member(Node, Nodes)],
    case Found of
        [] -> none;
        [Storage | _] -> Storage
    end.

%% External copies are listed under their alias.
is_member(Node, Nodes) ->
    lists:any(fun({_Alias, Holders}) -> lists:member(Node, Holders);
                 (Holder) -> Holder =:= Node
              end, Nodes).

table_info(Node, Names, Items, Timeout) ->
    Tables = [Name || Name <- Names, _ <- Items],
    Wanted = lists:append(lists:duplicate(length(Names), Items)),
    case easy_cluster_rpc:call(Node, lists, zipwith, [fun mnesia:table_info/2, Tables, Wanted], Timeout) of
        {ok, Values} -> {ok, chunks(Values, length(Items))};
        {error, Reason} -> {error, Reason}
    end.

chunks([], _Size) -> [];
chunks(Values, Size) ->
    {Chunk, Rest} = lists:split(Size, Values),
    [Chunk | chunks(Rest, Size)].

%%% Disc

%% This node tries; of another one it is known what access(2) says to its user.
on_disc(Node, UseDir, Directory, _Timeout) when Node =:= node() ->
    #{disk_free => free_bytes(easy_cluster_directory:free_bytes(Directory)),
      directory_writable => writable(UseDir, tried(easy_cluster_directory:writable(Directory))),
      obstacles => obstacles(Directory) ++ shared(easy_cluster_mnesia:shared()),
      unfinished => easy_cluster_history:unfinished(Directory),
      beside => #{damaged => easy_cluster_damage:damaged(Directory), kept => kept(easy_cluster_directory:kept(Directory)),
                  archives => archives(easy_cluster_directory:archives(Directory)),
                  kept_quota => kept_quota(application:get_env(easy_cluster, kept_quota))}};
on_disc(Node, UseDir, Directory, Timeout) ->
    case easy_cluster_rpc:call(Node, file, read_file_info, [Directory, [raw]], Timeout) of
        {ok, Info} -> #{directory_writable => writable(UseDir, accessible(Info))};
        {error, _Unasked} -> #{directory_writable => undefined}
    end.

kept({error, _Unreadable}) -> [];
kept(Kept) -> [maps:with([id, files, bytes, shared], Database) || Database <- Kept].

archives({error, _Unreadable}) -> [];
archives(Archives) -> Archives.

kept_quota({ok, Bytes}) when is_integer(Bytes), Bytes >= 0 -> Bytes;
kept_quota({ok, infinity}) -> 1 bsl 63;
kept_quota(undefined) -> undefined;
kept_quota({ok, Odd}) ->
    logger:warning(#{what => bad_kept_quota, value => Odd, expected => "a number of bytes, or infinity"}),
    undefined.

%% What would keep the database in this directory from being moved aside.
-spec obstacles(file:filename()) -> [{atom(), map()}].
obstacles(Directory) ->
    [obstacle(Obstacle) || Obstacle <- easy_cluster_directory:obstacles(Directory)].

shared(Shared) ->
    [{in_use, #{path => unicode:characters_to_binary(File), users => [print(User) || User <- Users]}} || {File, Users} <- Shared].

%% A path need not be text in the file system's encoding.
obstacle({Kind, Details}) ->
    {Kind, maps:map(fun(path, Path) when is_list(Path) -> unicode:characters_to_binary(Path);
                       (_Key, Term) -> print(Term)
                    end, Details)}.

accessible({ok, #file_info{access = read_write}}) -> ok;
accessible({ok, #file_info{access = write}}) -> ok;
accessible({ok, #file_info{access = Access}}) -> {error, Access};
accessible({error, Reason}) -> {error, Reason}.

tried(ok) -> ok;
tried({error, {_Code, #{reason := Reason}}}) -> {error, Reason}.

%% Without a schema on disc the directory need not be there yet.
writable(_UseDir, ok) -> true;
writable(false, {error, enoent}) -> undefined;
writable(_UseDir, {error, _Reason}) -> false.

free_bytes({ok, Bytes}) -> Bytes;
free_bytes({error, _Unknown}) -> undefined.

%%% Memory

memory(Node) when Node =:= node() -> #{memory_free => memory_free(), unfinished => undefined};
memory(_Node) -> #{}.

memory_free() ->
    Limits = [machine_memory(), container_memory(), operator_memory()],
    case [Free || Free <- Limits, is_integer(Free)] of
        [] -> undefined;
        Known -> max(0, lists:min(Known))
    end.

machine_memory() ->
    case file:read_file("/proc/meminfo") of
        {ok, Text} ->
            case re:run(Text, "^MemAvailable:\\s+(\\d+) kB", [multiline, {capture, all_but_first, binary}]) of
                {match, [KiloBytes]} -> binary_to_integer(KiloBytes) * 1024;
                nomatch -> unknown
            end;
        {error, _NoProc} -> unknown
    end.

container_memory() ->
    case {cgroup("memory.max"), cgroup("memory.current")} of
        {Max, Current} when is_integer(Max), is_integer(Current) -> Max - Current;
        _NoLimit -> unknown
    end.

cgroup(Name) ->
    case file:read_file(filename:join("/sys/fs/cgroup", Name)) of
        {ok, Text} ->
            try binary_to_integer(string:trim(Text))
            catch error:badarg -> unknown
            end;
        {error, _NoCgroup} -> unknown
    end.

operator_memory() ->
    case application:get_env(easy_cluster, memory_limit) of
        {ok, Limit} when is_integer(Limit) -> Limit - erlang:memory(total);
        {ok, infinity} -> unknown;
        {ok, Odd} ->
            logger:warning(#{what => bad_memory_limit, value => Odd, expected => "a number of bytes"}),
            unknown;
        undefined -> unknown
    end.

%%% Putting the answers together

assemble(Answers) ->
    Here = node(),
    Nodes = [Here | lists:delete(Here, lists:sort(maps:keys(Answers)))],
    {Members, Sets1} = lists:mapfoldl(fun(Node, Sets) -> member(Node, maps:get(Node, Answers), Sets) end, #{}, Nodes),
    {Tables, Sets2} = lists:mapfoldl(fun table/2, Sets1, merge_tables(Nodes, Answers)),
    InOrder = [Set || {_Index, Set} <- lists:sort([{Index, Set} || {Set, Index} <- maps:to_list(Sets2)])],
    #{format => 1, node => Here, members => Members, tables => Tables, node_sets => InOrder}.

member(Node, #{silent := Reason}, Sets) ->
    {#{node => Node, answer => {silent, iolist_to_binary(io_lib:format("~tp", [Reason]))}}, Sets};
member(Node, #{facts := Facts}, Sets) ->
    {Indexed, Sets1} = intern([db_nodes, running_db_nodes, extra_db_nodes, connected, master_nodes], Facts, Sets),
    {#{node => Node, answer => {facts, Indexed}}, Sets1}.

%% One entry a definition: #{seen_by, active, and size and memory as the first active holder counts them}.
merge_tables(Nodes, Answers) ->
    Seen = [{Node, Table} || Node <- Nodes, Table <- maps:get(tables, maps:get(Node, Answers), [])],
    Merged = lists:foldl(fun merge_table/2, #{}, Seen),
    [Table#{name => Name, definition => Definition} || {{Name, Definition}, Table} <- lists:sort(maps:to_list(Merged))].

merge_table({Node, {Name, Definition, Size}}, Merged) ->
    Key = {Name, Definition},
    Table = maps:get(Key, Merged, #{seen_by => [], active => [], size => 0, memory => 0, counted => false}),
    Merged#{Key => counted(Size, Node, Table#{seen_by := [Node | maps:get(seen_by, Table)]})}.

counted(none, _Node, Table) ->
    Table;
counted({Loaded, Size, Bytes}, Node, #{active := Active, counted := Counted} = Table) ->
    Joined = Table#{active := lists:usort(Loaded ++ Active)},
    case lists:member(Node, Loaded) andalso not Counted of
        true -> Joined#{size := Size, memory := Bytes, counted := true};
        false -> Joined
    end.

table(#{name := Name, definition := Definition} = Table, Sets) ->
    Values = maps:from_list(lists:zip(?DEFINITION, Definition)),
    #{external_copies := External, index := Index, cookie := Cookie, version := Version} = Values,
    Properties = [maps:get(Item, Values) || Item <- [user_properties, storage_properties, frag_properties]],
    Flat = maps:without([user_properties, storage_properties, frag_properties], Values),
    Whole = maps:merge(maps:with([seen_by, active, size, memory], Table),
                       Flat#{name => Name, index := print(Index), cookie := print(Cookie), version := print(Version),
                             properties => print(Properties),
                             external_copies := lists:append([holders(Copy) || Copy <- External])}),
    intern([seen_by, active, ram_copies, disc_copies, disc_only_copies, external_copies], Whole, Sets).

holders({_Alias, Nodes}) -> Nodes;
holders(Node) -> [Node].

print(Term) ->
    unicode:characters_to_binary(io_lib:format("~tw", [Term])).

intern(Keys, Map, Sets) ->
    lists:foldl(fun(Key, {M, S}) ->
                        {Index, S1} = intern_set(lists:usort(maps:get(Key, M)), S),
                        {M#{Key := Index}, S1}
                end, {Map, Sets}, Keys).

intern_set(Set, Sets) ->
    case Sets of
        #{Set := Index} -> {Index, Sets};
        #{} -> {map_size(Sets), Sets#{Set => map_size(Sets)}}
    end.
