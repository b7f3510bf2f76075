#!/usr/bin/env bash
# shellcheck disable=SC2317  # most functions are called as arguments of step
# Builds and tests everything, or one part of it. See usage().
set -uo pipefail

usage()
{
    cat <<'TEXT'
Usage: ./test.sh [--help]
       ./test.sh unit [NAME]                 e.g. ./test.sh unit sse
       ./test.sh integration [PYTEST-OPTION...]   e.g. ./test.sh integration -k retained -x
       ./test.sh node-red
       ./test.sh lint
       ./test.sh tsan
       ./test.sh release
       ./test.sh bench
       ./test.sh fuzz [SECONDS [NAME]]       e.g. ./test.sh fuzz 1800 sse

Without arguments, everything, in less than ten minutes:

  asan    builds with warnings as errors, AddressSanitizer and UndefinedBehaviorSanitizer; runs the
          unit tests, the fuzz inputs kept from the past, the linters, the integration tests, and the
          flows of config/node-red in a real Node-RED (npm fetches it the first time)
  tsan    builds with ThreadSanitizer; runs the unit tests and those integration tests that make the
          MQTT library's threads work hard
  fuzz    runs each target of tests/fuzz for SECONDS (60) with new inputs, two at a time and with the
          lowest priority; in a run of everything, beside the tests, which mostly wait
  release builds what is shipped, looks for the hardening in it, and makes and tests the Debian package
  bench   tests the benchmark's own programs, and counts the instructions of an event, against the
          count that is stored; the benchmark itself is tests/bench/run.sh

With a word, that part alone: for the inner loop. Packages that are missing are installed with apt
(with sudo where that is needed). Exit code: 0 if all passed, 1 if not, 2 for a wrong option.
TEXT
}

part=${1-all}
case "$part" in
all | unit | integration | node-red | lint | tsan | release | bench | fuzz) [ $# -eq 0 ] || shift ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    echo "test.sh: unknown part $part; try ./test.sh --help" >&2
    exit 2
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
# shellcheck source=cmake/packages.sh
. cmake/packages.sh
# mosquitto lives where an ordinary user's PATH does not lead.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:$PWD/build/tools
# Most of the time of the integration tests is spent waiting.
jobs=$(($(nproc) * 2))
summary=()
failed=0

# step NAME COMMAND...: runs it, remembers how it ended and how long it took.
step()
{
    local name=$1 start=$SECONDS result=passed
    shift
    printf '\n== %s\n' "$name"
    "$@" || { result=FAILED && failed=1; }
    summary+=("$(printf '%-7s %4d s  %s' "$result" $((SECONDS - start)) "$name")")
    [ $result = passed ]
}

build()
{
    quietly cmake --preset "$1" && quietly cmake --build --preset "$1"
}

# ThreadSanitizer of gcc 12 does not start where the kernel spreads addresses too widely.
steady()
{
    if setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

run_asan() { ctest --preset asan -j "$jobs" --no-tests=error "$@"; }
run_tsan() { steady ctest --preset tsan -j "$jobs" -L '^(unit|fake|tsan)$'; }

# As ctest does, but with options for pytest, and in one process.
run_integration()
{
    BRIDGE=$PWD/build/asan/aiva-mqtt-bridge \
        SIMULATOR=$PWD/build/asan/aiva-simulator \
        PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration "$@"
}

build_release()
{
    quietly cmake --preset release && quietly cmake --build --preset release --target aiva-mqtt-bridge
}

build_bench()
{
    quietly cmake --preset release && quietly cmake --build --preset release --target bench_tools
}

run_package() { ctest --test-dir build/release -j "$jobs" -L '^package$' --no-tests=error --output-on-failure; }

test_asan() { step 'build asan' build asan && step "$@"; }
test_tsan() { step 'build tsan' build tsan && step 'tests with ThreadSanitizer' run_tsan; }
test_release()
{
    step 'build release' build_release &&
        step 'hardening of the release' tests/style/hardening.py build/release/aiva-mqtt-bridge &&
        compose_schema_need build/tools &&
        step 'package and containers' run_package
}
test_bench()
{
    step 'build the benchmark' build_bench || return
    step 'tests of the benchmark' /usr/bin/python3 -B tests/bench/test_bench.py
    step 'instructions of an event' /usr/bin/python3 -B tests/bench/guard.py
}

# Starts the fuzzing and lets it run; join_fuzz waits for it and shows what it said.
fuzz_log=
fuzz_pid=
start_fuzz()
{
    fuzz_log=$(mktemp)
    tests/fuzz/run.sh 60 >"$fuzz_log" 2>&1 </dev/null &
    fuzz_pid=$!
}
join_fuzz()
{
    local status=0
    wait "$fuzz_pid" || status=$?
    cat "$fuzz_log"
    rm -f "$fuzz_log"
    return "$status"
}

node_packages=()
case "$part" in
all | node-red) mapfile -t node_packages < <(packages_node) ;;
esac
packages_need "${PACKAGES_BUILD[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_TEST[@]}" "${node_packages[@]}" || exit 1
case "$part" in
all | integration) promtool_need build/tools ;;
esac

case "$part" in
all)
    step 'build fuzz' build fuzz && start_fuzz
    test_asan 'unit, fuzz inputs, lint, integration, Node-RED' run_asan
    test_tsan
    test_release
    test_bench
    [ -z "$fuzz_pid" ] || step 'fuzzing, 60 s a target, the rest of it' join_fuzz
    ;;
unit) test_asan 'unit' run_asan -L '^(unit|fake|fuzz)$' ${1:+-R "$1"} ;;
integration) test_asan 'integration' run_integration "$@" ;;
node-red) test_asan 'Node-RED' run_asan -L '^node-red$' ;;
lint) test_asan 'lint' run_asan -L '^lint$' ;;
tsan) test_tsan ;;
release) test_release ;;
bench) test_bench ;;
fuzz) step 'build fuzz' build fuzz && step 'fuzzing' tests/fuzz/run.sh "${1:-60}" "${@:2}" ;;
esac

printf '\n'
printf '%s\n' "${summary[@]}"
if [ $failed -eq 0 ]; then
    echo "All passed in $SECONDS s."
else
    echo "FAILED after $SECONDS s." >&2
fi
exit $failed
