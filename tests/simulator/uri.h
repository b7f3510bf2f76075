#ifndef URI_H
#define URI_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

#define URI_MOST_SEGMENTS 5 /* one more than the longest path that means something */

struct uri_pair {
    char *name;
    char *value;
};

/* A request target taken apart. Owns its texts. */
struct uri {
    char *path;                        /* as it was sent */
    char *segments[URI_MOST_SEGMENTS]; /* decoded; an encoded slash does not divide */
    size_t segment_count;
    struct uri_pair *query; /* decoded, `+` as a space */
    size_t query_count;
};

void uri_parse(struct uri *uri, const char *target);
void uri_clear(struct uri *uri);
bool uri_segment_is(const struct uri *uri, size_t position, const char *text);
/* The first value of that name; NULL where there is none. */
const char *uri_query(const struct uri *uri, const char *name);
/* The query's names as a JSON array. */
void uri_append_query_names(struct buf *buf, const struct uri *uri);

#endif
