#ifndef MQTTREASON_H
#define MQTTREASON_H

#include <stdbool.h>
#include <stddef.h>

#include "packet.h"

/*
 * What a broker's codes mean, for people and for the next attempt. Pure but for the names of reason
 * codes, which are paho's. For mqtt.c and session.c only.
 */
struct mqtt_options;

/* What the broker said about CONNECT itself, so that the next attempt can obey: paho cannot change
 * a connection's will or keep-alive time. Zero-initialise. */
struct mqtt_demands {
    int will_qos_lowered;
    bool will_unretained;
    int keep_alive_s; /* 0: none */
};

/* Some refusals (MQTT 5, 3.2.2.2) tell what to do better. */
void mqttreason_learn(struct mqtt_demands *demands, int code);
/* The options as the broker wants them; strings are borrowed as in `options`. */
struct mqtt_options mqttreason_obey(
    const struct mqtt_demands *demands, const struct mqtt_options *options);

/* A reason code of MQTT 5, or a return code of MQTT 3.1.1, by name. Never NULL. */
const char *mqttreason_name(int code);
/* True where the code is one that waiting alone will hardly mend. */
bool mqttreason_is_refusal(int code);
/* "<what>: <name> (code N)", with the reason string and the server reference that the broker gave.
 */
void mqttreason_describe(
    const char *what, const struct packet_reason *reason, char *out, size_t size);

#endif
