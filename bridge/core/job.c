/* One message about a job, and how a job's record takes it in. */
#include "job.h"

#include <string.h>

const char *const job_status_names[JOB_STATUS_DOCUMENTED] = {
    [JOB_UPLOAD_PENDING] = "upload_pending",
    [JOB_QUEUED] = "queued",
    [JOB_PROCESSING] = "processing",
    [JOB_COMPLETED] = "completed",
    [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled",
};

enum job_status job_status_of(const char *name)
{
    int status = 0;
    while (status < JOB_STATUS_DOCUMENTED && strcmp(name, job_status_names[status]) != 0)
        status++;
    return (enum job_status)status;
}

bool job_status_has_ended(enum job_status status)
{
    return status == JOB_COMPLETED || status == JOB_FAILED || status == JOB_CANCELLED;
}

bool job_is_hidden(const struct job_hidden *hidden, const char *name)
{
    for (size_t i = 0; i < hidden->count; i++)
        if (strcmp(hidden->names[i], name) == 0)
            return true;
    return false;
}

const char *job_update_result_text(enum job_update_result result)
{
    static const char *const texts[JOB_UPDATE_RESULTS] = {
        [JOB_UPDATE_OK] = "usable",
        [JOB_UPDATE_NOT_JSON] = "not a usable JSON object",
        [JOB_UPDATE_AMBIGUOUS] = "it gives job_id or status more than once",
        [JOB_UPDATE_NO_ID] = "it has no job_id that is a string",
        [JOB_UPDATE_REFUSED_ID] =
            "its job_id is empty, '.', '..', longer than 128 bytes, no text, or the API key",
        [JOB_UPDATE_NO_STATUS] = "it has no status that is a string of 1 to 64 bytes",
    };
    return texts[result];
}

/* Decodes a member's string into a fixed buffer; false where it is missing, no string or too long.
 */
static bool copy_string(const struct json_member *member, char *out, size_t size, bool *too_long)
{
    if (!member || !json_is_string(member->value))
        return false;
    struct json_slice plain = json_plain_string(member->value);
    if (plain.at) {
        *too_long = plain.length >= size;
        if (!*too_long)
            memcpy(out, plain.at, plain.length);
        out[*too_long ? 0 : plain.length] = '\0';
        return !*too_long;
    }
    struct buf decoded;
    buf_init(&decoded, LIMIT_EVENT);
    bool fits = json_decode_string(member->value, &decoded);
    *too_long = decoded.length >= size;
    fits = fits && !*too_long;
    if (fits) {
        memcpy(out, decoded.length > 0 ? decoded.data : "", decoded.length);
        out[decoded.length] = '\0';
    }
    buf_clear(&decoded);
    return fits;
}

/* An id that would be changed by cleaning could become another job's. */
static bool has_usable_id(const struct json_object *object)
{
    const struct json_member *id = json_find(object, "job_id");
    struct json_problem problem;
    return !id || !json_is_string(id->value) ||
           (json_check(id->value.at, id->value.length, &problem) == JSON_OK &&
               !json_is_unclean(id->value.at, id->value.length, false));
}

static bool clean(struct job_update *update, const char *text, size_t length)
{
    buf_clear(&update->cleaned);
    /* Where a key is covered, control characters of the same string may take three times as much.
     */
    buf_init(&update->cleaned, 3 * length);
    json_clean(&update->cleaned, text, length);
    if (update->cleaned.failed)
        return false;
    update->json = json_object_read(&update->object, update->cleaned.data, update->cleaned.length);
    return update->json == JSON_OK;
}

enum job_update_result job_update_read(struct job_update *update, const char *text, size_t length)
{
    update->id[0] = '\0';
    update->status[0] = '\0';
    update->json = json_object_read(&update->object, text, length);
    if (update->json != JSON_OK)
        return JOB_UPDATE_NOT_JSON;
    if (json_is_unclean(text, length, update->object.untidy)) {
        if (!has_usable_id(&update->object))
            return JOB_UPDATE_REFUSED_ID;
        if (!clean(update, text, length))
            return JOB_UPDATE_NOT_JSON;
    }
    const struct json_member *id = json_find(&update->object, "job_id");
    const struct json_member *status = json_find(&update->object, "status");
    if ((id && id->repeated) || (status && status->repeated))
        return JOB_UPDATE_AMBIGUOUS;
    bool too_long = false;
    if (!copy_string(id, update->id, sizeof update->id, &too_long))
        return id && json_is_string(id->value) ? JOB_UPDATE_REFUSED_ID : JOB_UPDATE_NO_ID;
    update->id_class = topic_classify_id(update->id, strlen(update->id));
    if (update->id_class == TOPIC_ID_REFUSED)
        return JOB_UPDATE_REFUSED_ID;
    if (!copy_string(status, update->status, sizeof update->status, &too_long) ||
        update->status[0] == '\0')
        return JOB_UPDATE_NO_STATUS;
    return JOB_UPDATE_OK;
}

void job_update_clear(struct job_update *update)
{
    json_object_clear(&update->object);
    buf_clear(&update->cleaned);
}

/* ---- Merging */

static bool belongs_to_status(const struct json_member *member)
{
    return json_name_is(member, "progress") || json_name_is(member, "message");
}

static bool is_kept_out(const struct json_member *member, const struct job_hidden *hidden)
{
    if (json_name_is(member, "observed_at"))
        return true;
    for (size_t i = 0; i < hidden->count; i++)
        if (json_name_is(member, hidden->names[i]))
            return true;
    return false;
}

struct merger {
    struct buf *out;
    size_t count;
    bool has_progress;
};

static void append_member(struct merger *merger, struct json_slice name, struct json_slice value)
{
    char *at = buf_extend(merger->out, 2 + name.length + 2 + value.length);
    bool first = merger->count++ == 0;
    if (!at)
        return;
    *at++ = first ? '{' : ',';
    *at++ = '"';
    memcpy(at, name.at, name.length);
    at += name.length;
    *at++ = '"';
    *at++ = ':';
    memcpy(at, value.at, value.length);
}

static void keep(struct merger *merger, const struct json_member *member, struct json_slice value,
    bool completed)
{
    if (json_name_is(member, "progress")) {
        /* A null says as much as no progress: the contract's 100 stands in for it. */
        if (completed && json_is_null(value))
            return;
        merger->has_progress = true;
    }
    append_member(merger, member->name, value);
}

static bool status_of(const struct json_object *record, char out[static LIMIT_STATUS + 1])
{
    bool too_long;
    out[0] = '\0';
    return copy_string(json_find(record, "status"), out, LIMIT_STATUS + 1, &too_long);
}

static void merge_newer(struct merger *merger, const struct json_object *old,
    const struct job_update *update, const struct job_hidden *hidden, bool status_changed)
{
    bool completed = job_status_of(update->status) == JOB_COMPLETED;
    size_t in_update = 0, in_old = 0;
    for (size_t i = 0; i < old->count; i++) {
        const struct json_member *member = &old->members[i];
        if (is_kept_out(member, hidden))
            continue;
        const struct json_member *said = json_find_same(&update->object, member, &in_update);
        if (said)
            keep(merger, said, said->value, completed);
        else if (!status_changed || !belongs_to_status(member))
            keep(merger, member, member->value, completed);
    }
    for (size_t i = 0; i < update->object.count; i++) {
        const struct json_member *member = &update->object.members[i];
        if (!is_kept_out(member, hidden) && !json_find_same(old, member, &in_old))
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): members is set if count is. */
            keep(merger, member, member->value, completed);
    }
    struct json_member progress = {.name = {"progress", strlen("progress")}};
    if (completed && !merger->has_progress && !is_kept_out(&progress, hidden) &&
        merger->count < LIMIT_JSON_MEMBERS)
        append_member(merger, progress.name, (struct json_slice){"100", 3});
}

