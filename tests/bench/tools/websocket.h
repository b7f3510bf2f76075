#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

/* The server's side of a WebSocket (RFC 6455) that carries MQTT: as much of it as a benchmark
 * needs. */
struct websocket;

struct websocket *websocket_new(void);
void websocket_free(struct websocket *socket);

/* Takes in bytes that have arrived and leaves the payload of their frames in their place. Returns
 * its length, or -1 where the connection is to end. The handshake is part of it. */
ssize_t websocket_unframe(struct websocket *socket, uint8_t *bytes, size_t length);

/* What is to be sent: what the handshake and pings have led to, and one frame around `payload`, if
 * there is any. Valid until the next call, and to be emptied by the caller. */
struct buf *websocket_frame(struct websocket *socket, const struct buf *payload);

#endif
