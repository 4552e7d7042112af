%% The hook by which ejabberd starts easy_cluster. It is called once a virtual host; the application is started once.
-module(mod_easy_cluster).

%% gen_mod is ejabberd's; a build without ejabberd defines this and compiles the module all the same.
-ifndef(NO_EJABBERD).
-behaviour(gen_mod).
-endif.

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([pre_uninstall/0]).

-spec start(binary(), term()) -> ok | {error, term()}.
start(Host, Opts) ->
    set(Host, Opts),
    Started = easy_cluster_app:ensure_started(),
    easy_cluster_watch:changed(),
    Started.

set(Host, Opts) ->
    kept_quota(option(gen_mod, kept_quota, Opts)),
    scrub(Opts),
    easy_cluster_policy:set(Host, option(gen_mod, policy, Opts)).

%% Not called by its name, as a build without ejabberd does not know it.
option(Module, Name, Opts) ->
    Module:get_opt(Name, Opts).

kept_quota(undefined) -> ok;
kept_quota(Bytes) -> application:set_env(easy_cluster, kept_quota, Bytes).

scrub(Opts) ->
    [ok = application:set_env(easy_cluster, Name, option(gen_mod, Name, Opts)) || Name <- [scrub, scrub_interval]],
    ok.

%% Who takes the module out of ejabberd.yml takes the policy out. An operation that stops ejabberd stops this module, too, and has to
%% go on: the application runs on, and gets its policy again when ejabberd starts.
-spec stop(binary()) -> ok.
stop(Host) ->
    easy_cluster_policy:unset(Host),
    easy_cluster_watch:changed().

%% Called by `ejabberdctl module_uninstall', before the code goes.
-spec pre_uninstall() -> ok.
pre_uninstall() ->
    _ = application:stop(easy_cluster),
    _ = application:unload(easy_cluster),
    ok.

-spec reload(binary(), term(), term()) -> ok.
reload(Host, NewOpts, _OldOpts) ->
    set(Host, NewOpts),
    easy_cluster_watch:changed().

%% Asked while ejabberd reads its configuration, which is before it starts Mnesia.
-spec depends(binary(), term()) -> [].
depends(_Host, _Opts) ->
    ok = easy_cluster_recovery:before_mnesia(),
    [].

-spec mod_opt_type(kept_quota | policy | scrub | scrub_interval) -> fun((term()) -> term()).
mod_opt_type(kept_quota) ->
    positive(econf);
mod_opt_type(scrub) ->
    boolean(econf);
mod_opt_type(scrub_interval) ->
    duration(econf);
mod_opt_type(policy) ->
    easy_cluster_policy:validator(econf).

positive(Module) ->
    Module:pos_int(infinity).

boolean(Module) ->
    Module:bool().

duration(Module) ->
    Module:timeout(second).

-spec mod_options(binary()) -> [{atom(), undefined | pos_integer() | infinity | boolean() | binary()}].
mod_options(_Host) ->
    [{kept_quota, undefined}, {policy, undefined}, {scrub, true}, {scrub_interval, timer:hours(24)}].

-spec mod_doc() -> map().
mod_doc() ->
    #{opts => [{kept_quota,
                #{value => "Bytes",
                  desc => [<<"How much the databases may take that were kept by operations. Beyond it a warning is told; nothing is "
                             "ever deleted by itself. The default is as much as is still free on their disk.">>]}},
               {scrub,
                #{value => "true | false",
                  desc => [<<"Whether the copies of tables are compared in the background while all members are there, slowly and at low "
                             "priority. What differs is logged and told by easy_cluster:status(). One member does it, the first by "
                             "name, so give all of them the same. The default is 'true'.">>]}},
               {scrub_interval,
                #{value => "timeout()",
                  desc => [<<"How long after one comparison of all tables the next begins. The default is '1 day'.">>]}},
               {policy,
                #{value => "{Key: Value}",
                  desc => [<<"What the cluster should look like: which nodes hold which tables, in how many copies and how stored. With "
                             "`sync: auto` it is kept so, with `sync: propose` (the default) status() tells what would be done, and "
                             "repair() does it. A cluster has one policy: of virtual hosts with different ones, that of the first by name "
                             "counts.">>],
                  example => ["modules:",
                              "  mod_easy_cluster:",
                              "    policy:",
                              "      copies: 2",
                              "      sync: auto"]}}],
      desc => [<<"Clustering that cannot lose data: call easy_cluster:help() in `ejabberdctl debug`.">>]}.
