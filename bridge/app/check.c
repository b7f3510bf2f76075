/* `--check`: what a user wants to know before he leaves the bridge alone. */
#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "broker.h"
#include "buf.h"
#include "escape.h"
#include "http.h"
#include "limit.h"
#include "loop.h"
#include "version.h"

#define CHECK_TIMEOUT_MS 15000

#define ECHO_TIMEOUT_MS 3000

enum step { STEP_CONNECT, STEP_RIGHTS, STEP_ECHO, STEP_CLOSE };

enum {
    SUBSCRIBE_STATE,
    SUBSCRIBE_BRIDGE_COMMANDS,
    SUBSCRIBE_JOB_COMMANDS,
    SUBSCRIBE_JOBS,
    SUBSCRIPTIONS
};
static const char *const filters[SUBSCRIPTIONS] = {
    [SUBSCRIBE_STATE] = "/bridge/state",
    [SUBSCRIBE_BRIDGE_COMMANDS] = "/bridge/command/+",
    [SUBSCRIBE_JOB_COMMANDS] = "/jobs/+/command/+",
    [SUBSCRIBE_JOBS] = "/jobs/+/state",
};

enum { PUBLICATIONS = 2 };

struct check {
    const struct config *config;
    struct loop *loop;
    struct mqtt *mqtt;
    struct timer timeout;
    enum step step;
    struct http_request *request;
    int outstanding; /* subscriptions and publications without an answer yet */
    int published;   /* of PUBLICATIONS */
    int maximum_qos;
    char echo_topic[512];
    bool echoed;
    bool failed;        /* the part that is looked at */
    struct error error; /* the first */
};

/* One line of the report. It may hold words of AIVA and of the broker. */
static PRINTF_LIKE(1, 2) void say(const char *format, ...)
{
    char line[2 * LIMIT_DETAIL];
    struct buf shown;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_init(&shown, sizeof line * ESCAPE_SIZE);
    escape_append(&shown, line);
    puts(shown.data);
    buf_clear(&shown);
}

static void fail(struct check *check, enum error_class class, const char *what, const char *why)
{
    if (!check->failed && class != ERROR_RUN)
        say("%s: %s: %s", class == ERROR_UPSTREAM ? "upstream" : "broker", what, why);
    if (check->error.class == ERROR_NONE)
        error_set(&check->error, class, "%s: %s", what, why);
    check->failed = true;
    loop_stop(check->loop);
}

static void on_timeout(void *ctx)
{
    struct check *check = ctx;
    if (check->step == STEP_CLOSE) {
        loop_stop(check->loop);
        return;
    }
    fail(check, ERROR_BROKER, check->config->mqtt.url,
        check->step == STEP_ECHO
            ? "what the bridge publishes on its state topics does not come back to it: the right "
              "to publish or to read is missing; --print-acl shows the access rules that are needed"
            : "no answer in time");
}

/* ---- The upstream */

static void on_health(void *ctx, const struct http_answer *answer)
{
    struct check *check = ctx;
    check->request = NULL;
    if (answer->status != 200 || !answer->complete) {
        char why[2 * LIMIT_DETAIL];
        answer_describe(answer, why, sizeof why);
        if (answer->status == 401 || answer->status == 403) {
            char advice[LIMIT_DETAIL - 2];
            answer_advise(check->config->aiva.api_key_file, advice, sizeof advice);
            snprintf(why + strlen(why), sizeof why - strlen(why), "; %s", advice);
        }
        fail(check, ERROR_UPSTREAM, check->config->aiva.url, why);
        return;
    }
    say("upstream: %s answers and accepts the key (%lld ms)", check->config->aiva.url,
        (long long)answer->duration_ms);
    loop_stop(check->loop);
}

static void check_upstream(struct check *check, struct http_client *client)
{
    struct error error;
    struct http_call call = {
        .method = HTTP_GET,
        .path = "/health",
        .body_limit = LIMIT_STATUS_BODY,
        .timeout_ms = CHECK_TIMEOUT_MS,
        .done = on_health,
        .ctx = check,
    };
    check->request = http_start(client, &call, &error);
    if (!check->request)
        fail(check, ERROR_UPSTREAM, check->config->aiva.url, error.text);
    else if (!loop_run(check->loop, &check->error))
        check->failed = true;
    http_cancel(check->request);
}

