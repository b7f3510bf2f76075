/*
 * A byte stream by libcurl. The transfer has a multi handle of its own: in one that is shared, the
 * requests to AIVA would look through the idle connections and close this one, as too old or as one
 * with unexpected input.
 */
#include "link.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "brokerurl.h"
#include "clock.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "tls.h"
#include "transport.h"
#include "websocket.h"

enum {
    URL_LIMIT = 2048,
    SOCKETS = 4,              /* of libcurl's at a time: two addresses and its resolver's */
    KEPT_CAPACITY = 64 * 1024 /* a buffer that was larger is given back once it is empty */
};

enum state { STATE_OPENING, STATE_UPGRADING, STATE_OPEN, STATE_ENDED };

/* A socket that libcurl watches while it connects. */
struct watched {
    struct link *link;
    int fd; /* -1: free */
};

struct link {
    struct loop *loop;
    struct link_handler handler;
    enum state state;
    bool tls;    /* to the broker */
    char *proxy; /* in front of the broker; NULL for none */
    struct tls_alpn alpn;
    CURLM *multi;
    CURL *easy;
    struct watched watched[SOCKETS];
    struct timer timer;  /* libcurl's while it connects; then the WebSocket handshake's */
    struct timer nudge;  /* while libcurl connects */
    struct timer ended;  /* on_down is called from the loop */
    int64_t deadline_ms; /* of opening */
    int fd;              /* -1 until it is connected */
    short events;        /* that the loop watches fd for */
    int low_water;
    struct websocket *websocket; /* NULL where there is none */
    struct buf payload;          /* WebSocket: to be framed */
    struct buf out;              /* what is to be sent */
    size_t sent;                 /* of it */
    bool mute;                   /* nothing can be sent any more */
    bool refused;
    char words[CURL_ERROR_SIZE]; /* libcurl's */
    char reason[CURL_ERROR_SIZE + 256];
};

/* ---- The end */

static void fire_ended(void *ctx)
{
    struct link *link = ctx;
    link->handler.on_down(link->handler.ctx, link->refused, link->reason);
}

static void stop_watching(struct link *link)
{
    for (int i = 0; i < SOCKETS; i++) {
        if (link->watched[i].fd >= 0)
            loop_remove_fd(link->loop, link->watched[i].fd);
        link->watched[i].fd = -1;
    }
    if (link->events != 0)
        loop_remove_fd(link->loop, link->fd);
    link->events = 0;
}

/* The handler is told in the next pass, so that no caller of this file's functions loses its link
 * under its hands. The first reason counts. */
static void end(struct link *link, bool refused, const char *reason)
{
    if (link->state == STATE_ENDED)
        return;
    link->state = STATE_ENDED;
    link->refused = refused;
    snprintf(link->reason, sizeof link->reason, "%s", reason);
    stop_watching(link);
    timer_stop(&link->timer);
    timer_stop(&link->nudge);
    timer_set(&link->ended, loop_now(link->loop));
}

/* With TLS the words may be an alert of the other side, which came in the place of data. */
static void end_by_code(struct link *link, CURLcode code)
{
    const char *words = link->words[0] != '\0' ? link->words : curl_easy_strerror(code);
    char reason[sizeof link->reason];
    long system = 0;
    tls_explain((int)code, words, reason, sizeof reason);
    (void)curl_easy_getinfo(link->easy, CURLINFO_OS_ERRNO, &system);
    if (code == CURLE_COULDNT_CONNECT && system != 0) {
        size_t length = strlen(reason);
        snprintf(reason + length, sizeof reason - length, ": %s", strerror((int)system));
    }
    if (link->proxy && link->state == STATE_OPENING) {
        size_t length = strlen(reason);
        snprintf(reason + length, sizeof reason - length, " (mqtt.proxy is %s)", link->proxy);
    }
    end(link, tls_is_refusal((int)code, words), reason);
}

/* ---- Watching the connection */

static void on_ready(void *ctx, short revents);

static size_t left_to_send(const struct link *link)
{
    return link->out.length - link->sent;
}

/* What is read makes answers, and the broker decides how many. */
static bool is_backed_up(const struct link *link)
{
    return left_to_send(link) > LIMIT_LINK_BACKLOG;
}

static void watch(struct link *link)
{
    short events = 0;
    if (link->fd < 0 || link->state == STATE_ENDED)
        return;
    if (!is_backed_up(link))
        events |= POLLIN;
    if (left_to_send(link) > 0)
        events |= POLLOUT;
    if (events == link->events)
        return;
    /* An end that nobody looks for would be reported again and again. */
    if (events == 0)
        loop_remove_fd(link->loop, link->fd);
    else if (link->events != 0)
        loop_watch_fd(link->loop, link->fd, events);
    else if (!loop_add_fd(link->loop, link->fd, events, on_ready, link)) {
        end(link, false, "no room for the connection's descriptor");
        return;
    }
    link->events = events;
}

