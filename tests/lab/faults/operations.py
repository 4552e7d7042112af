"""The operations whose kill points are tried. A new one is a line in `OPERATIONS`."""

from dataclasses import dataclass

from .scenes import BACKED_UP, BEREFT, MASTERS, MEMBERS, STOPPED, STRANGERS, Scene, World, backup_folder


@dataclass(frozen=True)
class Operation:
    """What is done on the node that is killed, `{here}`, about the other one, `{other}`, or about `{third}`, which is dead.

    `expression` is Erlang; it plans, commits, and returns `ok`. `forward` says that there is no way back: every end but the
    uninterrupted one is a loss.
    """

    name: str
    scene: Scene
    expression: str
    forward: bool = False
    #: Its recovery leaves it where it is, and what is left is asked for anew: the expression is run once more before the end is judged.
    again: bool = False
    #: Not ours: its losses are counted and are no failure.
    baseline: bool = False
    #: No expression: `easy-cluster rename` beside a node that is stopped; what is killed is the VM that does the work.
    renames: bool = False

    @property
    def has_member(self) -> bool:
        """Whether it has another node do something."""
        return not self.baseline and (not self.scene.strangers or "{other}" in self.expression)

    @property
    def prepare(self) -> str:
        """What is done before the counting begins."""
        return _COUNT_CALLS if self.baseline else ""

    def on(self, world: World) -> str:
        """The expression in a world."""
        return self.expression.format(here=world.own_name, other=world.other.name, third=world.third_name,
                                      backup=backup_folder(world.here))  # fmt: skip


#: ejabberd's own code loaded once more, so that its calls are counted: nothing else in it changes.
_COUNT_CALLS = """
    ok = lab_faults:instrument_loaded(ejabberd_cluster_mnesia,
                                      [{application, stop}, {application, start}]
                                      ++ [{mnesia, Function} || Function <- [delete_schema, change_config, change_table_copy_type,
                                                                             add_table_copy, wait_for_tables]]),"""

#: Adds copies, takes one away, has one stored otherwise, on both nodes. The one that goes is of no module of ejabberd's, as that would make
#: itself another copy when it starts again.
_REPAIR = """
    application:set_env(easy_cluster, policy, <<"
copies: all
tables:
  lab_log: {{storage: disc_copies}}
  lab_spare: {{copies: 1, pins: {here}}}
">>),
    easy_cluster:repair()"""

OPERATIONS = [
    Operation("join", STRANGERS, "easy_cluster:join('{other}')"),
    Operation("join_as_master", STRANGERS, "easy_cluster:join_as_master('{other}')"),
    Operation("sync_node", MEMBERS, "easy_cluster:sync_node('{other}')", forward=True),
    Operation("leave", MASTERS, "easy_cluster:leave()"),
    Operation("leave_empty", MASTERS, "easy_cluster:leave(#{{data => empty}})"),
    Operation("forget", BEREFT, "easy_cluster:forget('{third}')"),
    Operation("rollback", MASTERS, "easy_cluster:rollback()"),
    Operation("rename", STOPPED, "", renames=True),
    Operation("restore", BACKED_UP, "easy_cluster:restore(\"{backup}\")"),
    Operation("repair", MEMBERS, _REPAIR, forward=True, again=True),
    Operation("reset", STRANGERS, "easy_cluster:reset()"),
    Operation("join_cluster", STRANGERS, "ejabberd_cluster:join('{other}')", baseline=True),
]

BY_NAME = {operation.name: operation for operation in OPERATIONS}
