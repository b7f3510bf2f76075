/*
 * Creates, wires and stops all of it. Stopping goes through bridge_stop on every path; its order
 * is the reverse of bridge_start's.
 */
#include "bridge.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "commands.h"
#include "counters.h"
#include "discovery.h"
#include "health.h"
#include "http.h"
#include "loop.h"
#include "payload.h"
#include "publisher.h"
#include "reload.h"
#include "secret.h"
#include "service.h"
#include "tracker.h"
#include "upstream.h"
#include "version.h"

#define LOG_TAG "bridge"
#include "log.h"

/* The contract allows five seconds for the whole stop: what waits gets most of it. */
#define DRAIN_MS   3600
#define GOODBYE_MS 600

enum phase {
    PHASE_RUNNING,
    PHASE_DRAINING, /* what waits is sent */
    PHASE_GOODBYE,  /* `offline`, then the disconnect */
};

struct bridge {
    struct config *config;
    const struct config_source *source;
    struct counters counters;
    struct loop *loop;
    struct http_client *client;
    struct publisher *publisher;
    struct tracker *tracker;
    struct discovery *discovery;
    struct upstream *upstream;
    struct broker *broker;
    struct commands *commands;
    struct health *health;
    struct service *service;
    struct reload *reload;
    enum phase phase;
    bool ready;         /* the broker's memory has been read, and the upstream was started */
    int64_t started_ms; /* Unix time */
    struct timer phase_end;
};

/* ---- Secrets and certificates */

static void on_loaded(void *ctx)
{
    struct bridge *bridge = ctx;
    const struct config *config = bridge->config;
    secret_set(SECRET_API_KEY, config->aiva.api_key);
    secret_set(SECRET_PASSWORD, config->mqtt.password);
    http_client_set_key(bridge->client, config->aiva.api_key);
    http_client_set_ca(bridge->client, config->aiva.ca);
}

static void on_reconnect(void *ctx, bool all)
{
    struct bridge *bridge = ctx;
    struct upstream_report report;
    if (bridge->phase != PHASE_RUNNING)
        return;
    /* The system's authorities may have changed too, and libcurl keeps what it has read of them. */
    if (all)
        http_client_set_ca(bridge->client, bridge->config->aiva.ca);
    upstream_report(bridge->upstream, &report);
    if (all || broker_is_closed(bridge->broker))
        broker_reconnect(bridge->broker);
    if (bridge->ready && (all || strcmp(report.state, "unavailable") == 0))
        upstream_reconnect(bridge->upstream);
}

static void on_refused(void *ctx)
{
    struct bridge *bridge = ctx;
    reload_secrets(bridge->reload);
}

static void reload(struct bridge *bridge)
{
    if (bridge->phase != PHASE_RUNNING) {
        log_answer("SIGHUP: nothing is read again, the bridge is about to stop");
        return;
    }
    service_reload_begins(bridge->service);
    reload_by_hand(bridge->reload);
    service_reload_ends(bridge->service);
}

/* ---- Stopping, step by step */

static void say_goodbye(void *ctx)
{
    struct bridge *bridge = ctx;
    if (bridge->phase == PHASE_GOODBYE) {
        loop_stop(bridge->loop);
        return;
    }
    size_t left = publisher_waiting(bridge->publisher);
    if (left > 0)
        log_warn("%zu messages could not be delivered in time and are lost; the next start "
                 "publishes the jobs' states as they are then",
            left);
    bridge->phase = PHASE_GOODBYE;
    timer_set(&bridge->phase_end, loop_now(bridge->loop) + GOODBYE_MS);
    publisher_say_offline(bridge->publisher);
}

