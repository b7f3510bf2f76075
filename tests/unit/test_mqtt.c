#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker.h"
#include "loop_fixture.h"
#include "mqtt.h"
#include "packet.h"

/* A client and what its handler was told. */
enum { WINDOW = 100 };

struct client {
    struct fixture fixture;
    struct mqtt *mqtt;
    struct mqtt_options options;
    char url[64];
    struct mqtt_limits limits;
    unsigned ups, downs, acks, messages;
    bool refused;
    char reason[256];
    uint64_t next_ack;
    int last_code;    /* of an acknowledgement */
    int subscribed;   /* code of the last answer; -1 before */
    uint64_t wanted;  /* what a condition waits for */
    uint64_t to_send; /* publications still to be made, numbered from 0 */
    uint64_t sent;
    int qos;
    uint64_t next_message; /* numbered payloads are expected in order */
    struct mqtt_message last;
    char topic[64], payload[64], response[64], correlation[64];
};

static void on_up(void *ctx, const struct mqtt_limits *limits)
{
    struct client *client = ctx;

    client->limits = *limits;
    client->ups++;
}

static void on_down(void *ctx, bool refused, const char *reason)
{
    struct client *client = ctx;

    client->downs++;
    client->refused = refused;
    snprintf(client->reason, sizeof client->reason, "%s", reason);
}

/* What each publication's end is told to. */
static struct sent {
    struct client *client;
    unsigned long number;
} sent[WINDOW];

static void on_done(void *ctx, int reason_code)
{
    const struct sent *one = ctx;
    struct client *client = one->client;

    assert_int_equal(one->number, client->next_ack++);
    client->last_code = reason_code;
    client->acks++;
}

static void on_subscribed(void *ctx, uint64_t token, int code)
{
    struct client *client = ctx;

    assert_int_equal(token, 77);
    client->subscribed = code;
}

static void copy(char *out, size_t size, const char *bytes, size_t length)
{
    snprintf(out, size, "%.*s", bytes != NULL ? (int)length : 0, bytes != NULL ? bytes : "");
}

static void on_message(void *ctx, const struct mqtt_message *message)
{
    struct client *client = ctx;

    client->last = *message;
    copy(client->topic, sizeof client->topic, message->topic, message->topic_length);
    copy(client->payload, sizeof client->payload, message->payload, message->payload_length);
    copy(client->response, sizeof client->response, message->response_topic,
        message->response_topic_length);
    copy(client->correlation, sizeof client->correlation, message->correlation_data,
        message->correlation_length);
    client->messages++;
}

static void client_open(struct client *client, const struct broker *broker, bool version5)
{
    const struct mqtt_handler handler = {.ctx = client,
        .on_up = on_up,
        .on_down = on_down,
        .on_subscribed = on_subscribed,
        .on_message = on_message};

    *client = (struct client){.subscribed = -1, .qos = 1};
    fixture_open(&client->fixture);
    client->mqtt = mqtt_new(client->fixture.loop, &handler);
    snprintf(client->url, sizeof client->url, "mqtt://127.0.0.1:%u", broker->port);
    client->options = (struct mqtt_options){
        .url = client->url,
        .client_id = "test",
        .version5 = version5,
        .keep_alive_s = 30,
        .connect_timeout_s = 10,
        .window = WINDOW,
    };
}

static void client_close(struct client *client)
{
    mqtt_free(client->mqtt);
    fixture_close(&client->fixture);
}

static bool is_up(void *ctx)
{
    const struct client *client = ctx;

    return client->ups + client->downs >= client->wanted;
}

static bool is_down(void *ctx)
{
    return ((struct client *)ctx)->downs > 0;
}

static bool is_subscribed(void *ctx)
{
    return ((struct client *)ctx)->subscribed >= 0;
}

static bool has_messages(void *ctx)
{
    const struct client *client = ctx;

    return client->messages >= client->wanted;
}

static void connect_and_wait(struct client *client)
{
    struct error error = {0};

    client->wanted = client->ups + client->downs + 1;
    assert_true(mqtt_connect(client->mqtt, &client->options, &error));
    assert_int_equal(mqtt_state(client->mqtt), MQTT_CONNECTING);
    fixture_run(&client->fixture, is_up, client);
}

