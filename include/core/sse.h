#ifndef SSE_H
#define SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Server-Sent Events as a push parser: the algorithm of the WHATWG HTML standard, section 9.2.6
 * ("Interpreting an event stream"), fed with pieces of any size. Pure: no I/O, no clock.
 */
struct sse;

struct sse_event {
    const char *type; /* "message" where the stream named none; NUL-terminated */
    const char *data; /* `length` bytes and a NUL behind them; may hold NUL bytes */
    size_t length;
    const char *last_event_id; /* sticky, "" if none */
};

struct sse_handler {
    void *ctx;
    /* An event was dispatched. The pointers are borrowed for the call. */
    void (*on_event)(void *ctx, const struct sse_event *event);
    /* `retry:` was given: the reconnection time in milliseconds, clamped to INT_MAX. */
    void (*on_retry)(void *ctx, int retry_ms);
    /* An event exceeded a limit and is skipped up to the next blank line. Once for each such event.
     */
    void (*on_oversize)(void *ctx);
};

/* The handler is copied. max_line and max_data are in bytes. The caller frees with sse_free. */
struct sse *sse_new(const struct sse_handler *handler, size_t max_line, size_t max_data);
void sse_free(struct sse *sse);

/* Consumes all of `length` bytes; calls the handler for what they complete. The handler must not
 * call sse_feed, sse_restart or sse_free on this parser. */
void sse_feed(struct sse *sse, const char *bytes, size_t length);

/* A new connection begins: a partial line or event is discarded, the BOM is expected again, the
 * last event id stays (9.2.3). */
void sse_restart(struct sse *sse);

/* The id to send as Last-Event-ID; "" if none. Borrowed until the next sse_feed or sse_free. */
const char *sse_last_event_id(const struct sse *sse);
/* Drops that id, as if none had been seen. */
void sse_forget_id(struct sse *sse);

#endif
