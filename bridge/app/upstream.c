/* Which way AIVA is followed and why. */
#include "upstream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "http.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "payload.h"
#include "poller.h"
#include "publisher.h"
#include "stream.h"
#include "tracker.h"

#define LOG_TAG "upstream"
#include "log.h"

/* From this many failures in a row on, the stream counts as not to be had. */
#define FAILURES_UNTIL_POLLING 3

enum state {
    STATE_NONE,
    STATE_CONNECTING,
    STATE_STREAMING,
    STATE_POLLING,
    STATE_UNAUTHORIZED,
    STATE_UNAVAILABLE,
};

static const char *const state_names[] = {
    [STATE_NONE] = "",
    [STATE_CONNECTING] = "connecting",
    [STATE_STREAMING] = "streaming",
    [STATE_POLLING] = "polling",
    [STATE_UNAUTHORIZED] = "unauthorized",
    [STATE_UNAVAILABLE] = "unavailable",
};

struct upstream {
    struct loop *loop;
    struct tracker *tracker;
    struct publisher *publisher;
    struct upstream_handler handler;
    enum config_mode mode;
    struct stream *stream;
    struct poller *poller;
    enum state state;
    int64_t since_ms; /* Unix time */
    char detail[LIMIT_DETAIL];
    char no_stream[LIMIT_DETAIL]; /* why there is none */
    struct log_limit said_limit, list_limit;
};

static bool is_trouble(enum state state)
{
    return state == STATE_UNAUTHORIZED || state == STATE_UNAVAILABLE;
}

/* A trouble is said when it begins, and now and then while it lasts. */
static void say(struct upstream *upstream, enum state state, const char *detail)
{
    int64_t now = loop_now(upstream->loop);
    bool changed = state != upstream->state;
    if (changed)
        upstream->said_limit = (struct log_limit){0};
    if (changed && is_trouble(state))
        log_error_limited(&upstream->said_limit, now, "AIVA: %s: %s", state_names[state], detail);
    else if (changed)
        log_info("AIVA: %s: %s", state_names[state], detail);
    else if (is_trouble(state))
        log_warn_limited(
            &upstream->said_limit, now, "AIVA: still %s: %s", state_names[state], detail);
    else
        log_debug("AIVA: still %s: %s", state_names[state], detail);
}

