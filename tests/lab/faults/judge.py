"""Whether a node that was killed and started again is what the uninterrupted operation makes of it, or what it was before."""

import re
from dataclasses import dataclass, field

from cluster import call
from lab import ErlangError, Late, LoginRefused, XmppError, wait_until

from .killing import load
from .scenes import ACCOUNTS, PASSWORD, World

COMPLETED, RESTORED, LOST, STUCK = "completed", "restored", "LOST", "stuck"
#: What the journal has to say of each end.
_HISTORY = {COMPLETED: "done", RESTORED: "undone"}
_MNESIA_LEFTOVERS = re.compile(r".*(\.new|\.TMP|\.RET|\.DMP|\.BUP)|\.easy_cluster-.*")


@dataclass
class Verdict:
    """How it ended, and everything that is wrong with that."""

    outcome: str
    wrong: list[str] = field(default_factory=list)
    #: What users lose by that; the baseline's are counted.
    losses: list[str] = field(default_factory=list)


def view(world: World) -> dict:
    """What both nodes say of the cluster and of every table; see `erlang/lab_view.erl`."""
    names = {world.here.name: "here", world.other.name: "other"}
    return {names[node.name]: _renamed(node.eval("lab_view:view()", 20), names) for node in world.nodes}


def _renamed(value, names):
    match value:
        case dict(): return {_renamed(key, names): _renamed(each, names) for key, each in value.items()}
        case list(): return [_renamed(each, names) for each in value]
        case tuple(): return tuple(_renamed(each, names) for each in value)
        case str(): return names.get(value, str(value))
        case _: return value


def is_settled(world: World) -> bool:
    """Whether nothing is under way or waiting on the node that was killed."""
    try:
        status = call(world.here, "status()")[1]
    except ErlangError:
        return False
    return status["unfinished"] == "undefined" and status["operation"] == "none" and status["pending"] == []


def judged(world: World, former: dict, end: dict, changes: list, log_from: int, forward: bool) -> Verdict:
    """The verdict on a node that has been started again."""
    wait_until(lambda: is_settled(world), 40, "the end of the recovery")
    seen = _settled_view(world, former, end)
    acknowledged = world.other.eval("lab_numbers:stop()", 20)
    if seen == end:
        verdict = Verdict(COMPLETED)
    elif seen == former:
        verdict = Verdict(LOST, ["it went back, and had no way back"]) if forward else Verdict(RESTORED)
    else:
        from_end, from_former = _differences(seen, end), _differences(seen, former)
        nearer = ("uninterrupted end", from_end) if len(from_end) <= len(from_former) else ("former state", from_former)
        verdict = Verdict(LOST, [f"not the {nearer[0]}: {difference}" for difference in nearer[1]])
    verdict.wrong += _records(world, acknowledged, seen)
    verdict.wrong += _accounts(world, seen)
    verdict.wrong += _leftovers(world)
    verdict.wrong += _history(world, verdict.outcome, changes)
    verdict.wrong += _log(world, changes, log_from)
    if verdict.wrong:
        verdict.outcome = LOST
    return verdict


def judged_baseline(world: World, former: dict, end: dict, start_timeout: float) -> Verdict:
    """The verdict on ejabberd's own join, started again: there is nothing to wait for, and nothing that it would have to say."""
    try:
        world.here.start(start_timeout)
        load(world.here, "lab_view", "lab_numbers")
        seen = _settled_view(world, former, end, 3)
    except (Late, RuntimeError, ErlangError) as error:
        return Verdict(STUCK, [f"{type(error).__name__}: {error}"], ["the node does not start"])
    finally:
        acknowledged = world.other.eval("lab_numbers:stop()", 20)
    if seen in (former, end):
        return Verdict(COMPLETED if seen == end else RESTORED)
    return Verdict(LOST, _differences(seen, end), _losses(seen, former) + _records(world, acknowledged, seen))


def _losses(seen: dict, former: dict) -> list[str]:
    here, other = seen["here"], seen["other"]
    found = []
    if not here["accounts"]:
        found.append("ejabberd serves an empty database: no account is there, neither its own nor the cluster's")
    elif here["accounts"] not in (former["here"]["accounts"], former["other"]["accounts"]):
        found.append("some accounts are gone")
    if here["running_db_nodes"] != other["running_db_nodes"] and "here" in other["db_nodes"]:
        found.append("half a member: the other node lists it, and it runs alone")
    if here["running_db_nodes"] == other["running_db_nodes"]:
        found.append("a member without all copies")
    return found or ["anything else"]


