/* What is known of the jobs, and what of it has to be said. */
#include "tracker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "counters.h"
#include "mem.h"
#include "publisher.h"
#include "tracker_private.h"

#define LOG_TAG "jobs"
#include "log.h"

#define COUNTS_INTERVAL_MS 1000
#define HOUR_MS            3600000
/* Bytes of a job_id that cannot be used. */
#define ID_SHOWN 80

static void fire_counts(void *ctx);

struct tracker *tracker_new(struct loop *loop, struct publisher *publisher,
    const struct config *config, struct counters *counters, const struct tracker_handler *handler)
{
    struct tracker *tracker = xcalloc(1, sizeof *tracker);
    tracker->loop = loop;
    tracker->publisher = publisher;
    tracker->counters = counters;
    tracker->handler = *handler;
    tracker->names_matter = config->homeassistant.enabled;
    tracker->root = config->mqtt.topic;
    tracker->keep_finished_ms = (int64_t)config->jobs.keep_finished_h * HOUR_MS;
    tracker->hidden = (struct job_hidden){config->jobs.hide.items, config->jobs.hide.count};
    tracker->jobs = jobs_new(&tracker->hidden);
    tracker->first_start = true;
    buf_init(&tracker->topic, UINT16_MAX);
    buf_init(&tracker->payload, LIMIT_JOB_RECORD + 1024);
    tracker->counts_ms = loop_now(loop) - COUNTS_INTERVAL_MS;
    timer_init(&tracker->counts_timer, loop, fire_counts, tracker);
    tracker_init_turns(tracker);
    tracker_init_listing(tracker);
    return tracker;
}

void tracker_free(struct tracker *tracker)
{
    if (!tracker)
        return;
    timer_stop(&tracker->counts_timer);
    tracker_clear_listing(tracker);
    tracker_clear_turns(tracker);
    jobs_free(tracker->jobs);
    ids_clear(&tracker->refused);
    idset_clear(&tracker->clearing);
    job_update_clear(&tracker->update);
    json_object_clear(&tracker->object);
    buf_clear(&tracker->topic);
    buf_clear(&tracker->payload);
    free(tracker);
}

uint64_t tracker_mark(const struct tracker *tracker)
{
    return jobs_mark(tracker->jobs);
}

struct jobs *tracker_jobs(const struct tracker *tracker)
{
    return tracker->jobs;
}

bool tracker_has_list(const struct tracker *tracker)
{
    return tracker->has_list;
}

/* ---- Saying it */

/* Sends tracker->payload; an empty one clears the topic and carries no content type. */
static void send_job_topic(struct tracker *tracker, const char *id, const char *leaf, bool retain)
{
    buf_reset(&tracker->topic);
    topic_append_job(&tracker->topic, tracker->root, id, leaf);
    if (tracker->payload.failed || tracker->topic.failed) {
        log_error_limited(&tracker->large_limit, loop_now(tracker->loop),
            "%s: its %s is too large to be published: the topic keeps what it had", id, leaf);
        return;
    }
    struct outbox_message message = {
        .topic = tracker->topic.data,
        .payload = tracker->payload.data,
        .payload_length = tracker->payload.length,
        .retain = retain,
        .json = tracker->payload.length > 0,
        /* One for each event of the stream: its state, not the event that may follow from it. */
        .received_ms = retain ? tracker->received_ms : 0,
    };
    publisher_send(tracker->publisher, &message);
}

static void say_state(struct tracker *tracker, struct job *job)
{
    jobs_set_published(tracker->jobs, job);
    jobs_set_cleared(job, false);
    buf_reset(&tracker->payload);
    payload_state(&tracker->payload, job);
    send_job_topic(tracker, job->id, "state", true);
}

static void clear_state(struct tracker *tracker, const char *id)
{
    buf_reset(&tracker->payload);
    send_job_topic(tracker, id, "state", true);
}

void tracker_clear_topics(struct tracker *tracker, const char *id)
{
    idset_remove(&tracker->clearing, id);
    if (tracker->handler.on_gone(tracker->handler.ctx, id))
        idset_add(&tracker->clearing, id);
    else
        clear_state(tracker, id);
    tracker->handler.on_changed(tracker->handler.ctx);
}

void tracker_clear(struct tracker *tracker, const char *id)
{
    const struct job *job = jobs_find(tracker->jobs, id);
    if (idset_remove(&tracker->clearing, id) && (!job || job->cleared))
        clear_state(tracker, id);
}

/* A job that was gone is there again: what it had before is cleared before anything new is said. */
static void clear_before_return(struct tracker *tracker, const char *id)
{
    if (idset_remove(&tracker->clearing, id))
        clear_state(tracker, id);
}

static void say_event(struct tracker *tracker, const struct job *job, const char *event_type,
    const char *previous, enum payload_source source)
{
    buf_reset(&tracker->payload);
    payload_event(
        &tracker->payload, job, event_type, previous, source, clock_unix_ms(), &tracker->object);
    send_job_topic(tracker, job->id, "event", false);
}

