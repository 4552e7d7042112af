%% Looks at this node, at all members of a cluster and at the ways between them. Changes nothing.
-module(easy_cluster_doctor).

-export([examine/2]).
-export([ways/3]).
-export([places/0]).

-type diagnosis() :: #{problems := [{Code :: atom(), Details :: map()}], text := unicode:chardata()}.
-export_type([diagnosis/0]).

%% How far a node gets towards each of Others, asked of itself: resolver, epmd, distribution port. It is evaluated over
%% there by erl_eval, which every node has. The answers are failures as `model::reach' in the core has them.
-define(WAYS, "
    Text = fun(Address, Port) -> lists:flatten(io_lib:format(\"~s:~w\", [inet:ntoa(Address), Port])) end,
    Connect = fun(Address, Port) ->
        case gen_tcp:connect(Address, Port, [], Timeout) of
            {ok, Socket} -> gen_tcp:close(Socket);
            {error, Reason} -> {error, atom_to_list(Reason)}
        end
    end,
    Unregistered = fun(Alive, Address) ->
        case Connect(Address, EpmdPort) of
            ok -> {not_registered, #{address => Text(Address, EpmdPort), alive => Alive}};
            {error, \"timeout\" = Reason} -> {epmd_silent, #{address => Text(Address, EpmdPort), reason => Reason}};
            {error, Reason} -> {epmd_unreachable, #{address => Text(Address, EpmdPort), reason => Reason}}
        end
    end,
    Registered = fun(Address, Port) ->
        case Connect(Address, Port) of
            ok -> undefined;
            {error, \"timeout\"} -> {distribution_port_silent, #{address => Text(Address, Port)}};
            {error, Reason} -> {distribution_port_closed, #{address => Text(Address, Port), reason => Reason}}
        end
    end,
    Resolve = fun(Host) ->
        case inet:getaddr(Host, inet) of
            {ok, Address} -> {ok, Address};
            {error, _} -> inet:getaddr(Host, inet6)
        end
    end,
    Way = fun(Alive, Host) ->
        case Resolve(Host) of
            {error, Reason} -> {unknown_host, #{host => Host, reason => atom_to_list(Reason)}};
            {ok, Address} ->
                case erl_epmd:port_please(Alive, Address, Timeout) of
                    {port, Port, _Version} -> Registered(Address, Port);
                    _NoPort -> Unregistered(Alive, Address)
                end
        end
    end,
    Walkers = [{Node, spawn_monitor(fun() -> exit({way, Way(Alive, Host)}) end)} || {Node, Alive, Host} <- Others],
    [receive {'DOWN', Monitor, process, _, {way, Failure}} -> {Node, Failure} end || {Node, {_, Monitor}} <- Walkers].").
%% Each of at most this many steps on a way gets its share of the time.
-define(STEPS, 3).
%% So often the question is asked whose connection goes.
-define(LOOKS, 4).

%% What is wrong with the cluster of Node, as this node, the members and their views of each other tell.
-spec examine(node(), pos_integer()) -> {ok, diagnosis()} | easy_cluster_planner:error().
examine(Node, Timeout) ->
    easy_cluster_gather:with_snapshot(facts, [Node], Timeout, fun(#{members := Members} = Snapshot) ->
        Others = [Member || #{node := Member} <- Members, Member =/= node()],
        look(Node, Snapshot, easy_cluster_reach:probe(Others, Timeout), Timeout)
    end).

look(Node, Snapshot, {ok, #{reaches := Reaches}}, Timeout) ->
    case easy_cluster_native:call(questions, #{node => Node, snapshot => Snapshot}) of
        {ok, Questions} ->
            Answers = easy_cluster_rpc:parallel(fun(Question) -> ask(Question, Timeout) end, Questions, 2 * Timeout),
            Examination = #{node => Node, snapshot => Snapshot, reaches => Reaches,
                            pairs => pairs(Answers), unanswered => unanswered(Answers)},
            diagnosed(waits(easy_cluster_boot:waiting(), Snapshot, Timeout), Examination);
        {error, Reason} ->
            {error, Reason}
    end;
look(_Node, _Snapshot, {error, Reason}, _Timeout) ->
    {error, Reason}.

diagnosed({ok, Waits}, Examination) ->
    easy_cluster_native:call(diagnose, #{examination => maps:merge(Examination, Waits), places => places()});
diagnosed({error, Reason}, _Examination) ->
    {error, Reason}.

waits([], _Snapshot, _Timeout) ->
    {ok, #{}};
waits(Tables, Snapshot, Timeout) ->
    case easy_cluster_boot:awaited(Tables, Snapshot, Timeout) of
        {ok, #{waits := Waits}} -> {ok, #{waiting => Tables, awaited => Waits}};
        {error, Reason} -> {error, Reason}
    end.

%% Where the machine's files are, as ejabberd was told. Another application has its own, of which nothing is known.
-spec places() -> map() | undefined.
places() ->
    case lists:keymember(ejabberd, 1, application:which_applications()) of
        true ->
            #{root => <<"/">>,
              config => unicode:characters_to_binary(filename:dirname(config_path(ejabberd_config))),
              spool => unicode:characters_to_binary(mnesia:system_info(directory)),
              user => undefined};
        false ->
            undefined
    end.

%% Not called by its name, as a build without ejabberd does not know it.
config_path(Module) ->
    Module:path().

%% How far From gets towards each of To; nothing when it does not answer.
-spec ways(node(), [node()], pos_integer()) -> [map()].
ways(From, To, Timeout) ->
    Question = #{from => From, to => To},
    pairs([{Question, {ok, ask(Question, Timeout)}}]).

pairs(Answers) ->
    [#{from => From, to => To, failure => Failure} || {#{from := From}, {ok, {ok, Ways}}} <- Answers, {To, Failure} <- Ways].

unanswered(Answers) ->
    [{From, unicode:characters_to_binary(io_lib:format("~tP", [Reason, 10]))}
     || {#{from := From}, Answer} <- Answers, Reason <- reason(Answer)].

reason({ok, {ok, _Ways}}) -> [];
reason({ok, {error, Reason}}) -> [Reason];
reason({error, Reason}) -> [Reason].

ask(#{from := From, to := To}, Timeout) ->
    {ok, Tokens, _} = erl_scan:string(?WAYS),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    Others = [{Node, Alive, Host} || Node <- To, [Alive, Host] <- [string:split(atom_to_list(Node), "@")]],
    Bindings = orddict:from_list([{'Timeout', max(1, Timeout div ?STEPS)}, {'EpmdPort', easy_cluster_reach:epmd_port()},
                                  {'Others', Others}]),
    asked(From, [Exprs, Bindings], Timeout, ?LOOKS).

%% A look of the other one's that ends closes the connection of both.
asked(From, Args, Timeout, Left) ->
    case easy_cluster_rpc:call(From, erl_eval, exprs, Args, Timeout + Timeout div 2) of
        {ok, {value, Ways, _Bindings}} -> {ok, Ways};
        {error, noconnection} when Left > 1 -> reconnected(easy_cluster_rpc:connect_hidden(From, Timeout), From, Args, Timeout, Left - 1);
        {error, Reason} -> {error, Reason}
    end.

reconnected({ok, opened}, From, Args, Timeout, Left) ->
    Answer = asked(From, Args, Timeout, Left),
    ok = easy_cluster_rpc:disconnect_hidden(From),
    Answer;
reconnected(_ThereOrNot, From, Args, Timeout, Left) ->
    asked(From, Args, Timeout, Left).
