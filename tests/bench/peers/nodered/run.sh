#!/usr/bin/env bash
# Starts Node-RED with a user folder of its own, below the folder where it is started.
set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
export NODERED_DIR=$PWD/nodered
mkdir -p "$NODERED_DIR"
cp "$here/flows.json" "$NODERED_DIR"
exec node "$here/node_modules/node-red/red.js" -s "$here/settings.js" -u "$NODERED_DIR"
