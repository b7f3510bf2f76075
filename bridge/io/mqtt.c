/*
 * The connection to the broker: joins the byte stream (link.h) and paho's session (session.h).
 *
 *     publisher ──> PUBLISH ──>┐                              ┌──> PUBLISH, PUBACK, ... ──> handler
 *                              ├──> link <──> broker <──> link┤
 *     session ──> CONNECT, ... ┘                              └──> CONNACK, SUBACK, ... ──> session
 *
 * Publications of both directions and their acknowledgements, of every QoS, are written and read
 * here; everything else is the session's. What the broker sends is looked at before anybody uses it
 * (inspector.h): what is malformed or out of place ends the connection.
 *
 * One connection is one attempt: nothing but the outbox survives a loss. Its end is told in a later
 * pass of the loop, so that nobody loses it under his hands.
 */
#include "mqtt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspector.h"
#include "limit.h"
#include "link.h"
#include "loop.h"
#include "mem.h"
#include "mqttreason.h"
#include "packet.h"
#include "scheduling.h"
#include "session.h"

#define LOG_TAG "mqtt"
#include "log.h"

enum {
    READS = 8,          /* in a row, so that everything else has its turn */
    BUSY_MS = 50,       /* between two looks whether an abandoned handshake is over */
    HANDSHAKE_S = 5,    /* for the session, beyond the time for the connection */
    CLOSE_MS = 2000,    /* for the broker to take the last packets */
    LINGER_MS = 500,    /* and then to close the connection */
    KEPT = 64 * 1024,   /* a buffer that was larger is given back once it is empty */
    SUBSCRIPTIONS = 64, /* without an answer */
    /* Acknowledgements that nobody waits for may lie: the loop wakes up for so many bytes, which
     * every command has (a PUBLISH to `aiva/bridge/command/refresh` has 31), or after so long. In a
     * record of TLS 1.3 each has 22 more, so that there two of them wake it. Not for long: behind
     * one that lies, the kernel of a broker without TCP_NODELAY (mosquitto's default) holds back
     * what follows, a command too, until ours has confirmed it. */
    LAZY_BYTES = 16,
    LAZY_BYTES_TLS = 48,
    LAZY_MS = 4,
    /* While the window is full, each one that came would be answered by one more publication, often
     * on the very processor that the broker works on. So the loop wakes up when this part of those
     * that are on their way must have come: less than the smallest that they can be in bytes. TLS
     * adds to each record, and how many acknowledgements share one is the broker's affair. */
    ACK_BYTES = 4,
    FULL_PART = 8,
    FULL_PART_TLS = 2,
    RECORD_BYTES = 22,
    FULL_MS = 1,
    /* mosquitto's default for max_inflight_messages, which MQTT 3.1.1 cannot announce. Version
     * 2.0.11 acknowledges what is beyond it at QoS 2, and loses it. */
    QOS2_WINDOW = 20,
    BITS = 8,
};

struct mqtt {
    struct loop *loop;
    struct mqtt_handler handler;
    enum mqtt_state state;
    struct mqtt_options options; /* of the connection; its texts are owned */
    struct mqtt_demands demands;
    struct mqtt_limits limits;
    struct link *link;
    struct session *session;
    struct inspector inspector;
    struct buf in; /* the beginning of a packet, or packets that wait for their turn */
    size_t skip;   /* bytes of a message that is larger than any that is taken */
    struct inflight inflight;
    uint16_t subscriptions[SUBSCRIPTIONS]; /* identifiers without an answer; 0: free */
    unsigned subscribing; /* SUBSCRIBEs that paho is still to write: nothing overtakes them */
    struct buf behind;    /* what would */
    unsigned char
        *received;      /* a bit for each identifier of the broker's with QoS 2; NULL: none yet */
    bool disconnecting; /* DISCONNECT is written: nothing follows */
    bool again;         /* the broker wants another CONNECT: at once, and not a failure */
    bool asked;         /* CONNECT is written */
    bool pinged;        /* PINGREQ is written, and nothing has come since */
    bool unread;        /* the last pass had to leave something in the link */
    bool looked;        /* the link has been read in this pass */
    bool lies;          /* what comes may lie for a while: the link has a low water mark */
    bool in_vain;       /* nothing had come when that while was over */
    struct timer timer; /* of the state */
    struct timer read;  /* it is over; or there is more to be read than one pass takes */
    struct timer down;  /* on_down is to be called */
    bool refused;
    char reason[512];
    struct log_limit improper_limit;
};

