/*
 * All known jobs. uthash gives the tables by id; the order of first sight and the queues are
 * sys/queue.h lists threaded through the records, so that nothing here grows faster than linear.
 * A table that grows sorts all that it has in one go: there are several, so that a million jobs do
 * not do so at once.
 */
#include "jobs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "limit.h"
#include "mem.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

/* A power of two. */
#define TABLES 32

/* What others see comes first, so that a pointer to it is a pointer to the record. */
struct record {
    struct job job;
    uint64_t touched; /* when the stream or a command last spoke of it, or an answer changed it */
    uint32_t listed;  /* the last list that named it */
    TAILQ_ENTRY(record) unpublished;
    TAILQ_ENTRY(record) order;
    UT_hash_handle hh;
    char id[];
};

_Static_assert(sizeof(struct record) >= LIMIT_JOB_LEAST, "LIMIT_LIST_JOBS is too small");

struct tombstone {
    uint64_t touched; /* when it was removed */
    TAILQ_ENTRY(tombstone) order;
    UT_hash_handle hh;
    char id[];
};

TAILQ_HEAD(record_queue, record);
TAILQ_HEAD(tombstone_queue, tombstone);

struct jobs {
    const struct job_hidden *hidden;
    struct record *tables[TABLES];
    struct record_queue order; /* of first sight */
    size_t count;
    struct record_queue unpublished;
    size_t unpublished_count;
    struct tombstone *gone;
    struct tombstone_queue gone_order;
    struct record *walks[JOBS_WALKS]; /* what each comes to next; NULL: it is over */
    uint64_t now;                     /* the order of knowledge */
    uint32_t list;
    bool expects_list;
    size_t bytes, bytes_limit; /* of all records */
    size_t states;
    char *state_names[JOB_STATUS_DOCUMENTED + LIMIT_UNKNOWN_STATES];
    size_t state_counts[JOB_STATUS_DOCUMENTED + LIMIT_UNKNOWN_STATES + 1];
    struct buf merged;      /* scratch */
    struct json_object old; /* scratch */
};

struct jobs *jobs_new(const struct job_hidden *hidden)
{
    struct jobs *jobs = xcalloc(1, sizeof *jobs);
    jobs->hidden = hidden;
    TAILQ_INIT(&jobs->order);
    TAILQ_INIT(&jobs->unpublished);
    TAILQ_INIT(&jobs->gone_order);
    for (size_t i = 0; i < JOB_STATUS_DOCUMENTED; i++)
        jobs->state_names[i] = xstrdup(job_status_names[i]);
    jobs->states = JOB_STATUS_DOCUMENTED;
    buf_init(&jobs->merged, LIMIT_JOB_RECORD);
    jobs->bytes_limit = LIMIT_JOBS_BYTES;
    return jobs;
}

void jobs_set_limit(struct jobs *jobs, size_t bytes)
{
    jobs->bytes_limit = bytes;
}

static struct record *record_of(const struct job *job)
{
    return (struct record *)job;
}

/* By the upper bits: uthash takes the lower ones within a table. */
static struct record **table_of(struct jobs *jobs, unsigned hash)
{
    return &jobs->tables[hash / (UINT_MAX / TABLES + 1)];
}

static size_t record_size(const char *id, size_t text_length)
{
    return sizeof(struct record) + strlen(id) + text_length;
}

static void unlink_record(struct jobs *jobs, struct record *record)
{
    jobs_set_published(jobs, &record->job);
    for (size_t i = 0; i < JOBS_WALKS; i++)
        if (jobs->walks[i] == record)
            jobs->walks[i] = TAILQ_NEXT(record, order);
    jobs->state_counts[record->job.status]--;
    jobs->bytes -= record_size(record->id, record->job.length);
    struct record **table = table_of(jobs, record->hh.hashv);
    HASH_DEL(*table, record);
    TAILQ_REMOVE(&jobs->order, record, order);
    jobs->count--;
    free((char *)record->job.text);
    free(record);
}

