/* Any bytes in any pieces: the calls must not depend on how the stream was cut, and no event may be
 * larger than its limit. Limits are small, so that short inputs reach them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sse.h"

enum { MAX_LINE = 48, MAX_DATA = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What the parser called, as a count and a checksum (FNV-1a). */
struct calls {
    size_t count;
    uint64_t sum;
};

static void add(struct calls *calls, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < length; i++)
        calls->sum = (calls->sum ^ at[i]) * UINT64_C(0x100000001B3);
    calls->sum = (calls->sum ^ length) * UINT64_C(0x100000001B3);
}

static void on_event(void *ctx, const struct sse_event *event)
{
    struct calls *calls = ctx;

    if (event->length > MAX_DATA || event->data[event->length] != '\0')
        abort();
    calls->count++;
    add(calls, event->type, strlen(event->type));
    add(calls, event->data, event->length);
    add(calls, event->last_event_id, strlen(event->last_event_id));
}

static void on_retry(void *ctx, int retry_ms)
{
    if (retry_ms < 0)
        abort();
    add(ctx, &retry_ms, sizeof retry_ms);
}

static void on_oversize(void *ctx)
{
    add(ctx, "oversize", 8);
}

/* Feeds pieces whose sizes come from `seed`; 0 feeds all at once. Restarts half way if asked to. */
static struct calls parse(const char *bytes, size_t length, unsigned seed, bool restart)
{
    struct calls calls = {0};
    struct sse_handler handler = {&calls, on_event, on_retry, on_oversize};
    struct sse *sse = sse_new(&handler, MAX_LINE, MAX_DATA);
    size_t half = restart ? length / 2 : length;

    for (size_t at = 0; at < length;) {
        size_t left = (at < half ? half : length) - at;
        size_t piece = seed > 0 ? seed % 7 + 1 : left;

        piece = piece < left ? piece : left;
        sse_feed(sse, bytes + at, piece);
        at += piece;
        seed = seed > 0 ? (seed * 5 + 3) % 251 + 1 : 0;
        if (restart && at == half)
            sse_restart(sse);
    }
    add(&calls, sse_last_event_id(sse), strlen(sse_last_event_id(sse)));
    sse_free(sse);
    return calls;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const char *stream = (const char *)bytes + 1;
    struct calls whole, pieces;
    bool restart;

    if (length < 2)
        return 0;
    length--;
    restart = bytes[0] >= 128;
    whole = parse(stream, length, 0, restart);
    pieces = parse(stream, length, bytes[0] % 128u + 1, restart);
    if (whole.count != pieces.count || whole.sum != pieces.sum)
        abort();
    return 0;
}
