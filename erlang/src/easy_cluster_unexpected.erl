%% Messages that a server does not know, as a late answer or one that somebody sent by mistake: they end nothing.
-module(easy_cluster_unexpected).

-export([message/2]).

%% To be called in the server, which tells of the first one only.
-spec message(module(), term()) -> ok.
message(Server, Message) ->
    case put(?MODULE, told) of
        undefined -> logger:notice(#{what => easy_cluster_unexpected, server => Server, message => print(Message)});
        told -> ok
    end.

print(Message) ->
    unicode:characters_to_binary(io_lib:format("~tP", [Message, 10])).
