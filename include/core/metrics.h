#ifndef METRICS_H
#define METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "counters.h"
#include "jobs.h"

/*
 * The text of /metrics: Prometheus' text format 0.0.4. Pure: who asks brings the counters and what
 * is true at the moment. config/operations.md describes each metric; a test compares the two.
 */

/* The process, as the kernel counts it. */
struct metrics_process {
    uint64_t resident_bytes, virtual_bytes;
    uint64_t cpu_us; /* user and system */
    uint64_t open_fds, max_fds;
};

/* All borrowed for the call. Times in milliseconds. */
struct metrics {
    const struct counters *counters;
    const struct jobs *jobs;
    const char *version;
    const char *upstream_state; /* one of bridge/upstream's words */
    int64_t now_ms;             /* monotonic */
    int64_t now_unix_ms, started_unix_ms;
    bool ready, broker_connected, stream_paused;
    size_t waiting_messages, waiting_bytes, in_flight_messages, queue_limit;
    size_t commands_under_way;
    uint64_t log_lines_lost;
    struct metrics_process process;
};

void metrics_write(struct buf *out, const struct metrics *metrics);

#endif
