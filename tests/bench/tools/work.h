#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * The work that all contenders get: J jobs, job_0000000 and so on, and N events that go round the
 * jobs. An event carries its number within its job (`seq`) and the time at which it was made (`t`,
 * nanoseconds of CLOCK_MONOTONIC), as members that nobody on the way knows.
 */

#define WORK_MOST_JOBS 10000000 /* ids have seven digits */
#define WORK_ID_SIZE   12       /* "job_0000000" and the NUL */
#define WORK_TEXT_SIZE 512      /* longer than any text below */

enum {
    /* A job is in a state for so many events: each 100th is a change of status, and one more after
     * it goes back to `processing`. */
    WORK_STATUS_EVERY = 100,
};

/* Events of one job when `events` go round `jobs`. */
uint64_t work_events_of(uint64_t events, uint64_t jobs, uint64_t job);

/* Each writes the text without a NUL and returns its length; `out` has WORK_TEXT_SIZE bytes. */

/* The JSON of an event. `last`: the job's last one, with the status `completed`. */
size_t work_event(char *out, uint64_t job, uint64_t seq, uint64_t t_ns, bool last);
/* What the bridge makes of an event: with what the list tells of the job, and `observed_at`. */
size_t work_state(char *out, uint64_t job, uint64_t seq, uint64_t t_ns, bool last);
/* A job in the list: `processing` or `completed`. */
size_t work_listed(char *out, uint64_t job, bool unfinished);
/* What the bridge makes of a listed job. */
size_t work_listed_state(char *out, uint64_t job, bool unfinished);
/* The answer to a status call. */
size_t work_status(char *out, uint64_t job, bool unfinished);

/* The job whose id stands at `text`; -1 if none does. */
int64_t work_job_at(const char *text, size_t length);

#endif
