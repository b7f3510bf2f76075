#!/bin/sh
# Makes the folder that Home Assistant builds the add-on from: its files, and the bridge's sources beside them.
# Usage: assemble-addon.sh FOLDER
set -eu

[ $# -eq 1 ] || {
    echo "Usage: ${0##*/} FOLDER" >&2
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
folder=$1

if [ -e "$folder" ] && [ ! -f "$folder/config.yaml" ]; then
    echo "${0##*/}: $folder exists and is no add-on" >&2
    exit 1
fi
rm -rf "$folder"
mkdir -p "$folder/source"
cp -R "$here/addon/." "$folder/"
for part in CMakeLists.txt CMakePresets.json LICENSE bridge cmake include; do
    cp -R "$top/$part" "$folder/source/"
done
cp "$top/CHANGELOG.md" "$folder/"
echo "Copy $folder into Home Assistant's folder addons."
