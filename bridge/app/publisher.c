/*
 * From messages to acknowledged publications. What is sent stays in the outbox until the broker
 * has acknowledged it; after a loss sending starts again at the oldest.
 */
#include "publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "convicts.h"
#include "counters.h"
#include "json.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "packet.h"
#include "pressure.h"
#include "quarantine.h"
#include "refusal.h"
#include "secret.h"

#define LOG_TAG "publisher"
#include "log.h"

/* Messages made up on demand wait in their jobs' records, not here: so many beside those that are
 * under way keep the window full. While the stream is held back it must be fewer than what lets it
 * go on. Even where others keep the outbox fuller than that, these get a turn, but never more than
 * has left: a job's record is where they cost nothing. */
#define ROOM_TARGET       PRESSURE_AHEAD_BEGINS
#define ROOM_TARGET_AHEAD 16
#define ROOM_AT_LEAST     4

/* Some brokers answer a message that they do not like by ending the connection, and acknowledge
 * what came before it too late or never. So after this many connections in a row that ended soon
 * after something was sent, what was in flight is sent one at a time; a message that brings the
 * connection down alone, this many times, is given up. Where not even one message before it was
 * acknowledged, the broker itself may be what is broken, and it takes more. */
#define LOSSES_CAREFUL   2
#define LOSSES_CONVICTED 3
#define LOSSES_UNPROVEN  12

#define REPAIR_INTERVAL_MS 1000
/* A mosquitto that stops publishes its clients' last wills before it ends the connections: nobody
 * else has written then, and there is nothing to set right. */
#define REPAIR_DELAY_MS 300

/* What stands on a retained topic is wrong while the broker refuses the right value. It is offered
 * again, at longer and longer intervals. */
#define AGAIN_FIRST_MS 10000
#define AGAIN_MOST_MS  3600000

/* MQTT lets nobody send again on the same connection. Twice the keep-alive time, as for a broker
 * that says nothing at all; but a broker that has to write to a disk first may take longer than one
 * that wants a sign of life each second. */
#define OVERDUE_KEEP_ALIVES 2
#define OVERDUE_LEAST_MS    5000

struct publisher {
    struct loop *loop;
    struct publisher_options options;
    struct publisher_handler handler;
    struct outbox *outbox;
    struct mqtt *mqtt; /* NULL while there is no connection */
    struct mqtt_limits limits;
    struct owntopics own;
    struct timer repair;
    int64_t repaired_ms;
    struct timer again;
    int64_t again_wait_ms;
    struct timer overdue;
    int64_t overdue_wait_ms;
    size_t suspects;       /* how many messages are still to be sent one at a time */
    unsigned quick_losses; /* in a row */
    bool acknowledged;     /* something, on this connection */
    bool proven;           /* the same of the connection before */
    bool stopping;
    int64_t acknowledged_ms; /* the last time */
    struct convicts convicts;
    struct quarantine quarantine;
    struct refusal refusal; /* of this connection */
    struct pressure_gauge gauge;
    struct timer pressure; /* looks again while the stream is held back */
    struct log_limit refused_limit, repair_limit, key_limit;
};

static void fire_repair(void *ctx);
static void fire_again(void *ctx);
static void fire_overdue(void *ctx);
static void check_pressure(void *ctx);

struct publisher *publisher_new(struct loop *loop, const struct publisher_options *options,
    const struct publisher_handler *handler)
{
    struct publisher *publisher = xcalloc(1, sizeof *publisher);
    publisher->loop = loop;
    publisher->options = *options;
    publisher->handler = *handler;
    publisher->outbox = outbox_new(
        &(struct outbox_format){options->version5, options->qos, .retain = true}, publisher);
    owntopics_init(&publisher->own, options->root);
    publisher->repaired_ms = INT64_MIN / 2;
    timer_init(&publisher->repair, loop, fire_repair, publisher);
    timer_init(&publisher->again, loop, fire_again, publisher);
    timer_init(&publisher->overdue, loop, fire_overdue, publisher);
    timer_init(&publisher->pressure, loop, check_pressure, publisher);
    publisher->gauge.limit = options->queue_limit;
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    timer_stop(&publisher->repair);
    timer_stop(&publisher->again);
    timer_stop(&publisher->overdue);
    timer_stop(&publisher->pressure);
    owntopics_clear(&publisher->own);
    quarantine_clear(&publisher->quarantine);
    refusal_clear(&publisher->refusal);
    outbox_free(publisher->outbox);
    free(publisher);
}