/* ---- Sending */

static void forget_sent(struct link *link)
{
    struct buf *out = &link->out;
    if (left_to_send(link) == 0 && out->capacity > KEPT_CAPACITY) {
        buf_clear(out);
    } else if (left_to_send(link) == 0 || link->sent >= out->length / 2) {
        /* So that each byte is moved once at most. */
        memmove(out->data, out->data + link->sent, left_to_send(link));
        out->length -= link->sent;
    } else {
        return;
    }
    link->sent = 0;
}

static void send_out(struct link *link)
{
    while (left_to_send(link) > 0) {
        size_t count = 0;
        CURLcode code =
            curl_easy_send(link->easy, link->out.data + link->sent, left_to_send(link), &count);
        if (code == CURLE_AGAIN)
            break;
        if (code != CURLE_OK) {
            buf_clear(&link->out);
            link->sent = 0;
            link->mute = true;
            return;
        }
        link->sent += count;
    }
    if (link->sent > 0)
        forget_sent(link);
}

struct buf *link_output(struct link *link)
{
    if (link->state != STATE_OPEN || link->mute)
        return NULL;
    return link->websocket ? &link->payload : &link->out;
}

bool link_has_output(const struct link *link)
{
    return left_to_send(link) > 0 || link->payload.length > 0;
}

void link_flush(struct link *link)
{
    struct buf *payload = &link->payload;
    if (link->state != STATE_OPEN)
        return;
    if (payload->length > 0) {
        if (!websocket_wrap(link->websocket, payload->data, payload->length, &link->out))
            end(link, false, "no memory for what is to be sent");
        if (payload->capacity > KEPT_CAPACITY)
            buf_clear(payload);
        else
            buf_reset(payload);
    }
    if (link->out.failed || payload->failed)
        end(link, false, "no memory for what is to be sent");
    if (link->state == STATE_OPEN && left_to_send(link) > 0)
        send_out(link);
    watch(link);
}

static bool has_tls_proxy(const struct link *link)
{
    return link->proxy && strncmp(link->proxy, "https:", strlen("https:")) == 0;
}

bool link_is_tls(const struct link *link)
{
    return link->tls || has_tls_proxy(link);
}

/* ---- Receiving */

/* Bytes as they come, behind what `in` has. */
static enum link_read read_bytes(struct link *link, struct buf *in)
{
    size_t count = 0;
    char *room = buf_extend(in, LINK_READ_SIZE);
    if (!room) {
        end(link, false, "the broker sends more than there is room for");
        return LINK_READ_ENDED;
    }
    link->words[0] = '\0';
    CURLcode code = curl_easy_recv(link->easy, room, LINK_READ_SIZE, &count);
    if (code != CURLE_OK)
        count = 0;
    in->length -= LINK_READ_SIZE - count;
    if (code == CURLE_AGAIN)
        return LINK_READ_EMPTY;
    if (code != CURLE_OK)
        end_by_code(link, code);
    else if (count == 0)
        end(link, false,
            link->state == STATE_UPGRADING
                ? "the server closed the connection in place of answering the WebSocket handshake"
                : "");
    if (link->state == STATE_ENDED)
        return LINK_READ_ENDED;
    return link_is_tls(link) || count == LINK_READ_SIZE ? LINK_READ_MORE : LINK_READ_EMPTY;
}

static enum link_read read_frames(struct link *link, struct buf *in)
{
    struct buf raw;
    struct error error;
    buf_init(&raw, LINK_READ_SIZE);
    enum link_read result = read_bytes(link, &raw);
    if (raw.length > 0 &&
        !websocket_receive(link->websocket, raw.data, raw.length, in, &link->out, &error)) {
        send_out(link);
        end(link, false, error.text);
        result = LINK_READ_ENDED;
    }
    buf_clear(&raw);
    if (link->state == STATE_OPEN && left_to_send(link) > 0)
        send_out(link);
    return result;
}

enum link_read link_read(struct link *link, struct buf *in)
{
    enum link_read result = LINK_READ_ENDED;
    if (link->state == STATE_OPEN && is_backed_up(link))
        return LINK_READ_EMPTY;
    if (link->state == STATE_OPEN)
        result = link->websocket ? read_frames(link, in) : read_bytes(link, in);
    watch(link);
    return result;
}

