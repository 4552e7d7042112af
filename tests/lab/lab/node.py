"""Erlang nodes in a host: what they have in common, and ejabberd as Debian's unmodified ejabberdctl runs it."""

import hashlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from .control import ErlangError, NodeDown
from .processes import Child, states
from .roots import inside
from .waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
# mnesia_schema:purge_dir and mnesia_monitor name them.
_MNESIA_FILES = re.compile(r".*\.(DAT|DCD|DCL|DCD\.TMP|TMP|RET|DMP|LOG|BUP)")

_CTL_CONFIG = """\
ERLANG_NODE={node}
INET_DIST_INTERFACE={address}
EJABBERD_PID_PATH={spool}/ejabberd.pid
EJABBERD_CONFIG_PATH={config}/ejabberd.yml
EJABBERD_BYPASS_WARNINGS=true
CONTRIB_MODULES_PATH={modules}
CONTRIB_MODULES_CONF_DIR={config}/modules.d
ERL_OPTIONS="-env ERL_CRASH_DUMP_BYTES 0 {erl_options}"
"""

# Debian's modules, without what needs certificates or other machines; passwords may cross the laboratory unencrypted.
_CONFIG = """\
loglevel: info
log_rotate_count: 0
hosts:
  - {domain}
auth_method: internal
auth_password_format: scram
listen:
  -
    port: {c2s}
    ip: "{address}"
    module: ejabberd_c2s
    starttls_required: false
    access: c2s
  -
    port: {http}
    ip: "{address}"
    module: ejabberd_http
    request_handlers:
      /admin: ejabberd_web_admin
      /api: mod_http_api
      /bosh: mod_bosh
acl:
  local:
    user_regexp: ""
access_rules:
  c2s:
    allow: all
  local:
    allow: local
api_permissions:
  "console commands":
    from:
      - ejabberd_ctl
    who: all
    what: "*"
modules:
  mod_adhoc: {{}}
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_bosh: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_mam: {{}}
  mod_muc:
    access_create: local
  mod_muc_admin: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub:
    plugins:
      - flat
      - pep
  mod_push: {{}}
  mod_roster:
    versioning: true
  mod_shared_roster: {{}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{}}
  mod_version: {{}}
"""