/* ---- The end of a connection */

static char *copy_text(const char *text)
{
    return text && text[0] != '\0' ? xstrdup(text) : NULL;
}

static void copy_options(struct mqtt_options *copy, const struct mqtt_options *options)
{
    *copy = *options;
    copy->url = copy_text(options->url);
    copy->client_id = copy_text(options->client_id);
    copy->username = copy_text(options->username);
    copy->password = copy_text(options->password);
    copy->ca = copy_text(options->ca);
    copy->cert = copy_text(options->cert);
    copy->key = copy_text(options->key);
    copy->proxy = copy_text(options->proxy);
    copy->alpn = copy_text(options->alpn);
    copy->will_topic = copy_text(options->will_topic);
    copy->will_payload = copy_text(options->will_payload);
}

static void free_secret(const char *secret)
{
    if (secret)
        explicit_bzero((char *)secret, strlen(secret));
    free((char *)secret);
}

static void free_options(struct mqtt_options *options)
{
    free_secret(options->password);
    free_secret(options->key);
    free((char *)options->url);
    free((char *)options->client_id);
    free((char *)options->username);
    free((char *)options->ca);
    free((char *)options->cert);
    free((char *)options->proxy);
    free((char *)options->alpn);
    free((char *)options->will_topic);
    free((char *)options->will_payload);
    *options = (struct mqtt_options){0};
}

/* Leaves it without a word to the broker, which then publishes the last will. */
static void drop_connection(struct mqtt *mqtt)
{
    timer_stop(&mqtt->timer);
    timer_stop(&mqtt->read);
    link_free(mqtt->link);
    mqtt->link = NULL;
    session_free(mqtt->session);
    mqtt->session = NULL;
    inspector_clear(&mqtt->inspector);
    buf_clear(&mqtt->in);
    buf_clear(&mqtt->behind);
    inflight_clear(&mqtt->inflight);
    free(mqtt->received);
    mqtt->received = NULL;
    free_options(&mqtt->options);
}

/* The first reason counts. */
static void end(struct mqtt *mqtt, bool refused, const char *reason)
{
    if (timer_is_set(&mqtt->down) || mqtt->state == MQTT_IDLE)
        return;
    mqtt->refused = refused;
    snprintf(mqtt->reason, sizeof mqtt->reason, "%s", reason);
    mqtt->state = MQTT_CLOSING;
    timer_set(&mqtt->down, loop_now(mqtt->loop));
}

static bool has_ended(const struct mqtt *mqtt)
{
    return timer_is_set(&mqtt->down) || !mqtt->link;
}

/* With what the broker has demanded. */
static bool connect_again(struct mqtt *mqtt)
{
    struct mqtt_options options = mqtt->options;
    struct error error;
    mqtt->options = (struct mqtt_options){0};
    drop_connection(mqtt);
    mqtt->state = MQTT_IDLE;
    bool begun = mqtt_connect(mqtt, &options, &error);
    if (!begun)
        snprintf(mqtt->reason, sizeof mqtt->reason, "%s", error.text);
    free_options(&options);
    return begun;
}

static void fire_down(void *ctx)
{
    struct mqtt *mqtt = ctx;
    if (mqtt->again && connect_again(mqtt))
        return;
    drop_connection(mqtt);
    mqtt->state = MQTT_IDLE;
    scheduling_release();
    mqtt->handler.on_down(mqtt->handler.ctx, mqtt->refused, mqtt->reason);
}

static void fire_timer(void *ctx);

/* ---- To the broker */

static void flush(struct mqtt *mqtt)
{
    if (mqtt->link)
        link_flush(mqtt->link);
}

