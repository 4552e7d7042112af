"""Whether the nodes are what the uninterrupted operation makes of them, or what they were before: after one of them was killed and
started again, or was away."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cluster import call
from lab import ErlangError, Late, LoginRefused, XmppError, wait_until

from .killing import load
from .operations import Operation
from .points import steps
from .scenes import ACCOUNTS, PASSWORD, World

COMPLETED, RESTORED, LOST, STUCK = "completed", "restored", "LOST", "stuck"
#: What a recovery makes of an operation that is asked for anew.
STOPPED = "stopped"
#: What the journal has to say of each end.
_HISTORY = {COMPLETED: "done", RESTORED: "undone", STOPPED: "stopped"}
#: What easy_cluster has in its folder for good, and what is empty when nothing is under way.
_LASTING, _PASSING = {"journal", "kept", "archive"}, {"staging", "restoring", "backup"}
_IN_MEMORY_HERE = [("ram_copies", ["here"]), ("disc_copies", []), ("disc_only_copies", [])]
_IN_MEMORY_THERE = [("ram_copies", ["other"]), ("disc_copies", []), ("disc_only_copies", [])]
_MNESIA_LEFTOVERS = re.compile(r".*(\.new|\.TMP|\.RET|\.DMP|\.BUP)|\.easy_cluster-.*")


@dataclass
class Verdict:
    """How it ended, and everything that is wrong with that."""

    outcome: str
    wrong: list[str] = field(default_factory=list)
    #: What users lose by that; the baseline's are counted.
    losses: list[str] = field(default_factory=list)


@dataclass
class Before:
    """What was there before the operation and is no part of what is judged."""

    journals: set[bytes]
    #: How many records were acknowledged.
    records: int
    #: What the nodes know as their fence, where a node is forgotten.
    fences: list[str]
    #: Where the log ended when the node was killed.
    log_size: int = 0


@dataclass
class Killed:
    """What the operation had changed when it was killed, and its recovery, if that was killed, too."""

    changes: list
    recovery: list = field(default_factory=list)
    #: What happened to the member, where nothing has happened to this node; see `points.MEMBER_IS`.
    member: str = ""

    def events(self) -> list[bytes]:
        """What had come into the journal."""
        return [event for change in self.changes + self.recovery for event in change.facts.get("events", [])]

    def has_begun(self) -> bool:
        """Whether there is a plan on disc."""
        return b"begun" in self.events()

    def has_done(self, action: str) -> bool:
        """Whether a step's outcome stands in the journal."""
        numbers = [event.split()[1] for event in self.events() if event.startswith(b"intent") and event.endswith(action.encode())]
        return any(b"done " + number in self.events() for number in numbers)

    def has_an_outcome(self) -> bool:
        """Whether the journal is closed."""
        return any(event.startswith(b"outcome") for event in self.events())

    def has_come_to_its_check(self) -> bool:
        """Whether nothing was left but the look at what it has reached."""
        begun = steps(self.changes)
        return bool(begun) and begun[-1].name == "verify"

    def memory_is_gone(self, outcome: str) -> bool:
        """Whether rows that are in the memory of the killed node only are lost as they are by any kill: easy_cluster does not have them on
        disc yet, or no longer."""
        if self.member:
            return False
        if outcome == RESTORED:
            return self.has_an_outcome() or not self.has_done("archive_rows")
        return self.has_an_outcome() or any(event.endswith((b"drop_back_up", b"keep_in_memory")) for event in self.events())


def synced_file(world: World) -> Path:
    """Where the writer of the other node says how many records are on its disc."""
    return world.killer.folder / "synced"


def synced(world: World) -> int:
    """How many records a kill of the other node may not take."""
    return int(synced_file(world).read_text())


def view(world: World) -> dict:
    """What both nodes say of the cluster and of every table; see `erlang/lab_view.erl`."""
    return {name: _renamed(node.eval("lab_view:view()", 20), world.names)
            for name, node in zip(("here", "other"), world.nodes, strict=True)}  # fmt: skip


