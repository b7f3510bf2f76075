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
        [JSON_TOO_DEEP] = "nested more than " TEXT_OF(LIMIT_JSON_DEPTH) " levels deep",
        [JSON_TOO_MANY] = "an object of more than " TEXT_OF(LIMIT_JSON_MEMBERS) " members",
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

/* ---- Scanning. The first problem ends it, and `at` then stays where that problem is. */

struct scanner {
    const char *text;
    const char *at;
    const char *end;
    enum json_result result;
    const char *reason;
    bool any_string; /* takes \u0000 and half pairs too: an array is walked to its end past them */
};

static struct scanner begin(const char *text, size_t length)
{
    return (struct scanner){.text = text, .at = text, .end = text + length, .result = JSON_OK};
}

static enum json_result finish(const struct scanner *s, struct json_problem *problem)
{
    *problem = (struct json_problem){(size_t)(s->at - s->text), s->reason};
    return s->result;
}

static bool fail(struct scanner *s, enum json_result result, const char *reason)
{
    s->result = result;
    s->reason = reason;
    return false;
}

static bool fail_at(struct scanner *s, const char *at, enum json_result result, const char *reason)
{
    s->at = at;
    return fail(s, result, reason);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_some_space(struct scanner *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

/* Between most tokens there is none. */
static inline void skip_space(struct scanner *s)
{
    if (s->at < s->end && (unsigned char)*s->at <= ' ')
        skip_some_space(s);
}

/* The next byte; NUL, which no token holds, at the end. */
static char take(struct scanner *s)
{
    if (s->at == s->end)
        return '\0';
    return *s->at++;
}

static bool is_behind_comma(const struct scanner *s)
{
    const char *before = s->at;
    while (before > s->text && is_space(before[-1]))
        before--;
    return before > s->text && before[-1] == ',';
}

/* Where a name or a value should stand. `closing` ends the container in which a comma leads here.
 */
static bool fail_expecting(struct scanner *s, char closing, const char *expected)
{
    bool too_many = s->at < s->end && *s->at == closing && is_behind_comma(s);
    return fail(s, JSON_SYNTAX, too_many ? "the comma before this is one too many" : expected);
}

/* ---- Strings */

/* Behind the "\u" of an escape. */
static bool read_hex4(struct scanner *s, unsigned *value)
{
    const char *digits = s->at;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = take(s);
        unsigned digit;
        if (is_digit(c))
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a') + 10;
        else
            return fail_at(
                s, digits - 2, JSON_SYNTAX, "expected four hexadecimal digits after \\u");
        *value = *value * 16 + digit;
    }
    return true;
}

/* Behind a high surrogate: takes the low one that must follow. */
static bool skip_low_surrogate(struct scanner *s, bool *found)
{
    const char *before = s->at;
    unsigned low;
    *found = false;
    if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return true;
    s->at += 2;
    if (!read_hex4(s, &low))
        return false;
    *found = low >= 0xDC00 && low <= 0xDFFF;
    if (!*found)
        s->at = before;
    return true;
}

/* Behind the "\u" of an escape. */
static bool skip_unicode_escape(struct scanner *s)
{
    const char *escape = s->at - 2;
    unsigned unit;
    if (!read_hex4(s, &unit))
        return false;
    if (unit == 0 && !s->any_string)
        return fail_at(s, escape, JSON_NUL, "\\u0000 is not allowed");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    bool paired = false;
    if (unit < 0xDC00 && !skip_low_surrogate(s, &paired))
        return false;
    if (!paired && !s->any_string)
        return fail_at(s, escape, JSON_SURROGATE, "this is half of a surrogate pair");
    return true;
}

/* Behind the backslash. */
static bool skip_escape(struct scanner *s)
{
    const char *escape = s->at - 1;
    char c = take(s);
    if (c == 'u')
        return skip_unicode_escape(s);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return fail_at(s, escape, JSON_SYNTAX, "this is not an escape sequence of JSON");
    return true;
}

/* Behind a control character, or at the end of the text, which is the end of a line. */
static bool fail_in_string(struct scanner *s, const char *quote, unsigned char c)
{
    if (c == '\n')
        return fail_at(s, quote, JSON_SYNTAX, "this string has no end on its line");
    return fail_at(s, s->at - 1, JSON_SYNTAX, "a control character in a string must be escaped");
}

/* At the opening quote. */
static bool skip_string(struct scanner *s, bool *escaped)
{
    const char *quote = s->at, *at = quote + 1;
    while (at < s->end) {
        unsigned char c = (unsigned char)*at++;
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        s->at = at;
        if (c == '"')
            return true;
        if (c != '\\')
            return fail_in_string(s, quote, c);
        *escaped = true;
        if (!skip_escape(s))
            return false;
        at = s->at;
    }
    return fail_in_string(s, quote, '\n');
}

/* ---- Numbers and words */

static bool skip_digits(struct scanner *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_digit(*s->at))
        s->at++;
    return s->at > from || fail(s, JSON_SYNTAX, "expected a digit");
}

