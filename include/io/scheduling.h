#ifndef SCHEDULING_H
#define SCHEDULING_H

/* When the caller runs. Where the system refuses, nothing happens. Owner only. */

/* So that it interrupts nobody when it is woken up: its turn comes when the processor is free, or
 * after a few milliseconds (SCHED_BATCH, sched(7)). A policy other than the usual one, SCHED_OTHER,
 * stays. */
void scheduling_be_modest(void);

/* As before. */
void scheduling_release(void);

#endif
