#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "pressure.h"

/*
 * Which way AIVA is followed and why: the stream, polling, or neither; says so on
 * <root>/bridge/upstream. Owns the stream and the poller. Owner thread only.
 */
struct upstream;
struct loop;
struct http_client;
struct tracker;
struct publisher;
struct config;
struct counters;
struct poller;
struct catchup;

struct upstream_handler {
    void *ctx;
    /* The key was refused, and the next attempt is about to be made: read it again. */
    void (*on_unauthorized)(void *ctx);
};

/* All arguments are borrowed for the upstream's life. Says `connecting`. */
struct upstream *upstream_new(struct loop *loop, struct http_client *client,
    struct tracker *tracker, struct publisher *publisher, const struct config *config,
    struct counters *counters, const struct upstream_handler *handler);
void upstream_free(struct upstream *upstream);

void upstream_start(struct upstream *upstream);
/* Stops reading for good. */
void upstream_stop(struct upstream *upstream);
/* Connects anew, with a new key or new certificates. */
void upstream_reconnect(struct upstream *upstream);
/* Holds the stream back while reading must not run further ahead of the broker, and the poller
 * while no more may be taken in. */
void upstream_press(struct upstream *upstream, enum pressure pressure);
/* What bridge/upstream says. The texts are borrowed until it changes. */
struct upstream_report {
    const char *state; /* static */
    const char *detail;
    int64_t since_ms; /* Unix time */
};
void upstream_report(const struct upstream *upstream, struct upstream_report *report);
struct poller *upstream_poller(struct upstream *upstream);
struct catchup *upstream_catchup(struct upstream *upstream);
/* Applies answers whose turn has come; each pass of the loop. */
void upstream_update(struct upstream *upstream);

#endif
