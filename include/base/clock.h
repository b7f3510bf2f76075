#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 25 /* "2026-03-09T10:30:00.000Z" and the NUL */

/* Milliseconds of CLOCK_MONOTONIC: for timers and durations. Any thread. */
int64_t clock_monotonic_ms(void);
/* Milliseconds since 1970-01-01T00:00:00Z of CLOCK_REALTIME: for what people read. Any thread. */
int64_t clock_unix_ms(void);

/* RFC 3339, UTC, milliseconds, with a `Z`. Times before year 0 or after 9999 are clamped. */
void clock_format(int64_t unix_ms, char out[static CLOCK_TEXT_SIZE]);

/* Reads an RFC 3339 date-time (any offset, optional fraction, leap second as the next second).
 * Returns false and leaves *unix_ms alone for anything else. */
bool clock_parse(const char *text, size_t length, int64_t *unix_ms);

#endif
