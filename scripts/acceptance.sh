#!/usr/bin/env bash
# Speaks ten minutes, and then a pipe that stalls, to a replica in a second
# process, in real time, and compares what it recorded with encode's output,
# decoded by a script that uses nothing of echocast. Takes eleven minutes.
# MINUTES=1 makes it shorter.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${MINUTES:-10}
work=$(mktemp -d)
trap 'rm -rf "$work"; kill $(jobs -p) 2>/dev/null || true' EXIT
${GO:-go} build -o "$work/reassemble" ./testdata/reassemble

# speech SECONDS: so much of the speech in testdata as raw s16le at 22050 Hz.
speech() {
	for _ in $(seq $(($1 / 7 + 1))); do tail -c +45 testdata/speech.wav; done >"$work/speech"
	head -c $(($1 * 44100)) "$work/speech"
}

# hear NAME: a replica that records; its address goes to NAME.url.
hear() {
	bin/echocast replica --listen 127.0.0.1:0 --once --json --record "$work/$1.wav" >"$work/$1.json" 2>"$work/$1.log" &
	replica=$!
	for _ in $(seq 100); do
		grep -q "http://" "$work/$1.log" && break
		sleep 0.05
	done
	sed -n 's/.*--to \([^ ]*\) INPUT.*/\1/p' "$work/$1.log" >"$work/$1.url"
}

# judge NAME UNDERRUNS: the recording equals encode's output, and the replica
# ran out of audio exactly so often.
judge() {
	wait "$replica"
	bin/echocast encode -q $raw "$work/$1.raw" | "$work/reassemble" >"$work/$1.want"
	tail -c +45 "$work/$1.wav" | cmp - "$work/$1.want"
	grep -q "\"underruns\":$2,\"silence_ms\"" "$work/$1.json" || { echo "$1: not $2 underruns: $(cut -c 1-300 "$work/$1.json")"; exit 1; }
	grep -q '"complaint_count":0' "$work/$1.json" || { echo "$1: the replica complains"; cat "$work/$1.log"; exit 1; }
	echo "$1: $(wc -c <"$work/$1.want") bytes heard, byte for byte; $2 underruns"
}

raw="-f s16le --rate 22050 --channels 1"
speech $((minutes * 60)) >"$work/file.raw"
hear file
bin/echocast send $raw --to "$(cat "$work/file.url")" "$work/file.raw"
judge file 0

# Each piece is one second, and is written at once. The second and the fourth
# stall outlast what is there by more than a second, the others do not.
stalling() {
	for stall in 0.6 2.6 0.6 3; do
		speech 1 | tee -a "$work/pipe.raw"
		sleep "$stall"
	done
	speech 1 | tee -a "$work/pipe.raw"
}
hear pipe
stalling | bin/echocast send $raw --to "$(cat "$work/pipe.url")" -
judge pipe 2
