"""What the scrub in the background costs a transaction workload on the same node: part of `make bench`.

Windows with and without it alternate in one run, so that both see the same machine; the medians of their 99th percentiles are compared.
"""

import statistics
import sys

from lab import Lab, wait_until

ROWS = 1_000_000
#: Many short windows: what else the machine does then falls on both kinds.
PAIRS = 60
SECONDS = 1
WORKERS = 4
TARGET = 1.10
TABLE = """
    {{atomic, ok}} = mnesia:create_table(stock, [{{ram_copies, ['{one}', '{other}']}}, {{attributes, [key, body, hash]}}]),
    [ok = mnesia:dirty_write({{stock, I, <<I:64, 0:448>>, <<I:128>>}}) || I <- lists:seq(1, {rows})], ok"""
# Each reads and writes a row, over and over, with a millisecond in between.
WORKLOAD = """
    Once = fun() ->
               Key = rand:uniform({rows}),
               {{Micros, {{atomic, ok}}}} =
                   timer:tc(fun() ->
                                mnesia:transaction(fun() ->
                                                       [{{stock, Key, Body, _}}] = mnesia:read(stock, Key, write),
                                                       mnesia:write({{stock, Key, Body, <<Key:128>>}})
                                                   end)
                            end),
               Micros
           end,
    End = erlang:monotonic_time(millisecond) + {seconds} * 1000,
    Loop = fun Loop(Times) ->
               case erlang:monotonic_time(millisecond) < End of
                   true -> Micros = Once(), receive after 1 -> Loop([Micros | Times]) end;
                   false -> exit({{times, Times}})
               end
           end,
    Workers = [spawn_monitor(fun() -> Loop([]) end) || _ <- lists:seq(1, {workers})],
    Times = lists:sort(lists:append([receive {{'DOWN', M, process, P, {{times, T}}}} -> T end || {{P, M}} <- Workers])),
    Count = length(Times),
    {{Count, lists:nth(Count div 2, Times), lists:nth(Count * 99 div 100, Times)}}"""
HASHING = "ets:info(stock, safe_fixed) =/= false"


def window(one, scrub: bool) -> tuple[int, int, int]:
    """Transactions, and the median and 99th percentile of their time, microseconds."""
    one.eval(f"application:set_env(easy_cluster, scrub, {str(scrub).lower()}), easy_cluster_watch:changed(), easy_cluster_watch:scrub()")
    wait_until(lambda: one.eval(HASHING) is scrub, 20, "the scrub")
    # What the beginning of a round costs comes once a day, and is not measured.
    one.eval(WORKLOAD.format(rows=ROWS, seconds=1, workers=WORKERS), 30)
    measured = one.eval(WORKLOAD.format(rows=ROWS, seconds=SECONDS, workers=WORKERS), SECONDS + 30)
    assert one.eval(HASHING) is scrub, "the whole window was one with the scrub, or without"
    return measured


def main() -> int:
    with Lab() as lab:
        one, other = (lab.host(host).mnesia(name=name) for host, name in (("hello.world", "one"), ("foo.bar", "two")))
        # The first by name scrubs.
        one, other = sorted((one, other), key=lambda node: node.name)
        lab.start(one, other)
        for node in (one, other):
            node.load_easy_cluster()
        assert one.eval(f"easy_cluster:join_as_master('{other.name}')", 60) == "ok"
        assert one.eval(TABLE.format(one=one.name, other=other.name, rows=ROWS), 600) == "ok"
        window(one, False)
        found: dict[bool, list[tuple[int, int, int]]] = {False: [], True: []}
        for pair in range(PAIRS):
            for scrub in (False, True) if pair % 2 == 0 else (True, False):
                found[scrub].append(window(one, scrub))
    for scrub, windows in found.items():
        count, median, p99 = (statistics.median(each) for each in zip(*windows, strict=True))
        print(f"{'beside the scrub' if scrub else 'without'}: {len(windows)} windows of {SECONDS} s, by their medians "
              f"{count:.0f} transactions, {median:.0f} us, p99 {p99:.0f} us")  # fmt: skip
    without, beside = (statistics.median(p99 for _, _, p99 in found[scrub]) for scrub in (False, True))
    pairs = [on / off for (_, _, off), (_, _, on) in zip(found[False], found[True], strict=True)]
    print(f"p99 beside the scrub against without: {beside / without:.3f} (target below {TARGET:.2f}); "
          f"the median of neighbouring windows' own ratios: {statistics.median(pairs):.3f}")  # fmt: skip
    return 0 if beside / without < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
