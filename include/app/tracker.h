#ifndef TRACKER_H
#define TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "error.h"
#include "jobs.h"
#include "payload.h"

/*
 * What is known of the jobs, and what of it has to be said: takes in what the stream, lists, status
 * calls, commands and the broker's memory tell, and hands states and events to the publisher.
 * Owner thread only.
 */
struct tracker;
struct loop;
struct publisher;
struct config;
struct counters;

/* What others want to know of the jobs. */
struct tracker_handler {
    void *ctx;
    /* Jobs came, went or changed their status, or (with homeassistant.enabled) their sample's name;
     * or the first list was read. */
    void (*on_changed)(void *ctx);
    /* The job's topics are about to be cleared. True: something else has to be cleared before its
     * state, and tracker_clear will be called. */
    bool (*on_gone)(void *ctx, const char *id);
};

/* config is borrowed for the tracker's life; the handler is copied. */
struct tracker *tracker_new(struct loop *loop, struct publisher *publisher,
    const struct config *config, struct counters *counters, const struct tracker_handler *handler);
void tracker_free(struct tracker *tracker);

/* The present moment in the order of knowledge: to be taken before a request is sent. */
uint64_t tracker_mark(const struct tracker *tracker);
struct jobs *tracker_jobs(const struct tracker *tracker);
/* A first list has been applied: all jobs are known. */
bool tracker_has_list(const struct tracker *tracker);

/* A retained state topic found at the broker before anything else was heard. */
void tracker_adopt(struct tracker *tracker, const char *level, size_t level_length,
    const char *payload, size_t length);
/* One found when the bridge came back: a broker that crashed may show what was cleared since. */
void tracker_check_level(struct tracker *tracker, const char *level, size_t level_length,
    const char *payload, size_t length);
/* The broker remembers a bridge/jobs of ours: this is not the first start. */
void tracker_adopt_counts(struct tracker *tracker, const char *payload, size_t length);
/* Nothing more will be adopted. How many jobs that bridge/jobs counted were not among it: where
 * that is not 0 the broker holds topics that nobody knows of, and a job that the first list shows
 * is no news. */
size_t tracker_end_adoption(struct tracker *tracker);

/* The data of one event of the stream. Returns whether it told of a job that was not known, or
 * that is thought to be gone: a list has more to say. */
bool tracker_event(struct tracker *tracker, const char *data, size_t length);

/* A list of jobs, for tracker_take_list. Embedded in its owner; zero-initialise. */
struct tracker_list {
    TAILQ_ENTRY(tracker_list) link;
    struct tracker *tracker; /* NULL while it is not under way */
    const char *body;        /* of GET /jobs; borrowed for as long as it is under way */
    size_t length;
    uint64_t mark; /* when it was asked for */
    bool removes;  /* jobs that it lacks are gone; read when the rest of it is done */
    enum payload_source source;
    /* It was applied: error is NULL. Or the body is not a whole JSON array, and nothing was
     * changed: the reason only, borrowed for the call. */
    void (*done)(void *ctx, const struct error *error);
    void *ctx;
};

/* Takes in a list in turns, behind those that came earlier, and calls done(ctx, error) once, never
 * from within; it is not under way any more then. What the stream, status calls and commands tell
 * meanwhile is newer than it. Jobs that it lacks are removed after that, in turns too. */
void tracker_take_list(struct tracker *tracker, struct tracker_list *list);
/* Ends that without a call: what it has told so far stays, and no job is removed for its sake.
 * Nothing where it is not under way. */
void tracker_drop_list(struct tracker_list *list);

/* An answer about job `id`, asked for at `mark` (JOBS_NOW for an answer to a command). False and
 * the error (reason only) where it is not one about this job. */
bool tracker_answer(struct tracker *tracker, const char *id, const char *body, size_t length,
    uint64_t mark, enum payload_source source, struct error *error) NODISCARD;

/* The job is gone from AIVA: event `deleted`, then its topics are cleared. */
void tracker_gone(struct tracker *tracker, const char *id, enum payload_source source);
/* What on_gone has asked to wait for is done: clears the job's state, unless that was done when the
 * job came back. */
void tracker_clear(struct tracker *tracker, const char *id);

/* Queues the state of up to `room` jobs whose topic is not up to date. */
void tracker_fill(struct tracker *tracker, size_t room);
/* Says now what would have waited for its turn: the counts. Before the end. */
void tracker_flush(struct tracker *tracker);
/* No job's topic waits for its turn. */
bool tracker_is_said(const struct tracker *tracker);
/* The broker refused a message on this topic: kept if it was a job's state, for tracker_again. */
void tracker_refused(struct tracker *tracker, const char *topic);
/* What stands on the topics that were refused is to be put right: published, or cleared. */
void tracker_again(struct tracker *tracker);
/* The broker may have lost its retained topics: all states are to be published again. */
void tracker_republish_all(struct tracker *tracker);

#endif
