"""An ejabberd.yml that ejabberd would not start with forbids a join, and is looked at without a trace."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import call, code, details, join, settled_checksums, slices, until
from file_systems import owned, read_only
from lab import wait_until
from lab.roots import release_root
from refusals import master, refused, untouched


def everything(*folders):
    """Each file below the folders with its size and the time of its last change."""
    paths = sorted(path for folder in folders for path in folder.rglob("*"))
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths if path.is_file()}


VERDICT = "easy_cluster_configuration:await(easy_cluster_configuration:start())"


def configure(node, old: str, new: str):
    """Another ejabberd.yml on disc than the one that runs."""
    path = node.config_folder / "ejabberd.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("old, new, says", [
    ("loglevel: info", "loglevel: nonsense", b"loglevel"),
    ("  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_nowhere: {}", b"mod_nowhere"),
    ("  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_ping:\n    - [", b"ejabberd.yml"),
])
def test_a_configuration_that_has_become_invalid(hello, pair, old, new, says):
    configure(hello, old, new)
    found = refused(hello, master(pair[1].name), "configuration_invalid")
    assert found["path"].decode() == str(hello.config_folder / "ejabberd.yml") and says in found["path"] + found["reason"]
    assert hello.eval("ejabberd_option:loglevel() =:= info")
    configure(hello, new, old)
    join(hello, pair[1])


def test_the_check_of_the_configuration_leaves_no_trace(hello):
    settled_checksums(hello)
    folders, names = [hello.spool, hello.logs, hello.config_folder], hello.host.registered()
    configure(hello, "loglevel: info", "loglevel: info")  # written anew
    hello.flush_log()
    before = everything(*folders)
    assert hello.eval(VERDICT) == "valid"
    configure(hello, "loglevel: info", "loglevel: nonsense")
    before = {**before, **everything(hello.config_folder)}
    assert hello.eval(VERDICT)[0] == "invalid"
    hello.flush_log()
    assert everything(*folders) == before and hello.host.registered() == names


EXTRA = """
-module(mod_extra).
-behaviour(gen_mod).
-export([start/2, stop/1, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
start(_, _) -> ok.
stop(_) -> ok.
depends(_, _) -> [].
mod_opt_type(limit) -> %s, econf:pos_int().
mod_options(_) -> [{limit, 1}].
mod_doc() -> #{}.
"""


def with_extra_module(node, before_an_answer: str):
    """A module of ejabberd-contrib's kind, in the code path and in ejabberd.yml on disc."""
    ebin = node.modules / "mod_extra" / "ebin"
    ebin.mkdir(parents=True)
    (ebin / "mod_extra.erl").write_text(EXTRA % before_an_answer)
    for path in [node.modules, *node.modules.rglob("*")]:
        owned(path)
    node.eval(f'{{ok, mod_extra}} = compile:file("{ebin}/mod_extra", [{{outdir, "{ebin}"}}]), true = code:add_pathz("{ebin}")')
    configure(node, "  mod_adhoc: {}", "  mod_adhoc: {}\n  mod_extra:\n    limit: 3")


def test_a_module_of_ones_own_is_known_to_the_check(hello, pair):
    with_extra_module(hello, "ok")
    assert hello.eval(VERDICT) == "valid"
    configure(hello, "limit: 3", "limit: many")
    assert b"limit" in refused(hello, master(pair[1].name), "configuration_invalid")["reason"]


def test_a_check_of_the_configuration_that_hangs_is_ended(hello, pair):
    with_extra_module(hello, "receive after infinity -> ok end")
    hello.eval(f"spawn(fun() -> persistent_term:put(verdict, {VERDICT}) end), ok")
    wait_until(lambda: checks_under_way(hello), 10, "the other VM")
    until(hello, "persistent_term:get(verdict, none) =/= none")
    assert not checks_under_way(hello)
    assert hello.eval("persistent_term:get(verdict)") == ("unchecked", {"reason": b"the other VM did not answer in time"})


def checks_under_way(node) -> list[str]:
    """The pids of other VMs that look at the node's configuration."""
    found = subprocess.run(["pgrep", "-f", "easy_cluster_configuration answer"], capture_output=True, text=True)
    return [pid for pid in found.stdout.split() if str(node.modules) in command_line(pid)]


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


# Without another VM, where ejabberd has read these very files


@pytest.fixture
def aged(lab, request):
    """Makes and starts a node whose configuration, also what `prepare` makes of it, is older than it."""
    made = []

    def make(prepare, release="23.01"):
        node = lab.host("hello.world").ejabberd(root=release_root(release))
        made.append(node)
        prepare(node)
        node.age()
        lab.start(node)
        node.load_easy_cluster()
        return node

    yield make
    for node in made:
        node.destroy()
        if node.config_folder.is_symlink():
            node.config_folder.unlink()
        shutil.rmtree(node.config_folder.with_name("etc.old"), ignore_errors=True)


def asks_another_vm(node) -> bool:
    """Where none can be started, it is told that it was needed."""
    folder = node.text('os:getenv("BINDIR")')
    node.eval('os:putenv("BINDIR", "/nowhere")')
    verdict = node.eval(VERDICT)
    node.eval(f'os:putenv("BINDIR", "{folder}")')
    assert verdict == "valid" or verdict[0] == "unchecked", verdict
    return verdict != "valid"


def named_file(node) -> Path:
    """A file that ejabberd.yml names, with the certificate that it has to be."""
    path = node.config_folder / "tls" / "ca.pem"
    path.parent.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                    "/CN=lab", "-keyout", "/dev/null", "-out", path], check=True, capture_output=True)  # fmt: skip
    configure(node, "loglevel: info", f'loglevel: info\nca_file: "{path}"')
    return path


