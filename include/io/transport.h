#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "loop.h"

/*
 * What every HTTP transfer of the bridge has in common: libcurl's options, the check of the URL,
 * the header section, the redirect rule. For http.c and httpstream.c; transport_nudge for link.c
 * too.
 */
struct http_client {
    struct loop *loop;
    char *url;
    char *api_key;
    char *ca; /* PEM; "" for the system's */
    char *user_agent;
    int64_t secrets_ms; /* when key and certificates were last to be read: nothing older is used */
};

/* What the final header section said, so far as it matters here; longer values are cut. */
struct transport_head {
    int status;    /* of the section that is being read; 0 before the first */
    bool complete; /* the final section has ended: what follows is body (or trailers) */
    size_t bytes;  /* of all sections */
    char content_type[256];
    char content_encoding[64];
    char retry_after[128];
};

/* One transfer. Embedded in its owner; zero-initialise, then transport_open. */
struct transport {
    struct loop *loop;
    CURL *easy;
    struct curl_slist *headers;
    char *url; /* as configured: what a redirect is compared with */
    struct transport_head head;
    void (*on_head)(void *ctx); /* the final header section has ended; may be NULL */
    struct loop_transfer finished;
    struct timer start; /* then, while libcurl connects: the next nudge */
    bool running;       /* in the multi handle */
    unsigned redirects;
    char libcurl_text[CURL_ERROR_SIZE];
    char refused_redirect[300]; /* "" unless one was refused */
};

/* The callbacks of a transfer: `finished` is called once for each start. `write` is libcurl's. */
struct transport_calls {
    void *ctx;
    void (*on_head)(void *ctx);
    void (*finished)(void *ctx, int curl_code);
    curl_write_callback write;
};

/* Prepares GET <client url><path>[?<query>]; the query is already escaped, NULL for none. False and
 * the error (ERROR_UPSTREAM) where the URL cannot be built or libcurl would ask for another path.
 * transport_close is then still to be called. */
bool transport_open(struct transport *transport, const struct http_client *client, const char *path,
    const char *query, const struct transport_calls *calls, struct error *error) NODISCARD;
/* Adds a request header. Refuses (ERROR_UPSTREAM) a value with control characters, which could end
 * the header; the error names the header only. */
bool transport_add_header(struct transport *transport, const char *name, const char *value,
    struct error *error) NODISCARD;
/* Starts it from the loop, not from within: libcurl refuses additions made inside a callback of
 * another transfer. */
void transport_start(struct transport *transport);
/* Takes it out of the multi handle. Not from within a callback of libcurl. */
void transport_stop(struct transport *transport);
/* Stops it and frees what it holds. Not from within a callback of libcurl. */
void transport_close(struct transport *transport);

/* libcurl 7.88 gives up an address that does not answer, and begins with the next one of the name
 * only when it is called once more, for which it neither asks nor waits. To pause and go on has it
 * look again: to be done each TRANSPORT_NUDGE_MS while a handle connects, and not later. */
#define TRANSPORT_NUDGE_MS 250
void transport_nudge(CURL *easy);

/* For `finished`, when the transfer was stopped. True where the answer was a redirect that is
 * followed: the transfer then starts again. One that is refused leaves its text in
 * refused_redirect. `safe`: the method may be repeated by every kind of redirect (GET). */
bool transport_redirect(struct transport *transport, bool safe);

/* Why libcurl ended the transfer, for people. */
void transport_reason(const struct transport *transport, int curl_code, char *out, size_t size);

#endif
