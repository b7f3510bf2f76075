/* What the bridge says of itself to those who ask. That there is an answer at all shows that the
 * main loop turns. */
#include "health.h"

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "commands.h"
#include "config.h"
#include "httpd.h"
#include "logwriter.h"
#include "loop.h"
#include "mem.h"
#include "metrics.h"
#include "process.h"
#include "publisher.h"
#include "tracker.h"
#include "upstream.h"
#include "version.h"

/* A scrape takes milliseconds; Prometheus gives up after 10 s. */
#define CONNECTION_MS 10000

#define LOG_TAG "health"
#include "log.h"

struct health {
    struct health_parts parts;
    struct httpd *httpd; /* NULL where http.listen is off */
    int64_t started_unix_ms;
    bool stopping;
};

void health_readiness(const struct health *health, struct readiness *readiness)
{
    const struct health_parts *parts = &health->parts;
    struct upstream_report upstream;
    upstream_report(parts->upstream, &upstream);
    *readiness = (struct readiness){
        .stopping = health->stopping,
        .broker_connected = broker_is_connected(parts->broker),
        .broker_url = parts->config->mqtt.url,
        .broker_detail = broker_reason(parts->broker),
        .memory_read = broker_is_ready(parts->broker),
        .upstream_state = upstream.state,
        .upstream_detail = upstream.detail,
        .upstream_since_ms = upstream.since_ms,
        .refused_topic = publisher_refused_topic(parts->publisher),
        .refused_reason = publisher_refused_reason(parts->publisher),
        .stream_paused = publisher_is_full(parts->publisher),
        .waiting_messages = publisher_waiting(parts->publisher),
    };
}

static void write_metrics(const struct health *health, struct buf *out)
{
    const struct health_parts *parts = &health->parts;
    struct readiness readiness;
    health_readiness(health, &readiness);
    struct metrics metrics = {
        .counters = parts->counters,
        .jobs = tracker_jobs(parts->tracker),
        .version = BRIDGE_VERSION,
        .upstream_state = readiness.upstream_state,
        .now_ms = loop_now(parts->loop),
        .now_unix_ms = clock_unix_ms(),
        .started_unix_ms = health->started_unix_ms,
        .ready = readiness_is_given(&readiness),
        .broker_connected = readiness.broker_connected,
        .stream_paused = readiness.stream_paused,
        .waiting_messages = readiness.waiting_messages,
        .waiting_bytes = publisher_waiting_bytes(parts->publisher),
        .in_flight_messages = publisher_in_flight(parts->publisher),
        .queue_limit = (size_t)parts->config->mqtt.queue_limit,
        .commands_under_way = commands_under_way(parts->commands),
        .log_lines_lost = logwriter_lost(),
    };
    process_measure(&metrics.process);
    metrics_write(out, &metrics);
}

static void on_get(void *ctx, const char *path, struct httpd_answer *answer)
{
    const struct health *health = ctx;
    if (strcmp(path, "/healthz") == 0) {
        answer->status = 200;
        buf_append_text(&answer->body, "ok\n");
    } else if (strcmp(path, "/readyz") == 0) {
        struct readiness readiness;
        health_readiness(health, &readiness);
        answer->status = readiness_is_given(&readiness) ? 200 : 503;
        answer->content_type = "application/json";
        readiness_write(&answer->body, &readiness);
    } else if (strcmp(path, "/metrics") == 0) {
        answer->status = 200;
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        write_metrics(health, &answer->body);
    } else {
        buf_append_text(&answer->body, "here are /healthz, /readyz and /metrics\n");
    }
}

struct health *health_new(const struct health_parts *parts, struct error *error)
{
    const char *listen = parts->config->http.listen;
    struct health *health = xcalloc(1, sizeof *health);
    health->parts = *parts;
    health->started_unix_ms = clock_unix_ms();
    if (listen[0] == '\0')
        return health;
    health->httpd = httpd_new(
        parts->loop, listen, CONNECTION_MS, &(struct httpd_handler){health, on_get}, error);
    if (!health->httpd) {
        health_free(health);
        return NULL;
    }
    log_info("http://%s: /healthz, /readyz and /metrics are served", listen);
    return health;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    httpd_free(health->httpd);
    free(health);
}

void health_set_stopping(struct health *health)
{
    health->stopping = true;
}