static void say_counts(struct tracker *tracker)
{
    tracker->counts_changed = false;
    tracker->counts_ms = loop_now(tracker->loop);
    buf_reset(&tracker->payload);
    payload_counts(&tracker->payload, tracker->jobs);
    publisher_set(
        tracker->publisher, OWNTOPIC_JOBS, tracker->payload.data, tracker->payload.length);
}

/*
 * At most once a second. The counts at the broker also mark that an earlier run got as far as
 * publishing all it had found: they wait until every job of the first list stands on its topic.
 */
static void fire_counts(void *ctx)
{
    struct tracker *tracker = ctx;
    if (!tracker->counts_changed || !tracker->has_list)
        return;
    if (tracker->first_start && !tracker_is_said(tracker))
        return;
    tracker->first_start = false;
    say_counts(tracker);
}

void tracker_flush(struct tracker *tracker)
{
    bool unfinished = tracker->first_start && !tracker_is_said(tracker);
    tracker_stop_turns(tracker);
    if (tracker->counts_changed && tracker->has_list && !unfinished)
        say_counts(tracker);
}

void tracker_note_counts(struct tracker *tracker)
{
    tracker->counts_changed = true;
    if (!timer_is_set(&tracker->counts_timer))
        timer_set(&tracker->counts_timer, tracker->counts_ms + COUNTS_INTERVAL_MS);
}

void tracker_fill(struct tracker *tracker, size_t room)
{
    struct job *job;
    while (room-- > 0 && (job = jobs_next_unpublished(tracker->jobs)))
        say_state(tracker, job);
    if (tracker->first_start && tracker->counts_changed && tracker->has_list &&
        !timer_is_set(&tracker->counts_timer) && tracker_is_said(tracker))
        timer_set(&tracker->counts_timer, loop_now(tracker->loop));
}

void tracker_refused(struct tracker *tracker, const char *topic)
{
    struct topic_parts parts;
    topic_parse(&parts, tracker->root, topic, strlen(topic));
    if (parts.kind != TOPIC_JOB_STATE || tracker->refused.count >= LIMIT_REFUSED)
        return;
    struct buf id;
    buf_init(&id, LIMIT_JOB_ID);
    if (topic_decode_level(&id, parts.level, parts.level_length))
        ids_take(&tracker->refused, xmemdup0(id.data, id.length));
    buf_clear(&id);
}

void tracker_again(struct tracker *tracker)
{
    bool all = tracker->refused.count >= LIMIT_REFUSED;
    while (tracker->refused.count > 0) {
        char *id = ids_last(&tracker->refused);
        struct job *job = jobs_find(tracker->jobs, id);
        if (job && !job->cleared)
            jobs_set_unpublished(tracker->jobs, job);
        else
            clear_state(tracker, id);
        free(id);
    }
    if (all)
        tracker_republish_all(tracker);
}

/* ---- Learning it */

/* What is wrong with the text that is no update. */
static const char *describe_update(
    const struct tracker *tracker, char described[static JSON_DESCRIBED])
{
    const struct job_update *update = &tracker->update;
    json_describe(described, JSON_DESCRIBED, update->json, &update->object.problem);
    return described;
}

/* Names the job as far as it is known; the rest of the text may hold what nobody should read. */
void tracker_report_unusable(
    struct tracker *tracker, enum job_update_result result, const char *where)
{
    char described[JSON_DESCRIBED];
    const char *why = job_update_result_text(result);
    const struct json_member *id = NULL;
    if (result == JOB_UPDATE_NOT_JSON)
        why = describe_update(tracker, described);
    else
        id = json_find(&tracker->update.object, "job_id");
    tracker->counters->ids_refused += result == JOB_UPDATE_REFUSED_ID;
    log_warn_limited(&tracker->limits[result], loop_now(tracker->loop), "%s is skipped: %s%s%.*s",
        where, why, id ? "; job_id: " : "",
        id ? (int)(id->value.length < ID_SHOWN ? id->value.length : ID_SHOWN) : 0,
        id ? id->value.at : "");
}

/* At the first start nobody knows what existed before: a job that the first list shows is no news.
 * One that the stream tells of is. One that ended long ago has been told of, and was cleared. */
static bool is_merely_found(
    const struct tracker *tracker, const struct job_change *change, enum payload_source source)
{
    if (!change->created || source == PAYLOAD_STREAM)
        return false;
    return ((tracker->first_start || tracker->memory_has_gaps) && !tracker->has_list) ||
           tracker_has_expired(tracker, change->job, clock_unix_ms());
}

/*
 * Says the state, at once or when there is room: a first list may hold a hundred thousand jobs.
 */
