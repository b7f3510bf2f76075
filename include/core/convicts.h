#ifndef CONVICTS_H
#define CONVICTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages that were given up because the broker ends the connection when they are sent. They come
 * again (every job's state does, after each reconnect), and are told by a fingerprint of the
 * packet. The last CONVICTS_KEPT are remembered. Pure. A value type; zero-initialise. */
enum { CONVICTS_KEPT = 32 };

struct outbox_entry;

struct convicts {
    uint64_t fingerprints[CONVICTS_KEPT]; /* a ring */
    size_t count;                         /* ever */
};

void convicts_add(struct convicts *convicts, const struct outbox_entry *entry);
bool convicts_has(const struct convicts *convicts, const struct outbox_entry *entry);

#endif
