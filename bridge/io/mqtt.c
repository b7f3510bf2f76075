/*
 * The MQTT connection as the rest of the bridge sees it. The library behind it takes a global lock
 * for each call and holds it while it resolves names; so it is called only in states that are known
 * from its events, never while an attempt is under way, and each connection has a handle of its
 * own: nothing but the bridge's own outbox survives a loss, and reconnecting is faster that way.
 *
 * An event belongs to the connection whose generation it carries. All that arrives after the
 * connection was given up is freed here and goes nowhere.
 */
#include "mqtt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inbox.h"
#include "loop.h"
#include "mem.h"
#include "mqttconnect.h"
#include "mqttlink.h"
#include "mqttmessage.h"
#include "mqttprobe.h"
#include "mqttrelay.h"
#include "scheduling.h"
#include "wire.h"

#define LOG_TAG "mqtt"
#include "log.h"

enum {
    CONNECT_GRACE_S = 5, /* beyond paho's own time limit, which it looks at every 3 s only */
    CLOSE_MS = 2000,     /* for the broker to let go */
    GIVEN_UP_MS = 1000,  /* for the loss to follow when paho gives a publication up */
    REST_MS = 3000,      /* of the library's threads, which look around once a second otherwise */
    STUCK_MS = 120000,   /* for an attempt to come back before a new one is made beside it */
    /* mosquitto's default for max_inflight_messages, which MQTT 3.1.1 cannot announce. Version
     * 2.0.11 acknowledges what is beyond it at QoS 2, and loses it. */
    QOS2_WINDOW = 20,
    PACKET_OVERHEAD = 64, /* most bytes of a PUBLISH besides topic, payload, correlation data */
};

struct mqtt {
    struct loop *loop;
    struct mqtt_handler handler;
    enum mqtt_state state;
    struct mqttlink *link; /* NULL when idle */
    /* An attempt that did not end in time. It is left alone until its event comes. */
    struct mqttlink *stuck;
    int64_t stuck_ms;
    struct timer timer; /* of the state: the attempt, the close, a publication that was given up */
    char *will_topic, *will_payload; /* of the attempt or connection; NULL where there is none */
    const char *closing;             /* why it is being closed, for on_down */
    int timeout_s;                   /* of the attempt */
    /* With TLS: looks for the cause of an attempt that failed; prepared with it, NULL elsewhere. */
    struct mqttprobe *probe;
    char failure[512]; /* of that attempt: what paho said */
    bool failure_refused;
    struct mqtt_limits limits;
    struct mqttconnect_demands demands;
    int keep_alive_s;   /* of the attempt or connection */
    unsigned in_flight; /* publications without an answer */
    bool corked;
    bool acks_at_once;
    bool alone; /* publications of this connection go past the library, and its threads rest */
    unsigned refused_said;
    uint64_t dropped; /* incoming messages, on all connections */
    struct log_limit refused_limit;
    struct log_limit improper_limit;
};

/* Never used twice in a process, so that an event can be told from those of any other connection.
 */
static uint32_t next_generation;

void mqtt_global_init(void)
{
    static const char *const unwanted[] = {"http_proxy", "https_proxy", "MQTT_C_CLIENT_TRACE",
        "MQTT_C_CLIENT_TRACE_LEVEL", "MQTT_C_CLIENT_TRACE_MAX_LINES"};
    MQTTAsync_init_options init = MQTTAsync_init_options_initializer;

    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
        unsetenv(unwanted[i]);
    init.do_openssl_init = 0; /* OpenSSL does it itself, and libcurl uses it too */
    MQTTAsync_global_init(&init);
    /* Nobody reads paho's trace, and writing it takes a quarter of its time. */
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
}

/* Everything in the inbox comes from connections that are gone. It has to go before the next handle
 * is made: paho then forgets what it has allocated so far, and can no longer free it. */
static void empty_inbox(struct mqtt *mqtt)
{
    struct inbox_event event;

    while (inbox_take(loop_inbox(mqtt->loop), &event, 1) > 0)
        mqttlink_discard(&event);
}

