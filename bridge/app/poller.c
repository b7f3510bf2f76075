/*
 * Rounds of GET /jobs and GET /jobs/{job_id}/status. A round asks for a few jobs at a time and
 * ends early where AIVA says that it wants to be left alone.
 */
#include "poller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "backoff.h"
#include "clock.h"
#include "config.h"
#include "counters.h"
#include "entropy.h"
#include "ids.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "tracker.h"

#define LOG_TAG "poller"
#include "log.h"

#define CONCURRENT_CALLS     4
#define LIST_TIMEOUT_MS      60000
#define STATUS_TIMEOUT_MS    15000
#define BACKOFF_BASE_MS      1000
#define BACKOFF_CAP_MS       60000
#define UNAUTHORIZED_WAIT_MS 60000
/* Jobs that appear together share a list. */
#define DETAILS_DELAY_MS 500
/* A list that keeps showing a job whose status call answers 404 is not read in a circle: the time
 * from one such list to the next doubles. */
#define WANTED_LIST_GAP_MS 5000
/* Between two looks whether the stream has caught up. */
#define PAUSED_WAIT_MS 5000
/* This many status calls of a round in a row that failed: it is not the jobs. */
#define FAILURES_MOST 4

struct status_call {
    struct poller *poller;
    struct http_request *request; /* NULL while idle */
    char *id;                     /* owned */
    uint64_t mark;
};

struct poller {
    struct loop *loop;
    struct http_client *client;
    struct tracker *tracker;
    struct counters *counters;
    struct poller_handler handler;
    int64_t poll_ms, list_ms, resync_ms;
    enum poller_mode mode;
    bool paused;
    struct backoff backoff;
    struct timer list_timer;
    struct timer round_timer;
    struct http_request *list_request;
    uint64_t list_mark;
    bool list_adds_only;   /* of the request under way */
    int64_t not_before_ms; /* no list earlier, whatever makes one desirable */
    int64_t peace_ms;      /* nothing at all earlier: AIVA has asked for that, or refused the key */
    bool key_refused;      /* which of the two it was */
    int64_t wanted_gap_ms; /* between lists that 404s have made desirable */
    bool list_again;       /* the one under way may be older than what it is wanted for */
    struct timer details_timer;
    int64_t list_asked_ms;
    struct status_call calls[CONCURRENT_CALLS];
    struct ids round;        /* still to be asked for, taken from the end */
    struct ids failed;       /* to be asked for again */
    unsigned round_failures; /* in a row */
    bool round_found_none;   /* a 404 was among its answers */
    int64_t round_started_ms;
    struct log_limit status_limit;
};

static void fire_list(void *ctx);
static void fire_round(void *ctx);
static void start_round(struct poller *poller);
static void fire_details(void *ctx);