/* With QoS 0, what the connection has taken is done. */
static void settle(struct mqtt *mqtt)
{
    if (mqtt->inflight.sending_count > 0 && !has_ended(mqtt) && !link_has_output(mqtt->link) &&
        link_output(mqtt->link) && mqtt->behind.length == 0)
        inflight_settle(&mqtt->inflight);
}

static void append(struct mqtt *mqtt, const void *packets, size_t length)
{
    struct buf *out = link_output(mqtt->link);
    if (out)
        (void)!buf_append(out, packets, length); /* a failure is link_flush's to see */
}

static void append_answer(struct mqtt *mqtt, enum packet_type type, uint16_t identifier)
{
    struct buf *out = link_output(mqtt->link);
    if (out && !mqtt->disconnecting)
        (void)!packet_append_answer(out, type, identifier);
}

static void release_behind(struct mqtt *mqtt)
{
    append(mqtt, mqtt->behind.data, mqtt->behind.length);
    buf_clear(&mqtt->behind);
}

static bool note_subscription(struct mqtt *mqtt, uint16_t identifier)
{
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        if (mqtt->subscriptions[i] != 0)
            continue;
        mqtt->subscriptions[i] = identifier;
        return identifier < PACKET_FIRST_IDENTIFIER;
    }
    return false;
}

static bool take_subscription(struct mqtt *mqtt, uint16_t identifier)
{
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        if (mqtt->subscriptions[i] != identifier)
            continue;
        mqtt->subscriptions[i] = 0;
        return true;
    }
    return false;
}

static void note_packet(struct mqtt *mqtt, enum packet_type type, const char *packet)
{
    bool subscribes = type == PACKET_SUBSCRIBE || type == PACKET_UNSUBSCRIBE;
    mqtt->asked = mqtt->asked || type == PACKET_CONNECT;
    mqtt->pinged = mqtt->pinged || type == PACKET_PINGREQ;
    mqtt->disconnecting = type == PACKET_DISCONNECT;
    if (subscribes &&
        !note_subscription(mqtt, packet_read_answer(packet, mqtt->options.version5).identifier))
        end(mqtt, false, "the MQTT library has no Packet Identifier left: connecting again");
    if (type == PACKET_SUBSCRIBE && mqtt->subscribing > 0 && --mqtt->subscribing == 0)
        release_behind(mqtt);
}

/* The broker closes the connection once it has the DISCONNECT. If that were done from here, with
 * input unread, TCP would throw away what it has not sent. */
static void await_close(struct mqtt *mqtt)
{
    if (mqtt->disconnecting && !link_has_output(mqtt->link))
        timer_set(&mqtt->timer, loop_now(mqtt->loop) + LINGER_MS);
}

/* A packet of the session's. By DISCONNECT paho also gives up a connection that it takes for dead:
 * with it the broker would forget the last will, and the session's end is told by itself. */
static void on_packet(void *ctx, const char *packet, size_t length)
{
    struct mqtt *mqtt = ctx;
    enum packet_type type = packet_type(packet);
    if (has_ended(mqtt) || mqtt->disconnecting ||
        (type == PACKET_DISCONNECT && mqtt->state != MQTT_CLOSING))
        return;
    append(mqtt, packet, length);
    note_packet(mqtt, type, packet);
    flush(mqtt);
    settle(mqtt);
    await_close(mqtt);
}

/* ---- From the broker */

static void take_connack(struct mqtt *mqtt, const char *packet, size_t size)
{
    struct packet_connack connack;
    char text[sizeof mqtt->reason];
    const struct mqtt_options *options = &mqtt->options;
    if (!mqtt->asked) { /* nor need there be a session yet */
        end(mqtt, false, "the broker sent a CONNACK before it got a CONNECT");
        return;
    }
    packet_read_connack(packet, options->version5, &connack);
    if (connack.reason.code != 0) {
        mqttreason_learn(&mqtt->demands, connack.reason.code);
        mqttreason_describe(
            "the broker refused the connection", &connack.reason, text, sizeof text);
        end(mqtt, mqttreason_is_refusal(connack.reason.code), text);
        return;
    }
    mqtt->limits = (struct mqtt_limits){
        .window =
            connack.receive_maximum < options->window ? connack.receive_maximum : options->window,
        .maximum_packet_size = connack.maximum_packet_size,
        .maximum_qos = connack.maximum_qos,
        .retain_available = connack.retain_available,
        .keep_alive_s = options->keep_alive_s,
    };
    if (connack.keep_alive_s > 0 && connack.keep_alive_s < options->keep_alive_s) {
        /* paho would keep to what it has sent, and the broker would take that for a dead client. */
        mqtt->demands.keep_alive_s = connack.keep_alive_s;
        log_info("the broker wants a sign of life every %d s: connecting again with that",
            connack.keep_alive_s);
        mqtt->again = true;
        end(mqtt, false, "");
        return;
    }
    if (!session_give(mqtt->session, packet, size))
        end(mqtt, false, "the MQTT library takes nothing");
}

