%% What becomes of an operation whose journal cannot be read. The marks in Mnesia's directory tell how far an exchange of the
%% database came; the core decides by them. To such a journal nothing is ever written: what is done about it stands in one of
%% its own, `<Id>.salvage'.
-module(easy_cluster_salvage).

-export([settle/1]).

-define(TIMEOUT, 5000).

%% Brings each exchange that is half done to an end. To be called before Mnesia starts; where it runs, what would have to be
%% done is an error, as it is where nobody knows what.
-spec settle(file:filename()) -> ok | easy_cluster_planner:error().
settle(Directory) ->
    easy_cluster_files:each(fun(Journal) -> settle(Directory, Journal) end, easy_cluster_damage:suspects(Directory)).

settle(Directory, #{id := Id} = Journal) ->
    case easy_cluster_damage:verdict(Directory, Journal) of
        {ok, undefined} -> ok;
        {ok, #{direction := Direction, offline := Actions}} -> carry_out(Directory, Id, Journal, Direction, Actions);
        {error, Reason} -> {error, Reason}
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
    {error, {recovery_failed, #{id => Id, step => easy_cluster_text:print(Action), reason => easy_cluster_text:print(Reason)}}}.

closed({ok, Journal}, _Before) -> easy_cluster_journal:close(Journal);
closed({error, Reason}, Journal) ->
    _ = easy_cluster_journal:close(Journal),
    {error, Reason}.
