#!/bin/sh
# Makes sure that a C compiler, pkg-config, libsoxr and libmpg123 are there, and
# installs what is missing where it can: with apt-get, as root or through sudo.
# Elsewhere one line names what to install. It does nothing where all is there.
set -u

missing=""
command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
pkg-config --exists soxr 2>/dev/null || missing="$missing libsoxr-dev"
pkg-config --exists libmpg123 2>/dev/null || missing="$missing libmpg123-dev"
[ -z "$missing" ] && exit 0

refuse() {
	echo "echocast: install these, then run make again:$missing (Debian's names; elsewhere: a C compiler, pkg-config, libsoxr, libmpg123)" >&2
	exit 1
}

as_root=""
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || refuse
	as_root="sudo"
fi
command -v apt-get >/dev/null 2>&1 || refuse

echo "echocast: installing$missing" >&2
log=$(mktemp)
# $missing is a list of words.
# shellcheck disable=SC2086
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	rm -f "$log"
	refuse
fi
rm -f "$log"
