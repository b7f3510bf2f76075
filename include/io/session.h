#ifndef IO_SESSION_H
#define IO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "inbox.h"
#include "mqtt.h"

/*
 * The MQTT session: paho's MQTTAsync by its public interface. It makes CONNECT with will and
 * authentication, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, and keeps the connection alive. It reaches
 * the broker through this process: paho is told of an HTTP proxy on 127.0.0.1, which is a listener
 * here that lives for one handshake. So packets come out here, and go in here. For mqtt.c only; all
 * on the owner thread.
 */
struct session;
struct loop;

struct session_handler {
    void *ctx;
    /* A whole packet for the broker. */
    void (*on_packet)(void *ctx, const char *packet, size_t length);
    /* paho has taken the CONNACK in. */
    void (*on_up)(void *ctx);
    /* A subscription was answered: granted QoS, or >= 0x80. Not called for what ends with it. */
    void (*on_subscribed)(void *ctx, uint64_t token, int code);
    /* paho has ended it, by itself or after session_disconnect. The last call; the handler may free
     * the session. */
    void (*on_down)(void *ctx);
};

/* Once, before any thread: removes environment variables that would have paho trace or take another
 * way, and silences its tracing. */
void session_global_init(void);

/* Events of paho's threads go into this loop's inbox. Between the two calls paho's threads live on,
 * so that ending a session need not wait for them. */
void session_start(struct loop *loop);
void session_stop(void);

/* True while paho is in the middle of a handshake that was given up: it holds its lock, and no call
 * that takes it may be made. Some moments at most. */
bool session_is_busy(void);

/* Has paho begin to connect. The handler is copied, the options are borrowed. Not while
 * session_is_busy. NULL and the error (ERROR_BROKER) where it refuses. */
struct session *session_open(struct loop *loop, const struct mqtt_options *options,
    const struct session_handler *handler, struct error *error) NODISCARD;
/* Ends it without a word to the broker. No calls follow. NULL is allowed. */
void session_free(struct session *session);

/* Whole packets from the broker, well-formed and in place. False where paho does not take them in
 * time. */
bool session_give(struct session *session, const char *packets, size_t length) NODISCARD;

/* Once on_up was called. Tokens are below 65,536. False and the error (ERROR_BROKER) where paho
 * refuses. */
bool session_subscribe(struct session *session, const char *filter, int qos,
    bool retain_as_published, uint64_t token, struct error *error) NODISCARD;
bool session_unsubscribe(
    struct session *session, const char *filter, struct error *error) NODISCARD;
/* Has paho send DISCONNECT. False where it refuses. */
bool session_disconnect(struct session *session) NODISCARD;

#endif
