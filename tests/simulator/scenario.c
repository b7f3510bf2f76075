/* A fixed script instead of simulated lives: the same jobs, events and faults at every run. */
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mem.h"
#include "sim.h"

#define MOST_BYTES (64u * 1024 * 1024)
#define MOST_MS    86400000.0
#define MOST_STEPS 1000 /* at a time: a fast loop must leave room for the requests */

struct step {
    double after_ms;  /* since the step before */
    char *job;        /* owned; NULL where the step is about no job */
    struct slice set; /* raw members for the job; empty: it vanishes */
    bool quiet;
    char *emit;   /* owned */
    cJSON *fault; /* owned */
    bool cut;
    bool hard;
};

struct scenario {
    char *text; /* owned; the slices point into it */
    struct slice jobs;
    struct step *steps;
    size_t count;
    size_t next;
    int64_t due_ms;
    bool loop;
};

static bool wrong(struct error *error, const char *name, const char *expected)
{
    return error_set(error, ERROR_USAGE, "%s: expected %s", name, expected);
}

static bool read_after(const cJSON *item, struct step *step, struct error *error)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= MOST_MS))
        return wrong(error, "after_ms", "a number of milliseconds");
    step->after_ms = item->valuedouble;
    return true;
}

static bool read_text(const cJSON *item, char **out, struct error *error)
{
    if (!cJSON_IsString(item))
        return wrong(error, item->string, "a text");
    free(*out);
    *out = xstrdup(item->valuestring);
    return true;
}

static bool read_fault(const cJSON *item, struct step *step, struct error *error)
{
    struct faults trial = {0};
    if (!faults_add(&trial, item, error))
        return error_wrap(error, "fault");
    faults_clear(&trial);
    cJSON_Delete(step->fault);
    step->fault = cJSON_Duplicate(item, 1);
    return true;
}

static bool read_cut(const cJSON *item, struct step *step, struct error *error)
{
    step->cut = true;
    step->hard = cJSON_IsString(item) && strcmp(item->valuestring, "hard") == 0;
    return step->hard || cJSON_IsTrue(item) || wrong(error, "cut", "true or \"hard\"");
}

static bool read_remove(const cJSON *item, struct error *error)
{
    return cJSON_IsTrue(item) || wrong(error, "remove", "true");
}

static bool read_quiet(const cJSON *item, struct step *step, struct error *error)
{
    step->quiet = cJSON_IsTrue(item);
    return cJSON_IsBool(item) || wrong(error, "quiet", "true or false");
}

static bool read_member(const cJSON *item, struct step *step, struct error *error)
{
    const char *name = item->string;
    if (strcmp(name, "after_ms") == 0)
        return read_after(item, step, error);
    if (strcmp(name, "job") == 0)
        return read_text(item, &step->job, error);
    if (strcmp(name, "emit") == 0)
        return read_text(item, &step->emit, error);
    if (strcmp(name, "fault") == 0)
        return read_fault(item, step, error);
    if (strcmp(name, "cut") == 0)
        return read_cut(item, step, error);
    if (strcmp(name, "remove") == 0)
        return read_remove(item, error);
    if (strcmp(name, "quiet") == 0)
        return read_quiet(item, step, error);
    if (strcmp(name, "set") == 0)
        return (cJSON_IsObject(item) && !cJSON_HasObjectItem(item, "job_id")) ||
               wrong(error, "set", "an object without job_id");
    return error_set(error, ERROR_USAGE, "%s: unknown member", name);
}

static bool read_members(const cJSON *object, struct step *step, struct error *error)
{
    const cJSON *item;
    if (!cJSON_IsObject(object))
        return error_set(error, ERROR_USAGE, "expected an object");
    cJSON_ArrayForEach(item, object)
    {
        if (!read_member(item, step, error))
            return false;
    }
    bool has_set = cJSON_HasObjectItem(object, "set");
    bool has_remove = cJSON_HasObjectItem(object, "remove");
    int kinds = (step->job != NULL) + (step->emit != NULL) + (step->fault != NULL) + step->cut;
    if (kinds != 1)
        return error_set(error, ERROR_USAGE, "expected one of job, emit, fault and cut");
    if (step->job != NULL ? has_set == has_remove : has_set || has_remove)
        return error_set(error, ERROR_USAGE, "job: goes with either set or remove");
    return true;
}

/* cJSON reads what the step means; `set` is kept as text, for its values. */
static bool read_step(struct slice text, struct step *step, struct error *error)
{
    cJSON *object = cJSON_ParseWithLength(text.start, text.length);
    bool valid = object == NULL ? error_set(error, ERROR_USAGE, "cannot be read")
                                : read_members(object, step, error);
    cJSON_Delete(object);
    if (valid && step->job != NULL && !rawjson_find(text, "set", &step->set))
        step->set = (struct slice){NULL, 0};
    return valid;
}

static bool read_steps(struct scenario *scenario, struct slice array, struct error *error)
{
    struct slice each;
    if (rawjson_type(array) != '[')
        return wrong(error, "steps", "an array");
    struct slice rest = rawjson_inside(array);
    while (rawjson_next_element(&rest, &each)) {
        size_t position = scenario->count++;
        scenario->steps = xreallocarray(scenario->steps, scenario->count, sizeof *scenario->steps);
        scenario->steps[position] = (struct step){0};
        if (!read_step(each, &scenario->steps[position], error))
            return error_wrap(error, "steps[%zu]", position);
    }
    return true;
}

