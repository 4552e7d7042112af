%% What the schema on disc says, read while Mnesia is stopped.
-module(easy_cluster_schema_file).

-export([members/1, cookies/1, print/1]).

-define(SCHEMA, "schema.DAT").

%% The members that the schema on disc lists, read while Mnesia is stopped. One that cannot be read is Mnesia's to complain of.
-spec members(file:filename()) -> [node()].
members(Directory) ->
    listed([Definition || {schema, schema, _} = Definition <- definitions(Directory)]).

%% The cookies of the tables there, and of the schema.
-spec cookies(file:filename()) -> #{atom() => binary()}.
cookies(Directory) ->
    maps:from_list([{Table, print(Cookie)} || {schema, Table, Properties} <- definitions(Directory), {cookie, Cookie} <- Properties]).

%% A cookie as the core compares it.
-spec print(term()) -> binary().
print(Cookie) ->
    <<Text/binary>> = unicode:characters_to_binary(io_lib:format("~tw", [Cookie])),
    Text.

definitions(Directory) ->
    File = filename:join(Directory, ?SCHEMA),
    case filelib:is_regular(File) andalso dets:open_file(make_ref(), [{file, File}, {access, read}, {keypos, 2}, {repair, false}]) of
        {ok, Table} ->
            Definitions = dets:match_object(Table, '_'),
            ok = dets:close(Table),
            [Definition || {schema, _Name, Properties} = Definition <- Definitions, is_list(Properties)];
        false -> [];
        {error, Reason} ->
            logger:notice(#{what => easy_cluster_schema_file, schema => File, reason => Reason}),
            []
    end.

listed([{schema, schema, Properties}]) ->
    lists:usort(lists:append([proplists:get_value(Kind, Properties, []) || Kind <- [ram_copies, disc_copies]]));
listed(_Nothing) ->
    [].
