%% The one that runs operations, and those that look in the background: the one that sees when an operation is needed, and the one
%% that compares copies.
-module(easy_cluster_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([start_lookers/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, operations).

-spec start_lookers() -> supervisor:startlink_ret().
start_lookers() ->
    supervisor:start_link(?MODULE, lookers).

%% What goes wrong with the one must not end the other. The end of the application ends an operation half-way, so that those who
%% look have a supervisor of their own: it can fall ten times before that counts as much as ten falls of the server.
init(operations) ->
    Lookers = #{id => lookers, start => {?MODULE, start_lookers, []}, type => supervisor},
    {ok, {flags(), [worker(easy_cluster_server), Lookers]}};
init(lookers) ->
    {ok, {flags(), [worker(Name) || Name <- [easy_cluster_sync, easy_cluster_scrub]]}}.

flags() -> #{strategy => one_for_one, intensity => 10, period => 60}.

worker(Name) -> #{id => Name, start => {Name, start_link, []}}.
