/*
 * The common part of all HTTP transfers. libcurl's defaults are made for a command line: 25
 * protocols, redirects that carry custom headers to other hosts, paths that are rewritten before
 * they are sent, a certificate store that is cached for a day, settings from the environment. Here
 * is where each of them is turned off.
 */
#include "transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "httpproxy.h"
#include "httpurl.h"
#include "limit.h"
#include "mem.h"
#include "tls.h"

enum {
    TRANSPORT_URL_LIMIT = 16 * 1024, /* bytes; a host, a path of a few hundred and a key */
    TRANSPORT_REDIRECTS = 3,
    TRANSPORT_CONNECT_TIMEOUT_S = 10,
    TRANSPORT_KEPT_S = 60, /* a certificate store that was put right is read without a restart */
};

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return true;
    }
    return false;
}

static bool set_url(struct transport *transport, const struct http_client *client, const char *path,
    const char *query, struct error *error)
{
    struct buf url;
    bool ok;

    buf_init(&url, TRANSPORT_URL_LIMIT);
    ok = path[0] == '/' && buf_append_text(&url, client->url) && buf_append_text(&url, path) &&
         httpurl_is_kept(url.data);
    if (ok && query != NULL)
        ok = buf_append_char(&url, '?') && buf_append_text(&url, query);
    if (ok)
        ok = curl_easy_setopt(transport->easy, CURLOPT_URL, url.data) == CURLE_OK;
    if (url.data != NULL)
        explicit_bzero(url.data, url.length);
    buf_clear(&url);
    return ok || error_set(error, ERROR_UPSTREAM,
                     "%s%s is not a URL that can be asked for as it is", client->url, path);
}

/* Whole seconds for which something may have been kept, so that it cannot be older than the secrets
 * in use: libcurl drops its fractions, so one second less. 0: nothing may. */
static long allowed_age_s(const struct http_client *client)
{
    int64_t age_s = (clock_monotonic_ms() - client->secrets_ms) / 1000 - 1;

    if (age_s < 0)
        return 0;
    return age_s < TRANSPORT_KEPT_S ? (long)age_s : TRANSPORT_KEPT_S;
}

static bool set_numbers(CURL *easy, const struct http_client *client)
{
    long age_s = allowed_age_s(client);
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_HTTP09_ALLOWED, 0},
        {CURLOPT_NOSIGNAL, 1},
        /* Else removing a transfer waits for its name resolution, however long that takes. */
        {CURLOPT_QUICK_EXIT, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
        {CURLOPT_CONNECTTIMEOUT, TRANSPORT_CONNECT_TIMEOUT_S},
        {CURLOPT_CA_CACHE_TIMEOUT, age_s},
        /* 0 would mean "of any age" to libcurl */
        {CURLOPT_MAXLIFETIME_CONN, age_s},
        {CURLOPT_FRESH_CONNECT, age_s == 0},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (curl_easy_setopt(easy, numbers[i].option, numbers[i].value) != CURLE_OK)
            return false;
    }
    return true;
}

static bool set_texts(CURL *easy, const struct http_client *client)
{
    const struct {
        CURLoption option;
        const char *value;
    } texts[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https"},
        {CURLOPT_REDIR_PROTOCOLS_STR, "http,https"},
        {CURLOPT_USERAGENT, client->user_agent},
        /* Given always, "" included: libcurl would look into the environment. */
        {CURLOPT_PROXY, httpproxy_for(client->url)},
        {CURLOPT_NOPROXY, httpproxy_exceptions()},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (curl_easy_setopt(easy, texts[i].option, texts[i].value) != CURLE_OK)
            return false;
    }
    return tls_apply(easy, client->ca);
}

/* Keeps the value of the header line if it is the named one. */
static void keep_value(const char *line, size_t length, const char *name, char *out, size_t size)
{
    size_t name_length = strlen(name);

    if (length <= name_length || line[name_length] != ':' ||
        strncasecmp(line, name, name_length) != 0)
        return;
    line += name_length + 1;
    length -= name_length + 1;
    while (length > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        length--;
    }
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    if (length >= size)
        length = size - 1;
    memcpy(out, line, length);
    out[length] = '\0';
}

static int status_of(const char *line, size_t length)
{
    const char *space = memchr(line, ' ', length);
    int status = 0;

    if (space == NULL)
        return 0;
    for (const char *digit = space + 1; digit < line + length && digit < space + 4; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        status = 10 * status + (*digit - '0');
    }
    return status;
}

/* One line of a header section, without its line end. Interim answers (1xx) have sections of their
 * own before the final one; trailers come after it and are not looked at. */
static void read_header_line(struct transport *transport, const char *line, size_t length)
{
    struct transport_head *head = &transport->head;

    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        *head = (struct transport_head){.status = status_of(line, length), .bytes = head->bytes};
    } else if (length > 0) {
        keep_value(line, length, "Content-Type", head->content_type, sizeof head->content_type);
        keep_value(line, length, "Content-Encoding", head->content_encoding,
            sizeof head->content_encoding);
        keep_value(line, length, "Retry-After", head->retry_after, sizeof head->retry_after);
    } else if (head->status >= 200) {
        head->complete = true;
        if (transport->on_head != NULL)
            transport->on_head(transport->finished.ctx);
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct transport *transport = ctx;
    size_t length = size * count;

    transport->head.bytes += length;
    if (transport->head.bytes > LIMIT_HEADERS)
        return 0;
    if (!transport->head.complete) {
        size_t text = length;

        while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
            text--;
        read_header_line(transport, line, text);
    }
    return length;
}

