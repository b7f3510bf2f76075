#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What has arrived: counts, loss, order within each job, duplicates, latency. Fed with every
 * publication by the sink and by the null broker.
 */
struct measure;

/* Expects `events` events that go round `jobs` jobs, and `listed` jobs without an event. */
struct measure *measure_new(uint64_t jobs, uint64_t events, uint64_t listed);
void measure_free(struct measure *measure);

/* One publication, arrived at now_ns. */
void measure_take(struct measure *measure, const char *topic, size_t topic_length,
    const char *payload, size_t length, uint64_t now_ns);

/* All that was expected is there. */
bool measure_complete(const struct measure *measure);
/* When the last publication of a job's state came; 0: none did. */
uint64_t measure_last_ns(const struct measure *measure);

/* One line of JSON on standard output. */
void measure_print(struct measure *measure);

#endif
