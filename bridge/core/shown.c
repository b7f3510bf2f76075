/*
 * Which jobs are shown. One pass over all jobs, with a heap of the ended ones whose root is the one
 * that ended first.
 */
#include "shown.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct candidate {
    int64_t ended_ms;
    char id[LIMIT_JOB_ID + 1];
};

/* Room for all places. */
struct candidates {
    struct candidate *items;
    size_t count;
};

struct shown {
    size_t places;
    size_t free_for_return; /* so many places must be free before a job comes back */
    /* Ended jobs up to this one had to make room; NULL: none had to. */
    char *cut_id;
    int64_t cut_ms;
    bool crowded;             /* not all unfinished jobs have a place */
    struct candidates first;  /* unfinished ones; where it is crowded, those shown before */
    struct candidates others; /* the other unfinished ones */
    struct candidates ended;  /* the parent of i is at (i - 1) / 2, and ended before it */
    bool has_left_out;
    struct candidate left_out; /* the one that ended last of those that have no place */
};

struct shown *shown_new(size_t places)
{
    struct shown *shown = xcalloc(1, sizeof *shown);
    shown->places = places;
    shown->free_for_return = places < 10 ? 1 : places / 10;
    shown->first.items = xcalloc(places, sizeof(struct candidate));
    shown->others.items = xcalloc(places, sizeof(struct candidate));
    shown->ended.items = xcalloc(places, sizeof(struct candidate));
    return shown;
}

void shown_free(struct shown *shown)
{
    if (!shown)
        return;
    free(shown->first.items);
    free(shown->others.items);
    free(shown->ended.items);
    free(shown->cut_id);
    free(shown);
}

static void set_candidate(struct candidate *candidate, const struct job *job)
{
    candidate->ended_ms = job->ended_ms;
    memcpy(candidate->id, job->id, strlen(job->id) + 1);
}

/* The order in which jobs ended, with the ids to tell apart those of the same moment: the same set
 * is chosen after a restart. */
static int compare_ends(int64_t a_ms, const char *a_id, int64_t b_ms, const char *b_id)
{
    if (a_ms != b_ms)
        return a_ms < b_ms ? -1 : 1;
    return strcmp(a_id, b_id);
}

static bool ended_before(const struct candidate *a, const struct candidate *b)
{
    return compare_ends(a->ended_ms, a->id, b->ended_ms, b->id) < 0;
}

/* ---- The heap of ended jobs */

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct candidates *heap, size_t at)
{
    while (at > 0 && ended_before(&heap->items[at], &heap->items[(at - 1) / 2])) {
        swap(&heap->items[at], &heap->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct candidates *heap)
{
    size_t at = 0, child;
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && ended_before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!ended_before(&heap->items[child], &heap->items[at]))
            break;
        swap(&heap->items[child], &heap->items[at]);
        at = child;
    }
}

static void leave_out(struct shown *shown, const struct candidate *candidate)
{
    if (shown->has_left_out && ended_before(candidate, &shown->left_out))
        return;
    shown->has_left_out = true;
    shown->left_out = *candidate;
}

static void take_ended(struct shown *shown, const struct candidate *candidate)
{
    struct candidates *heap = &shown->ended;
    if (heap->count < shown->places) {
        heap->items[heap->count++] = *candidate;
        sift_up(heap, heap->count - 1);
    } else if (ended_before(candidate, &heap->items[0])) {
        leave_out(shown, candidate);
    } else {
        leave_out(shown, &heap->items[0]);
        heap->items[0] = *candidate;
        sift_down(heap);
    }
}

static void shrink_ended(struct shown *shown, size_t room)
{
    struct candidates *heap = &shown->ended;
    while (heap->count > room) {
        leave_out(shown, &heap->items[0]);
        heap->items[0] = heap->items[--heap->count];
        sift_down(heap);
    }
}

/* ---- Choosing */

void shown_begin(struct shown *shown, const struct jobs *jobs)
{
    size_t unfinished = jobs_count(jobs);
    unfinished -= jobs_state_count(jobs, JOB_COMPLETED) + jobs_state_count(jobs, JOB_FAILED) +
                  jobs_state_count(jobs, JOB_CANCELLED);
    shown->crowded = unfinished > shown->places;
    shown->first.count = shown->others.count = shown->ended.count = 0;
    shown->has_left_out = false;
}

void shown_take(struct shown *shown, const struct job *job, shown_before *before, void *ctx)
{
    struct candidate candidate;
    if (job->cleared)
        return;
    if (job_has_ended(job)) {
        set_candidate(&candidate, job);
        take_ended(shown, &candidate);
        return;
    }
    bool leads = !shown->crowded || before(ctx, job);
    struct candidates *list = leads ? &shown->first : &shown->others;
    if (list->count < shown->places)
        set_candidate(&list->items[list->count++], job);
}

static bool is_above_cut(const struct shown *shown, const struct candidate *candidate)
{
    return !shown->cut_id ||
           compare_ends(shown->cut_ms, shown->cut_id, candidate->ended_ms, candidate->id) < 0;
}

static void set_cut(struct shown *shown)
{
    free(shown->cut_id);
    shown->cut_id = shown->has_left_out ? xstrdup(shown->left_out.id) : NULL;
    shown->cut_ms = shown->has_left_out ? shown->left_out.ended_ms : 0;
}

size_t shown_end(struct shown *shown)
{
    struct candidates *chosen = &shown->first, *ended = &shown->ended;
    for (size_t i = 0; i < shown->others.count && chosen->count < shown->places; i++)
        chosen->items[chosen->count++] = shown->others.items[i];
    shrink_ended(shown, shown->places - chosen->count);
    size_t above = 0;
    for (size_t i = 0; i < ended->count; i++)
        if (is_above_cut(shown, &ended->items[i]))
            swap(&ended->items[above++], &ended->items[i]);
    /* The others come back all at once, or not yet. */
    if (chosen->count + above + shown->free_for_return > shown->places)
        for (; ended->count > above; ended->count--)
            leave_out(shown, &ended->items[ended->count - 1]);
    set_cut(shown);
    for (size_t i = 0; i < ended->count; i++)
        chosen->items[chosen->count++] = ended->items[i];
    return chosen->count;
}

const char *shown_id(const struct shown *shown, size_t index)
{
    return shown->first.items[index].id;
}
