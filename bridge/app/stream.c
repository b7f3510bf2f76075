/* Life of the event stream: connect, watch for silence, parse, back off, try again. */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "counters.h"
#include "entropy.h"
#include "httpstream.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "secret.h"
#include "sse.h"

#define LOG_TAG "stream"
#include "log.h"

#define BACKOFF_BASE_MS      1000
#define BACKOFF_CAP_MS       60000
#define HELD_MS              10000
#define UNAUTHORIZED_WAIT_MS 60000

struct stream {
    struct loop *loop;
    struct http_client *client;
    int64_t idle_ms;
    struct counters *counters;
    struct stream_handler handler;
    struct sse *sse;
    struct httpstream *http; /* NULL while waiting or stopped */
    bool open;
    bool sent_id; /* this attempt carries Last-Event-ID */
    bool paused;
    uint64_t position; /* bytes of all connections */
    int64_t opened_ms;
    struct backoff backoff;
    int64_t server_retry_ms; /* what `retry:` asked for */
    struct timer retry;
    struct timer idle;
    struct log_limit type_limit;
    struct log_limit oversize_limit;
};

static void connect_now(void *ctx);
static void check_idle(void *ctx);

static void note_event(struct stream *stream)
{
    stream->counters->events++;
    stream->counters->last_event_ms = loop_now(stream->loop);
}

static void on_sse_event(void *ctx, const struct sse_event *event)
{
    struct stream *stream = ctx;
    note_event(stream);
    if (strcmp(event->type, "message") == 0) {
        stream->handler.on_event(stream->handler.ctx, event->data, event->length);
        return;
    }
    stream->counters->events_skipped[COUNTERS_SKIP_TYPE]++;
    log_warn_limited(&stream->type_limit, loop_now(stream->loop),
        "an event of type %.64s is skipped: only the default type tells of jobs", event->type);
}

static void on_sse_retry(void *ctx, int retry_ms)
{
    struct stream *stream = ctx;
    stream->server_retry_ms = retry_ms < BACKOFF_CAP_MS ? retry_ms : BACKOFF_CAP_MS;
}

static void on_sse_oversize(void *ctx)
{
    struct stream *stream = ctx;
    note_event(stream);
    stream->counters->events_skipped[COUNTERS_SKIP_TOO_LONG]++;
    log_warn_limited(&stream->oversize_limit, loop_now(stream->loop),
        "an event of more than %d bytes is skipped", LIMIT_EVENT);
}

