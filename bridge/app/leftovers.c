/*
 * What earlier runs have left below the discovery prefixes. The configured prefix is read with the
 * rest of the broker's memory. Where that is not enough a sweep follows: for as long as retained
 * messages come, all that may stand somewhere is read (once more).
 */
#include "leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "announcer.h"
#include "buf.h"
#include "config.h"
#include "haowner.h"
#include "json.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "topic.h"

#define LOG_TAG "discovery"
#include "log.h"

/* When nothing more has come for so long, all has come. */
#define SILENCE_MS 5000

/* A bridge's device of an earlier root: it is the last to go, or its jobs' would not be known. */
struct bridge_device {
    char *topic, *payload;
    size_t length;
};

struct leftovers {
    struct loop *loop;
    const struct config *config;
    struct announcer *announcer;
    struct leftovers_handler handler;
    struct config_list prefixes; /* the configured one first, where it is on; then earlier ones */
    struct haowner *owner;
    struct bridge_device bridges[LIMIT_EARLIER_ROOTS];
    size_t bridge_count;
    size_t roots;    /* how many were known when reading began */
    size_t left_out; /* devices for which the announcer had no room, since then */
    bool all_read;   /* over this connection */
    bool sweeps_all; /* the sweep includes the configured prefix */
    bool stopped;
    struct timer silence;    /* set: a sweep is going on */
    struct log_limit limit;  /* of the line about one device */
    struct log_limit crowd;  /* of that about too many */
    struct buf object_id;    /* scratch */
    struct buf topic;        /* scratch */
    struct json_object info; /* scratch */
};

static void end_sweep(void *ctx);

/* ---- Prefixes */

static void add_prefix(struct leftovers *leftovers, const char *prefix)
{
    struct config_list *list = &leftovers->prefixes;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], prefix) == 0)
            return;
    if (list->count >= LIMIT_PREFIXES)
        return;
    list->items = xreallocarray(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = xstrdup(prefix);
}

/* The first of the earlier ones in the list. */
static size_t first_earlier(const struct leftovers *leftovers)
{
    return leftovers->config->homeassistant.enabled ? 1 : 0;
}

static bool has_earlier(const struct leftovers *leftovers)
{
    return leftovers->prefixes.count > first_earlier(leftovers);
}

static void forget_earlier(struct leftovers *leftovers)
{
    while (has_earlier(leftovers))
        free(leftovers->prefixes.items[--leftovers->prefixes.count]);
    leftovers->handler.on_prefixes(leftovers->handler.ctx);
}

const struct config_list *leftovers_prefixes(const struct leftovers *leftovers)
{
    return &leftovers->prefixes;
}

void leftovers_remember_info(struct leftovers *leftovers, const char *payload, size_t length)
{
    const struct json_member *member = NULL;
    struct json_array array;
    struct json_slice element;
    if (json_object_read(&leftovers->info, payload, length) == JSON_OK)
        member = json_find(&leftovers->info, "discovery");
    if (!member || json_array_begin(&array, member->value.at, member->value.length) != JSON_OK)
        return;
    struct buf prefix;
    buf_init(&prefix, UINT16_MAX);
    while (json_array_next(&array, &element) == JSON_OK) {
        buf_reset(&prefix);
        if (json_decode_string(element, &prefix) && topic_is_name(prefix.data, prefix.length))
            add_prefix(leftovers, prefix.data);
    }
    buf_clear(&prefix);
}

/* ---- Life */

struct leftovers *leftovers_new(struct loop *loop, const struct config *config,
    struct announcer *announcer, const struct leftovers_handler *handler)
{
    struct leftovers *leftovers = xcalloc(1, sizeof *leftovers);
    leftovers->loop = loop;
    leftovers->config = config;
    leftovers->announcer = announcer;
    leftovers->handler = *handler;
    leftovers->owner = haowner_new(config->mqtt.topic, config->mqtt.client_id);
    timer_init(&leftovers->silence, loop, end_sweep, leftovers);
    buf_init(&leftovers->object_id, UINT16_MAX);
    buf_init(&leftovers->topic, UINT16_MAX);
    if (config->homeassistant.enabled)
        add_prefix(leftovers, config->homeassistant.prefix);
    return leftovers;
}

