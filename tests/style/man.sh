#!/usr/bin/env bash
# Formats the manual pages with every warning of groff's on; what it says is a mistake.
#   tests/style/man.sh GROFF FOLDER
set -euo pipefail

said=
for page in "$2"/*.[15]; do
    said+=$("$1" -man -Tutf8 -ww -z "$page" 2>&1)
done
if [ -n "$said" ]; then
    printf '%s\n' "$said" >&2
    exit 1
fi
