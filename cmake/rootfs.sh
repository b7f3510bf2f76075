#!/usr/bin/env bash
# Puts a program and everything that it needs to run into an empty folder, for an image that has
# nothing else: no shell, no package manager, no tool that an intruder could use.
#   cmake/rootfs.sh PROGRAM FOLDER
set -euo pipefail

program=$1
root=$2

install -D -m 755 "$program" "$root/usr/local/bin/${program##*/}"

# The libraries, and the loader, under the very names by which they are looked for.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done

# Names of hosts, and the one user.
mkdir -p "$root/etc"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'aiva:x:10001:10001::/:/' >"$root/etc/passwd"
echo 'aiva:x:10001:' >"$root/etc/group"

# The authorities: in one file, and in a folder whose entries are links.
mkdir -p "$root/etc/ssl" "$root/usr/lib" "$root/usr/share"
cp -a /etc/ssl/certs "$root/etc/ssl/"
mkdir -p "$root/usr/lib/ssl"
ln -sfn /etc/ssl/certs "$root/usr/lib/ssl/certs"
if [ -d /usr/share/ca-certificates ]; then
    cp -a /usr/share/ca-certificates "$root/usr/share/"
fi
