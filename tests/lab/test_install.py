"""`ejabberdctl module_install` and its sisters: from a release archive and from a clone, with and without a toolchain."""

import os
import shutil
import subprocess

import pytest
from cluster import db_nodes, exists
from lab.node import REPOSITORY

VERSION = (REPOSITORY / "erlang/c_src/VERSION").read_text().strip()
LIBRARY = f"easy_cluster-{VERSION}.so"
ARCHIVE = f"easy_cluster-{VERSION}.tar.gz"


@pytest.fixture(scope="session")
def archive():
    """What `make module` writes."""
    subprocess.run(["make", "module"], cwd=REPOSITORY, check=True, capture_output=True)
    return REPOSITORY / "_build" / ARCHIVE


def owned(folder):
    """The folder, given to the user that ejabberd runs as."""
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, "ejabberd", "ejabberd")
    return folder


def unpacked(node, archive):
    """The folder of the archive, unpacked on the node's host."""
    folder = node.host.folder / "easy_cluster"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["tar", "-xzf", archive, "-C", node.host.folder], check=True)
    return owned(folder)


def clone(node, *, rust=False):
    """erlang/ of a clone without a library; with `rust` the sources to build it are whole, otherwise they are only there."""
    root = node.host.folder / "clone"
    shutil.rmtree(root, ignore_errors=True)
    built = shutil.ignore_patterns("priv", "ebin", "include")
    shutil.copytree(REPOSITORY / "erlang", root / "erlang", ignore=built)
    for folder in ["src", "native", "benches", "tests"]:
        if rust:
            shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("lab", "target"))
        else:
            (root / folder).mkdir()
    for file in ["Cargo.toml", "Cargo.lock"]:
        if rust:
            shutil.copy(REPOSITORY / file, root)
        else:
            (root / file).touch()
    owned(root)
    return root / "erlang"


def set_environment(node, **variables):
    """Sets environment variables of the running node, which its make inherits."""
    for name, value in variables.items():
        node.eval(f'os:putenv("{name}", "{value}")')


def no_toolchain(node):
    """Leaves the node no cargo to find."""
    set_environment(node, PATH="/usr/sbin:/usr/bin:/sbin:/bin", CARGO_HOME="/nonexistent")