static void say_refused(struct mqtt *mqtt)
{
    unsigned refused = atomic_load(&mqtt->link->refused);

    if (refused == mqtt->refused_said)
        return;
    mqtt->dropped += refused - mqtt->refused_said;
    mqtt->refused_said = refused;
    log_warn_limited(&mqtt->refused_limit, loop_now(mqtt->loop),
        "incoming messages were dropped, %llu since the start: more came than could be handled; "
        "commands among them get no answer",
        (unsigned long long)mqtt->dropped);
}

static void drop_probe(struct mqtt *mqtt)
{
    mqttprobe_free(mqtt->probe);
    mqtt->probe = NULL;
}

/* The library sees while it looks around that it is time for a PINGREQ, and that something on its
 * list can be sent at last. */
static void let_rest(const struct mqtt *mqtt)
{
    int most = mqtt->keep_alive_s * 1000 / 8;

    if (mqtt->state != MQTT_CONNECTED || (mqtt->in_flight > 0 && mqtt->link->relay == NULL))
        wire_rest(0);
    else
        wire_rest(most < REST_MS ? most : REST_MS);
}

/* The only way out of a connection. The handler's call is the last step: it may free mqtt. */
static void down(struct mqtt *mqtt, bool refused, const char *reason)
{
    struct mqttlink *link = mqtt->link;

    say_refused(mqtt);
    timer_stop(&mqtt->timer);
    drop_probe(mqtt);
    mqtt->state = MQTT_IDLE;
    mqtt->link = NULL;
    mqtt->in_flight = 0;
    let_rest(mqtt);
    mqttlink_free(link);
    if (mqtt->stuck == NULL)
        empty_inbox(mqtt);
    scheduling_release();
    mqtt->handler.on_down(mqtt->handler.ctx, refused, reason);
}

static void abandon(struct mqtt *mqtt)
{
    char text[160];

    snprintf(text, sizeof text,
        "no answer %d s after the attempt began: looking up the broker's name seems to be stuck",
        mqtt->timeout_s + CONNECT_GRACE_S);
    drop_probe(mqtt);
    mqtt->stuck = mqtt->link;
    mqtt->stuck_ms = loop_now(mqtt->loop);
    mqtt->link = NULL;
    mqtt->state = MQTT_IDLE;
    scheduling_release();
    mqtt->handler.on_down(mqtt->handler.ctx, false, text);
}

static void begin_close(struct mqtt *mqtt, const char *reason)
{
    bool started;

    mqtt->state = MQTT_CLOSING;
    mqtt->closing = reason;
    let_rest(mqtt);
    started = mqttlink_disconnect(mqtt->link);
    timer_set(&mqtt->timer, loop_now(mqtt->loop) + (started ? CLOSE_MS : 0));
}

/* QoS 0 needs no place in the window, which may be full for good; and the broker either reads this
 * before DISCONNECT, or never reads DISCONNECT and publishes the will itself. */
static void publish_will(struct mqtt *mqtt)
{
    struct mqttflight *flight;

    if (mqtt->will_topic == NULL)
        return;
    flight = mqttlink_flight(mqtt->link, 0);
    if (flight == NULL)
        return;
    if (mqttlink_send(mqtt->link, &mqtt->limits,
            &(struct mqtt_publication){.topic = mqtt->will_topic,
                .payload = mqtt->will_payload,
                .payload_length = strlen(mqtt->will_payload),
                .retain = true},
            flight) != MQTTASYNC_SUCCESS) {
        mqttlink_flight_done(flight);
        return;
    }
    mqtt->in_flight++;
    if (mqtt->link->relay != NULL)
        mqttrelay_flush(mqtt->link->relay);
}

static void on_timer(void *ctx)
{
    struct mqtt *mqtt = ctx;

    switch (mqtt->state) {
    case MQTT_IDLE:
        break;
    case MQTT_CONNECTING:
        abandon(mqtt);
        break;
    case MQTT_CONNECTED:
        publish_will(mqtt);
        begin_close(mqtt, "the library gave a publication up");
        break;
    case MQTT_CLOSING:
        down(mqtt, false, mqtt->closing);
        break;
    }
}

struct mqtt *mqtt_new(struct loop *loop, const struct mqtt_handler *handler)
{
    struct mqtt *mqtt = xcalloc(1, sizeof *mqtt);

    mqtt->loop = loop;
    mqtt->handler = *handler;
    mqtt->acks_at_once = true;
    timer_init(&mqtt->timer, loop, on_timer, mqtt);
    return mqtt;
}

