/* The event stream parser: WHATWG HTML 9.2.6 for pieces of any size, with limits that the standard
 * does not have. Bytes are handed on as they came: whether they are UTF-8 is the reader's to judge.
 * A line that is whole within a piece is parsed where it lies; only one that is cut is copied. */
#include "sse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "limit.h"
#include "mem.h"

/* What buffers may keep after an event that was too large. */
enum { KEPT_CAPACITY = 64 * 1024 };

static const char BOM[] = {'\xEF', '\xBB', '\xBF'};

struct sse {
    struct sse_handler handler;
    struct buf line; /* the beginning of a line whose end has not come yet */
    struct buf data;
    struct buf type;
    char id[LIMIT_SSE_ID + 1];            /* as last read */
    char dispatched_id[LIMIT_SSE_ID + 1]; /* as of the last blank line: the one that counts */
    size_t max_line;
    unsigned bom_bytes; /* of the BOM, seen at the start; all of them also if there was none */
    bool id_changed;
    bool has_data;  /* a data line came; an empty one makes an event too */
    bool after_cr;  /* an LF that comes next belongs to the line end before */
    bool line_cut;  /* the line is too long: the rest of it is dropped */
    bool oversized; /* the event is too large: it is dropped, and ends at the next blank line */
};

struct sse *sse_new(const struct sse_handler *handler, size_t max_line, size_t max_data)
{
    struct sse *sse = xcalloc(1, sizeof *sse);

    assert(handler->on_event != NULL && handler->on_retry != NULL && handler->on_oversize != NULL);
    sse->handler = *handler;
    sse->max_line = max_line;
    buf_init(&sse->line, max_line);
    buf_init(&sse->data, max_data);
    buf_init(&sse->type, max_line);
    return sse;
}

void sse_free(struct sse *sse)
{
    if (sse == NULL)
        return;
    buf_clear(&sse->line);
    buf_clear(&sse->data);
    buf_clear(&sse->type);
    free(sse);
}

const char *sse_last_event_id(const struct sse *sse)
{
    return sse->dispatched_id;
}

void sse_forget_id(struct sse *sse)
{
    sse->dispatched_id[0] = '\0';
    sse->id[0] = '\0';
}

static void empty(struct buf *buf)
{
    if (buf->capacity > KEPT_CAPACITY)
        buf_clear(buf);
    else
        buf_reset(buf);
}

static void begin_event(struct sse *sse)
{
    /* The data's memory is kept, for the next event of the same size. */
    buf_reset(&sse->data);
    empty(&sse->type);
    sse->has_data = false;
    sse->oversized = false;
}

void sse_restart(struct sse *sse)
{
    empty(&sse->line);
    begin_event(sse);
    /* An id that no blank line confirmed belongs to the event that is discarded. */
    memcpy(sse->id, sse->dispatched_id, sizeof sse->id);
    sse->id_changed = false;
    sse->bom_bytes = 0;
    sse->after_cr = false;
    sse->line_cut = false;
}

static void drop_event(struct sse *sse)
{
    if (sse->oversized)
        return;
    sse->oversized = true;
    empty(&sse->data);
    empty(&sse->type);
    sse->handler.on_oversize(sse->handler.ctx);
}

static void dispatch(struct sse *sse)
{
    /* Also where there is no data, or too much: a reconnection need not ask for that event again.
     */
    if (sse->id_changed) {
        memcpy(sse->dispatched_id, sse->id, sizeof sse->id);
        sse->id_changed = false;
    }
    if (sse->has_data && !sse->oversized) {
        struct sse_event event = {
            .type = sse->type.length > 0 ? sse->type.data : "message",
            .data = sse->data.data,
            .length = sse->data.length,
            .last_event_id = sse->dispatched_id,
        };
        sse->handler.on_event(sse->handler.ctx, &event);
    }
    begin_event(sse);
}

/* The standard ends each data line with an LF and removes the last; here it goes between them. */
static void add_data(struct sse *sse, const char *value, size_t length)
{
    if (sse->oversized)
        return;
    if ((sse->has_data && !buf_append_char(&sse->data, '\n')) ||
        !buf_append(&sse->data, value, length))
        drop_event(sse);
    sse->has_data = true;
}

