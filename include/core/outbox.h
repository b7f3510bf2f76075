#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages in order until they are acknowledged, as the packets that go out. After a lost
 * connection sending starts again at the oldest that was not. Pure; owns the bytes.
 */
struct outbox;

enum { OUTBOX_NO_SLOT, OUTBOX_SLOTS = 8 };

/* What all packets have in common; what the broker's CONNACK allows may be less than what is
 * wanted. */
struct outbox_format {
    bool version5;
    int qos;
    bool retain; /* messages may be retained */
};

/* A message to be queued; borrowed for the call. */
struct outbox_message {
    const char *topic;
    const void *payload;
    size_t payload_length;
    const void *correlation; /* NULL where there is none */
    size_t correlation_length;
    bool retain;
    bool json;
    bool response; /* to a Response Topic, which others choose */
    /* Called when the message has ended, taken by the broker or not; that is waited for. NULL:
     * nobody does. Not called for what outbox_drop_waiting and outbox_free forget, nor for a value
     * that a later one of its slot takes the place of. */
    void (*done)(void *ctx, bool taken);
    void *ctx;
    bool can_wait;       /* all others may overtake it, but for every eighth place */
    int64_t received_ms; /* monotonic: when what it tells of arrived; 0: not to be measured */
    /* Messages of the same slot (1 … OUTBOX_SLOTS - 1): a later one takes the place of one that
     * has not been sent yet, since only the last value counts. */
    unsigned slot;
};

struct outbox_entry {
    void *owner;       /* as it was given to outbox_new */
    uint64_t sequence; /* unique, rising */
    char *topic;
    char *packet; /* a whole PUBLISH */
    size_t length;
    bool retain; /* wanted, whether or not the broker can */
    bool json;
    bool response;
    void (*done)(void *ctx, bool taken);
    void *ctx;
    int64_t received_ms; /* the message's */
    int64_t sent_ms;     /* monotonic, of the last sending; 0 before the first */
    unsigned losses;     /* connections that ended because of this, as far as anybody can tell */
};

struct outbox *outbox_new(const struct outbox_format *format, void *owner);
void outbox_free(struct outbox *outbox);

/* For what waits, and what is still to come; nothing may be in flight. */
void outbox_set_format(struct outbox *outbox, const struct outbox_format *format);

/* Copies the message to the end of the queue. Its topic has to be one that MQTT allows. */
void outbox_push(struct outbox *outbox, const struct outbox_message *message);
/* The same, ahead of all that has not been sent. */
void outbox_push_first(struct outbox *outbox, const struct outbox_message *message);

/* The next entry to send, now counted as in flight; NULL if there is none. Borrowed until its
 * acknowledgement. */
struct outbox_entry *outbox_send_next(struct outbox *outbox, int64_t now_ms);
/* What outbox_send_next would give. */
const struct outbox_entry *outbox_peek(const struct outbox *outbox);
/* Ends an entry that was to be sent and is not. */
void outbox_drop(struct outbox *outbox, struct outbox_entry *entry);
/* Ends an entry in flight, as the broker has answered. */
void outbox_acknowledge(struct outbox *outbox, struct outbox_entry *entry);
/* The connection was lost: nothing is in flight any more, all is sent again from the oldest. True
 * if the oldest in flight had been sent less than OUTBOX_BLAME_MS before, so that what was sent may
 * have been the reason. It gets the blame (`losses`) if it was the only one then; or, however long
 * ago that was, if something sent after it was acknowledged. */
#define OUTBOX_BLAME_MS 2000
bool outbox_rewind(struct outbox *outbox, int64_t now_ms);
/* When the oldest in flight was sent; -1 where nothing is. */
int64_t outbox_oldest_ms(const struct outbox *outbox);
/* Forgets all that has not been sent. */
void outbox_drop_waiting(struct outbox *outbox);

size_t outbox_count(const struct outbox *outbox); /* waiting and in flight */
size_t outbox_in_flight(const struct outbox *outbox);
size_t outbox_bytes(const struct outbox *outbox); /* memory that the entries hold */
size_t outbox_in_flight_bytes(const struct outbox *outbox);
/* The messages that can wait, and have not been sent. */
size_t outbox_patient_count(const struct outbox *outbox);
size_t outbox_patient_bytes(const struct outbox *outbox);

#endif
