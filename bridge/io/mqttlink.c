/*
 * One connection through paho. paho calls back on its own threads, or on the caller's inside
 * MQTTAsync_destroy and wire_uncork, and always with its global lock held; so a callback here only
 * copies, pushes an event and returns. Nothing is logged, parsed or freed in one, and no other call
 * is made: paho's own checks deadlock there, and a wait would stop every other connection of the
 * process.
 *
 * What it hands over by pointer (messages) was allocated by paho with a tracking allocator and must
 * go back through paho's own functions.
 */
#include "mqttlink.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "mem.h"
#include "mqtt.h"
#include "mqttmessage.h"
#include "mqttrelay.h"
#include "utf8.h"
#include "wire.h"

enum {
    SUBSCRIPTIONS = 64, /* answers to subscriptions that may be open at once */
    MESSAGE_COST = 256, /* what a message of no bytes counts against the inbox's limit */
};

/* Connections left behind while their attempt was under way: paho may still use them. */
static struct mqttlink *left_behind;
/* Of the owner thread: paho's handles that are not destroyed yet. */
static size_t handles;

/* Any thread. The lock is held over the push so that mqttlink_leave can promise that none follows.
 */
static bool post(struct mqttlink *link, struct inbox_event event)
{
    bool accepted;

    event.generation = link->generation;
    pthread_mutex_lock(&link->lock);
    accepted = link->inbox != NULL && inbox_push(link->inbox, &event);
    pthread_mutex_unlock(&link->lock);
    return accepted;
}

static char *copy_text(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static void post_or_free(struct mqttlink *link, enum inbox_kind kind, int code, void *pointer)
{
    if (!post(link, (struct inbox_event){.kind = kind, .code = code, .pointer = pointer}))
        free(pointer);
}

static struct mqtt_limits *new_limits(const struct mqttlink *link, MQTTProperties *connack)
{
    struct mqtt_limits *limits = xcalloc(1, sizeof *limits);

    *limits = mqttconnect_limits(link->window, connack);
    return limits;
}

/* On the thread that has read the CONNACK, so that nobody uses the socket meanwhile. Without a
 * relay the library does everything. */
static void make_relay(struct mqttlink *link)
{
    int fd = link->tls || link->websocket ? -1 : wire_socket();

    pthread_mutex_lock(&link->lock);
    if (fd >= 0 && link->inbox != NULL)
        link->relay = mqttrelay_new(fd, link->version5);
    pthread_mutex_unlock(&link->lock);
}

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
    struct mqttlink *link = ctx;

    make_relay(link);
    post_or_free(link, INBOX_MQTT_CONNECTED, data != NULL ? data->alt.connect.sessionPresent : 0,
        new_limits(link, NULL));
}

static void on_connected5(void *ctx, MQTTAsync_successData5 *data)
{
    struct mqttlink *link = ctx;

    make_relay(link);
    post_or_free(link, INBOX_MQTT_CONNECTED, data->alt.connect.sessionPresent,
        new_limits(link, &data->properties));
}

/* What the broker has sent that it may not; to be freed, NULL where it was nothing like that. */
static char *take_fault(void)
{
    char fault[128], text[160];

    wire_take_fault(fault, sizeof fault);
    if (fault[0] == '\0')
        return NULL;
    snprintf(text, sizeof text, "the broker sent %s", fault);
    return xstrdup(text);
}

static void post_failed(struct mqttlink *link, int code, const char *message)
{
    char *fault = take_fault();

    if (fault != NULL)
        post_or_free(link, INBOX_MQTT_FAILED, 0, fault);
    else
        post_or_free(link, INBOX_MQTT_FAILED, code, copy_text(message));
}

static void on_failed(void *ctx, MQTTAsync_failureData *data)
{
    post_failed(
        ctx, data != NULL ? data->code : MQTTASYNC_FAILURE, data != NULL ? data->message : NULL);
}

/* Only code and message: paho leaves the rest of the structure unset on some paths. */
static void on_failed5(void *ctx, MQTTAsync_failureData5 *data)
{
    post_failed(ctx, data->code, data->message);
}