void mqtt_free(struct mqtt *mqtt)
{
    if (mqtt == NULL)
        return;
    timer_stop(&mqtt->timer);
    if (mqtt->state == MQTT_CONNECTING && !mqttprobe_is_running(mqtt->probe))
        mqttlink_leave(mqtt->link);
    else if (mqtt->link != NULL)
        mqttlink_free(mqtt->link);
    drop_probe(mqtt);
    if (mqtt->stuck != NULL)
        mqttlink_leave(mqtt->stuck);
    empty_inbox(mqtt);
    free(mqtt->will_topic);
    free(mqtt->will_payload);
    free(mqtt);
}

enum mqtt_state mqtt_state(const struct mqtt *mqtt)
{
    return mqtt->state;
}

/* While an attempt hangs in a name resolution, paho's lock is taken and a new handle could not even
 * be made without waiting for it. After a long time the library rather than the resolver is to
 * blame, and trying is better than waiting for ever. */
static bool may_try(struct mqtt *mqtt, struct error *error)
{
    if (mqtt->stuck == NULL)
        return true;
    if (loop_now(mqtt->loop) - mqtt->stuck_ms < STUCK_MS)
        return error_set(error, ERROR_BROKER,
            "the attempt before has not ended: looking up the broker's name seems to be stuck");
    mqttlink_leave(mqtt->stuck);
    mqtt->stuck = NULL;
    return true;
}

static void on_probed(void *ctx, bool refused, const char *words)
{
    struct mqtt *mqtt = ctx;
    /* That a port is out of reach now is no reason for what OpenSSL did not like before. */
    bool better = words[0] != '\0' && (refused || !mqtt->failure_refused);
    char text[sizeof mqtt->failure]; /* not mqtt's own, which may be freed by whom it is told */

    snprintf(text, sizeof text, "%s", better ? words : mqtt->failure);
    down(mqtt, refused || mqtt->failure_refused, text);
}

/* The options are borrowed: what a failure may need is prepared while they are there. */
static void prepare_probe(struct mqtt *mqtt, const struct mqtt_options *options)
{
    struct mqttconnect_address address;
    struct error error;

    if (mqtt->link->tls && mqttconnect_address(options->url, &address, &error))
        mqtt->probe = mqttprobe_new(mqtt->loop, options, address.uri, on_probed, mqtt);
}

static void keep_will(struct mqtt *mqtt, const struct mqtt_options *options)
{
    bool given = options->will_topic != NULL && options->will_topic[0] != '\0';

    free(mqtt->will_topic);
    free(mqtt->will_payload);
    mqtt->will_topic = given ? xstrdup(options->will_topic) : NULL;
    mqtt->will_payload = xstrdup(options->will_payload != NULL ? options->will_payload : "");
}

bool mqtt_connect(struct mqtt *mqtt, const struct mqtt_options *options, struct error *error)
{
    struct mqtt_options obeying;

    assert(mqtt->state == MQTT_IDLE && options->window > 0);
    if (!may_try(mqtt, error))
        return false;
    obeying = mqttconnect_obey(&mqtt->demands, options);
    scheduling_gather();
    mqtt->link = mqttlink_new(loop_inbox(mqtt->loop), ++next_generation, &obeying, error);
    if (mqtt->link == NULL) {
        scheduling_release();
        return false;
    }
    prepare_probe(mqtt, &obeying);
    keep_will(mqtt, &obeying);
    mqtt->state = MQTT_CONNECTING;
    mqtt->alone = false;
    mqtt->keep_alive_s = obeying.keep_alive_s;
    mqtt->refused_said = 0;
    mqtt->timeout_s = options->connect_timeout_s;
    timer_set(&mqtt->timer,
        loop_now(mqtt->loop) + 1000 * (int64_t)(options->connect_timeout_s + CONNECT_GRACE_S));
    return true;
}

unsigned mqtt_window_free(const struct mqtt *mqtt)
{
    return mqtt->limits.window > mqtt->in_flight ? mqtt->limits.window - mqtt->in_flight : 0;
}

