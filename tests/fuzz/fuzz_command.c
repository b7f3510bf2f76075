/*
 * A message on a command topic. Lines: the topic behind the root, the
 * Response Topic, the Correlation Data; the rest is the payload. Whatever comes: an id that may be
 * put into a URL leads to its own endpoint and no other, nobody gets to speak in the bridge's name,
 * and the answer is JSON that gives the request's id back.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "httpurl.h"
#include "json.h"
#include "limit.h"
#include "payload.h"
#include "request.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOT "lab/aiva"

static const char *no_file_and_a_key(void *ctx, const char *name)
{
    (void)ctx;
    if (strcmp(name, "AIVA_API_KEY") == 0)
        return "key";
    return strcmp(name, "MQTT_TOPIC") == 0 ? ROOT : NULL;
}

/* Takes a line off the rest. */
static struct json_slice take_line(const char **rest, size_t *length)
{
    const char *end = *length > 0 ? memchr(*rest, '\n', *length) : NULL;
    struct json_slice line = {*rest, end ? (size_t)(end - *rest) : *length};
    size_t used = end ? line.length + 1 : line.length;
    *rest += used;
    *length -= used;
    return line;
}

static void check_job(const struct request *request)
{
    char url[LIMIT_JOB_ID + 64];
    if (!request->level) {
        assert(!request->job_id && request->id_class == TOPIC_ID_URL_SAFE);
        return;
    }
    assert((request->job_id == NULL) == (request->id_class == TOPIC_ID_REFUSED));
    assert(!request->bad_level || !request->job_id);
    if (request->id_class != TOPIC_ID_URL_SAFE)
        return;
    assert(strlen(request->job_id) <= LIMIT_JOB_ID && strpbrk(request->job_id, "/?#%\\") == NULL);
    snprintf(url, sizeof url, "https://aiva.example/jobs/%s/cancel", request->job_id);
    assert(httpurl_is_kept(url));
    snprintf(url, sizeof url, "https://aiva.example/jobs/%s", request->job_id);
    assert(httpurl_is_kept(url));
}

static void check_response(const struct request *request, const struct mqtt_message *message)
{
    assert(!request->response_topic || !request->refused_response);
    assert(!request->correlation || request->response_topic);
    if (request->response_topic) {
        assert(strlen(request->response_topic) == message->response_topic_length);
        assert(strncmp(request->response_topic, ROOT "/response/", strlen(ROOT "/response/")) == 0);
        assert(strpbrk(request->response_topic, "+#") == NULL && request->response_topic[0] != '$');
    }
}

static void check_answer(const struct request *request)
{
    struct json_object object = {0};
    struct buf payload;
    struct payload_result result = {
        .command = request->command,
        .job_id = request->job_id ? request->job_id : request->level,
        .id = {request->id, request->id ? strlen(request->id) : 0},
        .error = "rejected",
    };
    buf_init(&payload, 16u * 1024 * 1024);
    payload_result(&payload, &result);
    assert(!payload.failed);
    assert(json_object_read(&object, payload.data, payload.length) == JSON_OK);
    const struct json_member *id = json_find(&object, "id");
    assert((id != NULL) == (request->id != NULL));
    assert(!id || (id->value.length == strlen(request->id) &&
                      memcmp(id->value.at, request->id, id->value.length) == 0));
    json_object_clear(&object);
    buf_clear(&payload);
}

static void take(const struct config *config, const char *topic, struct mqtt_message *message)
{
    struct topic_parts parts;
    struct request request;
    topic_parse(&parts, config->mqtt.topic, topic, strlen(topic));
    if (parts.kind != TOPIC_JOB_COMMAND && parts.kind != TOPIC_BRIDGE_COMMAND)
        return;
    message->topic = topic;
    message->topic_length = strlen(topic);
    request_init(&request, config, &parts, message);
    check_job(&request);
    check_response(&request, message);
    check_answer(&request);
    request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    struct error error;
    struct config_source source = {.environment = no_file_and_a_key};
    const char *rest = (const char *)data;
    struct buf topic;
    if (!config)
        config = config_load(&source, &error);
    assert(config);
    struct json_slice tail = take_line(&rest, &size);
    struct json_slice response = take_line(&rest, &size);
    struct json_slice correlation = take_line(&rest, &size);
    struct mqtt_message message = {
        .payload = rest,
        .payload_length = size,
        .response_topic = response.length > 0 ? response.at : NULL,
        .response_topic_length = response.length,
        .correlation_data = correlation.length > 0 ? correlation.at : NULL,
        .correlation_length = correlation.length,
    };
    /* Brokers let no topic through that is no text. */
    if (!utf8_valid(tail.at, tail.length) || memchr(tail.at, '\0', tail.length))
        return 0;
    buf_init(&topic, UINT16_MAX);
    if (buf_append_text(&topic, ROOT "/") && buf_append(&topic, tail.at, tail.length))
        take(config, topic.data, &message);
    buf_clear(&topic);
    return 0;
}