/* ---- The broker */

static void close_in_peace(struct check *check)
{
    say("broker: may publish, and receives what it subscribes to");
    check->step = STEP_CLOSE;
    mqtt_close(check->mqtt);
}

/* Brokers with access lists often grant a subscription that they will send nothing for, and MQTT
 * 3.1.1 does not tell of a publication that was dropped: only an echo proves both rights. */
static void wait_for_echo(struct check *check)
{
    check->step = STEP_ECHO;
    if (check->echoed)
        close_in_peace(check);
    else
        timer_set(&check->timeout, loop_now(check->loop) + ECHO_TIMEOUT_MS);
}

static void one_answered(struct check *check)
{
    if (--check->outstanding == 0 && !check->failed)
        wait_for_echo(check);
}

static void on_subscribed(void *ctx, uint64_t token, int code)
{
    struct check *check = ctx;
    if (code >= 0x80) {
        char why[256];
        snprintf(why, sizeof why,
            "the subscription to %s%s was refused (%s); --print-acl shows "
            "the access rules that are needed",
            check->config->mqtt.topic, filters[token], mqtt_reason_text(code));
        fail(check, ERROR_BROKER, check->config->mqtt.url, why);
        return;
    }
    one_answered(check);
}

static void on_answer(struct check *check, const char *topic, int code)
{
    char why[256];
    snprintf(why, sizeof why,
        "publishing on %s/%s was refused (%s); --print-acl shows the access rules that are "
        "needed",
        check->config->mqtt.topic, topic, mqtt_reason_text(code));
    if (code >= 0x80)
        fail(check, ERROR_BROKER, check->config->mqtt.url, why);
    else
        one_answered(check);
}

static void on_result_answer(void *ctx, int code)
{
    on_answer(ctx, "bridge/result", code);
}

static void on_echo_answer(void *ctx, int code)
{
    on_answer(ctx, "jobs/+/state", code);
}

static bool subscribe_all(struct check *check, struct error *error)
{
    char filter[512];
    bool sent = true;
    for (int i = 0; i < SUBSCRIPTIONS && sent; i++) {
        snprintf(filter, sizeof filter, "%s%s", check->config->mqtt.topic, filters[i]);
        sent = mqtt_subscribe(check->mqtt, filter, 0, false, (uint64_t)i, error);
    }
    return sent;
}

static void publish(struct check *check, const struct packet_publish *publish,
    void (*done)(void *ctx, int reason_code))
{
    struct buf packet;
    buf_init(&packet, packet_publish_size(publish));
    if (packet_append_publish(&packet, publish))
        mqtt_publish(check->mqtt, packet.data, packet.length,
            &(struct inflight_owner){done, check, .urgent = true});
    buf_clear(&packet);
}

/* Nothing retained, and nothing that means anything to those who listen: the answer to a command
 * that nobody has given, and the clearing of the topic of a job that is none. Each as soon as the
 * broker's window, which may be of one, has room. */
static void publish_next(void *ctx)
{
    static const char result[] = "{\"command\":\"check\",\"ok\":true,\"duration_ms\":0}";
    struct check *check = ctx;
    char topic[512];
    if (check->step != STEP_RIGHTS || check->published == PUBLICATIONS ||
        mqtt_state(check->mqtt) != MQTT_CONNECTED || mqtt_window_free(check->mqtt) == 0)
        return;
    int qos = check->config->mqtt.qos;
    bool echo = check->published++ > 0;
    snprintf(topic, sizeof topic, "%s/bridge/result", check->config->mqtt.topic);
    const struct packet_publish message = {
        .topic = echo ? check->echo_topic : topic,
        .topic_length = strlen(echo ? check->echo_topic : topic),
        .payload = echo ? "" : result,
        .payload_length = echo ? 0 : sizeof result - 1,
        .qos = qos < check->maximum_qos ? qos : check->maximum_qos,
        .version5 = check->config->mqtt.version == CONFIG_MQTT_5,
        .json = !echo,
    };
    publish(check, &message, echo ? on_echo_answer : on_result_answer);
}