/* paho gives no cause. */
static void on_connection_lost(void *ctx, char *cause)
{
    (void)cause;
    post_or_free(ctx, INBOX_MQTT_LOST, 0, take_fault());
}

/* The broker's DISCONNECT. paho does not report a lost connection after it. */
static void on_disconnected(void *ctx, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
    (void)properties;
    post_or_free(ctx, INBOX_MQTT_LOST, (int)reason, NULL);
}

/* Where too much waits the message is lost, and counted. */
static void post_message(struct mqttlink *link, struct inbox_event event, size_t bytes)
{
    event.size = MESSAGE_COST + bytes;
    if (post(link, event))
        return;
    atomic_fetch_add(&link->refused, 1);
    mqttlink_discard(&event);
}

static int on_message(void *ctx, char *topic, int topic_length, MQTTAsync_message *message)
{
    /* The length is 0 for a message that paho had put aside, unless the topic holds a NUL. */
    size_t length = topic_length > 0 ? (size_t)topic_length : strlen(topic);
    const struct inbox_event event = {
        .kind = INBOX_MQTT_MESSAGE,
        .number = length,
        .pointer = message,
        .pointer2 = topic,
    };

    post_message(ctx, event, length + (size_t)message->payloadlen);
    return 1; /* 0 would make paho offer it again, in front of all others */
}

void mqttlink_receive(struct mqttlink *link, const struct packet_message *packet)
{
    struct inbox_event event = {.kind = INBOX_MQTT_RELAYED, .pointer = mqttmessage_copy(packet)};

    if (event.pointer != NULL)
        post_message(link, event,
            packet->topic_length + packet->payload_length + packet->response_topic_length +
                packet->correlation_length);
    else
        atomic_fetch_add(&link->refused, 1);
}

static void post_answer(struct mqttflight *flight, enum inbox_kind kind, int code)
{
    const struct inbox_event event = {
        .kind = kind,
        .code = code,
        .number = flight->number,
        .pointer = flight,
        .at_ms = clock_monotonic_ms(),
        .patient = kind == INBOX_MQTT_ACKED && code < MQTTREASONCODE_UNSPECIFIED_ERROR,
    };

    post(flight->link, event);
}

static void on_published(void *ctx, MQTTAsync_successData *data)
{
    (void)data;
    post_answer(ctx, INBOX_MQTT_ACKED, 0);
}

static void on_published5(void *ctx, MQTTAsync_successData5 *data)
{
    post_answer(ctx, INBOX_MQTT_ACKED, data != NULL ? (int)data->reasonCode : 0);
}

static void on_unpublished(void *ctx, MQTTAsync_failureData *data)
{
    post_answer(ctx, INBOX_MQTT_UNSENT, data != NULL ? data->code : 0);
}

/* The broker's refusal has code 0 and a reason; what paho gives up has a code below 0, and its
 * reason may be unset. */
static void on_unpublished5(void *ctx, MQTTAsync_failureData5 *data)
{
    if (data != NULL && data->code >= 0 && data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR)
        post_answer(ctx, INBOX_MQTT_ACKED, (int)data->reasonCode);
    else
        post_answer(ctx, INBOX_MQTT_UNSENT, data != NULL ? data->code : 0);
}

static void post_subscribed(struct mqttflight *flight, int code)
{
    const struct inbox_event event = {
        .kind = INBOX_MQTT_SUBSCRIBED, .code = code, .number = flight->number, .pointer = flight};

    post(flight->link, event);
}

static void on_subscribed(void *ctx, MQTTAsync_successData *data)
{
    post_subscribed(ctx, data != NULL ? data->alt.qos : 0);
}

static void on_subscribed5(void *ctx, MQTTAsync_successData5 *data)
{
    post_subscribed(ctx, data != NULL ? (int)data->reasonCode : 0);
}

/* A code below 0: no answer will come since the connection ends. */
static void on_unsubscribed(void *ctx, MQTTAsync_failureData *data)
{
    bool lost = data != NULL && data->code < 0;

    post_subscribed(ctx, lost ? data->code : (int)MQTTREASONCODE_UNSPECIFIED_ERROR);
}

