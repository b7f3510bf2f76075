/*
 * A broker that only acknowledges, and measures as the sink does: what remains is the client's own
 * limit. It forwards nothing, but echoes what a client publishes on a topic that it has subscribed
 * to by its full name: the bridge waits for its own `online`.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "measure.h"
#include "mem.h"
#include "rig.h"
#include "wire.h"

enum { CLIENTS = 16, BUFFER = 1 << 18, ECHOES = 4 };

struct client {
    int fd; /* -1: none */
    bool version5;
    uint8_t *in;
    size_t length;
    struct buf out;
    char *echoes[ECHOES];
};

static struct {
    long port;
    long jobs;
    long events;
    long listed;
    long idle_ms;
    long receive;
} options = {.jobs = 1000, .idle_ms = 5000, .receive = UINT16_MAX};

static struct client clients[CLIENTS];
static struct measure *measure;

static void close_client(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->length = 0;
    buf_reset(&client->out);
    for (int i = 0; i < ECHOES; i++) {
        free(client->echoes[i]);
        client->echoes[i] = NULL;
    }
}

static void flush(struct client *client)
{
    size_t sent = 0;

    while (sent < client->out.length) {
        ssize_t count =
            send(client->fd, client->out.data + sent, client->out.length - sent, MSG_NOSIGNAL);
        struct pollfd writable = {.fd = client->fd, .events = POLLOUT};

        if (count > 0) {
            sent += (size_t)count;
        } else if (errno == EAGAIN) {
            poll(&writable, 1, 1000);
        } else {
            close_client(client);
            return;
        }
    }
    buf_reset(&client->out);
}

/* ---- Packets */

static void on_connect(struct client *client, const struct wire_packet *packet)
{
    client->version5 = packet->length > 6 && packet->body[6] == 5;
    wire_put_header(&client->out, WIRE_CONNACK << 4, client->version5 ? 6 : 2);
    wire_put_u16(&client->out, 0);
    if (client->version5) {
        buf_append(&client->out, "\x03\x21", 2);
        wire_put_u16(&client->out, (unsigned)options.receive);
    }
}

static void remember_echo(struct client *client, const char *filter, size_t length)
{
    int i = 0;

    if (memchr(filter, '+', length) != NULL || memchr(filter, '#', length) != NULL)
        return;
    while (i < ECHOES - 1 && client->echoes[i] != NULL)
        i++;
    free(client->echoes[i]);
    client->echoes[i] = xmemdup0(filter, length);
}

/* Grants what is asked for. An unsubscription has the same shape, without the options. */
static void on_subscribe(struct client *client, const struct wire_packet *packet)
{
    bool subscribe = packet->type == WIRE_SUBSCRIBE;
    const uint8_t *at = packet->body + 2, *end = packet->body + packet->length;
    uint32_t properties = 0;
    uint8_t codes[64];
    size_t count = 0;

    if (client->version5 && wire_number(&at, end, &properties))
        at += properties;
    while (end - at > 2 && count < sizeof codes) {
        size_t length = wire_u16(at);

        if (subscribe)
            remember_echo(client, (const char *)at + 2, length);
        at += 2 + length + (subscribe ? 1 : 0);
        codes[count++] = subscribe ? at[-1] & 3 : 0;
    }
    if (!subscribe && !client->version5)
        count = 0;
    wire_put_header(&client->out, (uint8_t)((subscribe ? WIRE_SUBACK : WIRE_UNSUBACK) << 4),
        2 + (client->version5 ? 1u : 0u) + count);
    buf_append(&client->out, packet->body, 2);
    if (client->version5)
        buf_append_char(&client->out, 0);
    buf_append(&client->out, codes, count);
}

/* QoS 0, not retained. */
static void echo(struct client *client, const struct wire_publish *publish)
{
    for (int i = 0; i < ECHOES && client->echoes[i] != NULL; i++) {
        if (strlen(client->echoes[i]) != publish->topic_length ||
            memcmp(client->echoes[i], publish->topic, publish->topic_length) != 0)
            continue;
        wire_put_header(&client->out, WIRE_PUBLISH << 4,
            2 + publish->topic_length + (client->version5 ? 1u : 0u) + publish->length);
        wire_put_u16(&client->out, (unsigned)publish->topic_length);
        buf_append(&client->out, publish->topic, publish->topic_length);
        if (client->version5)
            buf_append_char(&client->out, 0);
        buf_append(&client->out, publish->payload, publish->length);
        return;
    }
}

