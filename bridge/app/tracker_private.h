#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "ids.h"
#include "log.h"
#include "loop.h"
#include "tracker.h"

/* What tracker.c shares with adopt.c. */

struct tracker {
    struct loop *loop;
    struct publisher *publisher;
    struct counters *counters;
    struct tracker_handler handler;
    bool names_matter; /* to the handler: looking for one costs a little at each event */
    const char *root;
    int64_t keep_finished_ms; /* 0: for ever */
    struct job_hidden hidden;
    struct jobs *jobs;
    bool has_list;         /* a first list has been applied */
    size_t counted_before; /* in bridge/jobs, by an earlier run */
    bool memory_has_gaps;  /* the broker did not hand over all of them */
    bool first_start;      /* no earlier run got as far as publishing all that it had found */
    bool counts_changed;
    int64_t counts_ms;   /* when they were published last */
    int64_t received_ms; /* when the event that is being handled arrived; 0: none is */
    struct timer counts_timer;
    struct timer expiry_timer;
    struct ids clearing; /* jobs that are gone, whose states wait for tracker_clear */
    struct ids refused;  /* what the broker did not let be said of them */
    struct log_limit limits[JOB_UPDATE_RESULTS];
    struct log_limit full_limit, large_limit, list_limit, foreign_limit, again_limit;
    struct job_update update;  /* scratch */
    struct json_object object; /* scratch */
    struct buf topic, payload; /* scratch */
};

/* The counts have changed: bridge/jobs is published when its turn comes. */
void tracker_note_counts(struct tracker *tracker);
/* Everything that is retained for the job goes, its state last. */
void tracker_clear_topics(struct tracker *tracker, const char *id);
/* News of a job was not taken in, for want of room. */
void tracker_report_full(struct tracker *tracker);

#endif