static bool skip_whole_number(struct scanner *s)
{
    if (s->at == s->end || *s->at != '0')
        return skip_digits(s);
    s->at++;
    if (s->at < s->end && is_digit(*s->at))
        return fail(s, JSON_SYNTAX, "a number must not begin with 0");
    return true;
}

static bool skip_number(struct scanner *s)
{
    if (*s->at == '-')
        s->at++;
    if (!skip_whole_number(s))
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
        return fail(s, JSON_SYNTAX, "expected a value");
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
        if (*s->at == '-' || is_digit(*s->at))
            return skip_number(s);
        return fail_expecting(s, ']', "expected a value");
    }
}

/* ---- Containers */

/* `"name" :` */
static bool skip_name(struct scanner *s, struct json_member *member)
{
    skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return fail_expecting(s, '}', "expected a member's name in double quotes");
    const char *quote = s->at;
    if (!skip_string(s, &member->escaped_name))
        return false;
    member->name = (struct json_slice){quote + 1, (size_t)(s->at - quote) - 2};
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return fail(s, JSON_SYNTAX, "expected a colon");
    s->at++;
    return true;
}

/* Behind a value in a container: takes the comma or the closing bracket. */
static bool skip_separator(struct scanner *s, char closing, bool *closed)
{
    skip_space(s);
    if (s->at == s->end || (*s->at != ',' && *s->at != closing))
        return fail(s, JSON_SYNTAX,
            closing == '}' ? "expected a comma or a closing brace"
                           : "expected a comma or a closing bracket");
    *closed = *s->at++ == closing;
    return true;
}

/* Behind a value: closes as many containers as end here, or goes on to the next value. */
static bool close_or_continue(struct scanner *s, const char *closings, unsigned *depth)
{
    while (*depth > 0) {
        char closing = closings[*depth - 1];
        bool closed;
        if (!skip_separator(s, closing, &closed))
            return false;
        if (!closed)
            return closing == ']' || skip_name(s, &(struct json_member){0});
        (*depth)--;
    }
    return true;
}

/* Opens a container. *is_empty: it was closed again at once. */
static bool open_container(struct scanner *s, char *closings, unsigned *depth, bool *is_empty)
{
    if (*depth == LIMIT_JSON_DEPTH)
        return fail(s, JSON_TOO_DEEP, "nested too deeply");
    char closing = *s->at++ == '{' ? '}' : ']';
    skip_space(s);
    *is_empty = s->at < s->end && *s->at == closing;
    if (*is_empty) {
        s->at++;
        return true;
    }
    closings[(*depth)++] = closing;
    return closing == ']' || skip_name(s, &(struct json_member){0});
}

