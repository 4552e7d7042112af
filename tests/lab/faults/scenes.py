"""The clusters that operations begin with: real nodes with users' data, made once and copied back as often as they are needed."""

import contextlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import EjabberdNode, Host, Lab, wait_until

from .killing import Killer, load

#: Left out, as their tables say nothing new and take time; what is kept has every storage type.
_WITHOUT = ("mod_blocking", "mod_bosh", "mod_carboncopy", "mod_last", "mod_mam", "mod_ping", "mod_pubsub", "mod_push",
            "mod_shared_roster", "mod_stream_mgmt", "mod_vcard", "mod_version")  # fmt: skip
PASSWORD = "secret"
LARGE_ROWS = 200_000
#: Accounts of the node that is killed, and of the other one. The first of each logs in, the second has messages waiting.
ACCOUNTS = {"here": ("alice", "arthur"), "other": ("bob", "beatrix")}

_TABLES = """
    {{atomic, ok}} = mnesia:create_table(lab_own, [{{disc_copies, [node()]}}, {{local_content, true}}]),
    {{atomic, ok}} = mnesia:create_table(lab_log, [{{disc_only_copies, [node()]}}, {{type, bag}}]),
    {{atomic, ok}} = mnesia:create_table(lab_memory, [{{ram_copies, [node()]}}]),
    [ok = mnesia:dirty_write({{Table, Key, {owner}}}) || Table <- [lab_own, lab_log], Key <- [both, {owner}]],
    ok = mod_muc_admin:create_room_with_opts(<<"{owner}">>, <<"conference.localhost">>, <<"localhost">>,
                                             [{{<<"persistent">>, <<"true">>}}]),
    ok"""
# Rows that are in no file: written again whenever a scene begins. They are everywhere before anybody looks.
_IN_MEMORY = "mnesia:sync_dirty(fun() -> [ok = mnesia:write({{lab_memory, Key, {owner}}}) || Key <- [both, {owner}]], ok end)"
# In memory here, on the other's disc.
_MIXED = """
    {{atomic, ok}} = mnesia:create_table(lab_mixed, [{{ram_copies, ['{here}']}}, {{disc_copies, ['{other}']}}]),
    mnesia:sync_dirty(fun() -> [ok = mnesia:write({{lab_mixed, Key, Key}}) || Key <- lists:seq(1, 5)], ok end)"""
# What is written as a member is not on disc at once.
_ON_DISC = "dumped = mnesia:dump_log(), [dets:sync(Table) || Table <- dets:all()], ok"


@dataclass(frozen=True)
class Scene:
    """A cluster to begin with. `made` gets the nodes of the scene before it, running."""

    name: str
    before: "Scene | None"
    made: Callable[..., None]
    #: Whether the nodes know nothing of each other.
    strangers: bool = False
    #: Whether the node that is killed is stopped when the operation begins.
    stopped: bool = False
    #: Whether a third node is there while it is made.
    third: bool = False


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
    other.eval("lab_numbers:make_table(), {atomic, ok} = mnesia:create_table(lab_spare, [{disc_only_copies, [node()]}]), "
               "[ok = mnesia:dirty_write({lab_spare, Key, Key}) || Key <- lists:seq(1, 5)]")  # fmt: skip


def _as_slave(here: EjabberdNode, other: EjabberdNode) -> None:
    assert here.eval(f"easy_cluster_api:join('{other.name}')", 60) == "ok"


def _as_master(here: EjabberdNode, other: EjabberdNode) -> None:
    assert here.eval(f"easy_cluster_api:join_as_master('{other.name}')", 60) == "ok"
    assert here.eval(_MIXED.format(here=here.name, other=other.name)) == "ok"


def _with_a_large_table(_here: EjabberdNode, other: EjabberdNode) -> None:
    other.eval(f"""
        {{atomic, ok}} = mnesia:create_table(lab_large, [{{disc_copies, [node()]}}]),
        mnesia:async_dirty(fun() -> [ok = mnesia:write({{lab_large, Key, {{Key, <<"a text that makes the row longer">>}}}})
                                     || Key <- lists:seq(1, {LARGE_ROWS})], ok end)""", 60)  # fmt: skip


