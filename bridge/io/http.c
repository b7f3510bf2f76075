/*
 * REST requests. Each is an object that lives until its answer is there or it is cancelled; the
 * body is collected under a cap, since libcurl's own limit does not cover answers of unknown size.
 * Knows nothing of what the answers mean, but that a list without an end is one.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "httpproxy.h"
#include "listwatch.h"
#include "loop.h"
#include "mem.h"
#include "transport.h"

struct http_request {
    struct transport transport;
    struct buf body;
    bool is_list;
    struct listwatch watch;
    char given_up[128]; /* why; "" where it was not */
    bool safe;          /* a GET: any redirect may repeat it */
    int64_t started_ms;
    int64_t deadline_ms;
    http_done *done; /* NULL once it was called or is not wanted any more */
    void *ctx;
};

bool http_global_init(struct error *error)
{
    CURLcode code;

    httpproxy_read();
    /* libcurl would write the session keys of every TLS connection to that file. */
    unsetenv("SSLKEYLOGFILE");
    code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        return error_set(error, ERROR_RUN, "libcurl: %s", curl_easy_strerror(code));
    return true;
}

void http_global_cleanup(void)
{
    curl_global_cleanup();
    httpproxy_forget();
}

struct http_client *http_client_new(
    struct loop *loop, const char *url, const char *api_key, const char *ca, const char *user_agent)
{
    struct http_client *client = xcalloc(1, sizeof *client);

    client->loop = loop;
    client->url = xstrdup(url);
    client->api_key = xstrdup(api_key);
    client->ca = xstrdup(ca != NULL ? ca : "");
    client->user_agent = xstrdup(user_agent);
    client->secrets_ms = clock_monotonic_ms();
    return client;
}

static void wipe(char *secret)
{
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    wipe(client->api_key);
    free(client->url);
    free(client->ca);
    free(client->user_agent);
    free(client);
}

void http_client_set_key(struct http_client *client, const char *api_key)
{
    char *copy = xstrdup(api_key);

    wipe(client->api_key);
    client->api_key = copy;
    client->secrets_ms = clock_monotonic_ms();
}

void http_client_set_ca(struct http_client *client, const char *ca)
{
    char *copy = xstrdup(ca);

    free(client->ca);
    client->ca = copy;
    client->secrets_ms = clock_monotonic_ms();
}

static void dispose(void *object)
{
    struct http_request *request = object;

    transport_close(&request->transport);
    buf_clear(&request->body);
    free(request);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_request *request = ctx;

    if (request->is_list && request->transport.head.status == 200 &&
        !listwatch_take(
            &request->watch, bytes, size * count, request->given_up, sizeof request->given_up))
        return 0;
    return buf_append(&request->body, bytes, size * count) ? size * count : 0;
}

static bool set_time_left(struct http_request *request)
{
    int64_t left_ms = request->deadline_ms - clock_monotonic_ms();

    return left_ms > 0 &&
           curl_easy_setopt(request->transport.easy, CURLOPT_TIMEOUT_MS, (long)left_ms) == CURLE_OK;
}

/* Why there is no whole answer; "" where there is one that may be taken as it stands. */
static void describe_failure(
    const struct http_request *request, int curl_code, char *text, size_t size)
{
    if (request->transport.refused_redirect[0] != '\0')
        snprintf(text, size, "%s", request->transport.refused_redirect);
    else if (request->given_up[0] != '\0')
        snprintf(text, size, "%s", request->given_up);
    else if (request->body.failed)
        snprintf(text, size, "the answer is longer than %zu bytes", request->body.limit);
    else if (curl_code != CURLE_OK)
        transport_reason(&request->transport, curl_code, text, size);
    else
        text[0] = '\0';
}

static void answer(struct http_request *request, int curl_code)
{
    const struct transport_head *head = &request->transport.head;
    http_done *done = request->done;
    char failure[CURL_ERROR_SIZE + 128];
    struct http_answer result = {
        .status = head->complete ? head->status : 0,
        .body = request->body.data != NULL ? request->body.data : "",
        .length = request->body.length,
        .retry_after = head->retry_after,
        .failure = failure,
        .complete = curl_code == CURLE_OK && head->complete,
        .timed_out = curl_code == CURLE_OPERATION_TIMEDOUT,
        .duration_ms = clock_monotonic_ms() - request->started_ms,
        .request = request,
    };

    describe_failure(request, curl_code, failure, sizeof failure);
    request->done = NULL;
    done(request->ctx, &result);
}