void link_set_low_water(struct link *link, int bytes)
{
    if (link->low_water == bytes || link->state != STATE_OPEN)
        return;
    (void)setsockopt(link->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    link->low_water = bytes;
}

/* ---- Opening */

static void on_open(struct link *link)
{
    timer_stop(&link->timer);
    link->state = STATE_OPEN;
    watch(link);
    link->handler.on_open(link->handler.ctx);
}

/* A broker says nothing before CONNECT: there is no payload behind its answer. */
static void upgrade(struct link *link)
{
    struct buf none;
    buf_init(&none, LINK_READ_SIZE);
    while (link->state == STATE_UPGRADING && read_frames(link, &none) == LINK_READ_MORE &&
           !websocket_is_open(link->websocket))
        continue;
    buf_clear(&none);
    if (link->state == STATE_UPGRADING && websocket_is_open(link->websocket))
        on_open(link);
}

static void on_ready(void *ctx, short revents)
{
    struct link *link = ctx;
    if (link->state == STATE_UPGRADING) {
        if ((revents & POLLOUT) != 0)
            send_out(link);
        upgrade(link);
        watch(link);
        return;
    }
    if ((revents & POLLOUT) != 0) {
        send_out(link);
        watch(link);
        if (!link_has_output(link))
            link->handler.on_sent(link->handler.ctx);
    }
    if ((revents & ~POLLOUT) != 0 && link->state == STATE_OPEN)
        link->handler.on_readable(link->handler.ctx);
}

/* libcurl has a connection; from here on its socket is watched here. */
static void connected(struct link *link)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    stop_watching(link);
    timer_stop(&link->nudge);
    if (curl_easy_getinfo(link->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD) {
        end(link, false, "the connection ended as soon as it was made");
        return;
    }
    link->fd = fd;
    if (!link->websocket) {
        on_open(link);
        return;
    }
    link->state = STATE_UPGRADING;
    websocket_begin(link->websocket, &link->out);
    send_out(link);
    timer_set(&link->timer, link->deadline_ms);
    watch(link);
}

static void look_for_result(struct link *link)
{
    int queued;
    CURLMsg *message;
    while (link->state == STATE_OPENING && (message = curl_multi_info_read(link->multi, &queued))) {
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        if (code == CURLE_OK)
            connected(link);
        else
            end_by_code(link, code);
    }
}

static void act(struct link *link, curl_socket_t fd, int events)
{
    int running;
    CURLMcode code = curl_multi_socket_action(link->multi, fd, events, &running);
    if (code != CURLM_OK)
        end(link, false, curl_multi_strerror(code));
    else
        look_for_result(link);
}

static void on_watched(void *ctx, short revents)
{
    struct watched *watched = ctx;
    int events = 0;
    events |= (revents & POLLIN) != 0 ? CURL_CSELECT_IN : 0;
    events |= (revents & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    events |= (revents & (POLLERR | POLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
    act(watched->link, watched->fd, events);
}

static struct watched *find_watched(struct link *link, int fd)
{
    for (int i = 0; i < SOCKETS; i++)
        if (link->watched[i].fd == fd)
            return &link->watched[i];
    return NULL;
}

/* libcurl may have closed a socket, and opened another with its number, before it says so. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    struct link *link = ctx;
    (void)easy, (void)unused;
    struct watched *watched = find_watched(link, fd);
    short events = 0;
    if (watched) {
        loop_remove_fd(link->loop, fd);
        watched->fd = -1;
    }
    if (what == CURL_POLL_REMOVE)
        return 0;
    events |= (what & CURL_POLL_IN) != 0 ? POLLIN : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? POLLOUT : 0;
    watched = find_watched(link, -1);
    if (!watched || !loop_add_fd(link->loop, fd, events, on_watched, watched))
        return -1;
    watched->fd = fd;
    return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct link *link = ctx;
    (void)multi;
    if (timeout_ms < 0)
        timer_stop(&link->timer);
    else
        timer_set(&link->timer, clock_monotonic_ms() + timeout_ms);
    return 0;
}

static void fire_nudge(void *ctx)
{
    struct link *link = ctx;
    timer_set(&link->nudge, loop_now(link->loop) + TRANSPORT_NUDGE_MS);
    transport_nudge(link->easy);
}

static void fire_timer(void *ctx)
{
    struct link *link = ctx;
    if (link->state == STATE_OPENING)
        act(link, CURL_SOCKET_TIMEOUT, 0);
    else
        end(link, false, "no answer to the WebSocket handshake in time");
}

/* ---- Making */

static bool is_given(const char *text)
{
    return text && text[0] != '\0';
}

/* In place of the user's scheme libcurl gets one of its own: it is to make the connection alone. */
static bool set_address(struct link *link, const char *text, struct error *error)
{
    struct brokerurl url;
    struct buf own;
    if (!brokerurl_parse(text, &url, error))
        return false;
    buf_init(&own, URL_LIMIT);
    buf_printf(
        &own, "%s://%.*s:%d", url.tls ? "https" : "http", (int)url.host_length, url.host, url.port);
    bool done = !own.failed && curl_easy_setopt(link->easy, CURLOPT_URL, own.data) == CURLE_OK;
    link->tls = url.tls;
    if (done && url.websocket) {
        link->websocket = websocket_new(strstr(own.data, "://") + 3, url.path);
        done = link->websocket != NULL;
    }
    buf_clear(&own);
    return done || error_set(error, ERROR_BROKER, "%s: libcurl does not take this address", text);
}

/* A proxy that speaks TLS is held to the same as the broker behind it. */
static bool set_proxy(struct link *link, const struct link_options *options)
{
    CURL *easy = link->easy;
    bool own_ca = is_given(options->ca);
    return curl_easy_setopt(easy, CURLOPT_PROXY, link->proxy ? link->proxy : "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY_SSL_CIPHER_LIST, TLS_CIPHERS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK &&
           (!own_ca || (tls_set_text(easy, CURLOPT_PROXY_CAINFO_BLOB, options->ca) &&
                           curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL) == CURLE_OK &&
                           curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL) == CURLE_OK));
}

static bool set_tls(struct link *link, const struct link_options *options)
{
    CURL *easy = link->easy;
    bool done = tls_apply(easy, options->ca) &&
                curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK;
    if (done && is_given(options->cert))
        done = tls_set_text(easy, CURLOPT_SSLCERT_BLOB, options->cert) &&
               tls_set_text(easy, CURLOPT_SSLKEY_BLOB, options->key);
    if (done && is_given(options->alpn)) {
        link->alpn.behind_proxy = has_tls_proxy(link);
        done = tls_set_alpn(easy, &link->alpn, options->alpn);
    }
    return done;
}

static bool set_options(struct link *link, const struct link_options *options)
{
    CURL *easy = link->easy;
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           set_proxy(link, options) && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* Else giving up would wait for a name resolution, however long that takes. */
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)options->connect_timeout_s) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, link->words) == CURLE_OK &&
           (!link_is_tls(link) || set_tls(link, options));
}

