#!/usr/bin/env bash
# shellcheck disable=SC2317,SC2030,SC2031  # most functions are called as arguments of step; beside is meant as it is
# Builds and tests everything, or one part of it. See usage().
set -uo pipefail

usage()
{
    cat <<'TEXT'
Usage: ./test.sh [--help]
       ./test.sh full
       ./test.sh unit [NAME]                 e.g. ./test.sh unit sse
       ./test.sh integration [PYTEST-OPTION...]   e.g. ./test.sh integration -k retained -x
       ./test.sh node-red
       ./test.sh lint
       ./test.sh tsan
       ./test.sh release
       ./test.sh bench
       ./test.sh fuzz [SECONDS [NAME]]       e.g. ./test.sh fuzz 1800 sse
       ./test.sh roots [RELEASE [root|user]] e.g. ./test.sh roots trixie user

Without arguments, everything that CI runs; on two cores, far below twelve minutes:

  asan    builds with warnings as errors, AddressSanitizer and UndefinedBehaviorSanitizer; runs the
          unit tests, the fuzz inputs kept from the past, the linters, the integration tests, and the
          flows of config/node-red in a real Node-RED (npm fetches it the first time)
  tsan    builds with ThreadSanitizer; runs the unit tests and those integration tests that make the
          MQTT library's threads work hard
  fuzz    runs each target of tests/fuzz for SECONDS (60) with new inputs, two at a time and with the
          lowest priority; in a run of everything for 10 s, beside the tests, which mostly wait
  release builds what is shipped, looks for the hardening in it, and makes and tests the Debian package
  bench   tests the benchmark's own programs, and counts the instructions of an event, against the
          count that is stored; the benchmark itself is tests/bench/run.sh

  full    all that, and what takes long: the integration tests that wait for a minute, all of them over TLS
          (TRANSPORT=tls), 60 s of fuzzing a target, ten minutes of soak, over TLS too, and there with
          ThreadSanitizer as well, and the images, built by buildah where that is installed
  roots   ./run.sh and ./test.sh in bare roots of Debian 12 and 13 (debootstrap), as root and as an
          ordinary user with sudo: needs root, and up to an hour for each. Not part of full

With a word, that part alone: for the inner loop. Packages that are missing are installed with apt
(with sudo where that is needed). Exit code: 0 if all passed, 1 if not, 2 for a wrong option.
TEXT
}

part=${1-all}
case "$part" in
all | full | unit | integration | node-red | lint | tsan | release | bench | fuzz | roots) [ $# -eq 0 ] || shift ;;
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
jobs=$(($(nproc) * 3))
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
        step 'libraries of the release' tests/style/libraries.py build/release/aiva-mqtt-bridge &&
        compose_schema_need build/tools &&
        step 'package and containers' run_package
}
test_bench()
{
    step 'build the benchmark' build_bench || return
    step 'tests of the benchmark' /usr/bin/python3 -B tests/bench/test_bench.py
    step 'instructions of an event' /usr/bin/python3 -B tests/bench/guard.py
}

# beside NAME COMMAND...: starts a step, with low priority, and goes on; join NAME waits for it and shows what
# it said.
declare -A beside_pid=() beside_log=()
beside()
{
    local name=$1 log
    shift
    log=$(mktemp)
    beside_log[$name]=$log
    # A process group of its own, to be ended as a whole.
    set -m
    (
        renice -n 10 -p $BASHPID >/dev/null
        summary=()
        step "$name" "$@" >"$log" 2>&1
        printf '%s\n' "${summary[@]}" >"$log.summary"
        exit $failed
    ) </dev/null &
    beside_pid[$name]=$!
    set +m
}
join()
{
    local name=$1 log=${beside_log[$1]}
    wait "${beside_pid[$name]}" || failed=1
    unset "beside_pid[$name]"
    cat "$log"
    mapfile -t -O ${#summary[@]} summary <"$log.summary"
    rm -f "$log" "$log.summary"
}
end_besides()
{
    local name
    for name in "${!beside_pid[@]}"; do
        kill -TERM -- "-${beside_pid[$name]}" 2>/dev/null
        rm -f "${beside_log[$name]}" "${beside_log[$name]}.summary"
    done
}
trap end_besides EXIT
trap 'exit 130' INT TERM HUP

# The compiler takes the time that the tests, which mostly wait, leave.
build_rest() { build tsan && build_release && build_bench; }
fuzz_beside() { build fuzz && tests/fuzz/run.sh "$1"; }

# run_everything FUZZ-SECONDS ASAN-TESTS...
run_everything()
{
    local fuzz_seconds=$1
    shift
    step 'build asan' build asan || return
    beside 'build tsan, release' build_rest
    beside "fuzzing, $fuzz_seconds s a target" fuzz_beside "$fuzz_seconds"
    compose_schema_need build/tools
    "$@"
    join 'build tsan, release'
    beside 'tests with ThreadSanitizer' run_tsan
    test_release
    test_bench
    join 'tests with ThreadSanitizer'
    join "fuzzing, $fuzz_seconds s a target"
}
soak()
{
    steady /usr/bin/python3 -B tests/soak/soak.py --minutes 10 --seed "$RANDOM" --bridge "build/$1/aiva-mqtt-bridge" \
        --simulator "build/$1/aiva-simulator" --report "build/soak-$1.txt"
}
asan_all() { step 'unit, fuzz inputs, lint, integration, Node-RED' run_asan; }
asan_full()
{
    step 'unit, fuzz inputs, lint, Node-RED' run_asan -LE '^integration$'
    PYTEST_ADDOPTS=--slow step 'integration, with what waits for a minute' run_asan -L '^integration$'
    TRANSPORT=tls step 'integration, over TLS' run_asan -L '^integration$'
    step 'soak, ten minutes' soak asan
    TRANSPORT=tls step 'soak, ten minutes over TLS' soak asan
    build tsan && TRANSPORT=tls step 'soak, ten minutes over TLS, with ThreadSanitizer' soak tsan
}

if [ "$part" = roots ]; then
    exec tests/roots/run.sh "$@"
fi

node_packages=()
case "$part" in
all | full | node-red) mapfile -t node_packages < <(packages_node) ;;
esac
packages_need "${PACKAGES_BUILD[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_TEST[@]}" "${node_packages[@]}" || exit 1
case "$part" in
all | full | integration) promtool_need build/tools ;;
esac

case "$part" in
all) run_everything 10 asan_all ;;
full)
    run_everything 60 asan_full
    step 'images, by buildah' tests/package/images.sh
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
lost=$(printf '%s\n' "${summary[@]}" | grep -c '^FAILED')
echo "$((${#summary[@]} - lost)) passed, $lost failed in $SECONDS s"
exit $failed
