/*
 * Keeps the threads of a connection to the broker on one processor. They work on each message one
 * after the other and hand it over under the MQTT library's locks: on two processors each step
 * wakes the other one up and then waits for its lock, which costs more than the work. Together they
 * use less than one processor. Between two connections the system may choose another.
 */
#include "affinity.h"

#include <sched.h>
#include <stdbool.h>

/* What the process was allowed when it began; an administrator may have chosen. */
static cpu_set_t allowed;
static bool known;

void affinity_gather(void)
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

void affinity_release(void)
{
    if (known)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
}
