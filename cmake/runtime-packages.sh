#!/usr/bin/env bash
# Prints the Debian packages of the libraries that a program is linked with, one a line: what an image has to
# install for it, beside what those packages ask for themselves.
#   cmake/runtime-packages.sh PROGRAM
set -euo pipefail

program=$1
objdump -p "$program" | awk '$1 == "NEEDED" { print $2 }' | while read -r library; do
    path=$(ldd "$program" | awk -v library="$library" '$1 == library { print $3 }')
    # The loader itself, which some machines name, comes with libc6.
    [ -n "$path" ] || continue
    # dpkg knows a file below /lib or below /usr/lib, wherever the loader has found it.
    dpkg-query -S "*${path#/usr}" | cut -d : -f 1
done | sort -u
