#!/bin/sh
# Gets what the tests of rtc/livekit speak with and is missing: a real
# livekit-server, built into bin/, which takes some minutes the first time, and with
# npm LiveKit's own sender and room library for Node.
set -eu
cd "$(dirname "$0")/.."

version=v1.11.0
if [ ! -x bin/livekit-server ]; then
	mkdir -p bin
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	echo "echocast: building livekit-server $version" >&2
	GOBIN="$work" CGO_ENABLED=0 ${GO:-go} install "github.com/livekit/livekit-server/cmd/server@$version"
	mv "$work/server" bin/livekit-server
fi

peers=rtc/livekit/livekittest/node
if [ ! -d "$peers/node_modules/@livekit/agents" ] || [ ! -d "$peers/node_modules/livekit-client" ]; then
	if ! command -v npm >/dev/null; then
		echo "echocast: npm is missing, so LiveKit's own libraries are not tested (make browser installs it)" >&2
		exit 0
	fi
	echo "echocast: installing LiveKit's libraries for Node" >&2
	(cd "$peers" && npm ci --ignore-scripts --loglevel=error >&2)
fi
