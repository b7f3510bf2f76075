/* Growable bytes with a hard cap, for everything whose size the outside chooses. */
#include "buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum {
    BUF_FIRST_CAPACITY = 64,
    /* Without so little the program could not go on anyway. So a short text is always there. */
    BUF_VITAL_CAPACITY = 64 * 1024,
};

void buf_init(struct buf *buf, size_t limit)
{
    /* No object is larger than PTRDIFF_MAX; with that the sums below cannot overflow. */
    *buf = (struct buf){.limit = limit < PTRDIFF_MAX ? limit : PTRDIFF_MAX - 1};
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.limit = buf->limit};
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

char *buf_take(struct buf *buf)
{
    char *taken = buf->data;

    if (buf->length == 0) {
        free(taken);
        taken = NULL;
    }
    *buf = (struct buf){.limit = buf->limit, .failed = buf->failed};
    return taken;
}

/* Doubles, so that many small pieces cost little, but never beyond the cap and its NUL. */
static size_t next_capacity(const struct buf *buf, size_t needed)
{
    size_t capacity = buf->capacity > 0 ? buf->capacity : BUF_FIRST_CAPACITY;

    while (capacity < needed)
        capacity = capacity <= PTRDIFF_MAX / 2 ? 2 * capacity : needed;
    return capacity <= buf->limit ? capacity : buf->limit + 1;
}

/* Makes room for `extra` bytes and the NUL. A piece that does not fit leaves a hole in the text,
 * so nothing is taken after it either, until the buffer is emptied. */
static bool reserve(struct buf *buf, size_t extra)
{
    size_t needed, capacity;
    char *data;

    if (buf->failed)
        return false;
    if (extra < buf->capacity - buf->length)
        return true;
    if (extra > buf->limit - buf->length) {
        buf->failed = true;
        return false;
    }
    needed = buf->length + extra + 1;
    capacity = next_capacity(buf, needed);
    data = capacity <= BUF_VITAL_CAPACITY ? xreallocarray(buf->data, 1, capacity)
                                          : realloc(buf->data, capacity);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

/* Most pieces fit, and need no more than this. */
static inline bool has_room(const struct buf *buf, size_t extra)
{
    return extra < buf->capacity - buf->length && !buf->failed;
}

char *buf_extend(struct buf *buf, size_t length)
{
    if (!has_room(buf, length) && !reserve(buf, length))
        return NULL;
    char *room = buf->data + buf->length;
    buf->length += length;
    buf->data[buf->length] = '\0';
    return room;
}

bool buf_append(struct buf *buf, const void *bytes, size_t length)
{
    if (!has_room(buf, length) && !reserve(buf, length))
        return false;
    if (length > 0)
        memcpy(buf->data + buf->length, bytes, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
    return true;
}

bool buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_append_char(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int length;

    if (!reserve(buf, 0))
        return false;
    va_start(args, format);
    length = vsnprintf(buf->data + buf->length, buf->capacity - buf->length, format, args);
    va_end(args);

    if (length < 0)
        buf->failed = true;
    else if ((size_t)length >= buf->capacity - buf->length && reserve(buf, (size_t)length)) {
        va_start(args, format);
        length = vsnprintf(buf->data + buf->length, buf->capacity - buf->length, format, args);
        va_end(args);
    }
    if (buf->failed) {
        buf->data[buf->length] = '\0'; /* what was written of the piece does not count */
        return false;
    }
    buf->length += (size_t)length;
    return true;
}
