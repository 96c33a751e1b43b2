#!/bin/sh
# Builds the static file and runs it where nothing else is: in an empty folder
# as the root of the file system. Needs root, or user namespaces.
set -eu
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
CGO_ENABLED=0 ${GO:-go} build -trimpath -ldflags "-s -w" -o "$root/echocast" .
if ldd "$root/echocast" >"$root/ldd" 2>&1; then
	echo "static: the file needs libraries:" && cat "$root/ldd" && exit 1
fi
rm "$root/ldd"
cp testdata/speech.wav testdata/mp3/speech_44100hz_joint_cbr160.mp3 "$root"
enter="chroot"
[ "$(id -u)" -eq 0 ] || enter="unshare --user --map-root-user chroot"
$enter "$root" /echocast encode --quiet /speech.wav >"$root/messages"
$enter "$root" /echocast send --quiet --record /heard.wav /speech_44100hz_joint_cbr160.mp3
[ "$(wc -l <"$root/messages")" -eq 147 ] || { echo "static: $(wc -l <"$root/messages") messages, not 147"; exit 1; }
[ "$(wc -c <"$root/heard.wav")" -eq $((44 + 2 * 7200)) ] || { echo "static: heard.wav has $(wc -c <"$root/heard.wav") bytes"; exit 1; }

# A conversation of Tavus by an API key alone, with the stand-in of the service.
${GO:-go} build -o "$root.standin" ./tavus/tavustest/cmd/standin
"$root.standin" -address 127.0.0.1:0 >"$root.report" &
standin=$!
trap 'rm -rf "$root" "$root.standin" "$root.report"; kill $standin 2>/dev/null || :' EXIT
tries=0
until [ -s "$root.report" ]; do
	tries=$((tries + 1))
	[ "$tries" -le 300 ] || { echo "static: the stand-in of the service does not start"; exit 1; }
	sleep 0.1
done
TAVUS_API_KEY=any TAVUS_BASE_URL=$(head -n 1 "$root.report") ECHOCAST_STATE_DIR=/state \
	$enter "$root" /echocast send --quiet --pal p123 /speech.wav
kill $standin
wait $standin || :
grep -q '"samples":175751,"played_seconds":7.32' "$root.report" || { echo "static: over REST the replica reports:"; cat "$root.report"; exit 1; }
echo "static: $(wc -c <"$root/echocast") bytes, runs in an empty root"
