/* A queue under a lock, and a flag that spares all wake-ups but the first. */
#include "inbox.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct inbox {
    void (*wake)(void *ctx);
    void *wake_ctx;
    pthread_mutex_t lock; /* over all that follows */
    struct inbox_event *events;
    size_t count, capacity;
    bool woken; /* the owner has been told, and has not taken all since */
};

struct inbox *inbox_new(void (*wake)(void *ctx), void *wake_ctx)
{
    struct inbox *inbox = xcalloc(1, sizeof *inbox);
    int failed = pthread_mutex_init(&inbox->lock, NULL);
    assert(failed == 0);
    (void)failed;
    inbox->wake = wake;
    inbox->wake_ctx = wake_ctx;
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    pthread_mutex_destroy(&inbox->lock);
    free(inbox->events);
    free(inbox);
}

void inbox_push(struct inbox *inbox, const struct inbox_event *event)
{
    pthread_mutex_lock(&inbox->lock);
    if (inbox->count == inbox->capacity) {
        inbox->capacity = inbox->capacity > 0 ? 2 * inbox->capacity : 8;
        inbox->events = xreallocarray(inbox->events, inbox->capacity, sizeof *inbox->events);
    }
    inbox->events[inbox->count++] = *event;
    bool wake = !inbox->woken;
    inbox->woken = true;
    pthread_mutex_unlock(&inbox->lock);
    if (wake)
        inbox->wake(inbox->wake_ctx);
}

size_t inbox_take(struct inbox *inbox, struct inbox_event *events, size_t most)
{
    pthread_mutex_lock(&inbox->lock);
    size_t count = inbox->count < most ? inbox->count : most;
    if (count > 0) {
        memcpy(events, inbox->events, count * sizeof *events);
        inbox->count -= count;
        memmove(inbox->events, inbox->events + count, inbox->count * sizeof *events);
    }
    inbox->woken = inbox->count > 0;
    pthread_mutex_unlock(&inbox->lock);
    return count;
}

bool inbox_is_ready(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool ready = inbox->count > 0;
    pthread_mutex_unlock(&inbox->lock);
    return ready;
}
