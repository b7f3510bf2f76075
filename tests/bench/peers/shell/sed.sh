#!/usr/bin/env bash
# What a user of the shell writes. mosquitto_pub -l has one topic for all it reads, so all jobs
# share one, and only the last event is retained.
set -euo pipefail

curl -sN "$AIVA_URL/jobs/events?token=$AIVA_API_KEY" |
    sed -un 's/^data: *\(.*\)\r$/\1/p' |
    mosquitto_pub -h "$MQTT_HOST" -p "$MQTT_PORT" ${MQTT_CA:+--cafile "$MQTT_CA"} -l -q 1 -r -t aiva/jobs/state