/* True where it has not come before: the broker sends it again until it has the PUBREC
 * (section 4.3.3).
 */
static bool receive_once(struct mqtt *mqtt, uint16_t identifier)
{
    if (!mqtt->received)
        mqtt->received = xcalloc((UINT16_MAX + 1) / BITS, 1);
    unsigned char *place = &mqtt->received[identifier / BITS];
    unsigned char bit = (unsigned char)(1u << identifier % BITS);
    bool first = (*place & bit) == 0;
    *place |= bit;
    return first;
}

/* Some brokers pass on whatever their clients send. */
static bool is_proper(struct mqtt *mqtt, const struct packet_message *message)
{
    if (packet_is_topic_name(message->topic, message->topic_length) &&
        (!message->response_topic ||
            packet_is_text(message->response_topic, message->response_topic_length)))
        return true;
    log_warn_limited(&mqtt->improper_limit, loop_now(mqtt->loop),
        "a message of %zu bytes is dropped: its topic, or its Response Topic, is not what MQTT "
        "allows; the broker should not have passed it on",
        message->payload_length);
    return false;
}

static void take_message(struct mqtt *mqtt, const char *packet, size_t left)
{
    struct packet_message read;
    packet_read_message(packet, mqtt->options.version5, &read);
    const struct mqtt_message message = {
        .topic = read.topic,
        .topic_length = read.topic_length,
        .payload = read.payload,
        .payload_length = left < read.payload_length ? left : read.payload_length,
        .retained = read.retain,
        .duplicate = read.duplicate,
        .response_topic = read.response_topic,
        .response_topic_length = read.response_topic_length,
        .correlation_data = read.correlation_data,
        .correlation_length = read.correlation_length,
        .expiry_s = read.expiry_s,
    };
    if (!mqtt->disconnecting && is_proper(mqtt, &read) &&
        (read.qos < 2 || receive_once(mqtt, read.identifier)))
        mqtt->handler.on_message(mqtt->handler.ctx, &message);
    if (read.qos > 0 && mqtt->link)
        append_answer(mqtt, read.qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, read.identifier);
}

static void take_answer(struct mqtt *mqtt, enum packet_type type, const char *packet)
{
    struct packet_answer answer = packet_read_answer(packet, mqtt->options.version5);
    if (inflight_answer(&mqtt->inflight, type, &answer))
        append_answer(mqtt, PACKET_PUBREL, answer.identifier);
}

static void take_release(struct mqtt *mqtt, const char *packet)
{
    uint16_t identifier = packet_read_answer(packet, mqtt->options.version5).identifier;
    if (mqtt->received)
        mqtt->received[identifier / BITS] &= (unsigned char)~(1u << identifier % BITS);
    append_answer(mqtt, PACKET_PUBCOMP, identifier);
}

static void take_disconnect(struct mqtt *mqtt, const char *packet)
{
    struct packet_reason reason;
    char text[sizeof mqtt->reason];
    packet_read_disconnect(packet, &reason);
    mqttreason_describe("the broker ended the connection", &reason, text, sizeof text);
    end(mqtt, mqttreason_is_refusal(reason.code), text);
}

