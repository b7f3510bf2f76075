/*
 * Where publications go past the MQTT library, the owner thread works alone, between two others
 * that may share its processor: what it reads was sent a moment ago, and what it sends is read in a
 * moment. If it started as soon as it is woken up, it would interrupt its sender, or the broker in
 * the middle of a message. Then two would want to run, and Linux wakes the next one up on another
 * processor, which sleeps: on a virtual machine, that takes three times as long as the bridge does
 * for an event.
 *
 * Where they go through the library, its threads and the owner are kept on one processor. They
 * work on each message one after the other and hand it over under the library's locks: on two
 * processors each step wakes the other one up and then waits for its lock, which costs more than
 * the work. Together they use less than one processor. Between two connections the system may
 * choose another. If these threads were modest, each step would wait for the end of other programs'
 * turns.
 */
#include "scheduling.h"

#include <sched.h>
#include <stdbool.h>

/* What the process was allowed when it began; an administrator may have chosen. */
static cpu_set_t allowed;
static bool known;
static bool modest; /* by the bridge's own choice */

void scheduling_gather(void)
{
    cpu_set_t one;
    if (!known && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    known = true;
    int processor = sched_getcpu();
    if (processor < 0 || processor >= CPU_SETSIZE)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static void run_anywhere(void)
{
    if (known)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
}

/* A policy that was chosen meanwhile, from outside, stays as well. */
static bool change_policy(int from, int to)
{
    const struct sched_param none = {0};
    return sched_getscheduler(0) == from && sched_setscheduler(0, to, &none) == 0;
}

void scheduling_be_modest(void)
{
    run_anywhere();
    modest = change_policy(SCHED_OTHER, SCHED_BATCH) || modest;
}

void scheduling_release(void)
{
    run_anywhere();
    if (modest)
        (void)change_policy(SCHED_BATCH, SCHED_OTHER);
    modest = false;
}
