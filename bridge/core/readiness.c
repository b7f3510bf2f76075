/* Whether the bridge does its work, in the words that an operator needs. */
#include "readiness.h"

#include <string.h>

#include "clock.h"
#include "json.h"

static bool is_followed(const struct readiness *readiness)
{
    return strcmp(readiness->upstream_state, "streaming") == 0 ||
           strcmp(readiness->upstream_state, "polling") == 0;
}

static bool is_refused(const struct readiness *readiness)
{
    return readiness->refused_topic && readiness->refused_topic[0] != '\0';
}

bool readiness_is_given(const struct readiness *readiness)
{
    return !readiness->stopping && readiness->broker_connected && !is_refused(readiness) &&
           is_followed(readiness);
}

/* Hands each reason on; there are none where the bridge is ready. */
static void each_reason(struct buf *out, const struct readiness *readiness,
    void (*take)(struct buf *out, const char *reason))
{
    struct buf reason;
    buf_init(&reason, UINT16_MAX);
    if (readiness->stopping)
        take(out, "the bridge is being stopped");
    if (!readiness->broker_connected) {
        buf_printf(&reason, "no connection to the broker %s: %s", readiness->broker_url,
            readiness->broker_detail[0] != '\0' ? readiness->broker_detail : "connecting");
        take(out, reason.data);
    }
    if (is_refused(readiness)) {
        buf_reset(&reason);
        buf_printf(&reason, "the broker refuses %s: %s", readiness->refused_topic,
            readiness->refused_reason);
        take(out, reason.data);
    }
    if (!is_followed(readiness)) {
        buf_reset(&reason);
        buf_printf(&reason, "AIVA: %s: %s", readiness->upstream_state,
            readiness->memory_read ? readiness->upstream_detail
                                   : "asked once the broker's retained topics have been read");
        take(out, reason.data);
    }
    buf_clear(&reason);
}

static void take_element(struct buf *out, const char *reason)
{
    if (out->data[out->length - 1] != '[')
        buf_append_char(out, ',');
    json_append_string(out, reason, strlen(reason));
}

static void take_clause(struct buf *out, const char *reason)
{
    buf_printf(out, "%s%s", out->length > 0 ? "; " : "", reason);
}

void readiness_write(struct buf *out, const struct readiness *readiness)
{
    char since[CLOCK_TEXT_SIZE];
    clock_format(readiness->upstream_since_ms, since);
    buf_printf(
        out, "{\"ready\":%s,\"reasons\":[", readiness_is_given(readiness) ? "true" : "false");
    each_reason(out, readiness, take_element);
    buf_printf(out,
        "],\"broker\":{\"connected\":%s,\"url\":", readiness->broker_connected ? "true" : "false");
    json_append_string(out, readiness->broker_url, strlen(readiness->broker_url));
    buf_append_text(out, "},\"upstream\":{\"state\":");
    json_append_string(out, readiness->upstream_state, strlen(readiness->upstream_state));
    buf_printf(out, ",\"since\":\"%s\",\"detail\":", since);
    json_append_string(out, readiness->upstream_detail, strlen(readiness->upstream_detail));
    buf_printf(out, "},\"stream_paused\":%s,\"waiting_messages\":%zu}\n",
        readiness->stream_paused ? "true" : "false", readiness->waiting_messages);
}

void readiness_summary(struct buf *out, const struct readiness *readiness)
{
    each_reason(out, readiness, take_clause);
    if (out->length == 0)
        buf_printf(
            out, "connected to %s; AIVA: %s", readiness->broker_url, readiness->upstream_state);
}