static void on_unsubscribed5(void *ctx, MQTTAsync_failureData5 *data)
{
    bool reasoned =
        data != NULL && data->code >= 0 && data->reasonCode > MQTTREASONCODE_UNSPECIFIED_ERROR;

    if (data != NULL && data->code < 0)
        post_subscribed(ctx, data->code);
    else
        post_subscribed(
            ctx, reasoned ? (int)data->reasonCode : (int)MQTTREASONCODE_UNSPECIFIED_ERROR);
}

static void on_closed(void *ctx, MQTTAsync_successData *data)
{
    (void)data;
    post_or_free(ctx, INBOX_MQTT_CLOSED, 0, NULL);
}

static void on_closed5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)data;
    post_or_free(ctx, INBOX_MQTT_CLOSED, 0, NULL);
}

static void on_not_closed(void *ctx, MQTTAsync_failureData *data)
{
    (void)data;
    post_or_free(ctx, INBOX_MQTT_CLOSED, 0, NULL);
}

static void on_not_closed5(void *ctx, MQTTAsync_failureData5 *data)
{
    (void)data;
    post_or_free(ctx, INBOX_MQTT_CLOSED, 0, NULL);
}

/* The reason in a line of OpenSSL's error stack, which is what people can use of
 * "thread:error:code:library:function:reason:file:line:data"; the whole line if it is not one. */
static const char *tls_reason(const char *line, size_t *length)
{
    const char *end = line + *length, *field = line, *next;

    for (int i = 0; i < 5; i++) {
        next = memchr(field, ':', (size_t)(end - field));
        if (next == NULL)
            return line;
        field = next + 1;
    }
    next = memchr(field, ':', (size_t)(end - field));
    *length = (size_t)((next != NULL ? next : end) - field);
    return field;
}

/* Keeps the first line: it is the cause of the others. */
static int on_tls_error(const char *text, size_t length, void *ctx)
{
    struct mqttlink *link = ctx;
    const char *reason = tls_reason(text, &length);

    pthread_mutex_lock(&link->lock);
    if (link->tls_text[0] == '\0')
        snprintf(link->tls_text, sizeof link->tls_text, "%.*s", (int)length, reason);
    pthread_mutex_unlock(&link->lock);
    return 1; /* go on with the next line */
}

void mqttlink_tls_text(struct mqttlink *link, char *out, size_t size)
{
    pthread_mutex_lock(&link->lock);
    snprintf(out, size, "%s", link->tls_text);
    pthread_mutex_unlock(&link->lock);
}

/* After the handle is there: properties made before the library is initialised confuse its memory
 * tracking. */
static void make_json_properties(struct mqttlink *link)
{
    static char content_type[] = "application/json";
    MQTTProperty format = {.identifier = MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR};
    MQTTProperty type = {.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE};

    format.value.byte = 1;
    type.value.data = (MQTTLenString){.len = sizeof content_type - 1, .data = content_type};
    MQTTProperties_add(&link->json, &format);
    MQTTProperties_add(&link->json, &type);
}

static bool create_handle(struct mqttlink *link, const struct mqtt_options *options,
    const struct mqttconnect_address *address, struct error *error)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    int code;

    create.MQTTVersion = link->version5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    create.sendWhileDisconnected = 0;
    create.maxBufferedMessages = mqttconnect_queue(options);
    code = MQTTAsync_createWithOptions(&link->handle, address->uri, options->client_id,
        MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    if (code != MQTTASYNC_SUCCESS) {
        link->handle = NULL;
        return error_set(error, ERROR_BROKER,
            "the MQTT library refuses the connection's settings: %s", MQTTAsync_strerror(code));
    }
    handles++;
    make_json_properties(link);
    code = MQTTAsync_setCallbacks(link->handle, link, on_connection_lost, on_message, NULL);
    if (code == MQTTASYNC_SUCCESS && link->version5)
        code = MQTTAsync_setDisconnected(link->handle, link, on_disconnected);
    if (code != MQTTASYNC_SUCCESS)
        return error_set(error, ERROR_BROKER, "the MQTT library takes no callbacks: code %d", code);
    return true;
}

