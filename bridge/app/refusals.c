/* How many lines of the log refused commands are worth. */
#include "refusals.h"

#include <stdint.h>

#define LOG_TAG "commands"
#include "log.h"

#define FIRST_MS   1000
#define LONGEST_MS 60000

/* Says how many were counted in each period that has ended; with `all` also in those that have not.
 */
static void tell(struct refusals *refusals, bool all)
{
    int64_t now_ms = loop_now(refusals->loop);
    for (size_t i = 0; i < COUNTERS_OUTCOMES; i++) {
        struct log_limit *limit = &refusals->limits[i];
        unsigned count = 0;
        if (limit->suppressed == 0 || (now_ms < limit->next_ms && !all))
            continue;
        if (limit->next_ms > now_ms)
            limit->next_ms = now_ms;
        if (log_limit_pass_within(limit, now_ms, FIRST_MS, LONGEST_MS, &count))
            log_warn("and %u more command%s: %s", count, count == 1 ? "" : "s",
                counters_outcome_names[i]);
    }
}

/* The next end of a period that has something to tell. */
static void plan(struct refusals *refusals)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < COUNTERS_OUTCOMES; i++)
        if (refusals->limits[i].suppressed > 0 && refusals->limits[i].next_ms < next_ms)
            next_ms = refusals->limits[i].next_ms;
    if (next_ms == INT64_MAX)
        timer_stop(&refusals->timer);
    else
        timer_set(&refusals->timer, next_ms);
}

static void on_timer(void *ctx)
{
    tell(ctx, false);
    plan(ctx);
}

void refusals_init(struct refusals *refusals, struct loop *loop)
{
    *refusals = (struct refusals){.loop = loop};
    timer_init(&refusals->timer, loop, on_timer, refusals);
}

void refusals_stop(struct refusals *refusals)
{
    tell(refusals, true);
    timer_stop(&refusals->timer);
}

bool refusals_pass(struct refusals *refusals, const char *error)
{
    struct log_limit *limit = &refusals->limits[counters_outcome(error)];
    unsigned none;
    tell(refusals, false);
    bool passed =
        log_limit_pass_within(limit, loop_now(refusals->loop), FIRST_MS, LONGEST_MS, &none);
    plan(refusals);
    return passed;
}
