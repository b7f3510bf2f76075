#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "mem.h"
#include "pipeline.h"

#define SHORTEST_STEP_MS 10 /* so that many lives at high speed are moved on in batches */

enum life_end { END_COMPLETED, END_FAILED, END_CANCELLED };

struct life {
    const struct pipeline *pipeline;
    enum life_end end;
    int end_phase; /* where a life fails or is cancelled */
    bool silent;   /* never reports a progress, as many jobs of the real service */
    int phase;     /* -1 while not processing yet */
    int progress;
    double next_ms; /* on the world's clock */
};

bool world_is_rate(double rate)
{
    return rate >= 0 && rate <= WORLD_MOST_RATE;
}

bool world_is_speed(double speed)
{
    return speed > 0 && speed <= WORLD_MOST_SPEED;
}

void world_set_manual(struct world *world, bool manual)
{
    /* Time that passed unwatched must not be lived through at once. */
    if (world->manual)
        world->stepped_ms = 0;
    world->manual = manual;
}

static void format_time(int64_t unix_ms, char out[static CLOCK_TEXT_SIZE])
{
    /* The API's times have whole seconds. */
    clock_format(unix_ms, out);
    memcpy(out + strlen("2026-03-09T10:30:00"), "Z", 2);
}

static void append_given(struct buf *buf, bool *first, const struct job *job, const char *name)
{
    struct slice value;
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    if (job_get(job, name, &value))
        job_append_member(buf, first, slice_of(quoted), value);
}

static void announce(struct world *world, struct job *job, bool with_progress, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    format_time(unix_ms, text);
    job_set_text(job, "updated_at", text, JOB_IN_STATUS);
    job->seq++;

    struct buf json;
    bool first = true;
    buf_init(&json, SIZE_MAX / 2);
    buf_append_char(&json, '{');
    append_given(&json, &first, job, "job_id");
    append_given(&json, &first, job, "status");
    if (with_progress)
        append_given(&json, &first, job, "progress");
    append_given(&json, &first, job, "message");
    buf_append_char(&json, '}');
    world->announce(world->ctx, json.data, json.length);
    buf_clear(&json);
}

static void set_state(struct job *job, const char *status, const char *message)
{
    job_set_text(job, "status", status, JOB_IN_BOTH);
    job_set_text(job, "message", message, JOB_IN_STATUS);
}

static void wait_between(struct world *world, struct life *life, int low_ms, int high_ms)
{
    life->next_ms += random_between(&world->random, low_ms, high_ms);
}

static void end_life(
    struct world *world, struct job *job, const char *status, const char *message, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    format_time(unix_ms, text);
    set_state(job, status, message);
    job_set_text(job, "completed_at", text, JOB_IN_LIST);
    job_end_life(job);
    announce(world, job, false, unix_ms);
}

void world_cancel(struct world *world, struct job *job, int64_t unix_ms)
{
    end_life(world, job, "cancelled", "Job cancelled by user.", unix_ms);
}

static void begin_phase(struct world *world, struct job *job, int64_t unix_ms)
{
    struct life *life = job->life;
    bool with_progress = !life->silent && life->progress > 0;
    set_state(job, "processing", life->pipeline->phases[life->phase].message);
    if (with_progress)
        job_set_number(job, "progress", life->progress, JOB_IN_STATUS);
    announce(world, job, with_progress, unix_ms);
    wait_between(world, life, 900, 2200);
}

static void fail(struct world *world, struct job *job, int64_t unix_ms)
{
    const struct phase *phase = &job->life->pipeline->phases[job->life->phase];
    end_life(world, job, "failed", phase->failures[random_between(&world->random, 0, 2)], unix_ms);
}

static void next_phase(struct world *world, struct job *job, int64_t unix_ms)
{
    struct life *life = job->life;
    if (++life->phase < life->pipeline->count) {
        begin_phase(world, job, unix_ms);
        return;
    }
    if (!life->silent)
        job_set_number(job, "progress", 100, JOB_IN_STATUS);
    end_life(world, job, "completed", "Job completed successfully.", unix_ms);
}

static void advance(struct world *world, struct job *job, int64_t unix_ms)
{
    struct life *life = job->life;
    int phase_end = life->pipeline->phases[life->phase].progress_end;
    if (life->phase == life->end_phase && life->end == END_FAILED) {
        fail(world, job, unix_ms);
        return;
    }
    if (life->phase == life->end_phase && life->end == END_CANCELLED) {
        world_cancel(world, job, unix_ms);
        return;
    }
    life->progress += random_between(&world->random, 1, 3);
    if (life->progress >= phase_end) {
        life->progress = phase_end;
        next_phase(world, job, unix_ms);
        return;
    }
    if (!life->silent) {
        job_set_number(job, "progress", life->progress, JOB_IN_STATUS);
        announce(world, job, true, unix_ms);
    }
    wait_between(world, life, 900, 2200);
}

static void move_on(struct world *world, struct job *job, int64_t unix_ms)
{
    struct life *life = job->life;
    if (life->phase >= 0) {
        advance(world, job, unix_ms);
    } else if (job_has_status(job, "upload_pending")) {
        set_state(job, "queued", "Waiting for a free worker");
        announce(world, job, false, unix_ms);
        wait_between(world, life, 3000, 9000);
    } else {
        life->phase = 0;
        begin_phase(world, job, unix_ms);
    }
}