static void begin_stop(struct bridge *bridge, int signal_number)
{
    if (bridge->phase != PHASE_RUNNING) {
        log_warn("a second signal: stopping at once, with %zu messages not delivered",
            publisher_waiting(bridge->publisher));
        loop_stop(bridge->loop);
        return;
    }
    log_info("%s: stopping; %zu messages wait for the broker",
        signal_number == SIGINT ? "SIGINT" : "SIGTERM", publisher_waiting(bridge->publisher));
    bridge->phase = PHASE_DRAINING;
    health_set_stopping(bridge->health);
    upstream_stop(bridge->upstream);
    commands_stop(bridge->commands);
    tracker_flush(bridge->tracker);
    discovery_stop(bridge->discovery);
    broker_finish(bridge->broker);
    timer_set(&bridge->phase_end, loop_now(bridge->loop) + DRAIN_MS);
}

/* The steps of the stop that wait for something to be finished. */
static void advance_stop(struct bridge *bridge)
{
    bool connected = broker_is_connected(bridge->broker);
    bool said = !connected || tracker_is_said(bridge->tracker);
    bool drained =
        publisher_is_drained(bridge->publisher) && (bridge->phase == PHASE_GOODBYE || said);
    if (bridge->phase == PHASE_DRAINING && connected && drained)
        say_goodbye(bridge);
    else if (bridge->phase == PHASE_DRAINING && drained && broker_is_closed(bridge->broker))
        loop_stop(bridge->loop);
    else if (bridge->phase == PHASE_GOODBYE && connected && drained)
        broker_close(bridge->broker);
    else if (bridge->phase == PHASE_GOODBYE && broker_is_closed(bridge->broker))
        loop_stop(bridge->loop);
}

/* ---- Wiring */

static void on_signal(void *ctx, int signal_number)
{
    struct bridge *bridge = ctx;
    switch (signal_number) {
    case SIGHUP:
        reload(bridge);
        break;
    case SIGUSR1:
        log_change_level(1);
        break;
    case SIGUSR2:
        log_change_level(-1);
        break;
    default:
        begin_stop(bridge, signal_number);
    }
}

static void before_sleep(void *ctx)
{
    struct bridge *bridge = ctx;
    upstream_update(bridge->upstream);
    if (bridge->phase != PHASE_RUNNING)
        advance_stop(bridge);
    publisher_pump(bridge->publisher);
    bridge->counters.loop_passes++;
    service_update(bridge->service);
}

static void meanwhile(void *ctx)
{
    struct bridge *bridge = ctx;
    publisher_pump(bridge->publisher);
}

static void on_room(void *ctx, size_t room)
{
    struct bridge *bridge = ctx;
    if (bridge->phase != PHASE_GOODBYE)
        tracker_fill(bridge->tracker, room);
}

static void on_pressure(void *ctx, enum pressure pressure)
{
    struct bridge *bridge = ctx;
    upstream_press(bridge->upstream, pressure);
}

static void on_publication_refused(void *ctx, const char *topic)
{
    struct bridge *bridge = ctx;
    tracker_refused(bridge->tracker, topic);
}

static void on_again(void *ctx)
{
    struct bridge *bridge = ctx;
    tracker_again(bridge->tracker);
    discovery_again(bridge->discovery);
}

static void on_overdue(void *ctx)
{
    struct bridge *bridge = ctx;
    broker_renew(bridge->broker);
}

static void on_jobs_changed(void *ctx)
{
    struct bridge *bridge = ctx;
    discovery_jobs_changed(bridge->discovery);
}

static bool on_job_gone(void *ctx, const char *id)
{
    struct bridge *bridge = ctx;
    return discovery_let_go(bridge->discovery, id);
}

static void on_let_go(void *ctx, const char *id)
{
    struct bridge *bridge = ctx;
    tracker_clear(bridge->tracker, id);
}

static void publish_info(void *ctx)
{
    struct bridge *bridge = ctx;
    struct buf payload;
    buf_init(&payload, UINT16_MAX);
    payload_info(&payload, BRIDGE_VERSION, bridge->started_ms, bridge->config->aiva.url,
        discovery_prefixes(bridge->discovery));
    publisher_set(bridge->publisher, OWNTOPIC_INFO, payload.data, payload.length);
    buf_clear(&payload);
}

