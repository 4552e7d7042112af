#!/bin/sh
# Puts the native library into the priv folder of an application that rebar3 has built.
# usage: install.sh PRIV
set -eu
priv=$1
from=$(dirname "$0")/../priv
# rebar3 links priv to a folder at the top of the project, which is not there.
[ -d "$priv" ] || rm -f "$priv"
mkdir -p "$priv"
for library in "$from"/easy_cluster-*.so; do
    cmp -s "$library" "$priv/$(basename "$library")" || cp -p "$library" "$priv/"
done