/* ---- Back-pressure */

/* Refusals do not count: whoever floods the bridge with commands shall not stop the stream. */
static size_t count_of_news(const struct publisher *publisher)
{
    return outbox_count(publisher->outbox) - outbox_patient_count(publisher->outbox);
}

static size_t count_of_unsent(const struct publisher *publisher)
{
    return count_of_news(publisher) - outbox_in_flight(publisher->outbox);
}

static bool flows(const struct publisher *publisher)
{
    int64_t now = loop_now(publisher->loop), oldest = outbox_oldest_ms(publisher->outbox);
    return publisher->mqtt && (oldest < 0 || now - oldest < PRESSURE_FLOW_MS ||
                                  now - publisher->acknowledged_ms < PRESSURE_FLOW_MS);
}

static void report_pressure(enum pressure before, enum pressure now, size_t count, size_t bytes)
{
    if (now == PRESSURE_FULL)
        log_warn("%zu messages (%zu MiB) wait for the broker: the stream is paused until half of "
                 "them are gone",
            count, bytes >> 20);
    else if (before == PRESSURE_FULL)
        log_info("%zu messages wait for the broker: the stream goes on", count);
}

static void check_pressure(void *ctx)
{
    struct publisher *publisher = ctx;
    struct pressure_load load = {
        .messages = count_of_news(publisher),
        .bytes = outbox_bytes(publisher->outbox),
        .unsent = count_of_unsent(publisher),
        .unsent_bytes = outbox_bytes(publisher->outbox) -
                        outbox_in_flight_bytes(publisher->outbox) -
                        outbox_patient_bytes(publisher->outbox),
        .flows = flows(publisher),
    };
    enum pressure before = publisher->gauge.pressure;
    enum pressure now = pressure_update(&publisher->gauge, &load);
    /* Nothing else may happen any more if the acknowledgements stay out. */
    if (now == PRESSURE_AHEAD && !timer_is_set(&publisher->pressure))
        timer_set(&publisher->pressure, loop_now(publisher->loop) + PRESSURE_FLOW_MS);
    if (now == before)
        return;
    publisher->options.counters->pauses += now == PRESSURE_FULL;
    report_pressure(before, now, load.messages, load.bytes);
    publisher->handler.on_pressure(publisher->handler.ctx, now);
}

/* ---- Taking messages */

static void report_refused(struct publisher *publisher, enum counters_refusal refusal,
    const char *topic, const char *reason)
{
    publisher->options.counters->refused[refusal]++;
    log_warn_limited(&publisher->refused_limit, loop_now(publisher->loop),
        "the publication on %s was refused and is dropped: %s", topic, reason);
}

/* What comes in is cleaned there. This is the last line of defence: what is retained stays. */
static void cover_key(struct buf *out, const char *payload, size_t length, bool json)
{
    buf_init(out, 3 * length);
    if (json)
        json_clean(out, payload, length);
    else if (buf_append(out, payload, length))
        out->length = secret_mask_key(out->data, out->length);
}

static void send_without_key(struct publisher *publisher, const struct outbox_message *message)
{
    struct outbox_message masked = *message;
    struct buf payload;
    cover_key(&payload, message->payload, message->payload_length, message->json);
    masked.payload = payload.data;
    masked.payload_length = payload.length;
    outbox_push(publisher->outbox, &masked);
    buf_clear(&payload);
}

