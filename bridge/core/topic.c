/* Job ids and topics: the only place that knows how they are spelled. */
#include "topic.h"

#include <stdint.h>
#include <string.h>

#include "limit.h"
#include "utf8.h"

static bool is_url_safe(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           (c != '\0' && strchr(".~:@-", c));
}

enum topic_id topic_classify_id(const char *id, size_t length)
{
    if (length == 0 || length > LIMIT_JOB_ID || memchr(id, '\0', length) ||
        !utf8_valid(id, length) || (length == 1 && id[0] == '.') ||
        (length == 2 && id[0] == '.' && id[1] == '.'))
        return TOPIC_ID_REFUSED;
    for (size_t i = 0; i < length; i++)
        if (!is_url_safe(id[i]))
            return TOPIC_ID_TOPIC_ONLY;
    return TOPIC_ID_URL_SAFE;
}

static bool must_be_encoded(uint32_t code_point, bool first)
{
    return code_point == '/' || code_point == '+' || code_point == '#' || code_point == '%' ||
           (code_point == '$' && first) || utf8_is_control_or_nonchar(code_point);
}

void topic_append_level(struct buf *out, const char *id, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t plain = 0;
        while (at + plain < length && is_url_safe(id[at + plain]))
            plain++;
        buf_append(out, id + at, plain);
        at += plain;
        if (at == length)
            return;
        uint32_t code_point;
        size_t size = utf8_decode(id + at, length - at, &code_point);
        if (size == 0) {
            out->failed = true;
            return;
        }
        if (must_be_encoded(code_point, at == 0))
            for (size_t i = 0; i < size; i++)
                buf_printf(out, "%%%02X", (unsigned char)id[at + i]);
        else
            buf_append(out, id + at, size);
        at += size;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool topic_decode_level(struct buf *out, const char *level, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (level[i] != '%') {
            buf_append_char(out, level[i]);
            continue;
        }
        if (length - i < 3)
            return false;
        int high = hex_digit(level[i + 1]);
        int low = hex_digit(level[i + 2]);
        if (high < 0 || low < 0)
            return false;
        buf_append_char(out, (char)(high * 16 + low));
        i += 2;
    }
    return !out->failed;
}

bool topic_is_level_of(const char *id, size_t id_length, const char *level, size_t length)
{
    struct buf spelled;
    buf_init(&spelled, UINT16_MAX);
    topic_append_level(&spelled, id, id_length);
    bool same = !spelled.failed && spelled.length == length &&
                (length == 0 || memcmp(spelled.data, level, length) == 0);
    buf_clear(&spelled);
    return same;
}

void topic_append_job(struct buf *out, const char *root, const char *id, const char *leaf)
{
    buf_append_text(out, root);
    buf_append_text(out, "/jobs/");
    topic_append_level(out, id, strlen(id));
    buf_append_char(out, '/');
    buf_append_text(out, leaf);
}

/* Takes `prefix` off the front of the rest; false, and nothing taken, where it does not stand
 * there. */
static bool take(const char **rest, size_t *length, const char *prefix)
{
    size_t size = strlen(prefix);
    if (*length < size || memcmp(*rest, prefix, size) != 0)
        return false;
    *rest += size;
    *length -= size;
    return true;
}

static bool is(const char *rest, size_t length, const char *text)
{
    return length == strlen(text) && memcmp(rest, text, length) == 0;
}

static void parse_bridge(struct topic_parts *parts, const char *rest, size_t length)
{
    if (is(rest, length, "state")) {
        parts->kind = TOPIC_BRIDGE_STATE;
    } else if (is(rest, length, "info")) {
        parts->kind = TOPIC_BRIDGE_INFO;
    } else if (is(rest, length, "jobs")) {
        parts->kind = TOPIC_BRIDGE_JOBS;
    } else if (take(&rest, &length, "command/")) {
        parts->kind = TOPIC_BRIDGE_COMMAND;
        parts->command = rest;
        parts->command_length = length;
    }
}

static void parse_job(struct topic_parts *parts, const char *rest, size_t length)
{
    const char *slash = length > 0 ? memchr(rest, '/', length) : NULL;
    if (!slash)
        return;
    const char *level = rest;
    size_t level_length = (size_t)(slash - rest);
    length -= level_length + 1;
    rest = slash + 1;
    if (is(rest, length, "state")) {
        parts->kind = TOPIC_JOB_STATE;
    } else if (take(&rest, &length, "command/")) {
        parts->kind = TOPIC_JOB_COMMAND;
        parts->command = rest;
        parts->command_length = length;
    }
    if (parts->kind != TOPIC_OTHER) {
        parts->level = level;
        parts->level_length = level_length;
    }
}

void topic_parse(struct topic_parts *parts, const char *root, const char *topic, size_t length)
{
    *parts = (struct topic_parts){.kind = TOPIC_OTHER};
    if (!take(&topic, &length, root) || !take(&topic, &length, "/"))
        return;
    if (take(&topic, &length, "bridge/"))
        parse_bridge(parts, topic, length);
    else if (take(&topic, &length, "jobs/"))
        parse_job(parts, topic, length);
}

/* mosquitto takes a topic of more than 200 levels for a protocol error, and ends the connection. */
#define LEVELS_AT_MOST 200

bool topic_is_name(const char *topic, size_t length)
{
    if (length == 0 || length > UINT16_MAX)
        return false;
    size_t at = 0, levels = 1;
    while (at < length) {
        uint32_t code_point;
        size_t size = utf8_decode(topic + at, length - at, &code_point);
        levels += code_point == '/';
        if (size == 0 || levels > LEVELS_AT_MOST || code_point == '+' || code_point == '#' ||
            utf8_is_control_or_nonchar(code_point))
            return false;
        at += size;
    }
    return true;
}

bool topic_is_within(const char *topic, size_t length, const char *parent)
{
    return take(&topic, &length, parent) && (length == 0 || topic[0] == '/');
}

bool topic_has_command_level(const char *topic, size_t length)
{
    while (true) {
        const char *slash = length > 0 ? memchr(topic, '/', length) : NULL;
        size_t level = slash ? (size_t)(slash - topic) : length;
        if (is(topic, level, "command"))
            return true;
        if (!slash)
            return false;
        topic += level + 1;
        length -= level + 1;
    }
}

static bool is_below(const char *topic, size_t length, const char *parent)
{
    return take(&topic, &length, parent) && take(&topic, &length, "/") && length > 0;
}

static bool is_below_any(const struct topic_responses *responses, const char *topic, size_t length)
{
    for (size_t i = 0; i < responses->prefix_count; i++)
        if (is_below(topic, length, responses->prefixes[i]))
            return true;
    return take(&topic, &length, responses->root) && is_below(topic, length, "/response");
}

bool topic_response_is_allowed(
    const struct topic_responses *responses, const char *topic, size_t length)
{
    return topic_is_name(topic, length) && is_below_any(responses, topic, length) &&
           !topic_has_command_level(topic, length) &&
           !topic_is_within(topic, length, responses->discovery_prefix) &&
           !topic_is_within(topic, length, responses->status_topic);
}
