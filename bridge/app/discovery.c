/*
 * Devices in Home Assistant. What is sent when is decided in core: here it is joined with the jobs,
 * the broker and the clock. Nothing is rendered for an event of the stream: only when the jobs that
 * are shown, or their names, have changed.
 */
#include "discovery.h"

#include <stdlib.h>
#include <string.h>

#include "announcer.h"
#include "buf.h"
#include "config.h"
#include "entropy.h"
#include "ha.h"
#include "hafound.h"
#include "haid.h"
#include "leftovers.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "publisher.h"
#include "shown.h"
#include "tracker.h"
#include "version.h"

#define LOG_TAG "discovery"
#include "log.h"

#define REVIEW_SOON_MS     100
#define REVIEW_INTERVAL_MS 1000
/* Home Assistant is busy when it has just started, and other programs answer it too. */
#define REPEAT_AFTER_MS  1000
#define REPEAT_SPREAD_MS 2000

enum home { HOME_UNKNOWN, HOME_ONLINE, HOME_OFFLINE };

/* Of a review, which is done in turns. */
enum stage { STAGE_NONE, STAGE_CHOOSING, STAGE_SHOWING };

struct discovery {
    struct loop *loop;
    const struct config *config;
    struct tracker *tracker;
    struct publisher *publisher;
    struct discovery_handler handler;
    struct job_hidden hidden;
    struct ha ha;
    struct announcer *announcer;
    struct leftovers *leftovers;
    struct shown *shown;
    enum stage stage;
    size_t chosen, reviewed; /* how many are to be shown; and of them, how many were looked at */
    bool review_again;       /* something has changed since the review began */
    enum home home;
    bool reading; /* there is no connection, or what the broker has is still coming in */
    bool stopped;
    struct timer pump_timer, review_timer;
    int64_t reviewed_ms;
    struct log_limit large_limit;
    struct json_object object; /* scratch */
    struct buf topic, payload; /* scratch */
};

static void pump(void *ctx);
static void review(void *ctx);
static void on_prefixes(void *ctx);
static void on_listen(void *ctx, const char *prefix, bool listen);

/* ---- Life */

struct discovery *discovery_new(struct loop *loop, const struct config *config,
    struct tracker *tracker, struct publisher *publisher, const struct discovery_handler *handler)
{
    struct discovery *discovery = xcalloc(1, sizeof *discovery);
    size_t places = (size_t)config->homeassistant.max_jobs;
    discovery->loop = loop;
    discovery->config = config;
    discovery->tracker = tracker;
    discovery->publisher = publisher;
    discovery->handler = *handler;
    discovery->hidden = (struct job_hidden){config->jobs.hide.items, config->jobs.hide.count};
    discovery->ha = (struct ha){.root = config->mqtt.topic,
        .client_id = config->mqtt.client_id,
        .version = BRIDGE_VERSION,
        .allow = config->commands.allow,
        .hidden = &discovery->hidden};
    discovery->announcer = announcer_new(places);
    discovery->shown = shown_new(places);
    discovery->reading = true;
    discovery->reviewed_ms = loop_now(loop) - REVIEW_INTERVAL_MS;
    timer_init(&discovery->pump_timer, loop, pump, discovery);
    timer_init(&discovery->review_timer, loop, review, discovery);
    buf_init(&discovery->topic, UINT16_MAX);
    buf_init(&discovery->payload, LIMIT_DISCOVERY);
    discovery->leftovers = leftovers_new(loop, config, discovery->announcer,
        &(struct leftovers_handler){discovery, on_prefixes, on_listen, pump});
    return discovery;
}

void discovery_free(struct discovery *discovery)
{
    if (!discovery)
        return;
    timer_stop(&discovery->pump_timer);
    timer_stop(&discovery->review_timer);
    leftovers_free(discovery->leftovers);
    announcer_free(discovery->announcer);
    shown_free(discovery->shown);
    json_object_clear(&discovery->object);
    buf_clear(&discovery->topic);
    buf_clear(&discovery->payload);
    free(discovery);
}

/* ---- Sending */

static void on_done(void *ctx, bool taken);

static bool send(struct discovery *discovery, const struct announcement *announcement)
{
    log_debug("%s: %s", announcement->topic, announcement->length > 0 ? "announced" : "cleared");
    return publisher_send(
        discovery->publisher, &(struct outbox_message){.topic = announcement->topic,
                                  .payload = announcement->payload,
                                  .payload_length = announcement->length,
                                  .retain = true,
                                  .json = announcement->length > 0,
                                  .done = on_done,
                                  .ctx = discovery});
}

static void end_message(struct discovery *discovery, bool taken)
{
    enum announcer_end end = discovery->home == HOME_ONLINE ? ANNOUNCER_SEEN : ANNOUNCER_TAKEN;
    announcer_done(
        discovery->announcer, loop_now(discovery->loop), taken ? end : ANNOUNCER_GIVEN_UP);
}

/* Sends what is due; comes again when the next is. Nothing waits in the outbox for a broker that is
 * not there: it would be sent without a pause between. */