static bool start(struct link *link)
{
    CURLM *multi = link->multi;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, link) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, link) == CURLM_OK &&
           curl_multi_add_handle(multi, link->easy) == CURLM_OK;
}

static bool prepare(struct link *link, const struct link_options *options, struct error *error)
{
    link->multi = curl_multi_init();
    link->easy = curl_easy_init();
    if (!link->multi || !link->easy)
        return error_set(error, ERROR_BROKER, "libcurl cannot make a connection");
    if (!set_address(link, options->url, error))
        return false;
    if (!set_options(link, options) || !start(link))
        return error_set(error, ERROR_BROKER, "libcurl does not take the connection's settings");
    return true;
}

struct link *link_open(struct loop *loop, const struct link_options *options,
    const struct link_handler *handler, struct error *error)
{
    struct link *link = xcalloc(1, sizeof *link);
    link->loop = loop;
    link->handler = *handler;
    link->fd = -1;
    link->low_water = 1;
    link->proxy = is_given(options->proxy) ? xstrdup(options->proxy) : NULL;
    link->deadline_ms = loop_now(loop) + 1000 * (int64_t)options->connect_timeout_s;
    for (int i = 0; i < SOCKETS; i++)
        link->watched[i] = (struct watched){.link = link, .fd = -1};
    buf_init(&link->payload, SIZE_MAX);
    buf_init(&link->out, SIZE_MAX);
    timer_init(&link->timer, loop, fire_timer, link);
    timer_init(&link->nudge, loop, fire_nudge, link);
    timer_init(&link->ended, loop, fire_ended, link);
    if (!prepare(link, options, error)) {
        link_free(link);
        return NULL;
    }
    timer_set(&link->nudge, loop_now(loop) + TRANSPORT_NUDGE_MS);
    return link;
}

static void dispose(void *object)
{
    struct link *link = object;
    if (link->multi) {
        (void)curl_multi_setopt(link->multi, CURLMOPT_SOCKETFUNCTION, NULL);
        (void)curl_multi_setopt(link->multi, CURLMOPT_TIMERFUNCTION, NULL);
        if (link->easy)
            (void)curl_multi_remove_handle(link->multi, link->easy);
    }
    curl_easy_cleanup(link->easy);
    if (link->multi)
        (void)curl_multi_cleanup(link->multi);
    websocket_free(link->websocket);
    buf_clear(&link->payload);
    buf_clear(&link->out);
    free(link->proxy);
    free(link);
}

/* Not at once: a caller may be in the middle of this file. */
void link_free(struct link *link)
{
    if (!link)
        return;
    link->state = STATE_ENDED;
    stop_watching(link);
    timer_stop(&link->timer);
    timer_stop(&link->nudge);
    timer_stop(&link->ended);
    loop_free_later(link->loop, dispose, link);
}
