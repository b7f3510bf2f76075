#ifndef INBOX_H
#define INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The only memory that threads share: small events pushed by any thread, taken by the owner, by
 * value. The lock is a leaf: nothing is called while it is held, so inbox_push may be called from
 * any callback, also on the owner's own thread.
 */
enum inbox_kind {
    INBOX_SESSION_UP,         /* paho is connected */
    INBOX_SESSION_DOWN,       /* the attempt failed, or the connection ended */
    INBOX_SESSION_SUBSCRIBED, /* number: the token; code: granted QoS, or >= 0x80 */
};

struct inbox_event {
    enum inbox_kind kind;
    uint32_t generation; /* of the session it comes from */
    int code;
    uint64_t number;
};

struct inbox;

/* wake(wake_ctx) is called, without the lock, when the owner should look; from the pushing thread.
 */
struct inbox *inbox_new(void (*wake)(void *ctx), void *wake_ctx);
/* Forgets what is inside. */
void inbox_free(struct inbox *inbox);

/* Any thread. Copies the event, and wakes the owner unless that has been done since it last took
 * all. */
void inbox_push(struct inbox *inbox, const struct inbox_event *event);

/* Owner only. Moves out up to `most` events in order; returns how many. */
size_t inbox_take(struct inbox *inbox, struct inbox_event *events, size_t most);
/* Owner only. True while events wait. */
bool inbox_is_ready(struct inbox *inbox);

#endif
