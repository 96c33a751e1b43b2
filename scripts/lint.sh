#!/bin/sh
# Tests and builds the analysers of scripts/lint, a separate module, and runs them.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
CGO_ENABLED=0 ${GO:-go} test -C scripts/lint .
CGO_ENABLED=0 ${GO:-go} build -C scripts/lint -o ../../bin/lint .
git ls-files -z '*.go' | xargs -0 bin/lint lines
${GO:-go} vet -vettool=bin/lint ./...
