/*
 * A small HTTP server on the loop. libmicrohttpd watches its sockets with an epoll descriptor,
 * which is one more descriptor to the loop; it is called when that is ready. Its own time limit
 * starts again with each byte, so that a client could stay for ever: hence a deadline of our own
 * for each connection, and the oldest has to go where there are too many. What a client can make
 * the bridge hold is bounded by that: HTTPD_CONNECTIONS times one answer.
 */
#include "httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httphost.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"

#define LOG_TAG "http"
#include "log.h"

enum {
    HTTPD_CONNECTIONS = 32,
    /* libmicrohttpd's own bound: it accepts some before it sees that others have been ended. */
    HTTPD_CONNECTIONS_MOST = 64,
    HTTPD_CONNECTION_MEMORY = 8192, /* bytes for the request's head and the answer's */
    HTTPD_BACKLOG = 64,
};

struct connection {
    TAILQ_ENTRY(connection) link;
    int fd;
    int64_t deadline_ms;
    bool ended; /* shut down, and libmicrohttpd is about to see it */
};

TAILQ_HEAD(connection_queue, connection);

struct httpd {
    struct loop *loop;
    struct httpd_handler handler;
    int64_t most_ms; /* of a connection */
    char *name;      /* that is listened on */
    char address[INET6_ADDRSTRLEN];
    struct log_limit host_limit;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    struct connection_queue connections; /* the oldest first */
    unsigned open;                       /* of them, those that have not been ended */
    struct timer timer;                  /* the next deadline, or libmicrohttpd's own wish */
};

/* ---- Connections */

static void end_connection(struct httpd *httpd, struct connection *connection)
{
    /* libmicrohttpd owns the socket: it sees the end, and closes. */
    shutdown(connection->fd, SHUT_RDWR);
    connection->ended = true;
    httpd->open--;
}

static struct connection *oldest(const struct httpd *httpd)
{
    struct connection *connection = TAILQ_FIRST(&httpd->connections);
    while (connection && connection->ended)
        connection = TAILQ_NEXT(connection, link);
    return connection;
}

static void on_connection(
    void *ctx, struct MHD_Connection *handle, void **kept, enum MHD_ConnectionNotificationCode what)
{
    struct httpd *httpd = ctx;
    struct connection *connection = *kept;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        TAILQ_REMOVE(&httpd->connections, connection, link);
        httpd->open -= !connection->ended;
        free(connection);
        return;
    }
    if (httpd->open >= HTTPD_CONNECTIONS)
        end_connection(httpd, oldest(httpd));
    connection = xcalloc(1, sizeof *connection);
    connection->fd = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->deadline_ms = loop_now(httpd->loop) + httpd->most_ms;
    TAILQ_INSERT_TAIL(&httpd->connections, connection, link);
    httpd->open++;
    *kept = connection;
}

static void plan(struct httpd *httpd)
{
    MHD_UNSIGNED_LONG_LONG wish_ms;
    const struct connection *next = oldest(httpd);
    int64_t now_ms = loop_now(httpd->loop), at_ms = next ? next->deadline_ms : INT64_MAX;
    if (MHD_get_timeout(httpd->daemon, &wish_ms) == MHD_YES && (int64_t)wish_ms < at_ms - now_ms)
        at_ms = now_ms + (int64_t)wish_ms;
    if (at_ms == INT64_MAX)
        timer_stop(&httpd->timer);
    else
        timer_set(&httpd->timer, at_ms);
}

static void run(struct httpd *httpd)
{
    MHD_run(httpd->daemon);
    plan(httpd);
}

static void on_ready(void *ctx, short revents)
{
    (void)revents;
    run(ctx);
}

static void on_timer(void *ctx)
{
    struct httpd *httpd = ctx;
    struct connection *connection;
    while ((connection = oldest(httpd)) && connection->deadline_ms <= loop_now(httpd->loop))
        end_connection(httpd, connection);
    run(httpd);
}

/* ---- Requests */

