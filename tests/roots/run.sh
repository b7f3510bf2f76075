#!/usr/bin/env bash
# shellcheck disable=SC2317  # cleanup is called by a trap
# Both commands as on a fresh machine: ./run.sh and ./test.sh in bare roots of Debian (debootstrap, minbase),
# as root and as an ordinary user with sudo. For ./test.sh roots. Needs root, and the network.
#   tests/roots/run.sh [RELEASE|all [root|user|all [TEST-OPTION...]]]
# A line for each combination; what the commands said is in build/roots/RELEASE-KIND.log. The roots and the
# packages are fetched once, into build/roots. All that is started or mounted lives in namespaces of its own,
# and goes with them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

releases=("${1:-all}")
kinds=("${2:-all}")
[ "${releases[0]}" != all ] || releases=(bookworm trixie)
[ "${kinds[0]}" != all ] || kinds=(root user)
test_options=("${@:3}")
folder=$PWD/build/roots

case "${kinds[0]}" in
root | user) ;;
*)
    echo "${0##*/}: ${kinds[0]} is neither root nor user nor all" >&2
    exit 2
    ;;
esac
if [ "$(id -u)" -ne 0 ]; then
    echo "${0##*/}: only root can make roots: sudo ./test.sh roots" >&2
    exit 1
fi
mkdir -p "$folder"
root='' running=''
cleanup()
{
    # Whatever runs inside ends with the first process in there.
    [ -z "$running" ] || { kill -KILL "$running" && wait "$running"; } 2>/dev/null
    [ -z "$root" ] || rm -rf --one-file-system "$root"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# A root with the checkout in it, as it is, but what has been built.
furnish()
{
    local release=$1 home=$2
    root=$(mktemp -d "$folder/$release.XXXXXX") && chmod 755 "$root" && tar -C "$root" -xf "$folder/$release.tar" &&
        cp /etc/resolv.conf /etc/hosts "$root/etc/" && mkdir -p "$root$home/aiva" "$folder/archives-$release" || return 1
    tar --exclude=./build -cf - . | tar -C "$root$home/aiva" --no-same-owner -xf - || return 1
    cp tests/roots/inside.sh "$root/inside.sh"
    # As in any container, installing a service does not start it.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
    # Authorities that only this machine knows, for npm behind a proxy.
    [ -z "${NODE_EXTRA_CA_CERTS-}" ] || cp "$NODE_EXTRA_CA_CERTS" "$root/etc/extra-authorities.crt"
}

# In a mount and a process namespace of its own; not by chroot alone, which would forbid user namespaces.
# shellcheck disable=SC2016  # $1 and $2 are for the inner shell
enter='mount --bind "$1" "$1" && cd "$1" && mount --bind "$2" var/cache/apt/archives && mount -t proc proc proc &&
    mount --rbind /sys sys && mount --rbind /dev dev && mkdir old && pivot_root . old && umount -l /old && shift 2 &&
    exec /bin/bash /inside.sh "$@"'

try()
{
    local release=$1 kind=$2 log=$folder/$1-$2.log home=/root status=0
    [ "$kind" = root ] || home=/home/tester
    if ! tests/roots/pristine.sh "$release" >/dev/null || ! furnish "$release" $home; then
        echo "$release, $kind: there is no root to try it in"
        return 1
    fi
    local -a variables=()
    [ ! -e "$root/etc/extra-authorities.crt" ] || variables+=(NODE_EXTRA_CA_CERTS=/etc/extra-authorities.crt)
    for name in http_proxy https_proxy no_proxy; do
        [ -z "${!name-}" ] || variables+=("$name=${!name}")
    done
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${variables[@]}" \
        unshare --mount --pid --fork --kill-child bash -c "$enter" enter "$root" "$folder/archives-$release" \
        "$kind" "$home/aiva" "${test_options[@]}" >"$log" 2>&1 </dev/null &
    running=$!
    wait $running || status=$?
    running=''
    echo "$release, $kind: $(sed -n 's/^result: //p' "$log" | paste -sd ';' | sed 's/;/; /g')"
    [ $status -eq 0 ] || tail -n 40 "$log"
    rm -rf --one-file-system "$root"
    root=''
    return $status
}

failed=0
for release in "${releases[@]}"; do
    for kind in "${kinds[@]}"; do
        try "$release" "$kind" || failed=1
    done
done
exit $failed
