#ifndef RAWJSON_H
#define RAWJSON_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "error.h"

/*
 * JSON as text: checks the syntax and cuts it into pieces without reading a value. What a test
 * puts in has to come out byte for byte, and cJSON would turn 12345678901234567890 into
 * 1.2345678901234567e+19, so job members never pass through it.
 */
struct slice {
    const char *start;
    size_t length;
};

struct slice slice_of(const char *text);
bool slice_is(struct slice slice, const char *text);

/* True where the whole text is one JSON value (RFC 8259, at most 512 levels deep); then the slice
 * is cut down to the value without the white space around it. The error says at which byte it
 * stops being one. */
bool rawjson_check(struct slice *text, struct error *error) NODISCARD;

/* What the value is, by its first character: one of { [ " 0 (any number) t f n. */
char rawjson_type(struct slice value);

/* Opens the object or array for the walks below: what is between its brackets. The text must
 * have passed rawjson_check. */
struct slice rawjson_inside(struct slice value);
/* Takes the next member off *rest; false at the end. The name keeps its quotes. */
bool rawjson_next_member(struct slice *rest, struct slice *name, struct slice *value);
bool rawjson_next_element(struct slice *rest, struct slice *value);
/* Finds a member of the object by its name (without quotes, no escapes). The last one counts. */
bool rawjson_find(struct slice object, const char *name, struct slice *value);

/* The decoded string, the caller's; NULL where the value is no string, or one that no C string
 * can hold (\u0000) or UTF-8 cannot write (half a surrogate pair). */
char *rawjson_text(struct slice value);
/* Appends the text as a JSON string. */
void rawjson_quote(struct buf *buf, const char *text);

#endif
