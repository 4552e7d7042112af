#!/bin/sh
# Puts the native library into the priv folder of the application that rebar3 has built: in this project's _build or in
# that of one that depends on it, where checkouts have a place of their own.
set -eu
from=$(dirname "$0")/../priv

install() {
    # rebar3 links priv to a folder at the top of the project, which is not there.
    [ -d "$1" ] || rm -f "$1"
    mkdir -p "$1"
    for library in "$from"/easy_cluster-*.so; do
        installed=$1/${library##*/}
        # By a rename, as the old one may be mapped into a running VM.
        cmp -s "$library" "$installed" || { cp -p "$library" "$installed.$$" && mv -f "$installed.$$" "$installed"; }
    done
    for old in "$1"/easy_cluster-*.so; do
        [ -f "$from/${old##*/}" ] || rm -f "$old"
    done
}

for libraries in "$REBAR_DEPS_DIR" "${REBAR_CHECKOUTS_OUT_DIR:-}"; do
    if [ -d "$libraries/easy_cluster" ]; then install "$libraries/easy_cluster/priv"; fi
done
