%% Gives up what operations have left: a kept database or archived rows when an operator says so, and the history of what cannot be had back.
-module(easy_cluster_drop).

-export([kept/2, archive/2, finish/1]).
-export([old/1]).

%% So many repairs that have ended stay in the history, and so many other operations.
-define(KEEP_ENDED, 20).

%% Deletes a kept database. The intent is on disc before, so that a kill leaves none that looks whole and is not; the next start
%% goes on. A journal that cannot be read is not written to.
-spec kept(file:filename(), #{id := binary(), bytes := non_neg_integer(), _ => _}) -> ok | {error, {atom(), map()}}.
kept(Directory, Database) ->
    drop(Directory, Database, kept).

%% Deletes archived rows likewise.
-spec archive(file:filename(), #{id := binary(), bytes := non_neg_integer(), _ => _}) -> ok | {error, {atom(), map()}}.
archive(Directory, Archive) ->
    drop(Directory, Archive, archive).

drop(Directory, #{id := Id, bytes := Bytes}, What) ->
    case easy_cluster_journal:open(Directory, Id) of
        {ok, Journal} -> dropping(easy_cluster_journal:append(Journal, {dropping(What), Bytes}), Journal, Directory, Id, Bytes, What);
        {error, {Code, _}} when Code =:= journal_corrupt; Code =:= journal_version; Code =:= journal_missing; Code =:= journal_read ->
            deleted(What, Directory, Id);
        {error, Reason} -> {error, Reason}
    end.

dropping(kept) -> dropping;
dropping(archive) -> dropping_archive.

dropped(kept) -> dropped;
dropped(archive) -> archive_dropped.

deleted(kept, Directory, Id) -> easy_cluster_directory:drop_kept(Directory, Id);
deleted(archive, Directory, Id) -> easy_cluster_directory:drop_archive(Directory, Id).

dropping({ok, Journal}, _Before, Directory, Id, Bytes, What) ->
    case deleted(What, Directory, Id) of
        ok -> easy_cluster_journal:close(easy_cluster_journal:note(Journal, [{dropped(What), Bytes}]));
        {error, Reason} ->
            ok = easy_cluster_journal:close(easy_cluster_journal:note(Journal, [{drop_failed, Reason}])),
            {error, Reason}
    end;
dropping({error, Reason}, Journal, _Directory, _Id, _Bytes, _What) ->
    ok = easy_cluster_journal:close(Journal),
    {error, Reason}.

%% What a kill has interrupted.
-spec finish(file:filename()) -> ok.
finish(Directory) ->
    Ids = case easy_cluster_journal:list(Directory) of
              {error, _Unreadable} -> [];
              Listed -> Listed
          end,
    Begun = [{Id, Bytes, What} || Id <- Ids, {ok, #{events := [_ | _] = Entries}} <- [easy_cluster_journal:read(Directory, Id)],
                                  {_, _, {Dropping, Bytes}} <- [lists:last(Entries)],
                                  What <- [kept, archive], dropping(What) =:= Dropping],
    lists:foreach(fun({Id, Bytes, What}) ->
                          dropped_at_start(drop(Directory, #{id => Id, bytes => Bytes}, What), Id)
                  end, Begun).

dropped_at_start(ok, Id) -> logger:notice(#{what => easy_cluster_drop_kept, operation => Id});
dropped_at_start({error, Reason}, Id) -> logger:error(#{what => easy_cluster_drop_kept, operation => Id, reason => Reason}).

%%% Giving up the history of what cannot be had back

%% A policy that is followed makes repairs for years, operators leave and take it back, and each look reads all journals. What can be had
%% back, what has not ended, members that still have to forget this node, and the copies that estimates are learned from stay.
-spec old(file:filename()) -> ok.
old(Directory) ->
    case {easy_cluster_journal:list(Directory), easy_cluster_history:stored(Directory)} of
        {[_ | _] = Ids, #{kept := Kept, archives := Archives}} ->
            Stored = [Id || #{id := Id} <- Kept ++ Archives],
            Newest = [told(Id, easy_cluster_journal:read(Directory, Id)) || Id <- lists:reverse(Ids)],
            Teaching = lists:sublist([Id || #{id := Id, teaches := true} <- Newest], easy_cluster_history:learned_from()),
            Old = lists:append([beyond_newest([Id || #{id := Id, ended := Kind} <- Newest, Kind =:= Wanted]) || Wanted <- [repair, other]]),
            delete_each(Old -- (Teaching ++ Stored), Directory);
        {_NoneOrUnreadable, _} ->
            ok
    end.

beyond_newest(Ids) ->
    lists:nthtail(min(?KEEP_ENDED, length(Ids)), Ids).

told(Id, Read) ->
    #{id => Id, teaches => easy_cluster_history:copies_of(Read) =/= [], ended => ended(Read)}.

%% Repairs are many, and push no other operation out.
ended({ok, #{events := [{_, _, {begun, #{operation := Operation}}} | Entries]}} = Read) ->
    case lists:member(element(1, easy_cluster_history:outcome(Entries)), [done, stopped, undone]) andalso easy_cluster_history:pending_in(Read) =:= [] of
        true when element(1, Operation) =:= repair -> repair;
        true -> other;
        false -> no
    end;
ended(_OtherOrDamaged) ->
    no.

%% One that stays is deleted the next time.
delete_each(Ids, Directory) ->
    [logger:error(#{what => easy_cluster_journal, operation => Id, reason => Reason})
     || Id <- Ids, {error, Reason} <- [easy_cluster_journal:delete(Directory, Id)]],
    ok.