static void merge_older(struct merger *merger, const struct json_object *old,
    const struct job_update *update, const struct job_hidden *hidden)
{
    size_t in_old = 0;
    for (size_t i = 0; i < old->count; i++)
        if (!is_kept_out(&old->members[i], hidden))
            append_member(merger, old->members[i].name, old->members[i].value);
    for (size_t i = 0; i < update->object.count; i++) {
        const struct json_member *member = &update->object.members[i];
        if (!belongs_to_status(member) && !is_kept_out(member, hidden) &&
            !json_find_same(old, member, &in_old))
            append_member(merger, member->name, member->value);
    }
}

bool job_merge(struct buf *out, const char *text, size_t length, const struct job_update *update,
    enum job_merge how, const struct job_hidden *hidden, struct json_object *old)
{
    struct merger merger = {.out = out};
    old->count = 0;
    if (text && json_object_read(old, text, length) != JSON_OK)
        return false;
    if (how == JOB_MERGE_OLDER) {
        merge_older(&merger, old, update, hidden);
    } else {
        char status[LIMIT_STATUS + 1];
        bool status_changed = !status_of(old, status) || strcmp(status, update->status) != 0;
        merge_newer(&merger, old, update, hidden, status_changed);
    }
    buf_append_char(out, '}');
    return !out->failed && merger.count <= LIMIT_JSON_MEMBERS;
}
