"""A member that dies in the middle of another's operation, and one that is gone when that node starts again after a kill.

Whatever it was, the operation completes or the cluster is what it was; what is left for the other one is told and done by itself
when it is back; no account is lost.
"""

import pytest
from cluster import call, code, db_nodes, exists, join, serves, slices, until
from lab import ErlangError, wait_until

#: What is done at a step of a plan. `{what}` may use the name of the other node.
AT_A_STEP = """
    {{ok, Plan}} = easy_cluster_api:plan({operation}, {options}),
    Name = fun({{Action, _}}) -> Action; (Action) -> Action end,
    easy_cluster_executor:commit(Plan, fun
        ({{step, {moment}, #{{action := Action}}, _}}) -> case Name(Action) of {step} -> {what}, ok; _ -> ok end;
        (_Event) -> ok
    end)"""
HALT_HERE = "erlang:halt(137, [{flush, false}])"
HALT_THERE = "{{error, _}} = easy_cluster_rpc:call('{node}', erlang, halt, [137, [{{flush, false}}]], 5000)"


class Scene:
    """An operation of one node that another one has to do with, and how the two are in both of its ends."""

    options = "#{}"

    def __init__(self, nodes):
        self.here, self.peer = nodes[:2]
        self.here.install_easy_cluster()
        self.make(*nodes)

    def outcome(self) -> str:
        """`done` or `undone`, by what every node says; anything in between is an error."""
        here, peer = self.here, self.peer
        views = db_nodes(here), db_nodes(peer)
        assert views in (({here.name, peer.name},) * 2, ({here.name}, {peer.name})), f"neither one cluster nor two: {views}"
        return self.of(views[0] == {here.name, peer.name})

    def of(self, together: bool) -> str:
        raise NotImplementedError

    def accounts(self) -> None:
        """Who is where in this end."""
        for node in (self.here, self.peer):
            assert exists(node, "bob") and not exists(node, "nobody")
            with node.xmpp("bob", "secret"):
                pass


class Join(Scene):
    def make(self, here, peer):
        self.operation = f"{{join_as_master, '{peer.name}'}}"
        here.register("alice", "secret")
        peer.register("bob", "secret")

    def of(self, together):
        return "done" if together else "undone"

    def accounts(self):
        together = len(db_nodes(self.here)) == 2
        assert exists(self.peer, "bob") and not exists(self.peer, "alice")
        assert exists(self.here, "bob") == together and exists(self.here, "alice") != together
        for node, user in ((self.here, "bob" if together else "alice"), (self.peer, "bob")):
            with node.xmpp(user, "secret"):
                pass


class Leave(Scene):
    operation = "leave"

    def make(self, here, peer):
        peer.register("bob", "secret")
        join(here, peer)

    def of(self, together):
        return "undone" if together else "done"


class Rollback(Scene):
    operation = "rollback"

    def make(self, here, peer):
        here.register("alice", "secret")
        peer.register("bob", "secret")
        join(here, peer)

    def of(self, together):
        return "undone" if together else "done"

    def accounts(self):
        together = len(db_nodes(self.here)) == 2
        assert exists(self.peer, "bob")
        assert exists(self.here, "bob") == together and exists(self.here, "alice") != together
        for node, user in ((self.here, "bob" if together else "alice"), (self.peer, "bob")):
            with node.xmpp(user, "secret"):
                pass


class Forget(Scene):
    def make(self, here, peer, third):
        self.operation = f"{{forget, '{third.name}'}}"
        self.third = third
        peer.register("bob", "secret")
        join(here, peer)
        third.load_easy_cluster()
        join(third, peer)
        third.kill()
        for node in (here, peer):
            until(node, f"not lists:member('{third.name}', mnesia:system_info(running_db_nodes))")

    def outcome(self):
        known = {node.name: self.third.name in db_nodes(node) for node in (self.here, self.peer)}
        assert len(set(known.values())) == 1, f"the members differ: {known}"
        for node in (self.here, self.peer):
            assert db_nodes(node) - {self.third.name} == node.members() == {self.here.name, self.peer.name}
        return "undone" if any(known.values()) else "done"


SCENES = {scene.__name__.lower(): scene for scene in (Join, Leave, Rollback, Forget)}


@pytest.fixture
def scene(request):
    made = SCENES[request.getfixturevalue("operation")]
    return made(request.getfixturevalue("trio" if made is Forget else "pair"))


def at(scene, step, moment, what) -> str:
    return AT_A_STEP.format(operation=scene.operation, options=scene.options, step=step, moment=moment, what=what)


def status(node) -> dict:
    return call(node, "status()")[1]


def is_over(node) -> bool:
    """Nothing is under way, and nobody has to be told anything."""
    try:
        now = status(node)
    except ErlangError:
        return False
    return now["unfinished"] == "undefined" and now["operation"] == "none" and now["pending"] == []


