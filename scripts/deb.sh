#!/bin/sh
# Builds a Debian package of bin/echocast and bin/echocast-server in dist,
# unpacks it with the packages that it depends on into an empty root, and speaks
# a file from there. Needs root, or user namespaces.
set -eu
cd "$(dirname "$0")/.."
mkdir -p dist
VERSION=$(bin/echocast --version | sed -n 's/^echocast \(version \)\?\([0-9][^ ]*\).*/\2/p')
ARCH=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export VERSION ARCH SOURCE_DATE_EPOCH
package=dist/echocast_${VERSION}_$ARCH.deb
${GO:-go} run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4 package --config packaging/nfpm.yaml --packager deb --target "$package"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# needed NAME...: the packages, and what they depend on.
needed() {
	# Without a name apt-cache lists every package there is.
	[ $# -gt 0 ] || { echo "deb: the package names nothing that it depends on" >&2; exit 1; }
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
		grep '^[a-z]' | cut -d : -f 1 | sort -u
}
mkdir "$root/debs"
# The lists are lists of words.
# shellcheck disable=SC2046
depends=$(dpkg-deb --field "$package" Depends | sed 's/([^)]*)//g; s/,/ /g')
list=$(needed $depends)
[ "$(echo "$list" | wc -l)" -lt 100 ] || { echo "deb: too many packages to be right: $(echo "$list" | wc -l)" >&2; exit 1; }
(cd "$root/debs" && apt-get download -qq $list)
for deb in "$root"/debs/*.deb "$package"; do
	dpkg-deb --extract "$deb" "$root"
done
cp testdata/speech.wav "$root"
enter=chroot
[ "$(id -u)" -eq 0 ] || enter="unshare --user --map-root-user chroot"
$enter "$root" /usr/bin/echocast send --quiet --record /heard.wav /speech.wav
[ "$(wc -c <"$root/heard.wav")" -gt 300000 ] || { echo "deb: heard.wav has $(wc -c <"$root/heard.wav") bytes"; exit 1; }
echo "deb: $package speaks from an empty root with what it depends on"
