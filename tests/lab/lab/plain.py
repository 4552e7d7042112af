"""Plain Mnesia nodes without ejabberd."""

from pathlib import Path

from .node import Node
from .processes import Child


class MnesiaNode(Node):
    """An Erlang node that runs Mnesia and nothing else.

    `disc` makes a schema on disc at the first start; `erl_options` go to the virtual machine. Unlike that of ejabberd, its folder
    stays: a second node of the same name finds the first one's database.
    """

    def __init__(self, host, name: str = "plain", disc: bool = True, erl_options: tuple[str, ...] = ()):
        full = name if "@" in name else f"{name}@{host.name}"
        self.folder = host.folder / f"mnesia-{full}"
        super().__init__(host, full, self.folder / "mnesia")
        self._disc, self._erl_options = disc, erl_options
        self.spool.mkdir(parents=True, exist_ok=True)
        host.write_cookie(self.folder)

    def _start_process(self) -> Child:
        create = "mnesia:create_schema([node()])," if self._disc else ""
        name_option = "-name" if "." in self.name.partition("@")[2] else "-sname"
        with open(self.folder / "console.log", "ab") as log:
            return self.host.popen(
                self.host.command("erl", name_option, self.name, "-noinput", *self.host.ground.erl_options(self.host),
                                  "-mnesia", "dir", f'"{self.spool}"', *self._erl_options,
                                  "-eval", f"{create} ok = mnesia:start().",
                                  HOME=str(self.folder), ERL_CRASH_DUMP_BYTES="0"),
                stdout=log, stderr=log)

    def _is_ready(self) -> bool:
        return self.eval("mnesia:system_info(is_running)", 5) == "yes"

    def log_files(self) -> list[Path]:
        return [self.folder / "console.log"]