/* Checked once, and nowhere behind it. */
static bool is_sound(struct publisher *publisher, const char *topic)
{
    size_t length = strlen(topic);
    if (secret_key_is_in(topic, length))
        log_error_limited(&publisher->key_limit, loop_now(publisher->loop), "%s",
            "a message whose topic would hold the API key is not published");
    else if (length > UINT16_MAX || !packet_is_topic_name(topic, length))
        report_refused(publisher, COUNTERS_REFUSED_LIBRARY, topic, "its topic is none in MQTT");
    else
        return true;
    return false;
}

bool publisher_send(struct publisher *publisher, const struct outbox_message *message)
{
    if (!is_sound(publisher, message->topic))
        return false;
    if (secret_key_is_in(message->payload, message->payload_length))
        send_without_key(publisher, message);
    else
        outbox_push(publisher->outbox, message);
    check_pressure(publisher);
    return true;
}

static void queue_own(struct publisher *publisher, enum owntopic topic, bool first)
{
    const struct outbox_message message = owntopics_message(&publisher->own, topic);
    if (first)
        outbox_push_first(publisher->outbox, &message);
    else
        outbox_push(publisher->outbox, &message);
}

void publisher_set(
    struct publisher *publisher, enum owntopic topic, const char *payload, size_t length)
{
    if (secret_key_is_in(payload, length)) {
        struct buf covered;
        cover_key(&covered, payload, length, topic != OWNTOPIC_STATE);
        owntopics_set(&publisher->own, topic, covered.data, covered.length);
        buf_clear(&covered);
    } else {
        owntopics_set(&publisher->own, topic, payload, length);
    }
    if (publisher->mqtt)
        queue_own(publisher, topic, false);
}

/* ---- The connection */

static int64_t overdue_wait(const struct mqtt_limits *limits)
{
    int64_t wait = OVERDUE_KEEP_ALIVES * 1000 * (int64_t)limits->keep_alive_s;
    return wait < OVERDUE_LEAST_MS ? OVERDUE_LEAST_MS : wait;
}

void publisher_link_up(
    struct publisher *publisher, struct mqtt *mqtt, const struct mqtt_limits *limits)
{
    publisher->mqtt = mqtt;
    publisher->limits = *limits;
    outbox_set_format(publisher->outbox,
        &(struct outbox_format){
            .version5 = publisher->options.version5,
            .qos = publisher->options.qos < limits->maximum_qos ? publisher->options.qos
                                                                : limits->maximum_qos,
            .retain = limits->retain_available,
        });
    publisher->acknowledged = false;
    publisher->overdue_wait_ms = overdue_wait(limits);
    publisher->again_wait_ms = AGAIN_FIRST_MS;
    owntopics_forget_refusals(&publisher->own);
    if (publisher->stopping)
        return;
    if (!limits->retain_available)
        log_error("the broker keeps no retained messages: whoever subscribes later will not see "
                  "the jobs; switch retained messages on at the broker");
    publisher_set(publisher, OWNTOPIC_STATE, "online", strlen("online"));
    /* Each goes to the front, so the last becomes the first: `online` leads. */
    for (enum owntopic topic = OWNTOPICS - 1; topic >= OWNTOPIC_STATE; topic--)
        if (owntopics_is_set(&publisher->own, topic))
            queue_own(publisher, topic, true);
}

static void report_held(const char *topic)
{
    log_warn("the broker ended the connection when an answer was sent to the Response Topic %s: it "
             "gets none for %d minutes",
        topic, QUARANTINE_MS / 60000);
}

/* What was in flight, and our own topics, which come in front of it at the next connection. */
static void be_careful(struct publisher *publisher, size_t in_flight)
{
    if (publisher->suspects < in_flight)
        publisher->suspects = in_flight;
    publisher->suspects += OWNTOPICS;
}

