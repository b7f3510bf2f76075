#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

#include "faults.h"

/*
 * The event stream's subscribers. Each has a queue of bytes that libmicrohttpd reads from; a
 * connection with nothing to send is suspended until there is something.
 */
enum line_end { LINE_END_CRLF, LINE_END_LF, LINE_END_CR };

struct stream;
struct subscriber;

struct stream_event {
    const char *name; /* NULL: no `event:` line, as the next two */
    const char *id;   /* NULL: numbered by itself where ids are on */
    const char *retry;
    const char *data; /* every line of it gets its `data: ` */
    size_t length;
};

/* keepalive_ms: 0 for no comment lines. */
struct stream *stream_new(enum line_end line_end, bool event_ids, int64_t keepalive_ms);
/* All subscribers must be gone. */
void stream_free(struct stream *stream);

void stream_emit(struct stream *stream, const struct stream_event *event);
/* Bytes to every open stream as they stand. */
void stream_raw(struct stream *stream, const char *bytes, size_t length);
/* Ends all open streams once what is queued has gone out: in order, or in the middle of a chunk.
 */
void stream_cut(struct stream *stream, bool hard, int64_t now_ms);
unsigned stream_count(const struct stream *stream);

/* Keep-alive comments and overdue cuts. Returns when it wants to be called again, or INT64_MAX. */
int64_t stream_tick(struct stream *stream, int64_t now_ms);

/* True where connections were resumed since the last call: libmicrohttpd, driven from outside, does
 * not say so by its descriptor or its timeout, so it has to be run at once. */
bool stream_take_resumed(struct stream *stream);

/* Opens a subscriber on the connection; the fault (may be NULL) is borrowed until it is closed.
 * last_event_id (may be NULL): what was sent after it and is still known is sent again. */
struct subscriber *subscriber_open(struct stream *stream, struct MHD_Connection *connection,
    const struct fault *fault, const char *last_event_id, int64_t now_ms);
/* The connection is over. */
void subscriber_close(struct subscriber *subscriber);
/* Gives up the connection: the client has gone, or the program ends. */
void subscriber_drop(struct subscriber *subscriber);
/* The callback of libmicrohttpd's response; cls is the subscriber. */
ssize_t subscriber_read(void *cls, uint64_t position, char *out, size_t most);

#endif
