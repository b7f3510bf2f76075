/* A list of job ids. */
#include "ids.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

void ids_take(struct ids *ids, char *id)
{
    if (ids->count == ids->capacity) {
        ids->capacity = ids->capacity == 0 ? 64 : ids->capacity * 2;
        ids->items = xreallocarray(ids->items, ids->capacity, sizeof *ids->items);
    }
    ids->items[ids->count++] = id;
}

char *ids_last(struct ids *ids)
{
    assert(ids->count > 0);
    return ids->items[--ids->count];
}

void ids_drop_all(struct ids *ids)
{
    while (ids->count > 0)
        free(ids_last(ids));
}

void ids_clear(struct ids *ids)
{
    ids_drop_all(ids);
    free(ids->items);
    *ids = (struct ids){0};
}
