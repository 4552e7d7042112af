%% The ways between other nodes, as they find them themselves.
-module(easy_cluster_ways).

-export([ways/3]).
-export([ask/2, pairs/1, unanswered/1]).
-export([program/0]).

-type question() :: #{from := node(), to := [node()]}.

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

%% How far From gets towards each of To; nothing when it does not answer.
-spec ways(node(), [node()], pos_integer()) -> [map()].
ways(From, To, Timeout) ->
    Question = #{from => From, to => To},
    pairs([{Question, {ok, ask(Question, Timeout)}}]).

%% What was found, of all questions that were answered.
-spec pairs([{question(), term()}]) -> [map()].
pairs(Answers) ->
    [#{from => From, to => To, failure => Failure} || {#{from := From}, {ok, {ok, Ways}}} <- Answers, {To, Failure} <- Ways].

%% And why the others were not.
-spec unanswered([{question(), term()}]) -> [{node(), binary()}].
unanswered(Answers) ->
    [{From, unicode:characters_to_binary(io_lib:format("~tP", [Reason, 10]))}
     || {#{from := From}, Answer} <- Answers, Reason <- reason(Answer)].

reason({ok, {ok, _Ways}}) -> [];
reason({ok, {error, Reason}}) -> [Reason];
reason({error, Reason}) -> [Reason].

-spec ask(question(), pos_integer()) -> {ok, [{node(), term()}]} | {error, term()}.
ask(#{from := From, to := To}, Timeout) ->
    Exprs = program(),
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

%% What the other nodes evaluate, with `Timeout', `EpmdPort' and `Others' bound.
-spec program() -> [erl_parse:abstract_expr()].
program() ->
    {ok, Tokens, _} = erl_scan:string(?WAYS),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    Exprs.
