#ifndef OWNTOPICS_H
#define OWNTOPICS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "outbox.h"

/* The bridge's own retained topics, below `<root>/bridge/`: what stands there last, and where the
 * broker refused it. Pure. The values are the outbox's slots. */
enum owntopic {
    OWNTOPIC_STATE = 1,
    OWNTOPIC_INFO,
    OWNTOPIC_UPSTREAM,
    OWNTOPIC_JOBS,
    OWNTOPICS, /* one more than the last */
};

struct owntopics {
    const char *root; /* borrowed */
    struct {
        char *value; /* owned; NULL until it was set */
        size_t length;
        bool refused;
    } topics[OWNTOPICS];
    struct buf name; /* scratch */
};

void owntopics_init(struct owntopics *own, const char *root);
void owntopics_clear(struct owntopics *own);

/* Copies the value. */
void owntopics_set(struct owntopics *own, enum owntopic topic, const char *value, size_t length);
bool owntopics_is_set(const struct owntopics *own, enum owntopic topic);
/* What to publish; of a topic that is set. Borrowed until the next call. */
struct outbox_message owntopics_message(struct owntopics *own, enum owntopic topic);

/* Notes a refusal, where the topic is one of these. */
void owntopics_note_refusal(struct owntopics *own, const char *topic);
/* Whether there was one since the last call, or since owntopics_forget_refusals. */
bool owntopics_take_refusal(struct owntopics *own, enum owntopic topic);
void owntopics_forget_refusals(struct owntopics *own);

#endif