static void on_up(void *ctx, const struct mqtt_limits *limits)
{
    struct check *check = ctx;
    struct error error = {0};
    say("broker: %s accepts the connection (retained messages: %s, maximum QoS %d)",
        check->config->mqtt.url, limits->retain_available ? "yes" : "NO", limits->maximum_qos);
    check->step = STEP_RIGHTS;
    check->outstanding = SUBSCRIPTIONS + PUBLICATIONS;
    check->maximum_qos = limits->maximum_qos;
    if (!subscribe_all(check, &error))
        fail(check, ERROR_BROKER, check->config->mqtt.url, error.text);
}

static void on_down(void *ctx, bool refused, const char *reason)
{
    struct check *check = ctx;
    (void)refused;
    if (check->step == STEP_CLOSE)
        loop_stop(check->loop);
    else
        fail(check, ERROR_BROKER, check->config->mqtt.url, reason);
}

static void on_message(void *ctx, const struct mqtt_message *message)
{
    struct check *check = ctx;
    if (message->topic_length != strlen(check->echo_topic) ||
        memcmp(message->topic, check->echo_topic, message->topic_length) != 0)
        return;
    check->echoed = true;
    if (check->step == STEP_ECHO)
        close_in_peace(check);
}

static void on_signal(void *ctx, int signal_number)
{
    struct check *check = ctx;
    if (signal_number != SIGUSR1 && signal_number != SIGUSR2)
        fail(check, ERROR_RUN, "--check", "interrupted");
}

/* A client id of its own, so that a running bridge is not thrown out. */
static void check_broker(struct check *check)
{
    struct mqtt_handler events = {check, on_up, on_down, on_subscribed, on_message};
    struct mqtt_options options;
    char client_id[64];
    snprintf(client_id, sizeof client_id, "aiva-mqtt-bridge-check-%ld", (long)getpid());
    broker_options(check->config, &options);
    options.client_id = client_id;
    snprintf(check->echo_topic, sizeof check->echo_topic, "%s/jobs/%s/state",
        check->config->mqtt.topic, client_id);
    check->mqtt = mqtt_new(check->loop, &events);
    timer_set(&check->timeout, loop_now(check->loop) + CHECK_TIMEOUT_MS);
    struct error error;
    if (!mqtt_connect(check->mqtt, &options, &error))
        fail(check, ERROR_BROKER, check->config->mqtt.url, error.text);
    else if (!loop_run(check->loop, &check->error))
        check->failed = true;
    mqtt_free(check->mqtt);
}

bool check_run(const struct config *config, struct error *error)
{
    struct check check = {.config = config};
    if (!http_global_init(error))
        return false;
    mqtt_global_init();
    check.loop = loop_new(error);
    if (!check.loop)
        return false;
    loop_set_handler(
        check.loop, &(struct loop_handler){
                        .ctx = &check, .on_signal = on_signal, .before_sleep = publish_next});
    timer_init(&check.timeout, check.loop, on_timeout, &check);
    say("configuration: valid");
    struct http_client *client = http_client_new(check.loop, config->aiva.url, config->aiva.api_key,
        config->aiva.ca, "aiva-mqtt-bridge/" BRIDGE_VERSION);
    check_upstream(&check, client);
    /* What is wrong with AIVA is no reason to keep quiet about the broker. */
    check.failed = false;
    if (check.error.class == ERROR_NONE || check.error.class == ERROR_UPSTREAM)
        check_broker(&check);
    timer_stop(&check.timeout);
    http_client_free(client);
    loop_free(check.loop);
    http_global_cleanup();
    if (check.error.class != ERROR_NONE)
        *error = check.error;
    return check.error.class == ERROR_NONE;
}
