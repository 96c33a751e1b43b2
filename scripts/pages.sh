#!/bin/sh
# Writes the manual pages and what shells complete to bin/share, in the folders
# where they are looked for below /usr/share.
set -eu
cd "$(dirname "$0")/.."
share=bin/share
rm -rf "$share"
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
bin/echocast man "$share/man/man1"
gzip -9 -n "$share"/man/man1/*.1
bin/echocast completion bash >"$share/bash-completion/completions/echocast"
bin/echocast completion zsh >"$share/zsh/site-functions/_echocast"
bin/echocast completion fish >"$share/fish/vendor_completions.d/echocast.fish"
