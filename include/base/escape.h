#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Texts of others, safe to be shown on a terminal. What could give the terminal a command, forge a
 * line, or make a text look like another one is spelled out: controls (C0, C1, DEL), line and
 * paragraph separators, what turns the direction of writing, and what cannot be seen at all.
 * Letters of every script stay as they are. Pure.
 */

enum { ESCAPE_SIZE = 16 };

/* How one character is shown. */
struct escaped {
    const char *at; /* into the text, or into `own` */
    size_t length;
    char own[ESCAPE_SIZE];
};

/* The first character of a text of at least one byte. A control is shown as \u000a, what needs more
 * than four digits as \U000e0001, a byte that is not UTF-8 as \xff. With `json` the result is part
 * of a JSON string: quotes and backslashes are escaped too, and so is the backslash of \xff, since
 * JSON's strings hold characters only. Returns the bytes of the text that were used, 1 to 4. */
size_t escape_next(const char *text, size_t length, bool json, struct escaped *out);

/* Appends the whole text, not as JSON. */
void escape_append(struct buf *out, const char *text);

#endif