static void pump(void *ctx)
{
    struct discovery *discovery = ctx;
    struct announcement announcement;
    int64_t wake_ms;
    if (discovery->reading || discovery->stopped)
        return;
    if (announcer_next(discovery->announcer, loop_now(discovery->loop), &announcement, &wake_ms)) {
        bool queued = send(discovery, &announcement);
        /* Behind it in the same queue: the device goes before its job's state. */
        if (announcement.job_id)
            discovery->handler.on_let_go(discovery->handler.ctx, announcement.job_id);
        if (!queued) {
            end_message(discovery, false);
            timer_set(&discovery->pump_timer, loop_now(discovery->loop) + ANNOUNCER_PACE_MS);
        }
    } else if (wake_ms != INT64_MAX) {
        timer_set(&discovery->pump_timer, wake_ms);
    }
}

static void on_done(void *ctx, bool taken)
{
    struct discovery *discovery = ctx;
    end_message(discovery, taken);
    leftovers_go_on(discovery->leftovers);
    pump(discovery);
}

void discovery_again(struct discovery *discovery)
{
    announcer_again(discovery->announcer);
    pump(discovery);
}

/* ---- What is to be shown */

/* discovery->topic becomes that of the job's device; of the bridge's where job_id is NULL. */
static void name_topic(struct discovery *discovery, const char *job_id)
{
    struct buf object_id;
    buf_init(&object_id, UINT16_MAX);
    if (job_id)
        haid_append_job(&object_id, discovery->config->mqtt.topic, job_id);
    else
        haid_append_bridge(&object_id, discovery->config->mqtt.topic);
    buf_reset(&discovery->topic);
    ha_append_topic(&discovery->topic, discovery->config->homeassistant.prefix, object_id.data);
    buf_clear(&object_id);
}

/* discovery->topic is to have discovery->payload. */
static void show(struct discovery *discovery, enum announcer_kind kind, const char *name)
{
    const struct buf *topic = &discovery->topic, *payload = &discovery->payload;
    struct announcer_device device = {.topic = topic->data, .kind = kind, .name = name};
    struct buf farewell;
    size_t length;
    if (topic->failed || payload->failed) {
        log_error_limited(&discovery->large_limit, loop_now(discovery->loop),
            "%s: the device is too large to be announced", name);
        return;
    }
    buf_init(&farewell, LIMIT_DISCOVERY);
    const char *standing = announcer_standing(discovery->announcer, topic->data, &length);
    if (standing &&
        hafound_append_farewell(&farewell, standing, length, payload->data, payload->length)) {
        device.farewell = farewell.data;
        device.farewell_length = farewell.length;
    }
    announcer_show(discovery->announcer, &device, payload->data, payload->length);
    buf_clear(&farewell);
}

static void show_bridge(struct discovery *discovery)
{
    name_topic(discovery, NULL);
    buf_reset(&discovery->payload);
    ha_append_bridge(&discovery->payload, &discovery->ha);
    show(discovery, ANNOUNCER_BRIDGE, "");
}

static void show_job(struct discovery *discovery, const struct job *job)
{
    struct buf name;
    buf_init(&name, LIMIT_DISCOVERY);
    ha_append_name(&name, job, discovery->config->homeassistant.device_name, &discovery->object);
    name_topic(discovery, job->id);
    if (!announcer_keep(discovery->announcer, discovery->topic.data, name.data)) {
        buf_reset(&discovery->payload);
        ha_append_job(&discovery->payload, &discovery->ha, job->id, name.data);
        show(discovery, ANNOUNCER_JOB, name.data);
    }
    buf_clear(&name);
}

static bool is_shown(void *ctx, const struct job *job)
{
    struct discovery *discovery = ctx;
    name_topic(discovery, job->id);
    return announcer_has(discovery->announcer, discovery->topic.data);
}

static void begin_review(struct discovery *discovery)
{
    discovery->stage = STAGE_CHOOSING;
    discovery->review_again = false;
    discovery->reviewed_ms = loop_now(discovery->loop);
    shown_begin(discovery->shown, tracker_jobs(discovery->tracker));
    jobs_walk_begin(tracker_jobs(discovery->tracker), JOBS_WALK_SHOWN);
}

/* False where there is more to look at. */
static bool choose_on(struct discovery *discovery, int64_t begun)
{
    struct jobs *jobs = tracker_jobs(discovery->tracker);
    const struct job *job;
    while ((job = jobs_walk_next(jobs, JOBS_WALK_SHOWN))) {
        shown_take(discovery->shown, job, is_shown, discovery);
        if (loop_turn_is_over(begun))
            return false;
    }
    discovery->chosen = shown_end(discovery->shown);
    discovery->reviewed = 0;
    discovery->stage = STAGE_SHOWING;
    announcer_review_begin(discovery->announcer);
    return true;
}

