/* What an answer of AIVA says, for people. */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "job.h"
#include "json.h"
#include "limit.h"
#include "secret.h"

void answer_detail(const struct http_answer *answer, char *out, size_t size)
{
    struct json_object body = {0};
    struct buf text;
    buf_init(&text, LIMIT_STATUS_BODY);
    if (json_object_read(&body, answer->body, answer->length) == JSON_OK) {
        const struct json_member *detail = json_find(&body, "detail");
        /* Validation errors come as an array or an object: shown as they stand. */
        if (detail && !json_is_null(detail->value) && !json_decode_string(detail->value, &text))
            json_clean(&text, detail->value.at, detail->value.length);
    }
    snprintf(out, size, "%s", text.length > 0 ? text.data : "");
    secret_mask_key_in_text(out);
    buf_clear(&text);
    json_object_clear(&body);
}

void answer_describe(const struct http_answer *answer, char *out, size_t size)
{
    char detail[LIMIT_DETAIL];
    answer_detail(answer, detail, sizeof detail);
    if (answer->status == 0)
        snprintf(out, size, "no answer: %s", answer->failure);
    else if (!answer->complete)
        snprintf(out, size, "the answer (%d) broke off: %s", answer->status, answer->failure);
    else if (answer->failure[0] != '\0')
        snprintf(out, size, "AIVA answered %d: %s", answer->status, answer->failure);
    else if (detail[0] != '\0')
        snprintf(out, size, "AIVA answered %d: %s", answer->status, detail);
    else
        snprintf(out, size, "AIVA answered %d", answer->status);
    secret_mask_key_in_text(out);
}

const char *answer_error(int status)
{
    switch (status) {
    case 400:
    case 403:
    case 409:
    case 422:
        return "rejected";
    case 401:
        return "unauthorized";
    case 404:
        return "not_found";
    default:
        return "upstream_error";
    }
}

static void read_member(const struct job_hidden *hidden, const struct json_object *body,
    const char *name, struct buf *out)
{
    const struct json_member *member = json_find(body, name);
    if (member && !job_is_hidden(hidden, name) && json_decode_string(member->value, out) &&
        out->length > 0)
        secret_mask_key_in_text(out->data);
}

void answer_read_said(
    const struct http_answer *answer, const struct config *config, struct answer_said *said)
{
    struct job_hidden hidden = {config->jobs.hide.items, config->jobs.hide.count};
    struct json_object body = {0};
    buf_init(&said->status, LIMIT_STATUS_BODY);
    buf_init(&said->message, LIMIT_STATUS_BODY);
    if (json_object_read(&body, answer->body, answer->length) == JSON_OK) {
        read_member(&hidden, &body, "status", &said->status);
        read_member(&hidden, &body, "message", &said->message);
    }
    json_object_clear(&body);
}

void answer_clear_said(struct answer_said *said)
{
    buf_clear(&said->status);
    buf_clear(&said->message);
}

void answer_advise(const char *key_file, char *out, size_t size)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    size_t length = credentials ? strlen(credentials) : 0;
    if (key_file[0] == '\0')
        snprintf(out, size, "check aiva.api_key, and restart the bridge with another");
    else if (length > 0 && strncmp(key_file, credentials, length) == 0 && key_file[length] == '/')
        snprintf(out, size,
            "check the credential %s, and restart the bridge: systemd copies it at the start, a "
            "reload brings no new one",
            key_file + length + 1);
    else
        snprintf(out, size, "check %s; the next attempt reads it again", key_file);
}