static void on_listen(void *ctx, const char *prefix, bool listen)
{
    struct bridge *bridge = ctx;
    broker_listen(bridge->broker, prefix, listen);
}

static void on_remembered_info(void *ctx, const char *payload, size_t length)
{
    struct bridge *bridge = ctx;
    discovery_remember_info(bridge->discovery, payload, length);
}

static void on_remembered_all(void *ctx)
{
    struct bridge *bridge = ctx;
    discovery_remembered_all(bridge->discovery);
}

static void on_remembered(
    void *ctx, const char *level, size_t level_length, const char *payload, size_t length)
{
    struct bridge *bridge = ctx;
    if (level && bridge->ready)
        tracker_check_level(bridge->tracker, level, level_length, payload, length);
    else if (level)
        tracker_adopt(bridge->tracker, level, level_length, payload, length);
    else
        tracker_adopt_counts(bridge->tracker, payload, length);
}

static void on_ready(void *ctx)
{
    struct bridge *bridge = ctx;
    bridge->ready = true;
    size_t missing = tracker_end_adoption(bridge->tracker);
    log_info("the broker remembers %zu jobs", jobs_count(tracker_jobs(bridge->tracker)));
    if (missing > 0)
        log_warn(
            "the broker did not hand over %zu jobs that it was given: it drops what one client "
            "does not take fast enough, so topics of jobs that have vanished may stay; raise "
            "its limit (mosquitto: max_queued_messages 0)",
            missing);
    /* Not earlier: the one before it says what earlier runs may have left behind. */
    publish_info(bridge);
    if (bridge->phase == PHASE_RUNNING)
        upstream_start(bridge->upstream);
}

static void on_reconnected(void *ctx)
{
    struct bridge *bridge = ctx;
    if (bridge->phase == PHASE_RUNNING)
        tracker_republish_all(bridge->tracker);
}

static void on_lost(void *ctx)
{
    struct bridge *bridge = ctx;
    discovery_link_down(bridge->discovery);
}

static void on_foreign(void *ctx, const struct mqtt_message *message)
{
    struct bridge *bridge = ctx;
    discovery_receive(bridge->discovery, message);
}

static void on_command(
    void *ctx, const struct topic_parts *topic, const struct mqtt_message *message)
{
    struct bridge *bridge = ctx;
    commands_receive(bridge->commands, topic, message);
}

/* ---- Start and stop */

/* Last, since it looks at all the others. */
static bool watch(struct bridge *bridge, struct error *error)
{
    struct health_parts parts = {
        .loop = bridge->loop,
        .config = bridge->config,
        .counters = &bridge->counters,
        .broker = bridge->broker,
        .upstream = bridge->upstream,
        .publisher = bridge->publisher,
        .tracker = bridge->tracker,
        .commands = bridge->commands,
    };
    bridge->health = health_new(&parts, error);
    if (!bridge->health)
        return false;
    bridge->service = service_new(bridge->loop, bridge->health, bridge->broker);
    return true;
}