static void on_publish(struct client *client, const struct wire_packet *packet, uint64_t now_ns)
{
    struct wire_publish publish;

    if (!wire_parse_publish(packet, client->version5, &publish) || publish.qos > 1)
        rig_die("nullbroker: a PUBLISH that it does not understand; it takes QoS 0 and 1");
    if (client->echoes[0] != NULL)
        echo(client, &publish);
    measure_take(
        measure, publish.topic, publish.topic_length, publish.payload, publish.length, now_ns);
    if (publish.qos > 0)
        wire_put_puback(&client->out, publish.id);
}

/* False: the connection ends. */
static bool handle(struct client *client, const struct wire_packet *packet, uint64_t now_ns)
{
    switch ((int)packet->type) {
    case WIRE_CONNECT:
        on_connect(client, packet);
        return true;
    case WIRE_PUBLISH:
        on_publish(client, packet, now_ns);
        return true;
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE:
        on_subscribe(client, packet);
        return true;
    case WIRE_PINGREQ:
        wire_put_header(&client->out, WIRE_PINGRESP << 4, 0);
        return true;
    case WIRE_PUBACK:
        return true;
    default:
        return false;
    }
}

static void receive(struct client *client)
{
    ssize_t count = recv(client->fd, client->in + client->length, BUFFER - client->length, 0);
    uint64_t now = rig_now_ns();
    struct wire_packet packet;
    size_t at = 0;

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        close_client(client);
        return;
    }
    client->length += (size_t)count;
    while (wire_parse(client->in + at, client->length - at, &packet)) {
        if (!handle(client, &packet, now)) {
            close_client(client);
            return;
        }
        at += packet.size;
    }
    memmove(client->in, client->in + at, client->length - at);
    client->length -= at;
    flush(client);
}

/* ---- The loop */

static void accept_client(int listening)
{
    int fd = rig_accept(listening);

    for (int i = 0; i < CLIENTS && fd >= 0; i++) {
        if (clients[i].fd < 0) {
            clients[i].fd = fd;
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static bool is_silent(void)
{
    uint64_t last = measure_last_ns(measure);

    return last != 0 && rig_now_ns() - last > (uint64_t)options.idle_ms * 1000000u;
}

/* Goes on serving after the last event, so that the client can be stopped in order. */
static void run(int listening)
{
    struct pollfd polled[CLIENTS + 1];
    bool printed = false;

    while (!rig_stopped()) {
        for (int i = 0; i < CLIENTS; i++)
            polled[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        polled[CLIENTS] = (struct pollfd){.fd = listening, .events = POLLIN};
        if (poll(polled, CLIENTS + 1, 100) > 0) {
            if (polled[CLIENTS].revents != 0)
                accept_client(listening);
            for (int i = 0; i < CLIENTS; i++)
                if (polled[i].revents != 0 && clients[i].fd == polled[i].fd)
                    receive(&clients[i]);
        }
        if (!printed && (measure_complete(measure) || is_silent())) {
            measure_print(measure);
            printed = true;
        }
    }
    if (!printed)
        measure_print(measure);
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "port to listen on; 0: a free one, which is printed"},
        {"--jobs", &options.jobs, NULL, "jobs there are"},
        {"--events", &options.events, NULL, "events to wait for, over all jobs"},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to wait for"},
        {"--idle", &options.idle_ms, NULL, "ms of silence after which the rest counts as lost"},
        {"--receive", &options.receive, NULL, "Receive Maximum, announced with MQTT 5"},
        {0},
    };
    int listening;

    rig_options(argc, argv, "A broker that only acknowledges, and measures.", table);
    rig_catch_signals();
    measure =
        measure_new((uint64_t)options.jobs, (uint64_t)options.events, (uint64_t)options.listed);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].fd = -1;
        clients[i].in = xmalloc(BUFFER);
        buf_init(&clients[i].out, 16 * BUFFER);
    }
    listening = rig_listen((int)options.port);
    run(listening);
    for (int i = 0; i < CLIENTS; i++) {
        close_client(&clients[i]);
        buf_clear(&clients[i].out);
        free(clients[i].in);
    }
    measure_free(measure);
    close(listening);
    return 0;
}