static void take_packet(struct mqtt *mqtt, const char *packet, size_t size)
{
    enum packet_type type = packet_type(packet);
    switch (type) {
    case PACKET_CONNACK:
        take_connack(mqtt, packet, size);
        break;
    case PACKET_PUBLISH:
        take_message(mqtt, packet, SIZE_MAX);
        break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBCOMP:
        take_answer(mqtt, type, packet);
        break;
    case PACKET_PUBREL:
        take_release(mqtt, packet);
        break;
    case PACKET_DISCONNECT:
        take_disconnect(mqtt, packet);
        break;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        if (!take_subscription(mqtt, packet_read_answer(packet, false).identifier))
            end(mqtt, false, "the broker answers a subscription that nobody has made");
        else if (!session_give(mqtt->session, packet, size))
            end(mqtt, false, "the MQTT library takes nothing");
        break;
    case PACKET_PINGRESP:
        break; /* paho has had its answer: answer_ping */
    case PACKET_CONNECT:
    case PACKET_SUBSCRIBE:
    case PACKET_UNSUBSCRIBE:
    case PACKET_PINGREQ:
        break; /* the inspector lets none pass */
    }
}

/* MQTT 3.1.1 cannot tell the broker how much is taken. Of a message that is larger nobody looks at
 * the end: it is passed on without. False where more of it has to come first. */
static bool take_head_of_large(struct mqtt *mqtt, const char *packet, size_t here, size_t size)
{
    if (here < LIMIT_MQTT_PACKET)
        return false;
    struct packet_message read;
    packet_read_message(packet, mqtt->options.version5, &read);
    take_message(mqtt, packet, here - (size_t)(read.payload - packet));
    mqtt->skip = size - here;
    return true;
}

static void take_packets(struct mqtt *mqtt)
{
    struct buf *in = &mqtt->in;
    size_t done = 0;
    while (!has_ended(mqtt) && done < in->length) {
        const char *packet = in->data + done;
        size_t here = in->length - done;
        if (mqtt->skip > 0) {
            size_t skipped = mqtt->skip < here ? mqtt->skip : here;
            mqtt->skip -= skipped;
            done += skipped;
            continue;
        }
        size_t size = packet_size(packet, here);
        if (size <= here) {
            take_packet(mqtt, packet, size);
            done += size;
        } else if (size != SIZE_MAX && size > LIMIT_MQTT_PACKET &&
                   take_head_of_large(mqtt, packet, here, size)) {
            done += here;
        } else {
            break;
        }
    }
    if (!mqtt->link || has_ended(mqtt))
        return;
    in->length -= done;
    if (in->length == 0 && in->capacity > KEPT)
        buf_clear(in);
    else if (done > 0 && in->length > 0)
        memmove(in->data, in->data + done, in->length);
}

/* What speaks on a port that speaks no MQTT. */
static const char *other_protocol(const struct mqtt *mqtt)
{
    if (mqtt->inspector.connected || mqtt->in.length < 3)
        return NULL;
    if (memcmp(mqtt->in.data, "HTT", 3) == 0)
        return "this port speaks HTTP, not MQTT";
    if (memcmp(mqtt->in.data, "\x15\x03", 2) == 0)
        return "this port wants TLS: use mqtts://";
    return NULL;
}

/* paho does not see what goes past it, and PINGRESP may lie behind all of that: whatever comes is
 * an answer. */
static void answer_ping(struct mqtt *mqtt)
{
    if (!mqtt->pinged)
        return;
    mqtt->pinged = false;
    if (!session_give(mqtt->session, "\xD0\0", 2))
        end(mqtt, false, "the MQTT library takes nothing");
}

static bool read_some(struct mqtt *mqtt)
{
    size_t before = mqtt->in.length;
    enum link_read result = link_read(mqtt->link, &mqtt->in);
    if (mqtt->in.length > before &&
        !inspector_look(&mqtt->inspector, mqtt->in.data + before, mqtt->in.length - before)) {
        const char *other = other_protocol(mqtt);
        char text[sizeof mqtt->inspector.fault + 64];
        snprintf(text, sizeof text, "the broker sent %s", mqtt->inspector.fault);
        end(mqtt, other != NULL, other ? other : text);
        return false;
    }
    if (mqtt->in.length > before)
        answer_ping(mqtt);
    take_packets(mqtt);
    flush(mqtt);
    return result == LINK_READ_MORE && !has_ended(mqtt);
}

