#!/usr/bin/env bash
# Runs the tests that make more trials than make test does, unless SKIP_TRIALS is
# set, and each fuzz target COUNT times (2000), or for TIME (10m). What fails is kept in testdata/fuzz of
# its package, to be committed with the fix. Inputs that reach new code are kept
# in fuzz-corpus, from which the next run goes on.
#
# It ends with a table: how many inputs were tried for each target.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${TIME:-${COUNT:-2000}x}
CGO_ENABLED=$(scripts/setup.sh)
export CGO_ENABLED
go=${GO:-go}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

files=$(grep -rl --include='*_test.go' 'testwait.Trials(' . | grep -v internal/testwait)
[ -z "${SKIP_TRIALS:-}" ] || files=""
for file in $files; do
	tests=$(awk '/^func Test/ { name = $2; sub(/\(.*/, "", name) } /testwait\.Trials\(/ { print name }' "$file" | sort -u | paste -s -d '|')
	echo "all trials of $tests"
	ECHOCAST_LONG=1 $go test -timeout 20m -run "^($tests)\$" "$(dirname "$file")"
done

for file in $(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do
	folder=$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file"); do
		echo "fuzzing $folder $target"
		corpus=$PWD/fuzz-corpus/$folder
		mkdir -p "$corpus"
		# Minimising what is merely new would take all the time.
		$go test -run '^$' -fuzz "^$target\$" -fuzztime "$limit" -fuzzminimizetime 5x "$folder" \
			-test.fuzzcachedir "$corpus" >"$work/log" 2>&1 || {
			cat "$work/log"
			exit 1
		}
		tried=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
		printf '| %s | %s | %s |\n' "${folder#./}" "$target" "${tried:-0}" >>"$work/table"
	done
done
echo
echo "| package | target | inputs tried |"
echo "| --- | --- | --- |"
cat "$work/table"
