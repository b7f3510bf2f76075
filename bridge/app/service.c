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
#include "buf.h"
#include "health.h"
#include "loop.h"
#include "mem.h"
#include "notify.h"

/* How often in systemd's time limit; sd_watchdog_enabled(3) asks for two. */
#define FEEDS_A_LIMIT 3
/* The status line is made anew this often while the loop turns: a pass may be a millisecond. */
#define LOOK_MS 1000

struct service {
    struct loop *loop;
    const struct health *health;
    const struct broker *broker;
    bool wanted;     /* somebody listens */
    int64_t feed_ms; /* 0: nobody watches */
    struct timer feed;
    bool ready_said, stopping_said;
    struct buf said;   /* the last status line that systemd has taken */
    int64_t looked_ms; /* when it was compared with what is true */
    struct timer look;
    /* What was true then; a change is told at once. */
    bool connected;
    const char *upstream_state;
};

static void feed(void *ctx)
{
    struct service *service = ctx;
    notify_watchdog();
    timer_set(&service->feed, loop_now(service->loop) + service->feed_ms);
}

/* The pass that it makes ends in service_update. */
static void look_again(void *ctx)
{
    (void)ctx;
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
    buf_init(&service->said, UINT16_MAX);
    timer_init(&service->look, loop, look_again, service);
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
    timer_stop(&service->look);
    buf_clear(&service->said);
    free(service);
}

/* Hands the status line on, where it is news or READY=1 and its like go with it. False where
 * systemd had no room: it is tried again. */
static bool say(struct service *service, bool (*notify)(const char *status))
{
    struct readiness readiness;
    struct buf line;
    buf_init(&line, UINT16_MAX);
    health_readiness(service->health, &readiness);
    readiness_summary(&line, &readiness);
    service->connected = readiness.broker_connected;
    service->upstream_state = readiness.upstream_state;
    service->looked_ms = loop_now(service->loop);
    bool old = service->said.length > 0 && strcmp(service->said.data, line.data) == 0;
    bool taken = (old && notify == notify_status) || notify(line.data);
    if (taken && !old) {
        buf_reset(&service->said);
        buf_append_text(&service->said, line.data);
    }
    if (!taken)
        timer_set(&service->look, service->looked_ms + LOOK_MS);
    buf_clear(&line);
    return taken;
}

/* Each word of the line may have changed: AIVA's last answer, the reason why the broker is away. */
static bool is_due(struct service *service, const struct readiness *readiness)
{
    int64_t due_ms = service->looked_ms + LOOK_MS;
    if (readiness->broker_connected != service->connected ||
        strcmp(readiness->upstream_state, service->upstream_state) != 0 ||
        loop_now(service->loop) >= due_ms)
        return true;
    timer_set(&service->look, due_ms);
    return false;
}

void service_update(struct service *service)
{
    struct readiness readiness;
    if (!service->wanted)
        return;
    health_readiness(service->health, &readiness);
    if (readiness.stopping) {
        if (!service->stopping_said)
            service->stopping_said = say(service, notify_stopping);
    } else if (!service->ready_said && broker_has_tried(service->broker)) {
        service->ready_said = say(service, notify_ready);
    } else if (is_due(service, &readiness)) {
        (void)say(service, notify_status);
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
        service->ready_said = say(service, notify_ready);
}
