"""The clusters that operations begin with: real nodes with users' data, made once and copied back as often as they are needed."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import EjabberdNode, Lab, wait_until

from .killing import Killer, load

#: Left out, as their tables say nothing new and take time; what is kept has every storage type.
_WITHOUT = ("mod_blocking", "mod_bosh", "mod_carboncopy", "mod_last", "mod_mam", "mod_ping", "mod_pubsub", "mod_push",
            "mod_shared_roster", "mod_stream_mgmt", "mod_vcard", "mod_version")  # fmt: skip
PASSWORD = "secret"
#: Accounts of the node that is killed, and of the other one. The first of each logs in, the second has messages waiting.
ACCOUNTS = {"here": ("alice", "arthur"), "other": ("bob", "beatrix")}

_TABLES = """
    {{atomic, ok}} = mnesia:create_table(lab_own, [{{disc_copies, [node()]}}, {{local_content, true}}]),
    {{atomic, ok}} = mnesia:create_table(lab_log, [{{disc_only_copies, [node()]}}, {{type, bag}}]),
    [ok = mnesia:dirty_write({{Table, Key, {owner}}}) || Table <- [lab_own, lab_log], Key <- [both, {owner}]],
    ok = mod_muc_admin:create_room_with_opts(<<"{owner}">>, <<"conference.localhost">>, <<"localhost">>,
                                             [{{<<"persistent">>, <<"true">>}}]),
    ok"""
# What is written as a member is not on disc at once.
_ON_DISC = "dumped = mnesia:dump_log(), [dets:sync(Table) || Table <- dets:all()], ok"


@dataclass(frozen=True)
class Scene:
    """A cluster to begin with. `made` gets the two nodes of the scene before it, both running."""

    name: str
    before: "Scene | None"
    made: Callable[[EjabberdNode, EjabberdNode], None]
    #: Whether the nodes know nothing of each other.
    strangers: bool = False


def _with_data(here: EjabberdNode, other: EjabberdNode) -> None:
    for node, (owner, (online, away)) in zip((here, other), ACCOUNTS.items(), strict=True):
        for user in (online, away):
            node.register(user, PASSWORD)
        assert node.eval(_TABLES.format(owner=owner)) == "ok"
        with node.xmpp(online, PASSWORD) as client:
            client.add_contact(f"{away}@{node.domain}")
            client.send(f"{away}@{node.domain}", f"a message of {owner}")
            until_kept = f"length(mnesia:dirty_read(offline_msg, {{<<\"{away}\">>, <<\"{node.domain}\">>}})) =:= 1"
            wait_until(lambda node=node, text=until_kept: node.eval(text), 10, "the offline message")
    load(other, "lab_numbers")
    other.eval("lab_numbers:make_table()")


def _as_slave(here: EjabberdNode, other: EjabberdNode) -> None:
    assert here.eval(f"easy_cluster:join('{other.name}')", 60) == "ok"


def _as_master(here: EjabberdNode, other: EjabberdNode) -> None:
    assert here.eval(f"easy_cluster:join_as_master('{other.name}')", 60) == "ok"


#: Two nodes that know nothing of each other.
STRANGERS = Scene("strangers", None, _with_data, strangers=True)
#: The node that is killed is a slave of the other one.
MEMBERS = Scene("members", STRANGERS, _as_slave)
#: Both have a copy of everything.
MASTERS = Scene("masters", STRANGERS, _as_master)


class World:
    """Two hosts of the laboratory, on which scenes are made and come back. Several worlds live side by side."""

    def __init__(self, lab: Lab, number: int):
        self.here = lab.host(f"hello{number}.world").ejabberd(without=_WITHOUT)
        self.other = lab.host(f"foo{number}.bar").ejabberd(without=_WITHOUT)
        self.nodes = (self.here, self.other)
        self.lab = lab
        self.killer = Killer(self.here)
        self._saved: dict[tuple[str, str], Path] = {}
        self._off = self.here.spool / ".ejabberd-modules.off"
        lab.start(*self.nodes)
        self.here.install_easy_cluster()
        self.killer.instrument_installed()
        self.here.stop()
        self.here.start()

    def begin(self, scene: Scene, baseline: bool = False) -> None:
        """Both nodes are in the scene, as if nothing had ever happened. Without easy_cluster for the baseline."""
        self._make(scene)
        self._copy_back(scene, self.nodes, baseline)

    def begin_here(self, scene: Scene, baseline: bool = False) -> None:
        """As `begin`, when the other node has nothing but the name of this one too much."""
        self._end(self.here)
        gone = f"not lists:member('{self.here.name}', mnesia:system_info(running_db_nodes))"
        wait_until(lambda: self.other.eval(gone), 20, "the other node to be alone")
        self.other.eval(f"mnesia:del_table_copy(schema, '{self.here.name}')")
        self._copy_back(scene, [self.here], baseline)

    def _make(self, scene: Scene) -> None:
        if self._folder(scene, self.here).exists():
            return
        if scene.before:
            self._make(scene.before)
            self._copy_back(scene.before, self.nodes, False)
        scene.made(*self.nodes)
        for node in self.nodes:
            assert node.eval(_ON_DISC, 20) == "ok"
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            shutil.copytree(node.spool, self._folder(scene, node), ignore=_ignored)

    def _folder(self, scene: Scene, node: EjabberdNode) -> Path:
        return node.host.folder / f"scene-{scene.name}"

    def _copy_back(self, scene: Scene, nodes, baseline: bool) -> None:
        for node in nodes:
            self._end(node)
        for node in nodes:
            for path in node.spool.iterdir():
                if not _is_lasting(path.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self._folder(scene, node), node.spool, dirs_exist_ok=True)
            _owned(node.spool)
        self._set_aside(baseline)
        self.lab.start(*nodes)
        for node in nodes:
            load(node, "lab_view", "lab_numbers")
        if baseline:
            load(self.here, "lab_faults")

    def _set_aside(self, baseline: bool) -> None:
        if baseline and not self._off.exists():
            self.here.modules.rename(self._off)
        if not baseline and self._off.exists():
            self._off.rename(self.here.modules)

    def _end(self, node: EjabberdNode) -> None:
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            node.kill()
        node.destroy()

    def close(self) -> None:
        """Ends both nodes."""
        for node in self.nodes:
            node.destroy()


def _is_lasting(name: str) -> bool:
    return name.startswith(".e")


def _ignored(_folder, names):
    return [name for name in names if _is_lasting(name)]


def _owned(folder: Path) -> None:
    for path in folder.rglob("*"):
        shutil.chown(path, "ejabberd", "ejabberd")
