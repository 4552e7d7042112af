%% The process that carries an operation out, and what it leaves to be done later: that is for its server, which may not be there, as in the VM of a
%% rename. Then the journals say it.
-module(easy_cluster_operation).

-export([executor/0]).
-export([pending/2, unfenced/0, resume/0]).

%% The process that carries an operation out, if one lives.
-spec executor() -> pid() | undefined.
executor() ->
    case whereis(?MODULE) of
        Pid when is_pid(Pid) -> Pid;
        undefined -> undefined
    end.

%% Members that an operation left behind and that have to be told to forget this node when they are back.
-spec pending(binary(), [node()]) -> ok.
pending(Id, Nodes) ->
    gen_server:cast(easy_cluster_server, {pending, [{Id, Node} || Node <- Nodes]}).

%% The cluster has no fence yet, as a member is down.
-spec unfenced() -> ok.
unfenced() ->
    gen_server:cast(easy_cluster_server, unfenced).

%% The operation that has just failed goes on in a while.
-spec resume() -> ok.
resume() ->
    gen_server:cast(easy_cluster_server, resume).