static bool set_calls(struct transport *transport, const struct transport_calls *calls)
{
    CURL *easy = transport->easy;

    return curl_easy_setopt(easy, CURLOPT_PRIVATE, &transport->finished) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transport->libcurl_text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transport) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, calls->write) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, calls->ctx) == CURLE_OK;
}

void transport_nudge(CURL *easy)
{
    (void)curl_easy_pause(easy, CURLPAUSE_ALL);
    (void)curl_easy_pause(easy, CURLPAUSE_CONT);
}

static bool is_connected(const struct transport *transport)
{
    curl_off_t microseconds = 0;

    (void)curl_easy_getinfo(transport->easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
    return microseconds > 0;
}

/* Adds the handle; what it is put off for is that this runs in no callback of libcurl. */
static void add(struct transport *transport)
{
    transport->running =
        curl_easy_setopt(transport->easy, CURLOPT_HTTPHEADER, transport->headers) == CURLE_OK &&
        curl_multi_add_handle(loop_multi(transport->loop), transport->easy) == CURLM_OK;
    if (!transport->running)
        transport->finished.done(transport->finished.ctx, CURLE_FAILED_INIT);
}

static void fire_start(void *ctx)
{
    struct transport *transport = ctx;

    if (!transport->running) {
        timer_set(&transport->start, loop_now(transport->loop) + TRANSPORT_NUDGE_MS);
        add(transport);
    } else if (!is_connected(transport)) {
        timer_set(&transport->start, loop_now(transport->loop) + TRANSPORT_NUDGE_MS);
        transport_nudge(transport->easy);
    }
}

bool transport_open(struct transport *transport, const struct http_client *client, const char *path,
    const char *query, const struct transport_calls *calls, struct error *error)
{
    transport->loop = client->loop;
    transport->url = xstrdup(client->url);
    transport->on_head = calls->on_head;
    transport->finished = (struct loop_transfer){.done = calls->finished, .ctx = calls->ctx};
    timer_init(&transport->start, client->loop, fire_start, transport);
    transport->easy = curl_easy_init();
    if (transport->easy == NULL || !set_numbers(transport->easy, client) ||
        !set_texts(transport->easy, client) || !set_calls(transport, calls))
        return error_set(error, ERROR_UPSTREAM, "libcurl: cannot prepare a request");
    return set_url(transport, client, path, query, error);
}

bool transport_add_header(
    struct transport *transport, const char *name, const char *value, struct error *error)
{
    struct curl_slist *longer = NULL;
    struct buf line;

    if (has_control(value))
        return error_set(
            error, ERROR_UPSTREAM, "the value for the header %s has a control character", name);
    buf_init(&line, TRANSPORT_URL_LIMIT);
    if (buf_printf(&line, "%s: %s", name, value))
        longer = curl_slist_append(transport->headers, line.data);
    if (line.data != NULL)
        explicit_bzero(line.data, line.length);
    buf_clear(&line);
    if (longer == NULL)
        return error_set(error, ERROR_UPSTREAM, "the value for the header %s is too long", name);
    transport->headers = longer;
    return true;
}

void transport_start(struct transport *transport)
{
    timer_set(&transport->start, loop_now(transport->loop));
}

void transport_stop(struct transport *transport)
{
    timer_stop(&transport->start);
    if (transport->running)
        curl_multi_remove_handle(loop_multi(transport->loop), transport->easy);
    transport->running = false;
}

void transport_close(struct transport *transport)
{
    transport_stop(transport);
    curl_easy_cleanup(transport->easy);
    for (struct curl_slist *header = transport->headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(transport->headers);
    free(transport->url);
    transport->easy = NULL;
    transport->headers = NULL;
    transport->url = NULL;
}

bool transport_redirect(struct transport *transport, bool safe)
{
    int status = transport->head.status;
    char *target = NULL;
    bool method_kept = status == 307 || status == 308;

    if (!transport->head.complete ||
        !(method_kept || status == 301 || status == 302 || status == 303))
        return false;
    if (curl_easy_getinfo(transport->easy, CURLINFO_REDIRECT_URL, &target) != CURLE_OK ||
        target == NULL)
        return false;
    if (!method_kept && !safe) {
        snprintf(transport->refused_redirect, sizeof transport->refused_redirect,
            "redirect of a changing request by status %d refused", status);
        return false;
    }
    if (transport->redirects >= TRANSPORT_REDIRECTS) {
        snprintf(transport->refused_redirect, sizeof transport->refused_redirect,
            "more than %d redirects", TRANSPORT_REDIRECTS);
        return false;
    }
    if (!httpurl_may_follow(transport->url, target, transport->refused_redirect,
            sizeof transport->refused_redirect) ||
        curl_easy_setopt(transport->easy, CURLOPT_URL, target) != CURLE_OK)
        return false;
    transport->redirects++;
    transport->head = (struct transport_head){.bytes = transport->head.bytes};
    transport_start(transport);
    return true;
}

void transport_reason(const struct transport *transport, int curl_code, char *out, size_t size)
{
    const char *words = transport->libcurl_text;

    if (transport->head.bytes > LIMIT_HEADERS)
        snprintf(out, size, "the answer's header section is too long");
    else
        tls_explain(curl_code, words[0] != '\0' ? words : curl_easy_strerror((CURLcode)curl_code),
            out, size);
}