/* A packet that the broker does not take ends the connection, again after each reconnect. */
static bool fits(const struct mqtt *mqtt, const struct mqtt_publication *publication,
    size_t topic_length, struct error *error)
{
    size_t most = mqtt->limits.maximum_packet_size < PACKET_REMAINING_MOST
                      ? mqtt->limits.maximum_packet_size
                      : PACKET_REMAINING_MOST;
    size_t size = PACKET_OVERHEAD + topic_length + publication->correlation_length;

    if (size <= most && publication->payload_length <= most - size)
        return true;
    return error_set(error, ERROR_RUN, "a packet of %zu bytes, where the broker takes %zu",
        size + publication->payload_length, most);
}

bool mqtt_publish(struct mqtt *mqtt, const struct mqtt_publication *publication, uint64_t sequence,
    struct error *error)
{
    struct mqttflight *flight;
    int code;

    assert(mqtt->state == MQTT_CONNECTED && mqtt_window_free(mqtt) > 0);
    if (!fits(mqtt, publication, strlen(publication->topic), error))
        return false;
    if (publication->qos == 2 && !mqtt->link->version5 && mqtt->limits.window > QOS2_WINDOW)
        mqtt->limits.window = QOS2_WINDOW;
    flight = mqttlink_flight(mqtt->link, sequence);
    assert(flight != NULL);
    code = mqttlink_send(mqtt->link, &mqtt->limits, publication, flight);
    if (code != MQTTASYNC_SUCCESS) {
        mqttlink_flight_done(flight);
        return mqttconnect_publication_refused(code, error);
    }
    if (mqtt->in_flight++ == 0)
        let_rest(mqtt);
    if (flight->relayed && !mqtt->alone) {
        mqtt->alone = true;
        scheduling_be_modest();
    }
    if (mqtt->link->relay != NULL && !mqtt->corked)
        mqttrelay_flush(mqtt->link->relay);
    return true;
}

void mqtt_cork(struct mqtt *mqtt)
{
    assert(mqtt->state == MQTT_CONNECTED);
    mqtt->corked = true;
    wire_cork();
}

void mqtt_uncork(struct mqtt *mqtt)
{
    mqtt->corked = false;
    wire_uncork();
    if (mqtt->link->relay != NULL)
        mqttrelay_flush(mqtt->link->relay);
}

void mqtt_look(const struct mqtt *mqtt)
{
    if (mqtt->link->relay != NULL)
        mqttrelay_look(mqtt->link->relay);
}

bool mqtt_can_look(const struct mqtt *mqtt)
{
    return mqtt->link->relay != NULL && mqttrelay_awaits(mqtt->link->relay);
}

void mqtt_want_acks(struct mqtt *mqtt, bool at_once)
{
    if (mqtt->acks_at_once != at_once)
        inbox_set_eager(loop_inbox(mqtt->loop), at_once);
    mqtt->acks_at_once = at_once;
    if (mqtt->link->relay != NULL)
        mqttrelay_hurry(mqtt->link->relay, at_once);
}

bool mqtt_naps(void)
{
    return wire_naps();
}

static void note_subscription(const struct mqtt *mqtt)
{
    if (mqtt->link->relay != NULL)
        mqttrelay_expect_subscription(mqtt->link->relay);
}

bool mqtt_subscribe(struct mqtt *mqtt, const char *filter, int qos, bool retain_as_published,
    uint64_t token, struct error *error)
{
    struct mqttflight *flight;
    MQTTAsync_responseOptions response;
    int code;

    assert(mqtt->state == MQTT_CONNECTED);
    flight = mqttlink_flight(mqtt->link, token);
    if (flight == NULL)
        return error_set(error, ERROR_BROKER, "too many subscriptions at a time");
    response = mqttlink_subscribe_response(flight);
    response.subscribeOptions.retainAsPublished = retain_as_published;
    code = MQTTAsync_subscribe(mqtt->link->handle, filter, qos, &response);
    if (code != MQTTASYNC_SUCCESS) {
        mqttlink_flight_done(flight);
        return mqttconnect_publication_refused(code, error);
    }
    note_subscription(mqtt);
    return true;
}

bool mqtt_unsubscribe(struct mqtt *mqtt, const char *filter, struct error *error)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    int code;

    assert(mqtt->state == MQTT_CONNECTED);
    code = MQTTAsync_unsubscribe(mqtt->link->handle, filter, &response);
    if (code != MQTTASYNC_SUCCESS)
        return mqttconnect_publication_refused(code, error);
    note_subscription(mqtt);
    return true;
}

