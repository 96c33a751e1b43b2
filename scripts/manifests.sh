#!/bin/sh
# Checks the files of examples/cluster: those for Kubernetes against the schemas of its
# API, and the compose file against the Compose Specification.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 TAVUS_API_KEY=
${GO:-go} run sigs.k8s.io/kubectl-validate@v0.0.4 --version 1.30 examples/cluster/kubernetes.yaml
${GO:-go} run github.com/compose-spec/compose-go/v2/cmd@v2.16.2 examples/cluster/compose.yaml >/dev/null
echo "examples/cluster/compose.yaml...OK"
