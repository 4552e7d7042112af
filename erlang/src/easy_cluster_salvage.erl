%% What becomes of an operation whose journal cannot be read. The marks in Mnesia's directory tell how far an exchange of the
%% database came; the core decides by them. To such a journal nothing is ever written: what is done about it stands in one of
%% its own, `<Id>.salvage'.
-module(easy_cluster_salvage).

-export([settle/1]).
-export([half/1]).
-export([damaged/1]).
-export([is_plan/1]).

-define(TIMEOUT, 5000).

-type damage() :: journal_corrupt | journal_version | journal_read | journal_missing.
-type damaged() :: #{id := binary(), path := binary(), damage := damage(), reason := binary()}.
-export_type([damaged/0]).

%% Brings each exchange that is half done to an end. To be called before Mnesia starts; where it runs, what would have to be
%% done is an error, as it is where nobody knows what.
-spec settle(file:filename()) -> ok | easy_cluster_planner:error().
settle(Directory) ->
    easy_cluster_files:each(fun(Journal) -> settle(Directory, Journal) end, suspects(Directory)).

settle(Directory, #{id := Id} = Journal) ->
    case salvage(Directory, Journal) of
        {ok, undefined} -> ok;
        {ok, #{direction := Direction, offline := Actions}} -> carry_out(Directory, Id, Journal, Direction, Actions);
        {error, Reason} -> {error, Reason}
    end.

%% The first operation that would have to be settled.
-spec half(file:filename()) -> binary() | undefined.
half(Directory) ->
    case [Id || #{id := Id} = Journal <- suspects(Directory), salvage(Directory, Journal) =/= {ok, undefined}] of
        [] -> undefined;
        [Id | _] -> Id
    end.

salvage(Directory, #{id := Id} = Journal) ->
    case easy_cluster_directory:marks(Directory, Id) of
        {ok, Marks} ->
            #{kept := Kept, staging := Staging} = easy_cluster_directory:paths(Directory, Id),
            Schemas = #{directory => easy_cluster_returning:members(Directory),
                        kept => easy_cluster_returning:members(Kept),
                        staging => lists:usort(easy_cluster_returning:members(Staging)
                                               ++ easy_cluster_directory:noted_members(Directory, Id))},
            easy_cluster_native:call(salvage, Marks#{journal => Journal, schemas => Schemas,
                                                     running => mnesia:system_info(is_running) =/= no});
        {error, {_Code, #{path := Path, reason := Reason}}} ->
            {error, {recovery_failed, #{id => Id, step => <<"marks">>, reason => print({Path, Reason})}}}
    end.

%% There is no plan: what its steps would find in one is what the actions say.
carry_out(Directory, Id, Damaged, Direction, Actions) ->
    Plan = #{id => Id, steps => [], undo => [], members => [], options => #{timeout => ?TIMEOUT}},
    Context = easy_cluster_walker:context(Plan, Directory, fun(_Event) -> ok end),
    logger:warning(#{what => easy_cluster_salvage, operation => Id, direction => Direction, journal => Damaged}),
    case journal(Directory, <<Id/binary, ".salvage">>, {salvage, Damaged#{direction => Direction}}) of
        {ok, Journal} -> settled(easy_cluster_walker:walk([#{action => Action} || Action <- Actions], way(Direction), Journal, Context), Direction);
        {error, Reason} -> {error, Reason}
    end.

way(forward) -> settle;
way(back) -> back.

%% An earlier try goes on in its own journal; a disc that is full must not keep the database from coming back.
journal(Directory, Id, Event) ->
    case easy_cluster_journal:create(Directory, Id, Event) of
        {error, {journal_exists, _}} -> easy_cluster_journal:open(Directory, Id);
        Result -> Result
    end.

settled({done, Journal, #{pending := Pending}}, Direction) ->
    Outcome = case Direction of
                  forward -> done;
                  back -> undone
              end,
    closed(easy_cluster_journal:append(Journal, {outcome, Outcome, #{pending => Pending}}), Journal);
settled({{failed, #{action := Action}, Reason}, Journal, #{id := Id}}, _Direction) ->
    _ = easy_cluster_journal:close(Journal),
    {error, {recovery_failed, #{id => Id, step => print(Action), reason => print(Reason)}}}.

closed({ok, Journal}, _Before) -> easy_cluster_journal:close(Journal);
closed({error, Reason}, Journal) ->
    _ = easy_cluster_journal:close(Journal),
    {error, Reason}.

%% Journals that cannot be read, for those who are to know.
-spec damaged(file:filename()) -> [damaged()].
damaged(Directory) ->
    case easy_cluster_journal:list(Directory) of
        {error, {_Code, #{path := Path, reason := Reason}}} ->
            [#{id => <<"?">>, path => text(Path), damage => journal_read, reason => print(Reason)}];
        Ids ->
            [Damaged || Id <- Ids, {damaged, Damaged} <- [state(Directory, Id)]]
    end.

%% These, those that hold nothing, and those that are gone while something of theirs is there.
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
    #{id => Id, path => text(Path), damage => Code, reason => print(Reason)}.

text(Path) ->
    case unicode:characters_to_binary(Path) of
        Text when is_binary(Text) -> Text;
        _NotUnicode -> print(Path)
    end.

print(Reason) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Reason, 20])).
