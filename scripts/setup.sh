#!/bin/sh
# Makes sure that a C compiler, pkg-config, libsoxr, libmpg123 and libopus are there, and
# installs what is missing where it can: with apt-get, as root or through sudo.
#
# Prints 1 where all is there, and 0 where it cannot be had or CGO_ENABLED=0 asks
# for the build without it. In that case one line on stderr says so.
set -u

[ "${CGO_ENABLED:-}" = 0 ] && { echo 0; exit 0; }

missing=""
command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
pkg-config --exists soxr 2>/dev/null || missing="$missing libsoxr-dev"
pkg-config --exists libmpg123 2>/dev/null || missing="$missing libmpg123-dev"
pkg-config --exists opus 2>/dev/null || missing="$missing libopus-dev"
[ -z "$missing" ] && { echo 1; exit 0; }

without() {
	echo "echocast: going on without libsoxr, libmpg123 and libopus; for them install$missing (Debian's names) and run make again" >&2
	echo 0
	exit 0
}

as_root=""
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || without
	as_root="sudo"
fi
command -v apt-get >/dev/null 2>&1 || without

echo "echocast: installing$missing" >&2
log=$(mktemp)
# $missing is a list of words.
# shellcheck disable=SC2086
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 3 "$log" >&2
	rm -f "$log"
	without
fi
rm -f "$log"
echo 1
