/*
 * The text of /metrics. Every series is there from the start, at 0: a rate over a counter that
 * appears with its first count would miss it. The names of jobs' states alone come as they are
 * seen.
 */
#include "metrics.h"

#include <string.h>

#define PREFIX "aiva_bridge_"

static const char *const skip_names[COUNTERS_SKIPS] = {
    [COUNTERS_SKIP_TYPE] = "event_type",
    [COUNTERS_SKIP_TOO_LONG] = "too_long",
    [COUNTERS_SKIP_NOT_JSON] = "not_json",
    [COUNTERS_SKIP_AMBIGUOUS] = "ambiguous",
    [COUNTERS_SKIP_NO_ID] = "no_job_id",
    [COUNTERS_SKIP_BAD_ID] = "bad_job_id",
    [COUNTERS_SKIP_NO_STATUS] = "no_status",
    [COUNTERS_SKIP_NOT_KEPT] = "job_gone",
};

static const char *const refusal_names[COUNTERS_REFUSALS] = {
    [COUNTERS_REFUSED_BROKER] = "broker",
    [COUNTERS_REFUSED_TOO_LARGE] = "too_large",
    [COUNTERS_REFUSED_LIBRARY] = "library",
    [COUNTERS_REFUSED_POISON] = "ends_connection",
};

static const char *const broker_failure_names[COUNTERS_BROKER_FAILURES] = {
    [COUNTERS_BROKER_LOST] = "lost",
    [COUNTERS_BROKER_REFUSED] = "refused",
    [COUNTERS_BROKER_UNREACHABLE] = "unreachable",
};

static const char *const stream_failure_names[COUNTERS_STREAM_FAILURES] = {
    [COUNTERS_STREAM_LOST] = "lost",
    [COUNTERS_STREAM_IDLE] = "idle",
    [COUNTERS_STREAM_UNAUTHORIZED] = "unauthorized",
    [COUNTERS_STREAM_NOT_OFFERED] = "not_offered",
    [COUNTERS_STREAM_SERVER_ERROR] = "server_error",
    [COUNTERS_STREAM_UNREACHABLE] = "unreachable",
};

static const char *const endpoint_names[COUNTERS_ENDPOINTS] = {
    [COUNTERS_GET_JOBS] = "list",
    [COUNTERS_GET_STATUS] = "status",
    [COUNTERS_POST_CANCEL] = "cancel",
    [COUNTERS_DELETE_JOB] = "delete",
};

static const char *const class_names[COUNTERS_CLASSES] = {
    [COUNTERS_NO_ANSWER] = "none",
    [COUNTERS_2XX] = "2xx",
    [COUNTERS_3XX] = "3xx",
    [COUNTERS_4XX] = "4xx",
    [COUNTERS_5XX] = "5xx",
};

static const char *const command_names[COUNTERS_COMMANDS] = {
    [COUNTERS_CANCEL] = "cancel",
    [COUNTERS_DELETE] = "delete",
    [COUNTERS_REFRESH] = "refresh",
    [COUNTERS_BRIDGE_REFRESH] = "bridge_refresh",
    [COUNTERS_UNKNOWN_COMMAND] = "unknown",
};

/* ---- The format */

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(
    struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    family(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* Exact to the digit, which a double would not be for long. */
static void append_scaled(struct buf *out, uint64_t value, uint64_t unit, int digits)
{
    buf_printf(out, "%llu.%0*llu", (unsigned long long)(value / unit), digits,
        (unsigned long long)(value % unit));
}

static void sample(
    struct buf *out, const char *name, const char *label, const char *value, uint64_t count)
{
    buf_printf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)count);
}

static void counter_by(struct buf *out, const char *name, const char *help, const char *label,
    const char *const *values, const uint64_t *counts, size_t count)
{
    family(out, name, "counter", help);
    for (size_t i = 0; i < count; i++)
        sample(out, name, label, values[i], counts[i]);
}

/* `labels` ends in a comma unless it is empty. The kernel's clock gives milliseconds. */
static void histogram(struct buf *out, const char *name, const char *labels,
    const struct histogram *values, const int64_t *bounds_ms)
{
    uint64_t sum = 0;
    int labels_length = (int)strlen(labels);
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        sum += values->counts[i];
        buf_printf(out, "%s_bucket{%sle=\"%g\"} %llu\n", name, labels, (double)bounds_ms[i] / 1000,
            (unsigned long long)sum);
    }
    sum += values->counts[HISTOGRAM_BOUNDS];
    buf_printf(out, "%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels, (unsigned long long)sum);
    const char *open = labels_length > 0 ? "{" : "", *close = labels_length > 0 ? "}" : "";
    int shown = labels_length > 0 ? labels_length - 1 : 0;
    buf_printf(out, "%s_sum%s%.*s%s ", name, open, shown, labels, close);
    append_scaled(out, values->sum_ms, 1000, 3);
    buf_printf(out, "\n%s_count%s%.*s%s %llu\n", name, open, shown, labels, close,
        (unsigned long long)sum);
}