struct poller *poller_new(struct loop *loop, struct http_client *client, struct tracker *tracker,
    const struct config *config, struct counters *counters, const struct poller_handler *handler)
{
    struct poller *poller = xcalloc(1, sizeof *poller);
    poller->loop = loop;
    poller->client = client;
    poller->tracker = tracker;
    poller->counters = counters;
    poller->handler = *handler;
    poller->poll_ms = (int64_t)config->aiva.poll_interval_s * 1000;
    poller->list_ms = (int64_t)config->aiva.list_interval_s * 1000;
    poller->resync_ms = (int64_t)config->aiva.resync_interval_s * 1000;
    poller->list_asked_ms = INT64_MIN / 2;
    poller->wanted_gap_ms = WANTED_LIST_GAP_MS;
    backoff_init(&poller->backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    timer_init(&poller->list_timer, loop, fire_list, poller);
    timer_init(&poller->round_timer, loop, fire_round, poller);
    timer_init(&poller->details_timer, loop, fire_details, poller);
    for (size_t i = 0; i < CONCURRENT_CALLS; i++)
        poller->calls[i].poller = poller;
    return poller;
}

static void end_call(struct status_call *call)
{
    free(call->id);
    call->id = NULL;
    call->request = NULL;
}

static void end_all(struct poller *poller)
{
    timer_stop(&poller->list_timer);
    timer_stop(&poller->round_timer);
    timer_stop(&poller->details_timer);
    http_cancel(poller->list_request);
    poller->list_request = NULL;
    for (size_t i = 0; i < CONCURRENT_CALLS; i++) {
        http_cancel(poller->calls[i].request);
        end_call(&poller->calls[i]);
    }
    ids_drop_all(&poller->round);
    ids_drop_all(&poller->failed);
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

static bool is_unauthorized(const struct http_answer *answer)
{
    return answer->status == 401 || answer->status == 403;
}

static bool asks_for_peace(const struct http_answer *answer)
{
    return answer->status == 429 || answer->status == 503;
}

/* ---- Lists */

/* How long AIVA is to be left alone; kept, so that nothing else asks earlier. */
static int64_t back_off(struct poller *poller, const struct http_answer *answer)
{
    int64_t asked =
        backoff_retry_after(answer->retry_after, clock_unix_ms(), LIMIT_RETRY_AFTER_S * 1000);
    poller->backoff.floor_ms = asked > 0 ? asked : 0;
    int64_t wait = backoff_next(&poller->backoff, entropy_u64());
    if (is_unauthorized(answer) && wait < UNAUTHORIZED_WAIT_MS)
        wait = UNAUTHORIZED_WAIT_MS;
    poller->not_before_ms = loop_now(poller->loop) + wait;
    if ((is_unauthorized(answer) || asks_for_peace(answer)) &&
        poller->peace_ms < poller->not_before_ms) {
        poller->peace_ms = poller->not_before_ms;
        poller->key_refused = is_unauthorized(answer);
    }
    return wait;
}

static void plan_list(struct poller *poller, int64_t wait_ms)
{
    timer_set(&poller->list_timer, loop_now(poller->loop) + wait_ms);
}

static void list_failed(struct poller *poller, const struct http_answer *answer, const char *why)
{
    plan_list(poller, back_off(poller, answer));
    enum poller_outcome outcome = is_unauthorized(answer) ? POLLER_UNAUTHORIZED : POLLER_FAILED;
    char detail[LIMIT_DETAIL + 64];
    snprintf(detail, sizeof detail, "GET /jobs: %s", why);
    poller->handler.on_outcome(poller->handler.ctx, outcome, detail);
}

static void list_answered(void *ctx, const struct http_answer *answer)
{
    struct poller *poller = ctx;
    struct error error;
    poller->list_request = NULL;
    counters_note_call(poller->counters, COUNTERS_GET_JOBS, answer->complete ? answer->status : 0,
        answer->duration_ms);
    log_debug("GET /jobs: %d in %lld ms", answer->status, (long long)answer->duration_ms);
    if (answer->status != 200 || !answer->complete) {
        char why[LIMIT_DETAIL + 32];
        answer_describe(answer, why, sizeof why);
        list_failed(poller, answer, why);
        return;
    }
    if (!tracker_list(poller->tracker, answer->body, answer->length, poller->list_mark,
            !poller->list_adds_only, PAYLOAD_LIST, &error)) {
        list_failed(poller, answer, error.text);
        return;
    }
    backoff_reset(&poller->backoff);
    poller->key_refused = false;
    poller->not_before_ms = poller->peace_ms;
    if (!poller->list_adds_only)
        plan_list(poller, poller->mode == POLLER_ALONE ? poller->list_ms : poller->resync_ms);
    if (poller->list_again)
        poller_want_list(poller);
    if (poller->list_adds_only)
        return;
    if (poller->mode == POLLER_BESIDE_STREAM || poller->round_started_ms == 0)
        start_round(poller);
    poller->handler.on_outcome(poller->handler.ctx, POLLER_OK, "");
}

static void ask_for_list(struct poller *poller, bool adds_only)
{
    struct error error;
    poller->handler.before_attempt(poller->handler.ctx);
    struct http_call call = {
        .method = HTTP_GET,
        .path = "/jobs",
        .body_limit = LIMIT_LIST_BODY,
        .timeout_ms = LIST_TIMEOUT_MS,
        .done = list_answered,
        .ctx = poller,
    };
    poller->list_adds_only = adds_only;
    poller->list_again = false;
    poller->list_mark = tracker_mark(poller->tracker);
    poller->list_asked_ms = loop_now(poller->loop);
    poller->list_request = http_start(poller->client, &call, &error);
    if (!poller->list_request) {
        struct http_answer none = {.body = "", .retry_after = "", .failure = error.text};
        list_failed(poller, &none, error.text);
    }
}

/* A list that is under way for details serves for this one too. */
static void fire_list(void *ctx)
{
    struct poller *poller = ctx;
    timer_stop(&poller->details_timer);
    if (poller->paused)
        plan_list(poller, PAUSED_WAIT_MS);
    else if (loop_now(poller->loop) < poller->peace_ms)
        timer_set(&poller->list_timer, poller->peace_ms);
    else if (poller->list_request)
        poller->list_adds_only = false;
    else
        ask_for_list(poller, false);
}

/* The plan for the next list that also removes stays as it is. */
static void fire_details(void *ctx)
{
    struct poller *poller = ctx;
    if (poller->paused)
        timer_set(&poller->details_timer, loop_now(poller->loop) + PAUSED_WAIT_MS);
    else if (loop_now(poller->loop) < poller->peace_ms)
        timer_set(&poller->details_timer, poller->peace_ms);
    else if (!poller->list_request)
        ask_for_list(poller, true);
}

void poller_forget_waits(struct poller *poller)
{
    poller->peace_ms = 0;
    poller->key_refused = false;
    poller->not_before_ms = 0;
    backoff_reset(&poller->backoff);
}

void poller_pause(struct poller *poller, bool paused)
{
    poller->paused = paused;
}

void poller_want_list(struct poller *poller)
{
    poller->list_again = poller->list_request != NULL;
    if (poller->mode == POLLER_OFF || poller->list_request)
        return;
    int64_t at = poller->list_asked_ms + poller->wanted_gap_ms;
    if (at < poller->not_before_ms)
        at = poller->not_before_ms;
    if (!timer_is_set(&poller->list_timer) || poller->list_timer.at_ms > at)
        timer_set(&poller->list_timer, at);
}

void poller_want_details(struct poller *poller)
{
    if (poller->mode == POLLER_OFF || timer_is_set(&poller->details_timer))
        return;
    int64_t at = loop_now(poller->loop) + DETAILS_DELAY_MS;
    if (at < poller->list_asked_ms + poller->list_ms)
        at = poller->list_asked_ms + poller->list_ms;
    if (at < poller->not_before_ms)
        at = poller->not_before_ms;
    timer_set(&poller->details_timer, at);
}

void poller_follow_list(struct poller *poller)
{
    if (poller->mode != POLLER_OFF)
        start_round(poller);
}

/* ---- Status calls */

static void collect_round(struct poller *poller)
{
    const struct jobs *jobs = tracker_jobs(poller->tracker);
    for (const struct job *job = jobs_next(jobs, NULL); job; job = jobs_next(jobs, job))
        if (!job_has_ended(job) && topic_classify_id(job->id, strlen(job->id)) == TOPIC_ID_URL_SAFE)
            ids_take(&poller->round, xstrdup(job->id));
}

/* After a round that was given up, so that those who come last in the table get their turn. */
static void shuffle_round(struct poller *poller)
{
    for (size_t left = poller->round.count; left > 1; left--) {
        size_t other = (size_t)(entropy_u64() % left);
        char *id = poller->round.items[other];
        poller->round.items[other] = poller->round.items[left - 1];
        poller->round.items[left - 1] = id;
    }
}

static bool round_is_over(const struct poller *poller)
{
    if (poller->round.count > 0)
        return false;
    for (size_t i = 0; i < CONCURRENT_CALLS; i++)
        if (poller->calls[i].request)
            return false;
    return true;
}

static void plan_round(struct poller *poller, int64_t at_least_ms)
{
    int64_t at = poller->round_started_ms + poller->poll_ms;
    if (at < loop_now(poller->loop) + at_least_ms)
        at = loop_now(poller->loop) + at_least_ms;
    timer_set(&poller->round_timer, at);
}

static void put_round_off(struct poller *poller)
{
    while (poller->round.count > 0)
        ids_take(&poller->failed, ids_last(&poller->round));
}

/* Beside the stream nothing else would tell of this job for a long time: it is asked for again. */
static void note_failure(struct poller *poller, const char *id, const struct http_answer *answer)
{
    char why[LIMIT_DETAIL + 32], text[LIMIT_DETAIL + LIMIT_JOB_ID + 64];
    bool refused = is_unauthorized(answer) || asks_for_peace(answer);
    answer_describe(answer, why, sizeof why);
    snprintf(text, sizeof text, "GET /jobs/%s/status: %s", id, why);
    ids_take(&poller->failed, xstrdup(id));
    poller->round_failures++;
    if (refused || poller->round_failures == FAILURES_MOST) {
        put_round_off(poller);
        plan_round(poller, back_off(poller, answer));
    }
    if (refused)
        poller->handler.on_outcome(poller->handler.ctx,
            is_unauthorized(answer) ? POLLER_UNAUTHORIZED : POLLER_FAILED, text);
    else
        log_warn_limited(
            &poller->status_limit, loop_now(poller->loop), "%s: it is asked for again", text);
}

static void judge_status(
    struct poller *poller, const char *id, uint64_t mark, const struct http_answer *answer)
{
    struct error error;
    if (answer->status != 404 && (answer->status != 200 || !answer->complete)) {
        note_failure(poller, id, answer);
        return;
    }
    poller->round_failures = 0;
    if (answer->status == 404) {
        poller->round_found_none = true;
        poller_want_list(poller);
    } else if (!tracker_answer(
                   poller->tracker, id, answer->body, answer->length, mark, PAYLOAD_POLL, &error)) {
        log_warn_limited(&poller->status_limit, loop_now(poller->loop),
            "the status of %s cannot be used: %s: the job is left as it was", id, error.text);
    }
}

static void start_calls(struct poller *poller);

static void status_answered(void *ctx, const struct http_answer *answer)
{
    struct status_call *call = ctx;
    struct poller *poller = call->poller;
    char *id = call->id;
    call->id = NULL;
    end_call(call);
    counters_note_call(poller->counters, COUNTERS_GET_STATUS, answer->complete ? answer->status : 0,
        answer->duration_ms);
    log_debug(
        "GET /jobs/%s/status: %d in %lld ms", id, answer->status, (long long)answer->duration_ms);
    judge_status(poller, id, call->mark, answer);
    free(id);
    start_calls(poller);
}

static void start_call(struct poller *poller, struct status_call *call)
{
    char path[LIMIT_JOB_ID + 32];
    struct error error;
    call->id = ids_last(&poller->round);
    call->mark = tracker_mark(poller->tracker);
    snprintf(path, sizeof path, "/jobs/%s/status", call->id);
    struct http_call request = {
        .method = HTTP_GET,
        .path = path,
        .body_limit = LIMIT_STATUS_BODY,
        .timeout_ms = STATUS_TIMEOUT_MS,
        .done = status_answered,
        .ctx = call,
    };
    call->request = http_start(poller->client, &request, &error);
    if (!call->request) {
        log_warn_limited(&poller->status_limit, loop_now(poller->loop),
            "the status of %s cannot be read: %s", call->id, error.text);
        end_call(call);
    }
}

/* What keeps status calls from being made, as a time from which on they may be; 0: nothing. */
static int64_t held_until(const struct poller *poller)
{
    int64_t now = loop_now(poller->loop);
    if (poller->paused)
        return now + PAUSED_WAIT_MS;
    return now < poller->peace_ms ? poller->peace_ms : 0;
}

/* Beside the stream there is a next round only if this one left something open. */
static void plan_next_round(struct poller *poller)
{
    if (!poller->round_found_none)
        poller->wanted_gap_ms = WANTED_LIST_GAP_MS;
    else if (poller->wanted_gap_ms < poller->resync_ms)
        poller->wanted_gap_ms *= 2;
    if (poller->mode == POLLER_ALONE)
        plan_round(poller, 0);
    if (poller->mode == POLLER_BESIDE_STREAM && poller->failed.count > 0) {
        poller->backoff.floor_ms = 0;
        plan_round(poller, backoff_next(&poller->backoff, entropy_u64()));
    }
}

static void start_calls(struct poller *poller)
{
    int64_t held = held_until(poller);
    if (held != 0 && poller->round.count > 0) {
        put_round_off(poller);
        timer_set(&poller->round_timer, held);
    }
    for (size_t i = 0; i < CONCURRENT_CALLS; i++)
        while (poller->round.count > 0 && !poller->calls[i].request)
            start_call(poller, &poller->calls[i]);
    if (round_is_over(poller) && !timer_is_set(&poller->round_timer))
        plan_next_round(poller);
}

static void begin_round(struct poller *poller)
{
    poller->round_failures = 0;
    poller->round_found_none = false;
    poller->round_started_ms = loop_now(poller->loop);
    if (poller->round.count > 0)
        poller->handler.before_attempt(poller->handler.ctx);
    start_calls(poller);
}

static void start_round(struct poller *poller)
{
    bool given_up = poller->round_failures >= FAILURES_MOST;
    timer_stop(&poller->round_timer);
    ids_drop_all(&poller->round);
    ids_drop_all(&poller->failed);
    collect_round(poller);
    if (given_up)
        shuffle_round(poller);
    begin_round(poller);
}

/* Beside the stream: what the last round has left open. Alone: everything. */
static void fire_round(void *ctx)
{
    struct poller *poller = ctx;
    struct ids none = poller->round;
    if (poller->mode == POLLER_ALONE || poller->round.count > 0) {
        start_round(poller);
        return;
    }
    poller->round = poller->failed;
    poller->failed = none;
    begin_round(poller);
}

/* Otherwise a new stream would look as if all were well. */
static void say_peace(struct poller *poller)
{
    int64_t left = poller->peace_ms - loop_now(poller->loop);
    char text[80];
    if (left <= 0)
        return;
    snprintf(text, sizeof text, "GET /jobs is put off for %.1f s%s", (double)left / 1000,
        poller->key_refused ? "" : ": AIVA has asked for that");
    poller->handler.on_outcome(
        poller->handler.ctx, poller->key_refused ? POLLER_UNAUTHORIZED : POLLER_FAILED, text);
}

void poller_set_mode(struct poller *poller, enum poller_mode mode)
{
    if (mode == poller->mode && mode != POLLER_BESIDE_STREAM)
        return;
    end_all(poller);
    poller->mode = mode;
    poller->round_started_ms = 0;
    /* The stream has just been had with that key. */
    if (mode == POLLER_BESIDE_STREAM && poller->key_refused)
        poller_forget_waits(poller);
    if (mode == POLLER_OFF)
        return;
    say_peace(poller);
    fire_list(poller);
}