uint64_t mqtt_dropped(const struct mqtt *mqtt)
{
    return mqtt->dropped;
}

const char *mqtt_reason_text(int reason_code)
{
    return mqttconnect_reason(reason_code);
}

void mqtt_close(struct mqtt *mqtt)
{
    assert(mqtt->state == MQTT_CONNECTED);
    begin_close(mqtt, "closed");
}

void mqtt_close_with_will(struct mqtt *mqtt)
{
    assert(mqtt->state == MQTT_CONNECTED);
    publish_will(mqtt);
    begin_close(mqtt, "closed");
}

void mqtt_abandon(struct mqtt *mqtt)
{
    assert(mqtt->state == MQTT_CONNECTED);
    timer_stop(&mqtt->timer);
    /* Not destroyed: paho would say DISCONNECT. */
    mqttlink_leave(mqtt->link);
    if (mqtt->link->relay != NULL)
        mqttrelay_stop(mqtt->link->relay);
    mqtt->link = NULL;
    mqtt->state = MQTT_IDLE;
    let_rest(mqtt);
}

static void take_answer(
    struct mqtt *mqtt, struct mqttflight *flight, uint64_t sequence, int reason_code, int64_t at_ms)
{
    mqttlink_flight_done(flight);
    assert(mqtt->in_flight > 0);
    if (--mqtt->in_flight == 0)
        let_rest(mqtt);
    mqtt->handler.on_ack(mqtt->handler.ctx, sequence, reason_code, at_ms);
}

static void on_relayed(void *ctx, uint16_t identifier, uint8_t reason_code, int64_t at_ms)
{
    struct mqtt *mqtt = ctx;
    struct mqttflight *flight = mqttlink_relayed(mqtt->link, identifier);

    if (flight != NULL)
        take_answer(mqtt, flight, flight->number, reason_code, at_ms);
}

static void on_relayed_message(void *ctx, const struct packet_message *message)
{
    const struct mqtt *mqtt = ctx;

    mqttlink_receive(mqtt->link, message);
}

static bool has_room(void *ctx)
{
    const struct mqtt *mqtt = ctx;

    return inbox_has_room(loop_inbox(mqtt->loop));
}

static void on_connected(struct mqtt *mqtt, const struct inbox_event *event)
{
    char text[160];

    if (mqtt->state != MQTT_CONNECTING)
        return;
    timer_stop(&mqtt->timer);
    drop_probe(mqtt);
    mqtt->limits = *(const struct mqtt_limits *)event->pointer;
    if (mqtt->limits.keep_alive_s > 0 && mqtt->limits.keep_alive_s < mqtt->keep_alive_s) {
        /* paho would keep to what it has sent, and the broker would take that for a dead client. */
        mqtt->demands.keep_alive_s = mqtt->limits.keep_alive_s;
        snprintf(text, sizeof text,
            "the broker wants a sign of life every %d s: connecting again with that",
            mqtt->limits.keep_alive_s);
        down(mqtt, false, text);
        return;
    }
    /* The broker's is the same by now, or longer, or it has none. */
    mqtt->limits.keep_alive_s = mqtt->keep_alive_s;
    if (mqtt->link->relay != NULL &&
        !mqttrelay_start(mqtt->link->relay, mqtt->loop,
            &(struct mqttrelay_handler){mqtt, on_relayed, on_relayed_message, has_room})) {
        down(mqtt, false, "no room for the connection's descriptors");
        return;
    }
    mqtt->state = MQTT_CONNECTED;
    mqtt->handler.on_up(mqtt->handler.ctx, &mqtt->limits);
}

/* OpenSSL's word counts as a refusal unless the other side just went away. Of TLS it is hardly ever
 * the whole story, and a host name that does not fit is none for paho: see mqttprobe.h. */
