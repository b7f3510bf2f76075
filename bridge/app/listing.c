/*
 * How the tracker takes in a list of jobs, of which there may be a million: in turns, so that
 * nothing else has to wait. Each is walked twice: a list that breaks off changes nothing.
 */
#include <assert.h>

#include "counters.h"
#include "tracker_private.h"

#define LOG_TAG "jobs"
#include "log.h"

/* The first of the queue, where there is one, from its beginning. */
static void begin_next(struct tracker *tracker)
{
    struct tracker_listing *listing = &tracker->listing;
    const struct tracker_list *list = TAILQ_FIRST(&listing->queue);
    jobs_expect_list(tracker->jobs, list != NULL);
    if (!list)
        return;
    tracker_hold_missing(tracker);
    listing->applies = false;
    listing->result = json_array_begin(&listing->array, list->body, list->length);
    timer_set(&listing->timer, loop_now(tracker->loop));
}

/* It is whole: now for what it says. */
static void begin_applying(struct tracker *tracker, const struct tracker_list *list)
{
    struct tracker_listing *listing = &tracker->listing;
    listing->applies = true;
    listing->complete = true;
    listing->result = json_array_begin(&listing->array, list->body, list->length);
    jobs_list_begin(tracker->jobs);
}

/* Returns whether the element leaves no doubt about which job it means. */
static bool apply_element(
    struct tracker *tracker, const struct tracker_list *list, struct json_slice element)
{
    enum job_update_result result = job_update_read(&tracker->update, element.at, element.length);
    /* Where a list names a job twice the first entry counts, or each reading would be a change. */
    if (result == JOB_UPDATE_OK && !jobs_list_has_seen(tracker->jobs, tracker->update.id))
        tracker_apply(tracker, list->mark, true, list->source, false);
    else if (result != JOB_UPDATE_OK)
        tracker_report_unusable(tracker, result, "an entry of the list of jobs");
    if (result == JOB_UPDATE_OK || result == JOB_UPDATE_NO_STATUS)
        jobs_list_saw(tracker->jobs, tracker->update.id);
    return result == JOB_UPDATE_OK || result == JOB_UPDATE_NO_STATUS ||
           result == JOB_UPDATE_REFUSED_ID;
}

static void end_applying(struct tracker *tracker, const struct tracker_list *list)
{
    bool complete = tracker->listing.complete;
    tracker->counters->last_list_ms = loop_now(tracker->loop);
    if (complete && list->removes)
        tracker_remove_missing(tracker, list->mark, list->source);
    else
        tracker_resume_missing(tracker);
    if (!complete)
        log_warn_limited(&tracker->list_limit, loop_now(tracker->loop), "%s",
            "the list of jobs has entries that cannot be read: jobs that it lacks are kept");
    if (tracker->has_list)
        return;
    tracker->has_list = true;
    tracker_note_counts(tracker);
    log_info("the list of jobs has been read: %zu jobs are known", jobs_count(tracker->jobs));
    tracker_begin_expiry(tracker, 0);
    tracker->handler.on_changed(tracker->handler.ctx);
}

static void take_out(struct tracker *tracker, struct tracker_list *list)
{
    TAILQ_REMOVE(&tracker->listing.queue, list, link);
    list->tracker = NULL;
}

static void end_list(struct tracker *tracker, struct tracker_list *list)
{
    struct tracker_listing *listing = &tracker->listing;
    struct error error;
    bool is_whole = listing->result == JSON_END;
    if (is_whole) {
        end_applying(tracker, list);
    } else {
        char described[JSON_DESCRIBED];
        json_describe(described, sizeof described, listing->result, &listing->array.problem);
        error_set(&error, ERROR_UPSTREAM, "the list of jobs is %s", described);
        tracker_resume_missing(tracker);
    }
    take_out(tracker, list);
    begin_next(tracker);
    list->done(list->ctx, is_whole ? NULL : &error);
}

static void step(struct tracker *tracker, const struct tracker_list *list)
{
    struct tracker_listing *listing = &tracker->listing;
    struct json_slice element;
    listing->result = json_array_next(&listing->array, &element);
    if (listing->result == JSON_OK && listing->applies)
        listing->complete = apply_element(tracker, list, element) && listing->complete;
    else if (listing->result == JSON_END && !listing->applies)
        begin_applying(tracker, list);
}

static void fire_listing(void *ctx)
{
    struct tracker *tracker = ctx;
    struct tracker_listing *listing = &tracker->listing;
    struct tracker_list *list = TAILQ_FIRST(&listing->queue);
    int64_t begun = loop_turn_begin();
    while (listing->result == JSON_OK && !loop_turn_is_over(begun))
        step(tracker, list);
    if (listing->result == JSON_OK)
        timer_set(&listing->timer, loop_now(tracker->loop));
    else
        end_list(tracker, list);
}

void tracker_take_list(struct tracker *tracker, struct tracker_list *list)
{
    bool is_first = TAILQ_EMPTY(&tracker->listing.queue);
    assert(!list->tracker);
    list->tracker = tracker;
    TAILQ_INSERT_TAIL(&tracker->listing.queue, list, link);
    if (is_first)
        begin_next(tracker);
}

void tracker_drop_list(struct tracker_list *list)
{
    struct tracker *tracker = list->tracker;
    if (!tracker)
        return;
    bool is_first = list == TAILQ_FIRST(&tracker->listing.queue);
    take_out(tracker, list);
    if (!is_first)
        return;
    tracker_resume_missing(tracker);
    timer_stop(&tracker->listing.timer);
    begin_next(tracker);
}

void tracker_init_listing(struct tracker *tracker)
{
    TAILQ_INIT(&tracker->listing.queue);
    timer_init(&tracker->listing.timer, tracker->loop, fire_listing, tracker);
}

void tracker_clear_listing(struct tracker *tracker)
{
    assert(TAILQ_EMPTY(&tracker->listing.queue));
    timer_stop(&tracker->listing.timer);
}
