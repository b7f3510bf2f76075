#ifndef BACKOFF_H
#define BACKOFF_H

#include <stdint.h>

/*
 * When to try again: exponential growth with full jitter. The wait before attempt n is uniform
 * in [0, min(cap_ms, base_ms * 2^n)], after a floor that the other side asked for (`retry:`,
 * Retry-After). Pure: randomness and time are arguments. A value type; zero is not valid.
 */
struct backoff {
    int64_t base_ms;
    int64_t cap_ms;
    int64_t floor_ms;  /* asked for by the server; added before the jitter */
    unsigned failures; /* in a row */
};

void backoff_init(struct backoff *backoff, int64_t base_ms, int64_t cap_ms);
/* The connection has held: the next wait is the shortest again. The floor stays. */
void backoff_reset(struct backoff *backoff);
/* Counts a failure and returns the milliseconds to wait. `random` is any 64-bit random number. */
int64_t backoff_next(struct backoff *backoff, uint64_t random);

/* The last failure does not count: the waits are as long as they would be without it. */
void backoff_forgive(struct backoff *backoff);

/* Retry-After (RFC 9110, section 10.2.3) to milliseconds, from the header's text: seconds or an
 * HTTP-date (all three forms of section 5.6.7). Clamped to [0, limit_ms]; -1 where there is none or
 * it cannot be read. */
int64_t backoff_retry_after(const char *text, int64_t now_unix_ms, int64_t limit_ms);

#endif
