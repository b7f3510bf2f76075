#ifndef JOBS_H
#define JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "buf.h"
#include "rawjson.h"

/* Where a member shows: the documented list has no progress, the documented status no name. */
enum job_view { JOB_IN_LIST = 1, JOB_IN_STATUS = 2, JOB_IN_BOTH = 3 };

struct member {
    char *text; /* owned: the quoted name, and the value as it was given */
    size_t name_length;
    size_t value_length;
    enum job_view views;
};

struct job {
    char *id; /* owned; what a path names it by */
    struct member *members;
    size_t count;
    uint64_t seq;      /* changes so far; 1 once it was made */
    struct life *life; /* owned plain memory (free); NULL where it only does what it is told */
    UT_hash_handle hh;
};

/* What AIVA holds: jobs by id, in the order in which they came. Zero-initialise. */
struct jobs {
    struct job *first;
};

void jobs_clear(struct jobs *jobs);
size_t jobs_count(const struct jobs *jobs);
struct job *jobs_find(const struct jobs *jobs, const char *id);
/* Adds one without members; the id must be new. */
struct job *jobs_add(struct jobs *jobs, const char *id);
void jobs_remove(struct jobs *jobs, struct job *job);
/* `for (job = jobs->first; job != NULL; job = jobs_next(job))` */
struct job *jobs_next(const struct job *job);

/* Sets or replaces a member; both slices are copied as they stand. */
void job_set_raw(struct job *job, struct slice name, struct slice value, enum job_view views);
/* The same for a plain name and a text. */
void job_set_text(struct job *job, const char *name, const char *value, enum job_view views);
void job_set_number(struct job *job, const char *name, int value, enum job_view views);
void job_unset(struct job *job, const char *name);
/* Takes over every member of the object (checked JSON). Counts no change. */
void job_merge(struct job *job, struct slice object);
/* The raw value; false where the member is absent. Borrowed until the job changes. */
bool job_get(const struct job *job, const char *name, struct slice *value);
bool job_has_status(const struct job *job, const char *status);
bool job_is_terminal(const struct job *job);
/* Stops its simulated life: from now on it only does what it is told. */
void job_end_life(struct job *job);

/* Appends `"name": value` with a comma before it unless it is the object's first. */
void job_append_member(struct buf *buf, bool *first, struct slice quoted, struct slice value);
void job_append_status(struct buf *buf, const struct job *job);
void jobs_append_list(struct buf *buf, const struct jobs *jobs);
/* Every job with every member and `seq`. */
void jobs_append_all(struct buf *buf, const struct jobs *jobs);

#endif
