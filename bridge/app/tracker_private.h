#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "ids.h"
#include "idset.h"
#include "log.h"
#include "loop.h"
#include "tracker.h"

/* What tracker.c shares with adopt.c, listing.c and turns.c. */

/* The removal of jobs that a list lacks. */
struct tracker_missing {
    struct timer timer;
    uint32_t list; /* its number */
    uint64_t mark;
    enum payload_source source;
    size_t gone; /* so far */
};

/* The look for ended jobs whose time is over. */
struct tracker_expiry {
    struct timer timer;
    bool is_walking;
    size_t cleared;  /* so far */
    int64_t wait_ms; /* until the next of them is due */
};

/* The lists that are taken in. */
struct tracker_listing {
    TAILQ_HEAD(tracker_lists, tracker_list) queue; /* in the order of their arrival */
    struct timer timer;                            /* the next turn of the first */
    struct json_array array;                       /* where that stands */
    enum json_result result;                       /* of the last step */
    bool applies;                                  /* it is whole, and is walked a second time */
    bool complete;                                 /* each entry left no doubt about its job */
};

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
    struct timer unsaid_timer;
    struct tracker_missing missing;
    struct tracker_expiry expiry;
    struct tracker_listing listing;
    struct idset clearing; /* jobs that are gone, whose states wait for tracker_clear */
    struct ids refused;    /* what the broker did not let be said of them */
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
/* The job is gone from AIVA. */
void tracker_forget(struct tracker *tracker, const struct job *job, enum payload_source source,
    enum log_level level);

/*
 * Says what tracker->update has changed. `always`: the state is said whatever it changed; so it is
 * for each event of the stream, and for what a command has asked. News of the status goes ahead
 * of its event. Returns whether the job was not known, or is thought to be gone.
 */
bool tracker_apply(struct tracker *tracker, uint64_t mark, bool from_list,
    enum payload_source source, bool always);
/* tracker->update could not be read from `where`. */
void tracker_report_unusable(
    struct tracker *tracker, enum job_update_result result, const char *where);

void tracker_init_listing(struct tracker *tracker);
/* No list may be under way any more. */
void tracker_clear_listing(struct tracker *tracker);

void tracker_init_turns(struct tracker *tracker);
/* Makes nothing new; what is to be said again is marked to its end. */
void tracker_stop_turns(struct tracker *tracker);
void tracker_clear_turns(struct tracker *tracker);
/* What the list that began last lacks, and of which nothing was heard since `mark`, is forgotten:
 * at once as far as that is quickly done. */
void tracker_remove_missing(struct tracker *tracker, uint64_t mark, enum payload_source source);
/* While a list is taken in, jobs that the one before lacks may be about to be named: their removal
 * stands still, and goes on where that list is given up or removes nothing itself. */
void tracker_hold_missing(struct tracker *tracker);
void tracker_resume_missing(struct tracker *tracker);
bool tracker_has_expired(const struct tracker *tracker, const struct job *job, int64_t now_unix_ms);
/* Looks for ended jobs whose time is over, where there are such. */
void tracker_begin_expiry(struct tracker *tracker, int64_t in_ms);
/* News of a job was not taken in, for want of room. */
void tracker_report_full(struct tracker *tracker);

#endif
