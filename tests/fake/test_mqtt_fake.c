#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "loop_fixture.h"
#include "mqtt.h"
#include "mqttlink.h"
#include "mqttprobe_fake.h"
#include "paho_fake.h"

enum { WALK_MESSAGES = 3000, BIG_MESSAGE = 40 * 1024 * 1024 };

struct client {
    struct fixture fixture;
    struct mqtt *mqtt;
    struct mqtt_options options;
    struct mqtt_limits limits;
    struct timer later;
    unsigned ups, downs, acks, messages, answers;
    bool refused;
    char reason[512];
    uint64_t expected_ack;
    int last_code, subscribed;
    char topic[32], response[32];
    uint64_t next; /* to be sent */
    unsigned losses;
};

static struct client client;

static void on_up(void *ctx, const struct mqtt_limits *limits)
{
    (void)ctx;
    client.limits = *limits;
    client.ups++;
}

static void on_down(void *ctx, bool refused, const char *reason)
{
    (void)ctx;
    client.downs++;
    client.refused = refused;
    snprintf(client.reason, sizeof client.reason, "%s", reason);
    assert_int_equal(mqtt_state(client.mqtt), MQTT_IDLE);
}

static void on_ack(void *ctx, uint64_t sequence, int reason_code, int64_t at_ms)
{
    (void)at_ms;
    (void)ctx;
    assert_int_equal(sequence, client.expected_ack++);
    client.last_code = reason_code;
    client.acks++;
}

static void on_subscribed(void *ctx, uint64_t token, int code)
{
    (void)ctx;
    assert_int_equal(token, 5);
    client.subscribed = code;
    client.answers++;
}

static void on_message(void *ctx, const struct mqtt_message *message)
{
    (void)ctx;
    client.messages++;
    snprintf(client.topic, sizeof client.topic, "%.*s", (int)message->topic_length, message->topic);
    if (message->response_topic != NULL)
        snprintf(client.response, sizeof client.response, "%.*s",
            (int)message->response_topic_length, message->response_topic);
}

static void on_inbox(void *ctx, const struct inbox_event *event)
{
    (void)ctx;
    mqtt_handle(client.mqtt, event);
}

static void open_client(bool version5)
{
    static const struct mqtt_handler handler = {.on_up = on_up,
        .on_down = on_down,
        .on_ack = on_ack,
        .on_subscribed = on_subscribed,
        .on_message = on_message};

    fake_start();
    client = (struct client){0};
    fixture_open(&client.fixture);
    client.fixture.on_inbox = on_inbox;
    client.mqtt = mqtt_new(client.fixture.loop, &handler);
    client.options = (struct mqtt_options){.url = "mqtts://broker.example",
        .client_id = "c",
        .version5 = version5,
        .connect_timeout_s = 10,
        .window = 100};
}

static void close_client(void)
{
    timer_stop(&client.later);
    mqtt_free(client.mqtt);
    fixture_close(&client.fixture);
    assert_int_equal(fake_counts().bad_calls, 0);
    assert_int_equal(fake_counts().memory, 0);
    fake_stop();
}

