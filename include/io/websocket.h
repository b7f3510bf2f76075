#ifndef IO_WEBSOCKET_H
#define IO_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "error.h"

/*
 * The client's side of a WebSocket that carries MQTT (RFC 6455; MQTT 5, section 6), as a filter:
 * bytes in, bytes out, no I/O. Framing is wslay's; the handshake is here. Nothing that a length
 * announces is allocated in advance.
 */
struct websocket;

/* `authority`: host[:port], for the Host header; `path`: with its query. Copies both. */
struct websocket *websocket_new(const char *authority, const char *path);
void websocket_free(struct websocket *websocket);

/* Appends the HTTP request of the handshake to `out`. Once, first. */
void websocket_begin(struct websocket *websocket, struct buf *out);
/* The server has agreed: frames may be sent. */
bool websocket_is_open(const struct websocket *websocket);

/* Takes in bytes that have come. Appends the payload of data frames to `payload`, answers (pong,
 * close) to `out`. False and the error (ERROR_BROKER) where the connection is to end: the handshake
 * was refused, a rule was broken (`out` then holds the close frame with its code), the server has
 * closed.
 */
bool websocket_receive(struct websocket *websocket, const char *bytes, size_t length,
    struct buf *payload, struct buf *out, struct error *error) NODISCARD;
/* Appends one binary frame with these bytes to `out`. False where memory is short. */
bool websocket_wrap(
    struct websocket *websocket, const char *bytes, size_t length, struct buf *out) NODISCARD;

#endif
