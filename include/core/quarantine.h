#ifndef QUARANTINE_H
#define QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limit.h"

/*
 * Response Topics for which the broker ends the connection. Anybody who may send a command chooses
 * such a topic, so one loss is enough: a topic that was the only one in question then gets no
 * answers for QUARANTINE_MS. While LIMIT_QUARANTINE topics are held, all others are held with them,
 * so that no sender can make up new ones for ever. Pure; owns copies of the topics;
 * zero-initialise, and end with quarantine_clear. Times are monotonic milliseconds.
 */
enum {
    QUARANTINE_MS = 3600000,
    QUARANTINE_ASKED = 128, /* more than any broker's window */
};

struct quarantine_topic {
    char *topic;
    uint64_t sequence;
    int64_t until_ms; /* asked: a loss before counts; held: no answers before */
};

struct quarantine {
    struct quarantine_topic asked[QUARANTINE_ASKED]; /* answers that were not acknowledged */
    size_t asked_count;
    struct quarantine_topic held[LIMIT_QUARANTINE];
    size_t held_count;
};

enum quarantine_verdict {
    QUARANTINE_INNOCENT, /* no answer can have been the reason */
    QUARANTINE_HELD,     /* one topic, which is held from now on: the last of `held` */
    QUARANTINE_UNCLEAR,  /* one of several: they have to be sent one at a time */
};

void quarantine_clear(struct quarantine *quarantine);

/* An answer was sent. With QoS 0, which nobody acknowledges, the last one alone is in question, and
 * only for a moment. */
void quarantine_sent(
    struct quarantine *quarantine, const char *topic, uint64_t sequence, int qos, int64_t now_ms);
/* The broker has taken the message of that sequence, whatever it was. */
void quarantine_acknowledged(struct quarantine *quarantine, uint64_t sequence);
/* The connection was lost. by_broker: it was not the bridge that ended it. */
enum quarantine_verdict quarantine_lost(
    struct quarantine *quarantine, bool by_broker, int64_t now_ms);
/* The same verdict, found in another way. */
void quarantine_hold(struct quarantine *quarantine, const char *topic, int64_t now_ms);
/* True where no answer may be sent to this topic now. */
bool quarantine_has(struct quarantine *quarantine, const char *topic, int64_t now_ms);

#endif
