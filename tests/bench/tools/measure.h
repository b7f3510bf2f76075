#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"
#include "work.h"

/*
 * What has arrived: counts, loss, order within each job, duplicates, latency. Fed with every
 * publication by the sink and by the null broker.
 */
struct measure;

/* Expects the work's events, and the states of `listed`
 * jobs without an event. */
struct measure *measure_new(const struct work *work, uint64_t listed);
void measure_free(struct measure *measure);

void measure_take(struct measure *measure, const struct wire_publish *publish, uint64_t now_ns);

/* All that was expected is there, or nothing has come for so long that the rest is lost. Never, if
 * nothing was expected. */
bool measure_is_over(const struct measure *measure, long silence_ms);

/* One line of JSON on standard output. */
void measure_print(struct measure *measure);

#endif
