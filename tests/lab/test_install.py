"""`ejabberdctl module_install` from a release archive and from a clone, with and without a toolchain."""

import shutil
import subprocess

import pytest
from lab.node import REPOSITORY

VERSION = (REPOSITORY / "erlang/c_src/VERSION").read_text().strip()


def owned(node, folder):
    """The folder, given to the user that ejabberd runs as."""
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, "ejabberd", "ejabberd")
    return folder


def works(node) -> bool:
    """Whether the node runs easy_cluster with the library that was installed."""
    folder = node.text("code:priv_dir(easy_cluster)")
    return folder.startswith(str(node.modules)) and node.eval("easy_cluster_native:call(version, #{})") == (
        "ok", {"version": VERSION.encode()})


def toolchain(node, script: str):
    """Gives the node a `cargo` that answers `--version` and then does what the shell script says, and no other."""
    cargo = node.host.folder / "bin" / "cargo"
    cargo.parent.mkdir(exist_ok=True)
    cargo.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{script}\n')
    cargo.chmod(0o755)
    node.eval(f'os:putenv("PATH", "{cargo.parent}:/usr/sbin:/usr/bin:/sbin:/bin")')


def clone(node):
    """What a clone has at the places where the build looks, without a library; returns its erlang/."""
    root = node.host.folder / "clone"
    shutil.rmtree(root, ignore_errors=True)
    built = shutil.ignore_patterns("priv", "ebin", "include")
    shutil.copytree(REPOSITORY / "erlang", root / "erlang", ignore=built)
    for folder in ["src", "native"]:
        (root / folder).mkdir()
    for file in ["Cargo.toml", "Cargo.lock"]:
        (root / file).touch()
    owned(node, root)
    return root / "erlang"


def test_a_release_archive_needs_no_toolchain_and_can_be_uninstalled_and_installed_again(solo):
    subprocess.run(["make", "module"], cwd=REPOSITORY, check=True, capture_output=True)
    archive = REPOSITORY / "_build" / f"easy_cluster-{VERSION}.tar.gz"
    unpacked = solo.host.folder / "easy_cluster"
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["tar", "-xzf", archive, "-C", solo.host.folder], check=True)
    owned(solo, unpacked)
    toolchain(solo, "exit 101")

    solo.install_easy_cluster(unpacked)
    assert works(solo)
    assert solo.eval("gen_mod:is_loaded(<<\"localhost\">>, mod_easy_cluster)")

    solo.ctl("module_uninstall", "easy_cluster")
    assert not (solo.modules / "easy_cluster").exists()
    assert not solo.eval("gen_mod:is_loaded(<<\"localhost\">>, mod_easy_cluster)")

    solo.install_easy_cluster(unpacked)
    assert works(solo)


def test_a_link_into_a_clone_builds_the_library_there(solo):
    erlang = clone(solo)
    library = solo.host.folder / "built.so"
    shutil.copy(REPOSITORY / "erlang" / "priv" / f"easy_cluster-{VERSION}.so", library)
    library.chmod(0o644)
    toolchain(solo, f'mkdir -p "$CARGO_TARGET_DIR/release" && cp {library} "$CARGO_TARGET_DIR/release/libeasy_cluster_nif.so"')

    solo.install_easy_cluster(erlang)

    assert works(solo)
    assert (erlang / "priv" / f"easy_cluster-{VERSION}.so").read_bytes() == library.read_bytes()


def test_a_native_build_that_fails_fails_the_installation_with_its_reason(solo):
    erlang = clone(solo)
    toolchain(solo, "echo 'error: linker `cc` not found' >&2; exit 101")

    with pytest.raises(RuntimeError, match="the native build failed: linker `cc` not found"):
        solo.install_easy_cluster(erlang)

    assert not (solo.modules / "easy_cluster").exists()
    assert not solo.eval("code:is_loaded(easy_cluster_nif)")