static void drop_bridges(struct leftovers *leftovers)
{
    while (leftovers->bridge_count > 0) {
        struct bridge_device *bridge = &leftovers->bridges[--leftovers->bridge_count];
        free(bridge->topic);
        free(bridge->payload);
    }
}

void leftovers_free(struct leftovers *leftovers)
{
    if (!leftovers)
        return;
    timer_stop(&leftovers->silence);
    drop_bridges(leftovers);
    haowner_free(leftovers->owner);
    for (size_t i = 0; i < leftovers->prefixes.count; i++)
        free(leftovers->prefixes.items[i]);
    free(leftovers->prefixes.items);
    json_object_clear(&leftovers->info);
    buf_clear(&leftovers->object_id);
    buf_clear(&leftovers->topic);
    free(leftovers);
}

void leftovers_stop(struct leftovers *leftovers)
{
    leftovers->stopped = true;
    timer_stop(&leftovers->silence);
}

/* ---- Reading */

static void begin_reading(struct leftovers *leftovers)
{
    leftovers->all_read = false;
    leftovers->left_out = 0;
    leftovers->roots = haowner_roots(leftovers->owner);
    drop_bridges(leftovers);
}

void leftovers_link_down(struct leftovers *leftovers)
{
    timer_stop(&leftovers->silence);
    haowner_forget(leftovers->owner);
    begin_reading(leftovers);
}

static void listen(struct leftovers *leftovers, bool on)
{
    size_t first = leftovers->sweeps_all ? 0 : first_earlier(leftovers);
    for (size_t i = first; i < leftovers->prefixes.count; i++)
        leftovers->handler.on_listen(leftovers->handler.ctx, leftovers->prefixes.items[i], on);
}

static void begin_sweep(struct leftovers *leftovers, bool all)
{
    begin_reading(leftovers);
    leftovers->sweeps_all = all;
    listen(leftovers, true);
    timer_set(&leftovers->silence, loop_now(leftovers->loop) + SILENCE_MS);
}

/* What the message's topic has before and behind the object id of a device; false where it is no
 * discovery topic below that prefix. */
static bool parse_topic(
    struct leftovers *leftovers, const char *prefix, const struct mqtt_message *message)
{
    static const char device[] = "/device/", config[] = "/config";
    size_t head = strlen(prefix), before = head + strlen(device);
    size_t fixed = before + strlen(config);
    const char *topic = message->topic;
    size_t length = message->topic_length;
    if (length <= fixed || memcmp(topic, prefix, head) != 0 ||
        memcmp(topic + head, device, strlen(device)) != 0 ||
        memcmp(topic + length - strlen(config), config, strlen(config)) != 0 ||
        memchr(topic, '\0', length))
        return false;
    buf_reset(&leftovers->object_id);
    buf_append(&leftovers->object_id, topic + before, length - fixed);
    buf_reset(&leftovers->topic);
    buf_append(&leftovers->topic, topic, length);
    return true;
}

/* Tells the announcer of leftovers->topic. */
static void note(struct leftovers *leftovers, enum announcer_kind kind, const char *payload,
    size_t length, const char *clear_why)
{
    int64_t now = loop_now(leftovers->loop);
    const char *topic = leftovers->topic.data;
    if (!announcer_found(leftovers->announcer, topic, kind, payload, length, now)) {
        leftovers->left_out++;
        return;
    }
    if (!clear_why)
        return;
    log_info_limited(&leftovers->limit, now, "%s is left from %s: it is cleared", topic, clear_why);
    announcer_hide(leftovers->announcer, topic);
}

static void keep_bridge(struct leftovers *leftovers, const struct mqtt_message *message)
{
    if (leftovers->bridge_count >= LIMIT_EARLIER_ROOTS)
        return;
    leftovers->bridges[leftovers->bridge_count++] = (struct bridge_device){
        .topic = xstrdup(leftovers->topic.data),
        .payload = xmemdup0(message->payload, message->payload_length),
        .length = message->payload_length,
    };
}

