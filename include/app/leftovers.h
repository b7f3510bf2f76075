#ifndef LEFTOVERS_H
#define LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>

#include "mqtt.h"

/*
 * What earlier runs have left below the discovery prefixes: reads it, tells the announcer of what
 * stands there of this bridge, and has that go which other settings have left behind. Owner thread
 * only.
 *
 * How it knows what is left behind: bridge/info names the prefixes below which discovery of this
 * root may stand, so nothing is read where it was never on; haowner knows devices of other roots.
 *
 * Who may write discovery topics decides how much stands there. Nothing is kept of what is not this
 * bridge's, and what has no room in the announcer (announcer_found) waits at the broker: it is read
 * again when what had room has gone.
 */
struct leftovers;
struct announcer;
struct config;
struct config_list;
struct loop;

struct leftovers_handler {
    void *ctx;
    /* leftovers_prefixes has changed. */
    void (*on_prefixes)(void *ctx);
    /* The discovery topics below a prefix are wanted, or no more. */
    void (*on_listen)(void *ctx, const char *prefix, bool listen);
    /* There may be something to announce, or to clear. */
    void (*on_found)(void *ctx);
};

/* loop, config and announcer are borrowed for its life; the handler is copied. */
struct leftovers *leftovers_new(struct loop *loop, const struct config *config,
    struct announcer *announcer, const struct leftovers_handler *handler);
void leftovers_free(struct leftovers *leftovers);

/* The bridge/info of an earlier run. */
void leftovers_remember_info(struct leftovers *leftovers, const char *payload, size_t length);
/* The prefixes below which discovery of this bridge may stand: the configured one first, where it
 * is on, then earlier ones. Borrowed until the next call. */
const struct config_list *leftovers_prefixes(const struct leftovers *leftovers);

/* The connection was lost: all is read again over the next. */
void leftovers_link_down(struct leftovers *leftovers);
/* A message that may be on a discovery topic. */
void leftovers_receive(struct leftovers *leftovers, const struct mqtt_message *message);
/* What was retained below the configured prefix has come. */
void leftovers_remembered_all(struct leftovers *leftovers);
/* A message of the announcer has ended: perhaps the last one. */
void leftovers_go_on(struct leftovers *leftovers);
void leftovers_stop(struct leftovers *leftovers);

#endif
