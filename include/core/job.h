#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "limit.h"
#include "topic.h"

/*
 * What the upstream says of one job, and how it merges with what it said before. A job's record
 * is the text of one JSON object whose members stand as they were received. Pure.
 */

/* The documented states come first; the others follow by name in struct jobs. */
enum job_status {
    JOB_UPLOAD_PENDING,
    JOB_QUEUED,
    JOB_PROCESSING,
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATUS_DOCUMENTED, /* how many there are; from here on: another state */
};
extern const char *const job_status_names[JOB_STATUS_DOCUMENTED];
/* JOB_STATUS_DOCUMENTED where the name is none of the six. */
enum job_status job_status_of(const char *name);
/* completed, failed or cancelled: nothing more is expected. */
bool job_status_has_ended(enum job_status status);

/* Names of members that are never kept, and so never published. */
struct job_hidden {
    char *const *names;
    size_t count;
};
bool job_is_hidden(const struct job_hidden *hidden, const char *name);

enum job_update_result {
    JOB_UPDATE_OK,
    JOB_UPDATE_NOT_JSON,   /* `json` says how, and object.problem where and why */
    JOB_UPDATE_AMBIGUOUS,  /* job_id or status comes twice */
    JOB_UPDATE_NO_ID,      /* missing or not a string */
    JOB_UPDATE_REFUSED_ID, /* the contract's rules for ids, or it holds the API key */
    JOB_UPDATE_NO_STATUS,  /* missing, not a string, empty or longer than LIMIT_STATUS */
    JOB_UPDATE_RESULTS,    /* how many there are */
};
const char *job_update_result_text(enum job_update_result result);

/* One message about a job, fit to be published. Zero-initialise; used again by each read; the
 * object's slices point into the text that was read, or into `cleaned`. */
struct job_update {
    struct json_object object;
    enum json_result json;
    char id[LIMIT_JOB_ID + 1];
    char status[LIMIT_STATUS + 1]; /* "" where JOB_UPDATE_NO_STATUS */
    enum topic_id id_class;
    struct buf cleaned; /* the text, where it could not stay as it was */
};

/* Reads {"job_id":…,"status":…,…}. With JOB_UPDATE_NO_STATUS the id is set all the same. */
enum job_update_result job_update_read(struct job_update *update, const char *text, size_t length);
void job_update_clear(struct job_update *update);

enum job_merge {
    JOB_MERGE_NEWER, /* the update's members win */
    JOB_MERGE_OLDER, /* the record knows something later: only members that it lacks are taken,
                        and none that belong to a status */
};

/* Writes into `out` the record that `text` (a record, or NULL for a new job) becomes. `old` is
 * scratch. Returns false where it does not fit into `out`, has more than LIMIT_JSON_MEMBERS
 * members, or the old record does not parse. */
bool job_merge(struct buf *out, const char *text, size_t length, const struct job_update *update,
    enum job_merge how, const struct job_hidden *hidden, struct json_object *old);

#endif
