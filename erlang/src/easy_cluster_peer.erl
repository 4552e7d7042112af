%% What other members ask this one for: the only module that they call (`easy_cluster_rpc:peer/3'). Each request has the version of the
%% protocol that it is made in.
-module(easy_cluster_peer).

-export([answer/2]).

%% Unlike other requests, one of another version is answered on all releases, in this form.
-spec answer(term(), term()) -> {ok, term()} | {other_version, #{version := pos_integer(), easy_cluster := binary()}}.
answer(Version, Request) ->
    answer(Version =:= easy_cluster_rpc:protocol(), Version, Request).

answer(true, _Version, Request) ->
    {ok, answered(Request)};
answer(false, _Another, _Request) ->
    {other_version, #{version => easy_cluster_rpc:protocol(), easy_cluster => release(application:get_key(easy_cluster, vsn))}}.

release({ok, Vsn}) -> unicode:characters_to_binary(Vsn);
release(undefined) -> <<"?">>.

answered(view) -> easy_cluster_watch:view();
answered(looks) -> easy_cluster_watch:looks();
answered(state) -> easy_cluster_server:state();
answered(pause) -> easy_cluster_pause:pause_here();
answered(continue) -> easy_cluster_pause:continue_here();
answered({returned, Node}) -> gen_server:cast(easy_cluster_server, {returned, Node});
answered({hash, Wish}) -> easy_cluster_tree:start(Wish);
answered({flush, Others, Timeout}) -> easy_cluster_tree:flush(Others, Timeout);
answered({rows, Table, Keys}) -> easy_cluster_tree:rows(Table, Keys).
