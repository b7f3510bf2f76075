#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "faults.h"
#include "jobs.h"
#include "journal.h"
#include "scenario.h"
#include "stream.h"
#include "uri.h"
#include "world.h"

/* Everything the simulator is, for the parts that answer requests. */
struct sim {
    struct jobs jobs;
    struct world world;
    struct faults faults;
    struct journal journal;
    struct stream *stream;     /* owned, as the next two */
    struct scenario *scenario; /* NULL for none */
    char *key;
    bool release_stalled; /* set for the server: close what a fault holds */
};

/* A request as the answering parts see it; all borrowed. */
struct ask {
    const char *method;
    const struct uri *uri;
    const char *authorization; /* header; NULL where absent, as the next */
    const char *last_event_id;
    struct slice body;
    int64_t now_ms; /* monotonic */
    int64_t unix_ms;
};

struct answer {
    unsigned status;
    struct buf body;
    const char *content_type; /* borrowed, as the rest; NULL for none */
    const char *allow;
    const char *retry_after;
    const char *location;
};

/* A fresh answer: 200, JSON, empty. */
void answer_init(struct answer *answer);
void answer_clear(struct answer *answer);
/* Makes it an error with that detail. */
void answer_error(struct answer *answer, unsigned status, const char *detail);

/* Sends the event to all streams; `ctx` is the sim. */
void sim_announce(void *ctx, const char *json, size_t length);

/* Sets members of a job by order from outside, makes the job if it is new, and ends its own life.
 * `object` is checked JSON of an object. */
void sim_order(struct sim *sim, const char *id, struct slice object, bool quiet);
/* Replaces all jobs by those of the array (checked JSON). The error names the job that is wrong;
 * then nothing is changed. */
bool sim_replace_jobs(struct sim *sim, struct slice array, struct error *error) NODISCARD;

#endif
