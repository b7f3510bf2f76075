/* The request target, decoded here and not by libmicrohttpd: that decodes the path before it is
 * divided, and a job id may hold an encoded slash. */
#include "uri.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "rawjson.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What is no valid escape stays as it stands, and so does %00, which a C string cannot hold. */
static char *decode(const char *text, size_t length, bool plus_is_space)
{
    char *out = xmalloc(length + 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int high = text[i] == '%' && i + 2 < length ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0 && high + low > 0) {
            out[used++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[used++] = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    out[used] = '\0';
    return out;
}

static void parse_path(struct uri *uri)
{
    const char *at = uri->path;
    while (*at == '/' && uri->segment_count < URI_MOST_SEGMENTS) {
        size_t length = strcspn(++at, "/");
        uri->segments[uri->segment_count++] = decode(at, length, false);
        at += length;
    }
}

static void parse_pair(struct uri *uri, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals == NULL ? length : (size_t)(equals - text);
    const char *value = equals == NULL ? text + length : equals + 1;
    uri->query = xreallocarray(uri->query, uri->query_count + 1, sizeof *uri->query);
    struct uri_pair *pair = &uri->query[uri->query_count++];
    pair->name = decode(text, name_length, true);
    pair->value = decode(value, (size_t)(text + length - value), true);
}

void uri_parse(struct uri *uri, const char *target)
{
    *uri = (struct uri){0};
    size_t path_length = strcspn(target, "?");
    uri->path = xmemdup0(target, path_length);
    parse_path(uri);
    const char *at = target + path_length;
    while (*at != '\0') {
        size_t length = strcspn(++at, "&");
        if (length > 0)
            parse_pair(uri, at, length);
        at += length;
    }
}

void uri_clear(struct uri *uri)
{
    for (size_t i = 0; i < uri->segment_count; i++)
        free(uri->segments[i]);
    for (size_t i = 0; i < uri->query_count; i++) {
        free(uri->query[i].name);
        free(uri->query[i].value);
    }
    free(uri->query);
    free(uri->path);
    *uri = (struct uri){0};
}

bool uri_segment_is(const struct uri *uri, size_t position, const char *text)
{
    return position < uri->segment_count && strcmp(uri->segments[position], text) == 0;
}

const char *uri_query(const struct uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->query_count; i++) {
        if (strcmp(uri->query[i].name, name) == 0)
            return uri->query[i].value;
    }
    return NULL;
}

void uri_append_query_names(struct buf *buf, const struct uri *uri)
{
    buf_append_char(buf, '[');
    for (size_t i = 0; i < uri->query_count; i++) {
        buf_append_text(buf, i == 0 ? "" : ", ");
        rawjson_quote(buf, uri->query[i].name);
    }
    buf_append_char(buf, ']');
}
