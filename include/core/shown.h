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

/* A choice: begin, take each job, end. Jobs may come and go meanwhile: what is chosen is remembered
 * by its id. Jobs whose topics were cleared are never chosen. */
void shown_begin(struct shown *shown, const struct jobs *jobs);
void shown_take(struct shown *shown, const struct job *job, shown_before *before, void *ctx);
/* How many are to be shown, in no particular order. */
size_t shown_end(struct shown *shown);
/* The id of one of them. Borrowed until the next choice begins. */
const char *shown_id(const struct shown *shown, size_t index);

#endif
