%% The one that runs operations, and the one that watches.
-module(easy_cluster_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([start_watch/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, operations).

-spec start_watch() -> supervisor:startlink_ret().
start_watch() ->
    supervisor:start_link(?MODULE, watch).

%% What goes wrong with the one must not end the other. The end of the application ends an operation half-way, so that the watch has a
%% supervisor of its own: it can fall ten times before that counts as much as ten falls of the server.
init(operations) ->
    Watch = #{id => watch, start => {?MODULE, start_watch, []}, type => supervisor},
    {ok, {flags(), [worker(easy_cluster_server), Watch]}};
init(watch) ->
    {ok, {flags(), [worker(easy_cluster_watch)]}}.

flags() -> #{strategy => one_for_one, intensity => 10, period => 60}.

worker(Name) -> #{id => Name, start => {Name, start_link, []}}.
