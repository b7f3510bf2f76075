/*
 * Events from any thread to the owner: a list under a leaf mutex and a wake-up function. Not a
 * general queue: one reader, no waiting, and the wake-up is left out where the owner is going to
 * look anyway, because a wake-up for every acknowledgement would cost more than the event.
 */
#include "inbox.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { INBOX_FIRST_CAPACITY = 64 };

struct inbox_list {
    struct inbox_event *events;
    size_t count;
    size_t capacity;
};

struct inbox {
    void (*wake)(void *ctx);
    void *wake_ctx;
    size_t limit_bytes;

    pthread_mutex_t lock;
    /* All below is under the lock. Pushed to `incoming`; the owner swaps the two lists when it has
     * handed out all of `outgoing`, so that neither side ever moves the other's events. */
    struct inbox_list incoming;
    struct inbox_list outgoing;
    size_t handed_out; /* of `outgoing` */
    size_t bytes;      /* sum of the sizes inside */
    bool woken;        /* wake was called and the owner has not emptied the inbox since */
    bool urgent;       /* something inside is not patient */
    bool eager;
};

struct inbox *inbox_new(size_t limit_bytes, void (*wake)(void *ctx), void *wake_ctx)
{
    struct inbox *inbox = xcalloc(1, sizeof *inbox);
    int failed = pthread_mutex_init(&inbox->lock, NULL);

    assert(failed == 0);
    (void)failed;
    inbox->wake = wake;
    inbox->wake_ctx = wake_ctx;
    inbox->limit_bytes = limit_bytes;
    inbox->eager = true;
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    assert(inbox->incoming.count == 0 && inbox->outgoing.count == inbox->handed_out);
    free(inbox->incoming.events);
    free(inbox->outgoing.events);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

static void list_append(struct inbox_list *list, const struct inbox_event *event)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? 2 * list->capacity : INBOX_FIRST_CAPACITY;
        list->events = xreallocarray(list->events, list->capacity, sizeof *list->events);
    }
    list->events[list->count++] = *event;
}

bool inbox_push(struct inbox *inbox, const struct inbox_event *event)
{
    bool accepted, wake = false;

    pthread_mutex_lock(&inbox->lock);
    accepted = event->size == 0 || (event->size <= inbox->limit_bytes &&
                                       inbox->bytes <= inbox->limit_bytes - event->size);
    if (accepted) {
        list_append(&inbox->incoming, event);
        inbox->bytes += event->size;
        inbox->urgent = inbox->urgent || !event->patient;
        wake = !inbox->woken && (inbox->urgent || inbox->eager);
        inbox->woken = inbox->woken || wake;
    }
    pthread_mutex_unlock(&inbox->lock);

    if (wake)
        inbox->wake(inbox->wake_ctx);
    return accepted;
}

/* Under the lock, once everything of `outgoing` has been handed out. */
static void swap_lists(struct inbox *inbox)
{
    struct inbox_list emptied = inbox->outgoing;

    emptied.count = 0;
    inbox->outgoing = inbox->incoming;
    inbox->incoming = emptied;
    inbox->handed_out = 0;
}

void inbox_set_eager(struct inbox *inbox, bool eager)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->eager = eager;
    pthread_mutex_unlock(&inbox->lock);
}

size_t inbox_take(struct inbox *inbox, struct inbox_event *events, size_t most)
{
    size_t taken = 0;

    pthread_mutex_lock(&inbox->lock);
    while (taken < most) {
        if (inbox->handed_out == inbox->outgoing.count)
            swap_lists(inbox);
        if (inbox->outgoing.count == 0)
            break;
        events[taken] = inbox->outgoing.events[inbox->handed_out++];
        inbox->bytes -= events[taken++].size;
    }
    if (inbox->handed_out == inbox->outgoing.count && inbox->incoming.count == 0)
        inbox->woken = inbox->urgent = false;
    pthread_mutex_unlock(&inbox->lock);
    return taken;
}

bool inbox_has_room(struct inbox *inbox)
{
    bool room;

    pthread_mutex_lock(&inbox->lock);
    room = inbox->bytes < inbox->limit_bytes / 2;
    pthread_mutex_unlock(&inbox->lock);
    return room;
}

bool inbox_is_ready(struct inbox *inbox)
{
    bool ready;

    pthread_mutex_lock(&inbox->lock);
    ready = (inbox->handed_out < inbox->outgoing.count || inbox->incoming.count > 0) &&
            (inbox->urgent || inbox->eager);
    pthread_mutex_unlock(&inbox->lock);
    return ready;
}
