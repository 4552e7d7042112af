%% Changes to Mnesia's schema for which it has functions, but no documented ones: exported, and the same, on OTP 25, 27 and 29.
-module(easy_cluster_schema).

-export([add_copies/1]).
-export([delete_copy/3, deletable/3]).
-export([schema_to_disc/0]).
-export([delete_dead_copies/2]).
-export([renew_cookie/0]).
-export([missing/0]).

-define(USED, [{schema_transaction, 1}, {get_tid_ts_and_lock, 2}, {insert_schema_ops, 2}, {incr_version, 1}, {vsn_cs2list, 1},
               {ensure_active, 1}]).
-define(STORAGES, [ram_copies, disc_copies, disc_only_copies]).

%% What this Mnesia does not export of what is used here.
-spec missing() -> [{atom(), arity()}].
missing() ->
    [Used || {Function, Arity} = Used <- ?USED, not erlang:function_exported(mnesia_schema, Function, Arity)].

%% What mnesia:add_table_copy/3 does for one table, for several in one transaction. Those that have a copy here, of whatever
%% kind, are left out: Mnesia would not notice. As with any schema transaction, either all are copied or none.
%% Source: mnesia_schema:make_add_table_copy/3, which is not exported.
-spec add_copies([#{table := atom(), storage := atom(), _ => _}]) -> {atomic, ok} | {aborted, term()}.
add_copies(Copies) ->
    changed(missing(), fun() -> insert_copies(Copies) end).

%% What mnesia:del_table_copy/2 does, unless fewer than so many other copies are loaded: they are counted under the schema's lock, so
%% that of two deletions the second one sees what the first has left. Mnesia itself would delete the last copy, and the table
%% with it. A copy that is gone, or its table, is success. Where Mnesia lacks the functions, it is counted right before.
%% Source: mnesia_schema:make_del_table_copy/2, which is not exported.
-spec delete_copy(atom(), node(), AtLeastOthers :: non_neg_integer()) -> ok | {error, term()}.
delete_copy(Table, Node, AtLeastOthers) ->
    deleted(delete_copy(missing(), Table, Node, max(1, AtLeastOthers)), Table, Node).

delete_copy([], Table, Node, Least) ->
    mnesia_schema:schema_transaction(fun() -> insert_deletion(Table, Node, Least) end);
delete_copy(_Missing, Table, Node, Least) ->
    case deletable(Table, Node, Least) of
        {yes, _Others} -> mnesia:del_table_copy(Table, Node);
        gone -> {atomic, ok};
        {no, Problem} -> {aborted, Problem}
    end.

insert_deletion(Table, Node, Least) ->
    Transaction = mnesia_schema:get_tid_ts_and_lock(schema, write),
    case deletable(Table, Node, Least) of
        {yes, _Others} ->
            _ = mnesia_schema:ensure_active(mnesia:table_info(Table, cstruct)),
            lock(mnesia:table_info(Table, access_mode), Table, Transaction),
            mnesia_schema:insert_schema_ops(Transaction, [deletion(Table, Node)]);
        gone -> ok;
        {no, Problem} -> mnesia:abort(Problem)
    end.

%% A lock to write is taken on nodes that take writes, of which a read-only table has none.
%% Source: mnesia_schema:do_change_table_access_mode/2.
lock(read_write, Table, _Transaction) ->
    _ = mnesia_schema:get_tid_ts_and_lock(Table, write),
    ok;
lock(read_only, Table, {_Module, Id, State}) ->
    Store = element(2, State),
    _ = mnesia_locker:wlock_no_exist(Id, Store, Table, mnesia:table_info(Table, active_replicas)),
    ok.

%% Whether a copy can go as it is now, with those who have another one that is loaded.
-spec deletable(atom(), node(), non_neg_integer()) -> {yes, [node()]} | gone | {no, {too_few_other_copies, map()}}.
deletable(Table, Node, Least) ->
    case lists:member(Node, holders(Table)) andalso mnesia:table_info(Table, active_replicas) -- [Node] of
        false -> gone;
        Others when length(Others) >= Least -> {yes, Others};
        Others -> {no, {too_few_other_copies, #{table => Table, node => Node, others => Others, wanted => Least}}}
    end.

%% Of a table that may be gone.
holders(Table) ->
    case lists:member(Table, mnesia:system_info(tables)) of
        true -> lists:append([mnesia:table_info(Table, Storage) || Storage <- ?STORAGES]);
        false -> []
    end.

deletion(Table, Node) ->
    {Operation, _Definition} = deletion_of(Node, next_definition(Table)),
    Operation.

%% With the definition that it leads to, which the next deletion of the same transaction goes on from.
deletion_of(Node, Definition) ->
    [{Storage, Holders}] = [Stored || {Storage, Holders} = Stored <- Definition, lists:member(Storage, ?STORAGES),
                                      lists:member(Node, Holders)],
    Without = lists:keyreplace(Storage, 1, Definition, {Storage, lists:delete(Node, Holders)}),
    {{op, del_table_copy, Storage, Node, Without}, Without}.

deleted({atomic, ok}, Table, Node) ->
    case lists:member(Node, holders(Table)) of
        false -> ok;
        true -> {error, {still_held, Table, Node}}
    end;
deleted({aborted, Reason}, _Table, _Node) ->
    {error, Reason}.

%% What mnesia:change_table_copy_type(schema, node(), disc_copies) does, unless a member that has the schema on disc is down. Mnesia
%% itself would do it without that one, which then lists this node's schema as stored in another way than the others do, and does
%% not start (`combine_error'). Where Mnesia lacks the functions, it is looked at right before.
%% Source: mnesia_schema:do_change_table_copy_type/3.
-spec schema_to_disc() -> {atomic, ok} | {aborted, term()}.
schema_to_disc() ->
    case erlang:function_exported(mnesia_schema, do_change_table_copy_type, 3) andalso missing() =:= [] of
        true -> mnesia_schema:schema_transaction(fun insert_schema_to_disc/0);
        false -> if_all_run(mnesia:table_info(schema, disc_copies) -- mnesia:system_info(running_db_nodes))
    end.

insert_schema_to_disc() ->
    _ = mnesia_schema:get_tid_ts_and_lock(schema, write),
    _ = mnesia_schema:ensure_active(mnesia:table_info(schema, cstruct)),
    mnesia_schema:do_change_table_copy_type(schema, node(), disc_copies).

if_all_run([]) -> mnesia:change_table_copy_type(schema, node(), disc_copies);
if_all_run(Down) -> {aborted, {not_active, schema, Down}}.

%% Takes nodes whose Mnesia does not run out of the holders of tables, in one transaction. Mnesia itself does so only for a table
%% that it can lock, and it locks none whose `majority' is down; nor does it turn off that property while a copy is down. No lock is
%% needed: a node that is down takes part in no transaction. A table that is gone, or not held by any of them, is success.
%% Source: mnesia_schema:make_del_table_copy/2 and remove_node_from_tabs/2, which are not exported.
-spec delete_dead_copies([atom()], [node()]) -> ok | {error, term()}.
delete_dead_copies(Tables, Nodes) ->
    without_copies(changed(missing(), fun() -> insert_dead_deletions(Tables, Nodes) end), Tables, Nodes).

insert_dead_deletions(Tables, Nodes) ->
    Transaction = mnesia_schema:get_tid_ts_and_lock(schema, write),
    case [Node || Node <- Nodes, lists:member(Node, mnesia:system_info(running_db_nodes))] of
        [] -> mnesia_schema:insert_schema_ops(Transaction, lists:append([dead_deletions(Table, Held) || {Table, Held} <- held(Tables, Nodes)]));
        Alive -> mnesia:abort({not_down, Alive})
    end.

dead_deletions(Table, Nodes) ->
    {Operations, _Definition} = lists:mapfoldl(fun deletion_of/2, next_definition(Table), Nodes),
    Operations.

%% The tables that any of the nodes holds, each with those.
held(Tables, Nodes) ->
    [{Table, Held} || Table <- Tables, Holders <- [holders(Table)],
                      Held <- [[Node || Node <- Nodes, lists:member(Node, Holders)]], Held =/= []].

without_copies({atomic, ok}, Tables, Nodes) ->
    case held(Tables, Nodes) of
        [] -> ok;
        Held -> {error, {still_held, Held}}
    end;
without_copies({aborted, Reason}, _Tables, _Nodes) ->
    {error, Reason}.

%% Gives the schema another cookie on all members at once, and changes nothing else: the cookie is a part of its definition, and
%% Mnesia never merges a schema on disc with one of another cookie. Aborts while a member that has it on disc is down. The
%% operation is that of mnesia:change_table_load_order/2, which does no more than write a definition.
%% Source: mnesia_schema:make_change_table_load_order/2, which is not exported; do_make_merge_schema/3.
-spec renew_cookie() -> {atomic, ok} | {aborted, term()}.
renew_cookie() ->
    changed(missing(), fun insert_cookie/0).

changed([], Insert) -> mnesia_schema:schema_transaction(Insert);
changed(Missing, _Insert) -> {aborted, {not_exported, Missing}}.

insert_cookie() ->
    Transaction = mnesia_schema:get_tid_ts_and_lock(schema, write),
    Next = mnesia_schema:incr_version(mnesia:table_info(schema, cstruct)),
    _ = mnesia_schema:ensure_active(Next),
    Cookie = {{erlang:system_time(), erlang:unique_integer(), rand:uniform(1 bsl 60)}, node()},
    Definition = lists:keyreplace(cookie, 1, mnesia_schema:vsn_cs2list(Next), {cookie, Cookie}),
    Order = mnesia:table_info(schema, load_order),
    mnesia_schema:insert_schema_ops(Transaction, [{op, change_table_load_order, Definition, Order, Order}]).

insert_copies(Copies) ->
    Transaction = mnesia_schema:get_tid_ts_and_lock(schema, write),
    Operations = [{op, add_table_copy, Storage, node(), definition_with(Storage, Definition)}
                  || #{table := Table, storage := Storage} <- Copies,
                     Definition <- [next_definition(Table)],
                     not is_held(Definition)],
    mnesia_schema:insert_schema_ops(Transaction, Operations).

next_definition(Table) ->
    mnesia_schema:vsn_cs2list(mnesia_schema:incr_version(mnesia:table_info(Table, cstruct))).

is_held(Definition) ->
    lists:any(fun(Storage) -> lists:member(node(), proplists:get_value(Storage, Definition)) end,
              ?STORAGES).

definition_with(Storage, Definition) ->
    {Storage, Holders} = lists:keyfind(Storage, 1, Definition),
    lists:keyreplace(Storage, 1, Definition, {Storage, [node() | Holders]}).
