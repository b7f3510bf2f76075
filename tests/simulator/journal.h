#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdint.h>

#include "buf.h"

/* What a request is about; also what a fault can be set on. */
enum kind {
    KIND_STREAM,
    KIND_LIST,
    KIND_STATUS,
    KIND_CANCEL,
    KIND_DELETE,
    KIND_HEALTH,
    KIND_OTHER, /* unknown paths and wrong methods */
    KIND_COUNT,
};

const char *kind_name(enum kind kind);

#define JOURNAL_LENGTH 1000

struct journal_entry {
    int64_t at_ms; /* since the start */
    char *method;  /* owned, as the next three */
    char *path;    /* as it was sent, without the query */
    char *keys;    /* JSON array of the query's names; its values are secret */
    enum kind kind;
    unsigned status; /* 0 while nothing was answered */
};

/* What was asked of the simulator, for GET /_control/stats. Zero-initialise. */
struct journal {
    uint64_t requests[KIND_COUNT];
    uint64_t unauthorized;
    char *last_event_id; /* owned; of the last stream request */
    struct journal_entry log[JOURNAL_LENGTH];
    uint64_t logged; /* entries ever written: the next goes to logged % JOURNAL_LENGTH */
};

void journal_clear(struct journal *journal);
/* Writes an entry (texts are copied) and counts it. Returns its number for journal_answered. */
uint64_t journal_note(struct journal *journal, const struct journal_entry *entry);
void journal_answered(struct journal *journal, uint64_t number, unsigned status);
void journal_set_last_event_id(struct journal *journal, const char *id);
void journal_append(struct buf *buf, const struct journal *journal, unsigned streams_open);

#endif
