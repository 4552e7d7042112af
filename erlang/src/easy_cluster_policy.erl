%% The policy that this node has: `docs/policy.md'. ejabberd hands it over as what its YAML parser has made of it; the core reads
%% text, so it is written down again, without what else is in the configuration.
-module(easy_cluster_policy).

-export([current/0, set/1]).
-export([set/2, unset/1]).
-export([validator/1]).
-export([from_yaml/1]).

%% What ejabberd's YAML parser makes of a value.
-type yaml() :: atom() | number() | binary() | [yaml()] | [{yaml(), yaml()}].
-export_type([yaml/0]).

-spec current() -> binary() | undefined.
current() ->
    case {of_hosts(), application:get_env(easy_cluster, policy, undefined)} of
        {[{_First, Text} | _], _} -> Text;
        {[], undefined} -> undefined;
        {[], Text} -> easy_cluster_text:typed(Text)
    end.

%% What the environment of the application says. The members look at what has changed.
-spec set(binary() | undefined) -> ok.
set(undefined) -> application:unset_env(easy_cluster, policy);
set(Text) -> application:set_env(easy_cluster, policy, Text).

%% What a virtual host of ejabberd's says, if it says anything. They may differ (`host_config'), and ejabberd starts them in any order: the
%% first by name that has a policy decides, and it does so before the environment.
-spec set(Host :: binary(), binary() | undefined) -> ok.
set(Host, Text) ->
    keep((kept())#{Host => Text}),
    warn(of_hosts()).

warn([{First, Text} | Others]) ->
    [logger:warning(#{what => easy_cluster_policy, followed => First, not_followed => Other}) || {Other, Its} <- Others, Its =/= Text],
    ok;
warn([]) ->
    ok.

%% The virtual host does not run the module any more.
-spec unset(Host :: binary()) -> ok.
unset(Host) ->
    keep(maps:remove(Host, kept())).

of_hosts() ->
    [{Host, Text} || {Host, Text} <- lists:sort(maps:to_list(kept())), Text =/= undefined].

%% Not in the environment: who changes that waits for the process that stops ejabberd, which waits for its modules.
keep(Policies) -> persistent_term:put(?MODULE, Policies).

kept() -> persistent_term:get(?MODULE, #{}).

%% A validator of ejabberd's (`econf', which a build without ejabberd does not know): from what the parser has made of it to the text.
%% The lines that it tells are those of `ejabberd.yml' or of the file of the module, where the policy stands there.
-spec validator(module()) -> fun((yaml()) -> binary()).
validator(Econf) ->
    fun(Yaml) ->
            Text = from_yaml(Yaml),
            case easy_cluster_native:call(policy, #{text => Text}) of
                {ok, _Policy} -> Text;
                {error, Reason} -> Econf:fail({policy, words(in_files(files(ejabberd_config), Reason))})
            end
    end.

words(Reason) ->
    string:split(string:trim(unicode:characters_to_list(easy_cluster_text:error(Reason))), "\n", all).

%% `module_install' gives each module a file of its own.
files(Config) ->
    [_ | _] = Path = unicode:characters_to_list(Config:path()),
    [Path | filelib:wildcard(filename:join([filename:dirname(Path), "modules.d", "*.yml"]))].

%% A file may have changed since, or another one have the policy: then the lines are those of the text.
in_files([], Reason) ->
    Reason;
in_files([Path | Paths], Reason) ->
    case in_file(file:read_file(Path)) of
        {error, {Code, _} = InFile} when Code =/= policy_missing, Code =/= policy_not_yaml -> InFile;
        _NotThere -> in_files(Paths, Reason)
    end.

%% To the core, a file without modules is a policy.
in_file({ok, Text}) ->
    case re:run(Text, "^\\s+mod_easy_cluster:", [multiline, {capture, none}]) of
        match -> easy_cluster_native:call(policy, #{text => Text});
        nomatch -> none
    end;
in_file({error, _Unreadable}) ->
    none.

-spec from_yaml(yaml()) -> binary().
from_yaml(Yaml) ->
    <<Text/binary>> = unicode:characters_to_binary(top(Yaml)),
    Text.

top([{_, _} | _] = Map) -> map(Map, "");
top(Other) -> value(Other, "").

map(Pairs, Indent) ->
    [[Indent, scalar(Key), ":", value(Value, Indent)] || {Key, Value} <- Pairs].

value([{_, _} | _] = Map, Indent) -> ["\n", map(Map, ["  " | Indent])];
value(List, _Indent) when is_list(List) -> [" [", lists:join(", ", [scalar(Each) || Each <- List]), "]\n"];
value(Scalar, _Indent) -> [" ", scalar(Scalar), "\n"].

scalar(Empty) when Empty =:= ''; Empty =:= <<>> -> "";
scalar(Number) when is_integer(Number) -> integer_to_list(Number);
scalar(Number) when is_float(Number) -> io_lib:format("~w", [Number]);
scalar(Text) when is_atom(Text); is_binary(Text) -> ["\"", [escaped(Char) || Char <- unicode:characters_to_list(text(Text))], "\""];
scalar(Nested) -> scalar(iolist_to_binary(io_lib:format("~tp", [Nested]))).

text(Text) when is_atom(Text) -> atom_to_binary(Text);
text(Text) -> Text.

escaped(Char) when Char =:= $"; Char =:= $\\ -> [$\\, Char];
escaped(Char) when Char < 32 -> io_lib:format("\\x~2.16.0B", [Char]);
escaped(Char) -> Char.