def module_configuration(node):
    (node.config_folder / "modules.d" / "mod_own.yml").write_text("acl:\n  own:\n    user: someone\n")


def included(node):
    (node.config_folder / "more.yml").write_text("log_burst_limit_count: 501\n")
    configure(node, "loglevel: info", f'loglevel: info\ninclude_config_file: "{node.config_folder}/more.yml"')


def rewritten(path: Path):
    path.write_bytes(path.read_bytes())


def exchanged(path: Path):
    """The same bytes in another file or folder, with all the times that a copy can keep."""
    copy = path.with_name("copy")
    subprocess.run(["cp", "-a", path, copy], check=True)
    path.rename(path.with_name(f"{path.name}.old"))
    copy.rename(path)


def linked(path: Path):
    old = path.with_name(f"{path.name}.old")
    path.rename(old)
    path.symlink_to(old)


def yml(node) -> Path:
    return node.config_folder / "ejabberd.yml"


@pytest.mark.parametrize("release", ["23.01", *(pytest.param(each, marks=pytest.mark.releases) for each in ["24.12", "26.07"])])
def test_a_configuration_that_ejabberd_has_read_is_not_read_again(aged, release):
    node = aged(lambda node: (named_file(node), module_configuration(node)), release)
    assert not asks_another_vm(node)


@pytest.mark.parametrize("change", slices([
    lambda node: rewritten(yml(node)),
    lambda node: yml(node).touch(),
    lambda node: subprocess.run(["touch", "-d", "2020-01-01", yml(node)], check=True),
    lambda node: exchanged(yml(node)),
    lambda node: linked(yml(node)),
    lambda node: exchanged(node.config_folder),
    lambda node: linked(node.config_folder),
    lambda node: (node.config_folder / "tls" / "ca.pem").unlink(),
    lambda node: rewritten(node.config_folder / "tls" / "ca.pem"),
    lambda node: exchanged(node.config_folder / "tls" / "ca.pem"),
    lambda node: exchanged(node.config_folder / "tls"),
    lambda node: rewritten(node.config_folder / "modules.d" / "mod_own.yml"),
    lambda node: (node.config_folder / "modules.d" / "mod_own.yml").unlink(),
    lambda node: (node.config_folder / "modules.d" / "mod_new.yml").touch(),
    lambda node: (node.modules / "mod_new" / "conf").mkdir(parents=True),
    lambda node: node.eval('os:putenv("EJABBERD_CONFIG_PATH", "/etc/ejabberd/ejabberd.yml")'),
    lambda node: node.eval('os:putenv("CONTRIB_MODULES_PATH", "/nowhere")'),
    lambda node: node.eval('os:putenv("EJABBERD_MACRO_LEVEL", "info")'),
    lambda node: node.eval(f'application:set_env(ejabberd, config, "{yml(node)}")'),
], 0, 3, 6, 8, 13, 15), ids=["written", "touched", "times_set_back", "exchanged", "linked", "folder_exchanged", "folder_linked", "named_file_gone",
        "named_file_written", "named_file_exchanged", "folder_of_the_named_file_exchanged", "module_written", "module_gone",
        "module_came", "module_installed", "other_path", "other_modules", "macro", "configured_path"])  # fmt: skip
