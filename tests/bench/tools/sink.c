/*
 * Subscribes to the states and events of all jobs and measures what arrives. Its own packets
 * rather than a library: it shares two cores with what it measures, so each cycle counts.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "measure.h"
#include "rig.h"
#include "wire.h"

enum { BUFFER = 1 << 20, FILTERS = 3 };

static struct {
    long port;
    long jobs;
    long events;
    long listed;
    long idle_ms;
    const char *root;
} options = {.jobs = 1000, .idle_ms = 5000, .root = "aiva"};

static struct {
    int fd;
    uint8_t *in;
    size_t length;
    struct buf out;
    struct measure *measure;
    int subscribed;
} sink;

static void flush(void)
{
    size_t sent = 0;

    while (sent < sink.out.length) {
        ssize_t count = send(sink.fd, sink.out.data + sent, sink.out.length - sent, MSG_NOSIGNAL);
        struct pollfd writable = {.fd = sink.fd, .events = POLLOUT};

        if (count > 0)
            sent += (size_t)count;
        else if (errno == EAGAIN)
            poll(&writable, 1, 1000);
        else
            rig_die("sink: send: %s", strerror(errno));
    }
    buf_reset(&sink.out);
}

static void subscribe(void)
{
    /* The last is for who cannot give each job a topic of its own. */
    static const char *const tails[FILTERS] = {"+/state", "+/event", "state"};
    struct buf filter;

    buf_init(&filter, 1024);
    for (unsigned i = 0; i < FILTERS; i++) {
        buf_reset(&filter);
        buf_printf(&filter, "%s/jobs/%s", options.root, tails[i]);
        wire_put_subscribe(&sink.out, true, (uint16_t)(i + 1), filter.data);
    }
    buf_clear(&filter);
}

static void handle(const struct wire_packet *packet, uint64_t now_ns)
{
    struct wire_publish publish;

    if (packet->type == WIRE_CONNACK) {
        wire_connack(packet, true);
        subscribe();
    } else if (packet->type == WIRE_SUBACK) {
        if (++sink.subscribed == FILTERS)
            rig_say("ready");
    } else if (packet->type == WIRE_PUBLISH && wire_parse_publish(packet, true, &publish)) {
        measure_take(sink.measure, publish.topic, publish.topic_length, publish.payload,
            publish.length, now_ns);
        if (publish.qos > 0)
            wire_put_puback(&sink.out, publish.id);
    }
}

/* False: the broker has closed the connection. */
static bool receive(void)
{
    ssize_t count = recv(sink.fd, sink.in + sink.length, BUFFER - sink.length, 0);
    uint64_t now = rig_now_ns();
    struct wire_packet packet;
    size_t at = 0;

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (count <= 0)
        return false;
    sink.length += (size_t)count;
    while (wire_parse(sink.in + at, sink.length - at, &packet)) {
        handle(&packet, now);
        at += packet.size;
    }
    memmove(sink.in, sink.in + at, sink.length - at);
    sink.length -= at;
    flush();
    return true;
}

/* Nothing has come for so long that what is missing is lost. */
static bool is_silent(void)
{
    uint64_t last = measure_last_ns(sink.measure);

    return last != 0 && rig_now_ns() - last > (uint64_t)options.idle_ms * 1000000u;
}

static void run(void)
{
    struct pollfd readable = {.events = POLLIN};

    sink.fd = rig_connect((int)options.port);
    readable.fd = sink.fd;
    wire_put_connect(&sink.out, true, "bench-sink", UINT16_MAX);
    flush();
    while (!rig_stopped() && !measure_complete(sink.measure) && !is_silent())
        if (poll(&readable, 1, 100) > 0 && !receive())
            break;
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "the broker's port"},
        {"--root", NULL, &options.root, "the bridge's topic"},
        {"--jobs", &options.jobs, NULL, "jobs there are"},
        {"--events", &options.events, NULL, "events to wait for, over all jobs"},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to wait for"},
        {"--idle", &options.idle_ms, NULL, "ms of silence after which the rest counts as lost"},
        {0},
    };

    rig_options(argc, argv, "Subscribes, measures, prints one line of JSON at the end.", table);
    rig_catch_signals();
    sink.in = malloc(BUFFER);
    if (sink.in == NULL)
        rig_die("sink: no memory");
    buf_init(&sink.out, BUFFER);
    sink.measure =
        measure_new((uint64_t)options.jobs, (uint64_t)options.events, (uint64_t)options.listed);
    run();
    measure_print(sink.measure);
    measure_free(sink.measure);
    buf_clear(&sink.out);
    free(sink.in);
    close(sink.fd);
    return 0;
}