def fences(world: World) -> list[str]:
    """The cookie of the table that keeps forgotten nodes out, as each node knows it."""
    return [node.printed("mnesia:table_info(easy_cluster_fence, cookie)") for node in world.nodes]


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


_MEMBERS = "{mnesia:system_info(is_running), mnesia:system_info(db_nodes), mnesia:system_info(running_db_nodes)}"
_OPERATION = "maps:with([unfinished, operation, pending], element(2, easy_cluster_api:status()))"
#: What waits in Mnesia: the calls of each process that is inside of it, and is none of its servers at rest.
_WAITING = """
    Inside = [mnesia_schema, mnesia_loader, mnesia_dumper, mnesia_recover, mnesia_locker, mnesia_tm, mnesia_controller],
    [[{Module, Function} || {Module, Function, _, _} <- Stack]
     || Pid <- processes(), {_, Stack} <- [process_info(Pid, current_stacktrace)],
        lists:any(fun({Module, Function, _, _}) ->
                          lists:member(Module, Inside) andalso not lists:member(Function, [doit_loop, loop, loop2])
                  end, Stack)]"""


def facts(world: World) -> list[str]:
    """What both nodes say of themselves where there is no view to compare."""
    said = []
    asked = [(world.here, [_MEMBERS, _OPERATION, _WAITING]), (world.other, [_MEMBERS, _WAITING])]
    for node, text in [(node, text) for node, texts in asked for text in texts]:
        try:
            said.append(f"{node.name}: {node.printed(text)}")
        except ErlangError as error:
            said.append(f"{node.name}: {error}"[:200])
    return said


def journals(world: World) -> set[bytes]:
    """The ids of the operations that have a journal."""
    return {path.stem.encode() for path in (world.here.spool / "easy_cluster" / "journal").glob("*.journal")}


def judged(world: World, operation: Operation, former: dict, end: dict, killed: Killed, before: Before) -> Verdict:
    """The verdict on a node that has been started again, and whose recovery has ended."""
    states = {COMPLETED: end, RESTORED: former}
    seen, outcome = _settled_view(world, states, killed)
    acknowledged = synced(world) if killed.member == "m" else world.other.eval("lab_numbers:stop()", 20)
    if outcome:
        went_back = outcome == RESTORED and operation.forward and killed.has_begun()
        verdict = Verdict(outcome, ["it went back, and had no way back"] if went_back else [])
    else:
        from_end, from_former = (_differences(*_comparable(seen, state, killed, former)) for state in (end, former))
        nearer = ("uninterrupted end", from_end) if len(from_end) <= len(from_former) else ("former state", from_former)
        verdict = Verdict(LOST, [f"not the {nearer[0]}: {difference}" for difference in nearer[1]])
    verdict.wrong += _records(world, acknowledged, seen, before.records)
    verdict.wrong += _accounts(world, seen, former, end)
    verdict.wrong += _leftovers(world)
    verdict.wrong += _checkpoints(world)
    if killed.member:
        verdict.wrong += _history_beside(world, operation, verdict.outcome, killed, before.journals)
    else:
        verdict.wrong += _history(world, operation, verdict.outcome, killed, before.journals)
        verdict.wrong += _log(world, killed, before.log_size)
    if before.fences:
        verdict.wrong += _fenced(world, verdict.outcome, before.fences)
    if verdict.wrong:
        verdict.outcome = LOST
    return verdict


def judged_baseline(world: World, former: dict, end: dict, start_timeout: float) -> Verdict:
    """The verdict on ejabberd's own join, started again: there is nothing to wait for, and nothing that it would have to say."""
    try:
        world.here.start(start_timeout)
        load(world.here, "lab_view", "lab_numbers")
        seen, outcome = _settled_view(world, {COMPLETED: end, RESTORED: former}, None, 3)
    except (Late, RuntimeError, ErlangError) as error:
        return Verdict(STUCK, [f"{type(error).__name__}: {error}"], ["the node does not start"])
    finally:
        acknowledged = world.other.eval("lab_numbers:stop()", 20)
    if outcome:
        return Verdict(outcome)
    return Verdict(LOST, _differences(seen, end), _losses(seen, former) + _records(world, acknowledged, seen, 0))


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


