#!/usr/bin/env bash
# The same as sed.sh with a grep that writes line by line but, unlike sed -u, does not read byte by
# byte.
set -euo pipefail

curl -sN "$AIVA_URL/jobs/events?token=$AIVA_API_KEY" |
    grep --line-buffered -o '{.*}' |
    mosquitto_pub -h "$MQTT_HOST" -p "$MQTT_PORT" ${MQTT_CA:+--cafile "$MQTT_CA"} -l -q 1 -r -t aiva/jobs/state
