/*
 * A broker that only acknowledges, and measures as the sink does: what remains is the client's own
 * limit. It forwards nothing, but echoes what a client publishes on a topic that it has subscribed
 * to by its full name: the bridge waits for its own `online`.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link.h"
#include "measure.h"
#include "mem.h"
#include "rig.h"

enum { CLIENTS = 16, ECHOES = 4 };

struct client {
    struct link link;
    char *echoes[ECHOES]; /* topics */
};

static struct {
    long port;
    struct work_options work;
    long listed;
    long idle_ms;
    long receive;
    const char *certificate;
    const char *key;
    long websocket;
} options = {
    .work.jobs = 1000, .idle_ms = 5000, .receive = UINT16_MAX, .certificate = "", .key = ""};

static struct client clients[CLIENTS];
static struct measure *measure;
static SSL_CTX *tls; /* NULL: plain */

static void close_client(struct client *client)
{
    link_close(&client->link);
    for (int i = 0; i < ECHOES; i++) {
        free(client->echoes[i]);
        client->echoes[i] = NULL;
    }
}

/* ---- Packets */

static void on_connect(struct client *client, const struct wire_packet *packet)
{
    client->link.version5 = packet->length > 6 && packet->body[6] == 5;
    wire_put_header(&client->link.out, WIRE_CONNACK << 4, client->link.version5 ? 6 : 2);
    wire_put_u16(&client->link.out, 0);
    if (client->link.version5) {
        buf_append(&client->link.out, "\x03\x21", 2);
        wire_put_u16(&client->link.out, (unsigned)options.receive);
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

    if (client->link.version5 && wire_number(&at, end, &properties))
        at += properties;
    while (end - at > 2 && count < sizeof codes) {
        size_t length = wire_u16(at);

        if (subscribe)
            remember_echo(client, (const char *)at + 2, length);
        at += 2 + length + (subscribe ? 1 : 0);
        codes[count++] = subscribe ? at[-1] & 3 : 0;
    }
    if (!subscribe && !client->link.version5)
        count = 0;
    wire_put_header(&client->link.out, (uint8_t)((subscribe ? WIRE_SUBACK : WIRE_UNSUBACK) << 4),
        2 + (client->link.version5 ? 1u : 0u) + count);
    buf_append(&client->link.out, packet->body, 2);
    if (client->link.version5)
        buf_append_char(&client->link.out, 0);
    buf_append(&client->link.out, codes, count);
}

/* QoS 0, not retained. */
static void echo(struct client *client, const struct wire_publish *publish)
{
    for (int i = 0; i < ECHOES && client->echoes[i] != NULL; i++) {
        if (strlen(client->echoes[i]) != publish->topic_length ||
            memcmp(client->echoes[i], publish->topic, publish->topic_length) != 0)
            continue;
        wire_put_header(&client->link.out, WIRE_PUBLISH << 4,
            2 + publish->topic_length + (client->link.version5 ? 1u : 0u) + publish->length);
        wire_put_u16(&client->link.out, (unsigned)publish->topic_length);
        buf_append(&client->link.out, publish->topic, publish->topic_length);
        if (client->link.version5)
            buf_append_char(&client->link.out, 0);
        buf_append(&client->link.out, publish->payload, publish->length);
        return;
    }
}

static void on_publish(struct client *client, const struct wire_packet *packet, uint64_t now_ns)
{
    struct wire_publish publish;

    if (!wire_parse_publish(packet, client->link.version5, &publish) || publish.qos > 1)
        rig_die("nullbroker: a PUBLISH that it does not understand; it takes QoS 0 and 1");
    if (client->echoes[0] != NULL)
        echo(client, &publish);
    measure_take(measure, &publish, now_ns);
    if (publish.qos > 0)
        wire_put_puback(&client->link.out, publish.id);
}

static bool handle(void *ctx, const struct wire_packet *packet, uint64_t now_ns)
{
    struct client *client = ctx;

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
        wire_put_header(&client->link.out, WIRE_PINGRESP << 4, 0);
        return true;
    case WIRE_PUBACK:
        return true;
    default:
        return false;
    }
}

/* ---- The loop */

static void accept_client(int listening)
{
    int fd = rig_accept(listening);

    for (int i = 0; i < CLIENTS && fd >= 0; i++) {
        if (clients[i].link.fd < 0) {
            link_accept(&clients[i].link, fd, tls, options.websocket != 0);
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void load_certificate(void)
{
    if (*options.certificate == '\0')
        return;
    tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, options.certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, options.key, SSL_FILETYPE_PEM) != 1)
        rig_die("%s and %s are no certificate and its key", options.certificate, options.key);
}

/* Goes on serving after the last event, so that the client can be stopped in order. */
static void run(int listening)
{
    struct pollfd polled[CLIENTS + 1];
    bool printed = false;

    while (!rig_stopped()) {
        for (int i = 0; i < CLIENTS; i++)
            polled[i] = (struct pollfd){.fd = clients[i].link.fd, .events = POLLIN};
        polled[CLIENTS] = (struct pollfd){.fd = listening, .events = POLLIN};
        if (poll(polled, CLIENTS + 1, 100) > 0) {
            if (polled[CLIENTS].revents != 0)
                accept_client(listening);
            for (int i = 0; i < CLIENTS; i++)
                if (polled[i].revents != 0 && clients[i].link.fd == polled[i].fd)
                    if (!link_receive(&clients[i].link, handle, &clients[i]))
                        close_client(&clients[i]);
        }
        if (!printed && measure_is_over(measure, options.idle_ms)) {
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
        {WORK_JOBS(options.work)},
        {WORK_ACTIVE(options.work)},
        {WORK_EVENTS(options.work)},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to wait for"},
        {"--idle", &options.idle_ms, NULL, "ms of silence after which the rest counts as lost"},
        {"--receive", &options.receive, NULL, "Receive Maximum, announced with MQTT 5"},
        {"--certificate", NULL, &options.certificate, "speak TLS with this certificate (PEM)"},
        {"--key", NULL, &options.key, "the certificate's private key"},
        {"--websocket", &options.websocket, NULL, "1: MQTT over WebSocket"},
        {0},
    };
    struct work work;
    int listening;

    rig_options(argc, argv, "A broker that only acknowledges, and measures.", table);
    rig_catch_signals();
    work = work_make(&options.work);
    measure = measure_new(&work, (uint64_t)options.listed);
    for (int i = 0; i < CLIENTS; i++)
        link_init(&clients[i].link);
    load_certificate();
    listening = rig_listen((int)options.port);
    run(listening);
    for (int i = 0; i < CLIENTS; i++) {
        close_client(&clients[i]);
        link_clear(&clients[i].link);
    }
    measure_free(measure);
    SSL_CTX_free(tls);
    close(listening);
    return 0;
}
