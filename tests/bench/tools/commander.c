/*
 * Sends a command to one job after the other and notes when it was sent, and when the broker had
 * it: the commander has subscribed to the commands itself. When the upstream gets it, the firehose
 * knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "mem.h"
#include "rig.h"
#include "work.h"

enum { ANSWER_MS = 1500 };

struct sending {
    uint64_t sent_ns;
    uint64_t broker_ns; /* 0: not seen */
};

static struct {
    long port;
    long count;
    long gap_ms;
    const char *root;
} options = {.count = 20, .gap_ms = 1300, .root = "aiva"};

struct commander {
    struct link link;
    bool subscribed;
    struct sending *sendings;
    long sent;
};

static void send_command(struct commander *commander, long job)
{
    struct buf *out = &commander->link.out;
    char topic[256];
    size_t length;

    snprintf(topic, sizeof topic, "%s/jobs/job_%07ld/command/cancel", options.root, job);
    length = strlen(topic);
    wire_put_header(out, WIRE_PUBLISH << 4, 2 + length + 1 + 2);
    wire_put_u16(out, (unsigned)length);
    buf_append(out, topic, length);
    buf_append(out, "\0{}", 3);
    commander->sendings[job].sent_ns = rig_now_ns();
    if (!link_flush(&commander->link))
        rig_die("commander: the broker has closed the connection");
}

static void on_command(
    struct commander *commander, const struct wire_packet *packet, uint64_t now_ns)
{
    struct wire_publish publish;
    size_t before = strlen(options.root) + strlen("/jobs/");
    int64_t job;

    if (!wire_parse_publish(packet, true, &publish) || publish.topic_length < before)
        return;
    job = work_job_at(publish.topic + before, publish.topic_length - before);
    if (job >= 0 && job < options.count)
        commander->sendings[job].broker_ns = now_ns;
    if (publish.qos > 0)
        wire_put_puback(&commander->link.out, publish.id);
}

static bool handle(void *ctx, const struct wire_packet *packet, uint64_t now_ns)
{
    struct commander *commander = ctx;
    char filter[256];

    if (packet->type == WIRE_CONNACK) {
        snprintf(filter, sizeof filter, "%s/jobs/+/command/cancel", options.root);
        wire_put_subscribe(&commander->link.out, true, 1, filter);
    } else if (packet->type == WIRE_SUBACK) {
        commander->subscribed = true;
    } else if (packet->type == WIRE_PUBLISH) {
        on_command(commander, packet, now_ns);
    }
    return true;
}

/* Receives until that moment. */
static void receive_until(struct commander *commander, uint64_t end_ns)
{
    uint64_t now;

    while (!rig_stopped() && (now = rig_now_ns()) < end_ns)
        if (!link_wait(&commander->link, (int)((end_ns - now) / 1000000 + 1), handle, commander))
            rig_die("commander: the broker has closed the connection");
}

/* [[sent, at the broker], ...] in ns; the job is the place in the list. */
static void print(const struct commander *commander)
{
    struct buf line;

    buf_init(&line, (size_t)1 << 30);
    buf_append_char(&line, '[');
    for (long job = 0; job < commander->sent; job++)
        buf_printf(&line, "%s[%llu, %llu]", job > 0 ? ", " : "",
            (unsigned long long)commander->sendings[job].sent_ns,
            (unsigned long long)commander->sendings[job].broker_ns);
    buf_append_char(&line, ']');
    rig_say(line.data);
    buf_clear(&line);
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "the broker's port"},
        {"--root", NULL, &options.root, "the bridge's topic"},
        {"--count", &options.count, NULL, "commands to send, each to another job"},
        {"--gap", &options.gap_ms, NULL, "ms from one to the next"},
        {0},
    };
    struct commander commander = {0};
    uint64_t next;

    rig_options(argc, argv, "Sends commands, prints when as one line of JSON.", table);
    rig_catch_signals();
    commander.sendings = xcalloc((size_t)options.count, sizeof *commander.sendings);
    link_init(&commander.link);
    link_connect(&commander.link, (int)options.port, false, true, "bench-commander");
    while (!commander.subscribed && !rig_stopped())
        receive_until(&commander, rig_now_ns() + 1000000);
    next = rig_now_ns();
    for (; commander.sent < options.count && !rig_stopped(); commander.sent++) {
        next += (uint64_t)options.gap_ms * 1000000;
        receive_until(&commander, next);
        send_command(&commander, commander.sent);
    }
    receive_until(&commander, rig_now_ns() + ANSWER_MS * 1000000ull);
    print(&commander);
    link_clear(&commander.link);
    free(commander.sendings);
    return 0;
}