static void say_or_queue(struct tracker *tracker, const struct job_change *change, bool at_once)
{
    struct job *job = change->job;
    if (at_once)
        say_state(tracker, job);
    else if (change->created && tracker_has_expired(tracker, job, clock_unix_ms()))
        jobs_set_cleared(job, true);
    else if (change->changed && !job->cleared)
        jobs_set_unpublished(tracker->jobs, job);
}

/* Only a server that has gone mad, or bad, has that many jobs. */
void tracker_report_full(struct tracker *tracker)
{
    log_warn_limited(&tracker->full_limit, loop_now(tracker->loop),
        "%zu jobs are known, which take %u MiB: news of %s is skipped until others are gone",
        jobs_count(tracker->jobs), LIMIT_JOBS_BYTES >> 20, tracker->update.id);
}

bool tracker_apply(
    struct tracker *tracker, uint64_t mark, bool from_list, enum payload_source source, bool always)
{
    struct job_change change;
    int64_t now = clock_unix_ms();
    jobs_apply(tracker->jobs, &tracker->update, mark, from_list, now, &change);
    if (!change.job) {
        if (source == PAYLOAD_STREAM)
            tracker->counters->events_skipped[COUNTERS_SKIP_NOT_KEPT]++;
        if (change.full)
            tracker_report_full(tracker);
        return change.gone;
    }
    if (change.created)
        clear_before_return(tracker, change.job->id);
    bool is_news = change.status_changed && !is_merely_found(tracker, &change, source);
    if (always)
        jobs_set_observed(change.job, now);
    say_or_queue(tracker, &change, always || is_news);
    if (is_news)
        say_event(tracker, change.job, tracker->update.status, change.previous, source);
    if (change.status_changed) {
        tracker_note_counts(tracker);
        log_debug("%s: %s -> %s", change.job->id, change.created ? "not known" : change.previous,
            tracker->update.status);
    }
    if (change.status_changed || (tracker->names_matter && change.changed &&
                                     json_find(&tracker->update.object, "sample_name")))
        tracker->handler.on_changed(tracker->handler.ctx);
    return change.created;
}

bool tracker_event(struct tracker *tracker, const char *data, size_t length)
{
    static const enum counters_skip skips[JOB_UPDATE_RESULTS] = {
        [JOB_UPDATE_NOT_JSON] = COUNTERS_SKIP_NOT_JSON,
        [JOB_UPDATE_AMBIGUOUS] = COUNTERS_SKIP_AMBIGUOUS,
        [JOB_UPDATE_NO_ID] = COUNTERS_SKIP_NO_ID,
        [JOB_UPDATE_REFUSED_ID] = COUNTERS_SKIP_BAD_ID,
        [JOB_UPDATE_NO_STATUS] = COUNTERS_SKIP_NO_STATUS,
    };
    enum job_update_result result = job_update_read(&tracker->update, data, length);
    if (result != JOB_UPDATE_OK) {
        tracker->counters->events_skipped[skips[result]]++;
        tracker_report_unusable(tracker, result, "an event of the stream");
        return false;
    }
    tracker->received_ms = loop_now(tracker->loop);
    bool is_new = tracker_apply(tracker, JOBS_NOW, false, PAYLOAD_STREAM, true);
    tracker->received_ms = 0;
    return is_new;
}

/* ---- Answers about one job */

bool tracker_answer(struct tracker *tracker, const char *id, const char *body, size_t length,
    uint64_t mark, enum payload_source source, struct error *error)
{
    enum job_update_result result = job_update_read(&tracker->update, body, length);
    char described[JSON_DESCRIBED];
    if (result == JOB_UPDATE_NOT_JSON)
        return error_set(
            error, ERROR_UPSTREAM, "the answer is %s", describe_update(tracker, described));
    if (result != JOB_UPDATE_OK)
        return error_set(
            error, ERROR_UPSTREAM, "the answer cannot be used: %s", job_update_result_text(result));
    if (strcmp(tracker->update.id, id) != 0)
        return error_set(
            error, ERROR_UPSTREAM, "the answer is about job %s, not %s", tracker->update.id, id);
    tracker_apply(tracker, mark, false, source, source == PAYLOAD_COMMAND);
    return true;
}

void tracker_forget(struct tracker *tracker, const struct job *job, enum payload_source source,
    enum log_level level)
{
    char previous[LIMIT_STATUS + 1], id[LIMIT_JOB_ID + 1];
    snprintf(id, sizeof id, "%s", job->id);
    jobs_status_name(tracker->jobs, job, previous);
    say_event(tracker, job, "deleted", previous, source);
    tracker_clear_topics(tracker, id);
    tracker_note_counts(tracker);
    log_write(level, LOG_TAG, "%s is gone from AIVA: its topics are cleared", id);
    jobs_remove(tracker->jobs, id);
}

void tracker_gone(struct tracker *tracker, const char *id, enum payload_source source)
{
    const struct job *job = jobs_find(tracker->jobs, id);
    if (job)
        tracker_forget(tracker, job, source, LOG_LEVEL_INFO);
    else
        jobs_remove(tracker->jobs, id);
}
