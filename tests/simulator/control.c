/* What a test can order: jobs, raw bytes on the stream, cuts, faults, and what was asked so far. */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mem.h"

typedef void control_action(struct sim *sim, const struct ask *ask, struct answer *answer);

static const char *job_named(const struct ask *ask)
{
    return ask->uri->segments[2];
}

static void answer_done(struct answer *answer)
{
    buf_append_text(&answer->body, "{\"ok\": true}");
}

static void answer_bad(struct answer *answer, const struct error *error)
{
    answer_error(answer, 400, error->text);
}

static bool query_flag(const struct ask *ask, const char *name)
{
    const char *value = uri_query(ask->uri, name);
    return value != NULL && strcmp(value, "0") != 0;
}

static void get_jobs(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    (void)ask;
    jobs_append_all(&answer->body, &sim->jobs);
}

static void put_jobs(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    struct error error;
    struct slice array = ask->body;
    if (rawjson_check(&array, &error) && sim_replace_jobs(sim, array, &error))
        answer_done(answer);
    else
        answer_bad(answer, &error);
}

/* The members for the job of that id: an object, and no other id in it. */
static bool check_order(const char *id, struct slice *object, struct error *error)
{
    struct slice value;
    if (!rawjson_check(object, error))
        return false;
    if (rawjson_type(*object) != '{')
        return error_set(error, ERROR_USAGE, "expected an object");
    if (!rawjson_find(*object, "job_id", &value))
        return true;
    char *given = rawjson_text(value);
    bool same = given != NULL && strcmp(given, id) == 0;
    free(given);
    return same || error_set(error, ERROR_USAGE, "job_id: it differs from the one in the path");
}

static void post_job(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    struct error error;
    struct slice object = ask->body;
    if (!check_order(job_named(ask), &object, &error)) {
        answer_bad(answer, &error);
        return;
    }
    sim_order(sim, job_named(ask), object, query_flag(ask, "quiet"));
    answer_done(answer);
}

static void delete_job(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    struct job *job = jobs_find(&sim->jobs, job_named(ask));
    if (job == NULL) {
        answer_error(answer, 404, "Job not found");
        return;
    }
    jobs_remove(&sim->jobs, job);
    answer_done(answer);
}

static void post_emit(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    const struct stream_event event = {
        .name = uri_query(ask->uri, "event"),
        .id = uri_query(ask->uri, "id"),
        .retry = uri_query(ask->uri, "retry"),
        .data = ask->body.start,
        .length = ask->body.length,
    };
    stream_emit(sim->stream, &event);
    answer_done(answer);
}

static void post_raw(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    stream_raw(sim->stream, ask->body.start, ask->body.length);
    answer_done(answer);
}

static void post_cut(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    stream_cut(sim->stream, query_flag(ask, "hard"), ask->now_ms);
    answer_done(answer);
}

static void post_faults(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    struct error error;
    cJSON *description = cJSON_ParseWithLengthOpts(ask->body.start, ask->body.length + 1, NULL, 1);
    bool added = description == NULL ? error_set(&error, ERROR_USAGE, "not JSON")
                                     : faults_add(&sim->faults, description, &error);
    cJSON_Delete(description);
    if (added)
        answer_done(answer);
    else
        answer_bad(answer, &error);
}

static void delete_faults(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    (void)ask;
    faults_clear(&sim->faults);
    sim->release_stalled = true;
    answer_done(answer);
}

static void get_stats(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    (void)ask;
    journal_append(&answer->body, &sim->journal, stream_count(sim->stream));
}

static void post_key(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    char *key = xmemdup0(ask->body.start, ask->body.length);
    key[strcspn(key, "\r\n")] = '\0';
    if (*key == '\0') {
        free(key);
        answer_error(answer, 400, "key: expected a text that is not empty");
        return;
    }
    free(sim->key);
    sim->key = key;
    stream_cut(sim->stream, false, ask->now_ms);
    answer_done(answer);
}

static bool read_auto(struct world *world, const cJSON *body, struct error *error)
{
    const cJSON *manual = cJSON_GetObjectItemCaseSensitive(body, "manual");
    const cJSON *rate = cJSON_GetObjectItemCaseSensitive(body, "rate");
    const cJSON *speed = cJSON_GetObjectItemCaseSensitive(body, "speed");
    if (manual == NULL && rate == NULL && speed == NULL)
        return error_set(error, ERROR_USAGE, "expected an object with rate, speed or manual");
    if (manual != NULL && !cJSON_IsBool(manual))
        return error_set(error, ERROR_USAGE, "manual: expected true or false");
    if (rate != NULL && !(cJSON_IsNumber(rate) && world_is_rate(rate->valuedouble)))
        return error_set(error, ERROR_USAGE, "rate: expected 0 to %d", WORLD_MOST_RATE);
    if (speed != NULL && !(cJSON_IsNumber(speed) && world_is_speed(speed->valuedouble)))
        return error_set(
            error, ERROR_USAGE, "speed: expected more than 0, at most %d", WORLD_MOST_SPEED);
    world_set_manual(world, cJSON_IsTrue(manual));
    if (rate != NULL)
        world->rate = rate->valuedouble;
    if (speed != NULL)
        world->speed = speed->valuedouble;
    return true;
}

static void post_auto(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    struct error error;
    cJSON *body = cJSON_ParseWithLengthOpts(ask->body.start, ask->body.length + 1, NULL, 1);
    if (read_auto(&sim->world, body, &error))
        answer_done(answer);
    else
        answer_bad(answer, &error);
    cJSON_Delete(body);
}

static const struct {
    const char *method;
    const char *name;
    bool has_id;
    control_action *action;
} actions[] = {
    {"GET", "jobs", false, get_jobs},
    {"PUT", "jobs", false, put_jobs},
    {"POST", "jobs", true, post_job},
    {"DELETE", "jobs", true, delete_job},
    {"POST", "emit", false, post_emit},
    {"POST", "raw", false, post_raw},
    {"POST", "cut", false, post_cut},
    {"POST", "faults", false, post_faults},
    {"DELETE", "faults", false, delete_faults},
    {"GET", "stats", false, get_stats},
    {"POST", "key", false, post_key},
    {"POST", "auto", false, post_auto},
};

bool control_owns(const struct uri *uri)
{
    return uri_segment_is(uri, 0, "_control");
}

void control_answer(struct sim *sim, const struct ask *ask, struct answer *answer)
{
    size_t count = ask->uri->segment_count;
    bool has_id = count == 3 && *ask->uri->segments[2] != '\0';
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].method, ask->method) == 0 &&
            uri_segment_is(ask->uri, 1, actions[i].name) && actions[i].has_id == has_id &&
            (has_id || count == 2)) {
            actions[i].action(sim, ask, answer);
            return;
        }
    }
    answer_error(answer, 404, "No such control; see the README of the simulator");
}
