/*
 * What the tracker has to do with each of its jobs, of which there may be a million: to forget
 * those that a list lacks, to clear those that ended long ago, to say all states again. It is done
 * in turns, so that nothing else has to wait; and what makes messages waits for the broker, so that
 * they cost no memory here.
 */
#include "clock.h"
#include "publisher.h"
#include "tracker_private.h"

#define LOG_TAG "jobs"
#include "log.h"

#define EXPIRY_INTERVAL_MS 60000
/* With so many messages waiting for the broker no more are made here; and when to look again. */
#define BACKLOG    10000
#define BACKLOG_MS 100
/* Jobs that vanish together are named up to here, and counted beyond. */
#define GONE_NAMED 20

static bool is_backed_up(const struct tracker *tracker)
{
    return publisher_waiting(tracker->publisher) >= BACKLOG;
}

static void take_another_turn(struct tracker *tracker, struct timer *timer)
{
    timer_set(timer, loop_now(tracker->loop) + (is_backed_up(tracker) ? BACKLOG_MS : 0));
}

/* ---- Jobs that a list lacks */

static void fire_missing(void *ctx)
{
    struct tracker *tracker = ctx;
    struct tracker_missing *missing = &tracker->missing;
    int64_t begun = loop_turn_begin();
    while (!is_backed_up(tracker) && !loop_turn_is_over(begun)) {
        struct job *job = jobs_walk_next(tracker->jobs, JOBS_WALK_MISSING);
        if (!job) {
            if (missing->gone > GONE_NAMED)
                log_info("%zu more jobs are gone from AIVA: their topics are cleared",
                    missing->gone - GONE_NAMED);
            return;
        }
        if (!jobs_list_lacks(job, missing->list, missing->mark))
            continue;
        bool named = missing->gone++ < GONE_NAMED;
        tracker_forget(tracker, job, missing->source, named ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG);
    }
    take_another_turn(tracker, &missing->timer);
}

void tracker_remove_missing(struct tracker *tracker, uint64_t mark, enum payload_source source)
{
    struct tracker_missing *missing = &tracker->missing;
    missing->list = jobs_list_number(tracker->jobs);
    missing->mark = mark;
    missing->source = source;
    missing->gone = 0;
    jobs_walk_begin(tracker->jobs, JOBS_WALK_MISSING);
    timer_stop(&missing->timer);
    fire_missing(tracker);
}

void tracker_hold_missing(struct tracker *tracker)
{
    timer_stop(&tracker->missing.timer);
}

void tracker_resume_missing(struct tracker *tracker)
{
    if (!jobs_walk_is_over(tracker->jobs, JOBS_WALK_MISSING))
        take_another_turn(tracker, &tracker->missing.timer);
}

/* ---- Ended jobs that are to be shown for a while only */

bool tracker_has_expired(const struct tracker *tracker, const struct job *job, int64_t now_unix_ms)
{
    return tracker->keep_finished_ms > 0 && job->ended_ms != 0 &&
           now_unix_ms - job->ended_ms >= tracker->keep_finished_ms;
}

static void begin_expiry(struct tracker *tracker)
{
    tracker->expiry.is_walking = true;
    tracker->expiry.cleared = 0;
    tracker->expiry.wait_ms = EXPIRY_INTERVAL_MS;
    jobs_walk_begin(tracker->jobs, JOBS_WALK_EXPIRED);
}

static void end_expiry(struct tracker *tracker)
{
    struct tracker_expiry *expiry = &tracker->expiry;
    expiry->is_walking = false;
    if (expiry->cleared > 0)
        log_info("%zu jobs ended more than jobs.keep_finished_h ago: their topics are cleared",
            expiry->cleared);
    timer_set(&expiry->timer, loop_now(tracker->loop) + expiry->wait_ms);
}

static void expire(struct tracker *tracker, struct job *job, int64_t now_unix_ms)
{
    struct tracker_expiry *expiry = &tracker->expiry;
    if (job->cleared || job->ended_ms == 0)
        return;
    if (!tracker_has_expired(tracker, job, now_unix_ms)) {
        int64_t left = job->ended_ms + tracker->keep_finished_ms - now_unix_ms;
        expiry->wait_ms = left < expiry->wait_ms ? left : expiry->wait_ms;
        return;
    }
    log_debug("%s ended more than jobs.keep_finished_h ago", job->id);
    expiry->cleared++;
    jobs_set_published(tracker->jobs, job);
    jobs_set_cleared(job, true);
    tracker_clear_topics(tracker, job->id);
}

/* Clears what is due, and comes again when the next is, at the latest in a minute: the clock may
 * be set. */
static void fire_expiry(void *ctx)
{
    struct tracker *tracker = ctx;
    int64_t begun = loop_turn_begin(), now = clock_unix_ms();
    if (!tracker->expiry.is_walking)
        begin_expiry(tracker);
    while (!is_backed_up(tracker) && !loop_turn_is_over(begun)) {
        struct job *job = jobs_walk_next(tracker->jobs, JOBS_WALK_EXPIRED);
        if (!job) {
            end_expiry(tracker);
            return;
        }
        expire(tracker, job, now);
    }
    take_another_turn(tracker, &tracker->expiry.timer);
}

void tracker_begin_expiry(struct tracker *tracker, int64_t in_ms)
{
    if (tracker->keep_finished_ms > 0)
        timer_set(&tracker->expiry.timer, loop_now(tracker->loop) + in_ms);
}

/* ---- States that are to be said again */

static void fire_unsaid(void *ctx)
{
    struct tracker *tracker = ctx;
    int64_t begun = loop_turn_begin();
    struct job *job;
    while (!loop_turn_is_over(begun)) {
        if (!(job = jobs_walk_next(tracker->jobs, JOBS_WALK_UNSAID)))
            return;
        if (!job->cleared)
            jobs_set_unpublished(tracker->jobs, job);
    }
    timer_set(&tracker->unsaid_timer, loop_now(tracker->loop));
}

void tracker_republish_all(struct tracker *tracker)
{
    ids_drop_all(&tracker->refused);
    jobs_walk_begin(tracker->jobs, JOBS_WALK_UNSAID);
    fire_unsaid(tracker);
}

bool tracker_is_said(const struct tracker *tracker)
{
    return jobs_walk_is_over(tracker->jobs, JOBS_WALK_UNSAID) &&
           !jobs_next_unpublished(tracker->jobs);
}

/* ---- Life */

void tracker_init_turns(struct tracker *tracker)
{
    timer_init(&tracker->missing.timer, tracker->loop, fire_missing, tracker);
    timer_init(&tracker->expiry.timer, tracker->loop, fire_expiry, tracker);
    timer_init(&tracker->unsaid_timer, tracker->loop, fire_unsaid, tracker);
    tracker_begin_expiry(tracker, EXPIRY_INTERVAL_MS);
}

void tracker_stop_turns(struct tracker *tracker)
{
    timer_stop(&tracker->missing.timer);
    timer_stop(&tracker->expiry.timer);
}

void tracker_clear_turns(struct tracker *tracker)
{
    tracker_stop_turns(tracker);
    timer_stop(&tracker->unsaid_timer);
}
