/*
 * Subscribes to the states and events of all jobs and measures what arrives. Its own packets
 * rather than a library: it shares two cores with what it measures, so each cycle counts.
 */
#include "buf.h"
#include "link.h"
#include "measure.h"
#include "rig.h"

enum { FILTERS = 3 };

static struct {
    long port;
    struct work_options work;
    long listed;
    long idle_ms;
    const char *root;
} options = {.work.jobs = 1000, .idle_ms = 5000, .root = "aiva"};

struct sink {
    struct link link;
    struct measure *measure;
    int subscribed;
};

static void subscribe(struct sink *sink)
{
    /* The last is for who cannot give each job a topic of its own. */
    static const char *const tails[FILTERS] = {"+/state", "+/event", "state"};
    struct buf filter;

    buf_init(&filter, 1024);
    for (unsigned i = 0; i < FILTERS; i++) {
        buf_reset(&filter);
        buf_printf(&filter, "%s/jobs/%s", options.root, tails[i]);
        wire_put_subscribe(&sink->link.out, true, (uint16_t)(i + 1), filter.data);
    }
    buf_clear(&filter);
}

static bool handle(void *ctx, const struct wire_packet *packet, uint64_t now_ns)
{
    struct sink *sink = ctx;
    struct wire_publish publish;

    if (packet->type == WIRE_CONNACK) {
        wire_connack(packet, true);
        subscribe(sink);
    } else if (packet->type == WIRE_SUBACK) {
        if (++sink->subscribed == FILTERS)
            rig_say("ready");
    } else if (packet->type == WIRE_PUBLISH && wire_parse_publish(packet, true, &publish)) {
        measure_take(sink->measure, &publish, now_ns);
        if (publish.qos > 0)
            wire_put_puback(&sink->link.out, publish.id);
    }
    return true;
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "the broker's port"},
        {"--root", NULL, &options.root, "the bridge's topic"},
        {WORK_JOBS(options.work)},
        {WORK_ACTIVE(options.work)},
        {WORK_EVENTS(options.work)},
        {"--listed", &options.listed, NULL, "jobs whose state from the list to wait for"},
        {"--idle", &options.idle_ms, NULL, "ms of silence after which the rest counts as lost"},
        {0},
    };
    struct work work;
    struct sink sink = {0};

    rig_options(argc, argv, "Subscribes, measures, prints one line of JSON at the end.", table);
    rig_catch_signals();
    work = work_make(&options.work);
    sink.measure = measure_new(&work, (uint64_t)options.listed);
    link_init(&sink.link);
    link_connect(&sink.link, (int)options.port, false, true, "bench-sink");
    while (!rig_stopped() && !measure_is_over(sink.measure, options.idle_ms))
        if (!link_wait(&sink.link, 100, handle, &sink))
            break;
    measure_print(sink.measure);
    measure_free(sink.measure);
    link_clear(&sink.link);
    return 0;
}
