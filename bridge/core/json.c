/*
 * A strict JSON scanner that keeps raw text. cJSON alone would not do: it accepts raw control
 * characters, `007` and trailing garbage, rounds numbers, and cuts strings at \u0000.
 */
#include "json.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "mem.h"
#include "utf8.h"

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

const char *json_result_text(enum json_result result)
{
    static const char *const texts[] = {
        [JSON_OK] = "valid",
        [JSON_END] = "at its end",
        [JSON_NOT_UTF8] = "not valid UTF-8",
        [JSON_SYNTAX] = "not valid JSON",
        [JSON_WRONG_TYPE] = "not of the expected JSON type",
        [JSON_NUL] = "holding \\u0000",
        [JSON_SURROGATE] = "holding half of a surrogate pair",
        [JSON_TOO_DEEP] = "nested more than " TEXT_OF(LIMIT_JSON_DEPTH) " levels deep",
        [JSON_TOO_MANY] = "an object of more than " TEXT_OF(LIMIT_JSON_MEMBERS) " members",
    };
    return texts[result];
}

/* ---- Scanning. `broken` ends the scan; `refused` lets it go on, so that an array's end is found.
 */

struct scanner {
    const char *at;
    const char *end;
    enum json_result broken;
    enum json_result refused;
};

static bool fail(struct scanner *s, enum json_result why)
{
    s->broken = why;
    return false;
}

static void skip_space(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool read_hex4(struct scanner *s, unsigned *value)
{
    if (s->end - s->at < 4)
        return fail(s, JSON_SYNTAX);
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *s->at++;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a') + 10;
        else
            return fail(s, JSON_SYNTAX);
        *value = *value * 16 + digit;
    }
    return true;
}

/* Behind "\u". A high surrogate must be followed by a low one. */
static bool skip_unicode_escape(struct scanner *s)
{
    unsigned unit;
    if (!read_hex4(s, &unit))
        return false;
    if (unit == 0)
        s->refused = JSON_NUL;
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    unsigned low = 0;
    if (unit < 0xDC00 && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u') {
        const char *before = s->at;
        s->at += 2;
        if (!read_hex4(s, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            s->at = before;
    }
    if (low < 0xDC00 || low > 0xDFFF)
        s->refused = JSON_SURROGATE;
    return true;
}

static bool skip_escape(struct scanner *s)
{
    if (s->at == s->end)
        return fail(s, JSON_SYNTAX);
    char c = *s->at++;
    if (c == 'u')
        return skip_unicode_escape(s);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return fail(s, JSON_SYNTAX);
    return true;
}

/* At the opening quote. */
static bool skip_string(struct scanner *s, bool *escaped)
{
    if (s->at == s->end || *s->at != '"')
        return fail(s, JSON_SYNTAX);
    s->at++;
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"')
            return true;
        if (c < 0x20)
            return fail(s, JSON_SYNTAX);
        if (c == '\\') {
            *escaped = true;
            if (!skip_escape(s))
                return false;
        }
    }
    return fail(s, JSON_SYNTAX);
}

static bool skip_digits(struct scanner *s)
{
    const char *from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > from || fail(s, JSON_SYNTAX);
}

static bool skip_number(struct scanner *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else if (!skip_digits(s))
        return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!skip_digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return skip_digits(s);
    }
    return true;
}

static bool skip_word(struct scanner *s, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return fail(s, JSON_SYNTAX);
    s->at += length;
    return true;
}

static bool skip_scalar(struct scanner *s)
{
    bool escaped;
    switch (*s->at) {
    case '"':
        return skip_string(s, &escaped);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        return skip_number(s);
    }
}

/* `"name" :` */
static bool skip_name(struct scanner *s, bool *escaped)
{
    skip_space(s);
    if (!skip_string(s, escaped))
        return false;
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return fail(s, JSON_SYNTAX);
    s->at++;
    return true;
}

