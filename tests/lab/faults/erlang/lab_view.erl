%% What a node says of the cluster and of each table: two views are equal when nothing that lasts has changed.
-module(lab_view).

-export([view/0]).

%% Rows that belong to a process or a node, that are computed again, or that change by themselves. The writer of numbers is asked itself.
-define(PASSING, [bosh, bytestream, caps_features, captcha, carboncopy, ejabberd_commands, iq_response, lab_numbers, muc_online_room,
                  muc_online_users, pubsub_last_item, reg_users_counter, route, route_multicast, s2s, schema, session,
                  session_counter, temporarily_blocked, vcard_search]).

-spec view() -> map().
view() ->
    Tables = mnesia:system_info(tables),
    #{db_nodes => lists:sort(mnesia:system_info(db_nodes)),
      running_db_nodes => lists:sort(mnesia:system_info(running_db_nodes)),
      accounts => lists:sort([User || {User, _Server} <- mnesia:dirty_all_keys(passwd)]),
      tables => maps:from_list([{Table, table(Table)} || Table <- Tables])}.

table(Table) ->
    Copies = [{Storage, lists:sort(mnesia:table_info(Table, Storage))} || Storage <- [ram_copies, disc_copies, disc_only_copies]],
    Definition = [{Item, mnesia:table_info(Table, Item)} || Item <- [type, attributes, local_content, majority]]
        ++ [{index, lists:sort(mnesia:table_info(Table, index))}],
    #{copies => Copies, definition => digest(Definition), rows => rows(Table, lists:member(Table, ?PASSING))}.

rows(_Table, true) ->
    passing;
rows(Table, false) ->
    %% A local table is read where it has a copy only.
    case mnesia:table_info(Table, where_to_read) of
        nowhere -> unreadable;
        _Node ->
            Rows = mnesia:dirty_select(Table, [{'_', [], ['$_']}]),
            {length(Rows), digest(lists:sort(Rows))}
    end.

digest(Term) ->
    erlang:md5(term_to_binary(Term, [{minor_version, 2}])).
