#!/usr/bin/env bash
# shellcheck disable=SC2317  # cleanup and port_open are called, by a trap and as an argument
# Builds and runs the bridge; starts what is missing around it. See usage().
set -uo pipefail

usage()
{
    cat <<'TEXT'
Usage: ./run.sh [--help] [-- BRIDGE-OPTION...]

Builds the bridge and runs it. What is missing around it is started too:

  no AIVA_API_KEY and no AIVA_API_KEY_FILE   an AIVA simulator, with made-up jobs
  no MQTT_URL                                a mosquitto of its own, on a free port of this machine,
                                             with passwords made for this run: nobody else gets in

Then it shows the jobs live, until Ctrl-C, which stops everything it started. Made-up jobs at a broker
that it did not start have topics of their own, "aiva-demo" in place of "aiva": they replace no real ones.

With a key and MQTT_URL set, or with options for the bridge, it starts nothing else and becomes the
bridge itself, in the foreground:

  AIVA_API_KEY_FILE=key.txt MQTT_URL=mqtt://broker.example:1883 ./run.sh
  ./run.sh -- --config bridge.json --check

Packages that are missing are installed with apt (with sudo where that is needed).

Other environment variables:
  AIVA_SIMULATOR_ARGS   options for the simulator, default "--speed 2" (try "--jobs 200 --speed 10")
  MQTT_TOPIC            the root of all topics, default "aiva"
  NO_COLOR              no colours in the live view
  and everything that the bridge reads itself: see README.md

Exit codes: 0 after Ctrl-C or SIGTERM; else the bridge's own (README.md), or 1 where something that was
started around it ended.
TEXT
}

say() { printf '%s\n' "$*"; }
fail()
{
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}

bridge_options=()
case "${1-}" in
'') ;;
-h | --help)
    usage
    exit 0
    ;;
--)
    shift
    bridge_options=("$@")
    ;;
*)
    echo "run.sh: unknown option $1 (options for the bridge go behind --); try ./run.sh --help" >&2
    exit 2
    ;;
esac

# File names in the settings count from where this was called.
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
# shellcheck source=cmake/packages.sh
. cmake/packages.sh
# mosquitto lives where an ordinary user's PATH does not lead.
PATH=$PATH:/usr/local/sbin:/usr/sbin
readonly build=$PWD/build/release
readonly bridge_program=$build/aiva-mqtt-bridge simulator_program=$build/aiva-simulator

with_simulator=no with_broker=no
if [ "${#bridge_options[@]}" -eq 0 ]; then
    [ -n "${AIVA_API_KEY-}${AIVA_API_KEY_FILE-}" ] || with_simulator=yes
    [ -n "${MQTT_URL-}" ] || with_broker=yes
fi

build_all()
{
    local -a targets=(aiva-mqtt-bridge) options=(-DBRIDGE_SIMULATOR=OFF)
    if [ $with_simulator = yes ]; then
        targets+=(aiva-simulator)
        options=(-DBRIDGE_SIMULATOR=ON)
    fi
    [ -x "$bridge_program" ] || say "Building the release preset into build/release ..." >&2
    quietly cmake --preset release "${options[@]}" || return 1
    quietly cmake --build "$build" --target "${targets[@]}"
}

packages=("${PACKAGES_BUILD[@]}")
if [ $with_simulator = yes ] || [ $with_broker = yes ]; then
    packages+=("${PACKAGES_DEMO[@]}")
fi
packages_need "${packages[@]}" || exit 1
build_all || exit 1
readonly broker_config=$PWD/config/mosquitto-demo.conf view_program=$PWD/tests/demo/watch.py
cd "$caller" || exit 1

if [ $with_simulator = no ] && [ $with_broker = no ]; then
    exec "$bridge_program" "${bridge_options[@]}"
fi

# ---- From here on: the demonstration.

python=/usr/bin/python3
[ -x $python ] || python=python3
# Passwords go into files here.
umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/aiva-demo.XXXXXX") || exit 1
broker_pid='' simulator_pid='' bridge_pid='' view_pid=''

# Starts a program that does not get the terminal's Ctrl-C, so that the parts stop in our order, and
# that ends if this script is killed. Its pid is in $!.
launch()
{
    local log=$1
    shift
    setsid setpriv --pdeathsig TERM "$@" >"$log" 2>&1 </dev/null &
}

# stop NAME PID SECONDS
stop()
{
    local tenths=$(($3 * 10))
    [ -n "$2" ] && kill -TERM "$2" 2>/dev/null || return 0
    while kill -0 "$2" 2>/dev/null; do
        if [ $tenths -le 0 ]; then
            echo "run.sh: $1 (pid $2) does not stop, killing it" >&2
            kill -KILL "$2" 2>/dev/null
            break
        fi
        tenths=$((tenths - 1))
        sleep 0.1
    done
    wait "$2" 2>/dev/null
}