static void read_all(struct mqtt *mqtt)
{
    unsigned reads = READS;
    while (!has_ended(mqtt) && read_some(mqtt) && --reads > 0)
        continue;
    mqtt->looked = true;
    /* TLS may hold more than the loop sees. */
    mqtt->unread = reads == 0;
    if (mqtt->unread)
        timer_set(&mqtt->read, loop_now(mqtt->loop));
    flush(mqtt);
    settle(mqtt);
}

/* ---- The link's calls */

static void on_link_readable(void *ctx)
{
    read_all(ctx);
}

static void on_link_sent(void *ctx)
{
    struct mqtt *mqtt = ctx;
    settle(mqtt);
    await_close(mqtt);
}

static void on_link_down(void *ctx, bool refused, const char *reason)
{
    struct mqtt *mqtt = ctx;
    bool silent = reason[0] == '\0';
    char text[sizeof mqtt->reason];
    if (mqtt->state == MQTT_CLOSING)
        snprintf(text, sizeof text, "closed");
    else if (silent && mqtt->state == MQTT_CONNECTING && mqtt->session)
        snprintf(text, sizeof text,
            "the broker closed the connection without an answer; it may not know MQTT %s "
            "(mqtt.version)",
            mqtt->options.version5 ? "5" : "3.1.1");
    else if (mqtt->state == MQTT_CONNECTED)
        snprintf(text, sizeof text, "connection lost%s%s", silent ? "" : ": ", reason);
    else
        snprintf(text, sizeof text, "%s", silent ? "connection lost" : reason);
    end(mqtt, refused, text);
}

static void on_session_up(void *ctx)
{
    struct mqtt *mqtt = ctx;
    if (has_ended(mqtt))
        return;
    timer_stop(&mqtt->timer);
    mqtt->state = MQTT_CONNECTED;
    scheduling_be_modest();
    mqtt->handler.on_up(mqtt->handler.ctx, &mqtt->limits);
}

static void on_session_subscribed(void *ctx, uint64_t token, int code)
{
    struct mqtt *mqtt = ctx;
    if (!has_ended(mqtt))
        mqtt->handler.on_subscribed(mqtt->handler.ctx, token, code);
}

/* By itself it ends where the broker answers no PINGREQ. */
static void on_session_down(void *ctx)
{
    struct mqtt *mqtt = ctx;
    if (mqtt->disconnecting)
        return; /* the link's end is still to come */
    if (mqtt->state == MQTT_CLOSING)
        end(mqtt, false, "closed");
    else if (mqtt->state == MQTT_CONNECTING)
        end(mqtt, false, "the MQTT library did not get through to the bridge on 127.0.0.1");
    else
        end(mqtt, false, "the broker does not answer: the connection counts as dead");
}

static void open_session(struct mqtt *mqtt)
{
    const struct session_handler events = {
        mqtt, on_packet, on_session_up, on_session_subscribed, on_session_down};
    struct error error;
    if (session_is_busy()) {
        timer_set(&mqtt->timer, loop_now(mqtt->loop) + BUSY_MS);
        return;
    }
    mqtt->session = session_open(mqtt->loop, &mqtt->options, &events, &error);
    if (!mqtt->session)
        end(mqtt, false, error.text);
    else
        timer_set(&mqtt->timer,
            loop_now(mqtt->loop) + 1000 * (int64_t)(mqtt->options.connect_timeout_s + HANDSHAKE_S));
}

static void on_link_open(void *ctx)
{
    open_session(ctx);
}

static void fire_timer(void *ctx)
{
    struct mqtt *mqtt = ctx;
    char text[128];
    if (mqtt->state == MQTT_CONNECTING && !mqtt->session) {
        open_session(mqtt);
        return;
    }
    if (mqtt->state == MQTT_CLOSING)
        snprintf(text, sizeof text, "closed");
    else
        snprintf(text, sizeof text, "no CONNACK within %d s",
            mqtt->options.connect_timeout_s + HANDSHAKE_S);
    end(mqtt, false, text);
}