static void set_type(struct sse *sse, const char *value, size_t length)
{
    if (sse->oversized)
        return;
    buf_reset(&sse->type);
    if (!buf_append(&sse->type, value, length))
        drop_event(sse);
}

static void set_id(struct sse *sse, const char *value, size_t length)
{
    if (length > LIMIT_SSE_ID || memchr(value, '\0', length) != NULL)
        return;
    memcpy(sse->id, value, length);
    sse->id[length] = '\0';
    sse->id_changed = true;
}

static void set_retry(struct sse *sse, const char *value, size_t length)
{
    int64_t ms = 0;

    if (length == 0)
        return;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms * 10 + (value[i] - '0');
        if (ms > INT32_MAX)
            ms = INT32_MAX;
    }
    sse->handler.on_retry(sse->handler.ctx, (int)ms);
}

static bool is_named(const char *line, size_t length, const char *name)
{
    return length == strlen(name) && memcmp(line, name, length) == 0;
}

/* Comments end up as fields without a name, and are ignored as any unknown field is. */
static void interpret(struct sse *sse, const char *line, size_t length)
{
    const char *end = line + length;
    const char *colon = memchr(line, ':', length);
    size_t name_length = colon != NULL ? (size_t)(colon - line) : length;
    const char *value = colon != NULL ? colon + 1 : end;

    if (value < end && *value == ' ')
        value++;
    length = (size_t)(end - value);
    if (is_named(line, name_length, "data"))
        add_data(sse, value, length);
    else if (is_named(line, name_length, "event"))
        set_type(sse, value, length);
    else if (is_named(line, name_length, "id"))
        set_id(sse, value, length);
    else if (is_named(line, name_length, "retry"))
        set_retry(sse, value, length);
}

/* Keeps a piece of a line until the rest comes, unless that makes the line too long. */
static void keep(struct sse *sse, const char *bytes, size_t length)
{
    if (sse->line_cut || length == 0 || buf_append(&sse->line, bytes, length))
        return;
    sse->line_cut = true;
    empty(&sse->line);
    drop_event(sse);
}

static void end_line(struct sse *sse, const char *bytes, size_t length)
{
    if (!sse->line_cut && sse->line.length == 0) {
        if (length == 0)
            dispatch(sse);
        else if (length > sse->max_line)
            drop_event(sse);
        else
            interpret(sse, bytes, length);
        return;
    }
    keep(sse, bytes, length);
    if (!sse->line_cut)
        interpret(sse, sse->line.data, sse->line.length);
    buf_reset(&sse->line);
    sse->line_cut = false;
}

/* Returns how many bytes at the start belong to a byte order mark, which may come in pieces. */
static size_t skip_bom(struct sse *sse, const char *bytes, size_t length)
{
    size_t used = 0;

    while (used < length && sse->bom_bytes < sizeof BOM) {
        if (bytes[used] != BOM[sse->bom_bytes]) {
            /* It only looked like one: what was held back begins the first line. */
            keep(sse, BOM, sse->bom_bytes);
            sse->bom_bytes = sizeof BOM;
            break;
        }
        sse->bom_bytes++;
        used++;
    }
    return used;
}

static const char *find(const char *from, const char *end, char c)
{
    const char *found = from < end ? memchr(from, c, (size_t)(end - from)) : NULL;

    return found != NULL ? found : end;
}

void sse_feed(struct sse *sse, const char *bytes, size_t length)
{
    const char *at = bytes;
    const char *end = bytes + length;
    const char *lf, *cr;

    if (length == 0)
        return;
    at += skip_bom(sse, at, length);
    if (sse->after_cr && at < end) {
        at += *at == '\n';
        sse->after_cr = false;
    }
    /* Each is looked for again only once it is behind, so that no byte is searched more than twice
     * whichever line end the stream uses. */
    lf = find(at, end, '\n');
    cr = find(at, end, '\r');
    while (lf < end || cr < end) {
        const char *stop = lf < cr ? lf : cr;

        end_line(sse, at, (size_t)(stop - at));
        at = stop + 1;
        if (stop == cr) {
            sse->after_cr = at == end;
            at += at < end && *at == '\n';
            cr = find(at, end, '\r');
        }
        if (lf < at)
            lf = find(at, end, '\n');
    }
    keep(sse, at, (size_t)(end - at));
}
