/* bridge/app/publisher.c with fakes of the connection and of the loop, so that the test says when
 * which acknowledgement comes, and sees what is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "counters.h"
#include "loop.h"
#include "mqtt.h"
#include "packet.h"
#include "publisher.h"
#include "within.h"

enum { WINDOW = 20, SENT_MOST = 100000 };

/* ---- The connection */

struct mqtt {
    unsigned window, in_flight;
    struct inflight_owner sent[SENT_MOST];
    unsigned numbers[SENT_MOST]; /* of the payloads that have one */
    size_t sent_count, acknowledged;
};

static struct mqtt mqtt;
static struct publisher *publisher;

enum mqtt_state mqtt_state(const struct mqtt *connection)
{
    (void)connection;
    return MQTT_CONNECTED;
}

unsigned mqtt_window_free(const struct mqtt *connection)
{
    return connection->window - connection->in_flight;
}

void mqtt_publish(
    struct mqtt *connection, const void *packet, size_t length, const struct inflight_owner *owner)
{
    struct packet_message read;
    assert_true(mqtt_window_free(connection) > 0);
    assert_true(connection->sent_count < SENT_MOST);
    assert_int_equal(packet_size(packet, length), length);
    packet_read_message(packet, true, &read);
    connection->numbers[connection->sent_count] = (unsigned)strtoul(read.payload, NULL, 10);
    connection->sent[connection->sent_count++] = *owner;
    connection->in_flight++;
}

static void acknowledge(unsigned count)
{
    while (count-- > 0 && mqtt.acknowledged < mqtt.sent_count) {
        const struct inflight_owner *owner = &mqtt.sent[mqtt.acknowledged++];
        mqtt.in_flight--;
        owner->done(owner->ctx, 0);
    }
}

const char *mqtt_reason_text(int reason_code)
{
    (void)reason_code;
    return "";
}

/* ---- The loop: no time passes */

int64_t loop_now(const struct loop *loop)
{
    (void)loop;
    return 1;
}

void timer_init(struct timer *timer, struct loop *loop, void (*fire)(void *ctx), void *ctx)
{
    *timer = (struct timer){.fire = fire, .ctx = ctx, .loop = loop};
}

void timer_set(struct timer *timer, int64_t at_ms)
{
    timer->at_ms = at_ms;
    timer->position = 1;
}

void timer_stop(struct timer *timer)
{
    timer->position = 0;
}

bool timer_is_set(const struct timer *timer)
{
    return timer->position > 0;
}

/* ---- Those who publish */

static size_t flags; /* states that are to be said again, as the tracker marks them */
static enum pressure pressure;
static char payload[32768];
static size_t payload_length;
static struct counters counters;

static void say(const char *topic)
{
    const struct outbox_message message = {
        .topic = topic, .payload = payload, .payload_length = payload_length, .retain = true};
    publisher_send(publisher, &message);
}

static void on_room(void *ctx, size_t room)
{
    (void)ctx;
    for (; room > 0 && flags > 0; room--, flags--)
        say("aiva/jobs/said/state");
}

static void on_pressure(void *ctx, enum pressure now)
{
    (void)ctx;
    pressure = now;
}

static void on_refused(void *ctx, const char *topic)
{
    (void)ctx, (void)topic;
}

static void on_event(void *ctx)
{
    (void)ctx;
}

/* All of the bridge's own topics have been sent and acknowledged. */
static void open_window(unsigned window)
{
    static const struct publisher_options options = {
        .root = "aiva", .version5 = true, .qos = 1, .queue_limit = 100000, .counters = &counters};
    struct mqtt_limits limits = {.window = window,
        .maximum_packet_size = UINT32_MAX,
        .maximum_qos = 2,
        .retain_available = true,
        .keep_alive_s = 30};
    memset(&mqtt, 0, sizeof mqtt);
    memset(payload, 'x', sizeof payload);
    mqtt.window = window;
    payload_length = 100;
    flags = 0;
    pressure = PRESSURE_NONE;
    publisher = publisher_new(NULL, &options,
        &(struct publisher_handler){NULL, on_room, on_pressure, on_refused, on_event, on_event});
    publisher_link_up(publisher, &mqtt, &limits);
    publisher_pump(publisher);
    acknowledge(WINDOW);
    publisher_pump(publisher);
}

static int setup(void **state)
{
    (void)state;
    open_window(WINDOW);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    publisher_free(publisher);
    return 0;
}

static void say_many(unsigned count)
{
    while (count-- > 0)
        say("aiva/jobs/one/state");
}

/* ---- What is sent, and who is told */

static void note_done(void *ctx, bool taken)
{
    *(int *)ctx = taken ? 1 : 2;
}

