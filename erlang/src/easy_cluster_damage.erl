%% Journals that cannot be read, and what the marks in Mnesia's directory say of an exchange whose journal is lost.
-module(easy_cluster_damage).

-export([half/1, verdict/2]).
-export([damaged/1, suspects/1]).
-export([is_plan/1]).

-type damage() :: journal_corrupt | journal_version | journal_read | journal_missing.
-type damaged() :: #{id := binary(), path := binary(), damage := damage(), reason := binary()}.
-export_type([damaged/0]).

%% The first operation that would have to be settled.
-spec half(file:filename()) -> binary() | undefined.
half(Directory) ->
    case [Id || #{id := Id} = Journal <- suspects(Directory), verdict(Directory, Journal) =/= {ok, undefined}] of
        [] -> undefined;
        [Id | _] -> Id
    end.

%% What the core says of one: nothing, or which way its exchange has to go.
-spec verdict(file:filename(), damaged()) -> {ok, undefined | map()} | {error, {atom(), map()}}.
verdict(Directory, #{id := Id} = Journal) ->
    case easy_cluster_directory:marks(Directory, Id) of
        {ok, Marks} ->
            #{kept := Kept, staging := Staging} = easy_cluster_directory:paths(Directory, Id),
            Schemas = #{directory => easy_cluster_schema_file:members(Directory),
                        kept => easy_cluster_schema_file:members(Kept),
                        staging => lists:usort(easy_cluster_schema_file:members(Staging)
                                               ++ easy_cluster_directory:noted_members(Directory, Id))},
            easy_cluster_native:call(salvage, Marks#{journal => Journal, schemas => Schemas,
                                                     running => mnesia:system_info(is_running) =/= no});
        {error, {_Code, #{path := Path, reason := Reason}}} ->
            {error, {recovery_failed, #{id => Id, step => <<"marks">>, reason => easy_cluster_text:print({Path, Reason})}}}
    end.

%% Journals that cannot be read, for those who are to know.
-spec damaged(file:filename()) -> [damaged()].
damaged(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, {_Code, #{path := Path, reason := Reason}}} ->
            [#{id => <<"?">>, path => text(Path), damage => journal_read, reason => easy_cluster_text:print(Reason)}];
        Ids ->
            [Damaged || Id <- Ids, {damaged, Damaged} <- [state(Directory, Id)]]
    end.

%% These, those that hold nothing, and those that are gone while something of theirs is there.
-spec suspects(file:filename()) -> [damaged()].
suspects(Directory) ->
    Ids = case easy_cluster_journal:list(Directory) of
              {error, _Unreadable} -> [];
              Listed -> Listed
          end,
    All = lists:usort(Ids ++ easy_cluster_directory:marked(Directory)),
    [Damaged || Id <- All, {State, Damaged} <- [state(Directory, Id)], State =/= readable].

state(Directory, Id) ->
    case easy_cluster_journal:read(Directory, Id) of
        {ok, #{events := []}} -> {empty, described(Directory, Id, journal_corrupt, nothing_in_it)};
        {ok, #{events := [{_, _, First} | _]}} -> known(is_known(First), Directory, Id, First);
        {error, {Code, #{reason := Reason}}} -> {state_of(Code), described(Directory, Id, Code, Reason)}
    end.

state_of(journal_missing) -> missing;
state_of(_Unreadable) -> damaged.

known(true, _Directory, _Id, First) -> {readable, First};
known(false, Directory, Id, First) -> {damaged, described(Directory, Id, journal_corrupt, {not_a_plan, First})}.

is_known({begun, Plan}) -> is_plan(Plan);
is_known({salvage, #{}}) -> true;
is_known(_Other) -> false.

%% Whether the executor can follow it; the core looks closer.
-spec is_plan(term()) -> boolean().
is_plan(#{operation := {Name, _Of}, steps := Steps}) -> is_atom(Name) andalso is_list(Steps);
is_plan(#{operation := Name, steps := Steps}) -> is_atom(Name) andalso is_list(Steps);
is_plan(_Other) -> false.

described(Directory, Id, Code, Reason) ->
    #{journal := Path} = easy_cluster_directory:paths(Directory, Id),
    #{id => Id, path => text(Path), damage => Code, reason => easy_cluster_text:print(Reason)}.

text(Path) ->
    case unicode:characters_to_binary(Path) of
        Text when is_binary(Text) -> Text;
        _NotUnicode -> easy_cluster_text:print(Path)
    end.