def _bereft(here: EjabberdNode, other: EjabberdNode, third: EjabberdNode) -> None:
    third.load_easy_cluster()
    for node in (here, third):
        assert node.eval(f"easy_cluster_api:join_as_master('{other.name}')", 60) == "ok"
    third.kill()
    gone = f"not lists:member('{third.name}', mnesia:system_info(running_db_nodes))"
    for node in (here, other):
        wait_until(lambda node=node: node.eval(gone), 20, "the others to miss it")


def _backed_up(here: EjabberdNode, _other: EjabberdNode) -> None:
    """A backup, and what was written and deleted since."""
    folder = backup_folder(here)
    shutil.rmtree(folder, ignore_errors=True)
    answer = here.eval(f'easy_cluster_api:backup("{folder}")', 60)
    assert answer[0] == "ok", answer
    here.eval(f'ok = ejabberd_auth:remove_user(<<"{ACCOUNTS["here"][1]}">>, <<"{here.domain}">>)')
    here.register("late", PASSWORD)
    here.eval("[ok = mnesia:dirty_write({Table, late, late}) || Table <- [lab_own, lab_log]], "
              "{atomic, ok} = mnesia:create_table(lab_late, [{disc_copies, [node()]}]), ok = mnesia:dirty_write({lab_late, 1, 1})")  # fmt: skip


def backup_folder(node: EjabberdNode) -> Path:
    """Where the backup of the scene is; nothing that is copied back."""
    parent = node.host.folder / "backups"
    parent.mkdir(exist_ok=True)
    shutil.chown(parent, "ejabberd", "ejabberd")
    return parent / "scene"


def _nothing_more(*_nodes: EjabberdNode) -> None:
    pass


#: Two nodes that know nothing of each other.
STRANGERS = Scene("strangers", None, _with_data, strangers=True)
#: The node that is killed is a slave of the other one.
MEMBERS = Scene("members", STRANGERS, _as_slave)
#: Both have a copy of everything.
MASTERS = Scene("masters", STRANGERS, _as_master)
#: As `MASTERS`, with a third member that is dead.
BEREFT = Scene("bereft", STRANGERS, _bereft, third=True)
#: Strangers; there is a backup of the node that is killed, and it has changed since.
BACKED_UP = Scene("backed-up", STRANGERS, _backed_up, strangers=True)
#: Strangers; the node that is killed is not running.
STOPPED = Scene("stopped", STRANGERS, _nothing_more, strangers=True, stopped=True)

#: Strangers; the other node has a table that takes a while to be copied.
LARGE = Scene("large", STRANGERS, _with_a_large_table, strangers=True)

#: Hosts are made one at a time.
_making = threading.Lock()


