#!/bin/sh
# Runs the benchmarks and the peers and writes the tables of bench/README.md.
# Arguments go to the peers, for example: bench/run.sh -rounds 5 -hours 0.5
# Needs bin/echocast; make bench builds it first.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

bench/install.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "bench: the stages" >&2
$GO test -run '^$' -bench . -benchtime 200ms -count 3 ./bench >"$work/stages.txt"
echo "bench: the peers" >&2
$GO build -o "$work/peers" ./bench/peers
"$work/peers" "$@" >"$work/peers.md"
$GO run ./bench/report -stages "$work/stages.txt" -peers "$work/peers.md" -readme bench/README.md
echo "bench: the tables are in bench/README.md" >&2