static bool show_on(struct discovery *discovery, int64_t begun)
{
    const struct jobs *jobs = tracker_jobs(discovery->tracker);
    while (discovery->reviewed < discovery->chosen) {
        const struct job *job = jobs_find(jobs, shown_id(discovery->shown, discovery->reviewed++));
        if (job && !job->cleared)
            show_job(discovery, job);
        if (loop_turn_is_over(begun))
            return false;
    }
    announcer_review_end(discovery->announcer);
    discovery->stage = STAGE_NONE;
    return true;
}

/* Until the first list is there, what stands at the broker stays. */
static void review(void *ctx)
{
    struct discovery *discovery = ctx;
    int64_t begun = loop_turn_begin();
    if (discovery->reading || discovery->stopped || !tracker_has_list(discovery->tracker)) {
        discovery->stage = STAGE_NONE;
        return;
    }
    if (discovery->stage == STAGE_NONE)
        begin_review(discovery);
    bool done = discovery->stage == STAGE_SHOWING || choose_on(discovery, begun);
    if (!done || !show_on(discovery, begun)) {
        timer_set(&discovery->review_timer, loop_now(discovery->loop));
        return;
    }
    if (discovery->review_again)
        discovery_jobs_changed(discovery);
    pump(discovery);
}

void discovery_jobs_changed(struct discovery *discovery)
{
    discovery->review_again = true;
    if (!discovery->config->homeassistant.enabled || discovery->stopped ||
        timer_is_set(&discovery->review_timer))
        return;
    int64_t soon = loop_now(discovery->loop) + REVIEW_SOON_MS;
    int64_t next = discovery->reviewed_ms + REVIEW_INTERVAL_MS;
    timer_set(&discovery->review_timer, next > soon ? next : soon);
}

bool discovery_let_go(struct discovery *discovery, const char *job_id)
{
    if (!discovery->config->homeassistant.enabled || discovery->stopped)
        return false;
    name_topic(discovery, job_id);
    if (!announcer_remove(discovery->announcer, discovery->topic.data, job_id))
        return false;
    timer_set(&discovery->pump_timer, loop_now(discovery->loop));
    return true;
}

void discovery_stop(struct discovery *discovery)
{
    struct announcement announcement;
    discovery->stopped = true;
    timer_stop(&discovery->pump_timer);
    timer_stop(&discovery->review_timer);
    leftovers_stop(discovery->leftovers);
    while (announcer_settle(discovery->announcer, loop_now(discovery->loop), &announcement)) {
        if (announcement.topic)
            send(discovery, &announcement);
        discovery->handler.on_let_go(discovery->handler.ctx, announcement.job_id);
    }
}

/* ---- What stands at the broker */

void discovery_link_down(struct discovery *discovery)
{
    discovery->home = HOME_UNKNOWN;
    discovery->reading = true;
    leftovers_link_down(discovery->leftovers);
    announcer_read_begin(discovery->announcer);
    timer_stop(&discovery->pump_timer);
}

void discovery_remembered_all(struct discovery *discovery)
{
    discovery->reading = false;
    announcer_read_end(discovery->announcer);
    leftovers_remembered_all(discovery->leftovers);
    if (discovery->config->homeassistant.enabled)
        show_bridge(discovery);
    discovery_jobs_changed(discovery);
    pump(discovery);
}

void discovery_remember_info(struct discovery *discovery, const char *payload, size_t length)
{
    leftovers_remember_info(discovery->leftovers, payload, length);
}

const struct config_list *discovery_prefixes(const struct discovery *discovery)
{
    return leftovers_prefixes(discovery->leftovers);
}

static void on_prefixes(void *ctx)
{
    struct discovery *discovery = ctx;
    discovery->handler.on_prefixes(discovery->handler.ctx);
}

static void on_listen(void *ctx, const char *prefix, bool listen)
{
    struct discovery *discovery = ctx;
    discovery->handler.on_listen(discovery->handler.ctx, prefix, listen);
}

/* ---- Home Assistant's start */

static bool says(const struct mqtt_message *message, const char *word)
{
    return message->payload_length == strlen(word) &&
           memcmp(message->payload, word, message->payload_length) == 0;
}

/* Retained, it tells of a start that was before ours: the configurations are retained too. */
static void hear_home(struct discovery *discovery, const struct mqtt_message *message)
{
    if (says(message, "offline"))
        discovery->home = HOME_OFFLINE;
    if (!says(message, "online"))
        return;
    discovery->home = HOME_ONLINE;
    if (message->retained)
        return;
    log_info("Home Assistant has started: all devices are announced again");
    int64_t delay = REPEAT_AFTER_MS + (int64_t)(entropy_u64() % REPEAT_SPREAD_MS);
    announcer_repeat(discovery->announcer, loop_now(discovery->loop) + delay);
    pump(discovery);
}

void discovery_receive(struct discovery *discovery, const struct mqtt_message *message)
{
    const char *status = discovery->config->homeassistant.status_topic;
    if (message->topic_length == strlen(status) &&
        memcmp(message->topic, status, message->topic_length) == 0)
        hear_home(discovery, message);
    else
        leftovers_receive(discovery->leftovers, message);
}
