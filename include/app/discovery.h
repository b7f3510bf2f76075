#ifndef DISCOVERY_H
#define DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"

/*
 * Devices in Home Assistant: the bridge's, and those of the jobs that there is room for
 * (homeassistant.max_jobs). Decides what is announced; leftovers has what earlier runs have left
 * behind. Owner thread only.
 */
struct discovery;
struct loop;
struct config;
struct config_list;
struct publisher;
struct tracker;

struct discovery_handler {
    void *ctx;
    /* What the job's state had to wait for (discovery_let_go) is on its way to the broker. */
    void (*on_let_go)(void *ctx, const char *job_id);
    /* discovery_prefixes has changed. */
    void (*on_prefixes)(void *ctx);
    /* The discovery topics below another prefix than the configured one are wanted, or no more. */
    void (*on_listen)(void *ctx, const char *prefix, bool listen);
};

/* All arguments are borrowed for the life of discovery; the handler is copied. */
struct discovery *discovery_new(struct loop *loop, const struct config *config,
    struct tracker *tracker, struct publisher *publisher, const struct discovery_handler *handler);
void discovery_free(struct discovery *discovery);

/* ---- The broker's side */

/* The bridge/info of an earlier run. */
void discovery_remember_info(struct discovery *discovery, const char *payload, size_t length);
/* The connection was lost. At the next one the broker is asked again for what it has. */
void discovery_link_down(struct discovery *discovery);
/* A message on a discovery topic, or on the topic where Home Assistant says that it has started. */
void discovery_receive(struct discovery *discovery, const struct mqtt_message *message);
/* What was retained below the configured prefix has come. */
void discovery_remembered_all(struct discovery *discovery);
/* It is time to try again what was not. */
void discovery_again(struct discovery *discovery);

/* The prefixes below which discovery of this bridge may stand: for bridge/info. Borrowed until the
 * next call. */
const struct config_list *discovery_prefixes(const struct discovery *discovery);

/* ---- The jobs' side */

/* The jobs are no longer those that they were: looked at soon, at most once a second. */
void discovery_jobs_changed(struct discovery *discovery);
/* The job is gone: its device goes now. True where its state has to wait until on_let_go; within
 * about ANNOUNCER_SPACING_MS while the broker is there, and at the latest at discovery_stop. */
bool discovery_let_go(struct discovery *discovery, const char *job_id);
/* Nothing more is announced. Whoever waits is let go. */
void discovery_stop(struct discovery *discovery);

#endif
