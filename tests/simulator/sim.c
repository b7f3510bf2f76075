#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

void answer_init(struct answer *answer)
{
    *answer = (struct answer){.status = 200, .content_type = "application/json"};
    buf_init(&answer->body, SIZE_MAX / 2);
}

void answer_clear(struct answer *answer)
{
    buf_clear(&answer->body);
}

void answer_error(struct answer *answer, unsigned status, const char *detail)
{
    answer->status = status;
    buf_reset(&answer->body);
    buf_append_text(&answer->body, "{\"detail\": ");
    rawjson_quote(&answer->body, detail);
    buf_append_char(&answer->body, '}');
}

void sim_announce(void *ctx, const char *json, size_t length)
{
    struct sim *sim = ctx;
    stream_emit(sim->stream, &(struct stream_event){.data = json, .length = length});
}

/* The event has the id and the status first, then what was given besides. */
static void announce_order(struct sim *sim, const struct job *job, struct slice object)
{
    struct buf json;
    struct slice name;
    struct slice value;
    bool first = true;
    buf_init(&json, SIZE_MAX / 2);
    buf_append_char(&json, '{');
    if (job_get(job, "job_id", &value))
        job_append_member(&json, &first, slice_of("\"job_id\""), value);
    if (job_get(job, "status", &value))
        job_append_member(&json, &first, slice_of("\"status\""), value);
    struct slice rest = rawjson_inside(object);
    while (rawjson_next_member(&rest, &name, &value)) {
        if (!slice_is(name, "\"job_id\"") && !slice_is(name, "\"status\""))
            job_append_member(&json, &first, name, value);
    }
    buf_append_char(&json, '}');
    sim_announce(sim, json.data, json.length);
    buf_clear(&json);
}

void sim_order(struct sim *sim, const char *id, struct slice object, bool quiet)
{
    struct slice status;
    struct job *job = jobs_find(&sim->jobs, id);
    if (job != NULL) {
        job_end_life(job);
        job->seq++;
    } else {
        job = jobs_add(&sim->jobs, id);
        job_set_text(job, "job_id", id, JOB_IN_BOTH);
    }
    job_merge(job, object);
    if (!job_get(job, "status", &status))
        job_set_text(job, "status", "queued", JOB_IN_BOTH);
    if (!quiet)
        announce_order(sim, job, object);
}

/* What no path can name is kept for the list all the same, under a name of its own: a job without
 * a usable id, or one whose id another has. */
static char *name_given(const struct jobs *jobs, struct slice object, size_t position)
{
    struct slice value;
    char unnamed[32];
    char *id = rawjson_find(object, "job_id", &value) ? rawjson_text(value) : NULL;
    if (id != NULL && *id != '\0' && jobs_find(jobs, id) == NULL)
        return id;
    free(id);
    snprintf(unnamed, sizeof unnamed, "\n%zu", position);
    return xstrdup(unnamed);
}

bool sim_replace_jobs(struct sim *sim, struct slice array, struct error *error)
{
    struct jobs given = {0};
    struct slice object;
    size_t position = 0;
    if (rawjson_type(array) != '[')
        return error_set(error, ERROR_USAGE, "jobs: expected an array");
    struct slice rest = rawjson_inside(array);
    for (; rawjson_next_element(&rest, &object); position++) {
        if (rawjson_type(object) != '{') {
            jobs_clear(&given);
            return error_set(error, ERROR_USAGE, "jobs[%zu]: expected an object", position);
        }
        char *id = name_given(&given, object, position);
        job_merge(jobs_add(&given, id), object);
        free(id);
    }
    jobs_clear(&sim->jobs);
    sim->jobs = given;
    return true;
}
