#ifndef SHOWN_H
#define SHOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs.h"

/*
 * Which jobs are shown where there is no room for all: those that have not ended come first, then
 * those that ended last. Once a job had to make room it stays away until a tenth of the places is
 * free, so that one short job does not make an old one go and come back. Pure.
 */
struct shown;

struct shown *shown_new(size_t places);
void shown_free(struct shown *shown);

/* Whether the job is shown already. Asked only while more jobs are unfinished than there are
 * places: those that have one keep it. */
typedef bool shown_before(void *ctx, const struct job *job);

/* Fills `chosen`, which has room for all places, and returns how many are to be shown, in no
 * particular order; jobs whose topics were cleared never are. Borrowed until the jobs change. */
size_t shown_choose(struct shown *shown, const struct jobs *jobs, shown_before *before, void *ctx,
    const struct job **chosen);

#endif
