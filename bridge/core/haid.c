/* Object ids and entity ids for Home Assistant. */
#include "haid.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Longer ones are escaped like those with other characters, so that the common case stays short. */
#define PLAIN_LENGTH 64
/* Home Assistant refuses entity ids of more than 255 characters; the domain stands before it, and
 * a number may come behind it. */
#define SLUG_LENGTH 200

#define ESCAPED "x-"
/* What stands between the parts. A root that holds the beginning of it would make "<root>_job_<id>"
 * ambiguous: it counts as not plain. */
#define JOB_MARK "_job"

static bool is_alphanumeric(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_plain(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > PLAIN_LENGTH || strncmp(text, ESCAPED, strlen(ESCAPED)) == 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    return true;
}

static void append_escaped(struct buf *out, const char *text)
{
    buf_append_text(out, ESCAPED);
    for (const char *c = text; *c != '\0'; c++) {
        if (is_alphanumeric(*c))
            buf_append_char(out, *c);
        else
            buf_printf(out, "-%02X", (unsigned char)*c);
    }
}

static void append_root(struct buf *out, const char *root)
{
    if (is_plain(root) && !strstr(root, JOB_MARK))
        buf_append_text(out, root);
    else
        append_escaped(out, root);
}

void haid_append_bridge(struct buf *out, const char *root)
{
    append_root(out, root);
    buf_append_text(out, "_bridge");
}

void haid_append_job(struct buf *out, const char *root, const char *id)
{
    append_root(out, root);
    buf_append_text(out, JOB_MARK "_");
    if (is_plain(id))
        buf_append_text(out, id);
    else
        append_escaped(out, id);
}

enum haid haid_recognise(const char *root, const char *object_id)
{
    struct buf own;
    enum haid kind = HAID_OTHER;
    buf_init(&own, UINT16_MAX);
    append_root(&own, root);
    if (strncmp(object_id, own.data, own.length) == 0) {
        const char *rest = object_id + own.length;
        if (strcmp(rest, "_bridge") == 0)
            kind = HAID_BRIDGE;
        else if (strncmp(rest, JOB_MARK "_", strlen(JOB_MARK "_")) == 0)
            kind = HAID_JOB;
    }
    buf_clear(&own);
    return kind;
}

void haid_append_slug(struct buf *out, const char *text)
{
    size_t start = out->length;
    bool gap = false;
    for (const char *c = text; *c != '\0' && out->length - start < SLUG_LENGTH; c++) {
        if (!is_alphanumeric(*c)) {
            gap = out->length > start;
            continue;
        }
        if (gap)
            buf_append_char(out, '_');
        gap = false;
        char small = *c;
        if (small >= 'A' && small <= 'Z')
            small = (char)(small - 'A' + 'a');
        buf_append_char(out, small);
    }
}
