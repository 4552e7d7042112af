%% A text of a log, or any term that somebody's function returned, given to the core to be recognised.
-module(easy_cluster_explain).

-export([explain/1]).

-type sighting() :: #{code := atom(), line := pos_integer(), count := pos_integer(), text := binary()}.
-export_type([sighting/0]).

%% What the core takes, bytes. One more is handed over when there is more, for the core to refuse.
-define(MAX_TEXT, 10000000).
-define(DEPTH, 30).

-spec explain(term()) -> {ok, #{text := unicode:chardata(), sightings := [sighting()]}} | easy_cluster_planner:error().
explain({error, {Code, Details}} = Term) when is_atom(Code), is_map(Details) ->
    case easy_cluster_text:rendered(Details, {Code, Details}) of
        {ok, Words} ->
            Text = unicode:characters_to_binary(io_lib:format("~tP", [Term, ?DEPTH])),
            {ok, #{text => Words, sightings => [#{code => Code, line => 1, count => 1, text => Text}]}};
        {error, _NotOurs} ->
            recognise(text(Term))
    end;
explain(Term) ->
    recognise(text(Term)).

recognise(Text) ->
    case easy_cluster_native:call(explain, #{text => Text, places => easy_cluster_doctor:places()}) of
        {ok, #{text := Words, sightings := Sightings}} ->
            {ok, #{text => Words, sightings => [maps:with([code, line, count, text], Sighting) || Sighting <- Sightings]}};
        {error, Reason} ->
            {error, Reason}
    end.

text(Binary) when is_binary(Binary) ->
    Taken = binary:part(Binary, 0, min(byte_size(Binary), ?MAX_TEXT + 1)),
    case unicode:characters_to_binary(Taken) of
        Text when is_binary(Text) -> Text;
        _NotUnicode -> unicode:characters_to_binary(Taken, latin1)
    end;
text(Term) ->
    try unicode:characters_to_binary(Term) of
        Text when is_binary(Text) -> text(Text);
        _NotText -> printed(Term)
    catch
        error:_NotText -> printed(Term)
    end.

printed(Term) ->
    text(unicode:characters_to_binary(io_lib:format("~tp", [Term], [{chars_limit, ?MAX_TEXT}]))).
