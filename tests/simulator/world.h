#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "jobs.h"
#include "random.h"

/*
 * The lives of the simulated jobs: how they arrive, move through the six states and are tidied
 * away. Time and randomness come from outside; what a client would be told goes to `announce`
 * as the JSON of one event.
 */
struct world {
    struct jobs *jobs; /* borrowed */
    struct random random;
    bool manual;     /* nothing happens by itself */
    double rate;     /* new jobs a minute, of real time */
    double speed;    /* how much faster than life */
    size_t max_jobs; /* beyond it, the oldest jobs that have ended are removed */
    void (*announce)(void *ctx, const char *json, size_t length);
    void *ctx;

    double clock_ms;        /* the lives' own time: stands still in manual mode, scaled by speed */
    double next_arrival_ms; /* real time until the next job */
    double next_change_ms;  /* on clock_ms: when the first life moves on */
    int64_t stepped_ms;     /* monotonic time of the last step */
};

#define WORLD_MOST_RATE  60000
#define WORLD_MOST_SPEED 1000

bool world_is_rate(double rate);
bool world_is_speed(double speed);
/* Stops the lives, or lets them go on from where they stood. */
void world_set_manual(struct world *world, bool manual);

/* Makes the jobs that are there when the simulator starts, at various points of their lives. */
void world_populate(struct world *world, int count, int64_t unix_ms);

/* Moves everything on to now. Returns the monotonic time of the next thing to happen, or
 * INT64_MAX. */
int64_t world_step(struct world *world, int64_t now_ms, int64_t unix_ms);

/* Ends the job as cancelled, tells so and stops its life. */
void world_cancel(struct world *world, struct job *job, int64_t unix_ms);

#endif