# The bridge goes before the broker, so that it can say "offline".
cleanup()
{
    trap '' INT TERM HUP PIPE
    stop 'the live view' "$view_pid" 3
    stop 'the bridge' "$bridge_pid" 10
    stop 'the simulator' "$simulator_pid" 5
    stop 'the broker' "$broker_pid" 5
    rm -rf "$work"
}
trap cleanup EXIT
trap 'say; say "Stopping ..."; exit 0' INT TERM HUP

# await PID SECONDS COMMAND...: true once the command succeeds, false once the process has ended or
# the time is up.
await()
{
    local pid=$1 tenths=$(($2 * 10))
    shift 2
    while [ $tenths -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
        "$@" 2>/dev/null && kill -0 "$pid" 2>/dev/null && return 0
        tenths=$((tenths - 1))
        sleep 0.1
    done
    return 1
}

# Also answers for a process that is not ours; await() looks whether ours is still there.
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

free_port()
{
    $python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

random_password() { od -An -N 16 -t x1 /dev/urandom | tr -d ' \n'; }

# Who may connect to our broker, with a password for each, and who may do what.
secure_broker()
{
    local folder=$work/broker user password
    mkdir "$folder" || return 1
    for user in bridge dashboard operator; do
        password=$(random_password) && printf '%s' "$password" >"$work/$user" &&
            printf '%s:%s\n' $user "$password" >>"$folder/passwords" || return 1
    done
    mosquitto_passwd -U "$folder/passwords" || return 1
    MQTT_USERNAME=bridge "$bridge_program" --print-acl >"$folder/rules" || return 1
    # Made-up jobs may be deleted as well.
    [ $with_simulator = no ] ||
        printf 'user operator\ntopic write %s/jobs/+/command/delete\n' "${MQTT_TOPIC:-aiva}" >>"$folder/rules"
    [ "$(id -u)" -ne 0 ] && return
    # Started by root, mosquitto becomes this user before it reads them.
    user=mosquitto
    id -u $user >/dev/null 2>&1 || user=nobody
    chmod 711 "$work" && chown -R $user "$folder"
}

start_broker()
{
    local attempt port
    # Meant for some other broker.
    unset MQTT_USERNAME MQTT_PASSWORD MQTT_PASSWORD_FILE MQTT_CA_FILE MQTT_CERT_FILE MQTT_KEY_FILE
    secure_broker || fail "no passwords for the broker"
    # Another program may take the port between the look and mosquitto's start: then the next one.
    for attempt in 1 2 3 4 5; do
        port=$(free_port) || return 1
        sed "s/^listener 1883 /listener $port /" "$broker_config" >"$work/mosquitto.conf"
        # The configuration names the files without a folder.
        launch "$work/mosquitto.log" env -C "$work/broker" mosquitto -c "$work/mosquitto.conf"
        broker_pid=$!
        if await $broker_pid 5 port_open "$port"; then
            MQTT_URL=mqtt://127.0.0.1:$port
            export MQTT_USERNAME=bridge MQTT_PASSWORD_FILE=$work/bridge
            return 0
        fi
        stop 'the broker' $broker_pid 2
        broker_pid=''
    done
    tail -n 5 "$work/mosquitto.log" >&2
    fail "mosquitto does not start (tried $attempt times)"
}

start_simulator()
{
    local -a options
    read -ra options <<<"${AIVA_SIMULATOR_ARGS---speed 2}"
    if [ -n "${AIVA_URL-}" ]; then
        say "AIVA_URL is set but no key is: it is ignored, and the simulator stands in for AIVA." >&2
    fi
    launch "$work/simulator.log" "$simulator_program" --port-file "$work/simulator.port" \
        --key aiva-demo-key "${options[@]}"
    simulator_pid=$!
    if ! await $simulator_pid 10 test -s "$work/simulator.port"; then
        tail -n 10 "$work/simulator.log" >&2
        fail "the simulator does not start"
    fi
    AIVA_URL=http://127.0.0.1:$(<"$work/simulator.port")
    export AIVA_API_KEY='aiva-demo-key'
}

# client_options PROGRAM USER PASSWORD: writes what a program of mosquitto's needs to reach $MQTT_URL into
# the file that it reads by itself, so that no password gets onto a command line.
client_options()
{
    local program=$1 user=$2 password=$3
    {
        echo "-h $host"
        echo "-p $port"
        [ -z "$user" ] || echo "-u $user"
        [ -z "$password" ] || echo "-P $password"
        [ -z "${MQTT_CERT_FILE-}" ] || echo "--cert $MQTT_CERT_FILE"
        [ -z "${MQTT_KEY_FILE-}" ] || echo "--key $MQTT_KEY_FILE"
        if [ -n "${MQTT_CA_FILE-}" ]; then
            echo "--cafile $MQTT_CA_FILE"
        elif [ "$scheme" = mqtts ]; then
            echo "--capath /etc/ssl/certs"
        fi
    } >"$work/$program"
}

# At our broker the live view only looks, and people act as the operator; at another one they have what the
# bridge has.
configure_clients()
{
    local url='^(mqtts?)://(([^:@/]*)(:([^@/]*))?@)?(\[[^]]+\]|[^:/@]+)(:([0-9]+))?/?$'
    [[ $MQTT_URL =~ $url ]] || return 1
    local scheme=${BASH_REMATCH[1]} user=${MQTT_USERNAME-${BASH_REMATCH[3]}}
    local password=${MQTT_PASSWORD-${BASH_REMATCH[5]}} host=${BASH_REMATCH[6]} port=${BASH_REMATCH[8]} program
    host=${host#[}
    host=${host%]}
    [ -n "$port" ] || { [ "$scheme" = mqtts ] && port=8883 || port=1883; }
    if [ $with_broker = yes ]; then
        client_options mosquitto_sub dashboard "$(<"$work/dashboard")"
        user=operator password=$(<"$work/operator")
    else
        [ -z "${MQTT_PASSWORD_FILE-}" ] || password=$(<"$MQTT_PASSWORD_FILE") || return 1
        client_options mosquitto_sub "$user" "$password"
    fi
    for program in mosquitto_pub mosquitto_rr; do
        client_options $program "$user" "$password"
    done
}

start_view()
{
    local root=${MQTT_TOPIC:-aiva} aiva='the AIVA simulator' client="XDG_CONFIG_HOME=$work"
    [ $with_simulator = yes ] || aiva="AIVA at ${AIVA_URL:-https://api.aivaportal.com}"
    if ! configure_clients; then
        say "There is no live view of $MQTT_URL; here is the bridge's log. Ctrl-C stops."
        tail -n +1 -f "$work/bridge.log" &
        view_pid=$!
        return
    fi
    # Not through launch(): it keeps the terminal. XDG_CONFIG_HOME is where mosquitto's programs look for
    # address and password.
    XDG_CONFIG_HOME=$work setpriv --pdeathsig TERM $python "$view_program" --root "$root" \
        --publish "$client mosquitto_pub" \
        --note "The bridge joins $aiva and the broker at $MQTT_URL" \
        --note "Log         $work/bridge.log" \
        --note "Watch       $client mosquitto_sub -v -t '$root/#'" \
        --note "Cancel      $client mosquitto_pub -t $root/jobs/JOB/command/cancel -m '{}'" \
        --note "Ctrl-C stops everything." &
    view_pid=$!
}

# Ends the script with what happened to the first part that is no longer there.
report_end()
{
    local status
    # The cause is the part that others depend on; give it a moment to show.
    sleep 0.3
    kill -TERM $view_pid 2>/dev/null && wait $view_pid 2>/dev/null
    if [ -n "$broker_pid" ] && ! kill -0 $broker_pid 2>/dev/null; then
        tail -n 10 "$work/mosquitto.log" >&2
        fail "the broker ended unexpectedly; its last lines are above"
    elif [ -n "$simulator_pid" ] && ! kill -0 $simulator_pid 2>/dev/null; then
        tail -n 10 "$work/simulator.log" >&2
        fail "the simulator ended unexpectedly; its last lines are above"
    elif ! kill -0 $bridge_pid 2>/dev/null; then
        wait $bridge_pid
        status=$?
        tail -n 20 "$work/bridge.log" >&2
        echo "run.sh: the bridge ended with exit code $status; its last lines are above" >&2
        [ $status -ne 0 ] || status=1
        exit $status
    fi
    fail "the live view ended"
}

if [ $with_broker = yes ]; then
    start_broker
else
    # A simulator at a broker that may have real jobs: it must neither replace them nor push out their bridge.
    [ $with_simulator = no ] || export MQTT_TOPIC=${MQTT_TOPIC:-aiva}-demo \
        MQTT_CLIENT_ID=${MQTT_CLIENT_ID:-aiva-mqtt-bridge}-demo
fi
[ $with_simulator = no ] || start_simulator
export MQTT_URL
[ -z "${AIVA_URL-}" ] || export AIVA_URL
launch "$work/bridge.log" "$bridge_program"
bridge_pid=$!
start_view
wait -n
report_end
