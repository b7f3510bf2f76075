#include "api.h"

#include <stdio.h>
#include <string.h>

static struct route on_method(
    enum kind kind, const char *id, const char *method, const char *expected)
{
    if (strcmp(method, expected) == 0)
        return (struct route){.kind = kind, .id = id};
    return (struct route){.kind = KIND_OTHER, .allow = expected};
}

static struct route route_of_job(const char *method, const struct uri *uri)
{
    const char *id = uri->segments[1];
    if (uri->segment_count == 2)
        return on_method(KIND_DELETE, id, method, "DELETE");
    if (uri->segment_count == 3 && uri_segment_is(uri, 2, "status"))
        return on_method(KIND_STATUS, id, method, "GET");
    if (uri->segment_count == 3 && uri_segment_is(uri, 2, "cancel"))
        return on_method(KIND_CANCEL, id, method, "POST");
    return (struct route){.kind = KIND_OTHER};
}

struct route api_route(const char *method, const struct uri *uri)
{
    size_t count = uri->segment_count;
    if (count == 1 && uri_segment_is(uri, 0, "health"))
        return on_method(KIND_HEALTH, NULL, method, "GET");
    if (!uri_segment_is(uri, 0, "jobs"))
        return (struct route){.kind = KIND_OTHER};
    if (count == 1)
        return on_method(KIND_LIST, NULL, method, "GET");
    if (count == 2 && uri_segment_is(uri, 1, "events") && strcmp(method, "DELETE") != 0)
        return on_method(KIND_STREAM, NULL, method, "GET");
    if (*uri->segments[1] != '\0')
        return route_of_job(method, uri);
    return (struct route){.kind = KIND_OTHER};
}

static bool is_authorized(const struct sim *sim, const struct route *route, const struct ask *ask)
{
    if (route->kind == KIND_STREAM) {
        const char *token = uri_query(ask->uri, "token");
        return token != NULL && strcmp(token, sim->key) == 0;
    }
    size_t scheme = strlen("Bearer ");
    return ask->authorization != NULL && strncasecmp(ask->authorization, "Bearer ", scheme) == 0 &&
           strcmp(ask->authorization + scheme, sim->key) == 0;
}

static void refuse_state(struct answer *answer, const struct job *job, const char *verb)
{
    char detail[160];
    struct slice status = {"", 0};
    job_get(job, "status", &status);
    snprintf(detail, sizeof detail, "Job cannot be %s: its status is %.*s", verb,
        (int)(status.length < 80 ? status.length : 80), status.start);
    answer_error(answer, 409, detail);
}

static void cancel_job(
    struct sim *sim, struct job *job, const struct ask *ask, struct answer *answer)
{
    struct slice id;
    if (!job_has_status(job, "queued") && !job_has_status(job, "processing")) {
        refuse_state(answer, job, "cancelled");
        return;
    }
    world_cancel(&sim->world, job, ask->unix_ms);
    if (job_get(job, "job_id", &id))
        buf_printf(&answer->body,
            "{\"job_id\": %.*s, \"status\": \"cancelled\", \"message\": \"Job cancelled by "
            "user.\"}",
            (int)id.length, id.start);
}

static void remove_job(struct sim *sim, struct job *job, struct answer *answer)
{
    struct slice id;
    if (!job_is_terminal(job)) {
        refuse_state(answer, job, "deleted");
        return;
    }
    if (job_get(job, "job_id", &id))
        buf_printf(
            &answer->body, "{\"job_id\": %.*s, \"deleted\": true}", (int)id.length, id.start);
    jobs_remove(&sim->jobs, job);
}

static void answer_about_job(
    struct sim *sim, const struct route *route, const struct ask *ask, struct answer *answer)
{
    struct job *job = jobs_find(&sim->jobs, route->id);
    if (job == NULL)
        answer_error(answer, 404, "Job not found");
    else if (route->kind == KIND_STATUS)
        job_append_status(&answer->body, job);
    else if (route->kind == KIND_CANCEL)
        cancel_job(sim, job, ask, answer);
    else
        remove_job(sim, job, answer);
}

void api_answer(
    struct sim *sim, const struct route *route, const struct ask *ask, struct answer *answer)
{
    if (route->allow != NULL) {
        answer_error(answer, 405, "Method Not Allowed");
        answer->allow = route->allow;
    } else if (route->kind == KIND_OTHER) {
        answer_error(answer, 404, "Not Found");
    } else if (!is_authorized(sim, route, ask)) {
        sim->journal.unauthorized++;
        answer_error(answer, 401, "Invalid or missing API key");
    } else if (route->kind == KIND_LIST) {
        jobs_append_list(&answer->body, &sim->jobs);
    } else if (route->kind == KIND_HEALTH) {
        buf_append_text(&answer->body, "{\"status\": \"ok\"}");
    } else if (route->kind == KIND_STREAM) {
        answer->content_type = "text/event-stream; charset=utf-8";
    } else {
        answer_about_job(sim, route, ask, answer);
    }
}
