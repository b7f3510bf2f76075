#ifndef AFFINITY_H
#define AFFINITY_H

/*
 * Which processor the threads run on. Where the system refuses, nothing happens. Owner only.
 */

/* From now on the caller, and threads that it begins, stay on the processor that it is on. */
void affinity_gather(void);
/* The caller may run again wherever the process was allowed to when it began. */
void affinity_release(void);

#endif