def _settled_view(world: World, states: dict[str, dict], killed: Killed | None, timeout: float = 10) -> tuple[dict, str | None]:
    """What is seen when it is one of the states, or at the last moment; and which it is."""
    seen, outcome = {}, None

    def is_known() -> bool:
        nonlocal seen, outcome
        try:
            seen = view(world)
        except ErlangError:
            return False
        outcome = end_of(seen, states, killed)
        return outcome is not None

    try:
        wait_until(is_known, timeout, "a view that is known", every=0.2)
    except Late:
        seen = seen or view(world)
    return seen, outcome


def end_of(seen: dict, states: dict[str, dict], killed: Killed | None) -> str | None:
    """Which of the states it is, if it is one of them."""
    return next((name for name, state in states.items() if _is(seen, state, name, killed, states[RESTORED])), None)


def _is(seen: dict, state: dict, outcome: str, killed: Killed | None, former: dict) -> bool:
    if seen == state:
        return True
    if killed and killed.member:
        seen, state = _comparable(seen, state, killed, former)
        return seen == state
    # A VM that is killed loses its memory, unless that was on disc at the moment.
    if killed and not killed.memory_is_gone(outcome):
        return False
    return _without_memory(seen) == _without_memory(state)


def _without_memory(of: dict) -> dict:
    """The same, with no rows where the only copy of a table is in the memory of the node that is killed."""
    tables = {name: {**table, "rows": 0} if table["copies"] == _IN_MEMORY_HERE else table
              for name, table in of["here"]["tables"].items()}  # fmt: skip
    return {**of, "here": {**of["here"], "tables": tables}}


def _comparable(seen: dict, state: dict, killed: Killed, former: dict) -> tuple[dict, dict]:
    """Both without the rows that went with the member's memory."""
    gone = _in_memory_there(former) | _in_memory_there(state) if killed.member == "m" else set()
    return _without_rows(seen, gone), _without_rows(state, gone)


def _in_memory_there(state: dict) -> set[str]:
    """The tables whose only copy is in the memory of the other node: its kill takes their rows."""
    return {name for name, table in state["other"]["tables"].items() if table["copies"] == _IN_MEMORY_THERE}


def _without_rows(of: dict, names: set[str]) -> dict:
    return {node: {**state, "tables": {name: {**table, "rows": 0} if name in names else table for name, table in state["tables"].items()}}
            for node, state in of.items()}  # fmt: skip


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


def _records(world: World, acknowledged: int, seen: dict, before: int) -> list[str]:
    """No record that the other node has acknowledged is missing, wherever the table can be read; a node that went on alone has all up to
    one of them."""
    wrong = [] if acknowledged else ["the writer has not written anything"]
    asked = [(world.other, f"missing({acknowledged})")]
    if "lab_numbers" in seen["here"]["tables"]:
        together = "other" in seen["here"]["running_db_nodes"]
        asked.append((world.here, f"missing({acknowledged})" if together else f"holes({before})"))
    for node, question in asked:
        missing = node.eval(f"lab_numbers:{question}", 20)
        if missing:
            wrong.append(f"{len(missing)} of {acknowledged} acknowledged records are missing on {node.name}")
    return wrong