static void test_publisher_tells_the_sender_of_the_end(void **state)
{
    (void)state;
    int ends[2] = {0};
    struct outbox_message message = {.topic = "t", .done = note_done};
    say_many(1);
    for (int i = 0; i < 2; i++) {
        message.ctx = &ends[i];
        assert_true(publisher_send(publisher, &message));
    }
    publisher_pump(publisher);
    assert_false(mqtt.sent[mqtt.sent_count - 3].urgent);
    assert_true(mqtt.sent[mqtt.sent_count - 1].urgent);
    acknowledge(2);
    assert_int_equal(ends[0], 1);
    mqtt.sent[mqtt.acknowledged].done(mqtt.sent[mqtt.acknowledged].ctx, 0x87);
    assert_int_equal(ends[1], 2);
    assert_true(publisher_is_drained(publisher));
}

static void test_publisher_takes_no_topic_that_is_none(void **state)
{
    (void)state;
    static const char *const topics[] = {"", "a/+", "#", "\xff"};
    uint64_t before = counters.refused[COUNTERS_REFUSED_LIBRARY];
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        assert_false(publisher_send(publisher, &(struct outbox_message){.topic = topics[i]}));
    assert_int_equal(counters.refused[COUNTERS_REFUSED_LIBRARY] - before, 4);
    assert_true(publisher_is_drained(publisher));
}

static void test_publisher_sends_everything_in_order(void **state)
{
    (void)state;
    size_t first = mqtt.sent_count;
    for (unsigned i = 0; i < 500; i++) {
        char number[16];
        int length = snprintf(number, sizeof number, "%u ", i);
        publisher_send(
            publisher, &(struct outbox_message){
                           .topic = "t", .payload = number, .payload_length = (size_t)length});
    }
    for (unsigned pass = 0; !publisher_is_drained(publisher); pass++) {
        acknowledge((unsigned)rand() % 3);
        publisher_pump(publisher);
        assert_true(pass < 10000);
    }
    assert_int_equal(mqtt.sent_count - first, 500);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(mqtt.numbers[first + i], i);
}

/* ---- What waits where */

struct run {
    size_t most;     /* messages in the outbox at a time */
    unsigned passes; /* until no state is left to be said again */
    size_t events;
};

/* States to be said again, beside a stream of `events` a pass while it is not held back. */
static struct run run_refill(size_t states, unsigned acks, unsigned events)
{
    struct run run = {0};
    flags = states;
    for (; flags > 0 && run.passes < 100000; run.passes++) {
        if (pressure == PRESSURE_NONE) {
            say_many(events);
            run.events += events;
        }
        acknowledge(acks);
        publisher_pump(publisher);
        if (publisher_waiting(publisher) > run.most)
            run.most = publisher_waiting(publisher);
    }
    return run;
}

/* Else a million jobs would be a million messages, and not a million flags. */
static void test_publisher_makes_up_only_what_leaves(void **state)
{
    (void)state;
    struct run run = run_refill(20000, 1, 1);
    assert_int_equal(flags, 0);
    assert_within(run.most, WINDOW, 300);
    assert_true(run.events > 0);
}

static void test_publisher_lets_the_stream_go_on_while_states_are_said_again(void **state)
{
    (void)state;
    struct run run = run_refill(20000, 20, 40);
    assert_int_equal(flags, 0);
    assert_within(run.most, WINDOW, 300);
    assert_within(run.events, 5000, 40000);
}

/* Reading goes on before nothing is left to send, however large the window and the messages. */
static void test_publisher_does_not_count_what_is_under_way_as_waiting(void **state)
{
    (void)state;
    publisher_free(publisher);
    open_window(100);
    payload_length = 20000;
    for (unsigned pass = 0; pass < 2000; pass++) {
        if (pressure == PRESSURE_NONE)
            say_many(30);
        acknowledge(5);
        publisher_pump(publisher);
        assert_true(pass == 0 || mqtt.in_flight > 25);
        assert_true(publisher_waiting(publisher) <= 100 + 128 + 30);
    }
}

/* Whoever floods the bridge with commands shall not stop the stream. */
static void test_publisher_does_not_count_refusals(void **state)
{
    (void)state;
    static char correlation[65000];
    const struct outbox_message refusal = {.topic = "reply",
        .payload = "{}",
        .payload_length = 2,
        .correlation = correlation,
        .correlation_length = sizeof correlation,
        .can_wait = true};
    for (unsigned i = 0; i < 100; i++)
        publisher_send(publisher, &refusal);
    assert_int_equal(pressure, PRESSURE_NONE);
    publisher_pump(publisher);
    while (!publisher_is_drained(publisher)) {
        assert_int_equal(pressure, PRESSURE_NONE);
        acknowledge(1);
        publisher_pump(publisher);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_publisher_tells_the_sender_of_the_end),
        TEST(test_publisher_takes_no_topic_that_is_none),
        TEST(test_publisher_sends_everything_in_order),
        TEST(test_publisher_makes_up_only_what_leaves),
        TEST(test_publisher_lets_the_stream_go_on_while_states_are_said_again),
        TEST(test_publisher_does_not_count_what_is_under_way_as_waiting),
        TEST(test_publisher_does_not_count_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
