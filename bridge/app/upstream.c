/* Which way AIVA is followed and why. */
#include "upstream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "buf.h"
#include "catchup.h"
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
/* And after so long without it, whatever the reason: the contract's. */
#define PATIENCE_MS 15000

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
    const struct config *config;
    struct stream *stream;
    struct poller *poller;
    struct catchup *catchup;
    enum state state;
    int64_t since_ms; /* Unix time */
    char detail[LIMIT_DETAIL];
    char no_stream[LIMIT_DETAIL]; /* why there is none; "" while nothing is known */
    struct timer patience;        /* fires once there has been no stream for too long */
    int64_t patience_ends_ms;     /* the same time; 0 while there is a stream, or a refused key */
    struct log_limit said_limit, list_limit, wait_limit;
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
    /* Why there is no connection yet is news each time: a few attempts, then it is polled. */
    bool is_news = state == STATE_CONNECTING && strcmp(detail, upstream->detail) != 0;
    if (changed)
        upstream->said_limit = (struct log_limit){0};
    if (changed && is_trouble(state))
        log_error_limited(&upstream->said_limit, now, "AIVA: %s: %s", state_names[state], detail);
    else if (changed || is_news)
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

static void refuse_key(struct upstream *upstream, const char *reason)
{
    char advice[LIMIT_DETAIL];
    answer_advise(upstream->config->aiva.api_key_file, advice, sizeof advice);
    set_state(upstream, STATE_UNAUTHORIZED, "AIVA refuses the key: %s; %s", reason, advice);
}

/* Only now: a new key may have come while the refusal was waited out. */
static void before_attempt(void *ctx)
{
    struct upstream *upstream = ctx;
    if (upstream->state == STATE_UNAUTHORIZED)
        upstream->handler.on_unauthorized(upstream->handler.ctx);
}

/* ---- The stream's side */

static void begin_patience(struct upstream *upstream)
{
    if (upstream->patience_ends_ms != 0)
        return;
    upstream->patience_ends_ms = loop_now(upstream->loop) + PATIENCE_MS;
    timer_set(&upstream->patience, upstream->patience_ends_ms);
}

static void end_patience(struct upstream *upstream)
{
    timer_stop(&upstream->patience);
    upstream->patience_ends_ms = 0;
    upstream->no_stream[0] = '\0';
}

static void before_stream(void *ctx)
{
    struct upstream *upstream = ctx;
    before_attempt(ctx);
    begin_patience(upstream);
}

static void on_open(void *ctx)
{
    struct upstream *upstream = ctx;
    end_patience(upstream);
    set_state(upstream, STATE_STREAMING, "the event stream is open");
    poller_set_mode(upstream->poller, POLLER_BESIDE_STREAM);
}

static void on_event(void *ctx, const char *data, size_t length)
{
    struct upstream *upstream = ctx;
    if (tracker_event(upstream->tracker, data, length))
        poller_want_details(upstream->poller);
}

/* `waits`: for what, and for how long; "" where that is not known. */
static void start_polling(struct upstream *upstream, const char *waits)
{
    if (upstream->state != STATE_POLLING && upstream->state != STATE_UNAVAILABLE)
        set_state(upstream, STATE_CONNECTING, "no event stream (%s%s): asking for the list",
            upstream->no_stream, waits);
    poller_set_mode(upstream->poller, POLLER_ALONE);
}

/* The attempt may still be under way: nobody knows for how long. */
static void lose_patience(void *ctx)
{
    struct upstream *upstream = ctx;
    char waits[64];
    if (upstream->no_stream[0] == '\0')
        snprintf(upstream->no_stream, sizeof upstream->no_stream, "%s",
            "GET /jobs/events has not been answered");
    snprintf(waits, sizeof waits, "; none for %d s", PATIENCE_MS / 1000);
    if (upstream->mode == CONFIG_MODE_AUTO)
        start_polling(upstream, waits);
    else
        set_state(upstream, STATE_UNAVAILABLE, "%s%s", upstream->no_stream, waits);
}

/* Whether it is time to follow AIVA without a stream. */
static bool is_given_up(const struct upstream *upstream, const struct stream_down *down)
{
    return down->failure == STREAM_NOT_OFFERED || down->failures >= FAILURES_UNTIL_POLLING ||
           loop_now(upstream->loop) + down->retry_ms >= upstream->patience_ends_ms;
}

static void give_up(struct upstream *upstream, const struct stream_down *down)
{
    char waits[96];
    double wait = (double)down->retry_ms / 1000;
    bool is_known = upstream->state == STATE_POLLING || upstream->state == STATE_UNAVAILABLE;
    snprintf(waits, sizeof waits, "; next attempt in %.1f s%s", wait,
        down->asked_ms > 0 ? ", as AIVA asks by Retry-After" : "");
    if (upstream->mode != CONFIG_MODE_AUTO) {
        set_state(upstream, STATE_UNAVAILABLE, "%s%s", down->reason, waits);
        return;
    }
    if (is_known && down->asked_ms > 0)
        log_info_limited(&upstream->wait_limit, loop_now(upstream->loop),
            "the event stream: %s%s; the jobs are polled meanwhile", down->reason, waits);
    else if (is_known)
        log_debug("the event stream: %s%s", down->reason, waits);
    start_polling(upstream, waits);
}

static void on_down(void *ctx, const struct stream_down *down)
{
    struct upstream *upstream = ctx;
    if (down->failure == STREAM_UNAUTHORIZED) {
        end_patience(upstream);
        poller_set_mode(upstream->poller, POLLER_OFF);
        refuse_key(upstream, down->reason);
        return;
    }
    begin_patience(upstream);
    snprintf(upstream->no_stream, sizeof upstream->no_stream, "%s", down->reason);
    if (is_given_up(upstream, down)) {
        give_up(upstream, down);
        return;
    }
    poller_set_mode(upstream->poller, POLLER_OFF);
    set_state(upstream, STATE_CONNECTING, "%s; next attempt in %.1f s", down->reason,
        (double)down->retry_ms / 1000);
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
        refuse_key(upstream, detail);
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
    upstream->config = config;
    timer_init(&upstream->patience, loop, lose_patience, upstream);
    struct stream_handler stream_events = {upstream, before_stream, on_open, on_event, on_down};
    upstream->stream =
        stream_new(loop, client, config->aiva.idle_timeout_s, counters, &stream_events);
    struct poller_handler poller_events = {upstream, before_attempt, on_outcome};
    upstream->catchup = catchup_new(loop, upstream->stream);
    upstream->poller =
        poller_new(loop, client, tracker, upstream->catchup, config, counters, &poller_events);
    set_state(upstream, STATE_CONNECTING, "starting");
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    timer_stop(&upstream->patience);
    poller_free(upstream->poller);
    catchup_free(upstream->catchup);
    stream_free(upstream->stream);
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
    end_patience(upstream);
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
    catchup_press(upstream->catchup, pressure);
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

struct catchup *upstream_catchup(struct upstream *upstream)
{
    return upstream->catchup;
}

void upstream_update(struct upstream *upstream)
{
    catchup_update(upstream->catchup);
}
