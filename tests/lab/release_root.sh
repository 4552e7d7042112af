#!/bin/sh
# release_root.sh SUITE FOLDER: a root folder with a Debian suite's own ejabberd and Erlang, from the mirror that apt uses here.
# An interrupted one is begun anew: the folder gets its name when it is complete.
set -eu
suite=$1 root=$2

[ "$(id -u)" = 0 ] || { echo "only root can make $root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "the package debootstrap is missing" >&2; exit 1; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ] || { echo "apt has no Debian mirror here" >&2; exit 1; }
eval "$(apt-config shell check_valid Acquire::Check-Valid-Until)"

part="$root.part"
mkdir -p "$(dirname "$root")"
rm -rf --one-file-system "$part"
debootstrap --variant=minbase "$suite" "$part" "$mirror"
# Nothing is to be started by its installation: the root shares this machine's network and processes.
printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"
chmod 755 "$part/usr/sbin/policy-rc.d"
# Some packages want /proc. In a mount namespace of its own, so that nothing stays mounted whatever happens.
apt_get() {
	DEBIAN_FRONTEND=noninteractive LC_ALL=C unshare --mount sh -euc 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"' \
		"$part" apt-get -qy -o Acquire::Check-Valid-Until="${check_valid:-true}" "$@"
}
apt_get update
apt_get install --no-install-recommends \
	ejabberd erlang-base erlang-dev erlang-eunit erlang-mnesia erlang-proper erlang-tools iproute2 make procps
apt_get clean
mv "$part" "$root"