static void connect_up(struct client *client)
{
    connect_and_wait(client);
    assert_string_equal(client->reason, "");
    assert_int_equal(mqtt_state(client->mqtt), MQTT_CONNECTED);
}

static void subscribe(struct client *client, const char *filter, int qos)
{
    struct error error;

    client->subscribed = -1;
    assert_true(mqtt_subscribe(client->mqtt, filter, qos, false, 77, &error));
    fixture_run(&client->fixture, is_subscribed, client);
}

static void publish(struct client *client, const char *topic, const char *payload, bool retain)
{
    const struct packet_publish publish = {.topic = topic,
        .topic_length = strlen(topic),
        .payload = payload,
        .payload_length = strlen(payload),
        .qos = client->qos,
        .retain = retain,
        .version5 = client->options.version5,
        .json = true};
    struct sent *one = &sent[client->sent % WINDOW];
    struct buf packet;

    *one = (struct sent){client, client->sent++};
    buf_init(&packet, SIZE_MAX);
    assert_true(packet_append_publish(&packet, &publish));
    mqtt_publish(client->mqtt, packet.data, packet.length,
        &(struct inflight_owner){.done = on_done, .ctx = one});
    buf_clear(&packet);
}

/* Keeps the window full as an outbox would. */
static bool pump(void *ctx)
{
    struct client *client = ctx;

    while (client->sent < client->to_send && mqtt_window_free(client->mqtt) > 0) {
        char number[24];

        snprintf(number, sizeof number, "%lu", client->sent);
        publish(client, "numbers", number, false);
    }
    return client->acks == client->to_send && client->messages >= client->wanted;
}