static struct job *find_oldest_ended(const struct jobs *jobs)
{
    for (struct job *job = jobs->first; job != NULL; job = jobs_next(job)) {
        if (job_is_terminal(job))
            return job;
    }
    return NULL;
}

/* False where every job is still alive and there is no room for another. */
static bool make_room(struct world *world)
{
    while (jobs_count(world->jobs) >= world->max_jobs) {
        struct job *oldest = find_oldest_ended(world->jobs);
        if (oldest == NULL)
            return false;
        jobs_remove(world->jobs, oldest);
    }
    return true;
}

static struct life *new_life(struct world *world)
{
    struct random *random = &world->random;
    struct life *life = xcalloc(1, sizeof *life);
    life->pipeline = pipeline_pick(random);
    life->phase = -1;
    life->silent = random_one_in(random, 5);
    life->end_phase = random_between(random, 0, life->pipeline->count - 1);
    if (random_one_in(random, 8))
        life->end = END_FAILED;
    else if (random_one_in(random, 25))
        life->end = END_CANCELLED;
    life->next_ms = world->clock_ms;
    return life;
}

static struct job *new_job(struct world *world, int64_t unix_ms)
{
    char id[32];
    char name[64];
    char time[CLOCK_TEXT_SIZE];
    do
        pipeline_job_id(&world->random, id, sizeof id);
    while (jobs_find(world->jobs, id) != NULL);
    pipeline_sample_name(&world->random, name, sizeof name);
    format_time(unix_ms, time);

    struct job *job = jobs_add(world->jobs, id);
    job_set_text(job, "job_id", id, JOB_IN_BOTH);
    job_set_text(job, "status", "upload_pending", JOB_IN_BOTH);
    job_set_text(job, "sample_name", name, JOB_IN_LIST);
    job_set_text(job, "message", "Waiting for the upload", JOB_IN_STATUS);
    job_set_text(job, "created_at", time, JOB_IN_BOTH);
    job_set_text(job, "updated_at", time, JOB_IN_STATUS);
    job->life = new_life(world);
    wait_between(world, job->life, 2000, 8000);
    if (job->life->next_ms < world->next_change_ms)
        world->next_change_ms = job->life->next_ms;
    return job;
}

static void ignore_event(void *ctx, const char *json, size_t length)
{
    (void)ctx;
    (void)json;
    (void)length;
}

void world_populate(struct world *world, int count, int64_t unix_ms)
{
    void (*announce_to)(void *, const char *, size_t) = world->announce;
    world->announce = ignore_event;
    for (int i = 0; i < count; i++) {
        /* Spread over two minutes, the oldest first: some have ended, the youngest just came. */
        double age_ms = 120000.0 * (count - i) / count;
        struct job *job = new_job(world, unix_ms - (int64_t)age_ms);
        while (job->life != NULL && job->life->next_ms < world->clock_ms + age_ms) {
            double left_ms = world->clock_ms + age_ms - job->life->next_ms;
            move_on(world, job, unix_ms - (int64_t)left_ms);
        }
        if (job->life != NULL)
            job->life->next_ms -= age_ms;
    }
    world->announce = announce_to;
}

static void arrive(struct world *world, double elapsed_ms, int64_t unix_ms)
{
    if (world->rate <= 0)
        return;
    double interval_ms = 60000 / world->rate;
    if (world->next_arrival_ms > interval_ms)
        world->next_arrival_ms = interval_ms;
    world->next_arrival_ms -= elapsed_ms;
    while (world->next_arrival_ms <= 0) {
        world->next_arrival_ms += interval_ms;
        if (make_room(world)) {
            struct job *job = new_job(world, unix_ms);
            announce(world, job, false, unix_ms);
        }
    }
}

static void live(struct world *world, int64_t unix_ms)
{
    double next_ms = 1e300;
    for (struct job *job = world->jobs->first; job != NULL; job = jobs_next(job)) {
        while (job->life != NULL && job->life->next_ms <= world->clock_ms)
            move_on(world, job, unix_ms);
        if (job->life != NULL && job->life->next_ms < next_ms)
            next_ms = job->life->next_ms;
    }
    world->next_change_ms = next_ms;
}

static int64_t next_step_at(const struct world *world, int64_t now_ms)
{
    double wait_ms = (world->next_change_ms - world->clock_ms) / world->speed;
    if (world->rate > 0 && world->next_arrival_ms < wait_ms)
        wait_ms = world->next_arrival_ms;
    if (wait_ms > 1e12)
        return INT64_MAX;
    return now_ms + (wait_ms < SHORTEST_STEP_MS ? SHORTEST_STEP_MS : (int64_t)wait_ms + 1);
}

int64_t world_step(struct world *world, int64_t now_ms, int64_t unix_ms)
{
    double elapsed_ms = world->stepped_ms == 0 ? 0 : (double)(now_ms - world->stepped_ms);
    world->stepped_ms = now_ms;
    if (world->manual)
        return INT64_MAX;
    world->clock_ms += elapsed_ms * world->speed;
    arrive(world, elapsed_ms, unix_ms);
    if (world->clock_ms >= world->next_change_ms)
        live(world, unix_ms);
    return next_step_at(world, now_ms);
}
