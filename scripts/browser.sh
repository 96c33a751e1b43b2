#!/bin/sh
# Installs what the tests of rtc, rtc/daily and examples need and is missing:
# Chromium and Python, with apt-get as root or through sudo; with npm, the daily-js
# of rtc/daily/dailytest, the WebRTC libraries of rtc/rtctest/node, those of bots
# in carrier/carriertest/node, the compiler of clients/js and the packages of
# examples/daily-react. Fails, and says why, where it cannot.
set -eu
cd "$(dirname "$0")/.."

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"

# install PACKAGE...: with apt-get, quietly if it succeeds.
install() {
	echo "echocast: installing $*" >&2
	log=$(mktemp)
	if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
}

command -v chromium >/dev/null || command -v google-chrome >/dev/null || install chromium
# Where Chromium is Debian's, its shell without windows starts with a third of the work.
if [ -d /usr/lib/chromium ] && [ ! -x /usr/lib/chromium/chromium-headless-shell ] && command -v apt-get >/dev/null; then
	(install chromium-headless-shell) || echo "echocast: going on with the whole Chromium" >&2
fi
command -v npm >/dev/null || install npm
command -v python3 >/dev/null || install python3
[ -f rtc/daily/dailytest/node_modules/@daily-co/daily-js/dist/daily.js ] ||
	(cd rtc/daily/dailytest && npm ci --ignore-scripts --loglevel=error >&2)
[ -d rtc/rtctest/node/node_modules/werift ] ||
	(cd rtc/rtctest/node && npm ci --ignore-scripts --loglevel=error >&2)
[ -d carrier/carriertest/node/node_modules/ws ] ||
	(cd carrier/carriertest/node && npm ci --ignore-scripts --loglevel=error >&2)
[ -d clients/js/node_modules/typescript ] ||
	(cd clients/js && npm ci --ignore-scripts --loglevel=error >&2)
[ -x examples/daily-react/node_modules/.bin/esbuild ] ||
	(cd examples/daily-react && npm ci --ignore-scripts --loglevel=error >&2)