def test_a_configuration_that_may_have_changed_is_read_by_another_vm(aged, change):
    node = aged(lambda node: (named_file(node), module_configuration(node)))
    assert not asks_another_vm(node)
    change(node)
    assert asks_another_vm(node)


@pytest.mark.parametrize("prepare", slices([
    included,
    lambda node: configure(node, "loglevel: info", 'loglevel: info\ndefine_macro:\n  ALL: "/etc/ssl/certs/*.pem"'),
    lambda node: configure(node, "loglevel: info", "loglevel: info\ndefine_macro:\n  OWN: ca.pem"),
    lambda node: configure(node, "loglevel: info", 'loglevel: info\ndefine_macro:\n  WHERE: "some/where"'),
], 0, 2), ids=["include", "glob", "relative", "macro"])  # fmt: skip
def test_a_configuration_that_may_name_other_files_is_read_by_another_vm(aged, prepare):
    assert asks_another_vm(aged(prepare))


def test_a_named_file_that_is_gone_refuses_a_join(aged, lab):
    node = aged(named_file)
    other = lab.host("foo.bar").ejabberd()
    lab.start(other)
    (node.config_folder / "tls" / "ca.pem").unlink()
    try:
        assert b"ca_file" in refused(node, master(other.name), "configuration_invalid")["reason"]
    finally:
        other.destroy()


@pytest.mark.releases
@pytest.mark.parametrize("release", ["24.12", "26.07"])
def test_what_would_not_survive_or_start_again_is_known_of_newer_releases(nodes_of, release):
    node, other = nodes_of(release, release)
    node.load_easy_cluster()
    assert call(node, f"plan({{join, '{other.name}'}})")[0] == "ok"
    configure(node, "loglevel: info", "loglevel: nonsense")
    with read_only(other.spool):
        found = details(call(node, f"plan({{join, '{other.name}'}})"))["problems"]
    assert [problem[0] for problem in found] == ["directory_not_writable", "configuration_invalid"]
    with untouched(node):
        assert code(call(node, f"join('{other.name}')")) == "configuration_invalid"


def test_a_configuration_that_becomes_invalid_after_the_plan(hello, pair):
    hello.eval(f"{{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{pair[1].name}'}}), persistent_term:put(plan, Plan)")
    configure(hello, "loglevel: info", "loglevel: nonsense")
    refused(hello, "commit(persistent_term:get(plan))", "configuration_invalid")


def test_an_included_file_that_becomes_invalid_a_moment_after_the_check(hello, pair):
    included(hello)
    assert hello.eval(VERDICT) == "valid"
    (hello.config_folder / "more.yml").write_text("log_burst_limit_count: many\n")
    assert b"log_burst_limit_count" in refused(hello, master(pair[1].name), "configuration_invalid")["reason"]


def test_a_configuration_that_cannot_be_checked_is_told(hello, pair):
    folder = hello.text('os:getenv("BINDIR")')
    configure(hello, "loglevel: info", "loglevel: info")  # written anew
    hello.eval('os:putenv("BINDIR", "/nowhere")')
    plan = call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[1]
    assert [warning[0] for warning in plan["warnings"]] == ["configuration_unchecked"]
    hello.eval(f'os:putenv("BINDIR", "{folder}")')
    plan = call(hello, f"plan({{join_as_master, '{pair[1].name}'}})")[1]
    assert plan["warnings"] == []
