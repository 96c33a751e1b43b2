#!/bin/sh
# Runs the benchmarks and the peers and writes the tables of bench/README.md.
# Arguments name parts of it, of stages, peers, many, pace, first and start; none: all.
# What follows them goes to the peers, for example: bench/run.sh peers -rounds 5
# Needs bin/echocast; make bench builds it first.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

parts=""
while [ $# -gt 0 ]; do
	case $1 in
	stages | peers | many | pace | first | start) parts="$parts $1" ;;
	-*) break ;;
	*)
		echo "bench: no part is called $1; there are stages, peers, many, pace, first and start" >&2
		exit 2
		;;
	esac
	shift
done
parts=${parts:-stages peers many pace first start}
has() {
	case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

load=$(cut -d ' ' -f 1 /proc/loadavg)
if has peers || has first; then bench/install.sh; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
more=$work/more.md
: >"$more"
stages="" peers="" many=""

if has stages; then
	echo "bench: the stages" >&2
	stages=$work/stages.txt
	# Round by round, so that what else the machine does does not fall on one alone.
	for _ in 1 2 3 4 5; do
		$GO test -run '^$' -bench . -benchtime 100ms ./bench >>"$stages"
	done
fi
if has peers; then
	echo "bench: the peers" >&2
	peers=$work/peers.md
	$GO build -o "$work/peers" ./bench/peers
	"$work/peers" "$@" >"$peers"
fi
if has many; then
	echo "bench: many conversations" >&2
	many=$work/many.jsonl
	for _ in 1 2 3 4 5; do
		bin/echocast bench --quiet --json --streams 1,10,50,100,150,200,300 --seconds 5 >>"$many"
	done
fi
$GO build -o "$work/live" ./bench/live
# live_rounds TITLE ARGUMENT... writes a section for each round; the report merges them.
live_rounds() {
	title=$1
	shift
	for _ in 1 2 3 4 5; do
		printf '### %s\n\n' "$title"
		"$work/live" "$@"
	done >>"$more"
}
if has pace; then
	echo "bench: pace and interrupts" >&2
	live_rounds 'Pace and interrupts' -first 0 -start 0
fi
if has first; then
	echo "bench: the first message of live inputs" >&2
	live_rounds 'First message of live inputs' -utterances 0 -interrupts 0 -inputs 0 -start 0
fi
if has start; then
	echo "bench: the start of the programs" >&2
	live_rounds Start -utterances 0 -interrupts 0 -inputs 0 -first 0
fi
$GO run ./bench/report -stages "$stages" -peers "$peers" -many "$many" -more "$more" -load "$load" -readme bench/README.md
echo "bench: the tables are in bench/README.md" >&2
