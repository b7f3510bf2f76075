/*
 * Life of the connection to the broker. At the first connection the bridge reads back its own
 * retained topics before anything else happens: the broker is its memory. At each later one it
 * looks through them again: a broker that crashed may have come back with what it had saved
 * before, and nobody else would clear what is gone since.
 *
 *   OFF         -> CONNECTING  broker_start
 *   CONNECTING  -> READING     CONNACK
 *               -> WAITING     the attempt has failed
 *               -> CONNECTING  the same, where settings have changed meanwhile (stale)
 *               -> RENEWING    CONNACK, where settings have changed meanwhile
 *   READING     -> UP          all that is retained has come
 *   READING, UP -> WAITING     the connection was lost
 *               -> RENEWING    broker_reconnect, broker_renew
 *               -> ENDING      broker_close
 *   WAITING     -> CONNECTING  the wait is over; broker_reconnect; broker_finish with messages left
 *   RENEWING    -> CONNECTING  closed
 *   ENDING      -> OFF         closed
 *
 * After broker_finish what leads to WAITING leads to OFF, and so does RENEWING with nothing to
 * send.
 */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "buf.h"
#include "config.h"
#include "counters.h"
#include "entropy.h"
#include "loop.h"
#include "mem.h"
#include "publisher.h"

#define LOG_TAG "broker"
#include "log.h"

#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_MS  30000
/* A link has held, and the waits start from the shortest again, after this long: otherwise two
 * clients with one id would throw each other out without end. */
#define HELD_MS         60000
#define REFUSED_WAIT_MS 60000
#define CONNECT_S       10
#define WINDOW          100
/* How long after the last remembered message the end is taken for granted where the broker does
 * not let the bridge read its own bridge/state. */
#define MEMORY_SILENCE_MS 5000
/* And after its echo: some brokers send what they remember a moment later than what is new. */
#define MEMORY_QUIET_MS 100
/* In all, whatever comes: a million jobs take half of that from a broker nearby. */
#define MEMORY_MOST_MS 120000

enum subscription {
    SUBSCRIBED_COUNTS,
    SUBSCRIBED_INFO,
    SUBSCRIBED_DEVICES,
    SUBSCRIBED_JOB_STATES,
    SUBSCRIBED_STATE,
    SUBSCRIBED_BRIDGE_COMMANDS,
    SUBSCRIBED_JOB_COMMANDS,
    SUBSCRIBED_HOME,
    SUBSCRIPTIONS,
    SUBSCRIBED_OTHER_DEVICES = SUBSCRIPTIONS, /* broker_listen */
};

enum base { BASE_ROOT, BASE_PREFIX, BASE_HOME };

struct filter {
    enum base base;
    const char *tail; /* behind the base */
    const char *loss; /* what does not work without it; NULL: nothing that anyone would miss */
    int qos;
    bool retain_as_published;
};

#define DEVICES "/device/+/config"

/*
 * The memory is read with QoS 0: mosquitto queues only max_queued_messages (1000) QoS 1 messages
 * for a client and drops the rest in silence, retained ones too. With QoS 0 as many more get
 * through as the connection takes meanwhile; so what is small comes before the jobs, bridge/jobs
 * too, which tells how many there are. The devices do also because whoever clears a
 * job's state has to know of its device. Our own state comes last of what is remembered, so that
 * its echo marks the end.
 */
static const struct filter filters[SUBSCRIPTIONS] = {
    [SUBSCRIBED_COUNTS] = {BASE_ROOT, "/bridge/jobs", "a restart looks like a first start", 0,
        false},
    [SUBSCRIBED_INFO] = {BASE_ROOT, "/bridge/info", NULL, 0, false},
    [SUBSCRIBED_DEVICES] = {BASE_PREFIX, DEVICES,
        "devices that are gone may stay in Home Assistant", 0, false},
    [SUBSCRIBED_JOB_STATES] = {BASE_ROOT, "/jobs/+/state",
        "what changed while the bridge was away is not known", 0, false},
    [SUBSCRIBED_STATE] = {BASE_ROOT, "/bridge/state", "a late last will is not repaired", 0, false},
    [SUBSCRIBED_BRIDGE_COMMANDS] = {BASE_ROOT, "/bridge/command/+",
        "commands to the bridge are not heard", 1, true},
    [SUBSCRIBED_JOB_COMMANDS] = {BASE_ROOT, "/jobs/+/command/+", "commands to jobs are not heard",
        1, true},
    [SUBSCRIBED_HOME] = {BASE_HOME, "", "a start of Home Assistant is not noticed", 1, false},
};