bool publisher_link_down(struct publisher *publisher, bool by_broker)
{
    size_t in_flight = outbox_in_flight(publisher->outbox);
    enum quarantine_verdict verdict =
        quarantine_lost(&publisher->quarantine, by_broker, loop_now(publisher->loop));
    publisher->mqtt = NULL;
    check_pressure(publisher);
    refusal_clear(&publisher->refusal);
    timer_stop(&publisher->repair);
    timer_stop(&publisher->again);
    timer_stop(&publisher->overdue);
    bool quick = outbox_rewind(publisher->outbox, loop_now(publisher->loop));
    publisher->proven = publisher->acknowledged;
    if (verdict == QUARANTINE_HELD) {
        report_held(publisher->quarantine.held[publisher->quarantine.held_count - 1].topic);
        if (publisher->suspects > 0)
            be_careful(publisher, in_flight);
        return true;
    }
    publisher->quick_losses = quick ? publisher->quick_losses + 1 : 0;
    if (verdict == QUARANTINE_UNCLEAR || publisher->quick_losses >= LOSSES_CAREFUL)
        be_careful(publisher, in_flight);
    return verdict == QUARANTINE_UNCLEAR;
}

static void fire_repair(void *ctx)
{
    struct publisher *publisher = ctx;
    if (!publisher->mqtt || publisher->stopping)
        return;
    publisher->repaired_ms = loop_now(publisher->loop);
    log_warn_limited(&publisher->repair_limit, publisher->repaired_ms,
        "%s/bridge/state was overwritten while the bridge is connected: it is set to online "
        "again (another client with this root, or a late last will)",
        publisher->options.root);
    queue_own(publisher, OWNTOPIC_STATE, true);
}

void publisher_repair_state(struct publisher *publisher)
{
    int64_t soon = loop_now(publisher->loop) + REPAIR_DELAY_MS;
    int64_t again = publisher->repaired_ms + REPAIR_INTERVAL_MS;
    if (!timer_is_set(&publisher->repair))
        timer_set(&publisher->repair, again > soon ? again : soon);
}

void publisher_say_offline(struct publisher *publisher)
{
    publisher->stopping = true;
    timer_stop(&publisher->repair);
    /* Nothing else has a chance any more, and `offline` behind it would have none either. */
    outbox_drop_waiting(publisher->outbox);
    owntopics_set(&publisher->own, OWNTOPIC_STATE, "offline", strlen("offline"));
    queue_own(publisher, OWNTOPIC_STATE, false);
}

/* ---- Acknowledgements */

/* Permission and quota may come back; a packet that is too large stays so. */
static bool may_be_taken_later(int reason_code)
{
    return reason_code == 0x80 || reason_code == 0x83 || reason_code == 0x87 || reason_code == 0x97;
}

static void fire_again(void *ctx)
{
    struct publisher *publisher = ctx;
    if (publisher->stopping)
        return;
    for (enum owntopic topic = OWNTOPIC_STATE; topic < OWNTOPICS; topic++)
        if (owntopics_take_refusal(&publisher->own, topic))
            queue_own(publisher, topic, false);
    publisher->handler.on_again(publisher->handler.ctx);
}

static void plan_again(struct publisher *publisher, const char *topic)
{
    owntopics_note_refusal(&publisher->own, topic);
    publisher->handler.on_refused(publisher->handler.ctx, topic);
    if (timer_is_set(&publisher->again))
        return;
    timer_set(&publisher->again, loop_now(publisher->loop) + publisher->again_wait_ms);
    publisher->again_wait_ms =
        publisher->again_wait_ms < AGAIN_MOST_MS / 2 ? 2 * publisher->again_wait_ms : AGAIN_MOST_MS;
}

static void fire_overdue(void *ctx)
{
    struct publisher *publisher = ctx;
    int64_t oldest = outbox_oldest_ms(publisher->outbox);
    if (oldest < 0 || publisher->stopping)
        return;
    if (loop_now(publisher->loop) - oldest < publisher->overdue_wait_ms) {
        timer_set(&publisher->overdue, oldest + publisher->overdue_wait_ms);
        return;
    }
    publisher->handler.on_overdue(publisher->handler.ctx);
}

static void clear_suspect(struct publisher *publisher)
{
    if (publisher->suspects == 0)
        return;
    publisher->suspects--;
    if (publisher->suspects == 0)
        publisher->quick_losses = 0;
}

