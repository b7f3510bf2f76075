/* What has arrived: counts, loss, order, duplicates, latency. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "rig.h"

struct measure {
    struct work work;
    uint64_t listed;
    uint64_t publications; /* all */
    uint64_t states;       /* of jobs, with an event's number */
    uint64_t distinct;     /* of those, different ones */
    uint64_t duplicates;
    uint64_t reordered; /* came after a later one of the same job */
    uint64_t unexpected;
    uint64_t listed_states; /* of jobs, without an event's number */
    uint64_t listed_distinct;
    uint64_t job_events; /* on the topics for changes of status */
    uint64_t cleared;
    uint64_t bytes;         /* of the states' payloads */
    uint64_t made_first_ns; /* the earliest time in an event */
    uint64_t first_ns, last_ns;
    uint64_t listed_first_ns, listed_last_ns; /* of the distinct ones */
    uint64_t *offset;                         /* of each job's first event in `seen` */
    uint64_t *next; /* the number that each job's next event should have */
    uint8_t *seen;
    uint8_t *seen_listed;
    uint32_t *latencies_us; /* `states` of them */
    size_t room;
};

struct measure *measure_new(const struct work *work, uint64_t listed)
{
    struct measure *measure = xcalloc(1, sizeof *measure);
    uint64_t offset = 0;

    measure->work = *work;
    measure->listed = listed;
    measure->offset = xcalloc(work->jobs + 1, sizeof *measure->offset);
    measure->next = xcalloc(work->jobs + 1, sizeof *measure->next);
    measure->seen = xcalloc(work->events + 1, 1);
    measure->seen_listed = xcalloc(work->jobs + 1, 1);
    measure->made_first_ns = UINT64_MAX;
    for (uint64_t job = 0; job < work->jobs; job++) {
        measure->offset[job] = offset;
        offset += work_events_of(work, job);
    }
    measure->offset[work->jobs] = offset;
    return measure;
}

void measure_free(struct measure *measure)
{
    free(measure->offset);
    free(measure->next);
    free(measure->seen);
    free(measure->seen_listed);
    free(measure->latencies_us);
    free(measure);
}

/* The whole number after `name`, which includes the quotes and the colon. */
static bool find_number(
    const char *payload, size_t length, const char *name, size_t name_length, uint64_t *number)
{
    const char *end = payload + length;
    const char *at = memmem(payload, length, name, name_length);

    if (at == NULL)
        return false;
    at += name_length;
    while (at < end && *at == ' ')
        at++;
    if (at == end || *at < '0' || *at > '9')
        return false;
    *number = 0;
    while (at < end && *at >= '0' && *at <= '9')
        *number = *number * 10 + (uint64_t)(*at++ - '0');
    return true;
}

static void note_latency(struct measure *measure, uint64_t made_ns, uint64_t now_ns)
{
    uint64_t us = now_ns > made_ns ? (now_ns - made_ns) / 1000 : 0;

    if (measure->states == measure->room) {
        measure->room = measure->room > 0 ? 2 * measure->room : 1 << 16;
        measure->latencies_us =
            xreallocarray(measure->latencies_us, measure->room, sizeof *measure->latencies_us);
    }
    measure->latencies_us[measure->states] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    if (made_ns < measure->made_first_ns)
        measure->made_first_ns = made_ns;
}

static void take_event(
    struct measure *measure, uint64_t job, uint64_t seq, uint64_t made_ns, uint64_t now_ns)
{
    uint8_t *seen;

    if (seq >= measure->offset[job + 1] - measure->offset[job]) {
        measure->unexpected++;
        return;
    }
    note_latency(measure, made_ns, now_ns);
    measure->states++;
    seen = &measure->seen[measure->offset[job] + seq];
    if (*seen != 0)
        measure->duplicates++;
    else
        measure->distinct++;
    if (*seen == 0 && seq < measure->next[job])
        measure->reordered++;
    if (seq >= measure->next[job])
        measure->next[job] = seq + 1;
    *seen = 1;
    if (measure->first_ns == 0)
        measure->first_ns = now_ns;
    measure->last_ns = now_ns;
}

static void take_listed(struct measure *measure, uint64_t job, uint64_t now_ns)
{
    measure->listed_states++;
    if (measure->seen_listed[job] != 0)
        return;
    measure->seen_listed[job] = 1;
    measure->listed_distinct++;
    if (measure->listed_first_ns == 0)
        measure->listed_first_ns = now_ns;
    measure->listed_last_ns = now_ns;
}

