/* The jobs as the upstream would answer them: an ordered table of members kept as text. */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static void job_free(struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        free(job->members[i].text);
    free(job->members);
    free(job->life);
    free(job->id);
    free(job);
}

void jobs_clear(struct jobs *jobs)
{
    struct job *job;
    struct job *next;
    HASH_ITER(hh, jobs->first, job, next)
    {
        HASH_DEL(jobs->first, job);
        job_free(job);
    }
}

size_t jobs_count(const struct jobs *jobs)
{
    return HASH_COUNT(jobs->first);
}

struct job *jobs_find(const struct jobs *jobs, const char *id)
{
    struct job *job;
    HASH_FIND_STR(jobs->first, id, job);
    return job;
}

struct job *jobs_add(struct jobs *jobs, const char *id)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->id = xstrdup(id);
    job->seq = 1;
    HASH_ADD_KEYPTR(hh, jobs->first, job->id, strlen(job->id), job);
    return job;
}

void jobs_remove(struct jobs *jobs, struct job *job)
{
    HASH_DEL(jobs->first, job);
    job_free(job);
}

struct job *jobs_next(const struct job *job)
{
    return job->hh.next;
}

static struct slice member_name(const struct member *member)
{
    return (struct slice){member->text, member->name_length};
}

static struct slice member_value(const struct member *member)
{
    return (struct slice){member->text + member->name_length, member->value_length};
}

static struct member *find_member(const struct job *job, struct slice quoted)
{
    for (size_t i = 0; i < job->count; i++) {
        struct member *member = &job->members[i];
        if (member->name_length == quoted.length &&
            memcmp(member->text, quoted.start, quoted.length) == 0)
            return member;
    }
    return NULL;
}

static struct member *find_plain(const struct job *job, const char *name)
{
    for (size_t i = 0; i < job->count; i++) {
        if (slice_is(rawjson_inside(member_name(&job->members[i])), name))
            return &job->members[i];
    }
    return NULL;
}

void job_set_raw(struct job *job, struct slice name, struct slice value, enum job_view views)
{
    struct member *member = find_member(job, name);
    if (member == NULL) {
        job->members = xreallocarray(job->members, job->count + 1, sizeof *job->members);
        member = &job->members[job->count++];
        member->text = NULL;
    }
    free(member->text);
    member->text = xmalloc(name.length + value.length);
    memcpy(member->text, name.start, name.length);
    memcpy(member->text + name.length, value.start, value.length);
    member->name_length = name.length;
    member->value_length = value.length;
    member->views = views;
}

static void set_plain(struct job *job, const char *name, struct slice value, enum job_view views)
{
    struct buf quoted;
    buf_init(&quoted, SIZE_MAX / 2);
    rawjson_quote(&quoted, name);
    job_set_raw(job, (struct slice){quoted.data, quoted.length}, value, views);
    buf_clear(&quoted);
}

void job_set_text(struct job *job, const char *name, const char *value, enum job_view views)
{
    struct buf quoted;
    buf_init(&quoted, SIZE_MAX / 2);
    rawjson_quote(&quoted, value);
    set_plain(job, name, (struct slice){quoted.data, quoted.length}, views);
    buf_clear(&quoted);
}

void job_set_number(struct job *job, const char *name, int value, enum job_view views)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    set_plain(job, name, slice_of(text), views);
}

void job_unset(struct job *job, const char *name)
{
    struct member *member = find_plain(job, name);
    if (member == NULL)
        return;
    free(member->text);
    size_t after = job->count - (size_t)(member - job->members) - 1;
    memmove(member, member + 1, after * sizeof *member);
    job->count--;
}

static enum job_view view_of_given(struct slice quoted)
{
    return slice_is(quoted, "\"progress\"") || slice_is(quoted, "\"message\"") ? JOB_IN_STATUS
                                                                               : JOB_IN_BOTH;
}

void job_merge(struct job *job, struct slice object)
{
    struct slice rest = rawjson_inside(object);
    struct slice name;
    struct slice value;
    while (rawjson_next_member(&rest, &name, &value))
        job_set_raw(job, name, value, view_of_given(name));
}

bool job_get(const struct job *job, const char *name, struct slice *value)
{
    const struct member *member = find_plain(job, name);
    if (member == NULL)
        return false;
    *value = member_value(member);
    return true;
}

bool job_has_status(const struct job *job, const char *status)
{
    struct slice value;
    return job_get(job, "status", &value) && rawjson_type(value) == '"' &&
           slice_is(rawjson_inside(value), status);
}

bool job_is_terminal(const struct job *job)
{
    return job_has_status(job, "completed") || job_has_status(job, "failed") ||
           job_has_status(job, "cancelled");
}

void job_end_life(struct job *job)
{
    free(job->life);
    job->life = NULL;
}

void job_append_member(struct buf *buf, bool *first, struct slice quoted, struct slice value)
{
    buf_append_text(buf, *first ? "" : ", ");
    buf_append(buf, quoted.start, quoted.length);
    buf_append_text(buf, ": ");
    buf_append(buf, value.start, value.length);
    *first = false;
}

static void append_view(struct buf *buf, const struct job *job, enum job_view view)
{
    bool first = true;
    for (size_t i = 0; i < job->count; i++) {
        const struct member *member = &job->members[i];
        if (((unsigned)member->views & (unsigned)view) != 0)
            job_append_member(buf, &first, member_name(member), member_value(member));
    }
}

void job_append_status(struct buf *buf, const struct job *job)
{
    buf_append_char(buf, '{');
    append_view(buf, job, JOB_IN_STATUS);
    buf_append_char(buf, '}');
}

void jobs_append_list(struct buf *buf, const struct jobs *jobs)
{
    buf_append_char(buf, '[');
    for (const struct job *job = jobs->first; job != NULL; job = jobs_next(job)) {
        buf_append_text(buf, job == jobs->first ? "{" : ", {");
        append_view(buf, job, JOB_IN_LIST);
        buf_append_char(buf, '}');
    }
    buf_append_char(buf, ']');
}

void jobs_append_all(struct buf *buf, const struct jobs *jobs)
{
    buf_append_char(buf, '[');
    for (const struct job *job = jobs->first; job != NULL; job = jobs_next(job)) {
        buf_append_text(buf, job == jobs->first ? "{" : ", {");
        append_view(buf, job, JOB_IN_BOTH);
        buf_printf(buf, ", \"seq\": %llu}", (unsigned long long)job->seq);
    }
    buf_append_char(buf, ']');
}
