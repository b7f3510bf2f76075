#ifndef INBOX_H
#define INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The only memory that threads share: events pushed by any thread, taken by the owner. The lock is
 * a leaf: nothing is called while it is held, so inbox_push may be called from any callback,
 * also on the owner's own thread.
 */
enum inbox_kind {
    INBOX_MQTT_CONNECTED, /* code: session present; pointer: struct mqtt_limits (malloc) */
    INBOX_MQTT_FAILED,    /* the connect failed; code: reason, 0: the text has it; pointer: text
                             (malloc) or NULL */
    INBOX_MQTT_LOST,      /* the connection ended; code: reason or 0; pointer: why, or NULL */
    /* The next three: pointer: struct mqttflight, of the connection. */
    INBOX_MQTT_ACKED,      /* number: sequence; code: reason code (0 and 0x10 are success) */
    INBOX_MQTT_UNSENT,     /* number: sequence: given up by the library, the connection is ending */
    INBOX_MQTT_SUBSCRIBED, /* number: token; code: granted QoS or reason code >= 0x80 */
    INBOX_MQTT_MESSAGE,    /* pointer: MQTTAsync_message; pointer2: topic; number: topic length */
    INBOX_MQTT_RELAYED,    /* pointer: struct mqtt_message (malloc, with all that it points to) */
    INBOX_MQTT_CLOSED,     /* an orderly disconnect finished */
};

struct inbox_event {
    enum inbox_kind kind;
    uint32_t generation; /* of the connection it comes from */
    int code;
    uint64_t number;
    void *pointer;
    void *pointer2;
    size_t size;   /* bytes that count against the inbox's limit */
    int64_t at_ms; /* monotonic; of INBOX_MQTT_ACKED */
    bool patient;  /* the owner need not look at once */
};

struct inbox;

/* wake(wake_ctx) is called, without the lock, when the owner should look; from the pushing thread.
 * Events without a size are always accepted; the sum of sizes is limited to limit_bytes. */
struct inbox *inbox_new(size_t limit_bytes, void (*wake)(void *ctx), void *wake_ctx);
/* Frees the inbox; events still inside must have been taken before. */
void inbox_free(struct inbox *inbox);

/* Any thread. Copies the event, and wakes the owner unless that has been done since it last took
 * all. False where the limit refuses it: the caller keeps what it points to. */
bool inbox_push(struct inbox *inbox, const struct inbox_event *event);

/* Owner only. Whether patient events are to wake the owner as all others do; so it is at first.
 * While they are not, they are taken with whatever comes next. */
void inbox_set_eager(struct inbox *inbox, bool eager);

/* Owner only. Moves out up to `most` events in order; returns how many. */
size_t inbox_take(struct inbox *inbox, struct inbox_event *events, size_t most);
/* Owner only. True until half of the limit is taken: time for a source that can wait to do so. */
bool inbox_has_room(struct inbox *inbox);
/* Owner only. True while events wait that should be taken at once. */
bool inbox_is_ready(struct inbox *inbox);

#endif
