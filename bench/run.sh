#!/bin/sh
# Runs the benchmarks and the peers and writes the tables of bench/README.md.
# Arguments go to the peers, for example: bench/run.sh -rounds 5 -hours 0.5
# Needs bin/echocast; make bench builds it first.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

load=$(cut -d ' ' -f 1 /proc/loadavg)
bench/install.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "bench: the stages" >&2
# Round by round, so that what else the machine does does not fall on one alone.
for _ in 1 2 3 4 5; do
	$GO test -run '^$' -bench . -benchtime 100ms ./bench >>"$work/stages.txt"
done
echo "bench: the peers" >&2
$GO build -o "$work/peers" ./bench/peers
"$work/peers" "$@" >"$work/peers.md"
echo "bench: many conversations" >&2
{
	printf '### Many conversations\n\n```\n'
	bin/echocast bench --quiet --streams 1,10,50,100,150,200,300 --seconds 5
	printf '```\n\n### Pace and interrupts\n\n'
	$GO run ./bench/live
} >"$work/more.md"
$GO run ./bench/report -stages "$work/stages.txt" -peers "$work/peers.md" -more "$work/more.md" -load "$load" -readme bench/README.md
echo "bench: the tables are in bench/README.md" >&2
