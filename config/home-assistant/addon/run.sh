#!/bin/sh
# Starts the bridge as Home Assistant's Supervisor wants it: the options that people have set become its
# configuration file. Secrets go into files for the bridge alone, never onto a command line.
set -eu
umask 077

# Where things are; tests have them elsewhere.
options=${ADDON_OPTIONS:-/data/options.json}
folder=${ADDON_FOLDER:-/tmp/aiva-mqtt-bridge}
bridge=${ADDON_BRIDGE:-/usr/local/bin/aiva-mqtt-bridge}
supervisor=${ADDON_SUPERVISOR:-http://supervisor}
certificates=${ADDON_CERTIFICATES:-/ssl}
# Nobody else in the container has it.
user=10001

fail()
{
    echo "aiva-mqtt-bridge: $1" >&2
    exit 1
}

# option FILTER: the option as text, empty if it is not set.
option() { jq -r "$1 // empty" "$options"; }

# Home Assistant's own broker: writes what the Supervisor knows of it to a file.
ask_for_broker()
{
    # The token goes in by standard input: command lines can be read by others.
    printf 'header = "Authorization: Bearer %s"\n' "${SUPERVISOR_TOKEN:-}" |
        curl --config - --silent --show-error --fail --max-time 30 --output "$folder/service.json" \
            "$supervisor/services/mqtt" ||
        fail 'Home Assistant has no MQTT broker: install the Mosquitto broker, or set mqtt_url'
    jq '.data | {url: "\(if .ssl then "mqtts" else "mqtt" end)://\(.host):\(.port)", username, password}' \
        "$folder/service.json" >"$folder/broker.json"
    rm "$folder/service.json"
}

rm -rf "$folder"
mkdir -p "$folder"
[ -n "$(option .aiva_api_key)" ] || fail 'the option aiva_api_key is empty'

if [ -n "$(option .mqtt_url)" ]; then
    jq '{url: .mqtt_url, username: .mqtt_username, password: .mqtt_password}' "$options" >"$folder/broker.json"
else
    ask_for_broker
fi
option .aiva_api_key >"$folder/aiva_api_key"
jq -r '.password // empty' "$folder/broker.json" >"$folder/mqtt_password"
ca_file=
if [ -n "$(option .mqtt_ca_file)" ]; then
    ca_file=$folder/mqtt_ca.pem
    cp "$certificates/$(option .mqtt_ca_file)" "$ca_file" || fail 'mqtt_ca_file is not in the folder /ssl'
fi

# What is not set is left out: then the bridge has its own default.
jq --slurpfile broker "$folder/broker.json" --arg folder "$folder" --arg ca_file "$ca_file" '
    def set: select(. != null and . != "");
    {
        aiva: {url: .aiva_url, mode: .aiva_mode, api_key_file: "\($folder)/aiva_api_key"},
        mqtt: {
            url: $broker[0].url,
            username: $broker[0].username,
            password_file: (if ($broker[0].password // "") != "" then "\($folder)/mqtt_password" else null end),
            ca_file: $ca_file,
            topic: .mqtt_topic
        },
        jobs: {hide: .hide, keep_finished_h: .keep_finished_h},
        commands: {allow: .commands},
        homeassistant: {
            enabled: true,
            prefix: .homeassistant_prefix,
            max_jobs: .max_jobs,
            device_name: .device_name
        },
        log: {level: .log_level}
    } | map_values(map_values(set))' "$options" >"$folder/bridge.json"
rm "$folder/broker.json"

unset SUPERVISOR_TOKEN
if [ "$(id -u)" -ne 0 ]; then
    exec "$bridge" --config "$folder/bridge.json"
fi
chown -R "$user:$user" "$folder"
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs "$bridge" --config "$folder/bridge.json"