/* What happened at a moment of the monotonic clock, on the clock that Prometheus has. */
static void timestamp(struct buf *out, const struct metrics *metrics, const char *name,
    const char *help, int64_t at_ms)
{
    int64_t unix_ms = metrics->now_unix_ms - (metrics->now_ms - at_ms);
    family(out, name, "gauge", help);
    buf_printf(out, "%s ", name);
    append_scaled(out, at_ms == 0 || unix_ms < 0 ? 0 : (uint64_t)unix_ms, 1000, 3);
    buf_append_char(out, '\n');
}

/* A label's value as the format wants it; the names of states come from outside. */
static void append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"')
            buf_append_char(out, '\\');
        if (*text == '\n')
            buf_append_text(out, "\\n");
        else
            buf_append_char(out, *text);
    }
}

/* ---- The metrics */

static void write_state(struct buf *out, const struct metrics *metrics)
{
    static const char *const states[] = {
        "connecting", "streaming", "polling", "unauthorized", "unavailable"};
    family(out, PREFIX "build_info", "gauge", "Always 1; the version is in the label.");
    sample(out, PREFIX "build_info", "version", metrics->version, 1);
    one(out, PREFIX "ready", "gauge",
        "1 while the broker is connected and AIVA is followed, as /readyz says.", metrics->ready);
    one(out, PREFIX "broker_connected", "gauge", "1 while the connection to the broker is open.",
        metrics->broker_connected);
    family(out, PREFIX "upstream_state", "gauge",
        "1 for the state of the connection to AIVA, 0 for the others.");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        sample(out, PREFIX "upstream_state", "state", states[i],
            strcmp(states[i], metrics->upstream_state) == 0);
}

static void write_events(struct buf *out, const struct metrics *metrics)
{
    const struct counters *counters = metrics->counters;
    one(out, PREFIX "stream_events_total", "counter",
        "Events received on AIVA's event stream, of whatever kind.", counters->events);
    counter_by(out, PREFIX "stream_events_skipped_total",
        "Events of them that led to no publication.", "reason", skip_names,
        counters->events_skipped, COUNTERS_SKIPS);
    one(out, PREFIX "job_ids_refused_total", "counter",
        "Job ids that no topic can be named after, in events, lists and answers.",
        counters->ids_refused);
    timestamp(out, metrics, PREFIX "last_stream_event_timestamp_seconds",
        "Unix time of the last event of the stream; 0 before the first.", counters->last_event_ms);
    timestamp(out, metrics, PREFIX "last_list_timestamp_seconds",
        "Unix time of the last list of jobs that was read whole; 0 before the first.",
        counters->last_list_ms);
    one(out, PREFIX "stream_paused", "gauge",
        "1 while the stream is not read because too much waits for the broker.",
        metrics->stream_paused);
    one(out, PREFIX "stream_pauses_total", "counter", "How often the stream was paused for that.",
        counters->pauses);
}

static void write_publications(struct buf *out, const struct metrics *metrics)
{
    const struct counters *counters = metrics->counters;
    one(out, PREFIX "publications_sent_total", "counter",
        "Messages sent to the broker, each time they were.", counters->published);
    one(out, PREFIX "publications_resent_total", "counter",
        "Messages of them that had been sent before and were not acknowledged.", counters->resent);
    one(out, PREFIX "publications_acknowledged_total", "counter",
        "Messages that the broker has acknowledged.", counters->acknowledged);
    counter_by(out, PREFIX "publications_refused_total", "Messages that were given up.", "reason",
        refusal_names, counters->refused, COUNTERS_REFUSALS);
    timestamp(out, metrics, PREFIX "last_acknowledgement_timestamp_seconds",
        "Unix time of the broker's last acknowledgement; 0 before the first.",
        counters->last_acknowledged_ms);
    one(out, PREFIX "waiting_messages", "gauge",
        "Messages that the broker has not acknowledged yet, in flight or not.",
        metrics->waiting_messages);
    one(out, PREFIX "waiting_bytes", "gauge", "Memory that these messages take.",
        metrics->waiting_bytes);
    one(out, PREFIX "in_flight_messages", "gauge", "Messages of them that have been sent.",
        metrics->in_flight_messages);
    one(out, PREFIX "queue_limit_messages", "gauge",
        "With this many waiting messages the stream is paused (mqtt.queue_limit).",
        metrics->queue_limit);
    one(out, PREFIX "unpublished_jobs", "gauge",
        "Jobs whose state is still to be published, beside the waiting messages.",
        jobs_unpublished(metrics->jobs));
    family(out, PREFIX "event_latency_seconds", "histogram",
        "From the arrival of an event to the broker's acknowledgement of its publication.");
    histogram(out, PREFIX "event_latency_seconds", "", &counters->event_latency,
        histogram_event_bounds_ms);
}

