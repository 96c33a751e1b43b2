#!/bin/sh
# sbom.sh PROGRAM FILE: writes what a program is made of, as CycloneDX has it.
set -eu
program=$(realpath "$1")
file=$(realpath -m "$2")
cd "$(dirname "$0")/.."
${GO:-go} run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -noserial -output "$file" "$program"
