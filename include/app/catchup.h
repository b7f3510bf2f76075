#ifndef CATCHUP_H
#define CATCHUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pressure.h"

/*
 * Keeps answers in the order of AIVA's words: nothing that AIVA said on the event stream before an
 * answer may be applied after it. Whoever has an answer that changes what is known of the jobs asks
 * whether the stream has been read, and waits until it is where it has not. Decides when the
 * back-pressure pauses the stream: not for PRESSURE_AHEAD while somebody waits, or while a call is
 * under way. What is read meanwhile waits in the outbox, up to PRESSURE_FULL. Owner thread only.
 */
struct catchup;
struct loop;
struct stream;

enum catchup_result {
    CATCHUP_READ,  /* everything that AIVA said before the wait began has been read */
    CATCHUP_LATE,  /* not within the time given */
    CATCHUP_STUCK, /* the stream is paused, because no more may wait for the broker */
};

/* One who waits. Embedded in its owner; zero-initialise. */
struct catchup_wait {
    TAILQ_ENTRY(catchup_wait) link;
    struct catchup *catchup; /* NULL while it does not wait */
    void (*done)(void *ctx, enum catchup_result result);
    void *ctx;
    uint64_t horizon; /* the stream's position from which on it has been read */
    int64_t until_ms;
};

/* Both are borrowed for the life of catchup. */
struct catchup *catchup_new(struct loop *loop, struct stream *stream);
/* Nobody may wait any more. */
void catchup_free(struct catchup *catchup);

void catchup_press(struct catchup *catchup, enum pressure pressure);
/* A call whose answer will be asked about here begins, and ends. */
void catchup_begin_call(struct catchup *catchup);
void catchup_end_call(struct catchup *catchup);

/* The stream has been read, or there is none, and nobody came earlier: an answer that is here may
 * be applied at once. */
bool catchup_is_read(const struct catchup *catchup);
/* Waits for that until `until_ms` (monotonic; INT64_MAX: for as long as it takes). Calls done(ctx)
 * once, never from within, in the order of these calls. The wait must not be waiting yet. */
void catchup_await(struct catchup *catchup, struct catchup_wait *wait, int64_t until_ms,
    void (*done)(void *ctx, enum catchup_result result), void *ctx);
bool catchup_is_awaited(const struct catchup_wait *wait);
/* Ends it without a call; nothing where it does not wait. */
void catchup_cancel(struct catchup_wait *wait);

/* Tells those whose wait is over; each pass of the loop. */
void catchup_update(struct catchup *catchup);

/* How long a question waits for the stream before it is asked. What AIVA said before the question
 * would else be taken for newer than the answer. But a stream that is far behind delays no question
 * for longer than this. */
#define CATCHUP_BEFORE_MS 2000

#endif
