/*
 * The bridge lives between two others that may share its processor: what it reads was sent a moment
 * ago, and what it sends is read in a moment. If it starts as soon as it is woken up, it interrupts
 * its sender, or the broker in the middle of a message. Then two want to run, and Linux wakes the
 * next one up on another processor, which sleeps: on a virtual machine, that costs three times what
 * the bridge does with an event.
 *
 * The threads of a connection that goes through the MQTT library are kept on one processor. They
 * work on each message one after the other and hand it over under the library's locks: on two
 * processors each step wakes the other one up and then waits for its lock, which costs more than
 * the work. Together they use less than one processor. Between two connections the system may
 * choose another.
 */
#include "scheduling.h"

#include <sched.h>
#include <stdbool.h>

/* What the process was allowed when it began; an administrator may have chosen. */
static cpu_set_t allowed;
static bool known;

void scheduling_be_modest(void)
{
    const struct sched_param none = {0};
    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

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

void scheduling_release(void)
{
    if (known)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
}
