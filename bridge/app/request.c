/*
 * One command as it came over MQTT, and the way back. Nothing of what came is trusted: the topic
 * level may name no job, the payload may be anything, the Response Topic may point at others.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config.h"
#include "json.h"
#include "limit.h"
#include "mem.h"
#include "payload.h"
#include "publisher.h"

#define LOG_TAG "commands"
#include "log.h"

/* ---- Taking it in */

/* As it came, but for what must not be published. */
static char *copy_clean(struct json_slice value, bool untidy)
{
    if (!json_is_unclean(value.at, value.length, untidy))
        return xmemdup0(value.at, value.length);
    struct buf clean;
    buf_init(&clean, 3 * value.length);
    json_clean(&clean, value.at, value.length);
    return buf_take(&clean);
}

/* The payload's `id`, if it is a JSON object that has one. */
static void take_id(struct request *request, const struct mqtt_message *message)
{
    struct json_object body = {0};
    if (message->payload_length <= LIMIT_COMMAND &&
        json_object_read(&body, message->payload, message->payload_length) == JSON_OK) {
        const struct json_member *id = json_find(&body, "id");
        size_t quotes = id && json_is_string(id->value) ? 2 : 0;
        request->id_too_long = id && id->value.length > LIMIT_COMMAND_ID + quotes &&
                               (quotes > 0 || json_is_number(id->value));
        if (id && !request->id_too_long && (quotes > 0 || json_is_number(id->value)))
            request->id = copy_clean(id->value, body.untidy);
    }
    json_object_clear(&body);
}

static void take_response_topic(
    struct request *request, const struct config *config, const struct mqtt_message *message)
{
    if (!message->response_topic)
        return;
    const struct topic_responses responses = {
        .root = config->mqtt.topic,
        .prefixes = config->commands.response_topics.items,
        .prefix_count = config->commands.response_topics.count,
        .discovery_prefix = config->homeassistant.prefix,
        .status_topic = config->homeassistant.status_topic,
    };
    request->refused_response = !topic_response_is_allowed(
        &responses, message->response_topic, message->response_topic_length);
    if (request->refused_response)
        return;
    request->response_topic = xmemdup0(message->response_topic, message->response_topic_length);
    if (message->correlation_data) {
        request->correlation = xmemdup0(message->correlation_data, message->correlation_length);
        request->correlation_length = message->correlation_length;
    }
}

/* Access rules for one job's topics name one spelling: no other may reach that job. */
static void take_job_id(struct request *request, const struct topic_parts *topic)
{
    struct buf id;
    buf_init(&id, UINT16_MAX);
    request->id_class = TOPIC_ID_REFUSED;
    if (!topic_decode_level(&id, topic->level, topic->level_length))
        request->bad_level = "the job's topic level holds a broken percent-encoding";
    else if (!topic_is_level_of(
                 id.length > 0 ? id.data : "", id.length, topic->level, topic->level_length))
        request->bad_level = "the job's topic level is not spelled as in the job's own topics: "
                             "only what has to be is percent-encoded, in upper case";
    else
        request->id_class = topic_classify_id(id.length > 0 ? id.data : "", id.length);
    if (request->id_class != TOPIC_ID_REFUSED)
        request->job_id = xmemdup0(id.data, id.length);
    buf_clear(&id);
}

void request_init(struct request *request, const struct config *config,
    const struct topic_parts *topic, const struct mqtt_message *message)
{
    *request = (struct request){.id_class = TOPIC_ID_URL_SAFE};
    request->command = xmemdup0(topic->command, topic->command_length);
    take_id(request, message);
    take_response_topic(request, config, message);
    if (topic->kind == TOPIC_JOB_COMMAND) {
        request->level = xmemdup0(topic->level, topic->level_length);
        take_job_id(request, topic);
    }
}

void request_refuse_response(struct request *request)
{
    free(request->response_topic);
    free(request->correlation);
    request->response_topic = NULL;
    request->correlation = NULL;
    request->correlation_length = 0;
    request->refused_response = true;
}

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

size_t request_bytes(const struct request *request)
{
    return size_of(request->command) + size_of(request->level) + size_of(request->job_id) +
           size_of(request->id) + size_of(request->response_topic) + request->correlation_length;
}

void request_clear(struct request *request)
{
    free(request->command);
    free(request->level);
    free(request->job_id);
    free(request->id);
    free(request->response_topic);
    free(request->correlation);
    *request = (struct request){0};
}

/* ---- The way back */

/* The level is spelled as the bridge spells it where the id allows that, else as it came. */
static void append_result_topic(struct buf *topic, const struct request *request, const char *root)
{
    if (!request->level)
        buf_printf(topic, "%s/bridge/result", root);
    else if (request->job_id)
        topic_append_job(topic, root, request->job_id, "result");
    else
        buf_printf(topic, "%s/jobs/%s/result", root, request->level);
}

static void append_payload(struct buf *payload, const struct request *request,
    const struct verdict *verdict, int64_t duration_ms)
{
    struct payload_result result = {
        .command = request->command,
        .job_id = request->job_id ? request->job_id : request->level,
        .ok = verdict->error == NULL,
        .id = {request->id, request->id ? strlen(request->id) : 0},
        .http_status = verdict->http_status,
        .status = verdict->status,
        .message = verdict->message,
        .duration_ms = duration_ms,
        .error = verdict->error,
        .detail = verdict->detail,
    };
    payload_result(payload, &result);
}

static void publish(struct publisher *publisher, const struct request *request,
    const struct verdict *verdict, const struct buf *topic, const struct buf *payload)
{
    struct outbox_message message = {
        .topic = topic->data,
        .payload = payload->data,
        .payload_length = payload->length,
        .json = true,
        .can_wait = verdict->refused,
    };
    publisher_send(publisher, &message);
    if (!request->response_topic)
        return;
    message.topic = request->response_topic;
    message.response = true;
    message.correlation = request->correlation;
    message.correlation_length = request->correlation_length;
    publisher_send(publisher, &message);
}

static void say(const struct request *request, const struct verdict *verdict, int64_t duration_ms)
{
    const char *subject = request->job_id  ? request->job_id
                          : request->level ? request->level
                                           : "the bridge";
    if (verdict->error)
        log_warn("the command %.*s for %.*s: %s: %s", LIMIT_JOB_ID, request->command, LIMIT_JOB_ID,
            subject, verdict->error, verdict->detail ? verdict->detail : "");
    else
        log_info("the command %s for %s: done in %lld ms", request->command, subject,
            (long long)duration_ms);
}

void request_answer(const struct request *request, const struct config *config,
    struct publisher *publisher, const struct verdict *verdict, bool quiet, int64_t duration_ms)
{
    struct buf topic, payload;
    buf_init(&topic, UINT16_MAX);
    buf_init(&payload, LIMIT_JOB_RECORD);
    append_result_topic(&topic, request, config->mqtt.topic);
    append_payload(&payload, request, verdict, duration_ms);
    if (!topic.failed && !payload.failed)
        publish(publisher, request, verdict, &topic, &payload);
    if (!quiet)
        say(request, verdict, duration_ms);
    buf_clear(&topic);
    buf_clear(&payload);
}