static void fire_read(void *ctx)
{
    struct mqtt *mqtt = ctx;
    unsigned before = mqtt->inflight.awaited;
    read_all(mqtt);
    mqtt->in_vain = mqtt->inflight.awaited == before;
}

/* ---- In each pass of the loop */

static void before_others(void *ctx)
{
    struct mqtt *mqtt = ctx;
    if (mqtt->inflight.awaited > 0 && !mqtt->looked && !has_ended(mqtt))
        read_all(mqtt);
    else
        settle(mqtt);
    mqtt->looked = false;
}

/* How many bytes may lie; 1: none. */
static int low_water(const struct mqtt *mqtt)
{
    const struct inflight *inflight = &mqtt->inflight;
    bool tls = link_is_tls(mqtt->link);
    if (inflight->awaited == 0 || inflight->urgent > 0 || mqtt->in_vain)
        return 1;
    if (mqtt_window_free(mqtt) > 0)
        return tls ? LAZY_BYTES_TLS : LAZY_BYTES;
    unsigned part = inflight->awaited / (tls ? FULL_PART_TLS : FULL_PART);
    return part > 0 ? (int)part * ACK_BYTES + (tls ? RECORD_BYTES : 0) : 1;
}

static void let_lie(struct mqtt *mqtt)
{
    int bytes = low_water(mqtt);
    int64_t end = loop_now(mqtt->loop) + (mqtt_window_free(mqtt) > 0 ? LAZY_MS : FULL_MS);
    mqtt->lies = bytes > 1;
    link_set_low_water(mqtt->link, bytes);
    if (mqtt->lies && (!timer_is_set(&mqtt->read) || mqtt->read.at_ms > end))
        timer_set(&mqtt->read, end);
    else if (!mqtt->lies && !mqtt->unread)
        timer_stop(&mqtt->read);
}

static void after_others(void *ctx)
{
    struct mqtt *mqtt = ctx;
    if (mqtt->state != MQTT_CONNECTED || has_ended(mqtt))
        return;
    flush(mqtt);
    let_lie(mqtt);
    /* Those who publish are told in a pass of its own. */
    if (mqtt->inflight.sending_count > 0 && !link_has_output(mqtt->link) &&
        mqtt->behind.length == 0)
        timer_set(&mqtt->read, loop_now(mqtt->loop));
}

/* ---- Life */

void mqtt_global_init(void)
{
    session_global_init();
}

struct mqtt *mqtt_new(struct loop *loop, const struct mqtt_handler *handler)
{
    struct mqtt *mqtt = xcalloc(1, sizeof *mqtt);
    mqtt->loop = loop;
    mqtt->handler = *handler;
    timer_init(&mqtt->timer, loop, fire_timer, mqtt);
    timer_init(&mqtt->read, loop, fire_read, mqtt);
    timer_init(&mqtt->down, loop, fire_down, mqtt);
    loop_set_hook(loop, &(struct loop_hook){mqtt, before_others, after_others});
    session_start(loop);
    return mqtt;
}

void mqtt_free(struct mqtt *mqtt)
{
    if (!mqtt)
        return;
    drop_connection(mqtt);
    timer_stop(&mqtt->down);
    loop_set_hook(mqtt->loop, NULL);
    session_stop();
    free(mqtt);
}

enum mqtt_state mqtt_state(const struct mqtt *mqtt)
{
    return mqtt->state;
}

