# shellcheck shell=bash disable=SC2034  # the lists are for those who source this
# The Debian packages that run.sh and test.sh need, in one place, and how they get installed.
# Sourced, never run.

# To build and run the bridge.
PACKAGES_BUILD=(build-essential cmake ninja-build pkg-config ca-certificates file
    libcurl4-openssl-dev libcjson-dev libpaho-mqtt-dev libwslay-dev libssl-dev libmicrohttpd-dev uthash-dev)
# For the demonstration besides: the AIVA simulator, a broker, the live view.
PACKAGES_DEMO=(mosquitto mosquitto-clients python3)
# For the tests besides.
PACKAGES_TEST=(git libcmocka-dev python3-pytest python3-paho-mqtt python3-yaml python3-jinja2 python3-jsonschema openssl curl
    jq tinyproxy-bin microsocks clang clang-format clang-tidy cppcheck libclang-rt-dev shellcheck groff-base man-db procps systemd valgrind)
# For the coverage report besides.
PACKAGES_COVERAGE=(gcovr)
# For the benchmark (tests/bench) besides.
PACKAGES_BENCH=(python3-requests python3-paho-mqtt curl)

# Prints the packages that bring Node.js and npm, for Node-RED in the tests and the benchmark's peers. Nothing
# where both are there and new enough, from wherever: Debian's npm cannot be installed next to a Node.js from
# elsewhere.
packages_node()
{
    local enough='const [major, minor] = process.versions.node.split("."); process.exit(major > 18 || major == 18 && minor >= 5 ? 0 : 1)'
    if ! command -v npm >/dev/null || ! node -e "$enough" 2>/dev/null; then
        printf '%s\n' nodejs npm
    fi
}

# Prints those of its arguments that are not installed, one a line.
packages_missing()
{
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done
}

# Reads what apt writes, with its Status-Fd among it: shows how far it is, on a terminal in one line that
# changes, elsewhere a line for each quarter; all else goes to the file.
packages_progress()
{
    local log=$1 line phase last='' shown='' kind='^(dl|pm)status:[^ ]*:([0-9]+)[0-9.,]*:(.*)$'
    while IFS= read -r line; do
        if [[ $line =~ $kind ]]; then
            [ "${BASH_REMATCH[1]}" = dl ] && phase=fetching || phase=installing
            if [ -t 2 ]; then
                printf -v shown '  %-10s %3d %%  %.50s' $phase "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
                printf '\r\033[K%s' "$shown" >&2
            elif [ "$phase$((BASH_REMATCH[2] / 25))" != "$last" ]; then
                last=$phase$((BASH_REMATCH[2] / 25))
                printf '  %s, %d %%\n' $phase "${BASH_REMATCH[2]}" >&2
            fi
            continue
        fi
        printf '%s\n' "$line" >>"$log"
        # Of the lock, or of a mirror.
        [[ ${line,,} != *waiting\ for* ]] || printf '  %s\n' "$line" >&2
    done
    [ -z "$shown" ] || printf '\r\033[K' >&2
}

# What root has to run: in one go, so that sudo asks for one password. A package list that cannot be
# refreshed need not stop an installation from the old one.
PACKAGES_INSTALL='
    export DEBIAN_FRONTEND=noninteractive
    exec 3>&1 2>&1 </dev/null
    apt-get -q -o APT::Status-Fd=3 -o DPkg::Lock::Timeout=120 update
    exec apt-get -q -y -o APT::Status-Fd=3 -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"'

# Installs what is missing of its arguments; asks for nothing and changes nothing if all is there.
packages_need()
{
    local missing log status=0
    local -a as_root=()
    if ! command -v dpkg-query >/dev/null; then
        echo "${0##*/}: not a Debian system, nothing is installed; needed are (Debian names): $*" >&2
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0

    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "${0##*/}: these packages are missing, and there is no sudo to install them with." >&2
            echo "As root: apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing with apt: ${missing[*]}"
    log=$(mktemp)
    "${as_root[@]}" sh -c "$PACKAGES_INSTALL" sh "${missing[@]}" | packages_progress "$log"
    status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$log" >&2
        echo "${0##*/}: these packages could not be installed: ${missing[*]}" >&2
        [ ${#as_root[@]} -eq 0 ] || [ -s "$log" ] ||
            echo "sudo did not let you. As root: apt-get install --no-install-recommends ${missing[*]}" >&2
    fi
    rm -f "$log"
    [ "$status" -eq 0 ]
}

# Puts promtool, which checks metrics and alert rules for the tests, into a folder, unless it is there
# or on the PATH. Debian 12 has it in the package of the Prometheus server, which would start at once,
# Debian 13 in one of its own: only this one program is taken out of it, and nothing is installed. Where
# that fails, the tests that need it are skipped.
promtool_need()
{
    local folder=$1 work status=0
    if command -v promtool >/dev/null || [ -x "$folder/promtool" ]; then
        return 0
    fi
    work=$(mktemp -d)
    echo "Fetching promtool into $folder"
    (cd "$work" && { apt-get -q download promtool || apt-get -q download prometheus; } &&
        dpkg-deb --fsys-tarfile ./*.deb | tar -x ./usr/bin/promtool) >"$work/log" 2>&1 &&
        mkdir -p "$folder" && mv "$work/usr/bin/promtool" "$folder/" || status=1
    if [ $status -ne 0 ]; then
        tail -n 5 "$work/log" >&2
        echo "${0##*/}: promtool cannot be had: the tests that need it are skipped" >&2
    fi
    rm -rf "$work"
    return 0
}

# Runs a command in silence; shows what it said if it fails.
quietly()
{
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        echo "${0##*/}: failed: $*" >&2
    fi
    rm -f "$log"
    return "$status"
}

# Puts the schema of Compose files into a folder, for a test, unless it is there. Debian 12 has it in
# the package docker-compose, Debian 13 in that of the library which Compose uses: only this one file is
# taken out of it, and nothing is installed. Where that fails, the test is skipped.
compose_schema_need()
{
    local folder=$1 file=compose_spec.json work status=0
    [ ! -e "$folder/$file" ] || return 0
    work=$(mktemp -d)
    (cd "$work" && { apt-get -q download golang-github-compose-spec-compose-go-dev ||
        apt-get -q download docker-compose; } && dpkg-deb -x ./*.deb .) >"$work/log" 2>&1 &&
        mkdir -p "$folder" && find "$work" -name 'compose[-_]spec.json' -exec cp {} "$folder/$file" \; || status=1
    [ $status -eq 0 ] || tail -n 5 "$work/log" >&2
    [ -e "$folder/$file" ] || echo "${0##*/}: the schema of Compose cannot be had: its test is skipped" >&2
    rm -rf "$work"
}
