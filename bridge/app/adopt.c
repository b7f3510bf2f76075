/* The tracker's beginning: what the broker remembers of an earlier run, and at each later
 * connection. */
#include <string.h>

#include "clock.h"
#include "publisher.h"
#include "tracker_private.h"

#define LOG_TAG "jobs"
#include "log.h"

static int64_t observed_at(const struct json_object *object)
{
    int64_t observed = clock_unix_ms();
    const struct json_member *member = json_find(object, "observed_at");
    if (member && json_is_string(member->value))
        clock_parse(member->value.at + 1, member->value.length - 2, &observed);
    return observed;
}

/* What stands there and is not ours to understand would otherwise stand there for ever. */
static void clear_level(struct tracker *tracker, const char *level, size_t length)
{
    buf_reset(&tracker->topic);
    buf_printf(&tracker->topic, "%s/jobs/%.*s/state", tracker->root, (int)length, level);
    struct outbox_message message = {.topic = tracker->topic.data, .payload = "", .retain = true};
    publisher_send(tracker->publisher, &message);
}

void tracker_adopt(struct tracker *tracker, const char *level, size_t level_length,
    const char *payload, size_t length)
{
    if (job_update_read(&tracker->update, payload, length) != JOB_UPDATE_OK ||
        !topic_is_level_of(tracker->update.id, strlen(tracker->update.id), level, level_length)) {
        log_warn_limited(&tracker->foreign_limit, loop_now(tracker->loop),
            "%s/jobs/%.*s/state held something that is no job's state: it is cleared",
            tracker->root, (int)level_length, level);
        clear_level(tracker, level, level_length);
        return;
    }
    struct job_change change;
    jobs_apply(tracker->jobs, &tracker->update, jobs_mark(tracker->jobs), true,
        observed_at(&tracker->update.object), &change);
    if (change.full)
        tracker_report_full(tracker);
    if (!change.job)
        return;
    /* A member that is to be hidden from now on still stands there. And what a connection before
     * this one has shown counts only where it is seen again. */
    buf_reset(&tracker->payload);
    payload_state(&tracker->payload, change.job);
    if (tracker->payload.length != length || memcmp(tracker->payload.data, payload, length) != 0)
        jobs_set_unpublished(tracker->jobs, change.job);
    else
        jobs_set_published(tracker->jobs, change.job);
    tracker_note_counts(tracker);
}

void tracker_check_level(struct tracker *tracker, const char *level, size_t level_length,
    const char *payload, size_t length)
{
    bool is_job =
        job_update_read(&tracker->update, payload, length) == JOB_UPDATE_OK &&
        topic_is_level_of(tracker->update.id, strlen(tracker->update.id), level, level_length);
    const struct job *job = is_job ? jobs_find(tracker->jobs, tracker->update.id) : NULL;
    if (job && !job->cleared)
        return;
    log_info_limited(&tracker->again_limit, loop_now(tracker->loop),
        "%s/jobs/%.*s/state is of no job that is known: it is cleared", tracker->root,
        (int)level_length, level);
    if (is_job)
        tracker_clear_topics(tracker, tracker->update.id);
    else
        clear_level(tracker, level, level_length);
}

static size_t whole_number(struct json_slice value)
{
    size_t number = 0;
    for (size_t i = 0; i < value.length && value.at[i] >= '0' && value.at[i] <= '9'; i++)
        number = 10 * number + (size_t)(value.at[i] - '0');
    return number;
}

void tracker_adopt_counts(struct tracker *tracker, const char *payload, size_t length)
{
    tracker->first_start = false;
    if (json_object_read(&tracker->object, payload, length) != JSON_OK)
        return;
    const struct json_member *total = json_find(&tracker->object, "total");
    if (total)
        tracker->counted_before = whole_number(total->value);
}

size_t tracker_end_adoption(struct tracker *tracker)
{
    size_t adopted = jobs_count(tracker->jobs);
    /* Jobs whose topics were cleared for age were counted too. */
    if (tracker->keep_finished_ms > 0 || tracker->counted_before <= adopted)
        return 0;
    tracker->memory_has_gaps = true;
    return tracker->counted_before - adopted;
}
