#ifndef PUBLISHER_H
#define PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"
#include "outbox.h"
#include "owntopics.h"
#include "pressure.h"

/*
 * From messages to acknowledged publications: owns the outbox, fills the broker's window, keeps
 * the bridge's own retained topics, reports what the broker refuses. Owner thread only.
 */
struct publisher;
struct loop;
struct counters;

struct publisher_options {
    const char *root; /* borrowed for the publisher's life */
    bool version5;    /* MQTT; else 3.1.1 */
    int qos;
    size_t queue_limit; /* messages */
    struct counters *counters;
};

struct publisher_handler {
    void *ctx;
    /* There is room for `room` more messages that can be made up when they are needed. */
    void (*on_room)(void *ctx, size_t room);
    /* How far reading may run ahead of the broker has changed. */
    void (*on_pressure)(void *ctx, enum pressure pressure);
    /* The broker refused a retained message that it may take later, and then: it is time to try
     * once more. */
    void (*on_refused)(void *ctx, const char *topic);
    void (*on_again)(void *ctx);
    /* The broker has not acknowledged something for too long: only a new connection can help. */
    void (*on_overdue)(void *ctx);
};

struct publisher *publisher_new(struct loop *loop, const struct publisher_options *options,
    const struct publisher_handler *handler);
void publisher_free(struct publisher *publisher);

/* Queues a message; copies it. Never fails: `on_pressure` asks for a pause before memory is short.
 * False where its topic forbids that it is published. */
bool publisher_send(struct publisher *publisher, const struct outbox_message *message);
/* Sets one of the bridge's own topics. Kept and sent again at each connection; while there is none
 * only the last value counts. */
void publisher_set(
    struct publisher *publisher, enum owntopic topic, const char *payload, size_t length);

/* A connection is there: says `online`, then the other topics of the bridge, then what waits. */
void publisher_link_up(
    struct publisher *publisher, struct mqtt *mqtt, const struct mqtt_limits *limits);
/* by_broker: it was not the bridge that ended the connection. True where an answer to a Response
 * Topic is the reason, as far as anybody can tell: the broker itself is well. */
bool publisher_link_down(struct publisher *publisher, bool by_broker);
/* Someone else wrote to bridge/state: `online` again, at most once a second, unless the connection
 * ends within a moment. */
void publisher_repair_state(struct publisher *publisher);
/* Queues `offline` behind everything else. */
void publisher_say_offline(struct publisher *publisher);

/* Queues for the connection what the window allows; each pass of the loop, and in the middle of one
 * that takes long. */
void publisher_pump(struct publisher *publisher);
/* Nothing waits and nothing is in flight. */
bool publisher_is_drained(const struct publisher *publisher);
/* Not acknowledged yet: messages, the memory they take, and those of them that have been sent. */
size_t publisher_waiting(const struct publisher *publisher);
size_t publisher_waiting_bytes(const struct publisher *publisher);
size_t publisher_in_flight(const struct publisher *publisher);
/* A retained topic that the broker refuses at the moment, "" where there is none, and why. Borrowed
 * until something changes. */
const char *publisher_refused_topic(const struct publisher *publisher);
const char *publisher_refused_reason(const struct publisher *publisher);
/* PRESSURE_FULL is what on_pressure was told last. */
bool publisher_is_full(const struct publisher *publisher);
/* True where no answer is sent to that Response Topic, as the broker ended the connection for it.
 */
bool publisher_refuses_answers(struct publisher *publisher, const char *topic);
/* Bytes of the answers to refused commands that wait. */
size_t publisher_refusal_bytes(const struct publisher *publisher);

#endif