/* `end` is outbox_acknowledge or outbox_drop. Who is told may queue other messages. */
static void end_entry(struct publisher *publisher, struct outbox_entry *entry, bool taken,
    void (*end)(struct outbox *outbox, struct outbox_entry *entry))
{
    void (*done)(void *ctx, bool taken) = entry->done;
    void *ctx = entry->ctx;
    end(publisher->outbox, entry);
    check_pressure(publisher);
    if (done)
        done(ctx, taken);
}

/* The reason is not told in a line for each: there may be thousands. */
static void note_refusal(struct publisher *publisher, const char *topic, const char *reason)
{
    plan_again(publisher, topic);
    if (refusal_note(&publisher->refusal, topic, reason))
        log_warn(
            "the broker refuses retained topics, %s among them: %s; they are offered again, "
            "the first time in %d s; check its access rules (--print-acl shows what is needed)",
            topic, reason, AGAIN_FIRST_MS / 1000);
}

static void note_taken(struct publisher *publisher, const char *topic)
{
    if (refusal_taken(&publisher->refusal, topic))
        log_info("the broker takes all retained topics again, %s was the last", topic);
}

static void note_answer(
    struct publisher *publisher, const struct outbox_entry *entry, int reason_code)
{
    char reason[96];
    snprintf(reason, sizeof reason, "the broker answered 0x%02x (%s)", (unsigned)reason_code,
        mqtt_reason_text(reason_code));
    report_refused(publisher, COUNTERS_REFUSED_BROKER, entry->topic, reason);
    if (may_be_taken_later(reason_code) && entry->retain)
        note_refusal(publisher, entry->topic, reason);
}

/* The connection's call. */
static void on_acknowledged(void *ctx, int reason_code)
{
    struct outbox_entry *entry = ctx;
    struct publisher *publisher = entry->owner;
    struct counters *counters = publisher->options.counters;
    int64_t now_ms = clock_monotonic_ms();
    bool refused = reason_code >= 0x80;
    counters->last_acknowledged_ms = now_ms;
    publisher->acknowledged = true;
    publisher->acknowledged_ms = now_ms;
    clear_suspect(publisher);
    quarantine_acknowledged(&publisher->quarantine, entry->sequence);
    if (refused) {
        note_answer(publisher, entry, reason_code);
    } else {
        counters->acknowledged++;
        if (entry->received_ms != 0)
            counters_note_latency(counters, entry->received_ms, now_ms);
        if (entry->retain)
            note_taken(publisher, entry->topic);
    }
    end_entry(publisher, entry, !refused, outbox_acknowledge);
}

/* Takes the entry that comes next out of the queue for good. */
static void drop_next(
    struct publisher *publisher, enum counters_refusal refusal, const char *reason)
{
    struct outbox_entry *entry = outbox_send_next(publisher->outbox, loop_now(publisher->loop));
    report_refused(publisher, refusal, entry->topic, reason);
    end_entry(publisher, entry, false, outbox_drop);
}

/* One loss is enough where others choose the topic. */
static bool is_held(struct publisher *publisher, const struct outbox_entry *entry)
{
    if (!publisher_refuses_answers(publisher, entry->topic) && entry->losses > 0) {
        quarantine_hold(&publisher->quarantine, entry->topic, loop_now(publisher->loop));
        report_held(entry->topic);
    }
    return publisher_refuses_answers(publisher, entry->topic);
}

static bool is_impossible(struct publisher *publisher, const struct outbox_entry *entry)
{
    if (entry->length > publisher->limits.maximum_packet_size) {
        drop_next(publisher, COUNTERS_REFUSED_TOO_LARGE,
            "it is larger than the broker's Maximum Packet Size");
        return true;
    }
    if (entry->response && is_held(publisher, entry)) {
        drop_next(publisher, COUNTERS_REFUSED_POISON,
            "the broker ended the connection when an answer was sent there");
        clear_suspect(publisher);
        return true;
    }
    if (entry->losses >= (publisher->proven ? LOSSES_CONVICTED : LOSSES_UNPROVEN)) {
        convicts_add(&publisher->convicts, entry);
        drop_next(publisher, COUNTERS_REFUSED_POISON,
            "the broker ended the connection each time it was sent, or never answered");
        clear_suspect(publisher);
        return true;
    }
    if (convicts_has(&publisher->convicts, entry)) {
        drop_next(publisher, COUNTERS_REFUSED_POISON,
            "the broker ended the connection each time it was sent before");
        return true;
    }
    return false;
}

