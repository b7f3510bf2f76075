#!/bin/sh
# Runs `aiva-mqtt-bridge --check` as systemd runs the bridge: as the same user, with the same credentials, files,
# settings and restrictions, those of drop-ins included. A bridge that is running is not disturbed. Needs root.
set -eu

unit=aiva-mqtt-bridge.service
name=aiva-mqtt-bridge-check

# One "KEY=VALUE" a line of what is in the unit's [Service] sections, drop-ins behind the unit itself, as systemd
# reads them. What is about starting, watching and ending a service is left out: the check ends by itself.
settings=$(systemctl cat "$unit" | awk -v credentials="/run/credentials/$name.service" '
    /^[ \t]*[#;]/ { next }
    { line = line $0 }
    /\\$/ { sub(/\\$/, " ", line); next }
    line ~ /^[ \t]*\[/ { service = line ~ /^[ \t]*\[Service\][ \t]*$/; line = ""; next }
    service && line ~ /=/ {
        sub(/^[ \t]+/, "", line)
        sub(/[ \t]*=[ \t]*/, "=", line)
        gsub(/%d/, credentials, line)
        gsub(/%%/, "%", line)
        key = substr(line, 1, index(line, "=") - 1)
        if (key == "ExecStart" || key !~ /^(Type|NotifyAccess|Exec.*|Restart.*|Timeout.*|WatchdogSec|Standard.*)$/)
            print line
    }
    { line = "" }')

command=
set --
while IFS= read -r setting; do
    case "$setting" in
    ExecStart=*) command=${setting#ExecStart=} ;;
    *) set -- "$@" -p "$setting" ;;
    esac
done <<END
$settings
END

if [ -z "$command" ]; then
    echo "aiva-mqtt-bridge-check: $unit has no ExecStart" >&2
    exit 2
fi
# The command's words, as they stand in the unit.
# shellcheck disable=SC2086
exec systemd-run --quiet --pipe --wait --collect --service-type=exec --unit="$name" "$@" -- $command --check
