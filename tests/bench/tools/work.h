#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The work that all contenders get: J jobs, job_0000000 and so on, of which A are active, evenly
 * spread, and N events that go round the active ones. An event carries its number within its job
 * (`seq`) and the time at which it was made (`t`, nanoseconds of CLOCK_MONOTONIC), as members that
 * nobody on the way knows. Jobs that are not active are completed.
 */
struct work {
    uint64_t jobs;
    uint64_t active;
    uint64_t events;
};

#define WORK_MOST_JOBS 10000000 /* ids have seven digits */
#define WORK_ID_SIZE   12       /* "job_0000000" and the NUL */
#define WORK_TEXT_SIZE 512      /* longer than any text below */

enum {
    /* A job is in a state for so many events: each 100th is a change of status, and one more after
     * it goes back to `processing`. */
    WORK_STATUS_EVERY = 100,
};

/* As a program is told of it. */
struct work_options {
    long jobs;
    long active;
    long events;
};

/* Rows of a program's options. */
#define WORK_JOBS(options) "--jobs", &(options).jobs, NULL, "jobs there are"
#define WORK_ACTIVE(options)                                                                       \
    "--active", &(options).active, NULL, "of those, how many have events; 0: all"
#define WORK_EVENTS(options) "--events", &(options).events, NULL, "events, over all active jobs"

/* Ends the program if the numbers make no sense. */
struct work work_make(const struct work_options *options);
bool work_is_active(const struct work *work, uint64_t job);
/* The job and the number within the job of the event of that number. */
uint64_t work_job_of(const struct work *work, uint64_t event);
uint64_t work_seq_of(const struct work *work, uint64_t event);
/* How many events an active job has. */
uint64_t work_events_of(const struct work *work, uint64_t job);

/* Each writes the text without a NUL and returns its length; `out` has WORK_TEXT_SIZE bytes. */

/* The JSON of an event. A job's last one has the status `completed`. */
size_t work_event(const struct work *work, uint64_t event, uint64_t t_ns, char *out);
/* What the bridge makes of an event: with what the list tells of the job, and `observed_at`. */
size_t work_state(const struct work *work, uint64_t event, uint64_t t_ns, char *out);
/* A job in the list: `processing` if it is active, else `completed`. */
size_t work_listed(const struct work *work, uint64_t job, char *out);
/* What the bridge makes of a listed job. */
size_t work_listed_state(const struct work *work, uint64_t job, char *out);
/* The answer to a status call. */
size_t work_status(const struct work *work, uint64_t job, char *out);

/* The job whose id stands at `text`; -1 if none does. */
int64_t work_job_at(const char *text, size_t length);

#endif
