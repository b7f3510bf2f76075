#!/bin/sh
# Makes what the broker of docker-compose.yml needs before it starts: a random password for each user, once,
# and the access rules for MQTT_TOPIC. Runs in mosquitto's image, as root with no other right than to give
# files away: each file is written anew and given to its one reader, never changed in place.
set -eu
umask 077

# The volumes, and the rules as shipped; tests have them elsewhere.
broker=${BROKER_SECRETS:-/secrets/broker} # passwords, rules, option files of mosquitto's programs
bridge=${BRIDGE_SECRETS:-/secrets/bridge} # the bridge's password
shipped=${SHIPPED_RULES:-/mosquitto-production.acl}
export MQTT_TOPIC="${MQTT_TOPIC:-aiva}"
# Users in the containers.
mosquitto_id=1883
bridge_id=10001

# give FILE USER: what has been written to FILE.new becomes FILE, readable for one user.
give()
{
    chmod 400 "$1.new"
    [ "$(id -u)" -ne 0 ] || chown "$2:$2" "$1.new"
    mv -f "$1.new" "$1"
}

# options PROGRAM USER PASSWORD: what a program of mosquitto's reads by itself ($XDG_CONFIG_HOME).
options()
{
    printf '%s\n' "-u $2" "-P $3" >"$broker/$1.new"
    give "$broker/$1" $mosquitto_id
}

make_passwords()
{
    for user in bridge dashboard operator homeassistant; do
        password=$(od -An -N 16 -t x1 /dev/urandom | tr -d ' \n')
        printf '%s:%s\n' "$user" "$password" >>"$broker/passwords.new"
        case $user in
        bridge)
            printf '%s' "$password" >"$bridge/mqtt_password.new"
            give "$bridge/mqtt_password" $bridge_id
            continue
            ;;
        dashboard) options mosquitto_sub "$user" "$password" ;;
        operator)
            options mosquitto_pub "$user" "$password"
            options mosquitto_rr "$user" "$password"
            ;;
        esac
        # For people, to copy into other programs.
        printf '%s\n' "$password" >"$broker/$user.new"
        give "$broker/$user" $mosquitto_id
    done
    mosquitto_passwd -U "$broker/passwords.new"
    # Last: what is cut short begins anew.
    give "$broker/passwords" $mosquitto_id
}

chmod 755 "$broker" "$bridge"
rm -f "$broker"/*.new "$bridge"/*.new
if [ ! -e "$broker/passwords" ] || [ ! -e "$bridge/mqtt_password" ]; then
    make_passwords
    echo "the broker has new passwords"
fi

awk 'match($0, /^topic [a-z]+ aiva\//) {
    print substr($0, 1, RLENGTH - 5) ENVIRON["MQTT_TOPIC"] substr($0, RLENGTH)
    next
} 1' "$shipped" >"$broker/rules.new"
# For the health check.
# shellcheck disable=SC2016  # the name of a topic
printf 'user dashboard\ntopic read $SYS/broker/uptime\n' >>"$broker/rules.new"
give "$broker/rules" $mosquitto_id
