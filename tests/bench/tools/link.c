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

enum { LINK_BUFFER = 1 << 20, LINK_OUT = 1 << 28 };

void link_init(struct link *link)
{
    link->fd = -1;
    link->in = xmalloc(LINK_BUFFER);
    link->length = 0;
    buf_init(&link->out, LINK_OUT);
}

void link_clear(struct link *link)
{
    link_close(link);
    buf_clear(&link->out);
    free(link->in);
}

void link_connect(struct link *link, int port, bool version5, const char *client_id)
{
    link->fd = rig_connect(port);
    link->version5 = version5;
    wire_put_connect(&link->out, version5, client_id, UINT16_MAX);
    if (!link_flush(link))
        rig_die("%s: the broker has closed the connection", client_id);
}

void link_close(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->length = 0;
    buf_reset(&link->out);
}

bool link_flush(struct link *link)
{
    size_t sent = 0;

    while (sent < link->out.length) {
        ssize_t count =
            send(link->fd, link->out.data + sent, link->out.length - sent, MSG_NOSIGNAL);
        struct pollfd writable = {.fd = link->fd, .events = POLLOUT};

        if (count > 0)
            sent += (size_t)count;
        else if (errno == EAGAIN)
            poll(&writable, 1, 1000);
        else
            return false;
    }
    buf_reset(&link->out);
    return true;
}

bool link_receive(struct link *link, link_handle handle, void *ctx)
{
    ssize_t count = recv(link->fd, link->in + link->length, LINK_BUFFER - link->length, 0);
    uint64_t now = rig_now_ns();
    struct wire_packet packet;
    size_t at = 0;

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (count <= 0)
        return false;
    link->length += (size_t)count;
    while (wire_parse(link->in + at, link->length - at, &packet)) {
        if (!handle(ctx, &packet, now))
            return false;
        at += packet.size;
    }
    memmove(link->in, link->in + at, link->length - at);
    link->length -= at;
    return link_flush(link);
}

bool link_wait(struct link *link, int timeout_ms, link_handle handle, void *ctx)
{
    struct pollfd readable = {.fd = link->fd, .events = POLLIN};

    return poll(&readable, 1, timeout_ms) <= 0 || link_receive(link, handle, ctx);
}
