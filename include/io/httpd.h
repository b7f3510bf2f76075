#ifndef HTTPD_H
#define HTTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/*
 * A small HTTP server on the loop, for those who watch the bridge: GET and HEAD, one request a
 * connection, few connections at a time, each with a time limit. A request for another host than
 * the one that is listened on (httphost.h) is answered with 421. libmicrohttpd without threads;
 * nothing here waits for a client. Owner thread only.
 */
struct loop;
struct httpd;

struct httpd_answer {
    int status;
    const char *content_type; /* static */
    struct buf body;          /* taken from the handler */
};

struct httpd_handler {
    void *ctx;
    /* Fills the answer, which is a 404 without a body before. `path` has no query; borrowed. */
    void (*on_get)(void *ctx, const char *path, struct httpd_answer *answer);
};

/* listen: "host:port" or "[IPv6 address]:port", as config.http.listen. most_ms: how long a
 * connection may last, from its beginning to the end of the answer. The handler is copied. May look
 * up a host's name, and wait for that. NULL and the error (ERROR_RUN) where the address cannot be
 * listened on. */
struct httpd *httpd_new(struct loop *loop, const char *listen, int64_t most_ms,
    const struct httpd_handler *handler, struct error *error) NODISCARD;
/* Ends open connections. Not from within on_get. */
void httpd_free(struct httpd *httpd);

#endif