static void write_connections(struct buf *out, const struct metrics *metrics)
{
    const struct counters *counters = metrics->counters;
    one(out, PREFIX "broker_connects_total", "counter", "Connections to the broker that succeeded.",
        counters->broker_connects);
    counter_by(out, PREFIX "broker_failures_total",
        "Connections to the broker that ended, and attempts that failed.", "cause",
        broker_failure_names, counters->broker_failures, COUNTERS_BROKER_FAILURES);
    one(out, PREFIX "stream_connects_total", "counter", "Event streams that were opened.",
        counters->stream_connects);
    counter_by(out, PREFIX "stream_failures_total",
        "Event streams that ended, and attempts that failed.", "cause", stream_failure_names,
        counters->stream_failures, COUNTERS_STREAM_FAILURES);
}

static void write_calls(struct buf *out, const struct counters *counters)
{
    static const char name[] = PREFIX "rest_call_duration_seconds";
    family(
        out, name, "histogram", "Calls of AIVA's REST API, by the class of the answer's status.");
    for (size_t endpoint = 0; endpoint < COUNTERS_ENDPOINTS; endpoint++) {
        for (size_t class = 0; class < COUNTERS_CLASSES; class ++) {
            struct buf labels;
            buf_init(&labels, 64);
            buf_printf(&labels, "endpoint=\"%s\",code=\"%s\",", endpoint_names[endpoint],
                class_names[class]);
            histogram(out, name, labels.data, &counters->calls[endpoint][class],
                histogram_call_bounds_ms);
            buf_clear(&labels);
        }
    }
}

static void write_commands(struct buf *out, const struct metrics *metrics)
{
    static const char name[] = PREFIX "commands_total";
    family(out, name, "counter", "Commands that were answered, by what the answer said.");
    for (size_t command = 0; command < COUNTERS_COMMANDS; command++)
        for (size_t outcome = 0; outcome < COUNTERS_OUTCOMES; outcome++)
            buf_printf(out, "%s{command=\"%s\",outcome=\"%s\"} %llu\n", name,
                command_names[command], counters_outcome_names[outcome],
                (unsigned long long)metrics->counters->commands[command][outcome]);
    one(out, PREFIX "commands_under_way", "gauge", "Commands that wait for AIVA's answer.",
        metrics->commands_under_way);
    one(out, PREFIX "commands_dropped_total", "counter",
        "Commands that were dropped without an answer because too many answers waited.",
        metrics->counters->commands_dropped);
}

static void write_jobs(struct buf *out, const struct jobs *jobs)
{
    family(out, PREFIX "jobs", "gauge", "Jobs that AIVA has, by state.");
    for (size_t i = 0; i < jobs_states(jobs); i++) {
        buf_append_text(out, PREFIX "jobs{state=\"");
        append_escaped(out, jobs_state_name(jobs, i));
        buf_printf(out, "\"} %zu\n", jobs_state_count(jobs, i));
    }
}

/* The names and units that Prometheus' own libraries use. */
static void write_process(struct buf *out, const struct metrics *metrics)
{
    const struct metrics_process *process = &metrics->process;
    one(out, PREFIX "loop_passes_total", "counter", "Passes of the main loop.",
        metrics->counters->loop_passes);
    one(out, PREFIX "log_lines_lost_total", "counter",
        "Lines of the log that were lost because nobody read them, or for want of room on the "
        "disk.",
        metrics->log_lines_lost);
    family(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.");
    buf_append_text(out, "process_cpu_seconds_total ");
    append_scaled(out, process->cpu_us, 1000000, 6);
    buf_append_char(out, '\n');
    one(out, "process_resident_memory_bytes", "gauge", "Resident memory.", process->resident_bytes);
    one(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", process->virtual_bytes);
    one(out, "process_open_fds", "gauge", "Open file descriptors.", process->open_fds);
    one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
        process->max_fds);
    family(out, "process_start_time_seconds", "gauge", "Unix time of the start.");
    buf_append_text(out, "process_start_time_seconds ");
    append_scaled(out, (uint64_t)metrics->started_unix_ms, 1000, 3);
    buf_append_char(out, '\n');
}

void metrics_write(struct buf *out, const struct metrics *metrics)
{
    write_state(out, metrics);
    write_events(out, metrics);
    write_publications(out, metrics);
    write_connections(out, metrics);
    write_calls(out, metrics->counters);
    write_commands(out, metrics);
    write_jobs(out, metrics->jobs);
    write_process(out, metrics);
}
