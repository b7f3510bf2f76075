#ifndef IO_LINK_H
#define IO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/*
 * One byte stream to the broker on the owner's loop: TCP, TLS, WebSocket, or WebSocket over TLS,
 * made by libcurl (CURLOPT_CONNECT_ONLY), which also resolves names, tries each of their addresses,
 * and knows why it failed. MQTT is not known here. All functions and handler calls are on the owner
 * thread.
 */
struct link;
struct loop;

/* Where to; everything is borrowed for the call to link_open. "" or NULL: not given. */
struct link_options {
    const char *url;             /* mqtt://, mqtts://, ws:// or wss://, host [:port] [/path] */
    const char *ca, *cert, *key; /* PEM; ca: the authorities, else the system's */
    const char *proxy; /* http://, https://, socks5:// or socks5h://, host :port; the broker's TLS
                        * goes through it */
    const char *alpn;  /* the protocol to name in TLS to the broker (RFC 7301) */
    int connect_timeout_s; /* name, TCP, TLS and the WebSocket handshake together */
};

struct link_handler {
    void *ctx;
    void (*on_open)(void *ctx);
    /* Something can be read. Not called while more than LIMIT_LINK_BACKLOG bytes wait to be sent:
     * who reads nothing gets no further answers. */
    void (*on_readable)(void *ctx);
    /* Output that waited has been sent: link_has_output is false. */
    void (*on_sent)(void *ctx);
    /* Opening failed, or the connection ended: once, and the last call; the handler may free the
     * link. `refused`: a reason that waiting alone will hardly mend (TLS). The text is for people.
     */
    void (*on_down)(void *ctx, bool refused, const char *reason);
};

/* Begins to open it. The handler is copied. NULL and the error (ERROR_BROKER) where not even that
 * can be done. */
struct link *link_open(struct loop *loop, const struct link_options *options,
    const struct link_handler *handler, struct error *error) NODISCARD;
/* Closes it without a word; what has not been sent is lost. No calls follow. NULL is allowed. */
void link_free(struct link *link);

/* Bytes to be sent are appended to this buffer, by the caller, and go out with link_flush: with TLS
 * as few records, with WebSocket as one frame. NULL once the connection has ended. */
struct buf *link_output(struct link *link);
void link_flush(struct link *link);
/* True while something waits until the other side takes it. */
bool link_has_output(const struct link *link);

enum link_read {
    LINK_READ_MORE,  /* there may be more: TLS may hold bytes that the loop does not see */
    LINK_READ_EMPTY, /* nothing for now, or nothing is to be read for now */
    LINK_READ_ENDED, /* on_down follows from the loop */
};
/* Appends some of what has come to `in`, LINK_READ_SIZE bytes at most. A buffer that takes no more
 * ends the connection. */
enum { LINK_READ_SIZE = 16384 };
enum link_read link_read(struct link *link, struct buf *in) NODISCARD;

/* Lets up to so many bytes lie without a call of on_readable (SO_RCVLOWAT); 1: none. With TLS the
 * bytes are those of its records. */
void link_set_low_water(struct link *link, int bytes);
/* Whether what the socket carries is TLS: to the broker, or to a proxy in front of it. */
bool link_is_tls(const struct link *link);

#endif
