#!/bin/sh
# Measures the stages as they are here and as they were in a commit before, by
# turns, and fails where one of them became slower or allocates more.
#
#	scripts/bench-compare.sh [COMMIT]     the parent of HEAD, where none is named
#
# ROUNDS (5) and BOUND (1.2, how many times as long a stage may take) are taken
# from the environment.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
base=$(git rev-parse --verify "${1:-HEAD^}^{commit}")
work=$(mktemp -d)
before=$work/before
clean() {
	git worktree remove --force "$before" 2>/dev/null || true
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

git worktree add --quiet --detach "$before" "$base"
$GO test -c -o "$work/after.test" ./bench
(cd "$before" && $GO test -c -o "$work/before.test" ./bench)
round=0
while [ "$round" -lt "${ROUNDS:-5}" ]; do
	round=$((round + 1))
	echo "bench-compare: round $round" >&2
	for side in before after; do
		where=bench
		[ "$side" = after ] || where=$before/bench
		(cd "$where" && "$work/$side.test" -test.run '^$' -test.bench '././^echocast$' -test.benchtime 100ms) >>"$work/$side.txt" ||
			echo "bench-compare: a stage $side does not run and is left out" >&2
	done
done
$GO run ./bench/compare -bound "${BOUND:-1.2}" "$work/before.txt" "$work/after.txt"
