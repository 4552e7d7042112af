%% Keeps nodes that were forgotten out. Mnesia itself lets a node that was taken out of the schema come back with its old
%% directory, with all that was deleted since. The fence is a table without rows that every member knows: when a node is
%% forgotten it is made anew, and Mnesia refuses to merge two tables of one name (`Bad cookie'), which ends the Mnesia of the
%% one that starts. While the table is between old and new, members refuse connections of the nodes in question. One that died
%% before its cluster had the fence does not know it; the schema itself gets a new cookie then, with the same effect.
-module(easy_cluster_fence).

-export([ensure/1, complete/0]).
-export([renew/2]).
-export([renew_schema/2]).
-export([forget/2]).

-define(TABLE, easy_cluster_fence).
%% Milliseconds for a member's answer, where nobody has said otherwise.
-define(TIMEOUT, 5000).

-type result() :: {ok, map()} | {error, term()}.

%% Gives every member that runs the fence. Its rows, of which there are none, belong to each node alone, so that it is
%% loaded whoever is down. It is not made while a member is down: that one would know of a table which it can never load. One that
%% goes down just now is waited for until Mnesia counts it so.
-spec ensure(timeout()) -> result().
ensure(Timeout) ->
    _ = easy_cluster_wait:until(fun() -> element(1, ensure_now(Timeout)) =:= ok end, Timeout),
    ensure_now(Timeout).

ensure_now(Timeout) ->
    Down = down(mnesia:system_info(db_nodes)),
    case {on_disc(mnesia:system_info(running_db_nodes)), lists:member(?TABLE, mnesia:system_info(tables)), Down} of
        {[], _, _} -> {ok, #{}};
        {Nodes, true, _} -> add_copies(Nodes -- mnesia:table_info(?TABLE, disc_copies));
        {Nodes, false, []} -> created(mnesia:create_table(?TABLE, definition(Nodes)), Nodes, Timeout);
        {_Nodes, false, Down} -> {ok, #{not_fenced => Down}}
    end.

%% Makes the fence that could not be made while a member was down, under the lock of the cluster. Whether there is nothing left to do.
-spec complete() -> boolean().
complete() ->
    case mnesia:system_info(is_running) =:= yes andalso mnesia:system_info(db_nodes) of
        false -> false;
        [_Alone] -> true;
        Members -> complete(Members, down(Members))
    end.

complete(Members, []) ->
    case easy_cluster_lock:take(Members) of
        ok ->
            try ensure_now(?TIMEOUT) =:= {ok, #{}}
            after easy_cluster_lock:release(Members)
            end;
        {error, _Held} ->
            false
    end;
complete(_Members, _Down) ->
    false.

%% A node with its schema in memory has no old directory to come back with.
on_disc(Nodes) ->
    OnDisc = mnesia:table_info(schema, disc_copies),
    [Node || Node <- Nodes, lists:member(Node, OnDisc)].

definition(Nodes) ->
    [{disc_copies, Nodes}, {local_content, true}].

created({atomic, ok}, Nodes, Timeout) ->
    wake(Nodes, Timeout),
    {ok, #{}};
%% Another member was faster.
created({aborted, {already_exists, ?TABLE}}, _Nodes, Timeout) -> ensure_now(Timeout);
created({aborted, Reason}, _Nodes, _Timeout) -> {error, Reason}.

add_copies([]) ->
    {ok, #{}};
add_copies([Node | Nodes]) ->
    case mnesia:add_table_copy(?TABLE, Node, disc_copies) of
        {atomic, ok} -> add_copies(Nodes);
        {aborted, {already_exists, ?TABLE, Node}} -> add_copies(Nodes);
        {aborted, Reason} -> {error, Reason}
    end.

%% Makes the fence anew on exactly these members.
-spec renew([node()], timeout()) -> result().
renew([], _Timeout) ->
    {ok, #{}};
renew(Members, Timeout) ->
    Renewed = fun() -> renewed(mnesia:delete_table(?TABLE), Members) =:= ok end,
    case easy_cluster_wait:until(Renewed, Timeout) of
        ok ->
            wake(Members, Timeout),
            {ok, #{}};
        timeout -> {error, {not_renewed, renewed(mnesia:delete_table(?TABLE), Members)}}
    end.

%% A process that has just listed its tables and waits for all of them, as ejabberd does when it starts, would wait for ever: Mnesia reports
%% loaded tables to it, but neither one that was being made when it was listed, nor one that was deleted and is made anew
%% (`mnesia:wait_for_tables/2' on OTP 25, 27 and 29). When the transaction that makes the fence ends, all members have it.
wake(Members, Timeout) ->
    Waiting = lists:flatmap(fun(Member) -> waiting(Member, Timeout) end, Members),
    lists:foreach(fun(Waiter) -> Waiter ! {mnesia_controller, {tab_synced, ?TABLE}} end, Waiting).

%% Who waits for the fence on a member. One that does not answer has died, and its processes with it.
%% Source: mnesia_controller:handle_sync_tabs/2 and rec_tabs/4.
waiting(Member, Timeout) ->
    case easy_cluster_rpc:call(Member, erlang, whereis, [mnesia_controller], Timeout) of
        {ok, Controller} when is_pid(Controller) -> waiting(Member, Controller, Timeout);
        _NotRunning -> []
    end.

waiting(Member, Controller, Timeout) ->
    case easy_cluster_rpc:call(Member, erlang, process_info, [Controller, dictionary], Timeout) of
        {ok, {dictionary, Dictionary}} -> proplists:get_value({sync_tab, ?TABLE}, Dictionary, []);
        _Died -> []
    end.

renewed({atomic, ok}, Members) -> made(mnesia:create_table(?TABLE, definition(Members)));
renewed({aborted, {no_exists, ?TABLE}}, Members) -> made(mnesia:create_table(?TABLE, definition(Members)));
renewed({aborted, Reason}, _Members) -> {error, Reason}.

made({atomic, ok}) -> ok;
made({aborted, Reason}) -> {error, Reason}.

%% Makes the schema of the members another one to whoever is none of them. A member that dies while the transaction is committed
%% may have lost it on its disc, and would be turned away, too: meanwhile, each prefers the schema of the others at a start
%% (`set_master_nodes'). It is the caller who sees that nothing was done, where this Mnesia has no function for it.
-spec renew_schema(#{members := [node()], masters := [{node(), [node()]}], _ => _}, timeout()) -> result().
renew_schema(#{members := Members, masters := Masters}, Timeout) ->
    Before = [{Member, proplists:get_value(Member, Masters, [])} || Member <- Members],
    renew_schema(easy_cluster_schema:missing(), Members, Before, Timeout).

renew_schema([], Members, Before, Timeout) ->
    Renew = fun() -> renew_on(down(Members), Members, Before, Timeout) end,
    case easy_cluster_wait:until(fun() -> Renew() =:= ok end, Timeout) of
        ok -> {ok, #{}};
        timeout -> {error, {not_renewed, Renew()}}
    end;
renew_schema(Missing, _Members, _Before, _Timeout) ->
    {ok, #{not_exported => Missing}}.

down(Members) -> Members -- mnesia:system_info(running_db_nodes).

renew_on([], Members, Before, Timeout) ->
    Others = [{Member, Members -- [Member]} || Member <- Members],
    in_order([fun() -> prefer(Others, Timeout) end,
              fun() -> renewed_cookie(easy_cluster_schema:renew_cookie()) end,
              fun() -> agree(Members, Timeout) end,
              fun() -> prefer(Before, Timeout) end]);
renew_on(Down, _Members, _Before, _Timeout) ->
    {error, {down, Down}}.

in_order(Funs) ->
    lists:foldl(fun(Fun, ok) -> Fun();
                   (_Fun, {error, Reason}) -> {error, Reason}
                end, ok, Funs).

%% What was logged before is on disc then as well.
prefer(Masters, Timeout) ->
    in_order([fun() ->
                      Calls = [{mnesia, sync_log, []}, {mnesia, set_master_nodes, [schema, Nodes]}],
                      preferred(easy_cluster_rpc:batch(Member, Calls, Timeout), Member)
              end || {Member, Nodes} <- Masters]).

preferred({ok, [_Synced, ok]}, _Member) -> ok;
preferred({ok, [_Synced, {error, Reason}]}, Member) -> {error, {Member, Reason}};
preferred({error, Reason}, Member) -> {error, {Member, Reason}}.

renewed_cookie({atomic, ok}) -> ok;
renewed_cookie({aborted, Reason}) -> {error, Reason}.

agree(Members, Timeout) ->
    Cookie = mnesia:table_info(schema, cookie),
    Seen = [{Member, easy_cluster_rpc:call(Member, mnesia, table_info, [schema, cookie], Timeout)} || Member <- Members],
    case [Other || {_Member, Answer} = Other <- Seen, Answer =/= {ok, Cookie}] of
        [] -> ok;
        Others -> {error, {other_schema, Others}}
    end.

%% Takes a node out of the schema of all members, in one transaction. To have done so already is success. When a member was
%% killed right after it, Mnesia may have made it of an old log, and some tables have the node again.
-spec forget(node(), timeout()) -> result().
forget(Node, Timeout) ->
    case lists:member(Node, mnesia:system_info(db_nodes)) andalso mnesia:del_table_copy(schema, Node) of
        false -> forget_copies(held_by(Node), Node, Timeout);
        {atomic, ok} -> forget_copies(held_by(Node), Node, Timeout);
        {aborted, Reason} -> {error, Reason}
    end.

held_by(Node) ->
    [Table || Table <- mnesia:system_info(tables), Storage <- [ram_copies, disc_copies, disc_only_copies],
              lists:member(Node, mnesia:table_info(Table, Storage))].

forget_copies([], _Node, Timeout) ->
    _ = [easy_cluster_rpc:call(Member, mnesia, sync_log, [], Timeout) || Member <- mnesia:system_info(running_db_nodes)],
    {ok, #{}};
forget_copies([Table | Tables], Node, Timeout) ->
    case mnesia:del_table_copy(Table, Node) of
        {atomic, ok} -> forget_copies(Tables, Node, Timeout);
        %% What Mnesia says of a read-only table, which it does not lock.
        {aborted, {Refusal, Table}} when Refusal =:= no_majority; Refusal =:= no_exists ->
            forgotten(easy_cluster_schema:delete_dead_copies([Table], [Node]), Tables, Node, Timeout);
        {aborted, Reason} -> {error, {Table, Reason}}
    end.

forgotten(ok, Tables, Node, Timeout) -> forget_copies(Tables, Node, Timeout);
forgotten({error, Reason}, _Tables, _Node, _Timeout) -> {error, Reason}.
