%% Ends what was under way when this node was killed, by itself, at its next start.
%%
%% What has to be done while Mnesia is stopped is done before it starts: ejabberd asks each module what it depends on while
%% it reads its configuration, which is before it starts Mnesia (seen on 23.01 to 26.07); elsewhere the application is to be
%% started before Mnesia. Where Mnesia runs already, it is stopped once more. The rest follows when Mnesia runs.
-module(easy_cluster_recovery).

-export([before_mnesia/0]).
-export([run/2]).

%% Silent members cost a start no more than this.
-define(ASK_TIMEOUT, 3000).

%% Raises an error when an interrupted operation can be brought neither to its end nor back: a node that does not start
%% loses nothing, one that serves half a database does.
-spec before_mnesia() -> ok.
before_mnesia() ->
    _ = application:load(mnesia),
    %% A VM without a name is in no cluster: it reads the configuration for somebody else.
    case is_alive() andalso mnesia:system_info(is_running) =:= no andalso not is_own() of
        true -> recover(mnesia:system_info(directory));
        false -> ok
    end.

recover(Directory) ->
    reentered(easy_cluster_returning:reenter(Directory, ?ASK_TIMEOUT), Directory),
    kept(easy_cluster_boot:overridden(Directory, ?ASK_TIMEOUT), Directory),
    told(easy_cluster_executor:recover_offline(Directory)),
    is_member(easy_cluster_returning:check(Directory, ?ASK_TIMEOUT)),
    _ = easy_cluster_undecided:watch(),
    ok.

reentered(none, _Directory) ->
    ok;
reentered({ok, #{id := Id} = Plan}, Directory) ->
    [logger:notice(#{what => easy_cluster_reenter, kept => Id}) || aside(Plan, Directory) =:= done],
    ok;
reentered({error, Reason}, _Directory) ->
    refuse(Reason).

kept(none, _Directory) ->
    ok;
kept({ok, #{tables := Tables, nodes := Nodes, plan := #{id := Id} = Plan}}, Directory) ->
    _ = aside(Plan, Directory),
    #{kept := Kept} = easy_cluster_directory:paths(Directory, Id),
    Problem = {database_overridden, #{here => node(), tables => Tables, nodes => Nodes, kept => unicode:characters_to_binary(Kept)}},
    logger:warning("~ts", [easy_cluster_text:error(Problem)]);
kept({error, Reason}, _Directory) ->
    refuse(Reason).

%% A node that cannot keep what is about to be replaced does not start. One that has begun to is brought to its end like any operation.
aside(Plan, Directory) ->
    case easy_cluster_executor:commit_offline(Plan, Directory, fun(_Event) -> ok end) of
        {ok, _} -> done;
        {error, {journal_exists, _}} -> begun_before;
        {error, Reason} -> refuse(Reason)
    end.

%% Who was forgotten does not start: it would serve on its own what its cluster has gone on from, or be ended by Mnesia.
is_member({ok, Left}) -> lists:foreach(fun warn_left/1, Left);
is_member({error, {forgotten_here, _} = Reason}) -> refuse(Reason);
is_member({error, Reason}) -> logger:error(#{what => easy_cluster_returning, reason => Reason}).

warn_left(Node) ->
    logger:warning("~ts", [easy_cluster_text:error({member_left, #{here => node(), node => Node}})]).

-spec refuse({atom(), map()}) -> no_return().
refuse(Reason) ->
    logger:error("~ts", [easy_cluster_text:error(Reason)]),
    error(Reason).

%% Whether it is an operation of this VM that has stopped Mnesia. It outlives the server that has begun it.
is_own() ->
    easy_cluster_operation:executor() =/= undefined.

told(none) ->
    ok;
told({error, Reason}) ->
    refuse(Reason);
told({Direction, Id}) ->
    logger:notice(#{what => easy_cluster_recovery, operation => Id, direction => Direction}).

%% The whole of it, in a process of the operation.
-spec run(file:filename(), easy_cluster_walker:report()) -> {ok, map()} | easy_cluster_planner:error().
run(Directory, Report) ->
    case easy_cluster_executor:recover_offline(Directory) of
        none -> {ok, #{}};
        {error, Reason} -> {error, Reason};
        {nowhere, Id} -> {ok, #{stopped => Id}};
        {_Direction, _Id} -> easy_cluster_executor:recover_online(Directory, Report)
    end.
