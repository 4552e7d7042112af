%% Whether ejabberd could start again with the configuration that lies on disc now. Where that is not certainly the one that it
%% has read, another VM finds out: ejabberd has no check, only ejabberd_config:load/0, which replaces the configuration that runs.
%%
%%     1> easy_cluster_configuration:await(easy_cluster_configuration:start()).
%%     valid
%%
%% The other VM has this one's code path and environment, and neither a name, nor Mnesia, nor log files.
-module(easy_cluster_configuration).

-include_lib("kernel/include/file.hrl").

%% Here
-export([start/0, await/1]).
%% In the other VM
-export([answer/0]).
-export_type([verdict/0]).

-type verdict() :: undefined | valid | {invalid, #{path := binary(), reason := binary()}} | {unchecked, #{reason := binary()}}.
%% `undefined': there is no ejabberd here.

-define(DEADLINE, 10000).
%% Milliseconds.
-define(VALID_FOR, 10000).
-define(OUTPUT_LIMIT, 100000).
-define(REASON_LIMIT, 1000).
-define(MARK, "easy_cluster says ").
%% They read and validate; the rest of what ejabberd starts is for serving.
-define(NEEDED, [yconf, xmpp]).

%% Begins; await/1 has the verdict, which takes some 0.4 s where another VM is needed.
-spec start() -> {pid(), reference()}.
start() ->
    spawn_monitor(fun() -> exit({verdict, check(lists:keymember(ejabberd, 1, application:which_applications()))}) end).

-spec await({pid(), reference()}) -> verdict().
await({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, {verdict, Verdict}} -> Verdict;
        {'DOWN', Monitor, process, Pid, Reason} -> unchecked(Reason)
    end.

check(false) ->
    undefined;
check(true) ->
    Path = filename:absname(unicode:characters_to_list(config(path, []))),
    check(easy_cluster_configuration_files:unchanged(Path), Path).

check(true, _Path) ->
    valid;
check(false, Path) ->
    Now = erlang:monotonic_time(millisecond),
    Identity = identities(easy_cluster_configuration_files:all(Path)),
    case persistent_term:get(?MODULE, none) of
        {Identity, Checked} when Identity =/= unknown, Now - Checked < ?VALID_FOR -> valid;
        _ -> remembered(Identity, check(Path, easy_cluster_vm:program(), easy_cluster_vm:boot()))
    end.

check(Path, {ok, Program}, {ok, Boot}) -> asked(Path, Program, Boot);
check(_Path, {error, Reason}, _Boot) -> unchecked(Reason);
check(_Path, _Program, {error, Reason}) -> unchecked(Reason).

%% A join plans and commits at once: what was valid a moment ago, and was not written since, is valid.
remembered(Identity, valid) ->
    persistent_term:put(?MODULE, {Identity, erlang:monotonic_time(millisecond)}),
    valid;
remembered(_Identity, Verdict) ->
    Verdict.

identities({ok, Paths}) -> [identity(Path) || Path <- Paths];
identities(unknown) -> unknown.

identity(Path) ->
    case file:read_file_info(Path, [raw, {time, posix}]) of
        {ok, #file_info{inode = Inode, size = Size, mtime = Written, ctime = Changed}} -> {Path, Inode, Size, Written, Changed};
        {error, Reason} -> {Path, Reason}
    end.

asked(Path, Program, Boot) ->
    Args = ["-noinput", "-hidden", "-boot", Boot, "+S", "1:1", "+SDio", "1", "+sbwt", "none",
            "-kernel", "logger_level", "none", "-s", atom_to_list(?MODULE), "answer", "-pa" | code:get_path()],
    %% Flags in the environment could give it a name; a crash dump would lie among ejabberd's logs.
    Environment = [{"ERL_FLAGS", false}, {"ERL_AFLAGS", false}, {"ERL_ZFLAGS", false}, {"EJABBERD_PID_PATH", false},
                   {"ERL_CRASH_DUMP_BYTES", "0"}, {"EJABBERD_CONFIG_PATH", Path}],
    try open_port({spawn_executable, Program}, [{args, Args}, {env, Environment}, exit_status, binary, stderr_to_stdout, hide]) of
        Port -> verdict(Path, output(Port, erlang:monotonic_time(millisecond) + ?DEADLINE, <<>>))
    catch
        error:Reason -> unchecked(Reason)
    end.

output(Port, _Deadline, Output) when byte_size(Output) > ?OUTPUT_LIMIT ->
    given_up(Port, "the other VM says too much");
output(Port, Deadline, Output) ->
    receive
        {Port, {data, Data}} -> output(Port, Deadline, <<Output/binary, Data/binary>>);
        {Port, {exit_status, Status}} -> said(Output, Status)
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
        given_up(Port, "the other VM did not answer in time")
    end.

%% By its pid while it is still this VM's child, so that no other process can have it.
given_up(Port, Reason) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} -> _ = os:cmd("kill -KILL " ++ integer_to_list(Pid)), ok;
        undefined -> ok
    end,
    {unchecked, Reason}.

%% Others in that VM may print, too.
said(Output, Status) ->
    case re:run(Output, ?MARK "([A-Za-z0-9+/=]+)\\.", [{capture, all_but_first, binary}]) of
        {match, [Encoded]} -> binary_to_term(base64:decode(Encoded), [safe]);
        nomatch -> {unchecked, io_lib:format("the other VM ended with status ~w: ~ts", [Status, printable(Output)])}
    end.

printable(Output) ->
    << <<(case Byte >= 32 andalso Byte < 127 of true -> Byte; false -> $\s end)>> || <<Byte>> <= Output >>.

verdict(_Path, valid) -> valid;
verdict(Path, {invalid, Reason}) -> {invalid, #{path => text(Path), reason => text(Reason)}};
verdict(_Path, {unchecked, Reason}) -> unchecked(Reason).

unchecked(Reason) ->
    {unchecked, #{reason => text(Reason)}}.

text(Reason) ->
    try unicode:characters_to_binary(string:slice(Reason, 0, ?REASON_LIMIT)) of
        Text when is_binary(Text) -> Text;
        _NotText -> text(io_lib:format("~tw", [Reason]))
    catch error:_NotText -> text(io_lib:format("~tw", [Reason]))
    end.

%% What the other VM does: loads, says what came of it and ends, also when nobody listens any more.
-spec answer() -> no_return().
answer() ->
    _ = spawn(fun() -> receive after ?DEADLINE -> halt(1) end end),
    Verdict = try loaded([application:ensure_all_started(App) || App <- ?NEEDED])
              catch Class:Reason -> {unchecked, text(io_lib:format("~tw", [{Class, Reason}]))}
              end,
    io:put_chars([?MARK, base64:encode(term_to_binary(Verdict)), ".\n"]),
    halt(0).

loaded(Started) ->
    [] = [Reason || {error, Reason} <- Started],
    _ = application:load(ejabberd),
    case config(load, []) of
        ok -> valid;
        %% Not the configuration's fault, as far as one can know.
        {error, {exception, Class, Reason, _Stack}} -> {unchecked, text(io_lib:format("~tw", [{Class, Reason}]))};
        Error -> {invalid, text(config(format_error, [Error]))}
    end.

%% ejabberd is not there when this is compiled.
config(Function, Args) ->
    apply(ejabberd_config, Function, Args).
