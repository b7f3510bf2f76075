#ifndef REFUSALS_H
#define REFUSALS_H

#include <stdbool.h>

#include "counters.h"
#include "log.h"
#include "loop.h"

/*
 * Keeps those who send commands from filling the log: of each kind of refusal one line a second is
 * written, and the others are counted. While they keep coming the second grows to a minute. Owner
 * thread only. Embedded in its owner.
 */
struct refusals {
    struct loop *loop;
    struct timer timer; /* to the end of the first period that has something to tell */
    struct log_limit limits[COUNTERS_OUTCOMES];
};

void refusals_init(struct refusals *refusals, struct loop *loop);
/* Tells what has not been told. */
void refusals_stop(struct refusals *refusals);

/* Notes one command that ended with this word of a result's `error`. True where it is to be logged;
 * else it is counted, and told of at the end of the period. */
bool refusals_pass(struct refusals *refusals, const char *error);

#endif