/* One value of any type, without recursion: the other side chooses the depth. */
static bool skip_value(struct scanner *s)
{
    char closings[LIMIT_JSON_DEPTH];
    unsigned depth = 0;
    do {
        skip_space(s);
        if (s->at == s->end)
            return fail(s, JSON_SYNTAX, "expected a value");
        bool complete = true;
        if (*s->at == '{' || *s->at == '[') {
            if (!open_container(s, closings, &depth, &complete))
                return false;
        } else if (!skip_scalar(s)) {
            return false;
        }
        if (complete && !close_or_continue(s, closings, &depth))
            return false;
    } while (depth > 0);
    return true;
}

/* ---- Documents */

static bool check_utf8(struct scanner *s)
{
    size_t length = (size_t)(s->end - s->text);
    size_t valid = utf8_valid_length(s->text, length);
    return valid == length || fail_at(s, s->text + valid, JSON_NOT_UTF8, "this is not valid UTF-8");
}

static bool check_end(struct scanner *s)
{
    skip_space(s);
    return s->at == s->end || fail(s, JSON_SYNTAX, "expected nothing more here");
}

/* Goes to the opening bracket; false where the text is something else. */
static bool find_opening(struct scanner *s, char bracket, const char *expected)
{
    skip_space(s);
    if (s->at < s->end && *s->at == bracket)
        return true;
    const char *value = s->at;
    return skip_value(s) && fail_at(s, value, JSON_WRONG_TYPE, expected);
}

enum json_result json_check(const char *text, size_t length, struct json_problem *problem)
{
    struct scanner s = begin(text, length);
    if (check_utf8(&s) && skip_value(&s))
        check_end(&s);
    return finish(&s, problem);
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
        object->members[i].value = member->value;
        object->members[i].repeated = true;
        return true;
    }
    if (object->count == LIMIT_JSON_MEMBERS)
        return fail_at(s, member->name.at - 1, JSON_TOO_MANY, "too many members");
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
    if (!skip_name(s, &member))
        return false;
    skip_space(s);
    const char *value = s->at;
    if (!skip_value(s))
        return false;
    member.value = (struct json_slice){value, (size_t)(s->at - value)};
    return keep_member(object, s, &member);
}

/* At the opening brace, to behind the closing one. */
static bool read_members(struct json_object *object, struct scanner *s)
{
    s->at++;
    skip_space(s);
    bool closed = s->at < s->end && *s->at == '}';
    if (closed)
        s->at++;
    while (!closed)
        if (!read_member(object, s) || !skip_separator(s, '}', &closed))
            return false;
    return true;
}

enum json_result json_object_read(struct json_object *object, const char *text, size_t length)
{
    struct scanner s = begin(text, length);
    object->count = 0;
    if (!check_utf8(&s) || !find_opening(&s, '{', "expected an object") ||
        !read_members(object, &s) || !check_end(&s))
        object->count = 0;
    return finish(&s, &object->problem);
}

void json_object_clear(struct json_object *object)
{
    free(object->members);
    *object = (struct json_object){0};
}

/* ---- Arrays */

enum json_result json_array_begin(struct json_array *array, const char *text, size_t length)
{
    struct scanner s = begin(text, length);
    s.any_string = true;
    if (find_opening(&s, '[', "expected an array"))
        s.at++;
    *array = (struct json_array){.text = text, .at = s.at, .end = s.end, .first = true};
    return finish(&s, &array->problem);
}

/* Goes to the next element; *closed: to the end of the array instead. */
static bool array_step(const struct json_array *array, struct scanner *s, bool *closed)
{
    skip_space(s);
    *closed = array->first && s->at < s->end && *s->at == ']';
    if (*closed)
        s->at++;
    else if (!array->first && !skip_separator(s, ']', closed))
        return false;
    skip_space(s);
    return true;
}

enum json_result json_array_next(struct json_array *array, struct json_slice *element)
{
    struct scanner s = begin(array->text, (size_t)(array->end - array->text));
    bool closed;
    s.any_string = true;
    s.at = array->at;
    if (!array_step(array, &s, &closed))
        return finish(&s, &array->problem);
    if (closed)
        return check_end(&s) ? JSON_END : finish(&s, &array->problem);
    const char *from = s.at;
    if (!skip_value(&s))
        return finish(&s, &array->problem);
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
