#ifndef ANNOUNCER_H
#define ANNOUNCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * Which discovery message is to be sent next, and when: compares what should stand on each
 * discovery topic with what does. Pure: time (monotonic milliseconds) is an argument.
 *
 * Home Assistant loses parts of a message about a device whose last one it has not digested yet.
 * So two messages on one topic are at least ANNOUNCER_SPACING_MS apart, counted from the broker's
 * acknowledgement of the first; only the latest is sent. There is at most one message on the way to
 * the broker, and at most ten a second.
 */
struct announcer;

#define ANNOUNCER_SPACING_MS 5000
#define ANNOUNCER_PACE_MS    100

enum announcer_kind {
    ANNOUNCER_BRIDGE, /* comes first and goes last: the jobs' devices refer to it */
    ANNOUNCER_JOB,
};

/* `most_remembered`: of how many removals that nobody may have seen a copy is kept. */
struct announcer *announcer_new(size_t most_remembered);
void announcer_free(struct announcer *announcer);

/* ---- What should stand there */

struct announcer_device {
    const char *topic;
    enum announcer_kind kind;
    const char *name; /* as it was rendered into the payload */
    /* What has to be said once before the payload, NULL for nothing. */
    const char *farewell;
    size_t farewell_length;
};

/* What was found at the broker of a device that nobody has decided on yet; NULL for none. Borrowed
 * until the next call. */
const char *announcer_standing(
    const struct announcer *announcer, const char *topic, size_t *length);
/* The device is to be shown with this payload. Copies all. */
void announcer_show(struct announcer *announcer, const struct announcer_device *wanted,
    const char *payload, size_t length);
/* The device is to go, if it stands there. */
void announcer_hide(struct announcer *announcer, const char *topic);
/* The same, of a job that is gone: true where something stands there, and then the message that
 * clears it carries `job_id`. False: nothing to wait for. */
bool announcer_remove(struct announcer *announcer, const char *topic, const char *job_id);

/* A review of all jobs' devices: begin, then for each that is to be shown keep or show it; end
 * hides the others. keep returns false where the device has to be rendered and shown: it is new, or
 * has another name. */
void announcer_review_begin(struct announcer *announcer);
bool announcer_keep(struct announcer *announcer, const char *topic, const char *name);
void announcer_review_end(struct announcer *announcer);

/* Whether the device is shown, or found at the broker and not decided on yet. */
bool announcer_has(const struct announcer *announcer, const char *topic);

/* ---- What does stand there */

/* The broker is asked for what it has: begin, each payload that was found, end. Between two runs a
 * broker may have lost it all, or gone back to an older copy: what was not found does not stand
 * there. What was found and is not shown is left alone until it is hidden or reviewed. False: there
 * is no room for one more (LIMIT_DEVICES, LIMIT_DEVICES_BYTES), and nothing was noted. */
void announcer_read_begin(struct announcer *announcer);
bool announcer_found(struct announcer *announcer, const char *topic, enum announcer_kind kind,
    const char *payload, size_t length, int64_t now_ms) NODISCARD;
void announcer_read_end(struct announcer *announcer);
/* Half of the room for what is found is free: it is worth looking for what had none. */
bool announcer_has_room(const struct announcer *announcer);

/* Home Assistant has started: from at_ms on everything is sent once more. Removals that it may not
 * have seen are made again: shown first, then cleared. */
void announcer_repeat(struct announcer *announcer, int64_t at_ms);

/* ---- What to do about the difference */

struct announcement {
    const char *topic;   /* NULL, from announcer_settle only: nothing may be sent now */
    const char *payload; /* "" to clear the topic */
    size_t length;
    const char *job_id; /* the job that was waited for, from announcer_remove; or NULL */
};

/* The next message, now counted as on the way; borrowed until the next call. False where there is
 * none now: ask again at *wake_ms (INT64_MAX: when something has changed). */
bool announcer_next(struct announcer *announcer, int64_t now_ms, struct announcement *announcement,
    int64_t *wake_ms);
enum announcer_end {
    ANNOUNCER_GIVEN_UP, /* refused, or dropped: what stood on the topic before stands there still */
    ANNOUNCER_TAKEN,    /* by the broker, while Home Assistant was perhaps away */
    ANNOUNCER_SEEN,     /* the same, and Home Assistant is there */
};
/* The message on the way has ended. One that was given up is held back until announcer_again, or
 * until the broker was asked for what it has. */
void announcer_done(struct announcer *announcer, int64_t now_ms, enum announcer_end end);
void announcer_again(struct announcer *announcer);

/* At the end of the program, until it returns false: the jobs that are still waited for. What was
 * announced too short a time ago stays, for the next run to find and clear. */
bool announcer_settle(
    struct announcer *announcer, int64_t now_ms, struct announcement *announcement);

/* Nothing is left to do, and nothing is on the way. */
bool announcer_is_idle(const struct announcer *announcer);

#endif