static bool start(struct mqttlink *link, const struct mqtt_options *options, struct error *error)
{
    const struct mqttconnect_calls calls = {
        .context = link,
        .on_success = on_connected,
        .on_failure = on_failed,
        .on_success5 = on_connected5,
        .on_failure5 = on_failed5,
        .on_tls_error = on_tls_error,
    };
    struct mqttconnect_address address;
    int code;

    if (!mqttconnect_address(options->url, &address, error))
        return false;
    link->tls = address.tls;
    link->websocket = address.websocket;
    if (!create_handle(link, options, &address, error))
        return false;
    if (address.tls && !mqttconnect_open_files(&link->files, options, error))
        return false;
    wire_expect(address.websocket ? WIRE_OTHER : link->version5 ? WIRE_MQTT_5 : WIRE_MQTT_3);
    code = mqttconnect_start(link->handle, options, address.tls, &link->files, &calls);
    if (code != MQTTASYNC_SUCCESS)
        return error_set(error, ERROR_BROKER,
            "the MQTT library cannot begin to connect: %s (code %d)", MQTTAsync_strerror(code),
            code);
    return true;
}

struct mqttlink *mqttlink_new(struct inbox *inbox, uint32_t generation,
    const struct mqtt_options *options, struct error *error)
{
    struct mqttlink *link = xcalloc(1, sizeof *link);
    size_t flights = options->window + SUBSCRIPTIONS;
    assert(flights <= PACKET_IDENTIFIERS);
    int failed = pthread_mutex_init(&link->lock, NULL);

    assert(failed == 0);
    (void)failed;
    link->json = (MQTTProperties)MQTTProperties_initializer;
    link->files = MQTTCONNECT_NO_FILES;
    link->inbox = inbox;
    link->generation = generation;
    link->version5 = options->version5;
    link->window = options->window;
    link->flight_count = flights;
    link->flights = xcalloc(flights, sizeof *link->flights);
    for (size_t i = 0; i < flights; i++) {
        link->flights[i].link = link;
        mqttlink_flight_done(&link->flights[i]);
    }
    if (!start(link, options, error)) {
        mqttlink_free(link);
        return NULL;
    }
    return link;
}

void mqttlink_free(struct mqttlink *link)
{
    MQTTProperties_free(&link->json);
    if (link->handle != NULL) {
        MQTTAsync_destroy(&link->handle);
        if (--handles == 0)
            wire_join();
    }
    mqttrelay_free(link->relay);
    mqttconnect_close_files(&link->files);
    pthread_mutex_destroy(&link->lock);
    free(link->flights);
    free(link);
}

void mqttlink_leave(struct mqttlink *link)
{
    pthread_mutex_lock(&link->lock);
    link->inbox = NULL;
    pthread_mutex_unlock(&link->lock);
    link->next = left_behind;
    left_behind = link;
}

struct mqttflight *mqttlink_flight(struct mqttlink *link, uint64_t number)
{
    struct mqttflight *flight = link->idle;

    if (flight != NULL) {
        link->idle = flight->next;
        flight->number = number;
    }
    return flight;
}

void mqttlink_flight_done(struct mqttflight *flight)
{
    flight->relayed = false;
    flight->next = flight->link->idle;
    flight->link->idle = flight;
}

struct mqttflight *mqttlink_relayed(struct mqttlink *link, uint16_t identifier)
{
    size_t i = identifier - PACKET_FIRST_IDENTIFIER;

    return i < link->flight_count && link->flights[i].relayed ? &link->flights[i] : NULL;
}

static MQTTAsync_responseOptions publish_response(struct mqttflight *flight)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;

    response.context = flight;
    if (flight->link->version5) {
        response.onSuccess5 = on_published5;
        response.onFailure5 = on_unpublished5;
    } else {
        response.onSuccess = on_published;
        response.onFailure = on_unpublished;
    }
    return response;
}

