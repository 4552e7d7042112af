%% Waiting for what there is no event for.
-module(easy_cluster_wait).

-export([until/2]).

%% Waits until Fun says true; there is no event for most of what Mnesia does.
-spec until(fun(() -> boolean()), timeout()) -> ok | timeout.
until(Fun, Timeout) ->
    until_deadline(Fun, erlang:monotonic_time(millisecond) + Timeout).

until_deadline(Fun, Deadline) ->
    case Fun() of
        true -> ok;
        false ->
            case erlang:monotonic_time(millisecond) >= Deadline of
                true -> timeout;
                false ->
                    receive after 5 -> until_deadline(Fun, Deadline) end
            end
    end.