static void exchange(bool version5, int qos)
{
    struct broker broker;
    struct client client;
    unsigned window;

    broker_init(&broker);
    broker_start(&broker, "allow_anonymous true");
    client_open(&client, &broker, version5);
    connect_up(&client);
    /* mosquitto's Receive Maximum; MQTT 3.1.1 knows none */
    window = version5 ? 20 : 100;
    assert_int_equal(client.limits.window, window);
    assert_int_equal(mqtt_window_free(client.mqtt), window);
    assert_int_equal(client.limits.maximum_qos, 2);
    assert_true(client.limits.retain_available);
    subscribe(&client, "numbers", qos);
    assert_int_equal(client.subscribed, qos);
    client.qos = qos;
    client.to_send = client.wanted = 1000;
    fixture_run(&client.fixture, pump, &client);
    assert_string_equal(client.payload, "999");
    assert_int_equal(client.messages, 1000);
    /* more at QoS 2 than mosquitto keeps would be lost, and it cannot say so */
    assert_int_equal(mqtt_window_free(client.mqtt), qos == 2 ? 20 : window);
    mqtt_close(client.mqtt);
    fixture_run(&client.fixture, is_down, &client);
    assert_string_equal(client.reason, "closed");
    assert_false(client.refused);
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_exchanges_messages_with_mqtt_5(void **state)
{
    (void)state;
    exchange(true, 1);
}

static void test_mqtt_exchanges_messages_with_mqtt_3_1_1(void **state)
{
    (void)state;
    exchange(false, 1);
}

static void test_mqtt_acknowledges_qos_0_when_it_is_written(void **state)
{
    (void)state;
    exchange(true, 0);
}

static void test_mqtt_acknowledges_qos_2(void **state)
{
    (void)state;
    exchange(false, 2);
}

static void test_mqtt_tells_retained_messages_from_live_ones(void **state)
{
    struct broker broker;
    struct client client;

    (void)state;
    broker_init(&broker);
    broker_start(&broker, "allow_anonymous true");
    client_open(&client, &broker, true);
    connect_up(&client);
    client.to_send = 0;
    publish(&client, "kept", "first", true);
    client.wanted = 1;
    subscribe(&client, "kept", 1);
    fixture_run(&client.fixture, has_messages, &client);
    assert_string_equal(client.topic, "kept");
    assert_string_equal(client.payload, "first");
    assert_true(client.last.retained);
    publish(&client, "kept", "", false);
    client.wanted = 2;
    fixture_run(&client.fixture, has_messages, &client);
    assert_int_equal(client.last.payload_length, 0);
    assert_false(client.last.retained);
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_hands_over_response_topic_and_correlation_data(void **state)
{
    struct broker broker;
    struct client client;
    char command[256];

    (void)state;
    broker_init(&broker);
    broker_start(&broker, "allow_anonymous true");
    client_open(&client, &broker, true);
    connect_up(&client);
    subscribe(&client, "ask", 1);
    snprintf(command, sizeof command,
        "mosquitto_pub -p %u -V 5 -q 1 -t ask -m now -D publish response-topic answers/here "
        "-D publish correlation-data 4711",
        broker.port);
    certificates_shell(broker.directory, command);
    client.wanted = 1;
    fixture_run(&client.fixture, has_messages, &client);
    assert_string_equal(client.payload, "now");
    assert_string_equal(client.response, "answers/here");
    assert_string_equal(client.correlation, "4711");
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_reports_bad_credentials_as_refused(void **state)
{
    struct broker broker;
    struct client client;

    (void)state;
    broker_init(&broker);
    broker_start(&broker, "allow_anonymous false");
    for (int version5 = 0; version5 <= 1; version5++) {
        client_open(&client, &broker, version5 != 0);
        client.options.username = "nobody";
        client.options.password = "wrong";
        connect_and_wait(&client);
        assert_int_equal(client.downs, 1);
        assert_true(client.refused);
        assert_non_null(strcasestr(client.reason, "not authorized"));
        assert_int_equal(mqtt_state(client.mqtt), MQTT_IDLE);
        client_close(&client);
    }
    broker_remove(&broker);
}

static void test_mqtt_reports_a_denied_publication(void **state)
{
    struct broker broker;
    struct client client;
    char lines[256];

    (void)state;
    broker_init(&broker);
    broker_write(&broker, "acl", "topic readwrite allowed\n");
    snprintf(lines, sizeof lines, "allow_anonymous true\nacl_file %s/acl", broker.directory);
    broker_start(&broker, lines);
    client_open(&client, &broker, true);
    connect_up(&client);
    publish(&client, "denied", "x", false);
    client.to_send = 1;
    client.wanted = 0;
    fixture_run(&client.fixture, pump, &client);
    assert_int_equal(client.last_code, 0x87);
    assert_int_equal(mqtt_state(client.mqtt), MQTT_CONNECTED);
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_survives_the_loss_of_the_broker(void **state)
{
    struct broker broker;
    struct client client;

    (void)state;
    broker_init(&broker);
    client_open(&client, &broker, true);
    for (int round = 0; round < 3; round++) {
        broker_start(&broker, "allow_anonymous true");
        client.downs = 0;
        client.reason[0] = '\0';
        connect_up(&client);
        client.sent = client.next_ack = client.acks = 0;
        client.to_send = 10;
        pump(&client);
        broker_stop(&broker, SIGKILL);
        fixture_run(&client.fixture, is_down, &client);
        assert_int_equal(client.downs, 1);
        assert_false(client.refused);
        assert_int_equal(mqtt_state(client.mqtt), MQTT_IDLE);
    }
    client.downs = 0;
    connect_and_wait(&client);
    assert_int_equal(client.downs, 1);
    assert_false(client.refused);
    assert_string_not_equal(client.reason, "");
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_refuses_what_the_broker_would_not_take(void **state)
{
    struct broker broker;
    struct client client;

    (void)state;
    broker_init(&broker);
    broker_start(&broker, "allow_anonymous true\nmax_packet_size 1000\nretain_available false");
    client_open(&client, &broker, true);
    connect_up(&client);
    assert_int_equal(client.limits.maximum_packet_size, 1000);
    assert_false(client.limits.retain_available);
    assert_int_equal(mqtt_window_free(client.mqtt), client.limits.window);
    client.to_send = 1;
    client.wanted = 0;
    publish(&client, "t", "x", false);
    fixture_run(&client.fixture, pump, &client);
    assert_int_equal(client.downs, 0);
    client_close(&client);
    broker_remove(&broker);
}

static void connect_tls(struct broker *broker, struct client *client, const char *name, bool own_ca)
{
    char lines[400], *ca = certificates_text(broker->directory, "ca.crt");

    snprintf(lines, sizeof lines, "allow_anonymous true\ncertfile %s/%s.crt\nkeyfile %s/%s.key",
        broker->directory, name, broker->directory, name);
    broker_start(broker, lines);
    client_open(client, broker, true);
    snprintf(client->url, sizeof client->url, "mqtts://127.0.0.1:%u", broker->port);
    client->options.ca = own_ca ? ca : "";
    connect_and_wait(client);
    free(ca);
    broker_stop(broker, SIGKILL);
}

static void test_mqtt_checks_the_broker_s_certificate(void **state)
{
    struct broker broker;
    struct client client;

    (void)state;
    broker_init(&broker);
    certificates_make(broker.directory);

    connect_tls(&broker, &client, "127.0.0.1", true);
    assert_string_equal(client.reason, "");
    assert_int_equal(client.ups, 1);
    client_close(&client);

    connect_tls(&broker, &client, "127.0.0.1", false);
    assert_int_equal(client.downs, 1);
    assert_true(client.refused);
    assert_non_null(strstr(client.reason, "the authority that issued it is not"));
    client_close(&client);

    connect_tls(&broker, &client, "192.0.2.1", true);
    assert_int_equal(client.downs, 1);
    assert_true(client.refused);
    assert_non_null(strstr(client.reason, "the certificate is for another host"));
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_connects_over_websockets(void **state)
{
    struct broker broker;
    struct client client;
    char lines[128];
    unsigned short port;

    (void)state;
    broker_init(&broker);
    /* beside the plain one: mosquitto 2.0.11 does not start with WebSockets alone */
    port = certificates_free_port();
    snprintf(lines, sizeof lines,
        "allow_anonymous true\nlistener %u 127.0.0.1\nprotocol websockets", port);
    broker_start(&broker, lines);
    client_open(&client, &broker, true);
    snprintf(client.url, sizeof client.url, "ws://127.0.0.1:%u/mqtt", port);
    connect_up(&client);
    subscribe(&client, "numbers", 1);
    client.to_send = client.wanted = 100;
    fixture_run(&client.fixture, pump, &client);
    client_close(&client);
    broker_remove(&broker);
}

static void test_mqtt_is_freed_during_an_attempt_without_leaks(void **state)
{
    struct broker broker;
    struct client client;
    struct error error;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int silent = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    broker_init(&broker);
    address.sin_port = htons(broker.port);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 1), 0);
    client_open(&client, &broker, true);
    assert_true(mqtt_connect(client.mqtt, &client.options, &error));
    client_close(&client);
    close(silent);
    broker_remove(&broker);
}

static void test_mqtt_refuses_urls_it_cannot_use(void **state)
{
    static const char *const urls[] = {"http://h", "mqtt://", "mqtt://h:0", "mqtt://h:65536",
        "mqtt://h:", "mqtt://u:p@h", "mqtt://h:1x"};
    struct broker broker;
    struct client client;
    struct error error;

    (void)state;
    broker_init(&broker);
    client_open(&client, &broker, true);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        client.options.url = urls[i];
        assert_false(mqtt_connect(client.mqtt, &client.options, &error));
        assert_int_equal(error.class, ERROR_BROKER);
        assert_int_equal(mqtt_state(client.mqtt), MQTT_IDLE);
    }
    client_close(&client);
    broker_remove(&broker);
}

static int set_up(void **state)
{
    (void)state;
    mqtt_global_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_exchanges_messages_with_mqtt_5),
        cmocka_unit_test(test_mqtt_exchanges_messages_with_mqtt_3_1_1),
        cmocka_unit_test(test_mqtt_acknowledges_qos_0_when_it_is_written),
        cmocka_unit_test(test_mqtt_acknowledges_qos_2),
        cmocka_unit_test(test_mqtt_tells_retained_messages_from_live_ones),
        cmocka_unit_test(test_mqtt_hands_over_response_topic_and_correlation_data),
        cmocka_unit_test(test_mqtt_reports_bad_credentials_as_refused),
        cmocka_unit_test(test_mqtt_reports_a_denied_publication),
        cmocka_unit_test(test_mqtt_survives_the_loss_of_the_broker),
        cmocka_unit_test(test_mqtt_refuses_what_the_broker_would_not_take),
        cmocka_unit_test(test_mqtt_checks_the_broker_s_certificate),
        cmocka_unit_test(test_mqtt_connects_over_websockets),
        cmocka_unit_test(test_mqtt_refuses_urls_it_cannot_use),
        cmocka_unit_test(test_mqtt_is_freed_during_an_attempt_without_leaks),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
