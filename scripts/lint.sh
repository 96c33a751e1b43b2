#!/bin/sh
# Builds the analysers of scripts/lint, a module of its own, and runs them.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
CGO_ENABLED=0 ${GO:-go} build -C scripts/lint -o ../../bin/lint .
${GO:-go} vet -vettool=bin/lint ./...