static enum MHD_Result respond(struct MHD_Connection *handle, struct httpd_answer *answer)
{
    size_t length = answer->body.length;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, buf_take(&answer->body), MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    enum MHD_Result done = MHD_YES;
    const char *const headers[][2] = {{"Content-Type", answer->content_type},
        {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"},
        {"Connection", "close"}, {"Allow", answer->status == 405 ? "GET, HEAD" : NULL}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers && done == MHD_YES; i++)
        if (headers[i][1])
            done = MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (done == MHD_YES)
        done = MHD_queue_response(handle, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return done;
}

/* Another site's name for this machine: a browser would let that site read the answer. */
static bool is_for_another(struct httpd *httpd, struct MHD_Connection *handle)
{
    const char *host = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Host");
    if (httphost_is_served(&(struct httphost){httpd->name, httpd->address}, host))
        return false;
    log_warn_limited(&httpd->host_limit, loop_now(httpd->loop),
        "http.listen: a request for the host %.*s is refused: ask by address, or listen on "
        "that "
        "name",
        LIMIT_DETAIL, host);
    return true;
}

/* Answers as soon as the head is there: a body is of no interest, and not waited for. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *handle, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_length,
    void **request)
{
    struct httpd *httpd = ctx;
    struct httpd_answer answer = {.status = 404, .content_type = "text/plain; charset=utf-8"};
    (void)version;
    (void)upload;
    *upload_length = 0;
    (void)request;
    buf_init(&answer.body, LIMIT_HTTPD_BODY);
    if (is_for_another(httpd, handle)) {
        answer.status = 421;
        buf_append_text(&answer.body, "http.listen does not answer for the host of this request\n");
    } else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        httpd->handler.on_get(httpd->handler.ctx, path, &answer);
    } else {
        answer.status = 405;
        buf_append_text(&answer.body, "only GET and HEAD are answered here\n");
    }
    if (answer.body.failed) {
        buf_clear(&answer.body);
        answer.status = 500;
    }
    return respond(handle, &answer);
}

/* ---- Life */

static int open_socket(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* A restart need not wait until the connections of the last run are forgotten. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, HTTPD_BACKLOG) == 0)
        return fd;
    int kept_errno = errno;
    close(fd);
    errno = kept_errno;
    return -1;
}

/* The host of "host:port", without the brackets of an IPv6 address, and the port behind it. */
static const char *split(char *listen)
{
    char *colon = strrchr(listen, ':');
    *colon = '\0';
    if (listen[0] == '[') {
        memmove(listen, listen + 1, strlen(listen));
        listen[strlen(listen) - 1] = '\0';
    }
    return colon + 1;
}

/* Listens on the first address of the host that can be listened on. -1 and the error. */
static int listen_on(const char *listen, const char *host, const char *port, struct error *error)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int fd = -1, code = getaddrinfo(host, port, &wanted, &found);
    if (code != 0) {
        error_set(error, ERROR_RUN, "http.listen: %s: %s", listen, gai_strerror(code));
        return -1;
    }
    for (const struct addrinfo *each = found; each && fd < 0; each = each->ai_next)
        fd = open_socket(each);
    if (fd < 0)
        error_set(
            error, ERROR_RUN, "http.listen: cannot listen on %s: %s", listen, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static bool start(struct httpd *httpd, int listen_fd, struct error *error)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    if (getsockname(listen_fd, (struct sockaddr *)&bound, &length) != 0 ||
        getnameinfo((const struct sockaddr *)&bound, length, httpd->address, sizeof httpd->address,
            NULL, 0, NI_NUMERICHOST) != 0)
        httpd->address[0] = '\0'; /* a link-local one: only loopback and the name are served */
    httpd->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, httpd,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_CONNECTION, on_connection, httpd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTPD_CONNECTIONS_MOST,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_CONNECTION_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!httpd->daemon)
        return error_set(error, ERROR_RUN, "http.listen: libmicrohttpd cannot be started");
    httpd->epoll_fd = MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (!loop_add_fd(httpd->loop, httpd->epoll_fd, POLLIN, on_ready, httpd))
        return error_set(error, ERROR_RUN, "http.listen: too many descriptors");
    return true;
}

struct httpd *httpd_new(struct loop *loop, const char *listen, int64_t most_ms,
    const struct httpd_handler *handler, struct error *error)
{
    char *host = xstrdup(listen);
    const char *port = split(host);
    int listen_fd = listen_on(listen, host, port, error);
    if (listen_fd < 0) {
        free(host);
        return NULL;
    }
    struct httpd *httpd = xcalloc(1, sizeof *httpd);
    httpd->loop = loop;
    httpd->name = host;
    httpd->handler = *handler;
    httpd->most_ms = most_ms;
    httpd->epoll_fd = -1;
    TAILQ_INIT(&httpd->connections);
    timer_init(&httpd->timer, loop, on_timer, httpd);
    if (!start(httpd, listen_fd, error)) {
        httpd_free(httpd);
        return NULL;
    }
    return httpd;
}

void httpd_free(struct httpd *httpd)
{
    if (!httpd)
        return;
    timer_stop(&httpd->timer);
    if (httpd->epoll_fd >= 0)
        loop_remove_fd(httpd->loop, httpd->epoll_fd);
    if (httpd->daemon)
        MHD_stop_daemon(httpd->daemon);
    free(httpd->name);
    free(httpd);
}
