/* Adding up what happened. Cheap enough for each event: a few comparisons and additions. */
#include "counters.h"

#include <assert.h>
#include <string.h>

/* A broker in the same room acknowledges within a millisecond or two; one that was away for a
 * while is the other end. */
const int64_t histogram_event_bounds_ms[HISTOGRAM_BOUNDS] = {
    1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000, 60000, 600000};

const int64_t histogram_call_bounds_ms[HISTOGRAM_BOUNDS] = {
    10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000};

const char *const counters_outcome_names[COUNTERS_OUTCOMES] = {"ok", "retained", "bad_topic",
    "bad_job_id", "not_allowed", "in_progress", "rate_limited", "rejected", "not_found",
    "unauthorized", "upstream_error", "timeout"};

size_t counters_outcome(const char *error)
{
    size_t outcome = 0;
    if (!error)
        return outcome;
    while (strcmp(counters_outcome_names[outcome], error) != 0) {
        outcome++;
        assert(outcome < COUNTERS_OUTCOMES);
    }
    return outcome;
}

static void note(struct histogram *histogram, const int64_t *bounds_ms, int64_t ms)
{
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS && ms > bounds_ms[bucket])
        bucket++;
    histogram->counts[bucket]++;
    histogram->sum_ms += (uint64_t)(ms > 0 ? ms : 0);
}

void counters_note_latency(struct counters *counters, int64_t received_ms, int64_t now_ms)
{
    note(&counters->event_latency, histogram_event_bounds_ms, now_ms - received_ms);
}

void counters_note_call(
    struct counters *counters, enum counters_endpoint endpoint, int status, int64_t duration_ms)
{
    enum counters_class class = COUNTERS_NO_ANSWER;
    if (status >= 200 && status < 600)
        class = (enum counters_class)(COUNTERS_2XX + status / 100 - 2);
    note(&counters->calls[endpoint][class], histogram_call_bounds_ms, duration_ms);
}

uint64_t counters_sum(const uint64_t *counts, size_t count)
{
    uint64_t sum = 0;
    while (count > 0)
        sum += counts[--count];
    return sum;
}