static void on_failed(struct mqtt *mqtt, const struct inbox_event *event)
{
    char tls_text[sizeof mqtt->link->tls_text];

    if (mqttprobe_is_running(mqtt->probe))
        return;
    mqttconnect_learn(&mqtt->demands, event->code);
    mqttlink_tls_text(mqtt->link, tls_text, sizeof tls_text);
    mqtt->failure_refused = tls_text[0] != '\0' ? strstr(tls_text, "unexpected eof") == NULL
                                                : mqttconnect_is_refusal(event->code);
    mqttconnect_describe(
        event->code, event->pointer, tls_text, mqtt->failure, sizeof mqtt->failure);
    timer_stop(&mqtt->timer);
    if (mqtt->probe != NULL && event->code < 0)
        mqttprobe_start(mqtt->probe);
    else
        on_probed(mqtt, false, "");
}

static void on_lost(struct mqtt *mqtt, const struct inbox_event *event)
{
    char text[192];

    if (mqtt->state == MQTT_CLOSING) {
        down(mqtt, false, mqtt->closing);
        return;
    }
    if (event->code > 0)
        snprintf(text, sizeof text, "the broker ended the connection: %s (code %d)",
            mqttconnect_reason(event->code), event->code);
    else
        snprintf(text, sizeof text, "%s",
            event->pointer != NULL ? (const char *)event->pointer : "connection lost");
    down(mqtt, mqttconnect_is_refusal(event->code), text);
}

/* Some brokers pass on whatever their clients send. */
static bool is_proper(const struct mqtt_message *message)
{
    return packet_is_topic_name(message->topic, message->topic_length) &&
           (message->response_topic == NULL ||
               packet_is_text(message->response_topic, message->response_topic_length));
}

/* mqtt is not touched after the handler's call. */
static void on_message(struct mqtt *mqtt, const struct mqtt_message *message)
{
    say_refused(mqtt);
    if (is_proper(message))
        mqtt->handler.on_message(mqtt->handler.ctx, message);
    else
        log_warn_limited(&mqtt->improper_limit, loop_now(mqtt->loop),
            "a message of %zu bytes is dropped: its topic, or its Response Topic, is not what MQTT "
            "allows; the broker should not have passed it on",
            message->payload_length);
}

static void handle_current(struct mqtt *mqtt, const struct inbox_event *event)
{
    struct mqtt_message message;

    switch (event->kind) {
    case INBOX_MQTT_CONNECTED:
        on_connected(mqtt, event);
        break;
    case INBOX_MQTT_FAILED:
        on_failed(mqtt, event);
        break;
    case INBOX_MQTT_LOST:
        on_lost(mqtt, event);
        break;
    case INBOX_MQTT_ACKED:
        take_answer(mqtt, event->pointer, event->number, event->code, event->at_ms);
        break;
    case INBOX_MQTT_UNSENT:
        /* The window stays taken: the connection is about to end, and later publications must not
         * overtake this one. */
        mqttlink_flight_done(event->pointer);
        if (mqtt->state == MQTT_CONNECTED && !timer_is_set(&mqtt->timer))
            timer_set(&mqtt->timer, loop_now(mqtt->loop) + GIVEN_UP_MS);
        break;
    case INBOX_MQTT_SUBSCRIBED:
        mqttlink_flight_done(event->pointer);
        if (event->code >= 0)
            mqtt->handler.on_subscribed(mqtt->handler.ctx, event->number, event->code);
        break;
    case INBOX_MQTT_MESSAGE:
        message = mqttmessage_view(event);
        on_message(mqtt, &message);
        break;
    case INBOX_MQTT_RELAYED:
        on_message(mqtt, event->pointer);
        break;
    case INBOX_MQTT_CLOSED:
        down(mqtt, false, mqtt->closing);
        break;
    }
}

/* An attempt that was given up has ended after all: now paho may be called for it. */
static void handle_stuck(struct mqtt *mqtt, const struct inbox_event *event)
{
    if (event->kind != INBOX_MQTT_CONNECTED && event->kind != INBOX_MQTT_FAILED &&
        event->kind != INBOX_MQTT_LOST)
        return;
    mqttlink_free(mqtt->stuck);
    mqtt->stuck = NULL;
    if (mqtt->link == NULL)
        empty_inbox(mqtt);
}

void mqtt_handle(struct mqtt *mqtt, const struct inbox_event *event)
{
    if (mqtt->link != NULL && event->generation == mqtt->link->generation)
        handle_current(mqtt, event);
    else if (mqtt->stuck != NULL && event->generation == mqtt->stuck->generation)
        handle_stuck(mqtt, event);
    mqttlink_discard(event);
}
