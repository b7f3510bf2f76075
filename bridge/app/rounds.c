/*
 * Rounds of GET /jobs/{job_id}/status. A round asks for a few jobs at a time and ends early where
 * AIVA says that it wants to be left alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "counters.h"
#include "entropy.h"
#include "limit.h"
#include "mem.h"
#include "poller_private.h"
#include "tracker.h"

#define LOG_TAG "poller"
#include "log.h"

#define STATUS_TIMEOUT_MS 15000
/* This many status calls of a round in a row that failed: it is not the jobs. */
#define FAILURES_MOST 4

static void end_call(struct status_call *call)
{
    poller_end_request(call->poller, &call->request);
    catchup_cancel(&call->wait);
    http_answer_free(call->kept);
    free(call->id);
    call->kept = NULL;
    call->id = NULL;
}

static bool round_is_over(const struct poller *poller)
{
    if (poller->round.count > 0)
        return false;
    for (size_t i = 0; i < POLLER_CONCURRENT_CALLS; i++)
        if (poller->calls[i].id)
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

/* Where not all of it has been collected, the next one begins anew. */
static void put_round_off(struct poller *poller)
{
    if (timer_is_set(&poller->collect_timer))
        poller->round_uncollected = true;
    timer_stop(&poller->collect_timer);
    while (poller->round.count > 0)
        ids_take(&poller->failed, ids_last(&poller->round));
}

static void report_failure(
    struct poller *poller, const char *id, const struct http_answer *answer, int64_t wait_ms)
{
    char why[LIMIT_DETAIL + 32], text[LIMIT_DETAIL + LIMIT_JOB_ID + 96];
    answer_describe(answer, why, sizeof why);
    snprintf(text, sizeof text, "GET /jobs/%s/status: %s", id, why);
    if (!poller_is_unauthorized(answer) && !poller_asks_for_peace(answer)) {
        log_warn_limited(
            &poller->status_limit, loop_now(poller->loop), "%s: it is asked for again", text);
        return;
    }
    size_t length = strlen(text);
    snprintf(
        text + length, sizeof text - length, "; next attempt in %.1f s", (double)wait_ms / 1000);
    poller->handler.on_outcome(poller->handler.ctx,
        poller_is_unauthorized(answer) ? POLLER_UNAUTHORIZED : POLLER_FAILED, text);
}

/* Beside the stream nothing else would tell of this job for a long time: it is asked for again. */
static void note_failure(struct status_call *call, const struct http_answer *answer)
{
    struct poller *poller = call->poller;
    bool refused = poller_is_unauthorized(answer) || poller_asks_for_peace(answer);
    bool is_news = call->incident == poller->status_retry.incident;
    int64_t wait = 0;
    ids_take(&poller->failed, xstrdup(call->id));
    poller->round_failures++;
    if (refused || poller->round_failures == FAILURES_MOST) {
        wait = poller_back_off(poller, &poller->status_retry, call->incident, answer);
        put_round_off(poller);
        plan_round(poller, wait);
    }
    if (is_news || !refused)
        report_failure(poller, call->id, answer, wait);
}

static void judge_status(struct status_call *call, const struct http_answer *answer)
{
    struct poller *poller = call->poller;
    struct error error;
    if (answer->status != 404 && (answer->status != 200 || !answer->complete)) {
        note_failure(call, answer);
        return;
    }
    poller->round_failures = 0;
    if (answer->status == 404) {
        poller->round_found_none = true;
        poller_want_list(poller);
    } else if (!tracker_answer(poller->tracker, call->id, answer->body, answer->length, call->mark,
                   PAYLOAD_POLL, &error)) {
        log_warn_limited(&poller->status_limit, loop_now(poller->loop),
            "the status of %s cannot be used: %s: the job is left as it was", call->id, error.text);
    }
}

static void start_calls(struct poller *poller);

static void status_caught_up(void *ctx, enum catchup_result result)
{
    struct status_call *call = ctx;
    struct poller *poller = call->poller;
    if (result == CATCHUP_READ)
        judge_status(call, call->kept);
    else
        ids_take(&poller->failed, xstrdup(call->id));
    end_call(call);
    start_calls(poller);
}

static void status_answered(void *ctx, const struct http_answer *answer)
{
    struct status_call *call = ctx;
    struct poller *poller = call->poller;
    poller_end_request(poller, &call->request);
    counters_note_call(poller->counters, COUNTERS_GET_STATUS, answer->complete ? answer->status : 0,
        answer->duration_ms);
    log_debug("GET /jobs/%s/status: %d in %lld ms", call->id, answer->status,
        (long long)answer->duration_ms);
    if (answer->status == 200 && answer->complete && !catchup_is_read(poller->catchup)) {
        call->kept = http_answer_keep(answer);
        catchup_await(poller->catchup, &call->wait, INT64_MAX, status_caught_up, call);
        return;
    }
    judge_status(call, answer);
    end_call(call);
    start_calls(poller);
}

static void start_call(struct poller *poller, struct status_call *call)
{
    char path[LIMIT_JOB_ID + 32];
    struct error error;
    call->id = ids_last(&poller->round);
    call->mark = tracker_mark(poller->tracker);
    call->incident = poller->status_retry.incident;
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
    if (call->request) {
        catchup_begin_call(poller->catchup);
    } else {
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
        return now + POLLER_PAUSED_WAIT_MS;
    int64_t until = poller_later_of(poller->refused_until_ms, poller->status_retry.asked_until_ms);
    return now < until ? until : 0;
}

/* Beside the stream there is a next round only if this one left something open. */
static void plan_next_round(struct poller *poller)
{
    if (!poller->round_found_none)
        poller->wanted_gap_ms = POLLER_WANTED_LIST_GAP_MS;
    else if (poller->wanted_gap_ms < poller->resync_ms)
        poller->wanted_gap_ms *= 2;
    if (poller->failed.count == 0)
        retry_succeeded(&poller->status_retry);
    if (poller->mode == POLLER_ALONE)
        plan_round(poller, 0);
    if (poller->mode == POLLER_BESIDE_STREAM && poller->failed.count > 0)
        plan_round(poller, retry_failed(&poller->status_retry, poller->status_retry.incident,
                               loop_now(poller->loop), 0, false, entropy_u64()));
}

static void start_calls(struct poller *poller)
{
    int64_t held = held_until(poller);
    if (catchup_is_awaited(&poller->round_wait) || timer_is_set(&poller->collect_timer))
        return;
    if (held != 0 && poller->round.count > 0) {
        put_round_off(poller);
        timer_set(&poller->round_timer, held);
    }
    for (size_t i = 0; i < POLLER_CONCURRENT_CALLS; i++)
        while (poller->round.count > 0 && !poller->calls[i].id)
            start_call(poller, &poller->calls[i]);
    if (round_is_over(poller) && !timer_is_set(&poller->round_timer))
        plan_next_round(poller);
}

static void round_may_begin(void *ctx, enum catchup_result result)
{
    (void)result; /* start_calls looks whether the stream is paused */
    start_calls(ctx);
}

static void begin_round(struct poller *poller)
{
    int64_t until = loop_now(poller->loop) + CATCHUP_BEFORE_MS;
    poller->round_failures = 0;
    poller->round_found_none = false;
    poller->round_started_ms = loop_now(poller->loop);
    if (poller->round.count > 0)
        poller->handler.before_attempt(poller->handler.ctx);
    if (poller->round.count > 0 && !catchup_is_awaited(&poller->round_wait) &&
        !catchup_is_read(poller->catchup))
        catchup_await(poller->catchup, &poller->round_wait, until, round_may_begin, poller);
    start_calls(poller);
}

/* After a round that was given up each job comes to any place, so that those who come last in the
 * table get their turn. */
static void put_into_round(struct poller *poller, const char *id)
{
    struct ids *round = &poller->round;
    ids_take(round, xstrdup(id));
    if (!poller->round_shuffled)
        return;
    char **last = &round->items[round->count - 1];
    char **other = &round->items[entropy_u64() % round->count];
    char *moved = *other;
    *other = *last;
    *last = moved;
}

/* What was open before goes, then all jobs are looked at. False: that is done. */
static bool collect_one(struct poller *poller)
{
    if (poller->failed.count > 0) {
        free(ids_last(&poller->failed));
        return true;
    }
    const struct job *job = jobs_walk_next(tracker_jobs(poller->tracker), JOBS_WALK_ROUND);
    if (job && !job_has_ended(job) &&
        topic_classify_id(job->id, strlen(job->id)) == TOPIC_ID_URL_SAFE)
        put_into_round(poller, job->id);
    return job != NULL;
}

/* There may be a million jobs: in turns. */
static void fire_collect(void *ctx)
{
    struct poller *poller = ctx;
    int64_t begun = loop_turn_begin();
    while (collect_one(poller)) {
        if (loop_turn_is_over(begun)) {
            timer_set(&poller->collect_timer, loop_now(poller->loop));
            return;
        }
    }
    begin_round(poller);
}

void rounds_start(struct poller *poller)
{
    poller->round_shuffled = poller->round_failures >= FAILURES_MOST;
    timer_stop(&poller->round_timer);
    put_round_off(poller);
    poller->round_uncollected = false;
    jobs_walk_begin(tracker_jobs(poller->tracker), JOBS_WALK_ROUND);
    fire_collect(poller);
}

/* Beside the stream: what the last round has left open. Alone: everything. */
static void fire_round(void *ctx)
{
    struct poller *poller = ctx;
    struct ids none = poller->round;
    if (poller->mode == POLLER_ALONE || poller->round.count > 0 || poller->round_uncollected) {
        rounds_start(poller);
        return;
    }
    poller->round = poller->failed;
    poller->failed = none;
    begin_round(poller);
}

void rounds_init(struct poller *poller)
{
    timer_init(&poller->round_timer, poller->loop, fire_round, poller);
    timer_init(&poller->collect_timer, poller->loop, fire_collect, poller);
    for (size_t i = 0; i < POLLER_CONCURRENT_CALLS; i++)
        poller->calls[i].poller = poller;
}

void rounds_end(struct poller *poller)
{
    timer_stop(&poller->round_timer);
    timer_stop(&poller->collect_timer);
    poller->round_uncollected = false;
    catchup_cancel(&poller->round_wait);
    for (size_t i = 0; i < POLLER_CONCURRENT_CALLS; i++)
        end_call(&poller->calls[i]);
    ids_drop_all(&poller->round);
    ids_drop_all(&poller->failed);
}
