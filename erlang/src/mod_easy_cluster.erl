%% The hook by which ejabberd starts easy_cluster. It is called once a virtual host; the application is started once.
-module(mod_easy_cluster).

%% gen_mod is ejabberd's; a build without ejabberd defines this and compiles the module all the same.
-ifndef(NO_EJABBERD).
-behaviour(gen_mod).
-endif.

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0]).
-export([pre_uninstall/0]).

-spec start(binary(), term()) -> ok | {error, term()}.
start(_Host, _Opts) ->
    easy_cluster_app:ensure_started().

%% An operation that stops ejabberd stops this module, and has to go on.
-spec stop(binary()) -> ok.
stop(_Host) ->
    ok.

%% Called by `ejabberdctl module_uninstall', before the code goes.
-spec pre_uninstall() -> ok.
pre_uninstall() ->
    _ = application:stop(easy_cluster),
    _ = application:unload(easy_cluster),
    ok.

-spec reload(binary(), term(), term()) -> ok.
reload(_Host, _NewOpts, _OldOpts) ->
    ok.

%% Asked while ejabberd reads its configuration, which is before it starts Mnesia.
-spec depends(binary(), term()) -> [].
depends(_Host, _Opts) ->
    ok = easy_cluster_recovery:before_mnesia(),
    [].

-spec mod_options(binary()) -> [].
mod_options(_Host) ->
    [].

-spec mod_doc() -> map().
mod_doc() ->
    #{desc => [<<"Clustering that cannot lose data: call easy_cluster:help() in `ejabberdctl debug`.">>]}.
