%% The native library under bytes of any kind, under every request that there is, and without itself.
-module(easy_cluster_native_prop_tests).

%% Debian's proper comes without its header, hence no macros.
-include_lib("eunit/include/eunit.hrl").

%%% Bytes of any kind

properties_test_() ->
    [{"any bytes are answered", property(fun prop_bytes/0)},
     {"any term is answered", property(fun prop_term/0)},
     {"any plan request with some bytes changed is answered", property(fun prop_changed/0)},
     {"any refused name makes no atom", {setup, fun() -> hd(easy_cluster_peers:start(1)) end,
                                         fun easy_cluster_peers:stop/1,
                                         fun(Peer) -> property(fun() -> prop_name(Peer) end) end}}].

property(Property) ->
    {timeout, 120, fun() ->
        ?assertEqual(true, proper:quickcheck(Property(), [{numtests, 300}, {to_file, user}, quiet]))
    end}.

prop_bytes() ->
    proper:forall(proper_types:binary(), fun(Bytes) ->
        is_bad_request(easy_cluster_nif:call(Bytes)) andalso
            is_bad_request(easy_cluster_nif:call(<<131, Bytes/binary>>)) andalso
            is_bad_request(easy_cluster_nif:call_io(<<131, 104, 2, Bytes/binary>>))
    end).