def _accounts(world: World, seen: dict, former: dict, end: dict) -> list[str]:
    """Whoever has an account in the database can log in, and nobody else; no cache remembers what was."""
    wrong = []
    users = sorted({bytes(user).decode() for state in (seen, former, end) for node in state.values() for user in node["accounts"]})
    asked = ", ".join(f'<<"{user}">>' for user in users)
    for owner, node in zip(ACCOUNTS, world.nodes, strict=True):
        known = {bytes(user).decode() for user in seen[owner]["accounts"]}
        answers = node.eval(f"""
            [{{ejabberd_auth:user_exists(User, <<"{node.domain}">>),
               ejabberd_auth:check_password(User, <<>>, <<"{node.domain}">>, <<"{PASSWORD}">>)}} || User <- [{asked}]]""", 20)  # fmt: skip
        wrong += [f"{node.name} says {exists} and {right} of {user}, whose row is {'not ' * (user not in known)}there"
                  for user, (exists, right) in zip(users, answers, strict=True)
                  if exists != (user in known) or right != (user in known)]  # fmt: skip
        # The second of each has messages waiting, which a login would take.
        for online, _away in ACCOUNTS.values():
            wrong += _login(node, online, online in known)
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
    """Nothing is left outside the kept folder, but what is kept for good: journals and archives. On the other node, nothing at all."""
    own = world.here.spool / "easy_cluster"
    left = [path for folder in _PASSING for path in (own / folder).glob("*")]
    left += [path for path in world.here.spool.iterdir() if _MNESIA_LEFTOVERS.fullmatch(path.name)]
    left += [path for path in own.rglob("*.new") if own / "kept" not in path.parents]
    left += own.rglob(".easy_cluster-*")
    left += [path for path in own.glob("*") if path.name not in _LASTING | _PASSING]
    left += (world.other.spool / "easy_cluster").glob("*")
    return [f"left behind: {path.relative_to(world.lab.folder)}" for path in left]


def _checkpoints(world: World) -> list[str]:
    """Nobody retains rows for a backup that is over."""
    found = {node.name: node.eval("mnesia:system_info(checkpoints)") for node in world.nodes}
    return [f"{name} has a checkpoint still" for name, checkpoints in found.items() if checkpoints]


def _fenced(world: World, outcome: str, former: list[str]) -> list[str]:
    """The members know one fence, which is new where a node was forgotten; and they accept its connections, for the fence to turn it away."""
    now = fences(world)
    wrong = [] if len(set(now)) == 1 else ["the fences differ"]
    if (set(now) == set(former)) != (outcome == RESTORED):
        wrong.append(f"{outcome}, and the fence is {'the old one' if set(now) == set(former) else 'a new one'}")
    return wrong + [f"{node.name} refuses the connections of {world.third_name}" for node in world.nodes
                    if not node.eval(f"erlang:get_cookie('{world.third_name}') =:= erlang:get_cookie()")]  # fmt: skip


def _history(world: World, operation: Operation, outcome: str, killed: Killed, earlier: set[bytes]) -> list[str]:
    """status() and history() know of it, unless nothing had begun when the node was killed."""
    past = [each for each in call(world.here, "history()")[1] if each["id"] not in earlier]
    wrong = []
    if operation.again:
        if not past or past.pop()["outcome"] != "done":
            wrong = ["history() does not say that it was done the second time"]
        outcome = COMPLETED if Killed(killed.changes).has_an_outcome() else STOPPED
    if not killed.has_begun():
        return wrong + ([] if not past or past[-1]["outcome"] == "undone" else [f"history() knows of {past}, and nothing had begun"])
    if not past:
        return [*wrong, "history() knows nothing of it"]
    said = past[-1]["outcome"]
    return wrong + ([] if said == _HISTORY.get(outcome, said) else [f"{outcome}, and history() says {said}"])


def _history_beside(world: World, operation: Operation, outcome: str, killed: Killed, earlier: set[bytes]) -> list[str]:
    """history() says how it ended; of what can only be asked for anew, how that ended."""
    past = [each["outcome"] for each in call(world.here, "history()")[1] if each["id"] not in earlier]
    if not past:
        return ["history() knows nothing of it"] if killed.has_begun() else []
    if outcome == COMPLETED and past[-1] == STOPPED and killed.has_come_to_its_check():
        # Everything is done, and the member was not there to be asked.
        return []
    wanted = COMPLETED if operation.forward else outcome
    return [] if past[-1] == _HISTORY.get(wanted, past[-1]) else [f"{outcome}, and history() says {', '.join(past)}"]


def _log(world: World, killed: Killed, log_from: int) -> list[str]:
    """The log says where the operation went, when there was something left of it."""
    if not killed.has_begun() or any(event.startswith(b"outcome") for event in Killed(killed.changes).events()):
        return []
    world.here.flush_log()
    said = (world.here.logs / "ejabberd.log").read_bytes()[log_from:]
    return [] if b"easy_cluster_recovery" in said else ["the log says nothing of a recovery"]
