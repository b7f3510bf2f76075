#ifndef PROCESS_H
#define PROCESS_H

#include "metrics.h"

/* What the kernel says of this process: memory, CPU time, descriptors. What cannot be read stays
 * 0. A few system calls; to be asked when somebody wants to know. */
void process_measure(struct metrics_process *process);

#endif
