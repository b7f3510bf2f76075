#!/usr/bin/env bash
# A bare root of a release of Debian, packed, as debootstrap --variant=minbase makes it: prints the name of the
# file. Made once, in build/roots; only root can.
#   tests/roots/pristine.sh RELEASE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=cmake/packages.sh
. cmake/packages.sh

release=$1
archive=$PWD/build/roots/$release.tar
if [ ! -e "$archive" ]; then
    packages_need debootstrap >&2
    mkdir -p build/roots
    root=$(mktemp -d "$PWD/build/roots/$release.XXXXXX")
    trap 'rm -rf --one-file-system "$root"' EXIT
    quietly debootstrap --variant=minbase "$release" "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    tar -C "$root" -cf "$archive.new" .
    mv "$archive.new" "$archive"
fi
echo "$archive"
