/* The heap of set timers. Knows no clock: whoever fires it says what time it is. */
#include "timers.h"

#include <assert.h>
#include <stdlib.h>

#include "loop.h"
#include "mem.h"

enum { TIMERS_FIRST_CAPACITY = 32 };

void timers_clear(struct timers *timers)
{
    assert(timers->count == 0);
    free(timers->heap);
    *timers = (struct timers){0};
}

static void place(struct timers *timers, struct timer *timer, unsigned position)
{
    timers->heap[position] = timer;
    timer->position = position;
}

/* Puts the timer at the hole or above it. */
static void sift_up(struct timers *timers, struct timer *timer, unsigned hole)
{
    while (hole > 1 && timers->heap[hole / 2]->at_ms > timer->at_ms) {
        place(timers, timers->heap[hole / 2], hole);
        hole /= 2;
    }
    place(timers, timer, hole);
}

/* Puts the timer at the hole or below it. */
static void sift_down(struct timers *timers, struct timer *timer, unsigned hole)
{
    while (2 * hole <= timers->count) {
        unsigned child = 2 * hole;

        if (child < timers->count && timers->heap[child + 1]->at_ms < timers->heap[child]->at_ms)
            child++;
        if (timers->heap[child]->at_ms >= timer->at_ms)
            break;
        place(timers, timers->heap[child], hole);
        hole = child;
    }
    place(timers, timer, hole);
}

void timers_add(struct timers *timers, struct timer *timer, int64_t at_ms)
{
    assert(timer->position == 0);
    if (timers->count + 1 >= timers->capacity) {
        timers->capacity = timers->capacity > 0 ? 2 * timers->capacity : TIMERS_FIRST_CAPACITY;
        timers->heap = xreallocarray(timers->heap, timers->capacity, sizeof(struct timer *));
    }
    timer->at_ms = at_ms > timers->not_before_ms ? at_ms : timers->not_before_ms;
    sift_up(timers, timer, ++timers->count);
}

void timers_remove(struct timers *timers, struct timer *timer)
{
    unsigned hole = timer->position;
    struct timer *last = timers->heap[timers->count--];

    assert(hole > 0 && timers->heap[hole] == timer);
    timer->position = 0;
    if (last == timer)
        return;
    if (hole > 1 && timers->heap[hole / 2]->at_ms > last->at_ms)
        sift_up(timers, last, hole);
    else
        sift_down(timers, last, hole);
}

int64_t timers_next_ms(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[1]->at_ms : INT64_MAX;
}

void timers_fire(struct timers *timers, int64_t now_ms, unsigned most)
{
    timers->not_before_ms = now_ms + 1;
    while (most-- > 0 && timers_next_ms(timers) <= now_ms) {
        struct timer *timer = timers->heap[1];

        timers_remove(timers, timer);
        timer->fire(timer->ctx);
    }
    timers->not_before_ms = 0;
}