bool mqtt_connect(struct mqtt *mqtt, const struct mqtt_options *options, struct error *error)
{
    const struct link_handler events = {
        mqtt, on_link_open, on_link_readable, on_link_sent, on_link_down};
    const struct link_options where = {
        .url = options->url,
        .ca = options->ca,
        .cert = options->cert,
        .key = options->key,
        .proxy = options->proxy,
        .alpn = options->alpn,
        .connect_timeout_s = options->connect_timeout_s,
    };
    assert(mqtt->state == MQTT_IDLE && options->window > 0);
    mqtt->link = link_open(mqtt->loop, &where, &events, error);
    if (!mqtt->link)
        return false;
    struct mqtt_options obeying = mqttreason_obey(&mqtt->demands, options);
    copy_options(&mqtt->options, &obeying);
    inspector_init(&mqtt->inspector, options->version5);
    buf_init(&mqtt->in, LIMIT_MQTT_PACKET + READS * LINK_READ_SIZE);
    buf_init(&mqtt->behind, SIZE_MAX);
    inflight_init(&mqtt->inflight, options->window);
    mqtt->skip = 0;
    mqtt->subscribing = 0;
    memset(mqtt->subscriptions, 0, sizeof mqtt->subscriptions);
    mqtt->disconnecting = mqtt->again = mqtt->lies = mqtt->in_vain = false;
    mqtt->asked = mqtt->pinged = mqtt->unread = mqtt->looked = false;
    mqtt->state = MQTT_CONNECTING;
    return true;
}

/* ---- Publishing */

unsigned mqtt_window_free(const struct mqtt *mqtt)
{
    unsigned window = mqtt->limits.window, count = mqtt->inflight.count;
    return window > count ? window - count : 0;
}

void mqtt_publish(
    struct mqtt *mqtt, const void *packet, size_t length, const struct inflight_owner *owner)
{
    int qos = packet_qos(packet);
    assert(mqtt->state == MQTT_CONNECTED && mqtt_window_free(mqtt) > 0);
    assert(qos <= mqtt->limits.maximum_qos);
    if (qos == 2 && !mqtt->options.version5 && mqtt->limits.window > QOS2_WINDOW)
        mqtt->limits.window = QOS2_WINDOW;
    uint16_t identifier = inflight_add(&mqtt->inflight, qos, owner);
    struct buf *out = mqtt->subscribing > 0 ? &mqtt->behind : link_output(mqtt->link);
    mqtt->in_vain = false;
    if (!out)
        return; /* it is like what was on its way when the connection ended */
    if (!buf_append(out, packet, length))
        end(mqtt, false, "no memory for a publication");
    else if (qos > 0)
        packet_set_identifier(out->data + out->length - length, identifier);
}

/* ---- Subscribing and closing */

bool mqtt_subscribe(struct mqtt *mqtt, const char *filter, int qos, bool retain_as_published,
    uint64_t token, struct error *error)
{
    assert(mqtt->state == MQTT_CONNECTED);
    if (!session_subscribe(mqtt->session, filter, qos, retain_as_published, token, error))
        return false;
    mqtt->subscribing++;
    return true;
}

bool mqtt_unsubscribe(struct mqtt *mqtt, const char *filter, struct error *error)
{
    assert(mqtt->state == MQTT_CONNECTED);
    return session_unsubscribe(mqtt->session, filter, error);
}

const char *mqtt_reason_text(int reason_code)
{
    return mqttreason_name(reason_code);
}

void mqtt_close(struct mqtt *mqtt)
{
    assert(mqtt->state == MQTT_CONNECTED);
    mqtt->state = MQTT_CLOSING;
    timer_set(&mqtt->timer, loop_now(mqtt->loop) + CLOSE_MS);
    if (!session_disconnect(mqtt->session))
        end(mqtt, false, "closed");
}

/* With QoS 0, as nothing waits for an answer any more. */
static void publish_will(struct mqtt *mqtt)
{
    struct buf *out = mqtt->subscribing > 0 ? &mqtt->behind : link_output(mqtt->link);
    const char *payload = mqtt->options.will_payload ? mqtt->options.will_payload : "";
    const struct packet_publish publish = {
        .topic = mqtt->options.will_topic,
        .topic_length = strlen(mqtt->options.will_topic),
        .payload = payload,
        .payload_length = strlen(payload),
        .retain = !mqtt->options.will_unretained && mqtt->limits.retain_available,
        .version5 = mqtt->options.version5,
    };
    if (out)
        (void)!packet_append_publish(out, &publish); /* a failure is link_flush's to see */
}

void mqtt_close_with_will(struct mqtt *mqtt)
{
    if (mqtt->options.will_topic)
        publish_will(mqtt);
    mqtt_close(mqtt);
}
