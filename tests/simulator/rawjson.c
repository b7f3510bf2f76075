#include "rawjson.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "mem.h"

#define MOST_LEVELS 512 /* the check recurses, one frame a level */

struct scan {
    const char *at;
    const char *end;
};

static bool scan_value(struct scan *scan, unsigned level);

struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

bool slice_is(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.start, text, slice.length) == 0;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0')
        scan->at++;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool is_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static bool scan_digits(struct scan *scan)
{
    if (!is_digit(scan))
        return false;
    while (is_digit(scan))
        scan->at++;
    return true;
}

static bool scan_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan))
        return false;
    if (take(scan, '.') && !scan_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return scan_digits(scan);
    }
    return true;
}

static bool scan_escape(struct scan *scan)
{
    if (take(scan, 'u')) {
        for (int i = 0; i < 4; i++, scan->at++) {
            if (scan->at == scan->end || *scan->at == '\0' ||
                strchr("0123456789abcdefABCDEF", *scan->at) == NULL)
                return false;
        }
        return true;
    }
    if (scan->at == scan->end || *scan->at == '\0' || strchr("\"\\/bfnrt", *scan->at) == NULL)
        return false;
    scan->at++;
    return true;
}

static bool scan_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end && *scan->at != '"') {
        if ((unsigned char)*scan->at < 0x20)
            return false;
        if (*scan->at++ == '\\' && !scan_escape(scan))
            return false;
    }
    return take(scan, '"');
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

static bool scan_member(struct scan *scan, unsigned level)
{
    if (!scan_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':') && scan_value(scan, level);
}

/* An object or an array: the opening bracket has been taken. */
static bool scan_inside(struct scan *scan, char closing, unsigned level)
{
    skip_space(scan);
    if (take(scan, closing))
        return true;
    do {
        skip_space(scan);
        if (closing == '}' ? !scan_member(scan, level) : !scan_value(scan, level))
            return false;
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, closing);
}

static bool scan_value(struct scan *scan, unsigned level)
{
    skip_space(scan);
    if (scan->at == scan->end || level > MOST_LEVELS)
        return false;
    switch (*scan->at) {
    case '{':
        scan->at++;
        return scan_inside(scan, '}', level + 1);
    case '[':
        scan->at++;
        return scan_inside(scan, ']', level + 1);
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

bool rawjson_check(struct slice *text, struct error *error)
{
    const char *end = text->start + text->length;
    struct scan scan = {text->start, end};
    skip_space(&scan);
    struct slice value = {scan.at, 0};
    bool valid = scan_value(&scan, 0);
    value.length = (size_t)(scan.at - value.start);
    if (valid)
        skip_space(&scan);
    if (!valid || scan.at != end)
        return error_set(error, ERROR_USAGE, "not JSON from byte %zu on", scan.at - text->start);
    *text = value;
    return true;
}

char rawjson_type(struct slice value)
{
    char first = value.length > 0 ? *value.start : '\0';
    return first == '-' || (first >= '0' && first <= '9') ? '0' : first;
}

struct slice rawjson_inside(struct slice value)
{
    return (struct slice){value.start + 1, value.length - 2};
}

static struct slice take_value(struct scan *scan)
{
    skip_space(scan);
    struct slice value = {scan->at, 0};
    scan_value(scan, 0);
    value.length = (size_t)(scan->at - value.start);
    return value;
}

static void leave(struct scan *scan, struct slice *rest)
{
    skip_space(scan);
    take(scan, ',');
    *rest = (struct slice){scan->at, (size_t)(scan->end - scan->at)};
}

bool rawjson_next_member(struct slice *rest, struct slice *name, struct slice *value)
{
    struct scan scan = {rest->start, rest->start + rest->length};
    skip_space(&scan);
    if (scan.at == scan.end)
        return false;
    *name = take_value(&scan);
    skip_space(&scan);
    take(&scan, ':');
    *value = take_value(&scan);
    leave(&scan, rest);
    return true;
}

bool rawjson_next_element(struct slice *rest, struct slice *value)
{
    struct scan scan = {rest->start, rest->start + rest->length};
    skip_space(&scan);
    if (scan.at == scan.end)
        return false;
    *value = take_value(&scan);
    leave(&scan, rest);
    return true;
}

bool rawjson_find(struct slice object, const char *name, struct slice *value)
{
    struct slice rest = rawjson_inside(object);
    struct slice quoted;
    struct slice each;
    bool found = false;
    while (rawjson_next_member(&rest, &quoted, &each)) {
        if (slice_is(rawjson_inside(quoted), name)) {
            *value = each;
            found = true;
        }
    }
    return found;
}

static bool has_nul(struct slice string)
{
    for (size_t i = 0; i + 6 <= string.length; i++) {
        if (string.start[i] != '\\')
            continue;
        if (memcmp(string.start + i, "\\u0000", 6) == 0)
            return true;
        i++;
    }
    return false;
}

char *rawjson_text(struct slice value)
{
    if (rawjson_type(value) != '"' || has_nul(value))
        return NULL;
    cJSON *parsed = cJSON_ParseWithLength(value.start, value.length);
    char *text = cJSON_IsString(parsed) ? xstrdup(parsed->valuestring) : NULL;
    cJSON_Delete(parsed);
    return text;
}

void rawjson_quote(struct buf *buf, const char *text)
{
    buf_append_char(buf, '"');
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            buf_printf(buf, "\\%c", c);
        else if (c < 0x20)
            buf_printf(buf, "\\u%04x", c);
        else
            buf_append_char(buf, (char)c);
    }
    buf_append_char(buf, '"');
}
