#ifndef MQTT_H
#define MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "inflight.h"

/*
 * One MQTT connection at a time, over TCP, TLS, WebSocket or both, MQTT 5 or 3.1.1: connect,
 * publish, subscribe, close. Connection and session are made by libcurl and paho (link.h,
 * session.h); messages and their acknowledgements are read and written here. All functions and all
 * handler calls are on the owner thread.
 */
struct mqtt;
struct loop;

enum mqtt_state { MQTT_IDLE, MQTT_CONNECTING, MQTT_CONNECTED, MQTT_CLOSING };

/* How to connect; everything is borrowed for the call to mqtt_connect. "" or NULL: not given. */
struct mqtt_options {
    const char *url; /* mqtt://, mqtts://, ws://, wss:// host [:port] [/path] */
    const char *client_id;
    const char *username, *password;
    const char *ca, *cert, *key;           /* PEM; ca: the authorities, else the system's */
    const char *proxy, *alpn;              /* as in link.h */
    bool version5;                         /* else MQTT 3.1.1 */
    const char *will_topic, *will_payload; /* NULL for no will */
    int will_qos;
    bool will_unretained;
    int keep_alive_s;
    int connect_timeout_s;
    unsigned window; /* most unacknowledged publications; lowered to the broker's Receive Maximum */
};

/* What the broker's CONNACK allows (MQTT 5, section 3.2.2.3); the defaults of the standard
 * elsewhere. */
struct mqtt_limits {
    unsigned window;              /* min(options.window, Receive Maximum) */
    uint32_t maximum_packet_size; /* bytes; UINT32_MAX where not limited */
    int maximum_qos;
    bool retain_available;
    int keep_alive_s; /* what holds for the connection: the option's, or the broker's, shorter one
                       */
};

/* An incoming message; borrowed for the call. Topic and payload are NOT NUL-terminated. Topic and
 * Response Topic are well-formed UTF-8 without U+0000, and the topic has no wildcards: a message
 * that the broker passes on with others is dropped. */
struct mqtt_message {
    const char *topic;
    size_t topic_length;
    const char *payload;
    size_t payload_length;
    bool retained;
    bool duplicate;
    const char *response_topic; /* NULL where none (MQTT 5, 3.3.2.3.5) */
    size_t response_topic_length;
    const char *correlation_data; /* NULL where none (MQTT 5, 3.3.2.3.6) */
    size_t correlation_length;
    uint32_t expiry_s; /* MQTT 5, 3.3.2.3.3: what is left of it; UINT32_MAX where there is none */
};

struct mqtt_handler {
    void *ctx;
    void (*on_up)(void *ctx, const struct mqtt_limits *limits);
    /* The connection, or the attempt, has ended: once for each mqtt_connect that returned true and
     * was not ended by mqtt_free. `refused`: the broker answered with a reason that waiting alone
     * will hardly mend (bad credentials, not authorised, banned, TLS). The text is for people. */
    void (*on_down)(void *ctx, bool refused, const char *reason);
    /* A subscription ended: granted QoS, or >= 0x80 for a refusal. Not called for what ends with
     * the connection. */
    void (*on_subscribed)(void *ctx, uint64_t token, int code);
    void (*on_message)(void *ctx, const struct mqtt_message *message);
};

/* Silences paho's tracing, removes environment variables that would redirect or trace it
 * (http_proxy, https_proxy, no_proxy, MQTT_C_CLIENT_TRACE*). Once, before any thread. */
void mqtt_global_init(void);

/* The handler is copied. */
struct mqtt *mqtt_new(struct loop *loop, const struct mqtt_handler *handler);
/* Drops the connection without DISCONNECT; may wait about 100 ms for paho's threads. No callbacks.
 */
void mqtt_free(struct mqtt *mqtt);

enum mqtt_state mqtt_state(const struct mqtt *mqtt);

/* From MQTT_IDLE only. False and the error (ERROR_BROKER) where not even the attempt can be made.
 */
bool mqtt_connect(
    struct mqtt *mqtt, const struct mqtt_options *options, struct error *error) NODISCARD;

/* In MQTT_CONNECTED only. How many more publications may be sent now. */
unsigned mqtt_window_free(const struct mqtt *mqtt);
/* Sends a whole PUBLISH of the connection's version, at the end of this pass of the loop. Copies
 * it, with a Packet Identifier of the connection's. To be called while mqtt_window_free is above 0,
 * with what the limits allow. The owner is told once of the reason code that the broker answered, 0
 * or 0x10 for success, >= 0x80 for a refusal; that call must not free mqtt, nor publish. If the
 * connection ends before, it is not told any more. Where nobody waits (owner->urgent), it may be
 * told some milliseconds late. */
void mqtt_publish(
    struct mqtt *mqtt, const void *packet, size_t length, const struct inflight_owner *owner);

/* In MQTT_CONNECTED only. The answer comes as on_subscribed(token). retain_as_published (MQTT 5,
 * 3.8.3.1): live messages keep the retain flag they were published with. */
bool mqtt_subscribe(struct mqtt *mqtt, const char *filter, int qos, bool retain_as_published,
    uint64_t token, struct error *error) NODISCARD;
bool mqtt_unsubscribe(struct mqtt *mqtt, const char *filter, struct error *error) NODISCARD;

/* The name of an MQTT 5 reason code (2.4), for people. Never NULL. */
const char *mqtt_reason_text(int reason_code);

/* Ends the connection with DISCONNECT (normal), then on_down. From MQTT_CONNECTED only; what is in
 * flight is lost to the library. A broker that does not let go is left after two seconds. */
void mqtt_close(struct mqtt *mqtt);
/* The same where the bridge goes away although its user did not ask for that. DISCONNECT makes the
 * broker forget the last will, so the will's message is published in front of it: it stands at the
 * broker until somebody says otherwise, however long the next connection takes. */
void mqtt_close_with_will(struct mqtt *mqtt);

#endif