static bool check_jobs(struct slice jobs, struct error *error)
{
    struct sim trial = {0};
    bool valid = sim_replace_jobs(&trial, jobs, error);
    jobs_clear(&trial.jobs);
    return valid;
}

static bool read_top(
    struct scenario *scenario, struct slice quoted, struct slice value, struct error *error)
{
    if (slice_is(quoted, "\"jobs\"")) {
        scenario->jobs = value;
        return check_jobs(value, error);
    }
    if (slice_is(quoted, "\"steps\""))
        return read_steps(scenario, value, error);
    if (slice_is(quoted, "\"loop\"")) {
        scenario->loop = slice_is(value, "true");
        return scenario->loop || slice_is(value, "false") || wrong(error, "loop", "true or false");
    }
    return error_set(error, ERROR_USAGE, "%.*s: unknown member", (int)quoted.length, quoted.start);
}

/* A loop that takes no time would never give the program back. */
static bool check_loop(const struct scenario *scenario, struct error *error)
{
    double total_ms = 0;
    for (size_t i = 0; i < scenario->count; i++)
        total_ms += scenario->steps[i].after_ms;
    if (scenario->loop && total_ms < 100)
        return error_set(error, ERROR_USAGE, "loop: its steps take less than 100 ms");
    return true;
}

static bool read_scenario(struct scenario *scenario, struct slice text, struct error *error)
{
    struct slice name;
    struct slice value;
    if (!rawjson_check(&text, error))
        return false;
    if (rawjson_type(text) != '{')
        return error_set(error, ERROR_USAGE, "expected an object");
    struct slice rest = rawjson_inside(text);
    while (rawjson_next_member(&rest, &name, &value)) {
        if (!read_top(scenario, name, value, error))
            return false;
    }
    return check_loop(scenario, error);
}

struct scenario *scenario_parse(struct slice text, struct error *error)
{
    struct scenario *scenario = xcalloc(1, sizeof *scenario);
    scenario->text = xmemdup0(text.start, text.length);
    scenario->jobs = slice_of("[]");
    if (read_scenario(scenario, (struct slice){scenario->text, text.length}, error))
        return scenario;
    scenario_free(scenario);
    return NULL;
}

struct scenario *scenario_load(const char *path, struct error *error)
{
    struct buf text;
    char piece[16384];
    size_t length;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_set(error, ERROR_USAGE, "%s: %s", path, strerror(errno));
        return NULL;
    }
    buf_init(&text, MOST_BYTES);
    while ((length = fread(piece, 1, sizeof piece, file)) > 0)
        buf_append(&text, piece, length);
    struct scenario *scenario = NULL;
    if (ferror(file) || text.failed)
        error_set(error, ERROR_USAGE, "cannot be read, or is too large");
    else
        scenario =
            scenario_parse((struct slice){text.data == NULL ? "" : text.data, text.length}, error);
    if (scenario == NULL)
        error_wrap(error, "%s", path);
    fclose(file);
    buf_clear(&text);
    return scenario;
}

void scenario_free(struct scenario *scenario)
{
    if (scenario == NULL)
        return;
    for (size_t i = 0; i < scenario->count; i++) {
        free(scenario->steps[i].job);
        free(scenario->steps[i].emit);
        cJSON_Delete(scenario->steps[i].fault);
    }
    free(scenario->steps);
    free(scenario->text);
    free(scenario);
}

static void wait_for_step(struct scenario *scenario, const struct sim *sim, int64_t from_ms)
{
    if (scenario->next < scenario->count) {
        double wait_ms = scenario->steps[scenario->next].after_ms / sim->world.speed;
        scenario->due_ms = from_ms + (int64_t)wait_ms;
    } else {
        scenario->due_ms = INT64_MAX;
    }
}

bool scenario_begin(struct scenario *scenario, struct sim *sim, int64_t now_ms, struct error *error)
{
    scenario->next = 0;
    wait_for_step(scenario, sim, now_ms);
    return sim_replace_jobs(sim, scenario->jobs, error);
}

static void take_job_step(const struct step *step, struct sim *sim)
{
    if (step->set.start != NULL) {
        sim_order(sim, step->job, step->set, step->quiet);
        return;
    }
    struct job *job = jobs_find(&sim->jobs, step->job);
    if (job != NULL)
        jobs_remove(&sim->jobs, job);
}

static void take_step(const struct step *step, struct sim *sim, int64_t now_ms)
{
    struct error error; /* the fault was tried when the script was read */
    if (step->job != NULL)
        take_job_step(step, sim);
    else if (step->emit != NULL)
        stream_emit(
            sim->stream, &(struct stream_event){.data = step->emit, .length = strlen(step->emit)});
    else if (step->cut)
        stream_cut(sim->stream, step->hard, now_ms);
    else if (!faults_add(&sim->faults, step->fault, &error))
        abort();
}

int64_t scenario_step(struct scenario *scenario, struct sim *sim, int64_t now_ms)
{
    struct error error; /* the jobs were tried when the script was read */
    for (int taken = 0; scenario->due_ms <= now_ms && taken < MOST_STEPS; taken++) {
        take_step(&scenario->steps[scenario->next++], sim, now_ms);
        int64_t due_ms = scenario->due_ms;
        wait_for_step(scenario, sim, due_ms);
        if (scenario->next == scenario->count && scenario->loop &&
            !scenario_begin(scenario, sim, due_ms, &error))
            abort();
    }
    return scenario->due_ms;
}
