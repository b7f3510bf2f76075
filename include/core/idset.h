#ifndef IDSET_H
#define IDSET_H

#include <stdbool.h>
#include <stddef.h>

/* A set of job ids, copied. Each question takes the same time however many there are.
 * Zero-initialise. Pure. */
struct idset_entry;
struct idset {
    struct idset_entry *table;
};

void idset_add(struct idset *set, const char *id);
/* False where it was not in the set. */
bool idset_remove(struct idset *set, const char *id);
size_t idset_count(const struct idset *set);
void idset_clear(struct idset *set);

#endif