/* After a value within a container: closes as many as end here, or goes on to the next value. */
static bool close_or_continue(struct scanner *s, const char *open, unsigned *depth)
{
    bool escaped;
    while (*depth > 0) {
        skip_space(s);
        if (s->at == s->end)
            return fail(s, JSON_SYNTAX);
        char c = *s->at++;
        bool object = open[*depth - 1] == '{';
        if (c == ',')
            return !object || skip_name(s, &escaped);
        if (c != (object ? '}' : ']'))
            return fail(s, JSON_SYNTAX);
        (*depth)--;
    }
    return true;
}

/* Opens a container. *is_empty: it was closed again at once. */
static bool open_container(struct scanner *s, char *open, unsigned *depth, bool *is_empty)
{
    if (*depth == LIMIT_JSON_DEPTH)
        return fail(s, JSON_TOO_DEEP);
    bool escaped;
    char c = *s->at++;
    skip_space(s);
    *is_empty = s->at < s->end && *s->at == (c == '{' ? '}' : ']');
    if (*is_empty) {
        s->at++;
        return true;
    }
    open[(*depth)++] = c;
    return c == '[' || skip_name(s, &escaped);
}

/* One value of any type, without recursion: the other side chooses the depth. */
static bool skip_value(struct scanner *s)
{
    char open[LIMIT_JSON_DEPTH];
    unsigned depth = 0;
    do {
        skip_space(s);
        if (s->at == s->end)
            return fail(s, JSON_SYNTAX);
        bool complete = true;
        if (*s->at == '{' || *s->at == '[') {
            if (!open_container(s, open, &depth, &complete))
                return false;
        } else if (!skip_scalar(s)) {
            return false;
        }
        if (complete && !close_or_continue(s, open, &depth))
            return false;
    } while (depth > 0);
    return true;
}

/* ---- Objects */

static bool decode_name(const struct json_member *member, struct buf *out)
{
    struct json_slice quoted = {member->name.at - 1, member->name.length + 2};
    return json_decode_string(quoted, out);
}

bool json_same_name(const struct json_member *a, const struct json_member *b)
{
    if (!a->escaped_name && !b->escaped_name)
        return a->name.length == b->name.length &&
               memcmp(a->name.at, b->name.at, a->name.length) == 0;
    struct buf left, right;
    buf_init(&left, LIMIT_EVENT);
    buf_init(&right, LIMIT_EVENT);
    bool same = decode_name(a, &left) && decode_name(b, &right) && left.length == right.length &&
                (left.length == 0 || memcmp(left.data, right.data, left.length) == 0);
    buf_clear(&left);
    buf_clear(&right);
    return same;
}

bool json_name_is(const struct json_member *member, const char *name)
{
    struct json_member wanted = {.name = {name, strlen(name)}};
    if (!member->escaped_name)
        return json_same_name(member, &wanted);
    struct buf decoded;
    buf_init(&decoded, LIMIT_EVENT);
    bool same = decode_name(member, &decoded) && decoded.length == wanted.name.length &&
                (decoded.length == 0 || memcmp(decoded.data, name, decoded.length) == 0);
    buf_clear(&decoded);
    return same;
}

const struct json_member *json_find(const struct json_object *object, const char *name)
{
    for (size_t i = 0; i < object->count; i++)
        if (json_name_is(&object->members[i], name))
            return &object->members[i];
    return NULL;
}

static bool keep_member(
    struct json_object *object, struct scanner *s, const struct json_member *member)
{
    for (size_t i = 0; i < object->count; i++) {
        if (!json_same_name(&object->members[i], member))
            continue;
        if (object->duplicate.length == 0)
            object->duplicate = member->name;
        object->members[i].value = member->value;
        return true;
    }
    if (object->count == LIMIT_JSON_MEMBERS)
        return fail(s, JSON_TOO_MANY);
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
    skip_space(s);
    const char *quote = s->at;
    if (!skip_string(s, &member.escaped_name))
        return false;
    member.name = (struct json_slice){quote + 1, (size_t)(s->at - quote) - 2};
    skip_space(s);
    if (s->at == s->end || *s->at++ != ':')
        return fail(s, JSON_SYNTAX);
    skip_space(s);
    const char *value = s->at;
    if (!skip_value(s))
        return false;
    member.value = (struct json_slice){value, (size_t)(s->at - value)};
    return keep_member(object, s, &member);
}

