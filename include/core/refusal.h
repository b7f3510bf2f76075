#ifndef REFUSAL_H
#define REFUSAL_H

#include <stdbool.h>

/*
 * Which retained topic the broker refuses at the moment, and why: what stands there is wrong
 * meanwhile. One is named, and one more is remembered, so that one that is taken again is not the
 * end of it while others are refused. Pure. Zero-initialise.
 */
struct refusal {
    char *topic; /* owned; NULL while all is taken */
    char *other; /* owned; the last one that was refused beside it, or NULL */
    char reason[96];
};

void refusal_clear(struct refusal *refusal);
/* A topic was refused. True where none was before. */
bool refusal_note(struct refusal *refusal, const char *topic, const char *reason);
/* A topic was taken. True where it was the last that was refused. */
bool refusal_taken(struct refusal *refusal, const char *topic);

#endif
