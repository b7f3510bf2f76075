#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>
#include <stddef.h>

/* How far reading may run ahead of the broker, judged by what waits in the outbox. Pure. */

enum pressure {
    PRESSURE_NONE,
    PRESSURE_AHEAD, /* the broker takes messages, more slowly than they come: what has not been read
                       yet costs no memory here */
    PRESSURE_FULL,  /* no more may wait */
};

/* Zero-initialise but for the limit. */
struct pressure_gauge {
    size_t limit; /* messages, at least 1; of bytes, LIMIT_OUTBOX_BYTES */
    enum pressure pressure;
};

/* What waits for the broker. */
struct pressure_load {
    size_t messages, bytes;      /* not acknowledged */
    size_t unsent, unsent_bytes; /* of these: the broker's window has no room for them */
    bool flows;                  /* it is not PRESSURE_FLOW_MS since something should have been
                                    acknowledged */
};

/* The pressure under that load. Each state is left at a fraction of what it is entered at. While
 * the broker acknowledges nothing, or is away, everything up to the limit is taken in. */
enum pressure pressure_update(struct pressure_gauge *gauge, const struct pressure_load *load);

#define PRESSURE_FLOW_MS 1000

/* PRESSURE_AHEAD begins beyond the one, of messages that are not sent, and ends at the other. */
#define PRESSURE_AHEAD_BEGINS 128
#define PRESSURE_AHEAD_ENDS   24

#endif
