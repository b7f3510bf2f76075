#!/usr/bin/env bash
# Runs every fuzz target (or those named) for so many seconds each, two at a time and with the lowest
# priority: beside tests that mostly wait it takes what they leave. Needs the preset fuzz to be built.
# One line a target: executions, edges covered, outcome. An input that fails stays in build/fuzz/found.
#   tests/fuzz/run.sh SECONDS [NAME...]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

seconds=$1
shift
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        name=${source##*/fuzz_}
        names+=("${name%.c}")
    done
fi

# What one target finds is kept in build/fuzz/corpus, so that the next run goes on from there.
fuzz_one()
{
    local name=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/log/$1 outcome=clean
    mkdir -p "$corpus" build/fuzz/found build/fuzz/log
    nice -n 19 "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -print_final_stats=1 -dict="tests/fuzz/$name.dict" -artifact_prefix="build/fuzz/found/$name-" \
        "$corpus" "tests/fuzz/corpus/$name" >"$log" 2>&1 || outcome=FAILED
    printf '%-8s %10s executions %6s edges  %s\n' "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$outcome"
    [ $outcome = clean ] && return
    tail -n 40 "$log"
    return 1
}
export -f fuzz_one
export seconds

# shellcheck disable=SC2016  # $0 is for the inner shell
printf '%s\n' "${names[@]}" | xargs -n 1 -P 2 bash -c 'fuzz_one "$0"'
