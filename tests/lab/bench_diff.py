"""What a comparison of two copies of a million rows sends over the wire and how long it takes: part of `make bench`."""

import statistics
import sys

from lab import Lab

ROWS = 1_000_000
RUNS = 5
TABLE = """
    {{atomic, ok}} = mnesia:create_table(stock, [{{ram_copies, ['{one}', '{other}']}}, {{attributes, [key, body, hash]}}]),
    [ok = mnesia:dirty_write({{stock, I, <<I:64, 0:448>>, <<I:128>>}}) || I <- lists:seq(1, {rows})], ok"""
# The octets in both directions, by the socket of the distribution.
DIFF = """
    Socket = proplists:get_value('{other}', erlang:system_info(dist_ctrl)),
    Octets = fun() -> {{ok, Counts}} = inet:getstat(Socket, [recv_oct, send_oct]), lists:sum([N || {{_, N}} <- Counts]) end,
    Before = Octets(),
    {{Micros, {{ok, #{{compared := Compared}}}}}} = timer:tc(fun() -> easy_cluster_api:diff('{other}') end),
    [Differing] = [length(Keys) || #{{table := stock, differing := Keys}} <- Compared],
    {{Differing, Octets() - Before, Micros}}"""


def main() -> int:
    with Lab() as lab:
        one, other = (lab.host(host).mnesia(name=name) for host, name in (("hello.world", "one"), ("foo.bar", "two")))
        lab.start(one, other)
        for node in (one, other):
            node.load_easy_cluster()
        assert one.eval(f"easy_cluster:join_as_master('{other.name}')", 60) == "ok"
        assert one.eval(TABLE.format(one=one.name, other=other.name, rows=ROWS), 600) == "ok"
        sent = {}
        for wanted in (0, 100):
            for i in range(wanted):
                other.eval(f"ets:insert(stock, {{stock, {1 + i * (ROWS // 100)}, changed, here}})")
            runs = [one.eval(DIFF.format(other=other.name), 120) for _ in range(RUNS)]
            assert {found for found, _, _ in runs} == {wanted}, runs
            sent[wanted] = max(octets for _, octets, _ in runs)
            seconds = statistics.median(micros for _, _, micros in runs) / 1e6
            print(f"{ROWS:,} rows, {wanted} differ: {sent[wanted] / 1000:.1f} kB at most, {seconds:.2f} s")
    print(f"targets: equal under 64 kB: {sent[0] / 1000:.1f}; 100 differing under 1,000 kB: {sent[100] / 1000:.1f}")
    return 0 if sent[0] < 64_000 and sent[100] < 1_000_000 else 1


if __name__ == "__main__":
    sys.exit(main())
