#ifndef TIMERS_H
#define TIMERS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The set timers of one loop, as a binary heap of pointers into their owners: setting and stopping
 * cost the logarithm of how many are set. For loop.c; everyone else uses the timer_ functions of
 * loop.h. Timers that are due at the same millisecond fire in no particular order.
 */
struct timer;

struct timers {
    struct timer **heap; /* from index 1, so that 0 can mean "not set" */
    unsigned count;
    unsigned capacity;
    int64_t not_before_ms; /* nothing is set earlier than this; see timers_fire */
};

void timers_clear(struct timers *timers);
void timers_add(struct timers *timers, struct timer *timer, int64_t at_ms);
void timers_remove(struct timers *timers, struct timer *timer);
/* When the earliest is due; INT64_MAX where none is set. */
int64_t timers_next_ms(const struct timers *timers);
/* Fires at most `most` of those that are due at now_ms. One that is set meanwhile fires in a later
 * call, however early it is due, so that a timer that sets itself again cannot hold the loop. */
void timers_fire(struct timers *timers, int64_t now_ms, unsigned most);

#endif