prop_term() ->
    proper:forall({proper_types:term(), proper_types:term()}, fun({Term, Args}) ->
        is_bad_request(easy_cluster_nif:call(term_to_binary(Term))) andalso
            lists:all(fun({Name, Given}) -> is_answer(easy_cluster_nif:call(term_to_binary({Name, Given}))) end,
                      [{Name, Given} || Name <- requests(), Given <- [#{options => Args}, #{options => [Args | Term]}, [Args | improper]]])
    end).

prop_changed() ->
    Request = plan_request(),
    Change = {proper_types:integer(0, byte_size(Request) - 1), proper_types:byte()},
    proper:forall(proper_types:list(Change), fun(Changes) ->
        Changed = lists:foldl(fun change/2, Request, Changes),
        {Atoms, Answer} = atoms_of(fun() -> easy_cluster_nif:call(Changed) end),
        Atoms =:= 0 andalso is_answer(Answer)
    end).

change({At, Byte}, Bytes) ->
    <<Before:At/binary, _, After/binary>> = Bytes,
    <<Before/binary, Byte, After/binary>>.

%% What an operator may type; the VM has to be distributed for a name to be looked at. No two of them are the same.
prop_name(Peer) ->
    Typed = proper_types:oneof([proper_types:binary(), proper_types:string(), proper_types:term()]),
    proper:forall(Typed, fun(Any) ->
        Bad = [[unique(), "@"], [unique(), "@", unique(), "..x"], iolist_to_binary([unique(), " x@foo.bar"]),
               lists:flatten(["x@", unique(), "@y"]), lists:flatten([unique(), lists:duplicate(300, $x), "@foo.bar"])],
        lists:all(fun(Name) -> refuse(Peer, Name) =:= no_atom end, Bad) andalso
            lists:member(refuse(Peer, Any), [no_atom, accepted])
    end).

%% Twice, as the first call may load a module, and an atom arrives with the name itself.
refuse(Peer, Name) ->
    Ask = fun() -> easy_cluster_peers:call(Peer, easy_cluster_planner, node_name, [Name]) end,
    Count = fun() -> easy_cluster_peers:call(Peer, erlang, system_info, [atom_count]) end,
    First = Ask(),
    Before = Count(),
    case {First, Ask(), Count() - Before, is_atom_there(Peer, Name)} of
        {{error, {_, #{}}}, {error, {_, #{}}}, 0, false} -> no_atom;
        {{ok, Node}, {ok, Node}, 0, _} -> accepted;
        Other -> Other
    end.

%% Whether the VM there has an atom of this text.
is_atom_there(Peer, Name) when is_binary(Name), byte_size(Name) > 20 ->
    try easy_cluster_peers:call(Peer, erlang, binary_to_existing_atom, [Name]) of
        Atom when is_atom(Atom) -> true
    catch error:badarg -> false
    end;
is_atom_there(_Peer, _Name) ->
    false.

unique() -> "never_seen_" ++ integer_to_list(erlang:unique_integer([positive])).

atoms_of(Fun) ->
    Before = erlang:system_info(atom_count),
    Result = Fun(),
    {erlang:system_info(atom_count) - Before, Result}.

is_bad_request(Answer) ->
    case binary_to_term(Answer) of
        {error, [{bad_request, #{reason := Reason}}]} -> is_binary(Reason) andalso byte_size(Reason) < 1100;
        _Other -> false
    end.

is_answer(Answer) ->
    case binary_to_term(Answer) of
        {ok, _Result} -> true;
        {error, [_ | _] = Problems} -> lists:all(fun({Code, Details}) -> is_atom(Code) andalso is_map(Details) end, Problems);
        _Other -> false
    end.

%%% Every request that there is

every_request_is_answered_test_() ->
    {plan, #{operation := Operation, snapshot := Snapshot} = Inputs} = binary_to_term(plan_request()),
    {ok, #{steps := Steps, undo := Undo} = Plan} = easy_cluster_native:call(plan, Inputs),
    Actions = [Action || #{action := Action} <- Steps ++ Undo],
    NoDatabase = fun({error, {not_a_database, #{reason := <<_, _/binary>>}}}) -> true end,
    Text = fun({ok, Answer}) -> is_binary(Answer) end,
    Answers =
        #{version => {#{}, fun({ok, #{version := Version}}) -> is_binary(Version) end},
          node_name => {#{text => <<"foo.bar">>, here => 'ejabberd@hello.world'},
                        fun(Answer) -> Answer =:= {ok, <<"ejabberd@foo.bar">>} end},
          options => {#{options => #{timeout => 7, <<"local_rows">> => <<"merge">>}},
                      fun(Answer) ->
                              Answer =:= {ok, #{dry_run => false, timeout => 7, local_rows => merge, data => keep, yes => false,
                                                also => [], lose => nothing, quorum => true}}
                      end},
          probe => {#{nodes => [], cookies => [], timeout_ms => 1, epmd_port => 4369, here => 'ejabberd@hello.world'},
                    fun(Answer) -> Answer =:= {ok, #{reaches => [], problems => [], texts => []}} end},
          ask => {#{about => #{wish => Operation, options => maps:get(options, Inputs), here => maps:get(node, Snapshot), at => <<"now">>},
                    snapshot => term_to_binary(Snapshot), answers => #{}},
                  fun(Answer) -> Answer =:= {ok, {need, [{rows, #{tables => [passwd], node => element(2, Operation)}}]}} end},
          plan => {Inputs, fun(Answer) -> Answer =:= {ok, Plan} end},
          ask_again => {#{about => Plan, snapshot => term_to_binary(Snapshot), answers => #{rows => maps:get(rows, Inputs)}}, fun(Answer) -> Answer =:= {ok, fits} end},
          verify => {#{plan => Plan, snapshot => Snapshot}, fun({error, {verify_failed, #{}}}) -> true end},
          test_node => {#{node => element(2, Operation), snapshot => Snapshot}, fun({ok, #{text := _}}) -> true end},
          status => {#{snapshot => Snapshot}, fun({ok, #{text := _}}) -> true end},
          recover => {#{plan => Plan, begun => 0, undoing => false, committed => false, reached => true, running => false},
                      fun(Answer) -> Answer =:= {ok, #{direction => back, offline => [], online => [], lock => if_free}} end},
          returning => {#{here => 'a@x.y', own => #{schema => <<"1">>},
                          known => [#{node => 'b@x.y', members => ['b@x.y'], cookies => #{schema => <<"1">>}}]},
                        fun({error, {forgotten_here, #{here := 'a@x.y', node := 'b@x.y'}}}) -> true end},
          left_behind => {#{here => 'a@x.y', members => [#{node => 'b@x.y', lists => undefined}]}, fun(Answer) -> Answer =:= {ok, ['b@x.y']} end},
          reentering => {#{id => <<"1">>, directory => <<"/d">>, here => 'a@x.y', own => #{}, known => []},
                         fun({ok, #{operation := {reenter, 'a@x.y'}, steps := [#{action := set_aside}]}}) -> true end},
          questions => {#{node => element(2, Operation), snapshot => Snapshot}, fun({ok, Questions}) -> is_list(Questions) end},
          diagnose => {#{examination => #{node => element(2, Operation), snapshot => Snapshot, reaches => [], pairs => [],
                                          unanswered => []}},
                       fun({ok, #{problems := Problems, text := Words}}) -> is_list(Problems) andalso is_binary(Words) end},
          salvage => {#{journal => #{id => <<"1">>, path => <<"/1">>, damage => journal_corrupt, reason => <<"x">>},
                        phase => not_kept, staged => false, restoring => false, ready => false, old_files => false,
                        schemas => #{directory => [], kept => [], staging => []}, running => false},
                      fun(Answer) -> Answer =:= {ok, undefined} end},
          drop_kept => {#{id => <<"1">>, confirm => undefined, kept => [], unfinished => undefined},
                        fun({error, {not_kept, #{}}}) -> true end},
          drop_archive => {#{id => <<"1">>, confirm => undefined, archives => [], unfinished => undefined},
                           fun({error, {not_archived, #{}}}) -> true end},
          waiting => {#{snapshot => Snapshot, tables => [], logs => [], reaches => []}, NoDatabase},
          overridden => {#{id => <<"1">>, here => 'a@x.y', directory => <<"/none">>, serving => undefined}, NoDatabase},
          render_operation => {#{past => past(), plan => Plan, events => []}, Text},
          backup => {#{snapshot => Snapshot, folder => #{path => <<"/b">>, found => undefined, free => undefined}},
                     fun({ok, #{tables := [_ | _], left_out := _, warnings := _}}) -> true end},
          rename => {#{from => <<"a@old.host">>, to => <<"b@new.host">>, directory => <<"/d">>, options => maps:get(options, Inputs),
                       at => <<"now">>, members => ['a@old.host'], tables => 1, bytes => 1, free => 2, owner => 0, runs_as => 0,
                       user => undefined, fallback => false, unfinished => undefined, obstacles => []},
                     fun({ok, #{operation := {rename, #{to := 'b@new.host'}}}}) -> true end},
          render_backup => {#{backup => #{tables => [passwd], left_out => [], rows => 1, bytes => 1, warnings => []}, path => <<"/b">>},
                            Text},
          comparisons => {#{node => undefined, policy => <<"copies: all">>, snapshot => Snapshot}, fun({ok, #{comparisons := Comparisons, not_compared := []}}) -> is_list(Comparisons) end},
          before_deletion => {#{table => roster, class => durable, rows => 1000, bytes => 100000, nodes => ['a@x.y', 'b@x.y']},
                              fun({ok, #{table := roster, nodes := ['a@x.y', 'b@x.y'], bits := 8, piece := 1000}}) -> true end},
          scrub => {#{snapshot => Snapshot, policy => undefined}, fun({ok, {compare, []}}) -> true; ({ok, {Name, _Why}}) -> lists:member(Name, ['of', wait]) end},
          watch => {#{memory => undefined,
                      seen => #{here => 'a@x.y', now => -5, policy => undefined, events => [asked],
                                pace => #{settle => 1, interval => 1, retry => 1, patience => 1, scrub => true, scrub_interval => 1},
                                members => [#{node => 'b@x.y', heard => silence, ago => 0}]}},
                    fun({ok, #{memory := #{}, effects := [], wake := 1, text := undefined, report := #{reconciler := #{finding := not_yet}}}}) -> true end},
          policy => {#{text => <<"copies: all\n">>}, fun({ok, #{copies := #{line := 1, value := all}}}) -> true end},
          may_begin => {#{repair => #{policy => <<"copies: all\n">>, minute => 0, lately => []}, options => maps:get(options, Inputs), step => hd(Steps),
                          node => 'a@x.y', policy => undefined, minute => 0},
                        fun({error, {other_policy, #{node := 'a@x.y'}}}) -> true end},
          topology => {#{snapshot => Snapshot, policy => <<"copies: all\n">>},
                       fun({ok, #{topology := #{steps := _}, text := Words}}) -> is_binary(Words) end},
          tables => {#{snapshot => Snapshot, policy => undefined}, fun({ok, #{tables := [_ | _], text := Words}}) -> is_binary(Words) end},
          differences => {#{not_compared => [{node_not_compared, #{node => 'c@x.y', tables => [passwd], reason => <<"timeout">>}}],
                            compared => [#{table => passwd, nodes => ['a@x.y', 'b@x.y'],
                                           found => {failed, #{node => 'b@x.y', reason => <<"undef">>}}}]},
                          fun({ok, #{text := Words, problems := [{node_not_compared, #{node := 'c@x.y'}}, {node_not_compared, #{node := 'b@x.y'}}]}}) ->
                                  is_binary(Words) end},
          render_plan => {#{plan => Plan}, Text},
          render_history => {#{past => []}, Text},
          render_problems => {#{problems => [{bad_request, #{reason => <<"none">>}}]}, Text},
          describe => {#{action => hd(Actions)}, Text},
          explain => {#{text => <<"{aborted,{no_majority,roster}}">>},
                      fun({ok, #{text := Words, sightings := [#{code := no_majority}], left_off := 0}}) -> is_binary(Words) end}},
    [{"all are here", ?_assertEqual(lists:sort(requests()), lists:sort(maps:keys(Answers)))},
     {"each action has words", ?_assert(lists:all(Text, [easy_cluster_native:call(describe, #{action => Action})
                                                         || Action <- Actions]))}
     | [{atom_to_list(Name), ?_assert(Expected(easy_cluster_native:call(Name, Args)))}
        || {Name, {Args, Expected}} <- maps:to_list(Answers)]].

past() ->
    #{id => <<"1">>, operation => <<"reset">>, begun => undefined, ended => undefined, milliseconds => undefined,
      outcome => unfinished, done => 0, steps => 0, kept => undefined, dropped => undefined, damage => undefined}.

%% As the core lists them to whoever asks for another.
requests() ->
    {error, {bad_request, #{reason := Reason}}} = easy_cluster_native:call(no_such_request, #{}),
    {match, [_Unknown | Known]} = re:run(Reason, "`([a-z_]+)`", [global, {capture, all_but_first, list}]),
    [list_to_atom(Name) || [Name] <- Known].

%% The tests run at the top of the project.
plan_request() ->
    {ok, Request} = file:read_file("native/easy_cluster_wire/tests/fixtures/plan.etf"),
    Request.

%%% Without the library

without_the_library_test_() ->
    Node = 'ejabberd@foo.bar',
    %% Of the VM itself, so that no other has to be there.
    Plan = #{id => <<"any">>, operation => {join, nonode@nohost}, options => #{timeout => 100}, steps => [], undo => [],
             members => [], node => nonode@nohost},
    Calls = [{Function, [Node | Opts]}
             || Function <- [test_node, doctor, diff, join, join_as_master, sync_node, forget], Opts <- [[], [#{}]]] ++
        [{plan, [{join, Node} | Opts]} || Opts <- [[], [#{}]]] ++
        [{repair, [#{table => any, winner => Node}, #{}]}] ++
        [{Function, Opts} || Function <- [reset, leave, rollback, force_boot], Opts <- [[], [#{}]]] ++
        [{Function, ["any" | Opts]} || Function <- [drop_kept, drop_archive], Opts <- [[], [#{}]]] ++
        [{Function, ["/none" | Opts]} || Function <- [backup, restore], Opts <- [[], [#{}]]] ++
        [{rename, [Node, 'ejabberd@new.host' | Opts]} || Opts <- [[], [#{}], ["/none", #{}]]] ++
        [{status, []}, {tables, []}, {doctor, []}, {diff, []}, {commit, [Plan]}, {planned, [Plan]}, {explain, ["any text"]}],
    %% What was not begun, what members say, and that there is no policy, is known without the core.
    Others = [{snapshot, 1}, {history, 0}, {history, 1}, {interrupted, 0}, {resume, 0}, {resume, 1}, {pause, 0}, {repair, 0}, {repair, 1},
              {subscribe, 0}, {unsubscribe, 0}],
    %% With what is called with each event.
    Reporting = [{commit, 2}, {backup, 3}],
    [{"all that ask the core are here", ?_assertEqual(exported() -- (Others ++ Reporting),
                                                      lists:sort([{Function, length(Args)} || {Function, Args} <- Calls]))}
     | [{Title, {setup, fun() -> installed(Library) end,
                 fun({Peer, Dir}) -> easy_cluster_peers:stop(Peer), easy_cluster_peers:remove(Dir) end,
                 fun({Peer, Dir}) ->
                         [{atom_to_list(Function), {timeout, 30, ?_test(assert_told(Peer, Dir, Function, Args))}}
                          || {Function, Args} <- Calls] ++
                             [{"what a person types", ?_assertEqual({error, native_library}, easy_cluster_peers:call(Peer, easy_cluster, status, []))},
                              {"format_error", ?_test(assert_words(Peer))}]
                 end}}
        || {Title, Library} <- [{"missing", none}, {"of the wrong kind", <<127, "ELF, nearly">>}]]].

exported() ->
    lists:sort(easy_cluster_api:module_info(exports)) -- [{module_info, 0}, {module_info, 1}].

assert_told(Peer, Dir, Function, Args) ->
    {error, {native_library, #{path := Path, reason := Reason}}} = easy_cluster_peers:call(Peer, easy_cluster_api, Function, Args),
    ?assertEqual(library(Dir), binary_to_list(Path)),
    ?assertMatch(<<"load_failed: ", _/binary>>, Reason).

assert_words(Peer) ->
    {error, Reason} = Error = easy_cluster_peers:call(Peer, easy_cluster_native, call, [version, #{}]),
    Words = unicode:characters_to_binary(easy_cluster_peers:call(Peer, easy_cluster, format_error, [Error])),
    ?assertNotEqual(nomatch, binary:match(Words, maps:get(path, element(2, Reason)))).

%% The modules in a folder of their own, with this for a library.
installed(Library) ->
    Dir = easy_cluster_peers:scratch(),
    Ours = filename:dirname(code:which(easy_cluster_nif)),
    [ok = file:make_dir(filename:join(Dir, Sub)) || Sub <- ["ebin", "priv"]],
    [{ok, _} = file:copy(Beam, filename:join([Dir, "ebin", filename:basename(Beam)]))
     || Beam <- filelib:wildcard(filename:join(Ours, "*.{beam,app}"))],
    [ok = file:write_file(library(Dir), Library) || Library =/= none],
    {ok, Peer, _Node} = peer:start(#{connection => standard_io,
                                     args => ["-kernel", "logger_level", "critical",
                                              "-pa", filename:join(Dir, "ebin") | code:get_path() -- [Ours]]}),
    {Peer, Dir}.

library(Dir) -> filename:join([Dir, "priv", "easy_cluster-" ++ easy_cluster_nif:version() ++ ".so"]).
