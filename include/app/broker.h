#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"
#include "topic.h"

/*
 * Life of the connection to the broker: connect, back off, subscribe, read back what the broker
 * remembers of an earlier run, route what comes in. Owner thread only.
 */
struct broker;
struct loop;
struct config;
struct publisher;
struct counters;

struct broker_handler {
    void *ctx;
    /* While starting: one retained state topic (level and payload) or the marker bridge/jobs
     * (level NULL). After on_ready, at each further connection: the state topics again. */
    void (*on_remembered)(
        void *ctx, const char *level, size_t level_length, const char *payload, size_t length);
    /* The retained bridge/info of an earlier run, while starting. */
    void (*on_remembered_info)(void *ctx, const char *payload, size_t length);
    /* Everything that the broker remembered has been handed over: at each connection. */
    void (*on_remembered_all)(void *ctx);
    /* The same, after it, at the first. */
    void (*on_ready)(void *ctx);
    /* Connected again after a loss, which may have been before on_ready. */
    void (*on_reconnected)(void *ctx);
    void (*on_lost)(void *ctx);
    void (*on_command)(
        void *ctx, const struct topic_parts *topic, const struct mqtt_message *message);
    /* What is not below the root: Home Assistant's. */
    void (*on_foreign)(void *ctx, const struct mqtt_message *message);
    /* Credentials were refused, and the next attempt is about to be made: read them again. */
    void (*on_refused)(void *ctx);
};

/* config is borrowed for the broker's life; secrets are read from it at each attempt. */
struct broker *broker_new(struct loop *loop, const struct config *config,
    struct publisher *publisher, struct counters *counters, const struct broker_handler *handler);
void broker_free(struct broker *broker);

void broker_start(struct broker *broker);
/* Drops the connection and makes a new one at once, with what the configuration says now. */
void broker_reconnect(struct broker *broker);
/* The same because the broker is deaf: with what is known, and the waits stay as long as they are.
 */
void broker_renew(struct broker *broker);
/* Subscribes to the discovery topics below another prefix than the configured one, or ends that. A
 * refusal goes to the log at the debug level only. Lost with the connection. */
void broker_listen(struct broker *broker, const char *prefix, bool listen);
/* No further attempts after the one under way; an open connection stays. */
void broker_finish(struct broker *broker);
/* Ends an open connection in order; broker_is_closed says when it is done. */
void broker_close(struct broker *broker);
bool broker_is_connected(const struct broker *broker);
bool broker_is_closed(const struct broker *broker);
/* What the broker remembers has been handed over: on_ready was called. */
bool broker_is_ready(const struct broker *broker);
/* The first attempt to connect has ended, whichever way. */
bool broker_has_tried(const struct broker *broker);
/* Why there is no connection; "" while there is one, or before the first attempt has ended.
 * Borrowed until something changes. */
const char *broker_reason(const struct broker *broker);

/* The connection options that the configuration asks for, without a will. Strings are borrowed
 * from the configuration. */
void broker_options(const struct config *config, struct mqtt_options *options);

#endif
