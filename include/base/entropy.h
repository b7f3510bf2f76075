#ifndef ENTROPY_H
#define ENTROPY_H

#include <stdint.h>

/* 64 random bits from the kernel; from the clock where it has none yet. For jitter, not for
 * secrets. Any thread. */
uint64_t entropy_u64(void);

#endif
