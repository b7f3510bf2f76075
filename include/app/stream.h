#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Life of the event stream: connect, watch for silence, parse, back off, try again. Decides when;
 * what a failure means for the mode is the upstream's business. Owner thread only.
 */
struct stream;
struct loop;
struct http_client;
struct counters;

enum stream_failure {
    STREAM_LOST,         /* it was open, or there was a network failure or a server error */
    STREAM_UNAUTHORIZED, /* 401 or 403 */
    STREAM_NOT_OFFERED,  /* this server, or what stands before it, gives no event stream */
    STREAM_ID_REFUSED,   /* it refused the Last-Event-ID, which is dropped: not yet the stream */
};

struct stream_down {
    enum stream_failure failure;
    unsigned failures; /* in a row: connections that did not hold */
    int64_t retry_ms;  /* until the next attempt */
    int64_t asked_ms;  /* of these, what the server asked for by Retry-After; 0: nothing */
    const char *reason;
};

struct stream_handler {
    void *ctx;
    void (*before_attempt)(void *ctx);
    void (*on_open)(void *ctx);
    void (*on_event)(void *ctx, const char *data, size_t length);
    /* Down; the next attempt is already planned. */
    void (*on_down)(void *ctx, const struct stream_down *down);
};

struct stream *stream_new(struct loop *loop, struct http_client *client, int idle_timeout_s,
    struct counters *counters, const struct stream_handler *handler);
void stream_free(struct stream *stream);

/* Connects now, also if it is waiting or connected. */
void stream_restart(struct stream *stream);
/* Ends it, and plans no further attempt. No handler call. */
void stream_stop(struct stream *stream);
bool stream_is_open(const struct stream *stream);

/* Back-pressure: nothing is read while paused, and silence does not count. */
void stream_pause(struct stream *stream, bool paused);

/* Whether everything that AIVA has said so far has been read, as far as can be known; also where
 * there is no stream, of which nothing more will be read. */
bool stream_is_read(const struct stream *stream);
/* Bytes read so far, of all connections; and the position from which on everything has been read
 * that was on its way at this moment, should the stream never fall silent. */
uint64_t stream_position(const struct stream *stream);
uint64_t stream_horizon(const struct stream *stream);

#endif
