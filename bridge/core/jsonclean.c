/* What of JSON from outside must not be published as it stands. */
#include <string.h>

#include "json.h"
#include "jsonscan.h"
#include "secret.h"
#include "utf8.h"

/* Behind the closing quote of the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

static const char *skip_scalar(const char *at, const char *end)
{
    while (at < end && !strchr(" \t\r\n,:[]{}\"", *at))
        at++;
    return at;
}

/* Between the quotes, with NUL as any other character. */
static void decode(struct buf *out, const char *at, const char *end)
{
    while (at < end) {
        char bytes[4];
        uint32_t point = scan_character(&at, end);
        buf_append(out, bytes, utf8_encode(point, bytes));
    }
}

static bool holds_key(const char *at, const char *end)
{
    if (!memchr(at, '\\', (size_t)(end - at)))
        return secret_key_is_in(at, (size_t)(end - at));
    struct buf decoded;
    buf_init(&decoded, (size_t)(end - at));
    decode(&decoded, at, end);
    bool found = decoded.length > 0 && secret_key_is_in(decoded.data, decoded.length);
    buf_clear(&decoded);
    return found;
}

bool json_is_unclean(const char *text, size_t length, bool untidy)
{
    const char *at = text, *end = text + length;
    if (untidy || secret_key_is_in(text, length))
        return true;
    if (!secret_key_counts() || !memchr(text, '\\', length))
        return false;
    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        const char *behind = skip_string(at, end);
        if (holds_key(at + 1, behind - 1))
            return true;
        at = behind;
    }
    return false;
}

/* From the first quote to behind the last. */
static void clean_string(struct buf *out, const char *at, const char *end)
{
    if (holds_key(at + 1, end - 1)) {
        struct buf decoded;
        buf_init(&decoded, (size_t)(end - at));
        decode(&decoded, at + 1, end - 1);
        size_t length = secret_mask_key(decoded.data, decoded.length);
        json_append_string(out, decoded.data, length);
        buf_clear(&decoded);
        return;
    }
    while (at < end) {
        const char *from = at;
        if (scan_character(&at, end) == 0xFFFD && *from == '\\')
            buf_append_text(out, "\\ufffd");
        else
            buf_append(out, from, (size_t)(at - from));
    }
}

static void clean_scalar(struct buf *out, const char *at, const char *end)
{
    bool is_number = *at == '-' || (*at >= '0' && *at <= '9');
    if (is_number && (scan_number_is_huge(at, end) || holds_key(at, end)))
        buf_append_text(out, "null");
    else
        buf_append(out, at, (size_t)(end - at));
}

void json_clean(struct buf *out, const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    while (at < end) {
        const char *from = at;
        if (*at == '"') {
            at = skip_string(at, end);
            clean_string(out, from, at);
        } else if (strchr(" \t\r\n,:[]{}", *at)) {
            buf_append_char(out, *at++);
        } else {
            at = skip_scalar(at, end);
            clean_scalar(out, from, at);
        }
    }
}
