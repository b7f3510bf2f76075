/* Randomness for jitter: a fleet of bridges must not knock at the same moment. */
#include "entropy.h"

#include <sys/random.h>

#include "clock.h"

uint64_t entropy_u64(void)
{
    uint64_t bits;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits)
        bits = (uint64_t)clock_unix_ms() * 6364136223846793005u;
    return bits;
}