static bool ends_with(const char *topic, size_t length, const char *tail)
{
    size_t tail_length = strlen(tail);

    return length >= tail_length && memcmp(topic + length - tail_length, tail, tail_length) == 0;
}

/* The job whose id stands in the text, at the end of the pattern; -1: none. */
static int64_t find_job(const char *text, size_t length, const char *pattern)
{
    const char *at = memmem(text, length, pattern, strlen(pattern));

    if (at == NULL)
        return -1;
    at += strlen(pattern) - strlen("job_");
    return work_job_at(at, length - (size_t)(at - text));
}

void measure_take(struct measure *measure, const struct wire_publish *publish, uint64_t now_ns)
{
    static const char seq_name[] = "\"seq\":", t_name[] = "\"t\":";
    const char *topic = publish->topic, *payload = publish->payload;
    size_t topic_length = publish->topic_length, length = publish->length;
    uint64_t seq, made_ns;
    int64_t job;

    measure->publications++;
    if (ends_with(topic, topic_length, "/event"))
        measure->job_events++;
    if (!ends_with(topic, topic_length, "/state") || ends_with(topic, topic_length, "bridge/state"))
        return;
    job = find_job(topic, topic_length, "/job_");
    if (job < 0)
        job = find_job(payload, length, "\"job_id\": \"job_");
    if (job < 0 || (uint64_t)job >= measure->work.jobs) {
        measure->unexpected++;
    } else if (length == 0) {
        measure->cleared++;
    } else if (find_number(payload, length, seq_name, sizeof seq_name - 1, &seq) &&
               find_number(payload, length, t_name, sizeof t_name - 1, &made_ns)) {
        measure->bytes += length;
        take_event(measure, (uint64_t)job, seq, made_ns, now_ns);
    } else {
        take_listed(measure, (uint64_t)job, now_ns);
    }
}

static bool is_complete(const struct measure *measure)
{
    return measure->distinct == measure->work.events && measure->listed_distinct >= measure->listed;
}

bool measure_is_over(const struct measure *measure, long silence_ms)
{
    uint64_t last =
        measure->last_ns > measure->listed_last_ns ? measure->last_ns : measure->listed_last_ns;

    if (measure->work.events == 0 && measure->listed == 0)
        return false;
    if (is_complete(measure))
        return true;
    return last != 0 && rig_now_ns() > last + (uint64_t)silence_ms * 1000000u;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double percentile_ms(const struct measure *measure, double percent)
{
    size_t index;

    if (measure->states == 0)
        return 0;
    index = (size_t)(percent / 100 * (double)(measure->states - 1) + 0.5);
    return (double)measure->latencies_us[index] / 1000;
}

/* `count` in the time from one moment to the other. */
static double rate(uint64_t count, uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)count * 1e9 / (double)(to_ns - from_ns) : 0;
}

void measure_print(struct measure *measure)
{
    char line[1024];
    uint64_t listed_after_first = measure->listed_distinct > 0 ? measure->listed_distinct - 1 : 0;

    if (measure->states > 0)
        qsort(measure->latencies_us, measure->states, sizeof *measure->latencies_us, compare);
    snprintf(line, sizeof line,
        "{\"complete\": %s, \"publications\": %llu, \"states\": %llu, \"lost\": %llu, "
        "\"duplicates\": %llu, \"reordered\": %llu, \"unexpected\": %llu, \"job_events\": %llu, "
        "\"cleared\": %llu, \"events_per_s\": %.1f, \"seconds\": %.4f, \"payload_bytes\": %.1f, "
        "\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
        "\"listed_states\": %llu, \"listed_distinct\": %llu, \"listed_per_s\": %.1f}",
        is_complete(measure) ? "true" : "false", (unsigned long long)measure->publications,
        (unsigned long long)measure->states,
        (unsigned long long)(measure->work.events - measure->distinct),
        (unsigned long long)measure->duplicates, (unsigned long long)measure->reordered,
        (unsigned long long)measure->unexpected, (unsigned long long)measure->job_events,
        (unsigned long long)measure->cleared,
        rate(measure->distinct, measure->made_first_ns, measure->last_ns),
        measure->states > 0 ? (double)(measure->last_ns - measure->made_first_ns) / 1e9 : 0.0,
        measure->states > 0 ? (double)measure->bytes / (double)measure->states : 0.0,
        percentile_ms(measure, 50), percentile_ms(measure, 90), percentile_ms(measure, 99),
        percentile_ms(measure, 100), (unsigned long long)measure->listed_states,
        (unsigned long long)measure->listed_distinct,
        rate(listed_after_first, measure->listed_first_ns, measure->listed_last_ns));
    rig_say(line);
}
