#!/usr/bin/env bash
# Installs the Node-RED that the flows are tested with, as package-lock.json pins it, into a folder;
# does nothing if it is there already. Usage: install.sh FOLDER
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
# Written last, so that an installation that was cut short begins anew.
installed=$folder/installed.json

if cmp -s "$here/package-lock.json" "$installed"; then
    exit 0
fi
mkdir -p "$folder"
rm -f "$installed"
cp "$here/package.json" "$here/package-lock.json" "$folder/"
# No package needs to run anything of its own, and the optional ones only hash passwords faster.
(cd "$folder" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --prefer-offline --loglevel=error)
cp "$here/package-lock.json" "$installed"
