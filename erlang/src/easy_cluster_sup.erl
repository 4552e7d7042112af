%% The one that runs operations, the one that sees when one is needed, and the one that compares copies in the background.
-module(easy_cluster_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    %% What goes wrong with the one must not end the other.
    {ok, {#{strategy => one_for_one, intensity => 10, period => 60},
          [#{id => Name, start => {Name, start_link, []}} || Name <- [easy_cluster_server, easy_cluster_sync, easy_cluster_scrub]]}}.
