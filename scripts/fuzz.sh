#!/usr/bin/env bash
# Runs every fuzz target so many times. COUNT=100000 runs them longer. What is
# found is kept in testdata/fuzz of its package, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
count=${COUNT:-2000}
CGO_ENABLED=$(scripts/setup.sh)
export CGO_ENABLED
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "fuzzing $(dirname "$file") $target"
		# Minimising what is merely new would take all the time.
		${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzztime "${count}x" -fuzzminimizetime 5x "$(dirname "$file")" >"$log" 2>&1 || {
			cat "$log"
			exit 1
		}
	done
done
echo "2,000 random runs of speech over REST"
ECHOCAST_TRIALS=all ${GO:-go} test -count=1 -run TestRandomRuns ./room/rest
