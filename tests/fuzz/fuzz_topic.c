/* The input as an id, as a level, and as a topic: ids and levels must be each other's inverse, and
 * no Response Topic may lead into the bridge's own topics. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "mem.h"
#include "topic.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOT "lab/aiva"

static char reply[] = "reply";
static char *const prefixes[] = {reply};
static const struct topic_responses responses = {
    .root = ROOT,
    .prefixes = prefixes,
    .prefix_count = 1,
    .discovery_prefix = "homeassistant",
    .status_topic = "hass/status",
};

static bool begins_with(const char *text, size_t length, const char *prefix)
{
    return length >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

/* One level of a topic that any broker takes. */
static void check_level(const char *level, size_t length)
{
    uint32_t code_point;
    assert(length > 0 && level[0] != '$');
    for (size_t at = 0; at < length;) {
        size_t used = utf8_decode(level + at, length - at, &code_point);
        assert(used > 0 && !utf8_is_control_or_nonchar(code_point));
        assert(code_point != '/' && code_point != '+' && code_point != '#');
        at += used;
    }
}

static void check_job_topic(const char *id, const struct buf *level, const char *leaf,
    enum topic_kind kind, const char *command)
{
    struct buf topic;
    struct topic_parts parts;
    buf_init(&topic, 4 * LIMIT_JOB_ID + 64);
    topic_append_job(&topic, ROOT, id, leaf);
    assert(!topic.failed);
    topic_parse(&parts, ROOT, topic.data, topic.length);
    assert(parts.kind == kind);
    assert(kind == TOPIC_OTHER || (parts.level_length == level->length &&
                                      memcmp(parts.level, level->data, level->length) == 0));
    assert(parts.command_length == strlen(command));
    assert(memcmp(parts.command ? parts.command : "", command, parts.command_length) == 0);
    assert(!topic_response_is_allowed(&responses, topic.data, topic.length));
    buf_clear(&topic);
}

static void check_id(const char *bytes, size_t length)
{
    enum topic_id class = topic_classify_id(bytes, length);
    if (class == TOPIC_ID_REFUSED)
        return;
    struct buf level, back;
    char *id = xmemdup0(bytes, length);
    assert(strlen(id) == length && length <= LIMIT_JOB_ID);
    buf_init(&level, 3 * LIMIT_JOB_ID);
    buf_init(&back, LIMIT_JOB_ID);
    topic_append_level(&level, id, length);
    assert(!level.failed);
    check_level(level.data, level.length);
    assert(class != TOPIC_ID_URL_SAFE || strcmp(level.data, id) == 0);
    assert(topic_decode_level(&back, level.data, level.length));
    assert(back.length == length && memcmp(back.data, id, length) == 0);
    check_job_topic(id, &level, "state", TOPIC_JOB_STATE, "");
    check_job_topic(id, &level, "command/cancel", TOPIC_JOB_COMMAND, "cancel");
    check_job_topic(id, &level, "event", TOPIC_OTHER, "");
    buf_clear(&level);
    buf_clear(&back);
    free(id);
}

/* A level that others wrote, as they may escape more than is needed. */
static void check_decoding(const char *level, size_t length)
{
    struct buf id;
    buf_init(&id, length);
    if (topic_decode_level(&id, level, length) && id.length > 0)
        check_id(id.data, id.length);
    buf_clear(&id);
}

static void check_topic(const char *topic, size_t length)
{
    struct topic_parts parts;
    const char *end = topic + length;
    topic_parse(&parts, ROOT, topic, length);
    assert(parts.kind == TOPIC_OTHER || begins_with(topic, length, ROOT "/"));
    bool of_job = parts.kind == TOPIC_JOB_STATE || parts.kind == TOPIC_JOB_COMMAND;
    bool is_command = parts.kind == TOPIC_JOB_COMMAND || parts.kind == TOPIC_BRIDGE_COMMAND;
    assert((parts.level != NULL) == of_job && (parts.command != NULL) == is_command);
    if (of_job) {
        assert(parts.level > topic && parts.level + parts.level_length < end);
        assert(!memchr(parts.level, '/', parts.level_length));
        check_decoding(parts.level, parts.level_length);
    }
    if (is_command)
        assert(parts.command + parts.command_length == end);
    if (!topic_response_is_allowed(&responses, topic, length))
        return;
    assert(length > 0 && utf8_valid(topic, length) && topic[0] != '$');
    assert(
        !memchr(topic, '+', length) && !memchr(topic, '#', length) && !memchr(topic, '\0', length));
    assert(parts.kind == TOPIC_OTHER);
    assert(begins_with(topic, length, ROOT "/response/") || begins_with(topic, length, "reply/"));
    assert(!topic_has_command_level(topic, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const beginnings[] = {
        "", "reply/", ROOT "/", ROOT "/jobs/", ROOT "/bridge/command/"};
    const char *text = (const char *)data;
    if (size == 0)
        return 0;
    check_id(text, size);
    check_decoding(text, size);
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        struct buf topic;
        buf_init(&topic, size + 64);
        buf_append_text(&topic, beginnings[i]);
        buf_append(&topic, text, size);
        check_topic(topic.data, topic.length);
        buf_clear(&topic);
    }
    return 0;
}
