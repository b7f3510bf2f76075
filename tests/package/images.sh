#!/usr/bin/env bash
# shellcheck disable=SC2317  # cleanup is called by a trap
# Builds the images, the bridge's, the simulator's and the Home Assistant add-on's, with buildah, which makes
# them in the OCI's format, on a base from debootstrap; and runs a program in each. For ./test.sh full. Does
# nothing where buildah is not installed, or for anyone but root, who alone can make the base.
#   tests/package/images.sh [RELEASE]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

if ! command -v buildah >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "no buildah, or not root: the images are not built"
    exit 0
fi
archive=$(tests/roots/pristine.sh "${1:-bookworm}") || exit 1
store=$(mktemp -d "$PWD/build/images.XXXXXX") || exit 1
cleanup()
{
    store_do rm --all >/dev/null 2>&1
    rm -rf --one-file-system "$store"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

store_do() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
# make NAME FOLDER [OPTION...]
make()
{
    local name=$1 folder=$2 log=$store/log
    shift 2
    if ! store_do build --isolation chroot --build-arg BASE=localhost/base "$@" --tag "$name" "$folder" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$name: not built"
        return 1
    fi
}
# says NAME PATTERN COMMAND...: what the command in the image says.
says()
{
    local name=$1 pattern=$2 container said
    shift 2
    container=$(store_do from "localhost/$name") || return 1
    said=$(store_do run --isolation chroot "$container" -- "$@" 2>&1)
    store_do rm "$container" >/dev/null
    if ! [[ $said =~ $pattern ]]; then
        echo "$name: $* says: $said"
        return 1
    fi
    echo "$name: built; $* says: ${BASH_REMATCH[0]}"
}
# is NAME FORMAT WORD: what the image tells those who run it.
is()
{
    local found
    found=$(store_do inspect --type image --format "$2" "localhost/$1")
    [ "$found" = "$3" ] || { echo "$1: $2 is $found, not $3" && return 1; }
}

container=$(store_do from scratch) && store_do add "$container" "$archive" / >/dev/null &&
    store_do commit --quiet "$container" localhost/base >/dev/null && store_do rm "$container" >/dev/null || exit 1

failed=0
version=$(sed -n 's/^project(.*VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
for target in bridge simulator; do
    make $target . --target $target && is $target '{{.OCIv1.Config.User}}' 10001:10001 || failed=1
done
says bridge "aiva-mqtt-bridge $version" /usr/local/bin/aiva-mqtt-bridge --version || failed=1
says simulator 'Usage: aiva-simulator' /usr/local/bin/aiva-simulator --help || failed=1
config/home-assistant/assemble-addon.sh "$store/addon" >/dev/null && make addon "$store/addon" || failed=1
says addon "aiva-mqtt-bridge $version" /usr/local/bin/aiva-mqtt-bridge --version || failed=1
says addon 'jq-1' jq --version || failed=1
says addon 'curl [0-9]' curl --version || failed=1
exit $failed
