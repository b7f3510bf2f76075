/* The ordered queue between what the bridge learns and what the broker has acknowledged. */
#include "outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "mem.h"
#include "packet.h"

/* Of so many that are sent one is of those that can wait, so that they do not wait for ever. */
#define PATIENT_PLACE 8

/* What others see comes first; the topic lies behind it, the packet in an allocation of its own, as
 * another connection may want it otherwise. */
struct item {
    struct outbox_entry entry;
    TAILQ_ENTRY(item) link;
    size_t size;
    unsigned slot;
    bool in_flight;
    bool overtaken; /* something sent after it was acknowledged */
    bool patient;   /* in the list of those that can wait */
    char topic[];
};

TAILQ_HEAD(item_queue, item);

struct outbox {
    struct outbox_format format;
    void *owner;
    struct item_queue items;          /* in flight first, then waiting */
    struct item *next;                /* the first that waits */
    struct item_queue patient;        /* those that can wait, in a line of their own until sent */
    struct item *slots[OUTBOX_SLOTS]; /* the one of each slot that waits */
    uint64_t last_sequence;
    size_t count, in_flight, bytes, in_flight_bytes;
    size_t patient_count, patient_bytes;
    unsigned turn; /* counts what is sent */
};

struct outbox *outbox_new(const struct outbox_format *format, void *owner)
{
    struct outbox *outbox = xcalloc(1, sizeof *outbox);
    outbox->format = *format;
    outbox->owner = owner;
    TAILQ_INIT(&outbox->items);
    TAILQ_INIT(&outbox->patient);
    return outbox;
}

static void leave_patient(struct outbox *outbox, struct item *item)
{
    TAILQ_REMOVE(&outbox->patient, item, link);
    item->patient = false;
    outbox->patient_count--;
    outbox->patient_bytes -= item->size;
}

static void take_off(struct outbox *outbox, struct item *item)
{
    item->in_flight = true;
    outbox->in_flight++;
    outbox->in_flight_bytes += item->size;
}

static void land(struct outbox *outbox, struct item *item)
{
    item->in_flight = false;
    outbox->in_flight--;
    outbox->in_flight_bytes -= item->size;
}

static void remove_item(struct outbox *outbox, struct item *item)
{
    if (outbox->next == item)
        outbox->next = TAILQ_NEXT(item, link);
    if (outbox->slots[item->slot] == item)
        outbox->slots[item->slot] = NULL;
    if (item->patient)
        leave_patient(outbox, item);
    else
        TAILQ_REMOVE(&outbox->items, item, link);
    outbox->count--;
    outbox->bytes -= item->size;
    if (item->in_flight)
        land(outbox, item);
    free(item->entry.packet);
    free(item);
}

static void drop_patient(struct outbox *outbox)
{
    struct item *item;

    while ((item = TAILQ_FIRST(&outbox->patient)))
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE. */
        remove_item(outbox, item);
}

void outbox_free(struct outbox *outbox)
{
    if (!outbox)
        return;
    while (!TAILQ_EMPTY(&outbox->items))
        remove_item(outbox, TAILQ_FIRST(&outbox->items));
    drop_patient(outbox);
    free(outbox);
}

static void make_packet(
    const struct outbox *outbox, struct outbox_entry *entry, const struct outbox_message *message)
{
    const struct packet_publish publish = {
        .topic = entry->topic,
        .topic_length = strlen(entry->topic),
        .payload = message->payload,
        .payload_length = message->payload_length,
        .qos = outbox->format.qos,
        .retain = entry->retain && outbox->format.retain,
        .version5 = outbox->format.version5,
        .json = entry->json,
        .correlation_data = message->correlation,
        .correlation_length = message->correlation_length,
    };
    entry->length = packet_publish_size(&publish);
    entry->packet = xmalloc(entry->length);
    packet_write_publish(entry->packet, &publish);
}

static struct item *new_item(struct outbox *outbox, const struct outbox_message *message)
{
    size_t topic_size = strlen(message->topic) + 1;
    struct item *item = xcalloc(1, sizeof *item + topic_size);
    item->entry = (struct outbox_entry){
        .owner = outbox->owner,
        .sequence = ++outbox->last_sequence,
        .topic = item->topic,
        .retain = message->retain,
        .json = message->json,
        .response = message->response,
        .done = message->done,
        .ctx = message->ctx,
        .received_ms = message->received_ms,
    };
    item->slot = message->slot;
    item->patient = message->can_wait;
    memcpy(item->topic, message->topic, topic_size);
    make_packet(outbox, &item->entry, message);
    item->size = sizeof *item + topic_size + item->entry.length;
    return item;
}

/* Sizes stay as they were counted: the difference is a few bytes. */
static void remake(const struct outbox *outbox, bool was_version5, struct item_queue *items)
{
    struct item *item;
    TAILQ_FOREACH(item, items, link)
    {
        struct packet_message read;
        char *packet = item->entry.packet;
        packet_read_message(packet, was_version5, &read);
        make_packet(outbox, &item->entry,
            &(struct outbox_message){.payload = read.payload,
                .payload_length = read.payload_length,
                .correlation = read.correlation_data,
                .correlation_length = read.correlation_length});
        free(packet);
    }
}

void outbox_set_format(struct outbox *outbox, const struct outbox_format *format)
{
    struct outbox_format before = outbox->format;
    assert(outbox->in_flight == 0);
    outbox->format = *format;
    if (before.version5 == format->version5 && before.qos == format->qos &&
        before.retain == format->retain)
        return;
    remake(outbox, before.version5, &outbox->items);
    remake(outbox, before.version5, &outbox->patient);
}

