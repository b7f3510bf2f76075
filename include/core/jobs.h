#ifndef JOBS_H
#define JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

/*
 * All known jobs by id: their records, counts by state, comparison with a complete list, the
 * memory of jobs that are gone, and the queue of those whose state is still to be published.
 * Order of knowledge is a counter, not a clock: jobs_mark before a request, so that its answer
 * overwrites nothing that came after. Pure.
 */
struct jobs;

/* Read-only for others than jobs.c. */
struct job {
    const char *id;
    const char *text; /* the record: one JSON object */
    uint32_t length;
    uint8_t status;      /* enum job_status, or JOB_STATUS_DOCUMENTED + n for another */
    bool cleared;        /* its topics were cleared for age; it still exists */
    bool unpublished;    /* waits in the queue of jobs_next_unpublished */
    int64_t observed_ms; /* Unix time: when the record last changed or was confirmed by an event */
    int64_t ended_ms;    /* Unix time: completed_at, else when the end was learnt; 0: not ended */
};

/* hidden is borrowed for the life of jobs. */
struct jobs *jobs_new(const struct job_hidden *hidden);
/* For tests: another limit for all records together than LIMIT_JOBS_BYTES. */
void jobs_set_limit(struct jobs *jobs, size_t bytes);
void jobs_free(struct jobs *jobs);

struct job *jobs_find(const struct jobs *jobs, const char *id);
size_t jobs_count(const struct jobs *jobs);
bool job_has_ended(const struct job *job);
/* The name of the job's status, as the upstream gave it. */
void jobs_status_name(struct jobs *jobs, const struct job *job, char out[static LIMIT_STATUS + 1]);

/* The present moment in the order of knowledge. */
uint64_t jobs_mark(const struct jobs *jobs);
#define JOBS_NOW UINT64_MAX /* said just now: newer than anything known */

struct job_change {
    /* NULL where the update was ignored: the job is gone, its record would be too large, or `full`
     */
    struct job *job;
    bool full; /* all records together would be larger than LIMIT_JOBS_BYTES */
    bool gone; /* it was ignored because the job is thought to be gone */
    bool created;
    bool status_changed;             /* true for a created job too */
    bool changed;                    /* the record differs */
    char previous[LIMIT_STATUS + 1]; /* the status before; "" for a created job */
};

/*
 * Applies what was said about a job as of `mark` (from jobs_mark before the request, or JOBS_NOW
 * for the stream and for answers to commands). What is older than the job's last news only fills
 * gaps. A job that is gone comes back only if `from_list` and the list was asked for after its end.
 */
void jobs_apply(struct jobs *jobs, const struct job_update *update, uint64_t mark, bool from_list,
    int64_t now_unix_ms, struct job_change *change);

/* Forgets the job and remembers that it is gone. Returns false if it was not known. */
bool jobs_remove(struct jobs *jobs, const char *id);

/* A list has been answered and is still to be applied, to its end: what other answers say until
 * then is newer than it, also where they only confirm what is known. */
void jobs_expect_list(struct jobs *jobs, bool expected);
/* A complete list: begin, mark each listed id, then take out those that are missing. One after the
 * other: none begins before the one before has been marked. */
void jobs_list_begin(struct jobs *jobs);
void jobs_list_saw(struct jobs *jobs, const char *id);
bool jobs_list_has_seen(const struct jobs *jobs, const char *id);
/* The number of the list that began last; they rise. */
uint32_t jobs_list_number(const struct jobs *jobs);
/* No list since the one of that number has named the job, and nothing was heard of it since `mark`.
 */
bool jobs_list_lacks(const struct job *job, uint32_t number, uint64_t mark);

/* The queue of jobs whose state topic is to be written; each stands in it at most once. */
void jobs_set_unpublished(struct jobs *jobs, struct job *job);
void jobs_set_published(struct jobs *jobs, struct job *job);
struct job *jobs_next_unpublished(const struct jobs *jobs);
size_t jobs_unpublished(const struct jobs *jobs);
/* It was confirmed, at that Unix time. */
void jobs_set_observed(struct job *job, int64_t unix_ms);
void jobs_set_cleared(struct job *job, bool cleared);

/* In order of first sight. next(NULL) is the first. */
struct job *jobs_next(const struct jobs *jobs, const struct job *job);

/* The same in turns, between which jobs may come and go: those that come while the walk is not over
 * belong to it. next returns NULL at the end. Each walk has its own place. */
enum jobs_walk {
    JOBS_WALK_MISSING,
    JOBS_WALK_UNSAID,
    JOBS_WALK_EXPIRED,
    JOBS_WALK_SHOWN,
    JOBS_WALK_ROUND,
    JOBS_WALKS
};
void jobs_walk_begin(struct jobs *jobs, enum jobs_walk walk);
struct job *jobs_walk_next(struct jobs *jobs, enum jobs_walk walk);
bool jobs_walk_is_over(const struct jobs *jobs, enum jobs_walk walk);

/* Counts by state: the six, then the others that were seen. */
size_t jobs_states(const struct jobs *jobs);
const char *jobs_state_name(const struct jobs *jobs, size_t state);
size_t jobs_state_count(const struct jobs *jobs, size_t state);

#endif
