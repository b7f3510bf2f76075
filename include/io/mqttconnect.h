#ifndef MQTTCONNECT_H
#define MQTTCONNECT_H

#include <MQTTAsync.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "memfile.h"

/*
 * The words of a connection attempt: from mqtt_options to paho's options, and from paho's codes to
 * text for people. For mqttlink.c and mqtt.c only.
 */
struct mqtt_limits;
struct mqtt_options;

struct mqttconnect_address {
    char uri[600]; /* as paho wants it */
    bool tls;
    bool websocket;
};

/* mqtt, mqtts, ws or wss URL to paho's address. False and the error (ERROR_BROKER) for others. */
bool mqttconnect_address(
    const char *url, struct mqttconnect_address *address, struct error *error) NODISCARD;

/* The callbacks that paho is to use, all with `context`. */
struct mqttconnect_calls {
    void *context;
    MQTTAsync_onSuccess *on_success;
    MQTTAsync_onFailure *on_failure;
    MQTTAsync_onSuccess5 *on_success5;
    MQTTAsync_onFailure5 *on_failure5;
    int (*on_tls_error)(const char *text, size_t length, void *context);
};

/* The options' certificates as paho takes them: as files, which it reads while it connects. */
struct mqttconnect_files {
    struct memfile ca, cert, key;
};
#define MQTTCONNECT_NO_FILES ((struct mqttconnect_files){MEMFILE_NONE, MEMFILE_NONE, MEMFILE_NONE})

/* Into MQTTCONNECT_NO_FILES. To be closed also where it fails (ERROR_BROKER). */
bool mqttconnect_open_files(struct mqttconnect_files *files, const struct mqtt_options *options,
    struct error *error) NODISCARD;
void mqttconnect_close_files(struct mqttconnect_files *files);

/* Gives the attempt to paho, which copies everything but the files. Returns paho's code. */
int mqttconnect_start(MQTTAsync handle, const struct mqtt_options *options, bool tls,
    const struct mqttconnect_files *files, const struct mqttconnect_calls *calls) NODISCARD;

/* Most commands that paho may hold unsent: the window and a little. */
int mqttconnect_queue(const struct mqtt_options *options);

/* What the broker said about CONNECT itself, so that the next attempt can obey: paho cannot change
 * a connection's will or keep-alive time. Zero-initialise. */
struct mqttconnect_demands {
    int will_qos_lowered;
    bool will_unretained;
    int keep_alive_s; /* 0: none */
};

/* Some refusals (MQTT 5, 3.2.2.2) tell what to do better. */
void mqttconnect_learn(struct mqttconnect_demands *demands, int code);
/* The options as the broker wants them; strings are borrowed as in `options`. */
struct mqtt_options mqttconnect_obey(
    const struct mqttconnect_demands *demands, const struct mqtt_options *options);

/* What the broker allows: at most `window`, and what its CONNACK says (MQTT 5, 3.2.2.3), which paho
 * parses and does not obey. `connack` is NULL with MQTT 3.1.1, which has the standard's defaults.
 */
struct mqtt_limits mqttconnect_limits(unsigned window, MQTTProperties *connack);

/* Paho's code for a publication or subscription that it did not take. Always false; the class tells
 * a connection that is going down (ERROR_BROKER) from what no connection will take (ERROR_RUN). */
bool mqttconnect_publication_refused(int code, struct error *error);

/* A failed attempt in words. `code` is paho's (negative) or the broker's (positive), or 0 where
 * `message` says it all; else that is paho's, may be NULL; `tls_text` is "" where OpenSSL said
 * nothing. */
void mqttconnect_describe(
    int code, const char *message, const char *tls_text, char *out, size_t size);
/* A reason code of MQTT 5, or a return code of MQTT 3.1.1, by name. Never NULL. */
const char *mqttconnect_reason(int code);
/* True where the broker's code is one that waiting alone will hardly mend. */
bool mqttconnect_is_refusal(int code);

#endif
