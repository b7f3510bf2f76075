/* When the list of jobs is read, and what becomes of it; rounds.c has the status calls. */
#include "poller_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "backoff.h"
#include "catchup.h"
#include "clock.h"
#include "config.h"
#include "counters.h"
#include "entropy.h"
#include "ids.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "retry.h"
#include "tracker.h"

#define LOG_TAG "poller"
#include "log.h"

#define LIST_TIMEOUT_MS      60000
#define BACKOFF_BASE_MS      1000
#define BACKOFF_CAP_MS       60000
#define UNAUTHORIZED_WAIT_MS 60000
/* Jobs that appear together share a list. */
#define DETAILS_DELAY_MS 500

static void fire_list(void *ctx);
static void fire_details(void *ctx);

struct poller *poller_new(struct loop *loop, struct http_client *client, struct tracker *tracker,
    struct catchup *catchup, const struct config *config, struct counters *counters,
    const struct poller_handler *handler)
{
    struct poller *poller = xcalloc(1, sizeof *poller);
    poller->loop = loop;
    poller->client = client;
    poller->tracker = tracker;
    poller->counters = counters;
    poller->catchup = catchup;
    poller->handler = *handler;
    poller->poll_ms = (int64_t)config->aiva.poll_interval_s * 1000;
    poller->list_ms = (int64_t)config->aiva.list_interval_s * 1000;
    poller->resync_ms = (int64_t)config->aiva.resync_interval_s * 1000;
    poller->list_asked_ms = INT64_MIN / 2;
    poller->wanted_gap_ms = POLLER_WANTED_LIST_GAP_MS;
    retry_init(&poller->list_retry, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    retry_init(&poller->status_retry, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    timer_init(&poller->list_timer, loop, fire_list, poller);
    timer_init(&poller->details_timer, loop, fire_details, poller);
    rounds_init(poller);
    return poller;
}

void poller_end_request(struct poller *poller, struct http_request **request)
{
    http_cancel(*request);
    if (*request)
        catchup_end_call(poller->catchup);
    *request = NULL;
}

static void end_list(struct poller *poller)
{
    poller_end_request(poller, &poller->list_request);
    catchup_cancel(&poller->list_wait);
    tracker_drop_list(&poller->list);
    http_answer_free(poller->list_kept);
    poller->list_kept = NULL;
}

static void end_all(struct poller *poller)
{
    timer_stop(&poller->list_timer);
    timer_stop(&poller->details_timer);
    end_list(poller);
    rounds_end(poller);
}

void poller_free(struct poller *poller)
{
    if (!poller)
        return;
    end_all(poller);
    ids_clear(&poller->round);
    ids_clear(&poller->failed);
    free(poller);
}

bool poller_is_unauthorized(const struct http_answer *answer)
{
    return answer->status == 401 || answer->status == 403;
}

bool poller_asks_for_peace(const struct http_answer *answer)
{
    return answer->status == 429 || answer->status == 503;
}

/* ---- Lists */

int64_t poller_later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t poller_back_off(
    struct poller *poller, struct retry *retry, unsigned incident, const struct http_answer *answer)
{
    int64_t now = loop_now(poller->loop);
    int64_t asked =
        backoff_retry_after(answer->retry_after, clock_unix_ms(), LIMIT_RETRY_AFTER_S * 1000);
    int64_t wait =
        retry_failed(retry, incident, now, asked, poller_asks_for_peace(answer), entropy_u64());
    if (!poller_is_unauthorized(answer))
        return wait;
    wait = poller_later_of(wait, UNAUTHORIZED_WAIT_MS);
    poller->refused_until_ms = poller_later_of(poller->refused_until_ms, now + wait);
    return wait;
}

/* From when on a list may be read, also over a new connection. */
static int64_t list_allowed_ms(const struct poller *poller)
{
    return poller_later_of(poller->refused_until_ms, poller->list_retry.asked_until_ms);
}

static bool list_is_under_way(const struct poller *poller)
{
    return poller->list_request || poller->list_kept || catchup_is_awaited(&poller->list_wait);
}

static void plan_list(struct poller *poller, int64_t wait_ms)
{
    timer_set(&poller->list_timer, loop_now(poller->loop) + wait_ms);
}

static void list_failed(struct poller *poller, const struct http_answer *answer, const char *why)
{
    int64_t wait =
        poller_back_off(poller, &poller->list_retry, poller->list_retry.incident, answer);
    plan_list(poller, wait);
    enum poller_outcome outcome =
        poller_is_unauthorized(answer) ? POLLER_UNAUTHORIZED : POLLER_FAILED;
    char detail[LIMIT_DETAIL + 96];
    snprintf(
        detail, sizeof detail, "GET /jobs: %s; next attempt in %.1f s", why, (double)wait / 1000);
    poller->handler.on_outcome(poller->handler.ctx, outcome, detail);
}

static void list_applied(struct poller *poller)
{
    retry_succeeded(&poller->list_retry);
    if (!poller->list_adds_only)
        plan_list(poller, poller->mode == POLLER_ALONE ? poller->list_ms : poller->resync_ms);
    if (poller->list_again)
        poller_want_list(poller);
    if (poller->list_adds_only)
        return;
    if (poller->mode == POLLER_BESIDE_STREAM || poller->round_started_ms == 0)
        rounds_start(poller);
    /* A list that was asked for before the key was refused says nothing about now. */
    if (loop_now(poller->loop) >= poller->refused_until_ms)
        poller->handler.on_outcome(poller->handler.ctx, POLLER_OK, "");
}

static void list_taken(void *ctx, const struct error *error)
{
    struct poller *poller = ctx;
    struct http_answer *kept = poller->list_kept;
    poller->list_kept = NULL;
    if (error)
        list_failed(poller, kept, error->text);
    else
        list_applied(poller);
    http_answer_free(kept);
}

static void take_list(struct poller *poller)
{
    poller->list = (struct tracker_list){
        .body = poller->list_kept->body,
        .length = poller->list_kept->length,
        .mark = poller->list_mark,
        .removes = !poller->list_adds_only,
        .source = PAYLOAD_LIST,
        .done = list_taken,
        .ctx = poller,
    };
    tracker_take_list(poller->tracker, &poller->list);
}

/* What the stream has to say first cannot be read: the list is asked for once reading goes on. */
static void put_list_off(struct poller *poller)
{
    if (!poller->list_adds_only)
        plan_list(poller, POLLER_PAUSED_WAIT_MS);
    else if (!timer_is_set(&poller->details_timer))
        timer_set(&poller->details_timer, loop_now(poller->loop) + POLLER_PAUSED_WAIT_MS);
}

static void list_caught_up(void *ctx, enum catchup_result result)
{
    struct poller *poller = ctx;
    if (result == CATCHUP_READ) {
        take_list(poller);
        return;
    }
    end_list(poller);
    put_list_off(poller);
}

static void list_answered(void *ctx, const struct http_answer *answer)
{
    struct poller *poller = ctx;
    poller_end_request(poller, &poller->list_request);
    counters_note_call(poller->counters, COUNTERS_GET_JOBS, answer->complete ? answer->status : 0,
        answer->duration_ms);
    log_debug("GET /jobs: %d in %lld ms", answer->status, (long long)answer->duration_ms);
    if (answer->status != 200 || !answer->complete) {
        char why[LIMIT_DETAIL + 32];
        answer_describe(answer, why, sizeof why);
        list_failed(poller, answer, why);
        return;
    }
    poller->list_kept = http_answer_keep(answer);
    if (catchup_is_read(poller->catchup))
        take_list(poller);
    else
        catchup_await(poller->catchup, &poller->list_wait, INT64_MAX, list_caught_up, poller);
}

static void ask_for_list(struct poller *poller)
{
    struct error error;
    poller->handler.before_attempt(poller->handler.ctx);
    struct http_call call = {
        .method = HTTP_GET,
        .path = "/jobs",
        .body_limit = LIMIT_LIST_BODY,
        .timeout_ms = LIST_TIMEOUT_MS,
        .is_list = true,
        .done = list_answered,
        .ctx = poller,
    };
    poller->list_again = false;
    poller->list_mark = tracker_mark(poller->tracker);
    poller->list_asked_ms = loop_now(poller->loop);
    poller->list_request = http_start(poller->client, &call, &error);
    if (poller->list_request) {
        catchup_begin_call(poller->catchup);
    } else {
        struct http_answer none = {.body = "", .retry_after = "", .failure = error.text};
        list_failed(poller, &none, error.text);
    }
}

static void list_may_be_asked(void *ctx, enum catchup_result result)
{
    struct poller *poller = ctx;
    if (result == CATCHUP_STUCK)
        put_list_off(poller);
    else
        ask_for_list(poller);
}

static void begin_list(struct poller *poller, bool adds_only)
{
    int64_t until = loop_now(poller->loop) + CATCHUP_BEFORE_MS;
    poller->list_adds_only = adds_only;
    if (catchup_is_read(poller->catchup))
        ask_for_list(poller);
    else
        catchup_await(poller->catchup, &poller->list_wait, until, list_may_be_asked, poller);
}

static void list_removes_too(struct poller *poller)
{
    poller->list_adds_only = false;
    poller->list.removes = true;
}

/* A list that is under way for details serves for this one too, also while it is taken in. */
static void fire_list(void *ctx)
{
    struct poller *poller = ctx;
    timer_stop(&poller->details_timer);
    if (poller->paused)
        plan_list(poller, POLLER_PAUSED_WAIT_MS);
    else if (loop_now(poller->loop) < list_allowed_ms(poller))
        timer_set(&poller->list_timer, list_allowed_ms(poller));
    else if (list_is_under_way(poller))
        list_removes_too(poller);
    else
        begin_list(poller, false);
}

/* The plan for the next list that also removes stays as it is. One that is being taken in may be
 * older than the job that details are wanted of. */
static void fire_details(void *ctx)
{
    struct poller *poller = ctx;
    if (poller->paused)
        timer_set(&poller->details_timer, loop_now(poller->loop) + POLLER_PAUSED_WAIT_MS);
    else if (loop_now(poller->loop) < list_allowed_ms(poller))
        timer_set(&poller->details_timer, list_allowed_ms(poller));
    else if (poller->list_kept)
        timer_set(&poller->details_timer, loop_now(poller->loop) + DETAILS_DELAY_MS);
    else if (!list_is_under_way(poller))
        begin_list(poller, true);
}

void poller_forget_waits(struct poller *poller)
{
    poller->refused_until_ms = 0;
    retry_succeeded(&poller->list_retry);
    retry_succeeded(&poller->status_retry);
}

void poller_pause(struct poller *poller, bool paused)
{
    poller->paused = paused;
}

void poller_want_list(struct poller *poller)
{
    poller->list_again = poller->list_request || poller->list_kept;
    if (poller->mode == POLLER_OFF || list_is_under_way(poller))
        return;
    int64_t at = poller_later_of(poller->list_asked_ms + poller->wanted_gap_ms,
        poller_later_of(poller->list_retry.until_ms, poller->refused_until_ms));
    if (!timer_is_set(&poller->list_timer) || poller->list_timer.at_ms > at)
        timer_set(&poller->list_timer, at);
}

void poller_want_details(struct poller *poller)
{
    if (poller->mode == POLLER_OFF || timer_is_set(&poller->details_timer))
        return;
    int64_t at = poller_later_of(
        loop_now(poller->loop) + DETAILS_DELAY_MS, poller->list_asked_ms + poller->list_ms);
    timer_set(&poller->details_timer,
        poller_later_of(
            at, poller_later_of(poller->list_retry.until_ms, poller->refused_until_ms)));
}

void poller_follow_list(struct poller *poller)
{
    if (poller->mode != POLLER_OFF)
        rounds_start(poller);
}

/* Otherwise a new stream would look as if all were well. */
static void say_wait(struct poller *poller)
{
    int64_t now = loop_now(poller->loop), left = list_allowed_ms(poller) - now;
    bool key_refused = now < poller->refused_until_ms;
    char text[80];
    if (left <= 0)
        return;
    snprintf(text, sizeof text, "GET /jobs is put off for %.1f s%s", (double)left / 1000,
        key_refused ? "" : ": AIVA has asked for that");
    poller->handler.on_outcome(
        poller->handler.ctx, key_refused ? POLLER_UNAUTHORIZED : POLLER_FAILED, text);
}

void poller_set_mode(struct poller *poller, enum poller_mode mode)
{
    if (mode == poller->mode && mode != POLLER_BESIDE_STREAM)
        return;
    end_all(poller);
    poller->mode = mode;
    poller->round_started_ms = 0;
    /* The stream has just been had with that key. */
    if (mode == POLLER_BESIDE_STREAM)
        poller->refused_until_ms = 0;
    if (mode == POLLER_OFF)
        return;
    say_wait(poller);
    fire_list(poller);
}
