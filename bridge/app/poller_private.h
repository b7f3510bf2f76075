#ifndef POLLER_PRIVATE_H
#define POLLER_PRIVATE_H

/* What poller.c (lists, and when) and rounds.c (status calls) share; for these two alone. */
#include "poller.h"

#include <stddef.h>
#include <stdint.h>

#include "catchup.h"
#include "http.h"
#include "ids.h"
#include "log.h"
#include "loop.h"
#include "retry.h"
#include "tracker.h"

#define POLLER_CONCURRENT_CALLS 4
/* Between two looks whether the stream has caught up. */
#define POLLER_PAUSED_WAIT_MS 5000
/* A list that keeps showing a job whose status call answers 404 is not read in a circle: the time
 * from one such list to the next doubles. */
#define POLLER_WANTED_LIST_GAP_MS 5000

struct status_call {
    struct poller *poller;
    struct http_request *request; /* NULL while idle */
    char *id;                     /* owned */
    uint64_t mark;
    unsigned incident;        /* of status_retry when it began */
    struct http_answer *kept; /* until it may be applied */
    struct catchup_wait wait;
};

struct poller {
    struct loop *loop;
    struct http_client *client;
    struct tracker *tracker;
    struct counters *counters;
    struct catchup *catchup;
    struct poller_handler handler;
    int64_t poll_ms, list_ms, resync_ms;
    enum poller_mode mode;
    bool paused;
    struct retry list_retry, status_retry;
    int64_t refused_until_ms; /* nothing at all earlier: AIVA has refused the key */
    struct timer list_timer;
    struct timer round_timer;
    struct http_request *list_request;
    struct http_answer *list_kept; /* until it has been applied */
    struct tracker_list list;      /* with list_kept, once that may be applied */
    struct catchup_wait list_wait; /* before the request, or with list_kept after it */
    uint64_t list_mark;
    bool list_adds_only;   /* of the request under way */
    int64_t wanted_gap_ms; /* between lists that 404s have made desirable */
    bool list_again;       /* the one under way may be older than what it is wanted for */
    struct timer details_timer;
    int64_t list_asked_ms;
    struct status_call calls[POLLER_CONCURRENT_CALLS];
    struct catchup_wait round_wait; /* before a round */
    struct timer collect_timer;     /* the next turn of collecting a round */
    bool round_uncollected;         /* that was given up on the way */
    bool round_shuffled;            /* the one that is being collected */
    struct ids round;               /* still to be asked for, taken from the end */
    struct ids failed;              /* to be asked for again */
    unsigned round_failures;        /* in a row */
    bool round_found_none;          /* a 404 was among its answers */
    int64_t round_started_ms;
    struct log_limit status_limit;
};

bool poller_is_unauthorized(const struct http_answer *answer);
bool poller_asks_for_peace(const struct http_answer *answer);
int64_t poller_later_of(int64_t a, int64_t b);
/* The request has answered, or is not wanted any more. */
void poller_end_request(struct poller *poller, struct http_request **request);
/* How long calls of this kind are not to be made; none of any kind where the key was refused. */
int64_t poller_back_off(struct poller *poller, struct retry *retry, unsigned incident,
    const struct http_answer *answer);

void rounds_init(struct poller *poller);
/* Asks for the status of every job that has not ended. */
void rounds_start(struct poller *poller);
/* Ends what is under way. */
void rounds_end(struct poller *poller);

#endif
