/*
 * What the bridge itself does with an event, and nothing else: bytes of the stream through the
 * parser, the merge into the job's record, and state and event into the queue for the broker. No
 * network, no threads: the same number of instructions in each run, for guard.py to count.
 */
#include <string.h>

#include "config.h"
#include "counters.h"
#include "loop.h"
#include "publisher.h"
#include "rig.h"
#include "sse.h"
#include "tracker.h"
#include "work.h"

enum { PIECE = 16384 }; /* bytes that libcurl hands over at a time */

static struct {
    struct work_options work;
} options = {.work = {.jobs = 1000, .events = 1000}};

static const char *environment(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static void on_room(void *ctx, size_t room)
{
    (void)ctx;
    (void)room;
}

static void on_pressure(void *ctx, enum pressure pressure)
{
    (void)ctx;
    (void)pressure;
}

static void on_changed(void *ctx)
{
    (void)ctx;
}

static void on_event(void *ctx, const struct sse_event *event)
{
    tracker_event(ctx, event->data, event->length);
}

static void on_retry(void *ctx, int retry_ms)
{
    (void)ctx;
    (void)retry_ms;
}

static void on_oversize(void *ctx)
{
    (void)ctx;
    rig_die("eventcost: an event was skipped");
}

static struct config *load(void)
{
    static const char text[] = "{\"aiva\": {\"api_key\": \"bench\"}}";
    const struct config_source source = {
        .text = text, .length = sizeof text - 1, .name = "bench", .environment = environment};
    struct error error;
    struct config *config = config_load(&source, &error);

    if (config == NULL)
        rig_die("eventcost: %s", error.text);
    return config;
}

static void on_taken(void *ctx, const struct error *error)
{
    if (error != NULL)
        rig_die("eventcost: %s", error->text);
    loop_stop(ctx);
}

static void know_the_jobs(struct loop *loop, struct tracker *tracker, const struct work *work)
{
    char text[WORK_TEXT_SIZE];
    struct buf list;
    struct tracker_list taken = {
        .removes = true, .source = PAYLOAD_LIST, .done = on_taken, .ctx = loop};
    struct error error;

    buf_init(&list, (size_t)1 << 30);
    for (uint64_t job = 0; job < work->jobs; job++) {
        buf_append_char(&list, job > 0 ? ',' : '[');
        buf_append(&list, text, work_listed(work, job, text));
    }
    buf_append_char(&list, ']');
    taken.body = list.data;
    taken.length = list.length;
    taken.mark = tracker_mark(tracker);
    tracker_take_list(tracker, &taken);
    if (!loop_run(loop, &error))
        rig_die("eventcost: %s", error.text);
    tracker_fill(tracker, work->jobs);
    buf_clear(&list);
}

static void feed(struct sse *sse, const struct work *work)
{
    char text[WORK_TEXT_SIZE];
    struct buf bytes;

    buf_init(&bytes, (size_t)1 << 30);
    for (uint64_t event = 0; event < work->events; event++) {
        buf_append_text(&bytes, "data: ");
        buf_append(&bytes, text, work_event(work, event, 1000000000000, text));
        buf_append_text(&bytes, "\r\n\r\n");
    }
    for (size_t at = 0; at < bytes.length; at += PIECE)
        sse_feed(sse, bytes.data + at, bytes.length - at < PIECE ? bytes.length - at : PIECE);
    buf_clear(&bytes);
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {WORK_JOBS(options.work)},
        {WORK_EVENTS(options.work)},
        {0},
    };
    struct work work;
    struct error error;
    struct counters counters = {0};
    struct config *config = load();
    struct loop *loop = loop_new(&error);

    rig_options(argc, argv, "Takes in events without a network.", table);
    work = work_make(&options.work);
    if (loop == NULL)
        rig_die("eventcost: %s", error.text);
    struct publisher_options queue = {
        .root = "aiva", .qos = 1, .queue_limit = SIZE_MAX, .counters = &counters};
    struct publisher *publisher = publisher_new(
        loop, &queue, &(struct publisher_handler){.on_room = on_room, .on_pressure = on_pressure});
    struct tracker *tracker = tracker_new(
        loop, publisher, config, &counters, &(struct tracker_handler){.on_changed = on_changed});
    struct sse *sse =
        sse_new(&(struct sse_handler){tracker, on_event, on_retry, on_oversize}, 65536, 65536);
    know_the_jobs(loop, tracker, &work);
    feed(sse, &work);
    if (counters_sum(counters.events_skipped, COUNTERS_SKIPS) != 0 ||
        publisher_waiting(publisher) < work.events)
        rig_die("eventcost: not all of %llu events were taken in", (unsigned long long)work.events);
    sse_free(sse);
    tracker_free(tracker);
    publisher_free(publisher);
    loop_free(loop);
    config_free(config);
    return 0;
}
