%% Renames a stopped node's database in a terminal, as the user that ejabberd runs as:
%%
%%     $ easy-cluster rename ejabberd@old.host ejabberd@new.host /var/lib/ejabberd
-module(easy_cluster_rename_main).

-export([main/1]).

%% From, To, Directory and whether it is a dry run, as `erl -run' hands them over.
-spec main([string()]) -> no_return().
main([From, To, Directory, Kind]) ->
    ok = io:setopts([{encoding, unicode}]),
    Path = filename:absname(Directory),
    DryRun = Kind =:= "dry_run",
    ok = ended(DryRun, easy_cluster_history:unfinished(Path), Path),
    halt(status(rename(From, To, Path, #{dry_run => DryRun}))).

%% Only what a rename has left: the rest is for the start of ejabberd.
ended(false, Id, Directory) when is_binary(Id) ->
    case binary:longest_common_suffix([Id, <<"-rename">>]) of
        7 ->
            _ = easy_cluster_vm:call(nonode@nohost, easy_cluster_rename, end_interrupted, [Directory], infinity),
            ok;
        _Another -> ok
    end;
ended(_DryRun, _Unfinished, _Directory) ->
    ok.

rename(From, To, Directory, Opts) ->
    easy_cluster:rename(From, To, Directory, Opts).

status(ok) -> 0;
status({error, _Reason}) -> 1.
