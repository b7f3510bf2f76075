/* Messages that were given up, as a ring of fingerprints. */
#include "convicts.h"

#include "outbox.h"

/* FNV-1a. */
static uint64_t fingerprint(const struct outbox_entry *entry)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < entry->length; i++)
        hash = (hash ^ (unsigned char)entry->packet[i]) * 1099511628211u;
    return hash;
}

void convicts_add(struct convicts *convicts, const struct outbox_entry *entry)
{
    convicts->fingerprints[convicts->count++ % CONVICTS_KEPT] = fingerprint(entry);
}

bool convicts_has(const struct convicts *convicts, const struct outbox_entry *entry)
{
    size_t kept = convicts->count < CONVICTS_KEPT ? convicts->count : CONVICTS_KEPT;
    uint64_t hash = kept > 0 ? fingerprint(entry) : 0;
    for (size_t i = 0; i < kept; i++)
        if (convicts->fingerprints[i] == hash)
            return true;
    return false;
}
