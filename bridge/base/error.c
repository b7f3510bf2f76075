/* Errors as values: set, put in context, never allocated. */
#include "error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The length to cut `text` at so that it has at most `room` bytes and no half character. */
static size_t cut_length(const char *text, size_t room)
{
    size_t start;

    if (strlen(text) <= room)
        return strlen(text);
    start = room;
    while (start > 0 && ((unsigned char)text[start] & 0xC0) == 0x80)
        start--;
    /* Bytes that were never a character may be cut anywhere. */
    return room - start < 4 ? start : room;
}

static void store_text(struct error *error, const char *text)
{
    size_t length = cut_length(text, sizeof error->text - 1);

    memcpy(error->text, text, length);
    error->text[length] = '\0';
}

bool error_set(struct error *error, enum error_class class, const char *format, ...)
{
    char text[sizeof error->text + 4]; /* room to see whether a character is cut */
    va_list args;

    assert(class != ERROR_NONE);
    /* By way of a copy: an argument may be the text that is replaced. */
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);

    error->class = class;
    store_text(error, text);
    return false;
}

bool error_wrap(struct error *error, const char *format, ...)
{
    char text[2 * sizeof error->text + 3];
    size_t length;
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof error->text, format, args) < 0)
        text[0] = '\0';
    va_end(args);

    length = strlen(text);
    memcpy(text + length, ": ", 2);
    memcpy(text + length + 2, error->text, strlen(error->text) + 1);
    store_text(error, text);
    return false;
}