enum broker_state {
    BROKER_OFF,        /* nothing is attempted: not yet, or no more */
    BROKER_WAITING,    /* for the next attempt */
    BROKER_CONNECTING, /* until the broker's CONNACK */
    BROKER_READING,    /* connected; what the broker has retained is coming in */
    BROKER_UP,         /* connected, and that has been read */
    BROKER_RENEWING,   /* being closed, to connect anew at once */
    BROKER_ENDING,     /* being closed for good */
};

struct broker {
    struct loop *loop;
    const struct config *config;
    struct publisher *publisher;
    struct counters *counters;
    struct broker_handler handler;
    struct mqtt *mqtt;
    struct backoff backoff;
    enum broker_state state;
    struct timer retry;      /* BROKER_WAITING */
    struct timer memory_end; /* BROKER_READING */
    int64_t up_ms;           /* when the publisher got the connection; 0 while it has none */
    bool echoed;             /* BROKER_READING: our own state has come back */
    bool stale;              /* the attempt began with settings that are old by now */
    bool finished;           /* no further attempts */
    bool refused;            /* the last attempt, for its credentials */
    bool tried;              /* the first attempt has ended */
    bool was_up;             /* there has been a connection */
    bool ready;              /* what is retained has been read, on one of them */
    struct buf will_topic;
    char last_reason[256];
    unsigned failures; /* attempts in a row that failed */
    struct log_limit reason_limit;
};

static void fire_retry(void *ctx);
static void end_memory(void *ctx);
static void on_up(void *ctx, const struct mqtt_limits *limits);
static void on_down(void *ctx, bool refused, const char *reason);
static void on_subscribed(void *ctx, uint64_t token, int code);
static void on_message(void *ctx, const struct mqtt_message *message);