class Node:
    """An Erlang node with Mnesia. Subclasses say how it is started."""

    def __init__(self, host, name: str, spool: Path):
        self.host, self.name, self.spool = host, name, spool
        self.pid: int | None = None
        self._process: Child | None = None

    def eval(self, text: str, timeout: float = 10) -> object:
        """The value of Erlang expressions on this node, as Python data; see `lab.etf`."""
        return self.host.eval(self.name, text, timeout)

    def printed(self, text: str, timeout: float = 10) -> str:
        """The value of Erlang expressions on this node, as Erlang prints it."""
        return self.host.controller("." not in self.name.partition("@")[2]).printed(self.name, text, timeout)

    def text(self, text: str, timeout: float = 10) -> str:
        """The value of Erlang expressions that make a charlist, a binary or chardata."""
        return self.eval(f"unicode:characters_to_binary(begin {text.rstrip().rstrip('.')} end)", timeout).decode()

    def members(self) -> set[str]:
        """The nodes that run Mnesia together, as this one sees it."""
        return set(self.eval("mnesia:system_info(running_db_nodes)"))

    def is_up(self) -> bool:
        """Whether the node answers."""
        try:
            return self.eval("true", 5)
        except NodeDown:
            return False

    def start(self, timeout: float = 40, unless: Callable[[], bool] = lambda: False) -> bool:
        """Starts the node and waits until it serves; or until something else has come about, and then returns False."""
        self.launch()
        return self.wait_until_it_serves(timeout, unless)

    def wait_until_it_serves(self, timeout: float = 40, unless: Callable[[], bool] = lambda: False) -> bool:
        """Waits until a node that was launched serves, or until something else has come about, and then returns False."""
        wait_until(lambda: unless() or self._serves(unless), timeout, f"the start of {self.name}{self._log_hint()}", every=0.05)
        if unless():
            return False
        self.pid = int(bytes(self.eval("os:getpid()")))
        return True

    def launch(self) -> None:
        """Starts the node and does not wait."""
        if self._process and self._process.poll() is None:
            raise RuntimeError(f"{self.name} runs already")
        self._process = self._start_process()

    def has_ended(self) -> bool:
        """Whether the node was started and its process is gone."""
        return self._process is not None and self._process.poll() is not None

    def _start_process(self) -> Child:
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _serves(self, unless: Callable[[], bool]) -> bool:
        if self.has_ended():
            if unless():
                return True
            raise RuntimeError(f"{self.name} ended while it started\n{self.log_tail()}")
        try:
            return self._is_ready()
        except ErlangError:
            return False

    def stop(self, timeout: float = 20) -> None:
        """Stops the node as init:stop/0 does."""
        self.eval("init:stop()")
        self.wait_until_dead(timeout)

    def kill(self) -> None:
        """SIGKILL: nothing is written, nobody is told."""
        self.signal(signal.SIGKILL)
        self.wait_until_dead()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, SIGSTOP and SIGCONT for example, to the node's virtual machine; returns when all of it has stopped."""
        if self.pid is None:
            raise RuntimeError(f"{self.name} is not running")
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            # A thread that has work goes on until it is interrupted.
            wait_until(lambda: states(self.pid) == {"T"}, 20, f"{self.name} to stop")

    def wait_until_dead(self, timeout: float = 20) -> None:
        """Waits until the node has ended and epmd knows it no more."""
        self._process.wait(timeout)
        self.pid = None
        own = self.name.partition("@")[0]
        wait_until(lambda: own not in self.host.registered(), timeout, f"epmd of {self.host.name} to forget {own}")

    def eval_until_it_dies(self, text: str, timeout: float = 60) -> None:
        """Evaluates Erlang expressions that end this node."""
        try:
            value = self.eval(text, timeout)
        except NodeDown:
            self.wait_until_dead()
        else:
            raise RuntimeError(f"{self.name} has survived: {value!r}")

    def destroy(self) -> None:
        """Ends the node in any state, also when it hangs or has never come up."""
        if self._process:
            self._process.kill_all()
            self.wait_until_dead()

    def load_easy_cluster(self) -> None:
        """Adds what `make build` has built to the running node's code path and starts the application."""
        self.eval(f"""true = code:add_patha("{self.built_easy_cluster()}/ebin"),
                      {{ok, _}} = application:ensure_all_started(easy_cluster)""")

    def built_easy_cluster(self) -> Path:
        """The application's folder as `make build` has built it."""
        return self.host.lab.readable(REPOSITORY / "_build/default/lib/easy_cluster")

    def mnesia_files(self) -> dict[str, Path]:
        """Mnesia's own files in the spool."""
        return {path.name: path for path in sorted(self.spool.iterdir())
                if path.is_file() and _MNESIA_FILES.fullmatch(path.name)}

    def checksums(self) -> dict[str, str]:
        """A digest of each of Mnesia's files; two of them are equal when not a byte has changed."""
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.mnesia_files().items()}

    def log_files(self) -> list[Path]:
        """What to read when something went wrong."""
        raise NotImplementedError

    def flush_log(self) -> None:
        """All that the node has logged is in its files; the logger may write it two seconds later."""
        self.eval("[_ = logger_std_h:filesync(Id) || #{id := Id, module := logger_std_h} <- logger:get_handler_config()], ok")

    def log(self, lines: int = 1000) -> str:
        """The ends of the log files of a node that runs, with all that it has logged."""
        self.flush_log()
        return self.log_tail(lines)

    def log_tail(self, lines: int = 40) -> str:
        """The ends of the log files as they are."""
        return "\n".join(f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
                         for path in self.log_files() if path.exists())

    def _log_hint(self) -> str:
        return "; logs: " + ", ".join(str(path) for path in self.log_files())

    def __repr__(self) -> str:
        return f"<{self.name}>"


