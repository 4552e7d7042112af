%% The application. It is not a child of ejabberd, whose stop it has to survive.
-module(easy_cluster_app).
-behaviour(application).

-export([ensure_started/0]).
-export([start/2, stop/1]).

%% `module_install' compiles the modules but leaves the application's description behind, so it is given here as well.
-spec ensure_started() -> ok | {error, term()}.
ensure_started() ->
    case application:load(easy_cluster) of
        ok -> start();
        {error, {already_loaded, easy_cluster}} -> start();
        {error, _NoDescription} -> load_and_start(application:load(description()))
    end.

load_and_start(ok) -> start();
load_and_start({error, {already_loaded, easy_cluster}}) -> start();
load_and_start({error, Reason}) -> {error, Reason}.

%% Mnesia is needed by the operations, which stop and start it; as a dependency it could not be stopped without us.
start() ->
    case application:ensure_all_started(easy_cluster) of
        {ok, _} -> ok;
        {error, Reason} -> {error, Reason}
    end.

description() ->
    {application, easy_cluster,
     [{description, "Clustering for ejabberd and other Mnesia applications"},
      {vsn, easy_cluster_nif:version()},
      {registered, [easy_cluster_sup, easy_cluster_server, easy_cluster_operation, easy_cluster_watch]},
      {applications, [kernel, stdlib]},
      {mod, {?MODULE, []}}]}.

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case easy_cluster_sup:start_link() of
        {ok, Pid} -> {ok, Pid};
        ignore -> {error, ignore};
        {error, Reason} -> {error, Reason}
    end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
