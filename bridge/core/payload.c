/* What is published, as text. Records are forwarded as they stand: printing costs more than
 * parsing. */
#include "payload.h"

#include <string.h>

#include "clock.h"

static void append_text_member(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    json_append_string(out, text, strlen(text));
}

static void append_time_member(struct buf *out, const char *name, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(unix_ms, text);
    buf_append_text(out, ",\"");
    buf_append_text(out, name);
    buf_append_text(out, "\":\"");
    buf_append(out, text, CLOCK_TEXT_SIZE - 1);
    buf_append_char(out, '"');
}

void payload_state(struct buf *out, const struct job *job)
{
    buf_append(out, job->text, job->length - 1);
    append_time_member(out, "observed_at", job->observed_ms);
    buf_append_char(out, '}');
}

/* A member of the record, as it stands; nothing where the record lacks it. */
static void append_known(struct buf *out, const struct json_object *record, const char *name)
{
    const struct json_member *member = json_find(record, name);
    if (!member)
        return;
    buf_printf(out, ",\"%s\":", name);
    json_append_slice(out, member->value);
}

void payload_event(struct buf *out, const struct job *job, const char *event_type,
    const char *previous, enum payload_source source, int64_t now_unix_ms,
    struct json_object *scratch)
{
    static const char *const sources[] = {
        [PAYLOAD_STREAM] = "stream",
        [PAYLOAD_POLL] = "poll",
        [PAYLOAD_LIST] = "list",
        [PAYLOAD_COMMAND] = "command",
    };
    buf_append_text(out, "{\"job_id\":");
    json_append_string(out, job->id, strlen(job->id));
    append_text_member(out, "event_type", event_type);
    if (previous[0] != '\0')
        append_text_member(out, "previous", previous);
    else
        buf_append_text(out, ",\"previous\":null");
    if (json_object_read(scratch, job->text, job->length) == JSON_OK) {
        append_known(out, scratch, "sample_name");
        append_known(out, scratch, "message");
    }
    append_time_member(out, "observed_at", now_unix_ms);
    append_text_member(out, "source", sources[source]);
    buf_append_char(out, '}');
}

void payload_counts(struct buf *out, const struct jobs *jobs)
{
    buf_printf(out, "{\"total\":%zu", jobs_count(jobs));
    for (size_t i = 0; i < jobs_states(jobs); i++) {
        const char *name = jobs_state_name(jobs, i);
        /* A state of that name would stand beside the total under the same key. */
        if (strcmp(name, "total") == 0)
            continue;
        buf_append_char(out, ',');
        json_append_string(out, name, strlen(name));
        buf_printf(out, ":%zu", jobs_state_count(jobs, i));
    }
    buf_append_char(out, '}');
}

void payload_info(struct buf *out, const char *version, int64_t started_unix_ms,
    const char *upstream_url, const struct config_list *prefixes)
{
    buf_append_text(out, "{\"version\":");
    json_append_string(out, version, strlen(version));
    append_time_member(out, "started_at", started_unix_ms);
    append_text_member(out, "upstream_url", upstream_url);
    buf_append_text(out, ",\"contract\":1");
    for (size_t i = 0; i < prefixes->count; i++) {
        buf_append_text(out, i == 0 ? ",\"discovery\":[" : ",");
        json_append_string(out, prefixes->items[i], strlen(prefixes->items[i]));
    }
    buf_append_text(out, prefixes->count > 0 ? "]}" : "}");
}

void payload_upstream(struct buf *out, const char *state, int64_t since_unix_ms, const char *detail)
{
    buf_append_text(out, "{\"state\":");
    json_append_string(out, state, strlen(state));
    append_time_member(out, "since", since_unix_ms);
    append_text_member(out, "detail", detail);
    buf_append_char(out, '}');
}

static void append_optional(struct buf *out, const char *name, const char *text)
{
    if (text && text[0] != '\0')
        append_text_member(out, name, text);
}

void payload_result(struct buf *out, const struct payload_result *result)
{
    buf_append_text(out, "{\"command\":");
    json_append_string(out, result->command, strlen(result->command));
    if (result->job_id)
        append_text_member(out, "job_id", result->job_id);
    buf_printf(out, ",\"ok\":%s", result->ok ? "true" : "false");
    if (result->id.length > 0) {
        buf_append_text(out, ",\"id\":");
        json_append_slice(out, result->id);
    }
    if (result->http_status != 0)
        buf_printf(out, ",\"http_status\":%d", result->http_status);
    append_optional(out, "status", result->status);
    append_optional(out, "message", result->message);
    buf_printf(out, ",\"duration_ms\":%lld", (long long)result->duration_ms);
    if (!result->ok) {
        append_optional(out, "error", result->error);
        append_optional(out, "detail", result->detail);
    }
    buf_append_char(out, '}');
}
