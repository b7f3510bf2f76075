#ifndef SCHEDULING_H
#define SCHEDULING_H

/*
 * When and where the threads run. All of it holds for the caller and for threads that it begins
 * later. Where the system refuses, nothing happens. Owner only.
 */

/* From now on they interrupt nobody when they are woken up: their turn comes when the processor is
 * free, or the other's time is over, after a few milliseconds (SCHED_BATCH, sched(7)). Unless an
 * administrator has chosen another policy for the process. */
void scheduling_be_modest(void);

/* From now on they stay on the processor that the caller is on. */
void scheduling_gather(void);
/* The caller may run again wherever the process was allowed to when it first gathered. */
void scheduling_release(void);

#endif