static void take_slot(struct outbox *outbox, struct item *item)
{
    assert(item->slot < OUTBOX_SLOTS);
    if (item->slot == OUTBOX_NO_SLOT)
        return;
    if (outbox->slots[item->slot]) {
        item->entry.losses = outbox->slots[item->slot]->entry.losses;
        remove_item(outbox, outbox->slots[item->slot]);
    }
    outbox->slots[item->slot] = item;
}

/* Into the line of what waits: at its front, or at its end. */
static void line_up(struct outbox *outbox, struct item *item, bool first)
{
    if (first && outbox->next)
        TAILQ_INSERT_BEFORE(outbox->next, item, link);
    else
        TAILQ_INSERT_TAIL(&outbox->items, item, link);
    if (first || !outbox->next)
        outbox->next = item;
}

static void insert(struct outbox *outbox, const struct outbox_message *message, bool first)
{
    struct item *item = new_item(outbox, message);
    take_slot(outbox, item);
    if (message->can_wait) {
        TAILQ_INSERT_TAIL(&outbox->patient, item, link);
        outbox->patient_count++;
        outbox->patient_bytes += item->size;
    } else {
        line_up(outbox, item, first);
    }
    outbox->count++;
    outbox->bytes += item->size;
}

void outbox_push(struct outbox *outbox, const struct outbox_message *message)
{
    insert(outbox, message, false);
}

void outbox_push_first(struct outbox *outbox, const struct outbox_message *message)
{
    insert(outbox, message, true);
}

/* Whose turn it is. */
static struct item *choose(const struct outbox *outbox)
{
    struct item *patient = TAILQ_FIRST(&outbox->patient);
    bool its_turn = !outbox->next || outbox->turn % PATIENT_PLACE == PATIENT_PLACE - 1;
    return patient && its_turn ? patient : outbox->next;
}

const struct outbox_entry *outbox_peek(const struct outbox *outbox)
{
    const struct item *item = choose(outbox);
    return item ? &item->entry : NULL;
}

struct outbox_entry *outbox_send_next(struct outbox *outbox, int64_t now_ms)
{
    struct item *item = choose(outbox);
    if (!item)
        return NULL;
    outbox->turn++;
    if (item->patient) {
        leave_patient(outbox, item);
        line_up(outbox, item, true);
    }
    take_off(outbox, item);
    item->entry.sent_ms = now_ms;
    outbox->next = TAILQ_NEXT(item, link);
    if (outbox->slots[item->slot] == item)
        outbox->slots[item->slot] = NULL;
    return &item->entry;
}

void outbox_drop(struct outbox *outbox, struct outbox_entry *entry)
{
    struct item *item = (struct item *)(void *)entry; /* its first member */
    assert(item->in_flight);
    remove_item(outbox, item);
}

void outbox_acknowledge(struct outbox *outbox, struct outbox_entry *entry)
{
    TAILQ_FIRST(&outbox->items)->overtaken = true;
    outbox_drop(outbox, entry);
}

/* Of a slot only the newest value counts: an older one that was in flight (all ahead of what waits)
 * need not be sent again. The blame stays with the topic. */
static void drop_outdated(struct outbox *outbox)
{
    struct item *item = outbox->next ? TAILQ_PREV(outbox->next, item_queue, link)
                                     : TAILQ_LAST(&outbox->items, item_queue);
    while (item) {
        struct item *previous = TAILQ_PREV(item, item_queue, link);
        struct item *newer = outbox->slots[item->slot];
        if (newer) {
            newer->entry.losses = item->entry.losses;
            remove_item(outbox, item);
        } else if (item->slot != OUTBOX_NO_SLOT) {
            outbox->slots[item->slot] = item;
        }
        item = previous;
    }
}

bool outbox_rewind(struct outbox *outbox, int64_t now_ms)
{
    struct item *item = TAILQ_FIRST(&outbox->items);
    bool quick = item && item->in_flight && now_ms - item->entry.sent_ms < OUTBOX_BLAME_MS;
    if (item && item->in_flight && (item->overtaken || (quick && outbox->in_flight == 1)))
        item->entry.losses++;
    for (; item && item->in_flight; item = TAILQ_NEXT(item, link)) {
        land(outbox, item);
        item->overtaken = false;
    }
    drop_outdated(outbox);
    outbox->next = TAILQ_FIRST(&outbox->items);
    return quick;
}

int64_t outbox_oldest_ms(const struct outbox *outbox)
{
    const struct item *item = TAILQ_FIRST(&outbox->items);
    return item && item->in_flight ? item->entry.sent_ms : -1;
}

void outbox_drop_waiting(struct outbox *outbox)
{
    while (outbox->next)
        remove_item(outbox, outbox->next);
    drop_patient(outbox);
}

size_t outbox_count(const struct outbox *outbox)
{
    return outbox->count;
}

size_t outbox_in_flight(const struct outbox *outbox)
{
    return outbox->in_flight;
}

size_t outbox_in_flight_bytes(const struct outbox *outbox)
{
    return outbox->in_flight_bytes;
}

size_t outbox_bytes(const struct outbox *outbox)
{
    return outbox->bytes;
}

size_t outbox_patient_count(const struct outbox *outbox)
{
    return outbox->patient_count;
}

size_t outbox_patient_bytes(const struct outbox *outbox)
{
    return outbox->patient_bytes;
}
