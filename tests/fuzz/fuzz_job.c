/* What the upstream says of jobs. The first byte chooses how, then each line is an update; two are
 * applied. Every record must then be an object that can be read again, and show nothing hidden. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jobs.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECOND_IS_OLDER = 1, FROM_LIST = 2, REMOVE_BETWEEN = 4 };

static char *hidden_names[] = {"sample_name", "message"};
static const struct job_hidden hidden = {hidden_names, 2};

static void check_id_and_status(
    struct jobs *jobs, const struct job *job, const struct json_object *record)
{
    struct buf text;
    char status[LIMIT_STATUS + 1];
    const struct json_member *member = json_find(record, "job_id");
    buf_init(&text, LIMIT_JOB_RECORD);
    assert(member && json_decode_string(member->value, &text));
    assert(strcmp(text.data, job->id) == 0);
    buf_reset(&text);
    member = json_find(record, "status");
    assert(member && json_decode_string(member->value, &text));
    jobs_status_name(jobs, job, status);
    assert(strcmp(text.data, status) == 0);
    buf_clear(&text);
}

static void check_record(struct jobs *jobs, const struct job *job)
{
    struct json_object record = {0};
    assert(json_object_read(&record, job->text, job->length) == JSON_OK);
    for (size_t i = 0; i < record.count; i++) {
        assert(!record.members[i].repeated);
        for (size_t j = 0; j < hidden.count; j++)
            assert(!json_name_is(&record.members[i], hidden.names[j]));
    }
    assert(json_find(&record, "observed_at") == NULL);
    assert(job->status != JOB_COMPLETED || json_find(&record, "progress") ||
           record.count == LIMIT_JSON_MEMBERS);
    check_id_and_status(jobs, job, &record);
    json_object_clear(&record);
}

/* The states are counted as they are. */
static void check_counts(const struct jobs *jobs)
{
    size_t sum = 0;
    for (size_t i = 0; i < jobs_states(jobs); i++)
        sum += jobs_state_count(jobs, i);
    assert(sum == jobs_count(jobs));
}

static void check_change(const struct job_update *update, const struct job_change *change)
{
    assert(strcmp(change->job->id, update->id) == 0);
    assert(change->created == (change->previous[0] == '\0'));
    assert(!change->created || (change->changed && change->status_changed));
    if (change->status_changed)
        assert(strcmp(change->previous, update->status) != 0);
    assert((change->job->ended_ms != 0) == job_has_ended(change->job));
}

static void say(struct jobs *jobs, const char *text, size_t length, uint64_t mark, bool from_list)
{
    struct job_update update = {0};
    struct job_change change;
    enum job_update_result result = job_update_read(&update, text, length);
    assert((update.json == JSON_OK) == (result != JOB_UPDATE_NOT_JSON));
    if (result == JOB_UPDATE_OK) {
        assert(update.id_class == topic_classify_id(update.id, strlen(update.id)));
        jobs_apply(jobs, &update, mark, from_list, 1700000000000, &change);
        if (change.job) {
            check_change(&update, &change);
            check_record(jobs, change.job);
        }
        check_counts(jobs);
    }
    job_update_clear(&update);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *first = (const char *)data + 1, *end = (const char *)data + size;
    const char *second = memchr(first, '\n', (size_t)(end - first));
    struct jobs *jobs = jobs_new(&hidden);
    uint64_t mark = jobs_mark(jobs);
    bool from_list = (data[0] & FROM_LIST) != 0;
    say(jobs, first, (size_t)((second ? second : end) - first), JOBS_NOW, false);
    if (data[0] & REMOVE_BETWEEN && jobs_next(jobs, NULL)) {
        char *id = xstrdup(jobs_next(jobs, NULL)->id);
        assert(jobs_remove(jobs, id) && jobs_count(jobs) == 0);
        free(id);
    }
    if (second)
        say(jobs, second, (size_t)(end - second), data[0] & SECOND_IS_OLDER ? mark : JOBS_NOW,
            from_list);
    jobs_free(jobs);
    return 0;
}