static void drop_tombstone(struct jobs *jobs, struct tombstone *tombstone)
{
    TAILQ_REMOVE(&jobs->gone_order, tombstone, order);
    HASH_DEL(jobs->gone, tombstone);
    free(tombstone);
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    struct record *record;
    while ((record = TAILQ_FIRST(&jobs->order)))
        unlink_record(jobs, record);
    while (jobs->gone)
        drop_tombstone(jobs, jobs->gone);
    for (size_t i = 0; i < jobs->states; i++)
        free(jobs->state_names[i]);
    buf_clear(&jobs->merged);
    json_object_clear(&jobs->old);
    free(jobs);
}

struct job *jobs_find(const struct jobs *jobs, const char *id)
{
    struct record *record;
    size_t length = strlen(id);
    unsigned hash;
    HASH_VALUE(id, length, hash);
    HASH_FIND_BYHASHVALUE(hh, *table_of((struct jobs *)jobs, hash), id, length, hash, record);
    return record ? &record->job : NULL;
}

size_t jobs_count(const struct jobs *jobs)
{
    return jobs->count;
}

bool job_has_ended(const struct job *job)
{
    return job_status_has_ended((enum job_status)job->status);
}

uint64_t jobs_mark(const struct jobs *jobs)
{
    return jobs->now;
}

/* ---- States */

size_t jobs_states(const struct jobs *jobs)
{
    return jobs->states;
}

const char *jobs_state_name(const struct jobs *jobs, size_t state)
{
    return jobs->state_names[state];
}

size_t jobs_state_count(const struct jobs *jobs, size_t state)
{
    return jobs->state_counts[state];
}

/* The state's number, given out at its first sight. The last number stands for all those for
 * which there was no room. */
static uint8_t state_number(struct jobs *jobs, const char *name)
{
    size_t state = 0;
    while (state < jobs->states && strcmp(jobs->state_names[state], name) != 0)
        state++;
    if (state == jobs->states && state < JOB_STATUS_DOCUMENTED + LIMIT_UNKNOWN_STATES)
        jobs->state_names[jobs->states++] = xstrdup(name);
    return (uint8_t)state;
}

/* ---- Applying what was said */

static struct tombstone *find_tombstone(const struct jobs *jobs, const char *id)
{
    struct tombstone *tombstone;
    HASH_FIND_STR(jobs->gone, id, tombstone);
    return tombstone;
}

static struct record *add_record(struct jobs *jobs, const char *id)
{
    size_t size = strlen(id) + 1;
    struct record *record = xcalloc(1, sizeof *record + size);
    memcpy(record->id, id, size);
    record->job.id = record->id;
    unsigned hash;
    HASH_VALUE(id, size - 1, hash);
    struct record **table = table_of(jobs, hash);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, *table, record->id, size - 1, hash, record);
    TAILQ_INSERT_TAIL(&jobs->order, record, order);
    jobs->count++;
    jobs->bytes += record_size(id, 0);
    return record;
}

static int64_t end_of(struct jobs *jobs, int64_t now_unix_ms)
{
    int64_t ended = now_unix_ms;
    if (json_object_read(&jobs->old, jobs->merged.data, jobs->merged.length) != JSON_OK)
        return ended;
    const struct json_member *completed_at = json_find(&jobs->old, "completed_at");
    if (completed_at && json_is_string(completed_at->value))
        clock_parse(completed_at->value.at + 1, completed_at->value.length - 2, &ended);
    return ended;
}

/* The record becomes what jobs->merged holds. */
static void store(struct jobs *jobs, struct record *record, int64_t now_unix_ms)
{
    jobs->bytes += jobs->merged.length;
    jobs->bytes -= record->job.length;
    free((char *)record->job.text);
    record->job.text = xmemdup0(jobs->merged.data, jobs->merged.length);
    record->job.length = (uint32_t)jobs->merged.length;
    record->job.observed_ms = now_unix_ms;
}

