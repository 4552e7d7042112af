%% Evaluates what the laboratory asks, on whichever node it names. A hidden node of its own, one a host.
%%
%% Requests are <<Id:32, Milliseconds:32, Form:8, Size:16, Node:Size/binary, Expressions/binary>>, answers <<Id:32, Term/binary>>. Form
%% is 0 for the value, 1 for what Erlang prints.
-module(lab_control).

-export([serve/2]).

serve(In, Out) ->
    serve_port(open_port({fd, In, Out}, [{packet, 4}, binary, eof])).

serve_port(Port) ->
    receive
        {Port, {data, <<Id:32, Timeout:32, Form:8, Size:16, Node:Size/binary, Text/binary>>}} ->
            Server = self(),
            spawn(fun() -> Server ! {answer, Id, term_to_binary(evaluate(binary_to_atom(Node), Text, Form, Timeout))} end),
            serve_port(Port);
        {answer, Id, Answer} ->
            true = port_command(Port, [<<Id:32>>, Answer]),
            serve_port(Port);
        {Port, eof} ->
            halt(0)
    end.

evaluate(Node, Text, Form, Timeout) ->
    try
        {ok, Tokens, _End} = erl_scan:string(unicode:characters_to_list(Text)),
        {ok, Expressions} = erl_parse:parse_exprs(Tokens),
        {value, Value, _Bindings} = call(Node, erl_eval, expr, [closed(Expressions), []], Timeout),
        {ok, formed(Form, Value)}
    catch
        error:{badmatch, {error, {_Line, Module, Why}}} -> {error, parse, Why, unicode:characters_to_binary(Module:format_error(Why))};
        error:{badmatch, {error, {_Line, Module, Why}, _End1}} -> {error, parse, Why, unicode:characters_to_binary(Module:format_error(Why))};
        error:{exception, Reason, _Stack} -> {error, error, Reason, print(Reason)};
        exit:{exception, Reason} -> {error, exit, Reason, print(Reason)};
        Class:Reason -> {error, Class, Reason, print(Reason)}
    end.

%% The fun keeps the bindings where they are, as they can be large.
closed(Expressions) ->
    {call, 1, {'fun', 1, {clauses, [{clause, 1, [], [], Expressions}]}}, []}.

call(Node, Module, Function, Args, _Timeout) when Node =:= node() -> apply(Module, Function, Args);
call(Node, Module, Function, Args, Timeout) -> erpc:call(Node, Module, Function, Args, Timeout).

formed(0, Value) -> Value;
formed(1, Value) -> print(Value).

print(Term) ->
    unicode:characters_to_binary(io_lib:format("~tp", [Term])).
