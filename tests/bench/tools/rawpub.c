/*
 * The raw publisher: ready-made packets of the topics and sizes that the bridge publishes, as fast
 * as the broker acknowledges them. Nothing that reads a stream can be faster than this.
 */
#include <stdio.h>
#include <stdlib.h>

#include "link.h"
#include "rig.h"
#include "work.h"

static struct {
    long port;
    struct work_options work;
    long listed;
    long window;
    long batch;
    long version;
    long tls;
    const char *root;
} options = {.work.jobs = 1000, .window = 1000, .version = 5, .root = "aiva"};

struct rawpub {
    struct link link;
    struct work work;
    unsigned window; /* 0: not connected yet */
    unsigned batch;
    uint64_t published;
    uint64_t acknowledged;
    uint64_t total;
};

static void publish_next(struct rawpub *rawpub, uint64_t now_ns)
{
    uint64_t number = rawpub->published++, job;
    char topic[256], text[WORK_TEXT_SIZE];
    size_t length;

    if (options.listed > 0) {
        job = number;
        length = work_listed_state(&rawpub->work, job, text);
    } else {
        job = work_job_of(&rawpub->work, number);
        length = work_state(&rawpub->work, number, now_ns, text);
    }
    snprintf(
        topic, sizeof topic, "%s/jobs/job_%07llu/state", options.root, (unsigned long long)job);
    wire_put_publish(&rawpub->link.out, rawpub->link.version5, (uint16_t)(number % UINT16_MAX + 1),
        topic, text, length);
}

/* Half of a large window. Of a small one as few as make full speed: mosquitto sets no TCP_NODELAY,
 * so that behind the first acknowledgement the others wait until something is sent again. */
static unsigned default_batch(unsigned window)
{
    return window < 100 ? 2 : window / 2;
}

static bool handle(void *ctx, const struct wire_packet *packet, uint64_t now_ns)
{
    struct rawpub *rawpub = ctx;

    (void)now_ns;
    if (packet->type == WIRE_CONNACK) {
        rawpub->window = wire_connack(packet, rawpub->link.version5);
        if (rawpub->window > (unsigned)options.window)
            rawpub->window = (unsigned)options.window;
        rawpub->batch = options.batch > 0 ? (unsigned)options.batch : default_batch(rawpub->window);
    } else if (packet->type == WIRE_PUBACK) {
        rawpub->acknowledged++;
    }
    return true;
}

static void fill_window(struct rawpub *rawpub)
{
    uint64_t now = rig_now_ns(), under_way = rawpub->published - rawpub->acknowledged;

    if (rawpub->window == 0 || under_way + rawpub->batch > rawpub->window)
        return;
    for (; rawpub->published < rawpub->total && under_way < rawpub->window; under_way++)
        publish_next(rawpub, now);
    if (!link_flush(&rawpub->link))
        rig_die("rawpub: the broker has closed the connection");
}

static void run(struct rawpub *rawpub)
{
    while (!rig_stopped() && rawpub->acknowledged < rawpub->total) {
        if (!link_wait(&rawpub->link, 1000, handle, rawpub))
            rig_die("rawpub: the broker has closed the connection");
        fill_window(rawpub);
    }
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "the broker's port"},
        {"--root", NULL, &options.root, "the bridge's topic"},
        {WORK_JOBS(options.work)},
        {WORK_ACTIVE(options.work)},
        {WORK_EVENTS(options.work)},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to publish instead"},
        {"--window", &options.window, NULL, "most publications without an acknowledgement"},
        {"--batch", &options.batch, NULL,
            "how many of these must be free before more are sent; 0: two, of 100 and more half"},
        {"--version", &options.version, NULL, "5, or 3 for MQTT 3.1.1"},
        {"--tls", &options.tls, NULL, "1: through TLS, whatever certificate the broker has"},
        {0},
    };
    struct rawpub rawpub = {0};

    rig_options(
        argc, argv, "Publishes ready-made packets as fast as they are acknowledged.", table);
    rig_catch_signals();
    rawpub.work = work_make(&options.work);
    rawpub.total = (uint64_t)(options.listed > 0 ? options.listed : options.work.events);
    link_init(&rawpub.link);
    link_connect(
        &rawpub.link, (int)options.port, options.tls != 0, options.version == 5, "bench-rawpub");
    run(&rawpub);
    wire_put_header(&rawpub.link.out, WIRE_DISCONNECT << 4, 0);
    link_flush(&rawpub.link);
    link_clear(&rawpub.link);
    return 0;
}