static void set_status(struct jobs *jobs, struct record *record, const char *status, bool created)
{
    if (!created)
        jobs->state_counts[record->job.status]--;
    record->job.status = state_number(jobs, status);
    jobs->state_counts[record->job.status]++;
}

static bool is_known_gone(struct jobs *jobs, const char *id, uint64_t mark, bool from_list)
{
    struct tombstone *tombstone = find_tombstone(jobs, id);
    if (!tombstone)
        return false;
    if (!from_list || mark < tombstone->touched)
        return true;
    drop_tombstone(jobs, tombstone);
    return false;
}

void jobs_status_name(struct jobs *jobs, const struct job *job, char out[static LIMIT_STATUS + 1])
{
    out[0] = '\0';
    if (job->status < jobs->states) {
        const char *name = jobs->state_names[job->status];
        memcpy(out, name, strlen(name) + 1);
        return;
    }
    struct buf name;
    buf_init(&name, LIMIT_STATUS);
    if (json_object_read(&jobs->old, job->text, job->length) == JSON_OK) {
        const struct json_member *status = json_find(&jobs->old, "status");
        if (status && json_decode_string(status->value, &name))
            snprintf(out, LIMIT_STATUS + 1, "%s", name.data);
    }
    buf_clear(&name);
}

/* Merges into jobs->merged. A record that has grown beyond its cap starts anew from the update. */
static bool merge(
    struct jobs *jobs, const struct job *known, const struct job_update *update, enum job_merge how)
{
    buf_reset(&jobs->merged);
    const char *text = known ? known->text : NULL;
    size_t length = known ? known->length : 0;
    if (job_merge(&jobs->merged, text, length, update, how, jobs->hidden, &jobs->old))
        return true;
    buf_reset(&jobs->merged);
    return how == JOB_MERGE_NEWER &&
           job_merge(&jobs->merged, NULL, 0, update, how, jobs->hidden, &jobs->old);
}

/* What does not make the whole larger always fits: no known job is stuck for ever. */
static bool has_room(const struct jobs *jobs, const struct job *job, const char *id)
{
    size_t size = record_size(id, jobs->merged.length);
    size_t before = job ? record_size(id, job->length) : 0;
    return size <= before || jobs->bytes - before + size <= jobs->bytes_limit;
}

static void note_change(struct jobs *jobs, struct record *record, const struct job_update *update,
    enum job_merge how, bool said_now, int64_t now_unix_ms, struct job_change *change)
{
    struct job *job = &record->job;
    if (how == JOB_MERGE_NEWER)
        change->status_changed = change->created || strcmp(change->previous, update->status) != 0;
    change->changed = change->created || job->length != jobs->merged.length ||
                      memcmp(job->text, jobs->merged.data, job->length) != 0;
    if (change->changed)
        store(jobs, record, now_unix_ms);
    else if (said_now)
        job->observed_ms = now_unix_ms;
    if (change->status_changed)
        set_status(jobs, record, update->status, change->created);
    if (!job_has_ended(job))
        job->ended_ms = 0;
    else if (change->changed)
        job->ended_ms = end_of(jobs, change->status_changed ? now_unix_ms : job->ended_ms);
}

void jobs_apply(struct jobs *jobs, const struct job_update *update, uint64_t mark, bool from_list,
    int64_t now_unix_ms, struct job_change *change)
{
    *change = (struct job_change){0};
    change->gone = is_known_gone(jobs, update->id, mark, from_list);
    if (change->gone)
        return;
    struct job *job = jobs_find(jobs, update->id);
    enum job_merge how = job && record_of(job)->touched > mark ? JOB_MERGE_OLDER : JOB_MERGE_NEWER;
    if (!merge(jobs, job, update, how))
        return;
    change->full = !has_room(jobs, job, update->id);
    if (change->full)
        return;
    change->created = job == NULL;
    if (job)
        jobs_status_name(jobs, job, change->previous);
    struct record *record = job ? record_of(job) : add_record(jobs, update->id);
    change->job = &record->job;
    bool said_now = mark == JOBS_NOW;
    bool confirms = jobs->expects_list && !from_list;
    note_change(jobs, record, update, how, said_now, now_unix_ms, change);
    if (said_now || (how == JOB_MERGE_NEWER && (change->changed || confirms)))
        record->touched = ++jobs->now;
}

