/*
 * The owner thread works between two others that may share its processor: what it reads was sent a
 * moment ago, and what it sends is read in a moment. If it started as soon as it is woken up, it
 * would interrupt its sender, or the broker in the middle of a message. Then two would want to run,
 * and Linux wakes the next one up on another processor, which sleeps: on a virtual machine, that
 * takes three times as long as the bridge does for an event.
 */
#include "scheduling.h"

#include <sched.h>
#include <stdbool.h>

static bool modest; /* by the bridge's own choice */

/* A policy that was chosen meanwhile, from outside, stays as well. */
static bool change_policy(int from, int to)
{
    const struct sched_param none = {0};
    return sched_getscheduler(0) == from && sched_setscheduler(0, to, &none) == 0;
}

void scheduling_be_modest(void)
{
    modest = change_policy(SCHED_OTHER, SCHED_BATCH) || modest;
}

void scheduling_release(void)
{
    if (modest)
        (void)change_policy(SCHED_BATCH, SCHED_OTHER);
    modest = false;
}