struct stream *stream_new(struct loop *loop, struct http_client *client, int idle_timeout_s,
    struct counters *counters, const struct stream_handler *handler)
{
    struct stream *stream = xcalloc(1, sizeof *stream);
    stream->loop = loop;
    stream->client = client;
    stream->idle_ms = (int64_t)idle_timeout_s * 1000;
    stream->counters = counters;
    stream->handler = *handler;
    struct sse_handler events = {stream, on_sse_event, on_sse_retry, on_sse_oversize};
    stream->sse = sse_new(&events, LIMIT_SSE_LINE, LIMIT_EVENT);
    backoff_init(&stream->backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    timer_init(&stream->retry, loop, connect_now, stream);
    timer_init(&stream->idle, loop, check_idle, stream);
    return stream;
}

void stream_stop(struct stream *stream)
{
    timer_stop(&stream->retry);
    timer_stop(&stream->idle);
    httpstream_free(stream->http);
    stream->http = NULL;
    stream->open = false;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    stream_stop(stream);
    sse_free(stream->sse);
    free(stream);
}

bool stream_is_open(const struct stream *stream)
{
    return stream->open;
}

void stream_pause(struct stream *stream, bool paused)
{
    stream->paused = paused;
    if (!stream->http)
        return;
    if (paused)
        httpstream_pause(stream->http);
    else
        httpstream_resume(stream->http);
}

bool stream_is_read(const struct stream *stream)
{
    return !stream->open || httpstream_is_read(stream->http);
}

uint64_t stream_position(const struct stream *stream)
{
    return stream->position;
}

uint64_t stream_horizon(const struct stream *stream)
{
    return stream->position + (stream->open ? httpstream_unread(stream->http) : 0);
}

/* ---- Down */

/* A refused id says nothing about the attempt without it, which is made soon and counts as the next
 * one of the same row. */
static int64_t next_wait(struct stream *stream, enum stream_failure failure)
{
    struct backoff first = stream->backoff;
    backoff_reset(&first);
    if (failure == STREAM_ID_REFUSED)
        return backoff_next(&first, entropy_u64());
    int64_t wait = backoff_next(&stream->backoff, entropy_u64());
    return failure == STREAM_UNAUTHORIZED && wait < UNAUTHORIZED_WAIT_MS ? UNAUTHORIZED_WAIT_MS
                                                                         : wait;
}

/* Ends what there is and plans the next attempt. retry_after_ms < 0: the server asked for nothing.
 */
static void go_down(
    struct stream *stream, enum stream_failure failure, int64_t retry_after_ms, const char *reason)
{
    bool held = stream->open && loop_now(stream->loop) - stream->opened_ms >= HELD_MS;
    char text[512];
    snprintf(text, sizeof text, "%s", reason);
    secret_mask_key_in_text(text);
    stream_stop(stream);
    if (held)
        backoff_reset(&stream->backoff);
    stream->backoff.floor_ms = stream->server_retry_ms;
    if (retry_after_ms > stream->backoff.floor_ms)
        stream->backoff.floor_ms = retry_after_ms;
    int64_t wait = next_wait(stream, failure);
    timer_set(&stream->retry, loop_now(stream->loop) + wait);
    /* The end of a connection that had held is the first failure of a row only if more follow. */
    unsigned failures = held ? 0 : stream->backoff.failures;
    struct stream_down down = {
        failure, failures, wait, retry_after_ms > 0 ? retry_after_ms : 0, text};
    stream->handler.on_down(stream->handler.ctx, &down);
}

/* Servers that keep events for a while refuse an id that they have forgotten with one of these. */
static bool is_refusal_of_id(int status)
{
    switch (status) {
    case 400:
    case 404:
    case 409:
    case 410:
    case 416:
        return true;
    default:
        return false;
    }
}

static enum stream_failure classify(const struct stream *stream, const struct httpstream_end *end)
{
    if (end->status == 401 || end->status == 403)
        return STREAM_UNAUTHORIZED;
    if (stream->sent_id && end->refused && is_refusal_of_id(end->status))
        return STREAM_ID_REFUSED;
    if (end->refused && end->status != 429 && end->status != 408 &&
        (end->status < 500 || end->status == 501))
        return STREAM_NOT_OFFERED;
    return STREAM_LOST;
}

static enum counters_stream_failure cause_of(
    const struct stream *stream, const struct httpstream_end *end)
{
    if (stream->open)
        return COUNTERS_STREAM_LOST;
    switch (classify(stream, end)) {
    case STREAM_UNAUTHORIZED:
        return COUNTERS_STREAM_UNAUTHORIZED;
    case STREAM_NOT_OFFERED:
        return COUNTERS_STREAM_NOT_OFFERED;
    case STREAM_ID_REFUSED:
    case STREAM_LOST:
        break;
    }
    return end->status != 0 ? COUNTERS_STREAM_SERVER_ERROR : COUNTERS_STREAM_UNREACHABLE;
}

static void on_end(void *ctx, const struct httpstream_end *end)
{
    struct stream *stream = ctx;
    enum stream_failure failure = classify(stream, end);
    stream->counters->stream_failures[cause_of(stream, end)]++;
    int64_t retry_after =
        backoff_retry_after(end->retry_after, clock_unix_ms(), LIMIT_RETRY_AFTER_S * 1000);
    if (failure == STREAM_ID_REFUSED) {
        log_info("AIVA answered %d to a Last-Event-ID: the id is dropped, what was missed comes "
                 "from the list",
            end->status);
        sse_forget_id(stream->sse);
    }
    go_down(stream, failure, retry_after, end->reason);
}

static void check_idle(void *ctx)
{
    struct stream *stream = ctx;
    int64_t now = loop_now(stream->loop);
    int64_t silent_since =
        httpstream_is_paused(stream->http) ? now : httpstream_last_byte_ms(stream->http);
    if (now - silent_since < stream->idle_ms) {
        timer_set(&stream->idle, silent_since + stream->idle_ms);
        return;
    }
    char reason[96];
    snprintf(reason, sizeof reason, "no byte for %lld s: the connection counts as dead",
        (long long)stream->idle_ms / 1000);
    stream->counters->stream_failures[COUNTERS_STREAM_IDLE]++;
    go_down(stream, STREAM_LOST, -1, reason);
}

/* ---- Up */

static void on_open(void *ctx)
{
    struct stream *stream = ctx;
    stream->open = true;
    stream->opened_ms = loop_now(stream->loop);
    stream->counters->stream_connects++;
    stream->handler.on_open(stream->handler.ctx);
}

static void on_bytes(void *ctx, const char *bytes, size_t length)
{
    struct stream *stream = ctx;
    stream->position += length;
    sse_feed(stream->sse, bytes, length);
}

/* An id is the server's own text; one that cannot stand in a header is not sent back. */
static const char *id_to_send(const struct stream *stream)
{
    const char *id = sse_last_event_id(stream->sse);
    for (const char *at = id; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return "";
    return id;
}

static void connect_now(void *ctx)
{
    struct stream *stream = ctx;
    struct error error;
    stream->handler.before_attempt(stream->handler.ctx);
    sse_restart(stream->sse);
    struct httpstream_handler events = {stream, on_open, on_bytes, on_end};
    const char *id = id_to_send(stream);
    stream->sent_id = id[0] != '\0';
    stream->http = httpstream_open(stream->client, id, &events, &error);
    if (!stream->http) {
        stream->counters->stream_failures[COUNTERS_STREAM_UNREACHABLE]++;
        go_down(stream, STREAM_LOST, -1, error.text);
        return;
    }
    if (stream->paused)
        httpstream_pause(stream->http);
    timer_set(&stream->idle, loop_now(stream->loop) + stream->idle_ms);
}

void stream_restart(struct stream *stream)
{
    stream_stop(stream);
    backoff_reset(&stream->backoff);
    connect_now(stream);
}
