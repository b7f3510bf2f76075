/* Probes that find what the test says, without a network. */
#include "mqttprobe_fake.h"

#include <stdlib.h>

#include "loop.h"
#include "mem.h"
#include "mqttprobe.h"

struct mqttprobe {
    struct timer finish;
    mqttprobe_done *done;
    void *ctx;
    bool running;
};

static bool found_refused;
static const char *found_words = "";
static unsigned started;

void fake_probe_finds(bool refused, const char *words)
{
    found_refused = refused;
    found_words = words;
}

unsigned fake_probes_started(void)
{
    return started;
}

static void finish(void *ctx)
{
    struct mqttprobe *probe = ctx;

    probe->running = false;
    probe->done(probe->ctx, found_refused, found_words);
}

struct mqttprobe *mqttprobe_new(struct loop *loop, const struct mqtt_options *options,
    const char *uri, mqttprobe_done *done, void *ctx)
{
    struct mqttprobe *probe = xcalloc(1, sizeof *probe);

    (void)options;
    (void)uri;
    probe->done = done;
    probe->ctx = ctx;
    timer_init(&probe->finish, loop, finish, probe);
    return probe;
}

void mqttprobe_start(struct mqttprobe *probe)
{
    started++;
    probe->running = true;
    if (found_words != NULL)
        timer_set(&probe->finish, loop_now(probe->finish.loop));
}

bool mqttprobe_is_running(const struct mqttprobe *probe)
{
    return probe != NULL && probe->running;
}

void mqttprobe_free(struct mqttprobe *probe)
{
    if (probe == NULL)
        return;
    timer_stop(&probe->finish);
    loop_free_later(probe->finish.loop, free, probe);
}