/* A short queue may hold the stream back while the window has room. */
static bool is_urgent(const struct publisher *publisher, const struct outbox_entry *entry)
{
    return entry->done || publisher->suspects > 0 || publisher->gauge.pressure == PRESSURE_FULL;
}

/* Hands one entry to the connection. False where nothing more can be sent now. */
static bool send_next(struct publisher *publisher)
{
    int64_t now_ms = loop_now(publisher->loop);
    const struct outbox_entry *next = outbox_peek(publisher->outbox);
    if (!next)
        return false;
    if (is_impossible(publisher, next))
        return true;
    if (publisher->suspects > 0 && outbox_in_flight(publisher->outbox) > 0)
        return false;
    publisher->options.counters->published++;
    publisher->options.counters->resent += next->sent_ms != 0;
    struct outbox_entry *entry = outbox_send_next(publisher->outbox, now_ms);
    const struct inflight_owner owner = {
        on_acknowledged, entry, .urgent = is_urgent(publisher, entry)};
    mqtt_publish(publisher->mqtt, entry->packet, entry->length, &owner);
    if (!timer_is_set(&publisher->overdue))
        timer_set(&publisher->overdue, now_ms + publisher->overdue_wait_ms);
    if (entry->response)
        quarantine_sent(&publisher->quarantine, entry->topic, entry->sequence,
            packet_qos(entry->packet), now_ms);
    log_debug("%s: %zu bytes", entry->topic, entry->length);
    return publisher->suspects == 0;
}

static void ask_for_more(struct publisher *publisher)
{
    size_t unsent = count_of_unsent(publisher), free_places = mqtt_window_free(publisher->mqtt);
    bool calm = publisher->gauge.pressure == PRESSURE_NONE;
    size_t target = calm ? ROOM_TARGET : ROOM_TARGET_AHEAD;
    size_t turn = calm ? free_places : free_places / 2;
    size_t room = unsent < target ? target - unsent : turn < ROOM_AT_LEAST ? turn : ROOM_AT_LEAST;
    publisher->handler.on_room(publisher->handler.ctx, room);
}

static bool is_connected(const struct publisher *publisher)
{
    return publisher->mqtt && mqtt_state(publisher->mqtt) == MQTT_CONNECTED;
}

void publisher_pump(struct publisher *publisher)
{
    if (!is_connected(publisher) || mqtt_window_free(publisher->mqtt) == 0)
        return;
    ask_for_more(publisher);
    /* Without memory for one, the connection ends in the middle. */
    while (is_connected(publisher) && mqtt_window_free(publisher->mqtt) > 0 && send_next(publisher))
        continue;
    check_pressure(publisher);
}

bool publisher_is_drained(const struct publisher *publisher)
{
    return outbox_count(publisher->outbox) == 0;
}

size_t publisher_waiting(const struct publisher *publisher)
{
    return outbox_count(publisher->outbox);
}

size_t publisher_refusal_bytes(const struct publisher *publisher)
{
    return outbox_patient_bytes(publisher->outbox);
}

bool publisher_refuses_answers(struct publisher *publisher, const char *topic)
{
    return quarantine_has(&publisher->quarantine, topic, loop_now(publisher->loop));
}

size_t publisher_waiting_bytes(const struct publisher *publisher)
{
    return outbox_bytes(publisher->outbox);
}

size_t publisher_in_flight(const struct publisher *publisher)
{
    return outbox_in_flight(publisher->outbox);
}

const char *publisher_refused_topic(const struct publisher *publisher)
{
    return publisher->refusal.topic ? publisher->refusal.topic : "";
}

const char *publisher_refused_reason(const struct publisher *publisher)
{
    return publisher->refusal.reason;
}

bool publisher_is_full(const struct publisher *publisher)
{
    return publisher->gauge.pressure == PRESSURE_FULL;
}
