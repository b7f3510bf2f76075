/*
 * A strict JSON scanner that keeps raw text. cJSON would not do: it accepts raw control characters,
 * `007` and trailing garbage, rounds numbers, and cuts strings at \u0000.
 */
#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonnames.h"
#include "jsonscan.h"
#include "limit.h"
#include "mem.h"
#include "utf8.h"

/* U+FFFD */
#define REPLACEMENT_CHARACTER "\xef\xbf\xbd"

static const char *result_text(enum json_result result)
{
    static const char *const texts[] = {
        [JSON_OK] = "valid",
        [JSON_END] = "at its end",
        [JSON_NOT_UTF8] = "not valid UTF-8",
        [JSON_SYNTAX] = "not valid JSON",
        [JSON_WRONG_TYPE] = "not of the expected JSON type",
        [JSON_NUL] = "holding \\u0000",
        [JSON_SURROGATE] = "holding half of a surrogate pair",
        [JSON_TOO_DEEP] = "nested more than " LIMIT_TEXT(LIMIT_JSON_DEPTH) " levels deep",
        [JSON_TOO_MANY] = "an object of more than " LIMIT_TEXT(LIMIT_JSON_MEMBERS) " members",
    };
    return texts[result];
}

void json_describe(
    char *out, size_t size, enum json_result result, const struct json_problem *problem)
{
    bool says_more = result == JSON_SYNTAX || result == JSON_WRONG_TYPE;
    snprintf(out, size, "%s at byte %zu%s%s", result_text(result), problem->at,
        says_more ? ": " : "", says_more ? problem->reason : "");
}

enum json_result json_check(const char *text, size_t length, struct json_problem *problem)
{
    struct scanner s = scan_begin(text, length);
    s.strict = true;
    if (scan_utf8(&s) && scan_value(&s))
        scan_end(&s);
    return scan_finish(&s, problem);
}

/* ---- Objects */

static bool keep_member(
    struct json_object *object, struct scanner *s, const struct json_member *member)
{
    if (json_names_take(object, member))
        return true;
    if (object->count == LIMIT_JSON_MEMBERS)
        return scan_fail_at(s, member->name.at - 1, JSON_TOO_MANY, "too many members");
    if (object->count == object->capacity) {
        object->capacity = object->capacity == 0 ? 16 : object->capacity * 2;
        object->members = xreallocarray(object->members, object->capacity, sizeof *object->members);
    }
    object->members[object->count++] = *member;
    return true;
}

static bool read_member(struct json_object *object, struct scanner *s)
{
    struct json_member member = {0};
    if (!scan_name(s, &member))
        return false;
    scan_space(s);
    const char *value = s->at;
    if (!scan_value(s))
        return false;
    member.value = (struct json_slice){value, (size_t)(s->at - value)};
    return keep_member(object, s, &member);
}

/* At the opening brace, to behind the closing one. */
static bool read_members(struct json_object *object, struct scanner *s)
{
    s->at++;
    scan_space(s);
    bool closed = s->at < s->end && *s->at == '}';
    if (closed)
        s->at++;
    while (!closed)
        if (!read_member(object, s) || !scan_separator(s, '}', &closed))
            return false;
    return true;
}

enum json_result json_object_read(struct json_object *object, const char *text, size_t length)
{
    struct scanner s = scan_begin(text, length);
    object->count = 0;
    if (!scan_utf8(&s) || !scan_opening(&s, '{', "expected an object") ||
        !read_members(object, &s) || !scan_end(&s))
        object->count = 0;
    json_names_settle(object);
    object->untidy = s.untidy;
    return scan_finish(&s, &object->problem);
}

void json_object_clear(struct json_object *object)
{
    free(object->members);
    free(object->sorted);
    *object = (struct json_object){0};
}

/* ---- Arrays */

enum json_result json_array_begin(struct json_array *array, const char *text, size_t length)
{
    struct scanner s = scan_begin(text, length);
    if (scan_opening(&s, '[', "expected an array"))
        s.at++;
    *array = (struct json_array){.text = text, .at = s.at, .end = s.end, .first = true};
    return scan_finish(&s, &array->problem);
}

/* Goes to the next element; *closed: to the end of the array instead. */
static bool array_step(const struct json_array *array, struct scanner *s, bool *closed)
{
    scan_space(s);
    *closed = array->first && s->at < s->end && *s->at == ']';
    if (*closed)
        s->at++;
    else if (!array->first && !scan_separator(s, ']', closed))
        return false;
    scan_space(s);
    return true;
}

enum json_result json_array_next(struct json_array *array, struct json_slice *element)
{
    struct scanner s = scan_begin(array->text, (size_t)(array->end - array->text));
    bool closed;
    s.at = array->at;
    if (!array_step(array, &s, &closed))
        return scan_finish(&s, &array->problem);
    if (closed)
        return scan_end(&s) ? JSON_END : scan_finish(&s, &array->problem);
    const char *from = s.at;
    if (!scan_value(&s))
        return scan_finish(&s, &array->problem);
    *element = (struct json_slice){from, (size_t)(s.at - from)};
    array->at = s.at;
    array->first = false;
    return JSON_OK;
}

/* ---- Values */

bool json_is_string(struct json_slice value)
{
    return value.length >= 2 && value.at[0] == '"';
}

bool json_is_number(struct json_slice value)
{
    return value.length >= 1 && (value.at[0] == '-' || (value.at[0] >= '0' && value.at[0] <= '9'));
}

bool json_is_null(struct json_slice value)
{
    return value.length == 4 && memcmp(value.at, "null", 4) == 0;
}

struct json_slice json_plain_string(struct json_slice value)
{
    if (!json_is_string(value) || memchr(value.at, '\\', value.length))
        return (struct json_slice){0};
    return (struct json_slice){value.at + 1, value.length - 2};
}

bool json_decode_string(struct json_slice value, struct buf *out)
{
    if (!json_is_string(value))
        return false;
    struct json_slice plain = json_plain_string(value);
    if (plain.at)
        return buf_append(out, plain.at, plain.length);
    size_t before = out->length;
    const char *at = value.at + 1, *end = value.at + value.length - 1;
    while (at < end) {
        char bytes[4];
        uint32_t point = scan_character(&at, end);
        if (point == 0 || !buf_append(out, bytes, utf8_encode(point, bytes))) {
            out->length = before;
            if (out->data)
                out->data[before] = '\0';
            return false;
        }
    }
    return true;
}

void json_append_string(struct buf *out, const char *text, size_t length)
{
    buf_append_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        uint32_t point;
        size_t used = c < 0x80 ? 1 : utf8_decode(text + i, length - i, &point);
        if (used > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += used - 1;
            continue;
        }
        buf_append(out, text + from, i - from);
        if (used == 0)
            buf_append_text(out, REPLACEMENT_CHARACTER);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_printf(out, "\\%c", c);
        from = i + 1;
    }
    buf_append(out, text + from, length - from);
    buf_append_char(out, '"');
}

void json_append_slice(struct buf *out, struct json_slice slice)
{
    buf_append(out, slice.at, slice.length);
}
