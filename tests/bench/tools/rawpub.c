/*
 * The raw publisher: ready-made packets of the topics and sizes that the bridge publishes, as fast
 * as the broker acknowledges them. Nothing that reads a stream can be faster than this.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "rig.h"
#include "wire.h"
#include "work.h"

enum { BUFFER = 1 << 16 };

static struct {
    long port;
    long jobs;
    long events;
    long listed;
    long unfinished;
    long window;
    long version;
    const char *root;
} options = {.jobs = 1000, .window = UINT16_MAX, .version = 5, .root = "aiva"};

static struct {
    int fd;
    bool version5;
    uint8_t in[BUFFER];
    size_t length;
    struct buf out;
    unsigned window; /* 0: not connected yet */
    uint64_t published;
    uint64_t acknowledged;
    uint64_t total;
} rawpub;

static void flush(void)
{
    size_t sent = 0;

    while (sent < rawpub.out.length) {
        ssize_t count =
            send(rawpub.fd, rawpub.out.data + sent, rawpub.out.length - sent, MSG_NOSIGNAL);
        struct pollfd writable = {.fd = rawpub.fd, .events = POLLOUT};

        if (count > 0)
            sent += (size_t)count;
        else if (errno == EAGAIN)
            poll(&writable, 1, 1000);
        else
            rig_die("rawpub: send: %s", strerror(errno));
    }
    buf_reset(&rawpub.out);
}

static void publish_next(uint64_t now_ns)
{
    uint64_t jobs = (uint64_t)options.jobs, number = rawpub.published++, job = number % jobs;
    uint64_t seq = number / jobs;
    char topic[256], text[WORK_TEXT_SIZE];
    size_t length;

    if (options.listed > 0)
        length = work_listed_state(text, job, job < (uint64_t)options.unfinished);
    else
        length = work_state(
            text, job, seq, now_ns, seq + 1 == work_events_of((uint64_t)options.events, jobs, job));
    snprintf(
        topic, sizeof topic, "%s/jobs/job_%07llu/state", options.root, (unsigned long long)job);
    wire_put_publish(
        &rawpub.out, rawpub.version5, (uint16_t)(number % UINT16_MAX + 1), topic, text, length);
}

static void fill_window(void)
{
    uint64_t now = rig_now_ns();

    while (
        rawpub.published < rawpub.total && rawpub.published - rawpub.acknowledged < rawpub.window)
        publish_next(now);
    flush();
}

static void handle(const struct wire_packet *packet)
{
    if (packet->type == WIRE_CONNACK) {
        rawpub.window = wire_connack(packet, rawpub.version5);
        if (rawpub.window > (unsigned)options.window)
            rawpub.window = (unsigned)options.window;
    } else if (packet->type == WIRE_PUBACK) {
        rawpub.acknowledged++;
    }
}

static void receive(void)
{
    ssize_t count = recv(rawpub.fd, rawpub.in + rawpub.length, BUFFER - rawpub.length, 0);
    struct wire_packet packet;
    size_t at = 0;

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0)
        rig_die("rawpub: the broker has closed the connection");
    rawpub.length += (size_t)count;
    while (wire_parse(rawpub.in + at, rawpub.length - at, &packet)) {
        handle(&packet);
        at += packet.size;
    }
    memmove(rawpub.in, rawpub.in + at, rawpub.length - at);
    rawpub.length -= at;
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "the broker's port"},
        {"--root", NULL, &options.root, "the bridge's topic"},
        {"--jobs", &options.jobs, NULL, "jobs there are"},
        {"--events", &options.events, NULL, "events to publish, over all jobs"},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to publish instead"},
        {"--unfinished", &options.unfinished, NULL, "of those, how many have not ended"},
        {"--window", &options.window, NULL, "most publications without an acknowledgement"},
        {"--version", &options.version, NULL, "5, or 3 for MQTT 3.1.1"},
        {0},
    };
    struct pollfd readable = {.events = POLLIN};

    rig_options(
        argc, argv, "Publishes ready-made packets as fast as they are acknowledged.", table);
    rig_catch_signals();
    rawpub.version5 = options.version == 5;
    rawpub.total = (uint64_t)(options.listed > 0 ? options.listed : options.events);
    buf_init(&rawpub.out, (size_t)1 << 28);
    rawpub.fd = rig_connect((int)options.port);
    readable.fd = rawpub.fd;
    wire_put_connect(&rawpub.out, rawpub.version5, "bench-rawpub", UINT16_MAX);
    flush();
    while (!rig_stopped() && rawpub.acknowledged < rawpub.total) {
        if (poll(&readable, 1, 1000) > 0)
            receive();
        if (rawpub.window > 0)
            fill_window();
    }
    wire_put_header(&rawpub.out, WIRE_DISCONNECT << 4, 0);
    flush();
    buf_clear(&rawpub.out);
    close(rawpub.fd);
    return 0;
}
