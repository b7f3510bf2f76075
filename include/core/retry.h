#ifndef RETRY_H
#define RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"

/*
 * When calls of one kind may be made again. Several may be under way when the other side begins to
 * refuse them: their failures are one incident, and count once. Pure: randomness and time are
 * arguments, in milliseconds of any one clock.
 */
struct retry {
    struct backoff backoff;
    int64_t until_ms;       /* no call before, whatever makes one desirable */
    int64_t asked_until_ms; /* nor over a new connection: the other side has asked for that */
    unsigned incident;      /* to be noted when a call begins */
};

void retry_init(struct retry *retry, int64_t base_ms, int64_t cap_ms);
/* A call that began in `incident` has failed. asked_ms: what Retry-After said, less than 1 where it
 * said nothing; is_busy: the answer asks to be left alone. Returns the milliseconds from now on in
 * which no call is to be made. */
int64_t retry_failed(struct retry *retry, unsigned incident, int64_t now_ms, int64_t asked_ms,
    bool is_busy, uint64_t random);
/* Calls succeed: the next failure is the first. */
void retry_succeeded(struct retry *retry);

#endif