struct broker *broker_new(struct loop *loop, const struct config *config,
    struct publisher *publisher, struct counters *counters, const struct broker_handler *handler)
{
    struct broker *broker = xcalloc(1, sizeof *broker);
    broker->loop = loop;
    broker->config = config;
    broker->publisher = publisher;
    broker->counters = counters;
    broker->handler = *handler;
    struct mqtt_handler events = {broker, on_up, on_down, on_subscribed, on_message};
    broker->mqtt = mqtt_new(loop, &events);
    backoff_init(&broker->backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    timer_init(&broker->retry, loop, fire_retry, broker);
    timer_init(&broker->memory_end, loop, end_memory, broker);
    buf_init(&broker->will_topic, UINT16_MAX);
    buf_printf(&broker->will_topic, "%s/bridge/state", config->mqtt.topic);
    return broker;
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    timer_stop(&broker->retry);
    timer_stop(&broker->memory_end);
    /* Where the broker did not take `offline` in time, its last will says it. */
    mqtt_free(broker->mqtt);
    buf_clear(&broker->will_topic);
    free(broker);
}

/* The only one that changes it. */
static void change_state(struct broker *broker, enum broker_state state, const char *reason)
{
    static const char *const names[] = {[BROKER_OFF] = "off",
        [BROKER_WAITING] = "waiting",
        [BROKER_CONNECTING] = "connecting",
        [BROKER_READING] = "reading",
        [BROKER_UP] = "up",
        [BROKER_RENEWING] = "renewing",
        [BROKER_ENDING] = "ending"};
    log_debug("%s -> %s: %s", names[broker->state], names[state], reason);
    timer_stop(&broker->retry);
    timer_stop(&broker->memory_end);
    broker->state = state;
}

/* ---- Connecting */

void broker_options(const struct config *config, struct mqtt_options *options)
{
    *options = (struct mqtt_options){
        .url = config->mqtt.url,
        .client_id = config->mqtt.client_id,
        .username = config->mqtt.username,
        .password = config->mqtt.password,
        .ca = config->mqtt.ca,
        .cert = config->mqtt.cert,
        .key = config->mqtt.key,
        .proxy = config->mqtt.proxy,
        .alpn = config->mqtt.alpn,
        .version5 = config->mqtt.version == CONFIG_MQTT_5,
        .keep_alive_s = config->mqtt.keep_alive_s,
        .connect_timeout_s = CONNECT_S,
        .window = WINDOW,
    };
}

static void retry_after(struct broker *broker, bool refused, const char *reason)
{
    broker->tried = true;
    broker->backoff.floor_ms = refused ? REFUSED_WAIT_MS : 0;
    int64_t wait = backoff_next(&broker->backoff, entropy_u64());
    broker->failures++;
    /* A new reason is said at once, the same one not at each of a night's attempts. */
    if (strncmp(reason, broker->last_reason, sizeof broker->last_reason - 1) != 0)
        broker->reason_limit = (struct log_limit){0};
    log_warn_limited(&broker->reason_limit, loop_now(broker->loop),
        "no connection to the broker %s: %s; next attempt in %.1f s", broker->config->mqtt.url,
        reason, (double)wait / 1000);
    snprintf(broker->last_reason, sizeof broker->last_reason, "%s", reason);
    change_state(broker, broker->finished ? BROKER_OFF : BROKER_WAITING, reason);
    if (!broker->finished)
        timer_set(&broker->retry, loop_now(broker->loop) + wait);
}

static void connect_now(struct broker *broker, const char *reason)
{
    struct mqtt_options options;
    struct error error;
    change_state(broker, BROKER_CONNECTING, reason);
    /* Only now: new secrets may have come while the refusal was waited out. */
    if (broker->refused)
        broker->handler.on_refused(broker->handler.ctx);
    broker->refused = broker->stale = false;
    broker_options(broker->config, &options);
    options.will_topic = broker->will_topic.data;
    options.will_payload = "offline";
    options.will_qos = broker->config->mqtt.qos;
    if (!mqtt_connect(broker->mqtt, &options, &error)) {
        broker->counters->broker_failures[COUNTERS_BROKER_UNREACHABLE]++;
        retry_after(broker, false, error.text);
    }
}

static void fire_retry(void *ctx)
{
    connect_now(ctx, "the wait is over");
}

void broker_start(struct broker *broker)
{
    connect_now(broker, "start");
}

/* The next attempt may fail for a long time: until then `offline` has to stand at the broker. */
static void renew(struct broker *broker, const char *reason)
{
    change_state(broker, BROKER_RENEWING, reason);
    mqtt_close_with_will(broker->mqtt);
}

void broker_reconnect(struct broker *broker)
{
    backoff_reset(&broker->backoff);
    broker->last_reason[0] = '\0';
    if (broker_is_connected(broker))
        renew(broker, "settings have changed");
    else if (broker->state == BROKER_WAITING)
        timer_set(&broker->retry, loop_now(broker->loop));
    else if (broker->state == BROKER_CONNECTING)
        broker->stale = true;
}

void broker_renew(struct broker *broker)
{
    if (!broker_is_connected(broker) || broker->finished)
        return;
    log_warn("%s: no acknowledgement for too long: connecting again", broker->config->mqtt.url);
    renew(broker, "no acknowledgement");
}

void broker_finish(struct broker *broker)
{
    broker->finished = true;
    timer_stop(&broker->memory_end);
    if (broker->state != BROKER_WAITING)
        return;
    if (publisher_is_drained(broker->publisher))
        change_state(broker, BROKER_OFF, "finished");
    else
        connect_now(broker, "finished, with messages left");
}

void broker_close(struct broker *broker)
{
    broker->finished = true;
    if (broker_is_connected(broker)) {
        change_state(broker, BROKER_ENDING, "finished");
        mqtt_close(broker->mqtt);
    } else if (broker->state == BROKER_WAITING) {
        change_state(broker, BROKER_OFF, "finished");
    }
}

bool broker_is_connected(const struct broker *broker)
{
    return mqtt_state(broker->mqtt) == MQTT_CONNECTED;
}

bool broker_is_closed(const struct broker *broker)
{
    return broker->state == BROKER_OFF || broker->state == BROKER_WAITING;
}

bool broker_is_ready(const struct broker *broker)
{
    return broker->ready;
}

bool broker_has_tried(const struct broker *broker)
{
    return broker->tried;
}

const char *broker_reason(const struct broker *broker)
{
    return broker->last_reason;
}

/* ---- Up and down */

static const char *base_of(const struct broker *broker, enum subscription which)
{
    switch (filters[which].base) {
    case BASE_PREFIX:
        return broker->config->homeassistant.prefix;
    case BASE_HOME:
        return broker->config->homeassistant.status_topic;
    case BASE_ROOT:
        break;
    }
    return broker->config->mqtt.topic;
}

static void change_filter(struct broker *broker, const char *base, const char *tail, int qos,
    bool retain_as_published, unsigned token, bool subscribe)
{
    struct error error;
    struct buf filter;
    /* While it is being closed messages still come in, and the end of the memory among them. */
    if (!broker_is_connected(broker))
        return;
    buf_init(&filter, UINT16_MAX);
    buf_printf(&filter, "%s%s", base, tail);
    bool done = subscribe ? mqtt_subscribe(
                                broker->mqtt, filter.data, qos, retain_as_published, token, &error)
                          : mqtt_unsubscribe(broker->mqtt, filter.data, &error);
    if (!done)
        log_warn("%s: cannot %s until the next connection: %s", filter.data,
            subscribe ? "subscribe" : "unsubscribe", error.text);
    buf_clear(&filter);
}

static void change_subscription(struct broker *broker, enum subscription which, bool subscribe)
{
    const struct filter *filter = &filters[which];
    change_filter(broker, base_of(broker, which), filter->tail, filter->qos,
        filter->retain_as_published, which, subscribe);
}

void broker_listen(struct broker *broker, const char *prefix, bool listen)
{
    change_filter(broker, prefix, DEVICES, 0, false, SUBSCRIBED_OTHER_DEVICES, listen);
}

/* What is of use: some is read at the first connection only, some for Home Assistant only. */
static bool is_wanted(const struct broker *broker, enum subscription which)
{
    if (which == SUBSCRIBED_COUNTS || which == SUBSCRIBED_INFO)
        return !broker->ready;
    return filters[which].base == BASE_ROOT || broker->config->homeassistant.enabled;
}

static void say_connected(const struct broker *broker, const struct mqtt_limits *limits)
{
    char before[64] = "";
    if (broker->failures > 0)
        snprintf(before, sizeof before, ", after %u failure%s", broker->failures,
            broker->failures == 1 ? "" : "s");
    log_info("connected to the broker %s (MQTT %s, up to %u unacknowledged publications)%s",
        broker->config->mqtt.url, broker->config->mqtt.version == CONFIG_MQTT_5 ? "5" : "3.1.1",
        limits->window, before);
}

static void on_up(void *ctx, const struct mqtt_limits *limits)
{
    struct broker *broker = ctx;
    /* Nobody has said `online` on this one. */
    if (broker->stale && !broker->finished) {
        change_state(broker, BROKER_RENEWING, "settings have changed meanwhile");
        mqtt_close(broker->mqtt);
        return;
    }
    broker->stale = false;
    change_state(broker, BROKER_READING, "connected");
    broker->up_ms = loop_now(broker->loop);
    broker->tried = true;
    broker->last_reason[0] = '\0';
    broker->counters->broker_connects++;
    say_connected(broker, limits);
    broker->failures = 0;
    for (int which = 0; which < SUBSCRIPTIONS && !broker->finished; which++)
        if (is_wanted(broker, (enum subscription)which))
            change_subscription(broker, (enum subscription)which, true);
    broker->echoed = false;
    if (!broker->finished)
        timer_set(&broker->memory_end, loop_now(broker->loop) + MEMORY_SILENCE_MS);
    publisher_link_up(broker->publisher, broker->mqtt, limits);
    if (broker->was_up)
        broker->handler.on_reconnected(broker->handler.ctx);
    broker->was_up = true;
}

static void on_down(void *ctx, bool refused, const char *reason)
{
    struct broker *broker = ctx;
    bool renews = broker->state == BROKER_RENEWING || broker->stale;
    bool was_up = broker->up_ms != 0, by_answer = false;
    if (was_up) {
        bool by_broker = !renews && !broker->finished;
        by_answer = publisher_link_down(broker->publisher, by_broker);
        broker->handler.on_lost(broker->handler.ctx);
        if (loop_now(broker->loop) - broker->up_ms >= HELD_MS)
            backoff_reset(&broker->backoff);
    }
    broker->up_ms = 0;
    if (renews && !(broker->finished && publisher_is_drained(broker->publisher))) {
        connect_now(broker, "closed for that");
        return;
    }
    if (broker->finished) {
        change_state(broker, BROKER_OFF, reason);
        return;
    }
    broker->refused = refused;
    broker->counters->broker_failures[refused  ? COUNTERS_BROKER_REFUSED
                                      : was_up ? COUNTERS_BROKER_LOST
                                               : COUNTERS_BROKER_UNREACHABLE]++;
    retry_after(broker, refused, reason);
    /* Whoever sends commands shall not keep the bridge off the broker. */
    if (by_answer)
        backoff_forgive(&broker->backoff);
}

static void on_subscribed(void *ctx, uint64_t token, int code)
{
    struct broker *broker = ctx;
    if (code < 0x80)
        return;
    if (token >= SUBSCRIPTIONS || !filters[token].loss)
        log_debug("the broker refused a subscription that only clears what earlier runs may have "
                  "left (%s)",
            mqtt_reason_text(code));
    else
        log_error("the broker refused the subscription to %s%s (%s): %s; check its access rules "
                  "(--print-acl shows what is needed)",
            base_of(broker, (enum subscription)token), filters[token].tail, mqtt_reason_text(code),
            filters[token].loss);
}

/* ---- What comes in */

static void end_memory(void *ctx)
{
    struct broker *broker = ctx;
    change_state(broker, BROKER_UP, "what is retained has come");
    if (loop_now(broker->loop) - broker->up_ms >= MEMORY_MOST_MS)
        log_warn("the broker has not come to the end of its retained messages in %d s: what it "
                 "still has is not waited for",
            MEMORY_MOST_MS / 1000);
    change_subscription(broker, SUBSCRIBED_JOB_STATES, false);
    if (broker->config->homeassistant.enabled)
        change_subscription(broker, SUBSCRIBED_DEVICES, false);
    broker->handler.on_remembered_all(broker->handler.ctx);
    if (broker->ready)
        return;
    broker->ready = true;
    change_subscription(broker, SUBSCRIBED_COUNTS, false);
    change_subscription(broker, SUBSCRIBED_INFO, false);
    broker->handler.on_ready(broker->handler.ctx);
}

/* Something that the broker remembered has come; more may follow. */
static void wait_for_more(struct broker *broker)
{
    if (broker->finished)
        return;
    int64_t end = loop_now(broker->loop) + (broker->echoed ? MEMORY_QUIET_MS : MEMORY_SILENCE_MS);
    int64_t last = broker->up_ms + MEMORY_MOST_MS;
    timer_set(&broker->memory_end, end < last ? end : last);
}

static void remember(struct broker *broker, const char *level, size_t level_length,
    const struct mqtt_message *message)
{
    /* What is published meanwhile, by us or by anybody, comes here too. */
    if (broker->state != BROKER_READING || message->payload_length == 0 || !message->retained)
        return;
    wait_for_more(broker);
    broker->handler.on_remembered(
        broker->handler.ctx, level, level_length, message->payload, message->payload_length);
}

static void remember_info(struct broker *broker, const struct mqtt_message *message)
{
    if (broker->state != BROKER_READING || broker->ready || !message->retained)
        return;
    wait_for_more(broker);
    broker->handler.on_remembered_info(
        broker->handler.ctx, message->payload, message->payload_length);
}

static void hear_own_state(struct broker *broker, const struct mqtt_message *message)
{
    bool online = message->payload_length == strlen("online") &&
                  memcmp(message->payload, "online", message->payload_length) == 0;
    /* While it is being closed for the next one, `offline` is the bridge's own word. */
    if (message->retained || broker->finished || !broker_is_connected(broker))
        return;
    if (!online) {
        publisher_repair_state(broker->publisher);
    } else if (broker->state == BROKER_READING && !broker->echoed) {
        broker->echoed = true;
        wait_for_more(broker);
    }
}

static void on_message(void *ctx, const struct mqtt_message *message)
{
    struct broker *broker = ctx;
    struct topic_parts parts;
    topic_parse(&parts, broker->config->mqtt.topic, message->topic, message->topic_length);
    switch (parts.kind) {
    case TOPIC_BRIDGE_STATE:
        hear_own_state(broker, message);
        break;
    case TOPIC_BRIDGE_INFO:
        remember_info(broker, message);
        break;
    case TOPIC_BRIDGE_JOBS:
        remember(broker, NULL, 0, message);
        break;
    case TOPIC_JOB_STATE:
        remember(broker, parts.level, parts.level_length, message);
        break;
    case TOPIC_BRIDGE_COMMAND:
    case TOPIC_JOB_COMMAND:
        broker->handler.on_command(broker->handler.ctx, &parts, message);
        break;
    case TOPIC_OTHER:
        if (broker->state == BROKER_READING && message->retained)
            wait_for_more(broker);
        broker->handler.on_foreign(broker->handler.ctx, message);
        break;
    }
}
