%% Asking other nodes through functions that they have anyway: nothing of ours need be installed there.
-module(easy_cluster_rpc).

-export([connect_hidden/2, disconnect_hidden/1]).
-export([call/5, batch/3]).
-export([peer/3, protocol/0]).
-export([parallel/3, answers/3]).

%% What members say to one another. Another number says that it cannot be understood.
-define(PROTOCOL, 1).

-type mfargs() :: {module(), atom(), [term()]}.
-export_type([mfargs/0]).

%% Connects without telling `global' and the rest of the world, so that looking at a cluster changes nothing in it.
%% `opened' when the connection is ours to close. Members of one cluster are connected to one another, and one that is just starting
%% takes whatever connection is there: were that one closed, Mnesia on both would take it for a split. So theirs is no hidden one, and stays.
%% Source: net_kernel:hidden_connect_node/1, on OTP 24 to 29.
-spec connect_hidden(node(), timeout()) -> {ok, opened | there} | {error, term()}.
connect_hidden(Node, _Timeout) when Node =:= node() ->
    {ok, there};
connect_hidden(Node, Timeout) ->
    case lists:member(Node, nodes(connected)) of
        true -> {ok, there};
        false -> connect(is_member(Node), Node, Timeout)
    end.

connect(true, Node, Timeout) -> kept(open(fun net_kernel:connect_node/1, Node, Timeout));
connect(false, Node, Timeout) -> open(fun net_kernel:hidden_connect_node/1, Node, Timeout).

kept({ok, opened}) -> {ok, there};
kept({error, Reason}) -> {error, Reason}.

%% net_kernel waits for its own set-up time, which may be longer than ours: whoever asked and has gone on must not be left
%% with a connection that comes about later.
open(Connect, Node, Timeout) ->
    Asker = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> open_for(Asker, Connect, Node) end),
    receive
        {Pid, true} ->
            Pid ! {Asker, taken},
            erlang:demonitor(Monitor, [flush]),
            {ok, opened};
        {Pid, _NotConnected} ->
            erlang:demonitor(Monitor, [flush]),
            {error, noconnection};
        {'DOWN', Monitor, process, Pid, Reason} ->
            {error, Reason}
    after Timeout ->
        Pid ! {Asker, gone_on},
        erlang:demonitor(Monitor, [flush]),
        receive {Pid, _Late} -> ok after 0 -> ok end,
        {error, timeout}
    end.

open_for(Asker, Connect, Node) ->
    Monitor = erlang:monitor(process, Asker),
    Connected = Connect(Node),
    Asker ! {self(), Connected},
    receive
        {Asker, taken} -> ok;
        {Asker, gone_on} -> disconnect_hidden(Node);
        {'DOWN', Monitor, process, Asker, _} when Connected =:= true -> disconnect_hidden(Node);
        {'DOWN', Monitor, process, Asker, _} -> ok
    end.

%% Whether the Mnesia of this node, running or starting, lists a node. Its own functions do not tell while it starts.
%% Source: mnesia_lib:set/2.
is_member(Node) ->
    try [Nodes || Copies <- [ram_copies, disc_copies], {_, Nodes} <- ets:lookup(mnesia_gvar, {schema, Copies})] of
        Members -> lists:member(Node, lists:append(Members))
    catch
        error:badarg -> false
    end.

%% Closes a connection that connect_hidden/2 opened, unless it has become a visible one meanwhile.
-spec disconnect_hidden(node()) -> ok.
disconnect_hidden(Node) ->
    case lists:member(Node, nodes(hidden)) of
        true -> _ = erlang:disconnect_node(Node), ok;
        false -> ok
    end.

-spec call(node(), module(), atom(), [term()], timeout()) -> {ok, term()} | {error, term()}.
call(Node, Module, Function, Args, Timeout) ->
    try erpc:call(Node, Module, Function, Args, Timeout) of
        Result -> {ok, Result}
    catch
        error:{erpc, Reason} -> {error, Reason};
        error:{exception, Reason, _Stack} -> {error, Reason};
        exit:{exception, Reason} -> {error, Reason};
        exit:{signal, Reason} -> {error, Reason};
        throw:Reason -> {error, {throw, Reason}}
    end.

%% Asks the easy_cluster of another member, in the version of the protocol that this one speaks. Without easy_cluster there, the error is `undef'.
-spec peer(node(), Request :: term(), timeout()) -> {ok, term()} | {error, undef | {other_version, map()} | term()}.
peer(Node, Request, Timeout) ->
    case call(Node, easy_cluster_peer, answer, [?PROTOCOL, Request], Timeout) of
        {ok, {ok, Answer}} -> {ok, Answer};
        {ok, _OtherVersion} -> {error, {other_version, #{nodes => [Node]}}};
        {error, Reason} -> {error, Reason}
    end.

-spec protocol() -> pos_integer().
protocol() -> ?PROTOCOL.

%% Several calls in one round trip: `erlang:apply/3' mapped over them by `lists', both of which every node has.
-spec batch(node(), [mfargs()], timeout()) -> {ok, [term()]} | {error, term()}.
batch(Node, Calls, Timeout) ->
    {Modules, Functions, Args} = lists:unzip3(Calls),
    call(Node, lists, zipwith3, [fun erlang:apply/3, Modules, Functions, Args], Timeout).

%% Fun of each key in a process of its own; whoever is not done after Timeout is given up, all at the same moment.
-spec parallel(fun((Key) -> term()), [Key], timeout()) -> [{Key, {ok, term()} | {error, term()}}].
parallel(Fun, Keys, Timeout) ->
    Workers = [{Key, spawn_monitor(fun() -> exit({done, Fun(Key)}) end)} || Key <- Keys],
    Deadline = deadline(Timeout),
    [{Key, await(Worker, Deadline)} || {Key, Worker} <- Workers].

%% The same for one that answers so itself: a worker that died or was given up is its error.
-spec answers(fun((Key) -> {ok, Result} | {error, term()}), [Key], timeout()) -> [{Key, {ok, Result} | {error, term()}}].
answers(Fun, Keys, Timeout) ->
    [{Key, answer(Answer)} || {Key, Answer} <- parallel(Fun, Keys, Timeout)].

answer({ok, Answer}) -> Answer;
answer({error, Reason}) -> {error, Reason}.

await({Pid, Monitor}, Deadline) ->
    receive
        {'DOWN', Monitor, process, Pid, {done, Result}} -> {ok, Result};
        {'DOWN', Monitor, process, Pid, Reason} -> {error, Reason}
    after remaining(Deadline) ->
        erlang:demonitor(Monitor, [flush]),
        exit(Pid, kill),
        {error, timeout}
    end.

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

remaining(infinity) -> infinity;
remaining(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).
