%% Calls a function in another VM of its own, which has any node's name, is reached by nobody and reaches nobody: Mnesia can
%% open there what belongs to that name, and no member of a cluster can find it.
%%
%%     1> easy_cluster_vm:call('ejabberd@old.host', erlang, node, [], 10000).
%%     {ok, 'ejabberd@old.host'}
%%
%% It has this VM's code path and ends with this VM.
-module(easy_cluster_vm).

%% Here
-export([call/5, call/6]).
-export([distribution/0]).
-export([program/0, boot/0]).
%% In the other VM
-export([answer/0]).

-define(OUTPUT_LIMIT, 1000000).
-define(MARK, "easy_cluster answers ").
-define(CALL, "EASY_CLUSTER_CALL").

-spec call(node(), module(), atom(), [term()], timeout()) -> {ok, term()} | {error, term()}.
call(Name, Module, Function, Args, Timeout) ->
    call(Name, [], Module, Function, Args, Timeout).

%% With flags of its own; those of distribution/0 let it reach whom this VM reaches.
-spec call(node(), Flags :: [string()], module(), atom(), [term()], timeout()) -> {ok, term()} | {error, term()}.
call(Name, Flags, Module, Function, Args, Timeout) ->
    case {program(), boot()} of
        {{ok, Program}, {ok, Boot}} -> in_own_process(fun() -> run(Program, Boot, Flags ++ named(Name), {Module, Function, Args}, Timeout) end);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% How this VM talks to others: by which protocol, with which certificates, on which port without epmd.
-spec distribution() -> [string()].
distribution() ->
    Flags = [proto_dist, ssl_dist_opt, ssl_dist_optfile, erl_epmd_port, epmd_port, epmd_module],
    lists:append([["-" ++ atom_to_list(Flag) | Values] || {Flag, Values} <- init:get_arguments(), lists:member(Flag, Flags)]).

%% A port sends to its owner also after it was given up.
in_own_process(Fun) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({said, Fun()}) end),
    receive
        {'DOWN', Monitor, process, Pid, {said, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {error, Reason}
    end.

%% Source: erlexec, which has left in the environment what it needs to be called again.
-spec program() -> {ok, file:filename()} | {error, string()}.
program() ->
    case os:getenv("BINDIR") of
        false -> {error, "BINDIR is not in the environment"};
        Folder -> {ok, filename:join(Folder, "erlexec")}
    end.

%% One that reads no .erlang file, if there is one.
-spec boot() -> {ok, file:filename()} | {error, string()}.
boot() ->
    Known = [filename:join([code:root_dir(), "bin", Name]) || Name <- ["no_dot_erlang", "start_clean"]],
    case [Boot || Boot <- Known, filelib:is_regular(Boot ++ ".boot")] of
        [Boot | _] -> {ok, Boot};
        [] -> {error, "no boot file is in " ++ filename:join(code:root_dir(), "bin")}
    end.

run(Program, Boot, Flags, Call, Timeout) ->
    Args = ["-noinput", "-boot", Boot, "+sbwt", "none", "-kernel", "logger_level", "none", "-mnesia", "core_dir", "false"]
        ++ Flags ++ ["-s", atom_to_list(?MODULE), "answer", "-pa" | code:get_path()],
    Environment = [{"ERL_FLAGS", false}, {"ERL_AFLAGS", false}, {"ERL_ZFLAGS", false}, {"EJABBERD_PID_PATH", false},
                   {"ERL_CRASH_DUMP_BYTES", "0"}, {?CALL, binary_to_list(base64:encode(term_to_binary(Call)))}],
    try open_port({spawn_executable, Program}, [{args, Args}, {env, Environment}, exit_status, binary, stderr_to_stdout, hide]) of
        Port -> output(Port, deadline(Timeout), <<>>)
    catch
        error:Reason -> {error, Reason}
    end.

%% A name without a listener, epmd or a cookie that anybody has; a host is long by its dot or colon.
named(nonode@nohost) ->
    [];
named(Name) ->
    [_, Host] = string:split(atom_to_list(Name), "@"),
    Flag = case string:find(Host, ".") =:= nomatch andalso string:find(Host, ":") =:= nomatch of
               true -> "-sname";
               false -> "-name"
           end,
    Cookie = integer_to_list(rand:uniform(1 bsl 60), 36),
    [Flag, atom_to_list(Name), "-dist_listen", "false", "-start_epmd", "false", "-setcookie", Cookie].

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

output(Port, _Deadline, Output) when byte_size(Output) > ?OUTPUT_LIMIT ->
    given_up(Port, says_too_much);
output(Port, Deadline, Output) ->
    receive
        {Port, {data, Data}} -> output(Port, Deadline, <<Output/binary, Data/binary>>);
        {Port, {exit_status, Status}} -> said(Output, Status)
    after left(Deadline) ->
        given_up(Port, timeout)
    end.

%% By its pid while it is still this VM's child, so that no other process can have it; and it is waited for, as it may hold files.
given_up(Port, Reason) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} ->
            _ = os:cmd("kill -KILL " ++ integer_to_list(Pid)),
            receive {Port, {exit_status, _}} -> ok after 5000 -> ok end;
        undefined ->
            ok
    end,
    {error, Reason}.

said(Output, Status) ->
    case re:run(Output, ?MARK "([A-Za-z0-9+/=]+)\\.", [{capture, all_but_first, binary}]) of
        {match, [Encoded]} -> binary_to_term(base64:decode(Encoded));
        nomatch -> {error, {ended, Status, printable(Output)}}
    end.

printable(Output) ->
    << <<(case Byte >= 32 andalso Byte < 127 of true -> Byte; false -> $\s end)>> || <<Byte>> <= Output >>.

%% What the other VM does. Its input ends when the VM that started it does.
-spec answer() -> no_return().
answer() ->
    _ = spawn(fun() -> end_with_parent(open_port({fd, 0, 0}, [in, eof])) end),
    {Module, Function, Args} = binary_to_term(base64:decode(os:getenv(?CALL))),
    Answer = try {ok, apply(Module, Function, Args)}
             catch Class:Reason:Stack -> {error, {Class, Reason, Stack}}
             end,
    io:put_chars([?MARK, base64:encode(term_to_binary(Answer)), ".\n"]),
    halt(0).

end_with_parent(Input) ->
    receive
        {Input, eof} -> halt(1, [{flush, false}]);
        {Input, {data, _}} -> end_with_parent(Input)
    end.