# Once it is up, ejabberd looks for each module of each application all over the code path, for 0.7 s of a processor: that is ended.
# Nothing is called here that would have to be loaded, as that would wait for the same loader.
_IS_UP = """
lists:keymember(ejabberd, 1, application:which_applications()) andalso begin
    [exit(Pid, kill) || Pid <- processes(), {current_stacktrace, Stack} <- [process_info(Pid, current_stacktrace)],
                        lists:keymember(ejabberd, 1, Stack), lists:keymember(misc, 1, Stack)],
    true
end"""


class EjabberdNode(Node):
    """ejabberd in a host. A new one begins with an empty spool; there is one at a time in a host.

    `name` may be a short one, `domain` is the XMPP domain, `erl_options` go to the virtual machine, `config` is added to ejabberd.yml,
    `without` names modules that are left out of it, `root` holds another release of Debian whose ejabberd is to run; see `lab.roots`.
    """

    def __init__(self, host, name: str | None = None, domain: str = "localhost", erl_options: str = "", config: str = "",
                 without: tuple[str, ...] = (), root: Path | None = None):
        super().__init__(host, name or f"ejabberd@{host.name}", host.spool)
        self._root = root
        self.domain = domain
        self.config_folder = host.folder / "etc"
        self.logs = host.folder / "log"
        self.modules = self.spool / ".ejabberd-modules"
        for folder in [self.config_folder, self.config_folder / "modules.d", self.spool, self.logs]:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in [self.config_folder, self.config_folder / "modules.d", self.spool, self.logs]:
            folder.mkdir()
            shutil.chown(folder, "ejabberd", "ejabberd")
        host.write_cookie(self.spool)
        self._write_config(erl_options, config, without)

    def built_easy_cluster(self) -> Path:
        """Compiled by the release of Erlang that runs here: another one's code may not load two releases later."""
        built = super().built_easy_cluster()
        if self._root is None:
            return built
        folder = self.host.lab.folder / "copies" / self._root.name / "easy_cluster"
        if not folder.exists():
            making = folder.with_name(f"made-on-{self.name}")
            shutil.copytree(built / "priv", making / "priv")
            (making / "ebin").mkdir()
            shutil.copy(built / "ebin" / "easy_cluster.app", making / "ebin")
            for path in [making, making / "ebin"]:
                shutil.chown(path, "ejabberd", "ejabberd")
            sources = self.host.lab.readable(REPOSITORY / "erlang")
            options = f'[debug_info, {{d, \'NO_EJABBERD\'}}, {{i, "{sources}/include"}}, {{outdir, "{making}/ebin"}}]'
            failed = self.printed(f"""
                Files = filelib:wildcard("{sources}/*.erl") ++ filelib:wildcard("{sources}/src/*.erl"),
                [File || File <- Files, not is_tuple(compile:file(File, {options}))]""", 120)
            assert failed == "[]", failed
            if not folder.exists():
                making.rename(folder)
        return folder

    def _write_config(self, erl_options: str, config: str, without: tuple[str, ...]) -> None:
        ground = self.host.ground
        text = _CTL_CONFIG.format(node=self.name, address=self.host.address, spool=self.spool, config=self.config_folder,
                                  modules=self.modules, erl_options=erl_options)
        if not ground.isolated:
            text += f"FIREWALL_WINDOW={ground.window()}\n"
        (self.config_folder / "ejabberdctl.cfg").write_text(text)
        # A link, as a host that is made before this node starts is still to be known.
        (self.config_folder / "inetrc").symlink_to(self.host.inetrc_file)
        text = _CONFIG.format(domain=self.domain, address=self.host.address, c2s=self.c2s_port, http=self.http_port)
        for module in without:
            text = re.sub(rf"  {module}:.*\n(?:    .*\n)*", "", text)
        (self.config_folder / "ejabberd.yml").write_text(config + text)

    def age(self) -> None:
        """Waits until the configuration is older than a node that is started now by more than its times can be wrong."""
        changed = max(path.lstat().st_ctime for path in [self.host.folder, self.config_folder, *self.config_folder.rglob("*")])
        wait_until(lambda: time.time() > changed + 3.5, 10, "time to pass")

    @property
    def c2s_port(self) -> int:
        """Where XMPP clients connect, at the host's address."""
        return self.host.ground.port(self.host, 5222)

    @property
    def http_port(self) -> int:
        """Where WebAdmin and the API listen, at the host's address."""
        return self.host.ground.port(self.host, 5280)

    def ctl_command(self, *args: str) -> list[str]:
        """The command that calls ejabberdctl for this node from anywhere on the machine."""
        return self.host.command(*inside(self._root, self.host, REPOSITORY, self.host.ground.as_ejabberd(self.host, [
            "/usr/sbin/ejabberdctl", "-d", str(self.config_folder), "-s", str(self.spool), "-l", str(self.logs), *args])))

    def ctl(self, *args: str, timeout: float = 60, check: bool = True) -> str:
        """What `ejabberdctl ARGS` prints; an exit status other than zero is an error unless `check` is false."""
        done = self.host.call(self.ctl_command(*args), timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"ejabberdctl {' '.join(args)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _start_process(self) -> Child:
        with open(self.logs / "console.log", "ab") as log:
            return self.host.popen(self.ctl_command("foreground"), stdout=log, stderr=log)

    def _is_ready(self) -> bool:
        return self.eval(_IS_UP, 5)

    def log_files(self) -> list[Path]:
        return [self.logs / "console.log", self.logs / "ejabberd.log"]

    def register(self, user: str, password: str) -> None:
        """Makes an account."""
        answer = self.eval(f'ejabberd_auth:try_register(<<"{user}">>, <<"{self.domain}">>, <<"{password}">>)')
        if answer != "ok":
            raise RuntimeError(f"{user}@{self.domain} was not registered: {answer!r}")

    def xmpp(self, user: str, password: str, resource: str = "lab", timeout: float = 10):
        """A client in this host, logged in; `with` logs it out. See `lab.xmpp.Client`."""
        from .xmpp import Client
        return Client(self, user, password, resource, timeout)

    def shell(self, *lines: str, timeout: float = 60) -> str:
        """What a person sees who types the lines in `ejabberdctl debug`. See `lab.shell`."""
        from .shell import type_lines
        return type_lines(self, lines, timeout)

    def install_easy_cluster(self, source: Path | None = None, timeout: float = 300) -> str:
        """Links a folder with easy_cluster's sources from where module_install looks, and calls it; returns what it prints.

        module_install compiles in that folder as the user ejabberd, so it is a copy of this repository's erlang/ by default.
        """
        source = source or self._own_copy(REPOSITORY / "erlang")
        sources = self.modules / "sources"
        for folder in [self.modules, sources]:
            folder.mkdir(exist_ok=True)
            shutil.chown(folder, "ejabberd", "ejabberd")
        link = sources / "easy_cluster"
        link.unlink(missing_ok=True)
        link.symlink_to(source)
        # ejabberdctl gives up after a minute otherwise, and a build may take longer.
        return self.ctl("--no-timeout", "module_install", "easy_cluster", timeout=timeout)

    def _own_copy(self, source: Path) -> Path:
        """A copy of a folder that belongs to the user ejabberd."""
        copy = self.host.folder / "easy_cluster"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        for path in [copy, *copy.rglob("*")]:
            shutil.chown(path, "ejabberd", "ejabberd")
        return copy