/* What is kept; what others see comes first. */
struct kept {
    struct http_answer answer;
    char *body, *retry_after, *failure;
};

struct http_answer *http_answer_keep(const struct http_answer *answer)
{
    struct kept *kept = xcalloc(1, sizeof *kept);

    kept->body = buf_take(&answer->request->body);
    kept->retry_after = xstrdup(answer->retry_after);
    kept->failure = xstrdup(answer->failure);
    kept->answer = *answer;
    kept->answer.body = kept->body != NULL ? kept->body : "";
    kept->answer.retry_after = kept->retry_after;
    kept->answer.failure = kept->failure;
    kept->answer.request = NULL;
    return &kept->answer;
}

void http_answer_free(struct http_answer *kept_answer)
{
    struct kept *kept = (struct kept *)kept_answer;

    if (kept == NULL)
        return;
    free(kept->body);
    free(kept->retry_after);
    free(kept->failure);
    free(kept);
}

static void on_finished(void *ctx, int curl_code)
{
    struct http_request *request = ctx;

    if (request->done == NULL)
        return; /* cancelled in this pass: about to be freed */
    transport_stop(&request->transport);
    if (curl_code == CURLE_OK && transport_redirect(&request->transport, request->safe)) {
        buf_reset(&request->body);
        if (set_time_left(request))
            return;
        transport_stop(&request->transport);
        curl_code = CURLE_OPERATION_TIMEDOUT;
    }
    answer(request, curl_code);
    loop_free_later(request->transport.loop, dispose, request);
}

static bool set_method(CURL *easy, enum http_method method)
{
    switch (method) {
    case HTTP_GET:
        return true;
    case HTTP_POST: /* with an empty body that says so: Content-Length: 0 */
        return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "") == CURLE_OK;
    case HTTP_DELETE:
        return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE") == CURLE_OK;
    }
    return false;
}

static bool prepare(struct http_request *request, const struct http_client *client,
    const struct http_call *call, struct error *error)
{
    struct transport *transport = &request->transport;
    const struct transport_calls calls = {
        .ctx = request, .finished = on_finished, .write = on_body};
    char *bearer;
    bool ok;

    if (!transport_open(transport, client, call->path, NULL, &calls, error))
        return false;
    if (!set_method(transport->easy, call->method) || !set_time_left(request))
        return error_set(error, ERROR_UPSTREAM, "libcurl: cannot prepare a request");
    if (call->fresh_connection &&
        curl_easy_setopt(transport->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK)
        return error_set(error, ERROR_UPSTREAM, "libcurl: cannot prepare a request");

    bearer = xmalloc(strlen(client->api_key) + sizeof "Bearer ");
    stpcpy(stpcpy(bearer, "Bearer "), client->api_key);
    ok = (client->api_key[0] == '\0' ||
             transport_add_header(transport, "Authorization", bearer, error)) &&
         transport_add_header(transport, "Accept", "application/json", error) &&
         /* "" takes libcurl's own one, a form's, out of a POST */
         transport_add_header(transport, "Content-Type", "", error);
    wipe(bearer);
    return ok;
}

struct http_request *http_start(
    struct http_client *client, const struct http_call *call, struct error *error)
{
    struct http_request *request = xcalloc(1, sizeof *request);

    buf_init(&request->body, call->body_limit);
    request->safe = call->method == HTTP_GET;
    request->started_ms = clock_monotonic_ms();
    request->deadline_ms = request->started_ms + call->timeout_ms;
    request->is_list = call->is_list;
    request->done = call->done;
    request->ctx = call->ctx;
    if (!prepare(request, client, call, error)) {
        dispose(request);
        return NULL;
    }
    transport_start(&request->transport);
    return request;
}

void http_cancel(struct http_request *request)
{
    /* done is NULL where the request has just answered and frees itself. */
    if (request == NULL || request->done == NULL)
        return;
    request->done = NULL;
    timer_stop(&request->transport.start);
    /* Not at once: this may be a callback of libcurl for another transfer. */
    loop_free_later(request->transport.loop, dispose, request);
}
