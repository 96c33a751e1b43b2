#!/bin/sh
# Builds a real livekit-server into bin/, unless it is there: the tests of
# rtc/livekit speak through it. Takes some minutes the first time.
set -eu
cd "$(dirname "$0")/.."
version=v1.11.0
[ -x bin/livekit-server ] && exit 0
mkdir -p bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "echocast: building livekit-server $version" >&2
GOBIN="$work" CGO_ENABLED=0 ${GO:-go} install "github.com/livekit/livekit-server/cmd/server@$version"
mv "$work/server" bin/livekit-server