/* Behind the opening brace, to behind the closing one. */
static bool read_members(struct json_object *object, struct scanner *s)
{
    skip_space(s);
    if (s->at < s->end && *s->at == '}') {
        s->at++;
        return true;
    }
    for (;;) {
        if (!read_member(object, s))
            return false;
        skip_space(s);
        if (s->at == s->end)
            return fail(s, JSON_SYNTAX);
        char c = *s->at++;
        if (c == '}')
            return true;
        if (c != ',')
            return fail(s, JSON_SYNTAX);
    }
}

static enum json_result scan_object(struct json_object *object, const char *text, size_t length)
{
    if (!utf8_valid(text, length))
        return JSON_NOT_UTF8;
    struct scanner s = {text, text + length, JSON_OK, JSON_OK};
    skip_space(&s);
    if (s.at == s.end)
        return JSON_SYNTAX;
    if (*s.at != '{') {
        if (!skip_value(&s))
            return s.broken;
        return JSON_WRONG_TYPE;
    }
    s.at++;
    if (!read_members(object, &s))
        return s.broken;
    skip_space(&s);
    return s.at < s.end ? JSON_SYNTAX : s.refused;
}

enum json_result json_object_read(struct json_object *object, const char *text, size_t length)
{
    object->count = 0;
    object->duplicate = (struct json_slice){NULL, 0};
    enum json_result result = scan_object(object, text, length);
    if (result != JSON_OK)
        object->count = 0;
    return result;
}

void json_object_clear(struct json_object *object)
{
    free(object->members);
    *object = (struct json_object){0};
}

/* ---- Arrays */

enum json_result json_array_begin(struct json_array *array, const char *text, size_t length)
{
    struct scanner s = {text, text + length, JSON_OK, JSON_OK};
    skip_space(&s);
    if (s.at == s.end)
        return JSON_SYNTAX;
    if (*s.at != '[') {
        if (!skip_value(&s))
            return s.broken;
        return JSON_WRONG_TYPE;
    }
    *array = (struct json_array){s.at + 1, s.end, true};
    return JSON_OK;
}

/* JSON_OK: a value follows; JSON_END: the array and the text end here. */
static enum json_result array_step(struct json_array *array, struct scanner *s)
{
    skip_space(s);
    if (s->at == s->end)
        return JSON_SYNTAX;
    if (*s->at == ']') {
        s->at++;
        skip_space(s);
        return s->at == s->end ? JSON_END : JSON_SYNTAX;
    }
    if (!array->first && *s->at++ != ',')
        return JSON_SYNTAX;
    skip_space(s);
    return JSON_OK;
}

enum json_result json_array_next(struct json_array *array, struct json_slice *element)
{
    struct scanner s = {array->at, array->end, JSON_OK, JSON_OK};
    enum json_result step = array_step(array, &s);
    if (step != JSON_OK)
        return step;
    const char *from = s.at;
    if (!skip_value(&s))
        return s.broken;
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

bool json_decode_string(struct json_slice value, struct buf *out)
{
    if (!json_is_string(value))
        return false;
    if (!memchr(value.at, '\\', value.length))
        return buf_append(out, value.at + 1, value.length - 2);
    cJSON *tree = cJSON_ParseWithLength(value.at, value.length);
    bool done = tree && cJSON_IsString(tree) && buf_append_text(out, tree->valuestring);
    cJSON_Delete(tree);
    return done;
}

void json_append_string(struct buf *out, const char *text, size_t length)
{
    buf_append_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_append(out, text + from, i - from);
        if (c < 0x20)
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
