"""`make demo`: two strangers become one cluster, before your eyes, on real ejabberd.

Prints what a person at the terminal would do and see; each claim is checked, and a false one ends the demo with status 1.
"""

import sys
import time

from lab import Lab, LoginRefused, Shell

HELLO, FOO = "ejabberd@hello.world", "ejabberd@foo.bar"


class Claim(AssertionError):
    """Something that the demo says is not so."""


def say(text: str = ""):
    print(text, flush=True)


def step(number: int, title: str):
    say(f"\n── {number}. {title} " + "─" * max(0, 92 - len(title)))


def claim(what: str, holds: bool):
    say(f"  {'✓' if holds else '✗'} {what}")
    if not holds:
        raise Claim(what)


def typed(shell: Shell, line: str) -> str:
    """Types a line in the debug shell and shows what comes back, as it comes back to a person."""
    say(f"\n({HELLO})> {line}")
    printed = shell.type(line, timeout=60)
    for text in printed.splitlines():
        say(f"  {text.rstrip()}")
    return printed


def talk(one, other):
    """Two clients say something to each other."""
    bob, carol = one.xmpp("bob", "secret"), other.xmpp("carol", "secret")
    with bob, carol:
        bob.send(carol, "can you hear me?")
        heard = carol.receive()
        carol.send(bob, "loud and clear")
        answered = bob.receive()
    say(f"  carol on {other.name} hears {heard[0]}: {heard[1]}")
    say(f"  bob on {one.name} hears {answered[0]}: {answered[1]}")
    return heard == ("bob@localhost", "can you hear me?") and answered == ("carol@localhost", "loud and clear")


def is_refused(node, user: str) -> bool:
    try:
        node.xmpp(user, "secret").logout()
    except LoginRefused:
        return True
    return False


def demo(lab):
    step(1, "two ejabberd nodes that know nothing of each other")
    hello, foo = lab.host("hello.world").ejabberd(), lab.host("foo.bar").ejabberd()
    lab.start(hello, foo)
    for node in (hello, foo):
        say(f"  {node.name} on {node.host.address}, ejabberd {node.text('ejabberd_option:version()')}, its own epmd and /etc/hosts")

    step(2, "ejabberdctl module_install easy_cluster, on both")
    for node in (hello, foo):
        node.install_easy_cluster()
        running = node.eval("lists:keymember(easy_cluster, 1, application:which_applications())")
        claim(f"easy_cluster runs on {node.name}", running)

    step(3, "accounts on both: alice on hello.world; bob and carol on foo.bar")
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    foo.register("carol", "secret")
    with hello.xmpp("alice", "secret"):
        claim("alice can log in on hello.world", True)

    step(4, "ejabberdctl debug on hello.world")
    with Shell(hello) as shell:
        claim("foo.bar can be reached", typed(shell, f"easy_cluster:test_node('{FOO}').").endswith("ok"))
        plan = typed(shell, f"{{ok, Plan}} = easy_cluster:plan({{join_as_master, '{FOO}'}}), ok.")
        claim("the plan counts what only hello.world has", "1 row of passwd exists only here" in plan)
        before = time.monotonic()
        joined = typed(shell, f"easy_cluster:join_as_master('{FOO}').")
        seconds = time.monotonic() - before
        claim(f"hello.world has joined, in {seconds:.1f} s", "each checked" in joined and joined.rstrip().endswith("ok"))
        typed(shell, "easy_cluster:status(), ok.")

    step(5, "one cluster: a client on each node")
    claim("both members list both", hello.members() == foo.members() == {HELLO, FOO})
    claim("bob on hello.world and carol on foo.bar talk", talk(hello, foo))
    claim("alice, who was only on hello.world, is refused", is_refused(hello, "alice"))
    kept = list(hello.spool.glob("easy_cluster/kept/*/passwd.DAT"))
    claim("her row is in the kept database", [b"alice" in path.read_bytes() for path in kept] == [True])

    step(6, "kill -9 foo.bar")
    foo.kill()
    claim("bob and carol both log in on hello.world and talk again", talk(hello, hello))


def main() -> int:
    began = time.monotonic()
    try:
        with Lab() as lab:
            demo(lab)
    except Claim as false:
        say(f"\nThis is not so: {false}")
        return 1
    say(f"\nAll of it was so, in {time.monotonic() - began:.0f} s. Nodes, namespaces and folders are gone again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
