#ifndef POLLER_H
#define POLLER_H

#include <stdbool.h>

/*
 * Rounds of GET /jobs and GET /jobs/{job_id}/status, as a check beside the stream or in its place.
 * Owner thread only.
 */
struct poller;
struct loop;
struct http_client;
struct tracker;
struct catchup;
struct config;
struct counters;

enum poller_mode {
    POLLER_OFF,
    POLLER_BESIDE_STREAM, /* list and status now, then every aiva.resync_interval_s */
    POLLER_ALONE,         /* list every aiva.list_interval_s, status every aiva.poll_interval_s */
};

enum poller_outcome { POLLER_OK, POLLER_UNAUTHORIZED, POLLER_FAILED };

struct poller_handler {
    void *ctx;
    /* Before a list is asked for, and before a round of status calls. */
    void (*before_attempt)(void *ctx);
    /* A list, or a status call that says something of all, has ended. */
    void (*on_outcome)(void *ctx, enum poller_outcome outcome, const char *detail);
};

struct poller *poller_new(struct loop *loop, struct http_client *client, struct tracker *tracker,
    struct catchup *catchup, const struct config *config, struct counters *counters,
    const struct poller_handler *handler);
void poller_free(struct poller *poller);

/* Starts the mode's first list at once; ends what is under way. */
void poller_set_mode(struct poller *poller, enum poller_mode mode);
/* Reads the list soon: something was said that only the list can decide. */
void poller_want_list(struct poller *poller);
/* A job is known from the stream alone: the list has its sample name and its times. Reads it soon,
 * at most once in aiva.list_interval_s, and lets it only add: it may be older than the job. */
void poller_want_details(struct poller *poller);
/* While the stream is held back, AIVA would be ahead of it: nothing is asked until it goes on. */
void poller_pause(struct poller *poller, bool paused);
/* Key or certificates are new: the waits that the old ones have brought do not count any more. */
void poller_forget_waits(struct poller *poller);
/* A list was just applied by someone else: the status calls that follow from it. */
void poller_follow_list(struct poller *poller);

#endif
