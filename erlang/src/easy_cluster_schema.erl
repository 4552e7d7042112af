%% Changes to Mnesia's schema for which it has functions, but no documented ones: exported, and the same, on OTP 25, 27 and 29.
-module(easy_cluster_schema).

-export([add_copies/1]).

-define(USED, [{schema_transaction, 1}, {get_tid_ts_and_lock, 2}, {insert_schema_ops, 2}, {incr_version, 1}, {vsn_cs2list, 1}]).

%% What mnesia:add_table_copy/3 does for one table, for several in one transaction. Those that have a copy here, of whatever
%% kind, are left out: Mnesia would not notice. As with any schema transaction, either all are copied or none.
%% Source: mnesia_schema:make_add_table_copy/3, which is not exported.
-spec add_copies([#{table := atom(), storage := atom(), _ => _}]) -> {atomic, ok} | {aborted, term()}.
add_copies(Copies) ->
    case [Function || {Function, Arity} <- ?USED, not erlang:function_exported(mnesia_schema, Function, Arity)] of
        [] -> mnesia_schema:schema_transaction(fun() -> insert_copies(Copies) end);
        Unknown -> {aborted, {not_exported, Unknown}}
    end.

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