static bool bridge_start(struct bridge *bridge, struct error *error)
{
    const struct config *config = bridge->config;
    if (!http_global_init(error))
        return false;
    mqtt_global_init();
    bridge->started_ms = clock_unix_ms();
    bridge->loop = loop_new(error);
    if (!bridge->loop)
        return false;
    /* Whoever has read this may send signals: the loop has them. */
    log_info("aiva-mqtt-bridge " BRIDGE_VERSION ": %s to %s, topic %s", config->aiva.url,
        config->mqtt.url, config->mqtt.topic);
    loop_set_handler(
        bridge->loop, &(struct loop_handler){bridge, on_signal, before_sleep, meanwhile});
    timer_init(&bridge->phase_end, bridge->loop, say_goodbye, bridge);
    bridge->client = http_client_new(bridge->loop, config->aiva.url, config->aiva.api_key,
        config->aiva.ca, "aiva-mqtt-bridge/" BRIDGE_VERSION);
    struct publisher_options options = {.root = config->mqtt.topic,
        .version5 = config->mqtt.version == CONFIG_MQTT_5,
        .qos = config->mqtt.qos,
        .queue_limit = (size_t)config->mqtt.queue_limit,
        .counters = &bridge->counters};
    bridge->publisher = publisher_new(bridge->loop, &options,
        &(struct publisher_handler){
            bridge, on_room, on_pressure, on_publication_refused, on_again, on_overdue});
    bridge->tracker = tracker_new(bridge->loop, bridge->publisher, config, &bridge->counters,
        &(struct tracker_handler){bridge, on_jobs_changed, on_job_gone});
    bridge->discovery = discovery_new(bridge->loop, config, bridge->tracker, bridge->publisher,
        &(struct discovery_handler){bridge, on_let_go, publish_info, on_listen});
    bridge->upstream =
        upstream_new(bridge->loop, bridge->client, bridge->tracker, bridge->publisher, config,
            &bridge->counters, &(struct upstream_handler){bridge, on_refused});
    bridge->commands = commands_new(bridge->loop, bridge->client, bridge->tracker,
        bridge->publisher, upstream_poller(bridge->upstream), upstream_catchup(bridge->upstream),
        config, &bridge->counters);
    bridge->reload = reload_new(bridge->loop, bridge->config, bridge->source,
        &(struct reload_handler){bridge, on_loaded, on_reconnect});
    bridge->broker = broker_new(bridge->loop, config, bridge->publisher, &bridge->counters,
        &(struct broker_handler){bridge, on_remembered, on_remembered_info, on_remembered_all,
            on_ready, on_reconnected, on_lost, on_command, on_foreign, on_refused});
    if (!watch(bridge, error))
        return false;
    broker_start(bridge->broker);
    return true;
}

static void bridge_stop(struct bridge *bridge)
{
    if (bridge->loop) {
        timer_stop(&bridge->phase_end);
        service_free(bridge->service);
        health_free(bridge->health);
        broker_free(bridge->broker);
        reload_free(bridge->reload);
        commands_free(bridge->commands);
        upstream_free(bridge->upstream);
        discovery_free(bridge->discovery);
        tracker_free(bridge->tracker);
        publisher_free(bridge->publisher);
        http_client_free(bridge->client);
        loop_free(bridge->loop);
    }
    http_global_cleanup();
}

static void log_summary(const struct counters *counters)
{
    log_info("stopped: %llu events, %llu skipped, %llu unusable job ids; %llu publications, %llu "
             "acknowledged, %llu refused; %llu commands, %llu dropped; %llu connections to the "
             "broker, %llu failures; %llu to the stream, %llu failures",
        (unsigned long long)counters->events,
        (unsigned long long)counters_sum(counters->events_skipped, COUNTERS_SKIPS),
        (unsigned long long)counters->ids_refused, (unsigned long long)counters->published,
        (unsigned long long)counters->acknowledged,
        (unsigned long long)counters_sum(counters->refused, COUNTERS_REFUSALS),
        (unsigned long long)counters_sum(
            (const uint64_t *)counters->commands, sizeof counters->commands / sizeof(uint64_t)),
        (unsigned long long)counters->commands_dropped,
        (unsigned long long)counters->broker_connects,
        (unsigned long long)counters_sum(counters->broker_failures, COUNTERS_BROKER_FAILURES),
        (unsigned long long)counters->stream_connects,
        (unsigned long long)counters_sum(counters->stream_failures, COUNTERS_STREAM_FAILURES));
}

bool bridge_run(struct config *config, const struct config_source *source, struct error *error)
{
    struct bridge bridge = {.config = config, .source = source};
    bool started = bridge_start(&bridge, error);
    bool done = started && loop_run(bridge.loop, error);
    bridge_stop(&bridge);
    if (started)
        log_summary(&bridge.counters);
    return done;
}
