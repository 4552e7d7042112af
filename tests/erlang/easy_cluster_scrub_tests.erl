%% The background scrub, as far as it needs no cluster.
-module(easy_cluster_scrub_tests).

-include_lib("eunit/include/eunit.hrl").

a_scrub_outlives_a_server_that_does_not_answer_test() ->
    {ok, Scrub} = easy_cluster_scrub:start_link(),
    true = unlink(Scrub),
    ok = easy_cluster_scrub:now(),
    Scrub ! watch,
    ?assertEqual([], easy_cluster_scrub:looks()),
    ?assert(is_process_alive(Scrub)),
    exit(Scrub, kill).
