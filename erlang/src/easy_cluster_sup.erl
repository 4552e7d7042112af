%% Two processes: the one that runs operations, and the one that compares copies in the background.
-module(easy_cluster_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one}, [#{id => Module, start => {Module, start_link, []}}
                                       || Module <- [easy_cluster_server, easy_cluster_scrub]]}}.