class World:
    """Two hosts of the laboratory, on which scenes are made and come back. Several worlds live side by side."""

    def __init__(self, lab: Lab, here: Host, other: Host, third: str):
        self.here, self.other = here.ejabberd(without=_WITHOUT), other.ejabberd(without=_WITHOUT)
        self.nodes = (self.here, self.other)
        self.lab = lab
        self.killer = Killer(self.here)
        #: The name of the node that is killed, and the one that it may be given.
        self.own_name, self.new_name = self.here.name, f"renamed@{here.name}"
        self.third_name = f"ejabberd@{third}"
        self._third_host = third
        self._equipped = False
        #: Set when nothing more is to be waited for.
        self.closed = threading.Event()
        lab.start(*self.nodes)
        self.here.install_easy_cluster()
        self.killer.instrument_installed()
        self.here.stop()
        self.here.start()

    @property
    def names(self) -> dict[str, str]:
        """What the nodes are called where worlds are compared."""
        return {self.own_name: "here", self.new_name: "renamed", self.other.name: "other", self.third_name: "third"}

    def begin(self, scene: Scene, baseline: bool = False, running: bool = False, equipped: bool = False) -> None:
        """Both nodes are in the scene, as if nothing had ever happened. Without easy_cluster for the baseline; `running` also where
        the scene has a stopped node; `equipped` with easy_cluster on the other node as well."""
        if equipped:
            self._equip()
        self._make(scene)
        self._copy_back(scene, self.nodes, baseline, running, equipped)

    def begin_here(self, scene: Scene, baseline: bool = False) -> None:
        """As `begin`, when the other node has nothing too much but the name of this one, and the fence that it was given."""
        self._end(self.here)
        gone = f"not lists:member('{self.own_name}', mnesia:system_info(running_db_nodes))"
        wait_until(lambda: self.other.eval(gone), 20, "the other node to be alone")
        self.other.eval(f"mnesia:del_table_copy(schema, '{self.own_name}'), mnesia:delete_table(easy_cluster_fence)")
        self._copy_back(scene, [self.here], baseline)

    def forget_operation(self, scene: Scene) -> None:
        """Where everything that lasts is as in the scene, the folder of easy_cluster is made so, too."""
        own = self.here.spool / "easy_cluster"
        shutil.rmtree(own, ignore_errors=True)
        saved = self._folder(scene, self.here) / "easy_cluster"
        if saved.exists():
            shutil.copytree(saved, own)
            _owned(own)
        self.fill_memory(scene)

    def call_here(self, name: str) -> None:
        """The node that is killed gets another name, from its next start on."""
        config = self.here.config_folder / "ejabberdctl.cfg"
        config.write_text(config.read_text().replace(f"ERLANG_NODE={self.here.name}", f"ERLANG_NODE={name}"))
        self.here.name = name

    def _make(self, scene: Scene) -> None:
        if self._folder(scene, self.here).exists():
            return
        third = self._third() if scene.third else None
        if scene.before:
            self._make(scene.before)
            self._copy_back(scene.before, self.nodes, False)
        if third:
            third.start()
            scene.made(*self.nodes, third)
        else:
            scene.made(*self.nodes)
        for node in self.nodes:
            assert node.eval(_ON_DISC, 20) == "ok"
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            shutil.copytree(node.spool, self._folder(scene, node), ignore=_ignored)

    def _equip(self) -> None:
        if self._equipped:
            return
        self._end(self.other)
        self.other.start()
        self.other.install_easy_cluster()
        self._equipped = True

    def _third(self) -> EjabberdNode:
        with _making:
            return self.lab.host(self._third_host).ejabberd(without=_WITHOUT)

    def _folder(self, scene: Scene, node: EjabberdNode) -> Path:
        return node.host.folder / f"scene-{scene.name}"

    def _copy_back(self, scene: Scene, nodes, baseline: bool, running: bool = False, equipped: bool = False) -> None:
        for node in nodes:
            self._end(node)
        self.call_here(self.own_name)
        for node in nodes:
            for path in node.spool.iterdir():
                if not _is_lasting(path.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self._folder(scene, node), node.spool, dirs_exist_ok=True)
            _owned(node.spool)
        _set_aside(self.here, baseline)
        if self.other in nodes:
            _set_aside(self.other, not equipped)
        started = [node for node in nodes if running or not (scene.stopped and node is self.here)]
        if started:
            self.lab.start(*started)
        for node in started:
            load(node, "lab_view", "lab_numbers")
        if baseline:
            load(self.here, "lab_faults")
        self.fill_memory(scene)

    def fill_memory(self, scene: Scene) -> None:
        """Writes the rows of the scene that are in no file."""
        owners = [(self.other, "other")] + [(self.here, "here")] * (scene.strangers and not scene.stopped)
        for node, owner in owners:
            assert node.eval(_IN_MEMORY.format(owner=owner)) == "ok"

    def _end(self, node: EjabberdNode) -> None:
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            node.kill()
        node.destroy()

    def go_on(self) -> None:
        """Ends what nobody waits for any more, before it starts nodes again."""
        if self.closed.is_set():
            raise RuntimeError("the laboratory is being closed")

    def close(self) -> None:
        """Ends both nodes."""
        self.closed.set()
        for node in self.nodes:
            node.destroy()


def _set_aside(node: EjabberdNode, aside: bool) -> None:
    """The modules that are installed there, which are then not found by its next start; or back."""
    off = node.spool / ".ejabberd-modules.off"
    if aside and not off.exists() and node.modules.exists():
        node.modules.rename(off)
    if not aside and off.exists():
        off.rename(node.modules)


def _is_lasting(name: str) -> bool:
    return name.startswith((".ejabberd-modules", ".erlang.cookie"))


def _ignored(_folder, names):
    return [name for name in names if _is_lasting(name)]


def _owned(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, "ejabberd", "ejabberd")
