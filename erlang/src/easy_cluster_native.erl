%% Asking the core. Its requests and answers are listed in `easy_cluster_wire::dispatch'.
-module(easy_cluster_native).

-export([call/2]).

-type answer() :: {ok, term()} | {error, {Code :: atom(), Details :: map()}}.
-export_type([answer/0]).

%% Answers Operation with Args. Where several things are wrong, the error is the first of them, and all of them are under
%% `problems'.
-spec call(atom(), map()) -> answer().
call(Operation, Args) ->
    case easy_cluster_nif:loaded() of
        ok ->
            Request = term_to_binary({Operation, Args}, [{minor_version, 2}]),
            %% Atoms in an answer are the core's own words, of which there are finitely many, or came with the request:
            %% what was typed stays text.
            result(binary_to_term(raw(Operation, Request)));
        {error, NotLoaded} ->
            {error, NotLoaded}
    end.

raw(Operation, Request) when Operation =:= probe; Operation =:= diagnose; Operation =:= explain; Operation =:= waiting;
                             Operation =:= overridden ->
    easy_cluster_nif:call_io(Request);
raw(_Operation, Request) -> easy_cluster_nif:call(Request).

result({ok, Result}) -> {ok, Result};
result({error, [Problem]}) -> {error, Problem};
result({error, [{Code, Details} | _] = All}) -> {error, {Code, Details#{problems => All}}}.
