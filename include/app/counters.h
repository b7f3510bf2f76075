#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

/* What happened since the start. Owner thread only; one instance, owned by the bridge. */
struct counters {
    uint64_t events;         /* job events taken from the stream */
    uint64_t events_skipped; /* of another type, not usable, oversize, or of a job that is gone */
    uint64_t jobs_refused;   /* ids that no topic can be named after, from any source */
    uint64_t published;      /* handed to the broker */
    uint64_t acknowledged;
    uint64_t refused; /* publications that the broker or the library refused */
    uint64_t commands;
    uint64_t commands_dropped; /* without an answer: too many answers were waiting */
    uint64_t broker_connects;
    uint64_t broker_losses;
    uint64_t stream_opens;
    uint64_t stream_failures;
};

#endif
