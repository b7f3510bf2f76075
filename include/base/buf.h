#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/*
 * Growable bytes with a hard cap. Growth beyond the cap, or a failed allocation, appends nothing
 * and sets `failed`, which stays set until buf_reset or buf_clear: a writer may append many
 * pieces and look once at the end. `data` is NUL-terminated behind `length` once anything has
 * been appended. Not shared between threads.
 */
struct buf {
    char *data; /* owned; NULL while nothing was appended */
    size_t length;
    size_t capacity;
    size_t limit; /* most bytes it may hold, without the terminating NUL */
    bool failed;
};

void buf_init(struct buf *buf, size_t limit);
/* Frees the memory; the limit stays and the buffer can be used again. */
void buf_clear(struct buf *buf);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);
/* Gives the memory to the caller (free()), NULL if empty; the buffer is empty afterwards. */
char *buf_take(struct buf *buf);

/* Each returns false, and sets `failed`, where the piece did not fit. */
bool buf_append(struct buf *buf, const void *bytes, size_t length);
/* Appends `length` bytes for the caller to fill in at once; NULL where they did not fit. */
char *buf_extend(struct buf *buf, size_t length);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_char(struct buf *buf, char c);
bool buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
