%% Whether the ejabberd that runs has read its configuration from the very files that lie on disc now: then it has found them
%% valid, and nobody need read them again.
%%
%% Times are what tells: a file that was written, renamed or replaced has a new ctime, and one that was removed leaves it to its
%% folder. All of them have to be older than this VM. Whatever cannot be told counts as a change.
-module(easy_cluster_configuration_files).

-include_lib("kernel/include/file.hrl").

-export([unchanged/1, all/1]).
%% For tests
-export([references/1, is_before/2]).

%% Seconds. Times of files are whole seconds here.
-define(MARGIN, 2).
%% A key that is likely to hold the name of a file.
-define(FILE_KEY, "file|cert|path|dir|root|cmd|program|key|script|include|socket").
%% What is likely to be the name of a file, under whatever key.
-define(FILE_NAME, "\\.(pem|crt|cer|der|p12|key|jwks?|ya?ml|json|cfg|conf|config|ini|txt|msg|sh|pl|py|rb|lua|php|exe|sql|db|sqlite|so|beam)$").
%% What tells ejabberd where its files are.
-define(VARIABLES, ["EJABBERD_CONFIG_PATH", "CONTRIB_MODULES_PATH", "CONTRIB_MODULES_CONF_DIR", "HOME"]).
%% What other files or programs become part of the configuration by.
-define(UNDECIDABLE_KEYS, [<<"include_config_file">>, <<"install_contrib_modules">>, <<"extauth_program">>]).

-spec unchanged(file:filename()) -> boolean().
unchanged(Path) ->
    case vm_start() of
        {ok, Start} -> is_the_one_of_the_start(Path) andalso are_modules_before(Start) andalso
                           lists:all(fun(File) -> is_read_before(File, Start) end, [Path | module_files()]);
        unknown -> false
    end.

is_read_before(Path, Start) ->
    is_before(Path, Start) andalso are_references_before(file:read_file(Path), Start).

%% Every file of a configuration, if all that it names can be told.
-spec all(file:filename()) -> {ok, [file:filename()]} | unknown.
all(Path) ->
    Files = [Path | module_files()],
    Named = [named(file:read_file(File)) || File <- Files],
    case lists:member(unknown, Named) of
        true -> unknown;
        false -> {ok, Files ++ lists:append([More || {ok, More} <- Named])}
    end.

named({ok, Text}) -> references(decoded(Text));
named({error, _Unreadable}) -> unknown.

are_references_before({ok, Text}, Start) ->
    case references(decoded(Text)) of
        {ok, Files} -> lists:all(fun(File) -> is_before(File, Start) end, Files);
        unknown -> false
    end;
are_references_before({error, _Unreadable}, _Start) ->
    false.

%%% When this VM was started

%% Two ways, of which one holds no matter how the clock was set meanwhile.
vm_start() ->
    Drift = abs(erlang:system_time(millisecond) - os:system_time(millisecond)),
    ByErlang = erlang:convert_time_unit(erlang:system_info(start_time) + erlang:time_offset(), native, second),
    case by_kernel(file:read_file(["/proc/", os:getpid(), "/stat"]), file:read_file("/proc/uptime")) of
        {ok, ByKernel} when Drift =< 1000, abs(ByKernel - ByErlang) =< ?MARGIN -> {ok, min(ByKernel, ByErlang)};
        _ -> unknown
    end.

%% Source: proc(5): field 22 is the start in hundredths of a second since the boot; the second field is in parentheses, and may hold any.
by_kernel({ok, Stat}, {ok, Uptime}) ->
    [_, Fields] = string:split(Stat, ")", trailing),
    Started = binary_to_integer(lists:nth(20, string:lexemes(Fields, " \n"))) / 100,
    [Up | _] = string:lexemes(Uptime, " "),
    {ok, trunc(os:system_time(millisecond) / 1000 - binary_to_float(Up) + Started)};
by_kernel(_, _) ->
    unknown.

%% Variables, or the application's environment, may have been set since ejabberd has read its file.
is_the_one_of_the_start(Path) ->
    Set = [Key || Key <- [config, file], application:get_env(ejabberd, Key) =/= undefined],
    Macros = [Macro || "EJABBERD_MACRO_" ++ _ = Macro <- os:getenv()],
    lists:member(filename:extension(Path), [".yml", ".yaml"]) andalso Set =:= [] andalso Macros =:= [] andalso
        os:getenv("EJABBERD_CONFIG_PATH") =:= Path andalso
        is_environment_kept(file:read_file(["/proc/", os:getpid(), "/environ"])).

