#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "buf.h"
#include "wire.h"

/* One MQTT connection, on either side: packets in, packets out, each read and written with as few
 * calls as there can be. TLS on either side, WebSocket on the broker's. */
struct link {
    int fd;                   /* -1: none */
    SSL *tls;                 /* NULL: plain */
    struct websocket *socket; /* NULL: none */
    bool version5;
    uint8_t *in;
    size_t length;
    struct buf out; /* written by link_flush */
};

/* One packet, which arrived at now_ns. False: the connection is to end. */
typedef bool (*link_handle)(void *ctx, const struct wire_packet *packet, uint64_t now_ns);

/* Without a connection. */
void link_init(struct link *link);
void link_clear(struct link *link);
/* Connects to the broker at 127.0.0.1 and sends CONNECT; with `tls`, through TLS that believes
 * every certificate. */
void link_connect(struct link *link, int port, bool tls, bool version5, const char *client_id);
/* Takes over a connection that was accepted. `tls`: NULL for a plain one; else a context with a
 * certificate. */
void link_accept(struct link *link, int fd, SSL_CTX *tls, bool websocket);

/* Sends all of `out`. False: the connection has ended. */
bool link_flush(struct link *link);
/* Reads what there is, once, handles the packets in it and sends what they led to. False: the
 * connection has ended. */
bool link_receive(struct link *link, link_handle handle, void *ctx);
/* The same, as soon as something comes in within the time. */
bool link_wait(struct link *link, int timeout_ms, link_handle handle, void *ctx);
/* Closes the connection; what has not been sent or handled is forgotten. */
void link_close(struct link *link);

#endif
