"""The probe against a thousand names, half of them black holes, and against one node: `python tests/lab/bench_probe.py`.

The names are hosts of hello.world's hosts file. The addresses of one half are all those of foo.bar, whose five nodes go by other
names, so that each is looked up in epmd and asked in a handshake (one node alone has too short a queue for all at once); packets
to the other half are lost. The same names are pinged by
`net_adm:ping/1`, side by side and one after another; the latter on fewer names, whose time is multiplied.
"""

import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

from lab import Lab, traces, wait_until

NAMES = 1000
TIME_OUT = 500
RUNS = 5
TARGETS = 5
#: Of each half, in sequence: a black hole costs 7 seconds there.
IN_SEQUENCE = 4
HOLES, ALIASES = "198.18.0", "198.18.2"  # with the network after each: 512 addresses
NO_GATEWAY = "192.0.2.254"

PROBE = "{{Micros, {{ok, #{{reaches := Reaches}}}}}} = timer:tc(easy_cluster_reach, probe, [{nodes}, {time_out}]), {{Micros, length(Reaches), [F || #{{failure := F}} <- Reaches]}}"
PING_ALL = """
    Ping = fun() ->
        Pings = [spawn_monitor(net_adm, ping, [Node]) || Node <- {nodes}],
        [receive {{'DOWN', Ref, process, Pid, normal}} -> ok end || {{Pid, Ref}} <- Pings]
    end,
    element(1, timer:tc(Ping))"""
PING_EACH = "element(1, timer:tc(fun() -> [pang = net_adm:ping(Node) || Node <- {nodes}] end))"
ONE = """
    Once = fun() -> {{Micros, {{ok, _Layers}}}} = timer:tc(easy_cluster_reach, check, ['{node}', 5000]), Micros end,
    [Once() || _ <- lists:seq(1, {runs})]"""
PING_ONE = """
    Once = fun() ->
        {{Micros, pong}} = timer:tc(net_adm, ping, ['{node}']),
        true = net_kernel:disconnect('{node}'),
        Micros
    end,
    [Once() || _ <- lists:seq(1, {runs})]"""


def ip(host, *args: str) -> None:
    subprocess.run(["ip", "-n", host.ground.name(host), *args], check=True)


def lay_out(hello, foo) -> tuple[list[str], list[str]]:
    """Routes, hosts, and the names of those that answer and of the holes."""
    link = f"to{foo.number}"
    ip(hello, "neighbour", "replace", NO_GATEWAY, "lladdr", "02:00:00:00:00:00", "nud", "permanent", "dev", link)
    ip(hello, "route", "add", f"{HOLES}.0/23", "via", NO_GATEWAY, "dev", link, "onlink")
    ip(foo, "address", "add", f"{ALIASES}.1/23", "dev", "lo")
    ip(hello, "route", "add", f"{ALIASES}.0/23", "via", foo.address, "dev", link, "onlink")
    names, lines = {HOLES: [], ALIASES: []}, []
    for network, found in names.items():
        first, second, third = network.split(".")
        for number in range(NAMES // 2):
            host = f"n{number}.{'hole' if network == HOLES else 'alias'}"
            lines.append(f"{first}.{second}.{int(third) + number // 250}.{number % 250 + 1} {host}\n")
            found.append(f"target{number % TARGETS}@{host}")
    path = traces.ETC_NETNS / hello.ground.name(hello) / "hosts"
    path.write_text(path.read_text() + "".join(lines))
    return names[ALIASES], names[HOLES]


def erlang(names: list[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def resident(pid: int, field: str) -> float:
    """Megabytes of a process: VmRSS now, VmHWM at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def kind(failure) -> str:
    """A failure without its facts."""
    return next(iter(failure)) if isinstance(failure, dict) else failure[0]


def thousand(node, answering: list[str], holes: list[str]) -> list[str]:
    """Prints how long a thousand names take; returns what is worse than it should be."""
    nodes = erlang([name for pair in zip(answering, holes, strict=True) for name in pair])
    times, memory, answered = [], [], []
    for _ in range(RUNS):
        Path(f"/proc/{node.pid}/clear_refs").write_text("5")
        before = resident(node.pid, "VmRSS")
        micros, count, failures = node.eval(PROBE.format(nodes=nodes, time_out=TIME_OUT), timeout=60)
        memory.append(resident(node.pid, "VmHWM") - before)
        met, lost = (Counter(kind(failure) for failure in failures[half::2]) for half in (0, 1))
        assert count == NAMES and set(lost) == {"epmd_silent"}, (met, lost)
        answered.append(met["other_name"])
        times.append(micros / 1000)
    parallel = node.eval(PING_ALL.format(nodes=nodes), timeout=120) / 1000
    some = erlang(answering[:IN_SEQUENCE] + holes[:IN_SEQUENCE])
    sequence = node.eval(PING_EACH.format(nodes=some), timeout=120) / 1000 * NAMES / (2 * IN_SEQUENCE)
    ours = statistics.median(times)
    print(f"{NAMES} names, {len(holes)} of them black holes, time-out {TIME_OUT} ms, median of {RUNS}")
    print(f"  probe                  {ours:10.0f} ms  ({min(times):.0f} to {max(times):.0f})  {ours / TIME_OUT:.2f} time-outs, "
          f"{max(memory):.0f} MB at most")  # fmt: skip
    print(f"  net_adm:ping, at once  {parallel:10.0f} ms  probe/ping {ours / parallel:.3f}")
    print(f"  net_adm:ping, in turn  {sequence:10.0f} ms  probe/ping {ours / sequence:.6f}  "
          f"(from {2 * IN_SEQUENCE} names, times {NAMES // (2 * IN_SEQUENCE)})")  # fmt: skip
    return [
        *([f"the report took {ours / TIME_OUT:.2f} time-outs"] if ours > 1.3 * TIME_OUT else []),
        *([f"it took {max(memory):.0f} MB"] if max(memory) > 100 else []),
        *([f"{min(answered)} of {len(answering)} that answer were heard in time"] if min(answered) < len(answering) else []),
    ]


def one(node, target, where: str, runs: int = 50) -> float:
    """Prints how long one healthy node takes; returns it."""
    ours = statistics.median(node.eval(ONE.format(node=target.name, runs=runs), timeout=60)) / 1000
    ping = statistics.median(node.eval(PING_ONE.format(node=target.name, runs=runs), timeout=60)) / 1000
    print(f"one healthy node {where}, median of {runs}")
    print(f"  probe                  {ours:10.1f} ms")
    print(f"  net_adm:ping           {ping:10.1f} ms  probe/ping {ours / ping:.2f}")
    return ours


def main() -> int:
    with Lab() as lab:
        hello, foo = lab.host("hello.world"), lab.host("foo.bar")
        node, near = hello.mnesia(name="prober"), hello.mnesia(name="near")
        targets = [foo.mnesia(name=f"target{number}") for number in range(TARGETS)]
        lab.start(node, near, *targets)
        wait_until(lambda: node.eval("nodes()") == [], 10, "nobody to be connected")
        node.load_easy_cluster()
        too_slow = [f"one node took {ms:.1f} ms" for ms in [one(node, near, "over the loopback")] if ms > 20]
        one(node, targets[0], "on another host")
        too_slow += thousand(node, *lay_out(hello, foo))
    print(f"\ntargets: 1.3 time-outs, all that answer are heard, 100 MB, 20 ms for one: {', '.join(too_slow) or 'met'}")
    return 1 if too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