%% Source: proc(5): as it was when the VM was started.
is_environment_kept({ok, Text}) ->
    First = [list_to_tuple(binary:split(Variable, <<"=">>)) || Variable <- binary:split(Text, <<0>>, [global])],
    lists:all(fun(Name) -> proplists:get_value(list_to_binary(Name), First, false) =:= value(os:getenv(Name)) end, ?VARIABLES);
is_environment_kept({error, _Hidden}) ->
    false.

value(false) -> false;
value(Value) -> unicode:characters_to_binary(Value).

%%% Configuration files of installed modules, which ejabberd merges into its own

module_files() ->
    [unicode:characters_to_list(File) || File <- modules(modules_configs)].

%% Folders, as a file that has come or gone changes the folder only. Where no module's folder is left, none was in the code path.
are_modules_before(Start) ->
    {Root, Configs} = {modules(modules_dir), modules(config_dir)},
    Below = filelib:wildcard(Root ++ "/*") ++ filelib:wildcard(Root ++ "/*/conf"),
    Folders = [Folder || Folder <- [Root, Configs | Below], filelib:is_dir(Folder)],
    Gone = [Path || Path <- code:get_path(), lists:prefix(Root ++ "/", Path), not filelib:is_dir(Path)],
    Gone =:= [] andalso
        (lists:member(Configs, Folders) orelse lists:prefix(Root ++ "/", Configs)) andalso
        lists:all(fun(Folder) -> is_kept(Folder, Start) end, Folders).

%% ejabberd and its libraries are not there when this is compiled.
modules(Function) ->
    apply(ext_mod, Function, []).

decoded(Text) ->
    apply(fast_yaml, decode, [Text, []]).

%%% What a configuration names

%% Files that a decoded configuration names; `unknown' when it may name others.
-spec references({ok, [term()]} | {error, term()}) -> {ok, [string()]} | unknown.
references({ok, Documents}) ->
    Found = lists:flatten([reference(<<>>, Document) || Document <- Documents]),
    case lists:member(unknown, Found) of
        true -> unknown;
        false -> {ok, [File || {file, File} <- lists:usort(Found)]}
    end;
references({error, _NotYaml}) ->
    unknown.

reference(_Key, {Key, Value}) ->
    case lists:member(Key, ?UNDECIDABLE_KEYS) of
        true -> unknown;
        false -> reference(Key, Value)
    end;
reference(Key, List) when is_list(List) -> [reference(Key, Item) || Item <- List];
reference(_Key, Number) when is_number(Number) -> [];
reference(_Key, <<"/", _/binary>> = Path) -> absolute(is_like(Path, "[][*?{}\\\\$@~\\s]"), Path);
reference(Key, Text) when is_binary(Text) -> relative(Key, Text);
reference(_Key, _Odd) -> unknown.

%% A glob, or what becomes something else before it is used.
absolute(true, _Path) -> unknown;
absolute(false, Path) -> {file, unicode:characters_to_list(Path)}.

relative(Key, Text) ->
    IsPlain = is_like(Text, "^(true|false|[0-9]*)$"),
    IsUrl = is_like(Text, "^(https?|wss?|ldaps?|xmpp)://"),
    IsNetwork = is_like(Text, "^[0-9a-f.:]+/[0-9]+$"),
    IsFile = (is_binary(Key) andalso is_like(Key, ?FILE_KEY)) orelse is_like(Text, "/") orelse is_like(Text, ?FILE_NAME),
    case IsPlain orelse IsUrl orelse IsNetwork orelse not IsFile of
        true -> [];
        false -> unknown
    end.

is_like(Text, Pattern) ->
    re:run(Text, Pattern, [caseless, unicode, {capture, none}]) =:= match.

%%% Times

%% A file or folder that cannot have been exchanged since: neither it nor a folder above it has changed, none is a link, and the
%% clock that has set their times is this machine's. The folders below the root are left out: they change all the time, and
%% nobody exchanges them.
-spec is_before(file:filename(), integer()) -> boolean().
is_before(Path, Start) ->
    case filename:split(Path) of
        ["/", _First, _Second | _] = Names -> lists:all(fun(Each) -> is_kept(Each, Start) end, below_first(Names));
        _ -> false
    end.

below_first(Names) ->
    [filename:join(lists:sublist(Names, Length)) || Length <- lists:seq(3, length(Names))].

is_kept(Path, Start) ->
    case file:read_link_info(Path, [raw, {time, posix}]) of
        {ok, #file_info{type = Type, mtime = Written, ctime = Changed, major_device = Device}} ->
            lists:member(Type, [regular, directory]) andalso is_on_disc(Device) andalso max(Written, Changed) + ?MARGIN =< Start;
        {error, _Gone} ->
            false
    end.

%% Source: Linux numbers file systems without a device of their own, of other machines among them, from major number 0.
is_on_disc(Device) ->
    (Device bsr 8) band 16#fff =/= 0.
