%% Changes to Mnesia's schema for which it has functions, but no documented ones: exported, and the same, on OTP 25, 27 and 29.
-module(easy_cluster_schema).

-export([add_copies/1]).
-export([renew_cookie/0]).
-export([missing/0]).

-define(USED, [{schema_transaction, 1}, {get_tid_ts_and_lock, 2}, {insert_schema_ops, 2}, {incr_version, 1}, {vsn_cs2list, 1},
               {ensure_active, 1}]).

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
              [ram_copies, disc_copies, disc_only_copies]).

definition_with(Storage, Definition) ->
    {Storage, Holders} = lists:keyfind(Storage, 1, Definition),
    lists:keyreplace(Storage, 1, Definition, {Storage, [node() | Holders]}).
