/*
 * What systemd is told. READY=1 when the first attempt at the broker has ended, whichever way: a
 * broker that is away for hours is nothing that a restart would mend, and systemd would restart for
 * ever; the status line has the truth, and /readyz for programs. The watchdog hears from a timer of
 * the main loop and from nowhere else.
 */
#include "service.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "health.h"
#include "loop.h"
#include "mem.h"
#include "notify.h"

/* How often in systemd's time limit; sd_watchdog_enabled(3) asks for two. */
#define FEEDS_A_LIMIT 3

struct service {
    struct loop *loop;
    const struct health *health;
    const struct broker *broker;
    bool wanted;     /* somebody listens */
    int64_t feed_ms; /* 0: nobody watches */
    struct timer feed;
    bool ready_said, stopping_said;
    /* What the last status line said. */
    bool connected;
    const char *upstream_state;
};

static void feed(void *ctx)
{
    struct service *service = ctx;
    notify_watchdog();
    timer_set(&service->feed, loop_now(service->loop) + service->feed_ms);
}

struct service *service_new(
    struct loop *loop, const struct health *health, const struct broker *broker)
{
    struct service *service = xcalloc(1, sizeof *service);
    service->loop = loop;
    service->health = health;
    service->broker = broker;
    service->upstream_state = "";
    service->wanted = notify_is_wanted();
    service->feed_ms = notify_watchdog_ms() / FEEDS_A_LIMIT;
    timer_init(&service->feed, loop, feed, service);
    if (service->feed_ms > 0)
        timer_set(&service->feed, loop_now(loop) + service->feed_ms);
    return service;
}

void service_free(struct service *service)
{
    if (!service)
        return;
    timer_stop(&service->feed);
    free(service);
}

/* Hands the status line on, and remembers what it said. */
static void say(struct service *service, void (*notify)(const char *status))
{
    struct readiness readiness;
    struct buf line;
    buf_init(&line, UINT16_MAX);
    health_readiness(service->health, &readiness);
    readiness_summary(&line, &readiness);
    notify(line.data);
    service->connected = readiness.broker_connected;
    service->upstream_state = readiness.upstream_state;
    buf_clear(&line);
}

void service_update(struct service *service)
{
    struct readiness readiness;
    if (!service->wanted)
        return;
    health_readiness(service->health, &readiness);
    if (readiness.stopping) {
        if (!service->stopping_said)
            say(service, notify_stopping);
        service->stopping_said = true;
        return;
    }
    bool changed = readiness.broker_connected != service->connected ||
                   strcmp(readiness.upstream_state, service->upstream_state) != 0;
    if (!service->ready_said && broker_has_tried(service->broker)) {
        service->ready_said = true;
        say(service, notify_ready);
    } else if (changed) {
        say(service, notify_status);
    }
}

/* Before READY=1 it means nothing to systemd. */
void service_reload_begins(const struct service *service)
{
    if (service->ready_said)
        notify_reloading();
}

void service_reload_ends(struct service *service)
{
    if (service->ready_said)
        say(service, notify_ready);
}
