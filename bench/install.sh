#!/bin/sh
# Makes sure that the peers of the benchmarks are there: ffmpeg, sox with its MP3
# part, and lame. It installs what is missing where it can, with apt-get, as root
# or through sudo, and says so. It does nothing where all is there.
set -u

missing=""
command -v bash >/dev/null 2>&1 || missing="$missing bash"
command -v ffmpeg >/dev/null 2>&1 || missing="$missing ffmpeg"
command -v lame >/dev/null 2>&1 || missing="$missing lame"
sox --help 2>/dev/null | grep -q 'FORMATS:.* mp3 ' || missing="$missing sox libsox-fmt-mp3"
[ -z "$missing" ] && exit 0

refuse() {
	echo "echocast: install these, then run make bench again:$missing (Debian's names)" >&2
	exit 1
}

as_root=""
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || refuse
	as_root="sudo"
fi
command -v apt-get >/dev/null 2>&1 || refuse

echo "echocast: installing$missing for the comparison" >&2
log=$(mktemp)
# $missing is a list of words.
# shellcheck disable=SC2086
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	rm -f "$log"
	refuse
fi
rm -f "$log"
