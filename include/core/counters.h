#ifndef COUNTERS_H
#define COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/*
 * What happened since the start: for /metrics and for the last line of the log. One instance, owned
 * by the bridge; each module adds to its own. Plain numbers, no allocation, no lock: owner thread
 * only. Each enum is one label of a metric; metrics.c has the names. Pure.
 */

/* Why an event of the stream leads to no publication. */
enum counters_skip {
    COUNTERS_SKIP_TYPE,     /* not of the default event type */
    COUNTERS_SKIP_TOO_LONG, /* longer than LIMIT_EVENT */
    COUNTERS_SKIP_NOT_JSON,
    COUNTERS_SKIP_AMBIGUOUS,
    COUNTERS_SKIP_NO_ID,
    COUNTERS_SKIP_BAD_ID,
    COUNTERS_SKIP_NO_STATUS,
    COUNTERS_SKIP_NOT_KEPT, /* the job is gone, or its record is full */
    COUNTERS_SKIPS
};

/* Why a publication was given up. */
enum counters_refusal {
    COUNTERS_REFUSED_BROKER,    /* an answer of 0x80 or above */
    COUNTERS_REFUSED_TOO_LARGE, /* for the broker's Maximum Packet Size */
    COUNTERS_REFUSED_LIBRARY,   /* no connection would take it */
    COUNTERS_REFUSED_POISON,    /* the broker ended the connection each time it was sent */
    COUNTERS_REFUSALS
};

enum counters_broker_failure {
    COUNTERS_BROKER_LOST,        /* an open connection ended */
    COUNTERS_BROKER_REFUSED,     /* by the broker, or by one side's check of a certificate */
    COUNTERS_BROKER_UNREACHABLE, /* an attempt got no answer */
    COUNTERS_BROKER_FAILURES
};

enum counters_stream_failure {
    COUNTERS_STREAM_LOST, /* it was open, and ended */
    COUNTERS_STREAM_IDLE, /* no byte for aiva.idle_timeout_s */
    COUNTERS_STREAM_UNAUTHORIZED,
    COUNTERS_STREAM_NOT_OFFERED,  /* an answer that is no event stream */
    COUNTERS_STREAM_SERVER_ERROR, /* 429, 5xx */
    COUNTERS_STREAM_UNREACHABLE,
    COUNTERS_STREAM_FAILURES
};

enum counters_endpoint {
    COUNTERS_GET_JOBS,
    COUNTERS_GET_STATUS,
    COUNTERS_POST_CANCEL,
    COUNTERS_DELETE_JOB,
    COUNTERS_ENDPOINTS
};

/* The class of an HTTP status. */
enum counters_class {
    COUNTERS_NO_ANSWER, /* none, or one that broke off */
    COUNTERS_2XX,
    COUNTERS_3XX,
    COUNTERS_4XX,
    COUNTERS_5XX,
    COUNTERS_CLASSES
};

enum counters_command {
    COUNTERS_CANCEL,
    COUNTERS_DELETE,
    COUNTERS_REFRESH,
    COUNTERS_BRIDGE_REFRESH,
    COUNTERS_UNKNOWN_COMMAND,
    COUNTERS_COMMANDS
};

/* The words of the contract for a result's `error`; ok comes first. */
enum { COUNTERS_OUTCOMES = 12 };
extern const char *const counters_outcome_names[COUNTERS_OUTCOMES];
/* NULL: it was done. */
size_t counters_outcome(const char *error);

/* How often something took how long: one count for each bound, one for what is longer. */
enum { HISTOGRAM_BOUNDS = 12 };
struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1];
    uint64_t sum_ms;
};
extern const int64_t histogram_event_bounds_ms[HISTOGRAM_BOUNDS];
extern const int64_t histogram_call_bounds_ms[HISTOGRAM_BOUNDS];

struct counters {
    uint64_t events; /* of the stream, of whatever kind */
    uint64_t events_skipped[COUNTERS_SKIPS];
    uint64_t ids_refused; /* job ids that no topic can be named after, from any source */
    uint64_t published;   /* handed to the connection, each time */
    uint64_t resent;      /* those of them that had been sent before */
    uint64_t acknowledged;
    uint64_t refused[COUNTERS_REFUSALS];
    struct histogram event_latency; /* from an event's arrival to its acknowledgement */
    uint64_t pauses;                /* of the stream, because too much waited */
    uint64_t commands[COUNTERS_COMMANDS][COUNTERS_OUTCOMES];
    uint64_t commands_dropped; /* without an answer: too many answers were waiting */
    uint64_t broker_connects;
    uint64_t broker_failures[COUNTERS_BROKER_FAILURES];
    uint64_t stream_connects;
    uint64_t stream_failures[COUNTERS_STREAM_FAILURES];
    struct histogram calls[COUNTERS_ENDPOINTS][COUNTERS_CLASSES];
    uint64_t loop_passes;
    /* Monotonic time of the last one; 0: none yet. */
    int64_t last_event_ms;
    int64_t last_acknowledged_ms;
    int64_t last_list_ms;
};

/* An event that arrived at received_ms was acknowledged. */
void counters_note_latency(struct counters *counters, int64_t received_ms, int64_t now_ms);
/* An HTTP call ended. status 0: without a whole answer. */
void counters_note_call(
    struct counters *counters, enum counters_endpoint endpoint, int status, int64_t duration_ms);
/* The sum of one metric's counts. */
uint64_t counters_sum(const uint64_t *counts, size_t count);

#endif
