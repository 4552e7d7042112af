"""Two strangers become one cluster, before your eyes: `make demo`.

Two real ejabberd nodes, each on a host of its own, run by Debian's ejabberdctl. What is typed and what is answered is real; each
line that begins with a tick is a claim that was checked, and the first one that is false ends the demonstration with exit status 1.
"""

import sys
import time
from collections.abc import Callable

from lab import (EjabberdNode, ErlangError, Lab, Late, LoginRefused, Shell, ShellStuck, Terminated, XmppError,
                 wait_until)

HELLO, FOO = "ejabberd@hello.world", "ejabberd@foo.bar"
# Tables whose rows have to survive the loss of a node.
DURABLE = ["passwd", "roster", "vcard", "offline_msg", "muc_room", "private_storage"]


class FalseClaim(Exception):
    """What the demonstration says is not so."""


def main() -> int:
    """Runs the demonstration and returns the exit status."""
    begun = time.monotonic()
    try:
        with Lab() as lab:
            show(lab)
    except FalseClaim as claim:
        print(f"\n  ✗ {claim}\n\nThis is false, so the demonstration has failed.", file=sys.stderr)
        return 1
    except (ErlangError, Late, RuntimeError, ShellStuck) as error:
        print(f"\n  ✗ {error}\n\nThe demonstration could not go on.", file=sys.stderr)
        return 1
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    print(f"\nAll of it is true. Both hosts and their files are gone again; it took {time.monotonic() - begun:.0f} s.")
    return 0


def show(lab: Lab) -> None:
    """The demonstration, chapter by chapter."""
    chapter("Two hosts, each with ejabberd from Debian's package, an address, an epmd and a hosts file")
    hello, foo = lab.host("hello.world").ejabberd(), lab.host("foo.bar").ejabberd()
    lab.start(hello, foo)
    for node in (hello, foo):
        command(node, "status")
        claim(f"{node.name} runs at {node.host.address} and is alone", node.members() == {node.name})

    chapter("easy_cluster is installed into both, as any module of ejabberd")
    for node in (hello, foo):
        prompt(node, "ejabberdctl module_install easy_cluster")
        print(node.install_easy_cluster().strip() or "(no output)")
        claim(f"{node.host.name} lists it among its modules", "easy_cluster" in command(node, "modules_installed"))

    chapter("Accounts: romeo and juliet on foo.bar, mercutio on hello.world only")
    for node, user in [(foo, "romeo"), (foo, "juliet"), (hello, "mercutio")]:
        command(node, "register", user, node.domain, f"{user}s-secret")
    claim("mercutio can log in on hello.world", logs_in(hello, "mercutio"))
    claim("romeo cannot, as hello.world does not know him", not logs_in(hello, "romeo"))

    chapter("hello.world looks at foo.bar, plans, and joins; foo.bar's database is the one that stays")
    join(hello)
    claim("both say that two nodes run Mnesia together", hello.members() == foo.members() == {HELLO, FOO})
    for node in (hello, foo):
        claim(f"{node.host.name} has its own copy of {', '.join(DURABLE)}",
              all(node.eval(f"mnesia:table_info({table}, storage_type)") != "unknown" for table in DURABLE))
    claim("what was hello.world's database is kept, not deleted",
          any((hello.spool / "easy_cluster" / "kept").glob("*/schema.DAT")))
    claim("mercutio, whose account was in it, is refused now", not logs_in(hello, "mercutio"))

    chapter("A client on each node")
    with client(hello, "romeo") as romeo, client(foo, "juliet") as juliet:
        talk(romeo, juliet)

        chapter("foo.bar dies: SIGKILL, without a warning to anybody")
        print(f"root@foo.bar:~# kill -9 {foo.pid}")
        foo.kill()
        claim("hello.world noticed and serves alone", soon(lambda: hello.members() == {HELLO}))
    with client(hello, "romeo") as romeo, client(hello, "juliet") as juliet:
        talk(romeo, juliet)


def join(hello: EjabberdNode) -> None:
    """What is typed in hello.world's shell."""
    prompt(hello, "ejabberdctl debug")
    with Shell(hello) as shell:
        tested = typed(shell, f"easy_cluster:test_node('{FOO}').")
        claim("foo.bar can be reached", tested.endswith("\nok"))
        planned = typed(shell, f"easy_cluster:plan({{join_as_master, '{FOO}'}}).")
        last = planned.rpartition("\n")[2]
        claim("there is a plan, and nothing has been done yet", last.startswith("{ok,<<") and hello.members() == {HELLO})
        claim("it counts mercutio's account as a row that exists only here", "1 row of passwd exists only here" in planned)
        joined = typed(shell, f"easy_cluster:join_as_master('{FOO}').")
        claim("the join has succeeded", joined.endswith("\nok"))


def talk(one, other) -> None:
    """Messages in both directions."""
    for sender, receiver, text in [(one, other, "Wherefore art thou?"), (other, one, "Here, on the other node or on this one.")]:
        sender.send(receiver, text)
        claim(f"{sender.jid} to {receiver.jid}: {text}", receiver.receive() == (sender.jid, text))


def client(node: EjabberdNode, user: str):
    """An XMPP client that has logged in."""
    try:
        session = node.xmpp(user, f"{user}s-secret")
    except XmppError as error:
        raise FalseClaim(f"{user} logs in on {node.host.name} ({type(error).__name__}: {error})") from None
    print(f"  ✓ {user} logs in on {node.host.name}", flush=True)
    return session


def logs_in(node: EjabberdNode, user: str) -> bool:
    """Whether the node accepts the user; that it answers is not in question."""
    try:
        with node.xmpp(user, f"{user}s-secret"):
            return True
    except LoginRefused:
        return False


def typed(shell: Shell, line: str) -> str:
    """Types a line and shows what a person would see."""
    before = len(shell.transcript().rpartition("\n")[0])
    printed = shell.type(line)
    print(shell.transcript()[before:].rpartition("\n")[0].strip("\n"), flush=True)
    return "\n" + printed.rstrip("\n")


def command(node: EjabberdNode, *args: str) -> str:
    """Runs ejabberdctl and shows it."""
    prompt(node, " ".join(["ejabberdctl", *args]))
    output = node.ctl(*args)
    print(output.rstrip("\n"), flush=True)
    return output


def prompt(node: EjabberdNode, line: str) -> None:
    """Shows what is typed on a host."""
    print(f"root@{node.host.name}:~# {line}", flush=True)


def chapter(title: str) -> None:
    """A headline."""
    print(f"\n== {title}\n", flush=True)


def claim(text: str, is_true: bool) -> None:
    """Says something that was checked, or ends the demonstration."""
    if not is_true:
        raise FalseClaim(text)
    print(f"  ✓ {text}", flush=True)


def soon(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within some seconds."""
    try:
        return wait_until(condition, 10, "it")
    except Late:
        return False


if __name__ == "__main__":
    sys.exit(main())
