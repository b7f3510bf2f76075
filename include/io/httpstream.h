#ifndef HTTPSTREAM_H
#define HTTPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * One long GET that delivers bytes as they come: the event stream's transport. Knows nothing of
 * events. Follows redirects only within the same scheme, host and port, at most three.
 */
struct http_client;
struct httpstream;

struct httpstream_end {
    int status;   /* of the answer; 0 where there was none */
    bool refused; /* status or content type was not acceptable: on_open was not called */
    const char *content_type; /* "" where there was none */
    const char *retry_after;  /* "" where there was none */
    const char *reason;       /* for people, without the URL's query */
    const char *body;         /* the beginning of a refused answer's body, NUL-terminated */
};

struct httpstream_handler {
    void *ctx;
    /* 200 and text/event-stream: the stream is open. */
    void (*on_open)(void *ctx);
    void (*on_bytes)(void *ctx, const char *bytes, size_t length);
    /* It ended, for whatever reason: once, unless httpstream_free came first. The end is borrowed.
     * The handler frees the stream (httpstream_free may be called from within). */
    void (*on_end)(void *ctx, const struct httpstream_end *end);
};

/* Opens GET <client url>/jobs/events?token=<key>. last_event_id "" for none. No handler call from
 * within. NULL and the error (ERROR_UPSTREAM) where the request cannot be built. */
struct httpstream *httpstream_open(struct http_client *client, const char *last_event_id,
    const struct httpstream_handler *handler, struct error *error) NODISCARD;
/* Ends it without a callback; NULL is allowed. */
void httpstream_free(struct httpstream *stream);

/* Stops reading the socket, so that TCP holds the server back; and reads on. */
void httpstream_pause(struct httpstream *stream);
void httpstream_resume(struct httpstream *stream);
bool httpstream_is_paused(const struct httpstream *stream);
/* Whether nothing that the server has sent so far is still to be read. After it was held back, that
 * takes a moment of silence: what waits in the server's own buffers comes only once there is room
 * here. */
bool httpstream_is_read(struct httpstream *stream);
/* Bytes at most that are on their way: held here, in the kernel, and in the server's buffers. */
size_t httpstream_unread(const struct httpstream *stream);
/* Monotonic time of the last byte (or of the opening, or of the resumption if later). */
int64_t httpstream_last_byte_ms(const struct httpstream *stream);

#endif
