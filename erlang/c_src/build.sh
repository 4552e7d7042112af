#!/bin/sh
# Puts the native library of VERSION into place, by building it, or by finding it built already.
# usage: build.sh VERSION LIBRARY HEADER WORKSPACE CARGO LOG
set -u
version=$1 library=$2 header=$3 workspace=$4 cargo=$5 log=$6

say() {
    text="%% Written by c_src/build.sh.
$1"
    if [ "$(cat "$header" 2>/dev/null)" != "$text" ]; then
        mkdir -p "$(dirname "$header")" && printf '%s\n' "$text" > "$header"
    fi
}

succeed() {
    say "-define(EASY_CLUSTER_VERSION, \"$version\")."
    exit $?
}

fail() {
    echo "easy_cluster: $1" >&2
    say "-error(\"$1\")."
    exit 1
}

writable() {
    mkdir -p "$1" 2>/dev/null && [ -w "$1" ]
}

build() {
    target=${CARGO_TARGET_DIR:-$workspace/target}
    writable "$target" || target=${HOME:-/nonexistent}/.cache/easy_cluster-target
    writable "$target" || target=$(mktemp -d)
    CARGO_TARGET_DIR=$target "$cargo" build --release --locked --manifest-path "$workspace/Cargo.toml" \
        -p easy_cluster_nif > "$log" 2>&1 || fail "the native build failed, see $log on this machine"
    # By a rename, as the old one may be mapped into a running VM; and only when it is new, as make does.
    built=$target/release/libeasy_cluster_nif.so
    if ! cmp -s "$built" "$library"; then
        cp "$built" "$library.new" && mv "$library.new" "$library" || fail "$library cannot be written"
    fi
    for old in "$(dirname "$library")"/easy_cluster-*.so; do
        [ "$old" = "$library" ] || rm -f "$old"
    done
}

if [ -n "$cargo" ] && [ -f "$workspace/Cargo.toml" ] && writable "$(dirname "$library")"; then
    build
elif [ ! -f "$library" ]; then
    fail "there is no prebuilt library $(basename "$library") in priv and no Rust toolchain to build it: install cargo, or use a release archive"
fi
succeed