def _settled_view(world: World, former: dict, end: dict, timeout: float = 10) -> dict:
    """What is seen when it is one of the two, or at the last moment."""
    seen = {}

    def is_known() -> bool:
        nonlocal seen
        try:
            seen = view(world)
        except ErlangError:
            return False
        return seen in (former, end)

    try:
        wait_until(is_known, timeout, "a view that is known", every=0.2)
    except Late:
        seen = view(world)
    return seen


def _differences(seen: dict, expected: dict) -> list[str]:
    found = []
    for node, of_node in expected.items():
        for key in ("db_nodes", "running_db_nodes", "accounts"):
            if seen[node][key] != of_node[key]:
                found.append(f"{key} of {node}: {seen[node][key]}, not {of_node[key]}")
        tables, wanted = seen[node]["tables"], of_node["tables"]
        found += [f"table {table} of {node} is not there" for table in sorted(wanted.keys() - tables.keys())]
        found += [f"table {table} of {node} is there" for table in sorted(tables.keys() - wanted.keys())]
        for table in sorted(wanted.keys() & tables.keys()):
            found += [f"{what} of table {table} of {node}: {tables[table][what]}, not {wanted[table][what]}"
                      for what in wanted[table] if tables[table][what] != wanted[table][what]]  # fmt: skip
    return found


def _records(world: World, acknowledged: int, seen: dict) -> list[str]:
    """No record that the other node has acknowledged is missing, wherever the table can be read."""
    wrong = [] if acknowledged else ["the writer has not written anything"]
    readers = [world.other] + [world.here] * ("lab_numbers" in seen["here"]["tables"])
    for node in readers:
        missing = node.eval(f"lab_numbers:missing({acknowledged})", 20)
        if missing:
            wrong.append(f"{len(missing)} of {acknowledged} acknowledged records are missing on {node.name}")
    return wrong


def _accounts(world: World, seen: dict) -> list[str]:
    """Whoever has an account in the database can log in, and nobody else; no cache remembers what was."""
    wrong = []
    for owner, node in zip(ACCOUNTS, world.nodes, strict=True):
        known = {bytes(user).decode() for user in seen[owner]["accounts"]}
        for accounts in ACCOUNTS.values():
            for user in accounts:
                exists = node.eval(f'ejabberd_auth:user_exists(<<"{user}">>, <<"{node.domain}">>)')
                right = node.eval(f'ejabberd_auth:check_password(<<"{user}">>, <<>>, <<"{node.domain}">>, <<"{PASSWORD}">>)')
                if exists != (user in known) or right != (user in known):
                    wrong.append(f"{node.name} says {exists} and {right} of {user}, whose row is {'not ' * (user not in known)}there")
            # The second of each has messages waiting, which a login would take.
            wrong += _login(node, accounts[0], accounts[0] in known)
    return wrong


def _login(node, user: str, known: bool) -> list[str]:
    try:
        with node.xmpp(user, PASSWORD):
            return [] if known else [f"{user} could log in at {node.name}, and has no account"]
    except LoginRefused:
        return [f"{user} was refused at {node.name}"] if known else []
    except XmppError as error:
        return [f"{user} at {node.name}: {type(error).__name__}: {error}"]


def _leftovers(world: World) -> list[str]:
    """Nothing is left outside the kept folder, but what is kept for good: journals and archives."""
    own = world.here.spool / "easy_cluster"
    left = [path for folder in ("staging", "restoring") for path in (own / folder).glob("*")]
    left += [path for path in world.here.spool.iterdir() if _MNESIA_LEFTOVERS.fullmatch(path.name)]
    left += [path for path in own.rglob("*.new")]
    left += [path for path in own.glob("*") if path.name not in ("journal", "kept", "archive", "staging", "restoring")]
    return [f"left behind: {path.relative_to(world.here.spool)}" for path in left]


def _history(world: World, outcome: str, changes: list) -> list[str]:
    """status() and history() know of it, unless nothing had begun when the node was killed."""
    past = call(world.here, "history()")[1]
    if not _has_begun(changes):
        return [] if not past or past[-1]["outcome"] == "undone" else [f"history() knows of {past}, and nothing had begun"]
    if not past:
        return ["history() knows nothing of it"]
    said = past[-1]["outcome"]
    return [] if said == _HISTORY.get(outcome, said) else [f"{outcome}, and history() says {said}"]


def _log(world: World, changes: list, log_from: int) -> list[str]:
    """The log says where the operation went, when there was something left of it."""
    if not _has_begun(changes) or any(event.startswith(b"outcome") for event in _events(changes)):
        return []
    said = (world.here.logs / "ejabberd.log").read_bytes()[log_from:]
    return [] if b"easy_cluster_recovery" in said else ["the log says nothing of a recovery"]


def _has_begun(changes: list) -> bool:
    return b"begun" in _events(changes)


def _events(changes: list) -> list[bytes]:
    return [event for change in changes for event in change.facts.get("events", [])]