static int relay(struct mqttlink *link, const struct mqtt_publication *publication,
    const MQTTAsync_message *message, struct mqttflight *flight)
{
    const struct packet_publish publish = {
        .topic = publication->topic,
        .topic_length = strlen(publication->topic),
        .payload = publication->payload,
        .payload_length = publication->payload_length,
        .qos = message->qos,
        .identifier = (uint16_t)(PACKET_FIRST_IDENTIFIER + (flight - link->flights)),
        .retain = message->retained != 0,
        .version5 = link->version5,
        .json = publication->json,
        .correlation_data = publication->correlation_data,
        .correlation_length = publication->correlation_length,
    };

    /* As the library does: it would end the connection. */
    if (!utf8_valid(publish.topic, publish.topic_length))
        return MQTTASYNC_BAD_UTF8_STRING;
    flight->relayed = mqttrelay_publish(link->relay, &publish);
    return flight->relayed ? MQTTASYNC_SUCCESS : MQTTASYNC_FAILURE;
}

static int send_with_properties(struct mqttlink *link, const struct mqtt_publication *publication,
    MQTTAsync_message *message, MQTTAsync_responseOptions *response)
{
    bool own = publication->correlation_data != NULL;
    MQTTProperties properties = MQTTProperties_initializer;
    int code;

    if (own) {
        MQTTProperty correlation = {.identifier = MQTTPROPERTY_CODE_CORRELATION_DATA};

        correlation.value.data = (MQTTLenString){.len = (int)publication->correlation_length,
            .data = (char *)publication->correlation_data};
        if (publication->json)
            properties = MQTTProperties_copy(&link->json);
        MQTTProperties_add(&properties, &correlation);
    }
    if (own)
        message->properties = properties;
    else if (publication->json)
        message->properties = link->json;
    code = MQTTAsync_sendMessage(link->handle, publication->topic, message, response);
    if (own)
        MQTTProperties_free(&properties);
    return code;
}

int mqttlink_send(struct mqttlink *link, const struct mqtt_limits *limits,
    const struct mqtt_publication *publication, struct mqttflight *flight)
{
    MQTTAsync_message message = MQTTAsync_message_initializer;
    MQTTAsync_responseOptions response;

    message.payload = (void *)publication->payload;
    message.payloadlen = (int)publication->payload_length;
    /* More than the broker allows would end the connection. */
    message.qos = publication->qos < limits->maximum_qos ? publication->qos : limits->maximum_qos;
    message.retained = publication->retain && limits->retain_available;
    if (link->relay != NULL && message.qos < 2)
        return relay(link, publication, &message, flight);
    response = publish_response(flight);
    if (link->version5)
        return send_with_properties(link, publication, &message, &response);
    return MQTTAsync_sendMessage(link->handle, publication->topic, &message, &response);
}

MQTTAsync_responseOptions mqttlink_subscribe_response(struct mqttflight *flight)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;

    response.context = flight;
    if (flight->link->version5) {
        response.onSuccess5 = on_subscribed5;
        response.onFailure5 = on_unsubscribed5;
    } else {
        response.onSuccess = on_subscribed;
        response.onFailure = on_unsubscribed;
    }
    return response;
}

bool mqttlink_disconnect(struct mqttlink *link)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

    if (link->version5) {
        options = (MQTTAsync_disconnectOptions)MQTTAsync_disconnectOptions_initializer5;
        options.onSuccess5 = on_closed5;
        options.onFailure5 = on_not_closed5;
    } else {
        options.onSuccess = on_closed;
        options.onFailure = on_not_closed;
    }
    options.context = link;
    return MQTTAsync_disconnect(link->handle, &options) == MQTTASYNC_SUCCESS;
}

void mqttlink_discard(const struct inbox_event *event)
{
    MQTTAsync_message *message = event->pointer;

    switch (event->kind) {
    case INBOX_MQTT_MESSAGE:
        MQTTAsync_freeMessage(&message);
        MQTTAsync_free(event->pointer2);
        break;
    case INBOX_MQTT_RELAYED:
    case INBOX_MQTT_CONNECTED:
    case INBOX_MQTT_FAILED:
    case INBOX_MQTT_LOST:
        free(event->pointer);
        break;
    case INBOX_MQTT_ACKED:
    case INBOX_MQTT_UNSENT:
    case INBOX_MQTT_SUBSCRIBED:
    case INBOX_MQTT_CLOSED:
        break; /* a flight belongs to its connection */
    }
}
