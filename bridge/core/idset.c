/* A set of job ids. */
#include "idset.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct idset_entry {
    UT_hash_handle hh;
    char id[];
};

static struct idset_entry *find(const struct idset *set, const char *id)
{
    struct idset_entry *entry;
    HASH_FIND_STR(set->table, id, entry);
    return entry;
}

static void drop(struct idset *set, struct idset_entry *entry)
{
    HASH_DEL(set->table, entry);
    free(entry);
}

void idset_add(struct idset *set, const char *id)
{
    size_t size = strlen(id) + 1;
    if (find(set, id))
        return;
    struct idset_entry *entry = xcalloc(1, sizeof *entry + size);
    memcpy(entry->id, id, size);
    HASH_ADD_KEYPTR(hh, set->table, entry->id, size - 1, entry);
}

bool idset_remove(struct idset *set, const char *id)
{
    struct idset_entry *entry = find(set, id);
    if (entry)
        drop(set, entry);
    return entry != NULL;
}

size_t idset_count(const struct idset *set)
{
    return HASH_COUNT(set->table);
}

void idset_clear(struct idset *set)
{
    while (set->table)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see HASH_DEL in drop. */
        drop(set, set->table);
}