static void receive_device(
    struct leftovers *leftovers, bool earlier, const struct mqtt_message *message)
{
    const char *payload = message->payload;
    size_t length = message->payload_length;
    const char *why = earlier ? "an earlier run" : NULL;
    switch (haowner_judge(leftovers->owner, leftovers->object_id.data, payload, length)) {
    case HAOWNER_OTHER:
        break;
    case HAOWNER_BRIDGE:
        note(leftovers, ANNOUNCER_BRIDGE, payload, length, why);
        break;
    case HAOWNER_JOB:
        note(leftovers, ANNOUNCER_JOB, payload, length, why);
        break;
    case HAOWNER_EARLIER_BRIDGE:
        keep_bridge(leftovers, message);
        break;
    case HAOWNER_EARLIER_JOB:
        note(leftovers, ANNOUNCER_JOB, payload, length, "another mqtt.topic");
    }
}

void leftovers_receive(struct leftovers *leftovers, const struct mqtt_message *message)
{
    if (!message->retained || message->payload_length == 0)
        return;
    for (size_t i = 0; i < leftovers->prefixes.count; i++) {
        if (!parse_topic(leftovers, leftovers->prefixes.items[i], message))
            continue;
        receive_device(leftovers, i >= first_earlier(leftovers), message);
        if (timer_is_set(&leftovers->silence))
            timer_set(&leftovers->silence, loop_now(leftovers->loop) + SILENCE_MS);
        return;
    }
}

/* ---- The end of it */

static void hand_over_bridges(struct leftovers *leftovers)
{
    for (size_t i = 0; i < leftovers->bridge_count; i++) {
        const struct bridge_device *bridge = &leftovers->bridges[i];
        buf_reset(&leftovers->topic);
        buf_append_text(&leftovers->topic, bridge->topic);
        note(leftovers, ANNOUNCER_BRIDGE, bridge->payload, bridge->length, "another mqtt.topic");
    }
    drop_bridges(leftovers);
}

static void report_left_out(struct leftovers *leftovers)
{
    int64_t now = loop_now(leftovers->loop);
    size_t roots = haowner_roots_left_out(leftovers->owner);
    if (leftovers->left_out > 0)
        log_warn_limited(&leftovers->crowd, now,
            "%zu more devices of this bridge stand at the broker than it can look after at a time "
            "(%d, %u MiB): they are cleared when these are; see who else may write to "
            "%s/device/+/config",
            leftovers->left_out, LIMIT_DEVICES, LIMIT_DEVICES_BYTES >> 20,
            leftovers->config->homeassistant.prefix);
    else if (roots > 0)
        log_warn_limited(&leftovers->crowd, now,
            "devices of more than %d earlier mqtt.topic stand at the broker: the others are "
            "cleared by the next start",
            LIMIT_EARLIER_ROOTS);
}

/* Earlier devices of a root that has only become known meanwhile are yet to be found. */
static void end_reading(struct leftovers *leftovers)
{
    if (haowner_roots(leftovers->owner) > leftovers->roots) {
        begin_sweep(leftovers, true);
        return;
    }
    leftovers->all_read = true;
    if (leftovers->left_out == 0)
        hand_over_bridges(leftovers);
    report_left_out(leftovers);
}

void leftovers_remembered_all(struct leftovers *leftovers)
{
    if (leftovers->stopped)
        return;
    if (has_earlier(leftovers))
        begin_sweep(leftovers,
            leftovers->left_out > 0 || haowner_roots(leftovers->owner) > leftovers->roots);
    else
        end_reading(leftovers);
}

static void end_sweep(void *ctx)
{
    struct leftovers *leftovers = ctx;
    listen(leftovers, false);
    end_reading(leftovers);
    leftovers_go_on(leftovers);
    leftovers->handler.on_found(leftovers->handler.ctx);
}

void leftovers_go_on(struct leftovers *leftovers)
{
    if (!leftovers->all_read || leftovers->stopped || !announcer_is_idle(leftovers->announcer))
        return;
    if (leftovers->left_out == 0 && has_earlier(leftovers))
        forget_earlier(leftovers);
    else if (leftovers->left_out > 0 && announcer_has_room(leftovers->announcer))
        begin_sweep(leftovers, true);
}
