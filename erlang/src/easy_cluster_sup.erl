%% One process: the one that runs operations.
-module(easy_cluster_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one}, [#{id => easy_cluster_server, start => {easy_cluster_server, start_link, []}}]}}.
