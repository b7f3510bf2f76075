#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "buf.h"

/*
 * JSON as raw text: a strict scanner (RFC 8259) that finds an object's members and an array's
 * elements without changing a byte of them, since a parse into doubles and back would.
 * Pure; nothing here allocates for what it borrows.
 */
struct json_slice {
    const char *at;
    size_t length;
};

static inline bool json_slices_match(struct json_slice a, struct json_slice b)
{
    return a.length == b.length &&
           (a.length == 0 || (a.at[0] == b.at[0] && memcmp(a.at, b.at, a.length) == 0));
}

enum json_result {
    JSON_OK,
    JSON_END, /* of an array: no further element */
    JSON_NOT_UTF8,
    JSON_SYNTAX,     /* not JSON, or something behind it */
    JSON_WRONG_TYPE, /* JSON, but not an object (or array) */
    JSON_NUL,        /* holds \u0000: json_check only */
    JSON_SURROGATE,  /* holds half of a surrogate pair: json_check only */
    JSON_TOO_DEEP,   /* LIMIT_JSON_DEPTH */
    JSON_TOO_MANY,   /* LIMIT_JSON_MEMBERS */
};

/* The first problem of a text; what is not UTF-8 counts before all else. */
struct json_problem {
    size_t at;          /* in bytes from 0 */
    const char *reason; /* "expected a colon", …; a literal; NULL where there is no problem */
};

/* Room for any text of json_describe. */
#define JSON_DESCRIBED 128

/* For a log line: "not valid JSON at byte 17: expected a colon", … */
void json_describe(
    char *out, size_t size, enum json_result result, const struct json_problem *problem);

/* Checks a whole text, one value of any type, whose strings a C program is to decode: refuses what
 * they could not hold. The other readers leave strings alone and take all that RFC 8259 takes. */
enum json_result json_check(const char *text, size_t length, struct json_problem *problem);

struct json_member {
    struct json_slice name;  /* between the quotes, escapes as they stand */
    struct json_slice value; /* from its first to its last byte */
    bool escaped_name;       /* the name holds a backslash */
    bool repeated;           /* the name came more than once */
};

struct json_entry {
    struct json_member *member;
};

/* Members in the order of the text; of members with the same name only the last is kept, at the
 * place of the first. Zero-initialise; the arrays are owned and used again by the next read. */
struct json_object {
    struct json_member *members;
    size_t count;
    size_t capacity;
    struct json_entry *sorted; /* by name, where there are many */
    size_t sorted_capacity;
    struct json_problem problem; /* of the text that was last read */
    bool untidy;                 /* that text held what strict readers refuse: see json_clean */
};

/* Slices point into `text`, which must outlive their use. On failure the count is 0. */
enum json_result json_object_read(struct json_object *object, const char *text, size_t length);
void json_object_clear(struct json_object *object);

/* The member of that name (plain ASCII); NULL if there is none. Case counts. */
const struct json_member *json_find(const struct json_object *object, const char *name);
/* The member whose name is the same once decoded; NULL if there is none. Begins at *from (0, or
 * what the last search in the same object left there) and leaves it behind what it found: two texts
 * about the same thing mostly give the same members in the same order. */
const struct json_member *json_find_same(
    const struct json_object *object, const struct json_member *wanted, size_t *from);
/* True where both names are the same once decoded. */
bool json_same_name(const struct json_member *a, const struct json_member *b);
/* The same for a plain name. Inline, as every event compares a hundred of them. */
static inline bool json_name_is(const struct json_member *member, const char *name)
{
    struct json_member wanted = {.name = {name, strlen(name)}};
    if (member->escaped_name)
        return json_same_name(member, &wanted);
    return json_slices_match(member->name, wanted.name);
}

/* Walks an array's elements. */
struct json_array {
    const char *text;
    const char *at;
    const char *end;
    bool first;
    struct json_problem problem; /* once the result is neither JSON_OK nor JSON_END */
};

enum json_result json_array_begin(struct json_array *array, const char *text, size_t length);
/* JSON_OK and the next element's text; JSON_END behind the last, with nothing behind the array;
 * anything else: the text is broken from here on. Elements are checked for syntax and depth only.
 */
enum json_result json_array_next(struct json_array *array, struct json_slice *element);

bool json_is_string(struct json_slice value);
bool json_is_number(struct json_slice value);
bool json_is_null(struct json_slice value);
/* What stands between the quotes of a JSON string without escapes; `at` is NULL for any other
 * value. */
struct json_slice json_plain_string(struct json_slice value);
/* Decodes a JSON string, half of a surrogate pair as U+FFFD. Returns false, and appends nothing, if
 * it is not one, does not fit, or holds \u0000. */
bool json_decode_string(struct json_slice value, struct buf *out);

/* True where the text (valid JSON) has to be cleaned before it is published. untidy: what reading
 * it found. */
bool json_is_unclean(const char *text, size_t length, bool untidy);
/* Appends the text (valid JSON) as it may be published. Strict readers refuse a whole document for
 * half of a surrogate pair, which becomes U+FFFD, and for a number beyond what a double holds,
 * which becomes null. Strings and names that hold the API key, however they are spelled, have it
 * masked. All else stays as it stands. */
void json_clean(struct buf *out, const char *text, size_t length);

/* Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8, like half a character
 * at the end of a text that was cut, become U+FFFD. */
void json_append_string(struct buf *out, const char *text, size_t length);
void json_append_slice(struct buf *out, struct json_slice slice);

#endif
