/* One MQTT connection: bytes to packets and back. */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "rig.h"
#include "websocket.h"

enum { LINK_BUFFER = 1 << 20, LINK_OUT = 1 << 28 };

void link_init(struct link *link)
{
    *link = (struct link){.fd = -1, .in = xmalloc(LINK_BUFFER)};
    buf_init(&link->out, LINK_OUT);
}

void link_clear(struct link *link)
{
    link_close(link);
    buf_clear(&link->out);
    free(link->in);
}

static SSL *make_tls(SSL_CTX *context, int fd)
{
    SSL *tls = SSL_new(context);

    if (tls == NULL || SSL_set_fd(tls, fd) != 1)
        rig_die("TLS cannot be set up");
    return tls;
}

void link_connect(struct link *link, int port, bool tls, bool version5, const char *client_id)
{
    link->fd = rig_connect(port);
    link->version5 = version5;
    if (tls) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());

        link->tls = make_tls(context, link->fd);
        SSL_CTX_free(context);
        SSL_set_connect_state(link->tls);
    }
    wire_put_connect(&link->out, version5, client_id, UINT16_MAX);
    if (!link_flush(link))
        rig_die("%s: the broker has closed the connection", client_id);
}

void link_accept(struct link *link, int fd, SSL_CTX *tls, bool websocket)
{
    link->fd = fd;
    if (tls != NULL) {
        link->tls = make_tls(tls, fd);
        SSL_set_accept_state(link->tls);
    }
    if (websocket)
        link->socket = websocket_new();
}

void link_close(struct link *link)
{
    SSL_free(link->tls);
    link->tls = NULL;
    websocket_free(link->socket);
    link->socket = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->length = 0;
    buf_reset(&link->out);
}

/* As recv does: 0 at the end, -1 and EAGAIN where nothing is there. */
static ssize_t receive_some(struct link *link, void *bytes, size_t size)
{
    int count;

    if (link->tls == NULL)
        return recv(link->fd, bytes, size, 0);
    count = SSL_read(link->tls, bytes, (int)size);
    if (count > 0)
        return count;
    errno = EAGAIN;
    return SSL_get_error(link->tls, count) == SSL_ERROR_WANT_READ ? -1 : 0;
}

/* As send does. `*events`: what to wait for where nothing could be sent. */
static ssize_t send_some(struct link *link, const void *bytes, size_t size, short *events)
{
    int count;

    *events = POLLOUT;
    if (link->tls == NULL)
        return send(link->fd, bytes, size, MSG_NOSIGNAL);
    count = SSL_write(link->tls, bytes, (int)size);
    if (count > 0)
        return count;
    switch (SSL_get_error(link->tls, count)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        break;
    case SSL_ERROR_WANT_WRITE:
        break;
    default:
        errno = EPIPE;
        return -1;
    }
    errno = EAGAIN;
    return -1;
}

static bool send_all(struct link *link, const char *bytes, size_t length)
{
    size_t sent = 0;

    while (sent < length) {
        struct pollfd ready = {.fd = link->fd};
        ssize_t count = send_some(link, bytes + sent, length - sent, &ready.events);

        if (count > 0)
            sent += (size_t)count;
        else if (errno == EAGAIN)
            poll(&ready, 1, 1000);
        else
            return false;
    }
    return true;
}

bool link_flush(struct link *link)
{
    bool done = true;

    if (link->socket != NULL) {
        struct buf *framed = websocket_frame(link->socket, &link->out);

        done = send_all(link, framed->data, framed->length);
        buf_reset(framed);
    } else if (link->out.length > 0) {
        done = send_all(link, link->out.data, link->out.length);
    }
    buf_reset(&link->out);
    return done;
}

/* Payload behind what `in` holds already. As recv does. */
static ssize_t receive_payload(struct link *link)
{
    uint8_t *bytes = link->in + link->length;
    size_t size = LINK_BUFFER - link->length;
    ssize_t count = receive_some(link, bytes, size);

    if (count <= 0 || link->socket == NULL)
        return count;
    count = websocket_unframe(link->socket, bytes, (size_t)count);
    if (count == 0)
        errno = EAGAIN;
    return count < 0 ? 0 : count > 0 ? count : -1;
}

static bool handle_all(struct link *link, uint64_t now_ns, link_handle handle, void *ctx)
{
    struct wire_packet packet;
    size_t at = 0;

    while (wire_parse(link->in + at, link->length - at, &packet)) {
        if (!handle(ctx, &packet, now_ns))
            return false;
        at += packet.size;
    }
    memmove(link->in, link->in + at, link->length - at);
    link->length -= at;
    return true;
}

/* TLS may hold bytes that poll does not see. */
bool link_receive(struct link *link, link_handle handle, void *ctx)
{
    do {
        ssize_t count = receive_payload(link);

        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return link_flush(link);
        if (count <= 0)
            return false;
        link->length += (size_t)count;
        if (!handle_all(link, rig_now_ns(), handle, ctx))
            return false;
    } while (link->tls != NULL);
    return link_flush(link);
}

bool link_wait(struct link *link, int timeout_ms, link_handle handle, void *ctx)
{
    struct pollfd readable = {.fd = link->fd, .events = POLLIN};

    return poll(&readable, 1, timeout_ms) <= 0 || link_receive(link, handle, ctx);
}
