/* Keeps answers in the order of AIVA's words. */
#include "catchup.h"

#include <assert.h>
#include <stdlib.h>

#include "loop.h"
#include "mem.h"
#include "stream.h"

/* A stream that falls silent does not wake the loop: between two looks at it. */
#define LOOK_MS 50

TAILQ_HEAD(catchup_queue, catchup_wait);

struct catchup {
    struct loop *loop;
    struct stream *stream;
    enum pressure pressure;
    size_t calls; /* under way */
    struct catchup_queue queue;
    struct timer look;
};

/* Only wakes the loop: each pass ends with catchup_update. */
static void wake(void *ctx)
{
    (void)ctx;
}

struct catchup *catchup_new(struct loop *loop, struct stream *stream)
{
    struct catchup *catchup = xcalloc(1, sizeof *catchup);
    catchup->loop = loop;
    catchup->stream = stream;
    TAILQ_INIT(&catchup->queue);
    timer_init(&catchup->look, loop, wake, catchup);
    return catchup;
}

void catchup_free(struct catchup *catchup)
{
    if (!catchup)
        return;
    assert(TAILQ_EMPTY(&catchup->queue));
    timer_stop(&catchup->look);
    free(catchup);
}

static void pause_or_not(struct catchup *catchup)
{
    bool needed = catchup->calls > 0 || !TAILQ_EMPTY(&catchup->queue);
    stream_pause(catchup->stream,
        catchup->pressure == PRESSURE_FULL || (catchup->pressure == PRESSURE_AHEAD && !needed));
}

void catchup_press(struct catchup *catchup, enum pressure pressure)
{
    catchup->pressure = pressure;
    pause_or_not(catchup);
}

void catchup_begin_call(struct catchup *catchup)
{
    catchup->calls++;
    pause_or_not(catchup);
}

void catchup_end_call(struct catchup *catchup)
{
    assert(catchup->calls > 0);
    catchup->calls--;
    pause_or_not(catchup);
}

bool catchup_is_read(const struct catchup *catchup)
{
    return TAILQ_EMPTY(&catchup->queue) && stream_is_read(catchup->stream);
}

void catchup_await(struct catchup *catchup, struct catchup_wait *wait, int64_t until_ms,
    void (*done)(void *ctx, enum catchup_result result), void *ctx)
{
    assert(!wait->catchup);
    wait->catchup = catchup;
    wait->until_ms = until_ms;
    wait->horizon = stream_horizon(catchup->stream);
    wait->done = done;
    wait->ctx = ctx;
    TAILQ_INSERT_TAIL(&catchup->queue, wait, link);
    pause_or_not(catchup);
}

bool catchup_is_awaited(const struct catchup_wait *wait)
{
    return wait->catchup != NULL;
}

static void take_out(struct catchup_wait *wait)
{
    TAILQ_REMOVE(&wait->catchup->queue, wait, link);
    wait->catchup = NULL;
}

void catchup_cancel(struct catchup_wait *wait)
{
    struct catchup *catchup = wait->catchup;
    if (!catchup)
        return;
    take_out(wait);
    pause_or_not(catchup);
}

static bool is_over(const struct catchup *catchup, const struct catchup_wait *wait, bool is_read,
    enum catchup_result *result)
{
    *result = CATCHUP_READ;
    if (is_read || stream_position(catchup->stream) >= wait->horizon)
        return true;
    *result = catchup->pressure == PRESSURE_FULL ? CATCHUP_STUCK : CATCHUP_LATE;
    return *result == CATCHUP_STUCK || loop_now(catchup->loop) >= wait->until_ms;
}

/* The first whose wait is over; those behind it never overtake one that may be applied. */
static struct catchup_wait *next_over(const struct catchup *catchup, enum catchup_result *result)
{
    struct catchup_wait *wait;
    bool is_read = stream_is_read(catchup->stream);
    TAILQ_FOREACH(wait, &catchup->queue, link)
    {
        if (is_over(catchup, wait, is_read, result))
            return wait;
    }
    return NULL;
}

void catchup_update(struct catchup *catchup)
{
    struct catchup_wait *wait;
    enum catchup_result result;
    if (TAILQ_EMPTY(&catchup->queue))
        return;
    while (!TAILQ_EMPTY(&catchup->queue) && (wait = next_over(catchup, &result))) {
        take_out(wait);
        wait->done(wait->ctx, result);
    }
    if (!TAILQ_EMPTY(&catchup->queue))
        timer_set(&catchup->look, loop_now(catchup->loop) + LOOK_MS);
    pause_or_not(catchup);
}