bool jobs_remove(struct jobs *jobs, const char *id)
{
    struct job *job = jobs_find(jobs, id);
    size_t size = strlen(id) + 1;
    struct tombstone *tombstone = find_tombstone(jobs, id);
    if (!tombstone) {
        tombstone = xcalloc(1, sizeof *tombstone + size);
        memcpy(tombstone->id, id, size);
        HASH_ADD_KEYPTR(hh, jobs->gone, tombstone->id, size - 1, tombstone);
        TAILQ_INSERT_TAIL(&jobs->gone_order, tombstone, order);
    }
    tombstone->touched = ++jobs->now;
    if (HASH_COUNT(jobs->gone) > LIMIT_TOMBSTONES)
        drop_tombstone(jobs, TAILQ_FIRST(&jobs->gone_order));
    if (job)
        unlink_record(jobs, record_of(job));
    return job != NULL;
}

/* ---- A complete list */

void jobs_expect_list(struct jobs *jobs, bool expected)
{
    jobs->expects_list = expected;
}

void jobs_list_begin(struct jobs *jobs)
{
    jobs->list++;
}

void jobs_list_saw(struct jobs *jobs, const char *id)
{
    struct job *job = jobs_find(jobs, id);
    if (job)
        record_of(job)->listed = jobs->list;
}

bool jobs_list_has_seen(const struct jobs *jobs, const char *id)
{
    const struct job *job = jobs_find(jobs, id);
    return job && ((const struct record *)job)->listed == jobs->list;
}

uint32_t jobs_list_number(const struct jobs *jobs)
{
    return jobs->list;
}

bool jobs_list_lacks(const struct job *job, uint32_t number, uint64_t mark)
{
    const struct record *record = (const struct record *)job;
    return record->listed < number && record->touched <= mark;
}

/* ---- The queue of unpublished jobs */

void jobs_set_unpublished(struct jobs *jobs, struct job *job)
{
    if (job->unpublished)
        return;
    job->unpublished = true;
    jobs->unpublished_count++;
    TAILQ_INSERT_TAIL(&jobs->unpublished, record_of(job), unpublished);
}

void jobs_set_published(struct jobs *jobs, struct job *job)
{
    if (!job->unpublished)
        return;
    job->unpublished = false;
    jobs->unpublished_count--;
    TAILQ_REMOVE(&jobs->unpublished, record_of(job), unpublished);
}

size_t jobs_unpublished(const struct jobs *jobs)
{
    return jobs->unpublished_count;
}

struct job *jobs_next_unpublished(const struct jobs *jobs)
{
    struct record *record = TAILQ_FIRST(&jobs->unpublished);
    return record ? &record->job : NULL;
}

void jobs_set_observed(struct job *job, int64_t unix_ms)
{
    job->observed_ms = unix_ms;
}

void jobs_set_cleared(struct job *job, bool cleared)
{
    job->cleared = cleared;
}

void jobs_walk_begin(struct jobs *jobs, enum jobs_walk walk)
{
    jobs->walks[walk] = TAILQ_FIRST(&jobs->order);
}

struct job *jobs_walk_next(struct jobs *jobs, enum jobs_walk walk)
{
    struct record *record = jobs->walks[walk];
    if (!record)
        return NULL;
    jobs->walks[walk] = TAILQ_NEXT(record, order);
    return &record->job;
}

bool jobs_walk_is_over(const struct jobs *jobs, enum jobs_walk walk)
{
    return !jobs->walks[walk];
}

struct job *jobs_next(const struct jobs *jobs, const struct job *job)
{
    struct record *next = job ? TAILQ_NEXT(record_of(job), order) : TAILQ_FIRST(&jobs->order);
    return next ? &next->job : NULL;
}