/* `since` tells how long the state has lasted: a new detail alone does not change it. */
static void set_state(struct upstream *upstream, enum state state, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void set_state(struct upstream *upstream, enum state state, const char *format, ...)
{
    char detail[LIMIT_DETAIL];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    say(upstream, state, detail);
    if (state == upstream->state && strcmp(detail, upstream->detail) == 0)
        return;
    if (state != upstream->state)
        upstream->since_ms = clock_unix_ms();
    upstream->state = state;
    memcpy(upstream->detail, detail, sizeof detail);
    struct buf payload;
    buf_init(&payload, 8 * LIMIT_DETAIL);
    payload_upstream(&payload, state_names[state], upstream->since_ms, detail);
    publisher_set(upstream->publisher, OWNTOPIC_UPSTREAM, payload.data, payload.length);
    buf_clear(&payload);
}

/* Only now: a new key may have come while the refusal was waited out. */
static void before_attempt(void *ctx)
{
    struct upstream *upstream = ctx;
    if (upstream->state == STATE_UNAUTHORIZED)
        upstream->handler.on_unauthorized(upstream->handler.ctx);
}

/* ---- The stream's side */

static void on_open(void *ctx)
{
    struct upstream *upstream = ctx;
    set_state(upstream, STATE_STREAMING, "the event stream is open");
    poller_set_mode(upstream->poller, POLLER_BESIDE_STREAM);
}

static void on_event(void *ctx, const char *data, size_t length)
{
    struct upstream *upstream = ctx;
    if (tracker_event(upstream->tracker, data, length))
        poller_want_details(upstream->poller);
}

static void start_polling(struct upstream *upstream, const char *reason)
{
    snprintf(upstream->no_stream, sizeof upstream->no_stream, "%s", reason);
    if (upstream->state != STATE_POLLING && upstream->state != STATE_UNAVAILABLE)
        set_state(upstream, STATE_CONNECTING, "no event stream (%s): asking for the list", reason);
    poller_set_mode(upstream->poller, POLLER_ALONE);
}

static void on_down(void *ctx, const struct stream_down *down)
{
    struct upstream *upstream = ctx;
    double wait = (double)down->retry_ms / 1000;
    bool given_up = down->failure == STREAM_NOT_OFFERED || down->failures >= FAILURES_UNTIL_POLLING;
    if (down->failure == STREAM_UNAUTHORIZED) {
        poller_set_mode(upstream->poller, POLLER_OFF);
        set_state(upstream, STATE_UNAUTHORIZED,
            "AIVA refuses the key: %s; check aiva.api_key; the next attempt reads it again",
            down->reason);
    } else if (given_up && upstream->mode == CONFIG_MODE_AUTO) {
        log_debug("the event stream: %s; next attempt in %.1f s", down->reason, wait);
        start_polling(upstream, down->reason);
    } else {
        poller_set_mode(upstream->poller, POLLER_OFF);
        set_state(upstream, given_up ? STATE_UNAVAILABLE : STATE_CONNECTING,
            "%s; next attempt in %.1f s", down->reason, wait);
    }
}

/* ---- The poller's side */

static void on_outcome(void *ctx, enum poller_outcome outcome, const char *detail)
{
    struct upstream *upstream = ctx;
    if (stream_is_open(upstream->stream) && outcome != POLLER_UNAUTHORIZED) {
        set_state(upstream, STATE_STREAMING, "the event stream is open%s%s",
            outcome == POLLER_OK ? "" : "; ", detail);
        if (outcome != POLLER_OK)
            log_warn_limited(&upstream->list_limit, loop_now(upstream->loop),
                "%s: the event stream goes on, and this is asked for again", detail);
        return;
    }
    if (outcome == POLLER_OK && upstream->mode == CONFIG_MODE_POLL)
        set_state(upstream, STATE_POLLING, "as configured");
    else if (outcome == POLLER_OK)
        set_state(upstream, STATE_POLLING, "no event stream: %s", upstream->no_stream);
    else if (outcome == POLLER_UNAUTHORIZED)
        set_state(
            upstream, STATE_UNAUTHORIZED, "AIVA refuses the key: %s; check aiva.api_key", detail);
    else
        set_state(upstream, STATE_UNAVAILABLE, "%s", detail);
}

/* ---- Life */

struct upstream *upstream_new(struct loop *loop, struct http_client *client,
    struct tracker *tracker, struct publisher *publisher, const struct config *config,
    struct counters *counters, const struct upstream_handler *handler)
{
    struct upstream *upstream = xcalloc(1, sizeof *upstream);
    upstream->loop = loop;
    upstream->tracker = tracker;
    upstream->publisher = publisher;
    upstream->handler = *handler;
    upstream->mode = config->aiva.mode;
    struct stream_handler stream_events = {upstream, before_attempt, on_open, on_event, on_down};
    upstream->stream =
        stream_new(loop, client, config->aiva.idle_timeout_s, counters, &stream_events);
    struct poller_handler poller_events = {upstream, before_attempt, on_outcome};
    upstream->poller = poller_new(loop, client, tracker, config, counters, &poller_events);
    set_state(upstream, STATE_CONNECTING, "starting");
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    stream_free(upstream->stream);
    poller_free(upstream->poller);
    free(upstream);
}

void upstream_start(struct upstream *upstream)
{
    if (upstream->mode == CONFIG_MODE_POLL)
        poller_set_mode(upstream->poller, POLLER_ALONE);
    else
        stream_restart(upstream->stream);
}

void upstream_stop(struct upstream *upstream)
{
    stream_stop(upstream->stream);
    poller_set_mode(upstream->poller, POLLER_OFF);
}

void upstream_reconnect(struct upstream *upstream)
{
    upstream_stop(upstream);
    poller_forget_waits(upstream->poller);
    set_state(upstream, STATE_CONNECTING, "connecting again");
    upstream_start(upstream);
}

void upstream_press(struct upstream *upstream, enum pressure pressure)
{
    stream_pause(upstream->stream, pressure != PRESSURE_NONE);
    poller_pause(upstream->poller, pressure == PRESSURE_FULL);
}

void upstream_report(const struct upstream *upstream, struct upstream_report *report)
{
    *report = (struct upstream_report){
        state_names[upstream->state], upstream->detail, upstream->since_ms};
}

struct poller *upstream_poller(struct upstream *upstream)
{
    return upstream->poller;
}
