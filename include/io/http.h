#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/*
 * One REST request as an object on the loop, and what all requests of the bridge share: origin,
 * key, CA. libcurl with a cap on headers and body, HTTP/1.1, TLS 1.2 or later with full
 * verification, no compression asked for, redirects followed only within the same scheme, host and
 * port.
 */
struct loop;
struct http_client;
struct http_request;

/* url: as in config.aiva.url. api_key "": no Authorization is sent. ca: as for tls_apply. The
 * strings are copied. proxy settings are taken from the environment as curl does (http_proxy,
 * https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY, no_proxy, NO_PROXY) by http_global_init, before
 * mqtt_global_init removes them. */
struct http_client *http_client_new(struct loop *loop, const char *url, const char *api_key,
    const char *ca, const char *user_agent);
/* All requests and streams made from it must have been freed. */
void http_client_free(struct http_client *client);
/* From now on: requests under way keep the old key, or authorities, and no connection that was made
 * before is used again. */
void http_client_set_key(struct http_client *client, const char *api_key);
void http_client_set_ca(struct http_client *client, const char *ca);

/* curl_global_init and the proxy environment. Once, before any thread. */
bool http_global_init(struct error *error) NODISCARD;
void http_global_cleanup(void);

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE };

struct http_answer {
    int status;       /* HTTP status; 0 where there was no answer */
    const char *body; /* NUL-terminated, never NULL */
    size_t length;
    const char *retry_after; /* the header's text; "" where there is none */
    /* Where status is 0, the body broke off or a redirect was refused: the reason, for people; else
     * "". */
    const char *failure;
    bool complete; /* the whole body arrived within the cap */
    bool timed_out;
    int64_t duration_ms;
    struct http_request *request; /* for http_answer_keep */
};

/* Called once, unless http_cancel was called. The answer is borrowed for the call. The request
 * frees itself afterwards. */
typedef void http_done(void *ctx, const struct http_answer *answer);

/* For an answer to be used after the call: takes its body, and copies the rest. The caller frees
 * with http_answer_free, for which NULL is allowed. */
struct http_answer *http_answer_keep(const struct http_answer *answer);
void http_answer_free(struct http_answer *kept_answer);

struct http_call {
    enum http_method method;
    const char *path;   /* begins with '/', goes behind the client's url; safe characters only */
    size_t body_limit;  /* bytes */
    int64_t timeout_ms; /* of the whole call */
    bool is_list;       /* an array of jobs: given up where it grows and they do not (listwatch) */
    bool fresh_connection; /* no reuse: libcurl repeats a request whose reused connection dies */
    http_done *done;
    void *ctx;
};

/* Starts a call. done is never called from within. NULL and the error (ERROR_UPSTREAM) where the
 * request cannot be built: also where libcurl's own normalisation of the URL would ask for another
 * path than the one intended. */
struct http_request *http_start(
    struct http_client *client, const struct http_call *call, struct error *error) NODISCARD;
/* Ends it without a callback and frees it; NULL is allowed. */
void http_cancel(struct http_request *request);

#endif
