#!/usr/bin/env bash
# Builds what the benchmark needs and runs it. The options are those of bench.py: --help tells them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=cmake/packages.sh
. cmake/packages.sh
# mosquitto lives where an ordinary user's PATH does not lead.
export PATH=$PATH:/usr/local/sbin:/usr/sbin

for option in "$@"; do
    case "$option" in
    -h | --help | --list | --render) exec /usr/bin/python3 -B tests/bench/bench.py "$@" ;;
    esac
done

packages_need "${PACKAGES_BUILD[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_BENCH[@]}"
command -v npm >/dev/null || packages_need "${PACKAGES_NODE[@]}"
quietly cmake --preset release
quietly cmake --build --preset release --target bench_tools aiva-mqtt-bridge
exec /usr/bin/python3 -B tests/bench/bench.py "$@"
