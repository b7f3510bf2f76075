#ifndef HAOWNER_H
#define HAOWNER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whose the devices are that stand at the broker. A bridge's device carries the client id, and a
 * job's device names its bridge's: so what this bridge announced under another root is known to be
 * its own, once the bridge's device of that root has been seen. Of all others nothing is kept,
 * however many there are: what came before that device did is read once more. Pure.
 */
struct haowner;

/* Both strings are borrowed for its life. */
struct haowner *haowner_new(const char *root, const char *client_id);
void haowner_free(struct haowner *owner);

enum haowner_verdict {
    HAOWNER_OTHER, /* somebody else's, or not known to be ours yet */
    HAOWNER_BRIDGE,
    HAOWNER_JOB,
    HAOWNER_EARLIER_BRIDGE, /* of ours, under another root */
    HAOWNER_EARLIER_JOB,
};

/* Judges one retained payload of the object id. Remembers up to LIMIT_EARLIER_ROOTS bridges of ours
 * under other roots; those beyond are counted and left to another run. */
enum haowner_verdict haowner_judge(
    struct haowner *owner, const char *object_id, const char *payload, size_t length);

/* How many bridges of ours under other roots are known: where that has grown while the devices were
 * read, some that came earlier may be of them. */
size_t haowner_roots(const struct haowner *owner);
/* How many there was no room for, counted each time that they are read. */
size_t haowner_roots_left_out(const struct haowner *owner);
void haowner_forget(struct haowner *owner);

#endif
