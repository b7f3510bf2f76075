#include "random.h"

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int random_between(struct random *random, int low, int high)
{
    uint64_t span = (uint64_t)(high - low) + 1;
    return low + (int)(random_next(random) % span);
}

int random_one_in(struct random *random, int n)
{
    return random_between(random, 1, n) == 1;
}
