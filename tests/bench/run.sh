#!/usr/bin/env bash
# Builds what the benchmark needs and runs it. The options are those of bench.py: --help tells them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=cmake/packages.sh
. cmake/packages.sh
# mosquitto lives where an ordinary user's PATH does not lead.
export PATH=$PATH:/usr/local/sbin:/usr/sbin

# The peers go into the build folder; npm is called only where the versions have changed.
install_peers()
{
    local peer folder
    for peer in tests/bench/peers/*/; do
        folder=build/release/bench/peers/$(basename "$peer")
        mkdir -p "$folder"
        if [ -e "$peer/package-lock.json" ] && ! cmp -s "$peer/package-lock.json" "$folder/installed"; then
            cp "$peer"/package*.json "$folder"
            quietly npm ci --prefix "$folder" --omit=dev --no-audit --no-fund
            cp "$peer/package-lock.json" "$folder/installed"
        fi
        cp -r "$peer." "$folder"
    done
}

for option in "$@"; do
    case "$option" in
    -h | --help | --list | --render) exec /usr/bin/python3 -B tests/bench/bench.py "$@" ;;
    esac
done

packages_need "${PACKAGES_BUILD[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_BENCH[@]}"
mapfile -t node_packages < <(packages_node)
packages_need "${node_packages[@]}"
quietly cmake --preset release
quietly cmake --build --preset release --target bench_tools aiva-mqtt-bridge
install_peers
exec /usr/bin/python3 -B tests/bench/bench.py "$@"