static void begin(void)
{
    struct error error = {0};

    if (!mqtt_connect(client.mqtt, &client.options, &error))
        fail_msg("%s", error.text);
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

/* Lets the loop handle what waits: the timer fires after the inbox was taken. */
static void turn(void)
{
    bool over = false;

    timer_init(&client.later, client.fixture.loop, set_true, &over);
    timer_set(&client.later, loop_now(client.fixture.loop));
    fixture_run(&client.fixture, is_true, &over);
}

static void open_up(bool version5, const struct fake_connack *connack)
{
    open_client(version5);
    begin();
    fake_accept(connack);
    turn();
    assert_int_equal(client.ups, 1);
    assert_int_equal(mqtt_state(client.mqtt), MQTT_CONNECTED);
}

static bool send_one(struct error *error)
{
    const struct mqtt_publication publication = {.topic = "t",
        .payload = "x",
        .payload_length = 1,
        .qos = 1,
        .json = true,
        .correlation_data = "c",
        .correlation_length = 1};

    if (!mqtt_publish(client.mqtt, &publication, client.next, error))
        return false;
    client.next++;
    return true;
}

static void send_many(unsigned count)
{
    struct error error = {0};

    for (unsigned i = 0; i < count; i++) {
        if (!send_one(&error))
            fail_msg("%s", error.text);
    }
}

static bool is_down(void *ctx)
{
    (void)ctx;
    return client.downs > 0;
}

static void test_window_is_the_lower_of_ours_and_the_broker_s(void **state)
{
    const struct fake_connack narrow = {.receive_maximum = 20,
        .maximum_packet_size = 5000,
        .maximum_qos = 1,
        .retain_available = 0};
    const struct fake_connack wide = {
        .receive_maximum = 5000, .maximum_qos = -1, .retain_available = -1};

    (void)state;
    open_up(true, &narrow);
    assert_int_equal(client.limits.window, 20);
    assert_int_equal(client.limits.maximum_packet_size, 5000);
    assert_int_equal(client.limits.maximum_qos, 1);
    assert_false(client.limits.retain_available);
    close_client();
    open_up(true, &wide);
    assert_int_equal(client.limits.window, 100);
    assert_int_equal(client.limits.maximum_packet_size, UINT32_MAX);
    assert_int_equal(client.limits.maximum_qos, 2);
    assert_true(client.limits.retain_available);
    close_client();
}

static void test_window_is_counted(void **state)
{
    (void)state;
    open_up(true, NULL);
    send_many(100);
    assert_int_equal(mqtt_window_free(client.mqtt), 0);
    fake_acknowledge(49, 0);
    turn();
    assert_int_equal(client.acks, 49);
    assert_int_equal(mqtt_window_free(client.mqtt), 49);
    fake_acknowledge(1, 0x10);
    turn();
    assert_int_equal(client.last_code, 0x10);
    fake_acknowledge(1, 0x87);
    turn();
    assert_int_equal(client.last_code, 0x87);
    assert_int_equal(client.downs, 0);
    close_client();
}

static void test_loss_is_reported_once_and_nothing_late_gets_through(void **state)
{
    (void)state;
    open_up(true, NULL);
    send_many(10);
    fake_acknowledge(2, 0);
    fake_lose();
    fake_lose_again();
    fake_disconnected(0x8E);
    fake_message("late", 10, "answer");
    turn();
    assert_int_equal(client.acks, 2);
    assert_int_equal(client.downs, 1);
    assert_int_equal(client.messages, 0);
    assert_string_equal(client.reason, "connection lost");
    assert_int_equal(fake_counts().handles, 0);
    assert_int_equal(fake_counts().memory, 0);
    turn();
    assert_int_equal(client.downs, 1);
    close_client();
}

static void test_loss_by_disconnect_says_why(void **state)
{
    (void)state;
    open_up(true, NULL);
    fake_disconnected(0x8E);
    fake_lose_again();
    turn();
    assert_int_equal(client.downs, 1);
    assert_false(client.refused);
    assert_string_equal(
        client.reason, "the broker ended the connection: Session taken over (code 142)");
    close_client();
    open_up(true, NULL);
    fake_disconnected(0x8A);
    turn();
    assert_true(client.refused);
    close_client();
}

static void test_destroy_may_call_back_on_the_owner_s_thread(void **state)
{
    (void)state;
    open_up(false, NULL);
    send_many(10);
    fake_lose_again(); /* paho keeps what was not sent until the handle goes */
    turn();
    assert_int_equal(client.downs, 1);
    assert_int_equal(client.acks, 0);
    assert_int_equal(fake_counts().owner_callbacks, 10);
    close_client();

    open_up(true, NULL);
    send_many(10);
    close_client();
}

static void test_failed_attempts_are_told_by_name(void **state)
{
    static const struct {
        const char *message;
        const char *text;
        int code;
        bool version5;
        bool refused;
    } cases[] = {
        {"CONNACK return code", "bad user name or password (code 4)", 4, false, true},
        {NULL, "not authorized (code 5)", 5, false, true},
        {NULL, "server unavailable (code 3)", 3, false, false},
        {NULL, "unacceptable protocol version (code 1)", 1, true, true},
        {NULL, "Some reason (code 135)", 0x87, true, true},
        {NULL, "Some reason (code 137)", 0x89, true, false},
        {"TCP connect timeout", "TCP connect timeout (code -1)", -1, true, false},
        {NULL, "Failure (code -1)", -1, true, false},
        {NULL, "the connection failed (code -42)", -42, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_client(cases[i].version5);
        begin();
        fake_refuse(cases[i].code, cases[i].message);
        turn();
        assert_int_equal(client.downs, 1);
        assert_int_equal(client.ups, 0);
        assert_int_equal(client.refused, cases[i].refused);
        assert_non_null(strstr(client.reason, cases[i].text));
        assert_int_equal(fake_counts().handles, 0);
        close_client();
    }
}

static void test_tls_failure_carries_openssl_s_reason(void **state)
{
    (void)state;
    open_client(true);
    begin();
    fake_tls_error("40174F:error:0A000086:SSL routines:tls_post_process:certificate verify failed:"
                   "../ssl/statem.c:1889:\n");
    fake_tls_error("second line");
    fake_refuse(-1, "TCP/TLS connect failure");
    turn();
    assert_true(client.refused);
    assert_string_equal(client.reason, "TLS: certificate verify failed");
    close_client();

    open_client(true);
    begin();
    fake_tls_error("1:error:0A000126:SSL routines:ssl3_read_n:unexpected eof while reading:f:1:");
    fake_refuse(-1, "TCP/TLS connect failure");
    turn();
    assert_false(client.refused);
    close_client();
}

static void fail_with_tls(const char *line)
{
    open_client(true);
    begin();
    if (line != NULL)
        fake_tls_error(line);
    fake_refuse(-1, "TCP/TLS connect failure");
    turn();
    assert_int_equal(client.downs, 1);
    close_client();
}

static void test_tls_failure_is_explained_by_the_probe(void **state)
{
    static const char verify[] = "1:error:0A000086:SSL routines:f:certificate verify failed:f:1:";

    (void)state;
    fake_probe_finds(true, "TLS: the certificate has expired");
    fail_with_tls(verify);
    assert_string_equal(client.reason, "TLS: the certificate has expired");
    assert_true(client.refused);

    fail_with_tls(NULL);
    assert_string_equal(client.reason, "TLS: the certificate has expired");
    assert_true(client.refused);

    fake_probe_finds(false, "connection refused");
    fail_with_tls(verify);
    assert_string_equal(client.reason, "TLS: certificate verify failed");
    assert_true(client.refused);

    fail_with_tls(NULL);
    assert_string_equal(client.reason, "connection refused");
    assert_false(client.refused);

    fake_probe_finds(false, "");
    fail_with_tls(NULL);
    assert_non_null(strstr(client.reason, "TCP/TLS connect failure"));
}

static void test_probe_asks_only_after_failures_of_tls(void **state)
{
    unsigned before = fake_probes_started();

    (void)state;
    open_up(true, NULL);
    fake_lose_again();
    turn();
    close_client();

    open_client(true);
    client.options.url = "mqtt://broker.example";
    begin();
    fake_refuse(-1, "TCP connect timeout");
    turn();
    close_client();

    open_client(true);
    begin();
    fake_refuse(0x87, NULL);
    turn();
    close_client();
    assert_int_equal(fake_probes_started(), before);
}

static void test_mqtt_may_be_freed_while_it_is_probed(void **state)
{
    (void)state;
    fake_probe_finds(false, NULL);
    open_client(true);
    begin();
    fake_refuse(-1, "TCP/TLS connect failure");
    turn();
    assert_int_equal(client.downs, 0);
    close_client();
    fake_probe_finds(false, "");
}

static void test_stuck_attempt_is_left_alone_until_it_ends(void **state)
{
    struct error error = {0};

    (void)state;
    open_client(true);
    client.options.connect_timeout_s = -5; /* with the grace: at once */
    begin();
    fixture_run(&client.fixture, is_down, NULL);
    assert_int_equal(client.downs, 1);
    assert_false(client.refused);
    assert_non_null(strstr(client.reason, "stuck"));
    assert_int_equal(mqtt_state(client.mqtt), MQTT_IDLE);
    assert_false(mqtt_connect(client.mqtt, &client.options, &error));
    assert_int_equal(error.class, ERROR_BROKER);
    assert_int_equal(fake_counts().handles, 1);
    assert_int_equal(fake_counts().bad_calls, 0);

    fake_accept(NULL);
    turn();
    assert_int_equal(client.ups, 0);
    assert_int_equal(client.downs, 1);
    assert_int_equal(fake_counts().handles, 0);
    client.options.connect_timeout_s = 10;
    begin();
    fake_accept(NULL);
    turn();
    assert_int_equal(client.ups, 1);
    close_client();
}

static void test_free_during_an_attempt_leaves_it_without_a_call(void **state)
{
    (void)state;
    open_client(true);
    begin();
    mqtt_free(client.mqtt);
    fixture_close(&client.fixture);
    assert_int_equal(fake_counts().destroys, 0);
    assert_int_equal(fake_counts().bad_calls, 0);
    /* Whatever it still does goes nowhere, and nothing of it is left over. */
    fake_accept(NULL);
    fake_message("late", 1, NULL);
    fake_lose();
    /* the content type, kept by the connection that was left */
    assert_int_equal(fake_counts().memory, 1);
    fake_stop();
}

static void test_close_ends_with_the_broker_or_without_it(void **state)
{
    (void)state;
    open_up(true, NULL);
    mqtt_close(client.mqtt);
    assert_int_equal(mqtt_state(client.mqtt), MQTT_CLOSING);
    fake_closed();
    fake_lose_again();
    turn();
    assert_int_equal(client.downs, 1);
    assert_string_equal(client.reason, "closed");
    close_client();

    open_up(false, NULL);
    mqtt_close(client.mqtt);
    fixture_run(&client.fixture, is_down, NULL);
    assert_int_equal(client.downs, 1);
    assert_false(client.refused);
    close_client();
}

static void test_close_of_a_lost_connection_ends_too(void **state)
{
    (void)state;
    open_up(true, NULL);
    fake_lose();
    mqtt_close(client.mqtt);
    turn();
    assert_int_equal(client.downs, 1);
    close_client();
}

/* A connection with a last will, and a window that is full of what nobody acknowledges. */
static void open_full_with_will(bool version5)
{
    open_client(version5);
    client.options.will_topic = "w";
    client.options.will_payload = "gone";
    begin();
    fake_accept(NULL);
    turn();
    send_many(client.options.window);
    assert_int_equal(mqtt_window_free(client.mqtt), 0);
}

static void test_close_with_will_publishes_it_before_the_disconnect(void **state)
{
    (void)state;
    for (int version5 = 0; version5 <= 1; version5++) {
        open_full_with_will(version5 != 0);
        mqtt_close_with_will(client.mqtt);
        assert_int_equal(fake_counts().in_flight, client.options.window + 1);
        assert_int_equal(fake_counts().disconnects, 1);
        fake_closed();
        turn();
        assert_string_equal(client.reason, "closed");
        close_client();
    }
}

static void test_close_says_no_will(void **state)
{
    (void)state;
    open_full_with_will(true);
    mqtt_close(client.mqtt);
    assert_int_equal(fake_counts().in_flight, client.options.window);
    fake_closed();
    turn();
    close_client();
}

/* The library would say DISCONNECT when the handle is destroyed. */
static void test_publication_given_up_leaves_the_will(void **state)
{
    (void)state;
    open_full_with_will(true);
    fake_give_up();
    while (mqtt_state(client.mqtt) == MQTT_CONNECTED)
        turn();
    assert_int_equal(mqtt_state(client.mqtt), MQTT_CLOSING);
    assert_int_equal(fake_counts().in_flight, client.options.window);
    assert_int_equal(fake_counts().disconnects, 1);
    fake_closed();
    turn();
    assert_non_null(strstr(client.reason, "gave a publication up"));
    close_client();
}

static void test_publication_given_up_ends_the_connection(void **state)
{
    (void)state;
    open_up(true, NULL);
    send_many(3);
    fake_give_up();
    fixture_run(&client.fixture, is_down, NULL);
    assert_int_equal(client.acks, 0);
    assert_non_null(strstr(client.reason, "gave a publication up"));
    close_client();
}

static void test_refused_sends_leave_the_window_as_it_was(void **state)
{
    struct error error = {0};

    (void)state;
    open_up(true, NULL);
    fake_refuse_sends(MQTTASYNC_BAD_UTF8_STRING);
    assert_false(send_one(&error));
    assert_int_equal(error.class, ERROR_RUN);
    fake_refuse_sends(MQTTASYNC_DISCONNECTED);
    assert_false(send_one(&error));
    assert_int_equal(error.class, ERROR_BROKER);
    fake_refuse_sends(0);
    assert_int_equal(mqtt_window_free(client.mqtt), 100);
    send_many(100);
    fake_acknowledge(100, 0);
    turn();
    assert_int_equal(client.acks, 100);
    close_client();
}

static int subscribe_and_answer(int code, bool failure)
{
    struct error error = {0};

    assert_true(mqtt_subscribe(client.mqtt, "f/#", 1, false, 5, &error));
    fake_suback(code, failure);
    turn();
    return client.subscribed;
}

static void test_subscriptions_are_answered_with_the_granted_qos_or_the_refusal(void **state)
{
    (void)state;
    open_up(true, NULL);
    assert_int_equal(subscribe_and_answer(1, false), 1);
    assert_int_equal(subscribe_and_answer(0x87, true), 0x87);
    assert_int_equal(client.answers, 2);
    close_client();
    open_up(false, NULL);
    assert_int_equal(subscribe_and_answer(0, false), 0);
    assert_int_equal(subscribe_and_answer(0x80, false), 0x80);
    assert_int_equal(subscribe_and_answer(0, true), 0x80);
    assert_int_equal(client.answers, 3);
    close_client();
}

static void test_messages_beyond_the_inbox_s_limit_are_dropped_and_freed(void **state)
{
    (void)state;
    open_up(true, NULL);
    fake_message("first", BIG_MESSAGE, "answer");
    fake_message("second", BIG_MESSAGE, NULL);
    turn();
    assert_int_equal(client.messages, 1);
    assert_string_equal(client.topic, "first");
    assert_string_equal(client.response, "answer");
    fake_message("third", 1, NULL);
    turn();
    assert_int_equal(client.messages, 2);
    assert_string_equal(client.topic, "third");
    close_client();
}

/* An outbox in miniature against a library that acknowledges by itself and loses the connection
 * again and again: everything is acknowledged in the end, in order. */
static bool walk(void *ctx)
{
    struct error error;

    (void)ctx;
    if (mqtt_state(client.mqtt) == MQTT_IDLE) {
        client.next = client.expected_ack;
        begin();
        fake_accept(NULL);
        return false;
    }
    if (client.expected_ack == WALK_MESSAGES)
        return true;
    if (mqtt_state(client.mqtt) != MQTT_CONNECTED)
        return false;
    while (client.next < WALK_MESSAGES && mqtt_window_free(client.mqtt) > 0 && send_one(&error))
        ;
    if (client.losses < client.expected_ack / 100) {
        client.losses++;
        fake_lose();
    }
    return false;
}

static void test_everything_is_acknowledged_in_order_over_many_losses(void **state)
{
    (void)state;
    open_client(true);
    fake_acknowledge_alone(true);
    fixture_run(&client.fixture, walk, NULL);
    fake_acknowledge_alone(false);
    assert_int_equal(client.downs + 1, client.ups);
    assert_int_equal(client.downs, client.losses);
    assert_true(client.losses >= 10);
    assert_true(fake_counts().most_in_flight <= 100);
    close_client();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_is_the_lower_of_ours_and_the_broker_s),
        cmocka_unit_test(test_window_is_counted),
        cmocka_unit_test(test_loss_is_reported_once_and_nothing_late_gets_through),
        cmocka_unit_test(test_loss_by_disconnect_says_why),
        cmocka_unit_test(test_destroy_may_call_back_on_the_owner_s_thread),
        cmocka_unit_test(test_failed_attempts_are_told_by_name),
        cmocka_unit_test(test_tls_failure_carries_openssl_s_reason),
        cmocka_unit_test(test_tls_failure_is_explained_by_the_probe),
        cmocka_unit_test(test_probe_asks_only_after_failures_of_tls),
        cmocka_unit_test(test_mqtt_may_be_freed_while_it_is_probed),
        cmocka_unit_test(test_stuck_attempt_is_left_alone_until_it_ends),
        cmocka_unit_test(test_close_ends_with_the_broker_or_without_it),
        cmocka_unit_test(test_close_of_a_lost_connection_ends_too),
        cmocka_unit_test(test_close_with_will_publishes_it_before_the_disconnect),
        cmocka_unit_test(test_close_says_no_will),
        cmocka_unit_test(test_publication_given_up_leaves_the_will),
        cmocka_unit_test(test_publication_given_up_ends_the_connection),
        cmocka_unit_test(test_refused_sends_leave_the_window_as_it_was),
        cmocka_unit_test(test_subscriptions_are_answered_with_the_granted_qos_or_the_refusal),
        cmocka_unit_test(test_messages_beyond_the_inbox_s_limit_are_dropped_and_freed),
        cmocka_unit_test(test_everything_is_acknowledged_in_order_over_many_losses),
        /* Last: it leaves an attempt behind on purpose. */
        cmocka_unit_test(test_free_during_an_attempt_leaves_it_without_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
