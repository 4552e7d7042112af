#!/bin/sh
# Puts the native library into ../priv, by building it, or by finding it built already, and the outcome into a header.
# `ejabberdctl module_install' calls this through make, as the user that ejabberd runs as, and throws away its output and
# its exit status: the header is how a failure stops the compiler.
set -u
cd -P "$(dirname "$0")" || exit 1

version=$(cat VERSION)
library=../priv/easy_cluster-$version.so
header=../include/easy_cluster_native.hrl
workspace=../..

say() {
    text="%% Written by c_src/build.sh.
$1"
    if [ "$(cat "$header" 2>/dev/null)" != "$text" ]; then
        mkdir -p "$(dirname "$header")" && printf '%s\n' "$text" > "$header.$$" && mv -f "$header.$$" "$header"
    fi
}

succeed() {
    for old in ../priv/easy_cluster-*.so; do
        [ "$old" = "$library" ] || rm -f "$old" 2>/dev/null
    done
    say "-define(EASY_CLUSTER_VERSION, \"$version\")."
    exit $?
}

fail() {
    reason=$(printf '%s' "$1" | tr -d '"\\\000-\037')
    echo "easy_cluster: $reason" >&2
    say "-error(\"$reason\")."
    exit 1
}

writable() {
    mkdir -p "$1" 2>/dev/null && [ -w "$1" ]
}

# Whether the library is younger than all that it is made from.
current() {
    [ -f "$library" ] && [ -z "$(find "$workspace/Cargo.toml" "$workspace/Cargo.lock" "$workspace/src" \
        "$workspace/native" -newer "$library" | head -n 1)" ]
}

# That user seldom has cargo in its PATH, and rustup's may have no toolchain for it.
find_cargo() {
    for candidate in "$(command -v cargo)" "${CARGO_HOME:-/nonexistent}/bin/cargo" \
        "${HOME:-/nonexistent}/.cargo/bin/cargo"; do
        if RUSTUP_AUTO_INSTALL=0 "$candidate" --version >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
    done
}

# Where to build; nothing where nothing can be written.
find_target() {
    for candidate in "${CARGO_TARGET_DIR:-$workspace/target}" "${HOME:-/nonexistent}/.cache/easy_cluster-target"; do
        if writable "$candidate"; then
            (cd "$candidate" && pwd)
            return
        fi
    done
}

# The first error of cargo, and what caused it.
reason_in() {
    awk '/^error/ && !error { error = $0; sub(/^error[^:]*: /, "", error) }
         /^Caused by:/ && !cause { getline cause; sub(/^ +/, ": ", cause) }
         END { printf "%s%s", error, cause }' "$1"
}

build() {
    log=$target/easy_cluster-build.log
    # Two builds take turns in cargo, and each has a log of its own until then.
    PATH="$(dirname "$cargo"):$PATH" CARGO_TARGET_DIR="$target" CARGO_TERM_COLOR=never "$cargo" build --release --locked \
        --manifest-path "$workspace/Cargo.toml" -p easy_cluster_nif > "$log.$$" 2>&1
    status=$?
    mv -f "$log.$$" "$log"
    if [ "$status" != 0 ]; then
        current && succeed
        fail "the native build failed: $(reason_in "$log"); see $log"
    fi
    built=$target/release/libeasy_cluster_nif.so
    [ -f "$built" ] || fail "cargo has not built $built, is another target configured?"
    if cmp -s "$built" "$library"; then
        touch "$library"
    else
        # By a rename, as the old one may be mapped into a running VM.
        cp "$built" "$library.$$" && mv -f "$library.$$" "$library" || fail "$library cannot be written"
    fi
}

prebuilt() {
    [ -f "$library" ] || fail "priv has no $(basename "$library") and it cannot be built: $1"
}

cargo=$(find_cargo)
if [ ! -f "$workspace/Cargo.toml" ]; then
    prebuilt "the Rust sources are not here; use a release archive, or a link to erlang/ in a clone"
elif [ -z "$cargo" ]; then
    prebuilt "there is no Rust toolchain for the user $(id -un); run make build in the clone first"
elif ! writable ../priv; then
    prebuilt "the user $(id -un) cannot write there; run make build in the clone first"
elif writable "$workspace/target" || ! current; then
    target=$(find_target)
    temporary=
    if [ -z "$target" ]; then
        temporary=$(mktemp -d) || fail "there is no folder to build in"
        target=$temporary
    fi
    build
    [ -z "$temporary" ] || rm -rf "$temporary"
fi
succeed
