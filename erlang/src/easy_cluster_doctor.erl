%% Looks at this node, at all members of a cluster and at the ways between them. Changes nothing.
-module(easy_cluster_doctor).

-export([examine/2]).
-export([places/0]).

-type diagnosis() :: #{problems := [{Code :: atom(), Details :: map()}], text := unicode:chardata()}.
-export_type([diagnosis/0]).

%% What is wrong with the cluster of Node, as this node, the members and their views of each other tell.
-spec examine(node(), pos_integer()) -> {ok, diagnosis()} | easy_cluster_planner:error().
examine(Node, Timeout) ->
    easy_cluster_gather:with_snapshot(facts, [Node], Timeout, fun(#{members := Members} = Snapshot) ->
        Others = [Member || #{node := Member} <- Members, Member =/= node()],
        look(Node, Snapshot, easy_cluster_reach:probe(Others, Timeout), Timeout)
    end).

look(Node, Snapshot, {ok, #{reaches := Reaches}}, Timeout) ->
    case easy_cluster_native:call(questions, #{node => Node, snapshot => Snapshot}) of
        {ok, Questions} ->
            Answers = easy_cluster_rpc:parallel(fun(Question) -> easy_cluster_ways:ask(Question, Timeout) end, Questions, 2 * Timeout),
            Examination = #{node => Node, snapshot => Snapshot, reaches => Reaches,
                            pairs => easy_cluster_ways:pairs(Answers), unanswered => easy_cluster_ways:unanswered(Answers)},
            diagnosed(waits(easy_cluster_boot:waiting(), Snapshot, Timeout), Examination);
        {error, Reason} ->
            {error, Reason}
    end;
look(_Node, _Snapshot, {error, Reason}, _Timeout) ->
    {error, Reason}.

diagnosed({ok, Waits}, Examination) ->
    easy_cluster_native:call(diagnose, #{examination => maps:merge(Examination, Waits), places => places()});
diagnosed({error, Reason}, _Examination) ->
    {error, Reason}.

waits([], _Snapshot, _Timeout) ->
    {ok, #{}};
waits(Tables, Snapshot, Timeout) ->
    case easy_cluster_boot:awaited(Tables, Snapshot, Timeout) of
        {ok, #{waits := Waits}} -> {ok, #{waiting => Tables, awaited => Waits}};
        {error, Reason} -> {error, Reason}
    end.

%% Where the machine's files are, as ejabberd was told. Another application has its own, of which nothing is known.
-spec places() -> map() | undefined.
places() ->
    case lists:keymember(ejabberd, 1, application:which_applications()) of
        true ->
            #{root => <<"/">>,
              config => unicode:characters_to_binary(filename:dirname(config_path(ejabberd_config))),
              spool => unicode:characters_to_binary(mnesia:system_info(directory)),
              user => undefined};
        false ->
            undefined
    end.

%% Not called by its name, as a build without ejabberd does not know it.
config_path(Module) ->
    Module:path().
