%% How far an operation is, from its plan and its events.
-module(easy_cluster_progress).

-export([begun/2, event/2, told/2]).

-opaque progress() :: none | map().
%% Of those that are copied; a rate and a time that are left as soon as they can be told.
-type told() :: #{steps := {Done :: non_neg_integer(), Of :: non_neg_integer()}, tables := {non_neg_integer(), non_neg_integer()},
                  rows := {non_neg_integer(), non_neg_integer()}, bytes := {non_neg_integer(), non_neg_integer()},
                  milliseconds := non_neg_integer(), bytes_per_second := non_neg_integer() | undefined,
                  milliseconds_left := non_neg_integer()}.
-export_type([progress/0, told/0]).

%% Now is `erlang:monotonic_time(millisecond)'.
-spec begun(easy_cluster_planner:plan() | none, integer()) -> progress().
begun(#{steps := Steps}, Now) ->
    #{began => Now, steps => Steps, done => [], current => {0, 0}};
begun(none, _Now) ->
    none.

-spec event(easy_cluster_walker:event(), progress()) -> progress().
event(_Event, none) ->
    none;
event({step, begun, _Step, _Evidence}, Progress) ->
    Progress#{current := {0, 0}};
event({progress, #{rows := Rows, bytes := Bytes}}, Progress) ->
    Progress#{current := {Rows, Bytes}};
event({step, done, #{number := Number}, _Evidence}, #{done := Done} = Progress) ->
    Progress#{done := [Number | Done], current := {0, 0}};
event(_Other, Progress) ->
    Progress.

-spec told(progress(), integer()) -> told() | undefined.
told(none, _Now) ->
    undefined;
told(#{began := Began, steps := Steps, done := Numbers, current := {RowsNow, BytesNow}}, Now) ->
    {Done, Left} = lists:partition(fun(#{number := Number}) -> lists:member(Number, Numbers) end, Steps),
    Elapsed = Now - Began,
    {TablesDone, RowsDone, BytesDone} = sizes(Done),
    {TablesLeft, RowsLeft, BytesLeft} = sizes(Left),
    Bytes = BytesDone + BytesNow,
    #{steps => {length(Done), length(Steps)},
      tables => {TablesDone, TablesDone + TablesLeft},
      rows => {RowsDone + RowsNow, RowsDone + max(RowsNow, RowsLeft)},
      bytes => {Bytes, BytesDone + max(BytesNow, BytesLeft)},
      milliseconds => Elapsed,
      bytes_per_second => per_second(Bytes, Elapsed),
      milliseconds_left => left(planned(Done), planned(Left), Elapsed)}.

per_second(_Bytes, 0) -> undefined;
per_second(Bytes, Milliseconds) -> Bytes * 1000 div Milliseconds.

%% The steps that are left take as much longer than planned as those did that are done.
left(0, Left, Elapsed) -> max(0, Left - Elapsed);
left(Done, Left, Elapsed) -> Left * Elapsed div Done.

planned(Steps) ->
    lists:sum([Milliseconds || #{milliseconds := Milliseconds} <- Steps]).

sizes(Steps) ->
    Copies = lists:append([copies(Action) || #{action := Action} <- Steps]),
    {length(Copies), lists:sum([Rows || #{rows := Rows} <- Copies]), lists:sum([Bytes || #{bytes := Bytes} <- Copies])}.

copies({copy_tables, #{copies := Copies}}) -> Copies;
copies({Name, Copy}) when Name =:= copy_table; Name =:= copy_table_to -> [Copy];
copies(_NoCopy) -> [].
