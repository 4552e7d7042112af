%% What the watch has done, each job in a process of its own: a plan for the policy, which is carried out when the core says so, and the
%% comparison of all copies. They tell the watch what comes of it (`easy_cluster::watch::Event').
-module(easy_cluster_watch_job).

-export([plan/3, compare/1]).
-export([died/1, plain/1]).

-define(TIMEOUT, 30000).
%% Percent of one core, on each node, and milliseconds between pieces: less than one transaction in a hundred meets a piece.
-define(SHARE, 2).
-define(REST, 500).

-type problem() :: {Code :: atom(), Details :: map()}.

%% Plans what the policy wants, and waits for the word to carry it out.
-spec plan(pos_integer(), [#{table := atom(), node := node()}], [atom()]) -> ok.
plan(Job, Lately, Refused) ->
    Monitor = erlang:monitor(process, easy_cluster_watch),
    case easy_cluster_planner:unattended(Lately, Refused) of
        {ok, #{steps := Steps, warnings := Warnings} = Plan} ->
            tell(planned, Job, #{actions => [Action || #{action := Action} <- Steps], warnings => Warnings}),
            receive
                {commit, Job} -> committed(easy_cluster_server:run(Plan, reporter(Job)), Plan, Job);
                {drop, Job} -> ok;
                {'DOWN', Monitor, process, _Watch, _Reason} -> ok
            end;
        {error, Reason} ->
            tell(not_planned, Job, #{problems => problems(Reason)})
    end.

committed({ok, _}, #{id := Id}, Job) -> tell(done, Job, #{id => Id});
committed({error, Reason}, _Plan, Job) -> tell(failed, Job, #{problems => problems(Reason)}).

%% Told as it is done, so that it is known also when what follows fails.
reporter(Job) ->
    fun({step, done, #{action := {_Name, #{table := Table, node := Node}}}, _Evidence}) ->
            tell(changed, Job, #{change => #{table => Table, node => Node}});
       (_Event) ->
            ok
    end.

%% The core says what is compared, by what all members say of their tables.
-spec compare(pos_integer()) -> ok.
compare(Job) ->
    Snapshot = easy_cluster_gather:snapshot([], ?TIMEOUT),
    case easy_cluster_native:call(scrub, #{snapshot => Snapshot, policy => easy_cluster_policy:current()}) of
        {ok, {compare, Comparisons} = Turn} ->
            tell(comparing, Job, #{turn => Turn}),
            lists:foreach(fun(Comparison) -> compared(compared_with(Comparison), Job) end, Comparisons),
            tell(finished, Job, #{});
        {ok, NotNow} ->
            tell(comparing, Job, #{turn => NotNow});
        {error, Reason} ->
            tell(failed, Job, #{problems => problems(Reason)})
    end.

compared_with(Comparison) ->
    Options = #{timeout => ?TIMEOUT, workers => 1, pause => ?REST, share => ?SHARE},
    [Compared] = easy_cluster_diff:compare([Comparison], Options),
    Compared.

compared(#{table := Table, node := Node, reason := Reason}, Job) ->
    tell(not_compared, Job, #{table => Table, node => Node, reason => easy_cluster_text:print(Reason)});
compared(#{table := Table, nodes := Nodes, differing := Differing}, Job) ->
    tell(compared, Job, #{look => #{table => Table, at => os:system_time(microsecond), keys => length(Differing), nodes => Nodes}}).

tell(Event, Job, What) ->
    gen_server:cast(easy_cluster_watch, {event, {Event, What#{job => Job}}}).

%% All that an error is about.
problems({_Code, #{problems := All}}) -> All;
problems({Code, Details}) -> [{Code, Details}].

%% What a job that has died has come to.
-spec died(term()) -> problem().
died(Reason) ->
    {operation_died, #{id => <<"a look">>, reason => easy_cluster_text:print(Reason)}}.

%% An event with problems that are none of the catalogue.
-spec plain(term()) -> term().
plain({Event, #{problems := [{operation_died, _}]} = What}) -> {Event, What};
plain({Event, #{problems := Problems} = What}) -> {Event, What#{problems := [died(Problems)]}};
plain(Event) -> Event.