def toolchain(node, script: str):
    """Gives the node a `cargo` that answers `--version` and then does what the shell script says, and no other."""
    cargo = node.host.folder / "bin" / "cargo"
    cargo.parent.mkdir(exist_ok=True)
    cargo.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{script}\n')
    cargo.chmod(0o755)
    set_environment(node, PATH=f"{cargo.parent}:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(scope="session")
def real_toolchain(lab):
    """This machine's cargo and its crates where the user ejabberd can use them, as environment variables."""
    asked = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(f"rustc does not work here: {asked.stderr.strip()}")
    sysroot, copy, home = asked.stdout.strip(), lab.folder / "toolchain", lab.folder / "cargo"
    documentation = shutil.ignore_patterns("share", "etc", "libexec", "src")
    try:
        shutil.copytree(sysroot, copy, ignore=documentation, symlinks=True, copy_function=os.link)
    except shutil.Error:
        # Another file system.
        shutil.rmtree(copy)
        shutil.copytree(sysroot, copy, ignore=documentation, symlinks=True)
    registry = os.path.join(os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo"), "registry")
    subprocess.run(["cargo", "fetch", "--locked", "--quiet"], cwd=REPOSITORY, check=True)
    shutil.copytree(registry, home / "registry")
    owned(home)
    # That it is built is what matters here, not how fast it is then.
    return {"PATH": f"{copy}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "CARGO_HOME": home, "CARGO_NET_OFFLINE": "true",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0", "CARGO_PROFILE_RELEASE_LTO": "off"}


def works(node) -> bool:
    """Whether the node runs easy_cluster with the library that was installed."""
    folder = node.text("code:priv_dir(easy_cluster)")
    return (folder.startswith(str(node.modules))
            and node.eval("lists:keymember(easy_cluster, 1, application:which_applications())")
            and node.eval("easy_cluster_native:call(version, #{})") == ("ok", {"version": VERSION.encode()}))


def is_loaded(node) -> bool:
    """Whether ejabberd runs the module."""
    return node.eval('gen_mod:is_loaded(<<"localhost">>, mod_easy_cluster)')


def refusal(node, source) -> str:
    """What module_install says that fails; nothing of it may be left."""
    with pytest.raises(RuntimeError) as failed:
        node.install_easy_cluster(source)
    assert not (node.modules / "easy_cluster").exists()
    assert not is_loaded(node)
    assert node.eval("code:which(easy_cluster)") == "non_existing"
    return str(failed.value)


def test_a_library_that_was_built_before_is_enough_to_join(pair):
    hello, foo = pair
    foo.register("bob", "secret")
    no_toolchain(hello)
    hello.install_easy_cluster()
    assert works(hello) and is_loaded(hello)
    for command in ["modules_available", "modules_installed"]:
        assert "easy_cluster\tClustering that cannot lose data" in hello.ctl(command)
    transcript = hello.shell("easy_cluster:help().", f"easy_cluster:join_as_master('{foo.name}').")
    assert "become a full replica: either node can fail" in transcript
    assert db_nodes(foo) == {hello.name, foo.name}
    assert works(hello) and is_loaded(hello)

    hello.ctl("module_uninstall", "easy_cluster")
    assert not is_loaded(hello)
    assert hello.members() == {hello.name, foo.name}

    hello.install_easy_cluster()
    assert works(hello) and is_loaded(hello)
    assert hello.members() == {hello.name, foo.name} and exists(hello, "bob")


def test_a_release_archive_needs_no_toolchain_and_can_be_uninstalled_and_installed_again(solo, archive):
    folder = unpacked(solo, archive)
    toolchain(solo, "exit 101")

    solo.install_easy_cluster(folder)
    assert works(solo) and is_loaded(solo)

    solo.ctl("module_uninstall", "easy_cluster")
    assert not (solo.modules / "easy_cluster").exists()
    assert not is_loaded(solo)

    solo.install_easy_cluster(folder)
    assert works(solo) and is_loaded(solo)


def test_an_upgrade_leaves_no_older_library(solo, archive):
    folder = unpacked(solo, archive)
    no_toolchain(solo)
    solo.install_easy_cluster(folder)
    (folder / "priv" / "easy_cluster-0.0.9.so").write_bytes(b"older")

    solo.ctl("module_upgrade", "easy_cluster")

    assert works(solo) and is_loaded(solo)
    assert [path.name for path in (solo.modules / "easy_cluster" / "priv").iterdir()] == [LIBRARY]


def test_module_check_finds_nothing_wrong_with_a_release_archive(solo, archive):
    solo.install_easy_cluster(unpacked(solo, archive))
    assert solo.eval("ext_mod:check(easy_cluster)") == "ok"


def test_the_url_of_the_spec_is_the_release_archive(solo, archive):
    solo.install_easy_cluster(unpacked(solo, archive))
    link = solo.modules / "sources" / "easy_cluster"
    link.unlink()
    # A bare name is looked for where ejabberd runs.
    placed = solo.text("{ok, Folder} = file:get_cwd(), Folder") + "/" + ARCHIVE
    assert placed.startswith(str(solo.host.lab.folder))
    shutil.copy(archive, placed)
    shutil.chown(placed, "ejabberd")

    solo.eval("[{_, Spec}] = ext_mod:installed(), ok = ext_mod:add_sources(easy_cluster, proplists:get_value(url, Spec))")

    assert (link / "priv" / LIBRARY).exists()
    solo.ctl("module_upgrade", "easy_cluster")
    assert works(solo)


def test_cargo_builds_the_library_as_ejabberd_in_a_clone_once_an_error_of_the_compiler_is_mended(solo, real_toolchain):
    erlang = clone(solo, rust=True)
    entry = erlang.parent / "native" / "easy_cluster_nif" / "src" / "lib.rs"
    text = entry.read_text()
    entry.write_text(text + '\ncompile_error!("say \\"no\\" to \\\\ that");\n')
    set_environment(solo, **real_toolchain)

    said = refusal(solo, erlang)

    assert "the native build failed: say no to  that; see " in said
    assert f"{erlang.parent}/target/easy_cluster-build.log" in said

    entry.write_text(text)
    solo.install_easy_cluster(erlang)

    assert works(solo) and is_loaded(solo)
    assert (erlang / "priv" / LIBRARY).owner() == "ejabberd"


def test_a_build_that_fails_says_so_although_colours_are_wanted(solo):
    erlang = clone(solo)
    toolchain(solo, """if [ "$CARGO_TERM_COLOR" = never ]; then echo 'error: linker `cc` not found'
                       else printf '\\033[31merror\\033[0m: linker'; fi >&2; exit 101""")
    set_environment(solo, CARGO_TERM_COLOR="always")

    assert "the native build failed: linker `cc` not found" in refusal(solo, erlang)


def test_neither_cargo_nor_a_library_is_a_failure_that_says_so(solo):
    erlang = clone(solo)
    no_toolchain(solo)

    assert f"priv has no {LIBRARY} and it cannot be built: there is no Rust toolchain for the user ejabberd" in refusal(solo, erlang)

    (erlang / "priv").mkdir()
    shutil.copy(REPOSITORY / "erlang" / "priv" / LIBRARY, erlang / "priv")
    solo.install_easy_cluster(erlang)
    assert works(solo)
