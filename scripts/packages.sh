#!/bin/sh
# Builds the archives for all systems twice, from a clean tree, and compares.
set -eu
cd "$(dirname "$0")/.."
goreleaser="${GO:-go} run github.com/goreleaser/goreleaser/v2@v2.12.5"
first=$(mktemp)
trap 'rm -f "$first"' EXIT
$goreleaser release --snapshot --clean
grep -v 'cdx.json$' dist/checksums.txt >"$first"
$goreleaser release --snapshot --clean
grep -v 'cdx.json$' dist/checksums.txt | diff "$first" - || { echo "packages: the second build differs"; exit 1; }
echo "packages: built twice, with the same checksums:"
cat dist/checksums.txt
