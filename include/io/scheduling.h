#ifndef SCHEDULING_H
#define SCHEDULING_H

/*
 * When and where the caller runs, and threads that it begins from now on. Where the system refuses,
 * nothing happens. Owner only.
 */

/* On the processor that the caller is on. */
void scheduling_gather(void);

/* Wherever the process may, and so that it interrupts nobody when it is woken up: its turn comes
 * when the processor is free, or after a few milliseconds (SCHED_BATCH, sched(7)). A policy other
 * than the usual one, SCHED_OTHER, stays. */
void scheduling_be_modest(void);

/* As before all that. */
void scheduling_release(void);

#endif
