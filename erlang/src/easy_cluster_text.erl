%% Errors and whatever the core has words for, as text.
-module(easy_cluster_text).

-export([error/1, problems/2, rendered/2, words/2]).
-export([typed/1, print/1, whole/1]).

%% An error of any function in words: code, evidence, cause, fix.
-spec error(term()) -> unicode:chardata().
error({error, Reason}) ->
    ?MODULE:error(Reason);
error({Code, Details}) when is_atom(Code), is_map(Details) ->
    problems(Details, {Code, Details});
error(Other) ->
    io_lib:format("~tp~n", [Other]).

-spec problems(map(), {atom(), map()}) -> unicode:chardata().
problems(Details, First) ->
    words(render_problems, printables(Details, First)).

%% The same, or why these are no problems of the catalogue.
-spec rendered(map(), {atom(), map()}) -> easy_cluster_native:answer().
rendered(Details, First) ->
    easy_cluster_native:call(render_problems, printables(Details, First)).

printables(#{problems := All} = Details, {Code, _}) ->
    case is_list(All) andalso length_of(All) > 0 andalso lists:all(fun is_problem/1, All) of
        true -> #{problems => [printable(Problem) || Problem <- All]};
        false -> #{problems => [printable({Code, maps:remove(problems, Details)})]}
    end;
printables(_Details, One) ->
    #{problems => [printable(One)]}.

is_problem({Code, Details}) -> is_atom(Code) andalso is_map(Details);
is_problem(_Other) -> false.

%% An improper list has none.
length_of(List) ->
    try length(List)
    catch error:badarg -> 0
    end.

%% Reasons come as terms of all kinds from all over OTP; the catalogue takes names, numbers and text.
printable({Code, Details}) ->
    {Code, maps:map(fun(_Key, Value) -> printable_value(Value) end, Details)}.

printable_value(Value) when is_atom(Value); is_number(Value); is_binary(Value) -> Value;
printable_value([]) -> [];
printable_value(Value) when is_list(Value) ->
    case length_of(Value) > 0 andalso lists:all(fun is_atom/1, Value) of
        true -> Value;
        false -> print_value(Value)
    end;
printable_value(Value) -> print_value(Value).

print_value(Value) ->
    case io_lib:printable_unicode_list(Value) of
        true -> unicode:characters_to_binary(Value);
        false -> unicode:characters_to_binary(io_lib:format("~tP", [Value, 30]))
    end.

%% Without the core there are no words, but the term says the same.
words(Operation, #{problems := Problems} = Args) ->
    case easy_cluster_native:call(Operation, Args) of
        {ok, Text} -> Text;
        {error, _Why} -> [io_lib:format("~tp~n", [Problem]) || Problem <- Problems]
    end;
words(Operation, Args) ->
    case easy_cluster_native:call(Operation, Args) of
        {ok, Text} -> Text;
        {error, Why} -> io_lib:format("~tp~n", [Why])
    end.

%% A term on few lines, however large it is.
-spec print(term()) -> binary().
print(Term) ->
    <<Text/binary>> = unicode:characters_to_binary(io_lib:format("~tP", [Term, 30])),
    Text.

%% A term as it is, for a message that repeats what was typed.
-spec whole(term()) -> binary().
whole(Term) ->
    <<Text/binary>> = unicode:characters_to_binary(io_lib:format("~tp", [Term])),
    Text.

%% What was typed, as text.
-spec typed(term()) -> binary().
typed(Typed) when is_atom(Typed) -> atom_to_binary(Typed);
typed(Typed) when is_binary(Typed) -> utf8(Typed, Typed);
typed(Typed) when is_list(Typed) -> utf8(Typed, Typed);
typed(Typed) -> whole(Typed).

utf8(Chars, Typed) ->
    try unicode:characters_to_binary(Chars) of
        Text when is_binary(Text) -> Text;
        _NotText -> whole(Typed)
    catch error:badarg -> whole(Typed)
    end.
