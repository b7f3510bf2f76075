#ifndef IDS_H
#define IDS_H

#include <stdbool.h>
#include <stddef.h>

/* A list of job ids, which it owns. Zero-initialise. Pure. */
struct ids {
    char **items;
    size_t count, capacity;
};

/* Puts an id at the end; the list takes it. */
void ids_take(struct ids *ids, char *id);
/* Takes the last one out; the caller frees it. There has to be one. */
char *ids_last(struct ids *ids);
void ids_drop_all(struct ids *ids);
void ids_clear(struct ids *ids);

#endif