def outcomes(node) -> list[str]:
    return [past["outcome"] for past in call(node, "history()")[1]]


def ended(scene, expected):
    """The other one is back: without a hand, both come to the end that was expected."""
    wait_until(lambda: is_over(scene.here), 60, "the end of the operation")
    wait_until(lambda: serves(scene.here) and serves(scene.peer), 40, "both to serve")
    until(scene.here, "mnesia:wait_for_tables(mnesia:system_info(local_tables), 1000) =:= ok", 40)
    assert scene.outcome() == expected
    assert outcomes(scene.here)[-1] in (("done", "stopped") if expected == "done" else ("undone",))
    scene.accounts()


#: The step at which the other one dies, how it ends, and whether that one has to be told later.
DIES = [
    ("join", "join_schema", "undone", True), ("join", "commit_schema", "undone", True), ("join", "copy_tables", "undone", True),
    ("join", "start_application", "done", False), ("join", "verify", "done", False),
    ("leave", "build_database", "done", True), ("leave", "stop_mnesia", "done", True), ("leave", "commit_schema", "done", True),
    ("leave", "forget_here", "done", True), ("leave", "verify", "done", False),
    ("rollback", "build_database", "done", True), ("rollback", "keep_member", "done", True),
    ("rollback", "forget_here", "done", True), ("rollback", "reopen_mnesia", "done", False),
    ("forget", "bar", "undone", False), ("forget", "forget_node", "done", False), ("forget", "renew_fence", "done", False),
    ("forget", "unbar", "done", False),
]  # fmt: skip


@pytest.mark.parametrize("operation, step, expected, told_later", slices(DIES, 2, 8, 11, 16))
def test_the_other_one_dies(scene, operation, step, expected, told_later):
    answer = scene.here.eval(at(scene, step, "begun", HALT_THERE.format(node=scene.peer.name)), timeout=120)
    scene.peer.wait_until_dead()
    assert answer[0] == "ok" or code(answer) == "step_failed", answer
    now = status(scene.here)
    assert now["pending"] == ([scene.peer.name] if told_later else []), now["pending"]
    goes_on = operation == "forget" and expected == "done" and step != "unbar"
    assert (now["unfinished"] != "undefined") == goes_on, now["unfinished"]
    assert outcomes(scene.here)[-1] in ("unfinished", "done", "undone", "stopped")
    if not (operation == "forget" and goes_on):
        assert serves(scene.here)
    scene.peer.start()
    ended(scene, expected)


#: The step after which this node is killed while the other one dies, too, how it ends, and what holds until that one is back: it
#: serves alone, or it waits for the newer copies of the other.
GONE = [
    ("join", "join_schema", "undone", "serves"), ("join", "delete_logs", "undone", "serves"),
    ("join", "commit_schema", "undone", "serves"), ("join", "copy_tables", "undone", "serves"),
    ("join", "start_application", "done", "waits"),
    ("leave", "build_database", "undone", "waits"), ("leave", "keep_member", "undone", "waits"),
    ("leave", "commit_schema", "done", "serves"), ("leave", "forget_here", "done", "serves"), ("leave", "start_application", "done", "serves"),
    ("rollback", "keep_member", "undone", "waits"), ("rollback", "commit_schema", "done", "serves"),
    ("rollback", "forget_here", "done", "serves"), ("rollback", "start_application", "done", "serves"),
    ("forget", "bar", "undone", "waits"), ("forget", "forget_node", "done", "waits"), ("forget", "renew_fence", "done", "waits"),
]  # fmt: skip


@pytest.mark.parametrize("operation, step, expected, meanwhile", slices(GONE, 2, 8, 11, 15))
def test_the_other_one_is_gone_at_the_restart(scene, operation, step, expected, meanwhile):
    scene.here.eval_until_it_dies(at(scene, step, "done", HALT_HERE), 120)
    scene.peer.kill()
    if meanwhile == "serves":
        scene.here.start()
        wait_until(lambda: status(scene.here)["operation"] == "none", 40, "the recovery")
        assert serves(scene.here) and db_nodes(scene.here) == {scene.here.name}
        assert outcomes(scene.here)[-1] == expected
        assert status(scene.here)["pending"] == [scene.peer.name], "it is not there to say that it was told already"
    else:
        scene.here.launch()
        until(scene.here, "mnesia:system_info(is_running) =:= yes", 40)
        assert not serves(scene.here)
    scene.peer.start()
    if meanwhile == "waits":
        wait_until(lambda: serves(scene.here), 60, "the start that waited")
        scene.here.pid = int(bytes(scene.here.eval("os:getpid()")))
    ended(scene, expected)
