#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

/* A small generator (splitmix64): the same seed gives the same lives on every machine. */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
/* Evenly from low to high, both included. */
int random_between(struct random *random, int low, int high);
/* True once in `n`. */
int random_one_in(struct random *random, int n);

#endif
