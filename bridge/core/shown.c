/*
 * Which jobs are shown. One pass over all jobs, with a heap of the candidates whose root is the one
 * that ended first.
 */
#include "shown.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct shown {
    size_t places;
    size_t free_for_return; /* so many places must be free before a job comes back */
    /* Ended jobs up to this one had to make room; NULL: none had to. */
    char *cut_id;
    int64_t cut_ms;
};

struct shown *shown_new(size_t places)
{
    struct shown *shown = xcalloc(1, sizeof *shown);
    shown->places = places;
    shown->free_for_return = places < 10 ? 1 : places / 10;
    return shown;
}

void shown_free(struct shown *shown)
{
    if (!shown)
        return;
    free(shown->cut_id);
    free(shown);
}

/* The order in which jobs ended, with the ids to tell apart those of the same moment: the same set
 * is chosen after a restart. */
static int compare_ends(int64_t a_ms, const char *a_id, int64_t b_ms, const char *b_id)
{
    if (a_ms != b_ms)
        return a_ms < b_ms ? -1 : 1;
    return strcmp(a_id, b_id);
}

static bool ended_before(const struct job *a, const struct job *b)
{
    return compare_ends(a->ended_ms, a->id, b->ended_ms, b->id) < 0;
}

/* ---- The heap of ended jobs */

struct heap {
    const struct job **jobs; /* the parent of i is at (i - 1) / 2, and ended before it */
    size_t count, room;
};

static void swap(const struct job **a, const struct job **b)
{
    const struct job *kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct heap *heap, size_t at)
{
    while (at > 0 && ended_before(heap->jobs[at], heap->jobs[(at - 1) / 2])) {
        swap(&heap->jobs[at], &heap->jobs[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct heap *heap)
{
    size_t at = 0, child;
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && ended_before(heap->jobs[child + 1], heap->jobs[child]))
            child++;
        if (!ended_before(heap->jobs[child], heap->jobs[at]))
            break;
        swap(&heap->jobs[child], &heap->jobs[at]);
        at = child;
    }
}

/* Takes the job in, and returns the one for which there is no place: NULL, another one or itself.
 */
static const struct job *heap_take(struct heap *heap, const struct job *job)
{
    if (heap->count < heap->room) {
        heap->jobs[heap->count++] = job;
        sift_up(heap, heap->count - 1);
        return NULL;
    }
    if (heap->room == 0 || ended_before(job, heap->jobs[0]))
        return job;
    const struct job *loser = heap->jobs[0];
    heap->jobs[0] = job;
    sift_down(heap);
    return loser;
}

/* ---- Choosing */

static size_t choose_unfinished(const struct shown *shown, const struct jobs *jobs,
    shown_before *before, void *ctx, const struct job **chosen)
{
    size_t count = 0, unfinished = jobs_count(jobs);
    unfinished -= jobs_state_count(jobs, JOB_COMPLETED) + jobs_state_count(jobs, JOB_FAILED) +
                  jobs_state_count(jobs, JOB_CANCELLED);
    bool crowded = unfinished > shown->places;
    for (int pass = crowded ? 0 : 1; pass < 2; pass++) {
        const struct job *job = jobs_next(jobs, NULL);
        for (; job && count < shown->places; job = jobs_next(jobs, job))
            if (!job_has_ended(job) && !job->cleared &&
                (!crowded || before(ctx, job) == (pass == 0)))
                chosen[count++] = job;
    }
    return count;
}

/* The one that ended last of those that are not shown. */
static void note_left_out(const struct job **last, const struct job *job)
{
    if (job && (!*last || ended_before(*last, job)))
        *last = job;
}

static bool is_above_cut(const struct shown *shown, const struct job *job)
{
    return !shown->cut_id || compare_ends(shown->cut_ms, shown->cut_id, job->ended_ms, job->id) < 0;
}

static void set_cut(struct shown *shown, const struct job *job)
{
    free(shown->cut_id);
    shown->cut_id = job ? xstrdup(job->id) : NULL;
    shown->cut_ms = job ? job->ended_ms : 0;
}

size_t shown_choose(struct shown *shown, const struct jobs *jobs, shown_before *before, void *ctx,
    const struct job **chosen)
{
    size_t unfinished = choose_unfinished(shown, jobs, before, ctx, chosen);
    struct heap heap = {.jobs = chosen + unfinished, .room = shown->places - unfinished};
    const struct job *left_out = NULL;
    for (const struct job *job = jobs_next(jobs, NULL); job; job = jobs_next(jobs, job))
        if (job_has_ended(job) && !job->cleared)
            note_left_out(&left_out, heap_take(&heap, job));
    size_t above = 0;
    for (size_t i = 0; i < heap.count; i++)
        if (is_above_cut(shown, heap.jobs[i]))
            swap(&heap.jobs[above++], &heap.jobs[i]);
    /* The others come back all at once, or not yet. */
    if (unfinished + above + shown->free_for_return > shown->places)
        for (; heap.count > above; heap.count--)
            note_left_out(&left_out, heap.jobs[heap.count - 1]);
    set_cut(shown, left_out);
    return unfinished + heap.count;
}
