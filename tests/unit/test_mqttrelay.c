/* bridge/io/mqttrelay.c on a real connection, with this file as the library and as the broker. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "limit.h"
#include "loop_fixture.h"
#include "mqttrelay.h"
#include "within.h"

struct ack {
    unsigned identifier, reason_code;
};

struct test {
    struct fixture fixture;
    struct mqttrelay *relay;
    int library, broker; /* the ends that belong to the two */
    struct ack acks[64];
    size_t ack_count, wanted;
    int qos;
    struct buf messages; /* topic, payload and what else there was, as text */
    size_t message_count;
    size_t large; /* the payload of the last large message */
    bool full;
};

static char large_byte(size_t at)
{
    return (char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static void on_ack(void *ctx, uint16_t identifier, uint8_t reason_code, int64_t at_ms)
{
    struct test *test = ctx;
    assert_true(at_ms > 0);
    assert_true(test->ack_count < 64);
    test->acks[test->ack_count++] = (struct ack){identifier, reason_code};
}

/* Of a large one what it must hold is known. */
static void on_message(void *ctx, const struct packet_message *message)
{
    struct test *test = ctx;
    test->message_count++;
    if (message->payload_length > 1000) {
        test->large = message->payload_length;
        for (size_t i = 0; i < message->payload_length; i++)
            if (message->payload[i] != large_byte(i))
                fail_msg("byte %zu of %zu", i, message->payload_length);
        return;
    }
    if (test->message_count > 1000)
        return;
    buf_printf(&test->messages, "%s%.*s=%.*s", message->retain ? "retained " : "",
        (int)message->topic_length, message->topic, (int)message->payload_length, message->payload);
    if (message->response_topic)
        buf_printf(&test->messages, " to %.*s", (int)message->response_topic_length,
            message->response_topic);
    buf_append_char(&test->messages, '\n');
}

static bool has_room(void *ctx)
{
    const struct test *test = ctx;
    return !test->full;
}

static void connect_both(struct test *test)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    test->library = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(test->library, (struct sockaddr *)&address, length), 0);
    assert_int_equal(fcntl(test->library, F_SETFL, O_NONBLOCK), 0);
    test->broker = accept(listener, NULL, NULL);
    assert_true(test->broker >= 0);
    assert_int_equal(fcntl(test->broker, F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->qos = 1;
    buf_init(&test->messages, 1 << 20);
    fixture_open(&test->fixture);
    connect_both(test);
    test->relay = mqttrelay_new(test->library, true);
    assert_non_null(test->relay);
    assert_true(mqttrelay_start(test->relay, test->fixture.loop,
        &(struct mqttrelay_handler){test, on_ack, on_message, has_room}));
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    close(test->library);
    mqttrelay_free(test->relay);
    close(test->broker);
    fixture_close(&test->fixture);
    buf_clear(&test->messages);
    free(test);
    return 0;
}

/* ---- What each side sees */

struct arrival {
    int fd;
    char *data;
    size_t got, wanted;
};

static bool has_arrived(void *ctx)
{
    struct arrival *arrival = ctx;
    while (arrival->got < arrival->wanted) {
        ssize_t got =
            read(arrival->fd, arrival->data + arrival->got, arrival->wanted - arrival->got);
        if (got <= 0)
            return false;
        arrival->got += (size_t)got;
    }
    return true;
}

/* The loop runs until so many bytes have come, and no others are there. */
static void assert_arrives(struct test *test, int fd, const void *bytes, size_t size)
{
    struct arrival arrival = {.fd = fd, .data = calloc(1, size + 1), .wanted = size};
    char more;
    fixture_run(&test->fixture, has_arrived, &arrival);
    assert_memory_equal(arrival.data, bytes, size);
    assert_int_equal(read(fd, &more, 1), -1);
    assert_int_equal(errno, EAGAIN);
    free(arrival.data);
}

static bool has_ended(void *ctx)
{
    char byte;
    return read(*(const int *)ctx, &byte, 1) == 0;
}

static bool has_acks(void *ctx)
{
    const struct test *test = ctx;
    return test->ack_count >= test->wanted;
}

static void assert_acks(struct test *test, size_t count)
{
    test->wanted = count;
    fixture_run(&test->fixture, has_acks, test);
    assert_int_equal(test->ack_count, count);
}

static void say(int fd, const void *bytes, size_t size)
{
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
}

#define SAY(fd, text)           say(fd, text, sizeof(text) - 1)
#define ARRIVES(test, fd, text) assert_arrives(test, fd, text, sizeof(text) - 1)

/* A publication of `size` bytes of payload, all of one letter. */
static void publish(struct test *test, unsigned number, size_t size)
{
    char *payload = calloc(1, size + 1);
    memset(payload, 'a' + (int)(number % 26), size);
    const struct packet_publish publication = {
        .topic = "t",
        .topic_length = 1,
        .payload = payload,
        .payload_length = size,
        .qos = test->qos,
        .identifier = (uint16_t)(PACKET_FIRST_IDENTIFIER + number),
    };
    assert_true(mqttrelay_publish(test->relay, &publication));
    free(payload);
}

/* ---- The tests */

static void test_relay_passes_everything_on(void **state)
{
    struct test *test = *state;
    SAY(test->library, "\xc0\x00");
    ARRIVES(test, test->broker, "\xc0\x00");
    SAY(test->broker, "\xd0\x00\x40\x02\x00\x01\x34\x08\x00\x01t\x00\x01\x00no");
    ARRIVES(test, test->library, "\xd0\x00\x40\x02\x00\x01\x34\x08\x00\x01t\x00\x01\x00no");
    assert_int_equal(test->ack_count, 0);
    assert_int_equal(test->message_count, 0); /* with QoS 2: the library's */
}

static void test_relay_publishes_and_takes_the_acknowledgements(void **state)
{
    struct test *test = *state;
    publish(test, 0, 2);
    publish(test, 1, 1);
    mqttrelay_flush(test->relay);
    ARRIVES(test, test->broker,
        "\x32\x07\x00\x01t\x80\x00"
        "aa\x32\x06\x00\x01t\x80\x01"
        "b");
    SAY(test->broker, "\x40\x02\x80\x01\x40\x03\x80");
    assert_acks(test, 1);
    SAY(test->broker, "\x00\x87\xd0\x00");
    assert_acks(test, 2);
    ARRIVES(test, test->library, "\xd0\x00");
    assert_int_equal(test->acks[0].identifier, 0x8001);
    assert_int_equal(test->acks[0].reason_code, 0);
    assert_int_equal(test->acks[1].identifier, 0x8000);
    assert_int_equal(test->acks[1].reason_code, 0x87);
}

static bool has_messages(void *ctx)
{
    const struct test *test = ctx;
    return test->message_count >= test->wanted;
}

static void assert_messages(struct test *test, size_t count, const char *text)
{
    test->wanted = count;
    fixture_run(&test->fixture, has_messages, test);
    assert_int_equal(test->message_count, count);
    if (text)
        assert_string_equal(test->messages.data, text);
}

/* Also from pieces, and acknowledged where they want it. */
static void test_relay_takes_messages(void **state)
{
    struct test *test = *state;
    SAY(test->broker, "\x31\x06\x00\x01t\x00no\xd0\x00\x32\x0c\x00\x01u\x12\x34\x04\x08");
    assert_messages(test, 1, "retained t=no\n");
    ARRIVES(test, test->library, "\xd0\x00");
    SAY(test->broker, "\x00\x01r{}");
    assert_messages(test, 2, "retained t=no\nu={} to r\n");
    ARRIVES(test, test->broker, "\x40\x02\x12\x34");
}

/* What is no PUBLISH at all goes to the library, which ends the connection. */
static void test_relay_leaves_a_bad_message_to_the_library(void **state)
{
    struct test *test = *state;
    SAY(test->broker, "\x30\x04\x00\x00\x00x\x30\x04\x00\x09tt");
    ARRIVES(test, test->library, "\x30\x04\x00\x00\x00x\x30\x04\x00\x09tt");
    assert_int_equal(test->message_count, 0);
}

/* What the broker says, as far as the connection takes it. */
struct speech {
    struct test *test;
    const char *bytes;
    size_t size, said;
};

static bool is_said(void *ctx)
{
    struct speech *speech = ctx;
    ssize_t sent = 0;
    while (speech->said < speech->size && sent >= 0) {
        sent =
            write(speech->test->broker, speech->bytes + speech->said, speech->size - speech->said);
        speech->said += sent > 0 ? (size_t)sent : 0;
    }
    return speech->said == speech->size;
}

/* A PUBLISH of that size, all headers included, arrives at the relay. */
static void send_large(struct test *test, size_t size)
{
    size_t remaining = size - 5;
    const unsigned char header[9] = {0x30, (unsigned char)(remaining & 127) | 128,
        (unsigned char)(remaining >> 7 & 127) | 128, (unsigned char)(remaining >> 14 & 127) | 128,
        (unsigned char)(remaining >> 21), 0, 1, 't', 0};
    char *packet = malloc(size);
    struct speech speech = {.test = test, .bytes = packet, .size = size};
    memcpy(packet, header, sizeof header);
    for (size_t i = sizeof header; i < size; i++)
        packet[i] = large_byte(i - sizeof header);
    fixture_run(&test->fixture, is_said, &speech);
    free(packet);
}

static void test_relay_takes_a_message_of_any_size(void **state)
{
    struct test *test = *state;
    send_large(test, 3000000);
    assert_messages(test, 1, NULL);
    assert_int_equal(test->large, 3000000 - 9);
    send_large(test, LIMIT_MQTT_PACKET);
    assert_messages(test, 2, NULL);
    assert_int_equal(test->large, LIMIT_MQTT_PACKET - 9);
    SAY(test->broker, "\x31\x06\x00\x01t\x00no");
    assert_messages(test, 3, "retained t=no\n");
}

/* Larger than the broker was told: the library ends the connection. */
static void test_relay_leaves_what_is_too_large_to_the_library(void **state)
{
    struct test *test = *state;
    SAY(test->broker, "\x30\xfc\xff\xff\x03\x00\x01t\x00x"); /* one byte more than the limit */
    ARRIVES(test, test->library, "\x30\xfc\xff\xff\x03\x00\x01t\x00x");
    assert_int_equal(test->message_count, 0);
}

static void test_relay_says_nothing_behind_a_disconnect(void **state)
{
    struct test *test = *state;
    SAY(test->library, "\xe0\x00");
    ARRIVES(test, test->broker, "\xe0\x00");
    SAY(test->broker, "\x32\x06\x00\x01t\x00\x07\x00\xd0\x00");
    ARRIVES(test, test->library, "\xd0\x00");
    assert_int_equal(test->message_count, 0);
    close(test->library);
    mqttrelay_free(test->relay);
    test->relay = NULL;
    test->library = open("/dev/null", O_RDWR);
    char byte;
    assert_int_equal(read(test->broker, &byte, 1), 0);
}

/* The library writes the end of its packet later: a publication waits its turn, behind or before.
 */
static void test_relay_keeps_packets_whole(void **state)
{
    struct test *test = *state;
    SAY(test->library, "\xc0\x00\x82\x03\x00");
    ARRIVES(test, test->broker, "\xc0\x00");
    publish(test, 0, 1);
    mqttrelay_flush(test->relay);
    ARRIVES(test, test->broker,
        "\x32\x06\x00\x01t\x80\x00"
        "a");
    SAY(test->library, "\x01\x00\xe0\x00");
    ARRIVES(test, test->broker, "\x82\x03\x00\x01\x00\xe0\x00");
}

/* As they were asked for, though the library's threads take their time. */
static void test_relay_lets_no_publication_overtake_a_subscription(void **state)
{
    struct test *test = *state;
    publish(test, 0, 1);
    mqttrelay_expect_subscription(test->relay);
    mqttrelay_expect_subscription(test->relay);
    publish(test, 1, 1);
    mqttrelay_flush(test->relay);
    ARRIVES(test, test->broker,
        "\x32\x06\x00\x01t\x80\x00"
        "a");
    SAY(test->library, "\x82\x03\x00\x01\x00\xc0\x00");
    ARRIVES(test, test->broker, "\x82\x03\x00\x01\x00\xc0\x00");
    publish(test, 2, 1);
    mqttrelay_flush(test->relay);
    SAY(test->library, "\xa2\x03\x00\x02\x00");
    ARRIVES(test, test->broker,
        "\xa2\x03\x00\x02\x00\x32\x06\x00\x01t\x80\x01"
        "b\x32\x06\x00\x01t\x80\x02"
        "c");
}

/* Behind it the broker would not read them. */
static void test_relay_publishes_what_waits_for_a_subscription_before_a_disconnect(void **state)
{
    struct test *test = *state;
    mqttrelay_expect_subscription(test->relay);
    mqttrelay_expect_subscription(test->relay);
    publish(test, 0, 1);
    mqttrelay_flush(test->relay);
    SAY(test->library, "\x82\x03\x00\x01\x00\x82\x03\x00\x02\x00\xe0\x00");
    ARRIVES(test, test->broker,
        "\x32\x06\x00\x01t\x80\x00"
        "a\x82\x03\x00\x01\x00\x82\x03\x00\x02\x00\xe0\x00");
}

/* The broker takes nothing for a while: what has been published arrives in order, and whole. */
static void test_relay_waits_for_the_broker(void **state)
{
    enum { COUNT = 40, SIZE = 200000 };
    struct test *test = *state;
    struct arrival arrival = {.fd = test->broker, .wanted = COUNT * (size_t)(SIZE + 9) + 2};
    char *at;
    for (unsigned i = 0; i < COUNT; i++) {
        publish(test, i, SIZE);
        mqttrelay_flush(test->relay);
    }
    SAY(test->library, "\xc0\x00");
    arrival.data = at = malloc(arrival.wanted);
    fixture_run(&test->fixture, has_arrived, &arrival);
    for (unsigned i = 0; i < COUNT; i++, at += SIZE + 9) {
        assert_memory_equal(at, "\x32\xc5\x9a\x0c\x00\x01t\x80", 8);
        assert_int_equal((unsigned char)at[8], i);
        for (size_t k = 9; k < SIZE + 9; k++)
            assert_int_equal(at[k], 'a' + i % 26);
    }
    assert_memory_equal(at, "\xc0\x00", 2);
    free(arrival.data);
}

/* A broker that says all that it gets rid of, until nothing has been taken for a while. */
struct flood {
    struct test *test;
    const char *packet;
    struct timer tick;
    size_t said, said_before;
    unsigned ticks; /* in a row, without progress */
};

enum {
    FLOOD_QUIET_TICKS = 20,
    FLOOD_TICK_MS = 10,
    FLOOD_MOST = 64 * 1024 * 1024,
    FLOOD_PACKET = 64
};
/* Both of the same size. */
static const char flood_subacks[64] = "\x90\x3e\x00\x01";
static const char flood_messages[64] = "\x30\x3e\x00\x01t";

static void flood_tick(void *ctx)
{
    struct flood *flood = ctx;
    flood->ticks = flood->said == flood->said_before ? flood->ticks + 1 : 0;
    flood->said_before = flood->said;
    timer_set(&flood->tick, loop_now(flood->test->fixture.loop) + FLOOD_TICK_MS);
}

static bool flood_is_over(void *ctx)
{
    struct flood *flood = ctx;
    ssize_t sent = 0;
    while (flood->said < FLOOD_MOST && sent >= 0) {
        size_t at = flood->said % FLOOD_PACKET;
        sent = write(flood->test->broker, flood->packet + at, FLOOD_PACKET - at);
        flood->said += sent > 0 ? (size_t)sent : 0;
    }
    return flood->ticks >= FLOOD_QUIET_TICKS;
}

static size_t flood(struct test *test, const char *packet)
{
    struct flood flood = {.test = test, .packet = packet};
    timer_init(&flood.tick, test->fixture.loop, flood_tick, &flood);
    flood_tick(&flood);
    fixture_run(&test->fixture, flood_is_over, &flood);
    timer_stop(&flood.tick);
    assert_within(flood.said, 1, FLOOD_MOST - 1);
    return flood.said;
}

static void assert_flood_arrives(struct test *test, size_t size)
{
    struct arrival arrival = {.fd = test->library, .data = malloc(size), .wanted = size};
    fixture_run(&test->fixture, has_arrived, &arrival);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(arrival.data[i], flood_subacks[i % FLOOD_PACKET]);
    free(arrival.data);
}

/* A library that reads nothing holds the broker back, and no acknowledgement that has come before.
 */
static void test_relay_waits_for_the_library(void **state)
{
    struct test *test = *state;
    publish(test, 0, 1);
    mqttrelay_flush(test->relay);
    ARRIVES(test, test->broker,
        "\x32\x06\x00\x01t\x80\x00"
        "a");
    SAY(test->broker, "\x40\x02\x80\x00");
    size_t said = flood(test, flood_subacks);
    assert_int_equal(test->ack_count, 1);
    assert_flood_arrives(test, said);
}

static void test_relay_waits_for_room(void **state)
{
    struct test *test = *state;
    test->full = true;
    size_t said = flood(test, flood_messages);
    assert_int_equal(test->message_count, 0);
    test->full = false;
    assert_messages(test, said / FLOOD_PACKET, NULL);
}

static bool has_been_given_up(void *ctx)
{
    struct speech *speech = ctx;
    (void)is_said(speech);
    return has_ended(&speech->test->library);
}

/* Else what it does not take would fill the memory. */
static void test_relay_gives_a_broker_up_that_takes_no_acknowledgements(void **state)
{
    enum { COUNT = 2 * UINT16_MAX };
    static const char packet[] = {0x32, 0x06, 0, 1, 't', 0, 7, 0};
    struct test *test = *state;
    char *packets = malloc(COUNT * sizeof packet);
    struct speech speech = {.test = test, .bytes = packets, .size = COUNT * sizeof packet};
    for (size_t i = 0; i < COUNT; i++)
        memcpy(packets + i * sizeof packet, packet, sizeof packet);
    /* This fills the connection. */
    for (unsigned i = 0; i < 40; i++)
        publish(test, i, 200000);
    mqttrelay_flush(test->relay);
    fixture_run(&test->fixture, has_been_given_up, &speech);
    assert_within(test->message_count, UINT16_MAX, UINT16_MAX + 1);
    free(packets);
}

static void test_relay_tells_the_library_that_the_broker_has_gone(void **state)
{
    struct test *test = *state;
    SAY(test->broker, "\xe0\x02\x8b\x00\x40\x02\x80\x00");
    shutdown(test->broker, SHUT_WR);
    ARRIVES(test, test->library, "\xe0\x02\x8b\x00");
    fixture_run(&test->fixture, has_ended, &test->library);
    assert_int_equal(test->ack_count, 1);
}

/* The last words of a broker that has closed are heard, whatever is sent to it meanwhile. */
static void test_relay_hears_the_last_words(void **state)
{
    struct test *test = *state;
    SAY(test->broker, "\xe0\x02\x95\x00");
    close(test->broker);
    for (unsigned i = 0; i < 4; i++) {
        publish(test, i, 100);
        mqttrelay_flush(test->relay);
    }
    test->broker = open("/dev/null", O_RDWR);
    struct arrival arrival = {.fd = test->library, .data = (char[4]){0}, .wanted = 4};
    fixture_run(&test->fixture, has_arrived, &arrival);
    assert_memory_equal(arrival.data, "\xe0\x02\x95\x00", 4);
    fixture_run(&test->fixture, has_ended, &test->library);
}

/* As a broker does that closes it with something unread. */
static void reset_connection(struct test *test)
{
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(test->broker, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(test->broker);
    test->broker = open("/dev/null", O_RDWR);
}

static void test_relay_survives_a_reset(void **state)
{
    struct test *test = *state;
    reset_connection(test);
    fixture_run(&test->fixture, has_ended, &test->library);
    publish(test, 0, 100);
    mqttrelay_flush(test->relay);
}

static void test_relay_tells_the_broker_that_the_library_has_gone(void **state)
{
    struct test *test = *state;
    SAY(test->library, "\xe0\x00");
    shutdown(test->library, SHUT_RDWR);
    struct arrival arrival = {.fd = test->broker, .data = (char[2]){0}, .wanted = 2};
    fixture_run(&test->fixture, has_arrived, &arrival);
    assert_memory_equal(arrival.data, "\xe0\x00", 2);
    fixture_run(&test->fixture, has_ended, &test->broker);
}

static void test_relay_sends_a_last_word_when_it_is_freed(void **state)
{
    struct test *test = *state;
    char data[16];
    SAY(test->library, "\xc0\x00\xe0\x00");
    close(test->library);
    mqttrelay_free(test->relay);
    test->relay = NULL;
    test->library = open("/dev/null", O_RDWR);
    assert_int_equal(read(test->broker, data, sizeof data), 4);
    assert_memory_equal(data, "\xc0\x00\xe0\x00", 4);
    assert_int_equal(read(test->broker, data, sizeof data), 0);
}

static void test_relay_is_silent_once_it_is_stopped(void **state)
{
    struct test *test = *state;
    mqttrelay_stop(test->relay);
    SAY(test->broker, "\x40\x02\x80\x00\xd0\x00");
    SAY(test->library, "\xc0\x00");
    struct pollfd ready = {.fd = test->broker, .events = POLLIN};
    struct timer *limit = &test->fixture.limit;
    struct error error;
    timer_set(limit, loop_now(test->fixture.loop) + 50);
    test->fixture.is_done = NULL;
    assert_true(loop_run(test->fixture.loop, &error));
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_int_equal(test->ack_count, 0);
}

/* A few bytes do not wake the loop; they are taken by a look, or after a moment. */
static void test_relay_lets_acknowledgements_lie(void **state)
{
    struct test *test = *state;
    publish(test, 0, 1);
    publish(test, 1, 1);
    mqttrelay_flush(test->relay);
    mqttrelay_hurry(test->relay, false);
    SAY(test->broker, "\x40\x02\x80\x00");
    assert_acks(test, 1); /* by the relay's timer: nothing else wakes the loop */
    mqttrelay_hurry(test->relay, false);
    SAY(test->broker, "\x40\x02\x80\x01");
    for (int tries = 0; test->ack_count < 2 && tries < 10000; tries++)
        mqttrelay_look(test->relay);
    assert_int_equal(test->ack_count, 2);
    /* Nothing is awaited: a PINGRESP comes through at once. */
    mqttrelay_hurry(test->relay, false);
    SAY(test->broker, "\xd0\x00");
    ARRIVES(test, test->library, "\xd0\x00");
}

/* With QoS 0 no acknowledgement comes: the publication has ended once the connection has it. */
static void test_relay_ends_what_needs_no_acknowledgement(void **state)
{
    struct test *test = *state;
    test->qos = 0;
    publish(test, 0, 1);
    publish(test, 1, 1);
    mqttrelay_flush(test->relay);
    assert_int_equal(test->ack_count, 0); /* never within the call */
    assert_true(mqttrelay_awaits(test->relay));
    assert_acks(test, 2);
    assert_int_equal(test->acks[0].identifier, 0x8000);
    assert_int_equal(test->acks[1].identifier, 0x8001);
    assert_false(mqttrelay_awaits(test->relay));
    ARRIVES(test, test->broker,
        "\x30\x04\x00\x01t"
        "a\x30\x04\x00\x01t"
        "b");
    publish(test, 2, 1);
    mqttrelay_flush(test->relay);
    mqttrelay_look(test->relay);
    assert_int_equal(test->ack_count, 3);
    publish(test, 3, 1);
    mqttrelay_flush(test->relay);
    mqttrelay_hurry(test->relay, false);
    assert_acks(test, 4);
}

static void test_relay_ends_only_what_the_connection_has(void **state)
{
    enum { COUNT = 40, SIZE = 200000 };
    struct test *test = *state;
    struct arrival arrival = {.fd = test->broker, .wanted = COUNT * (size_t)(SIZE + 7)};
    test->qos = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        publish(test, i, SIZE);
        mqttrelay_flush(test->relay);
        mqttrelay_hurry(test->relay, true);
        mqttrelay_look(test->relay);
    }
    assert_true(test->ack_count < COUNT); /* the kernel does not keep 8 MB */
    arrival.data = malloc(arrival.wanted);
    fixture_run(&test->fixture, has_arrived, &arrival);
    free(arrival.data);
    assert_acks(test, COUNT);
    mqttrelay_expect_subscription(test->relay);
    publish(test, 0, 1);
    mqttrelay_flush(test->relay);
    mqttrelay_look(test->relay);
    assert_int_equal(test->ack_count, COUNT);
    SAY(test->library, "\x82\x03\x00\x01\x00");
    assert_acks(test, COUNT + 1);
}

static void test_relay_ends_nothing_that_was_lost(void **state)
{
    struct test *test = *state;
    test->qos = 0;
    reset_connection(test);
    publish(test, 0, 100);
    mqttrelay_flush(test->relay);
    mqttrelay_look(test->relay);
    fixture_run(&test->fixture, has_ended, &test->library);
    assert_int_equal(test->ack_count, 0);
}

/* The broker has said its last word: what is sent to it now arrives nowhere. */
static void test_relay_ends_nothing_behind_the_end(void **state)
{
    struct test *test = *state;
    test->qos = 0;
    shutdown(test->broker, SHUT_WR);
    fixture_run(&test->fixture, has_ended, &test->library);
    publish(test, 0, 100);
    mqttrelay_flush(test->relay);
    mqttrelay_look(test->relay);
    mqttrelay_hurry(test->relay, true);
    assert_int_equal(test->ack_count, 0);
    assert_false(mqttrelay_awaits(test->relay));
}

/* Sent, and then the broker resets the connection, as it does when it closes it unread. */
static void test_relay_ends_nothing_that_a_reset_took(void **state)
{
    struct test *test = *state;
    test->qos = 0;
    publish(test, 0, 100);
    mqttrelay_flush(test->relay);
    mqttrelay_hurry(test->relay, false);
    reset_connection(test);
    fixture_run(&test->fixture, has_ended, &test->library);
    mqttrelay_look(test->relay);
    assert_int_equal(test->ack_count, 0);
}

static bool has_passed(void *ctx)
{
    struct test *test = ctx;
    mqttrelay_hurry(test->relay, false);
    return ++test->message_count > 1000 || test->full;
}

static void set_full(void *ctx)
{
    struct test *test = ctx;
    test->full = true;
}

/* A broker that acknowledges nothing costs no passes of the loop. */
static void test_relay_does_not_look_in_vain(void **state)
{
    struct test *test = *state;
    struct timer end = {0};
    publish(test, 0, 1);
    mqttrelay_flush(test->relay);
    timer_init(&end, test->fixture.loop, set_full, test);
    timer_set(&end, loop_now(test->fixture.loop) + 400);
    fixture_run(&test->fixture, has_passed, test);
    assert_within(test->message_count, 1, 6);
    test->full = false;
    SAY(test->broker, "\x40\x02\x80\x00");
    assert_acks(test, 1);
}

static void test_relay_needs_descriptors(void **state)
{
    struct rlimit before, none;
    int fds[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    /* None more; one; two. */
    for (int room = 0; room < 3; room++) {
        none.rlim_cur = (rlim_t)fds[1] + 1 + (rlim_t)room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_null(mqttrelay_new(fds[0], true));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    SAY(fds[1], "x");
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_relay_passes_everything_on),
        TEST(test_relay_publishes_and_takes_the_acknowledgements),
        TEST(test_relay_takes_messages),
        TEST(test_relay_leaves_a_bad_message_to_the_library),
        TEST(test_relay_takes_a_message_of_any_size),
        TEST(test_relay_leaves_what_is_too_large_to_the_library),
        TEST(test_relay_says_nothing_behind_a_disconnect),
        TEST(test_relay_gives_a_broker_up_that_takes_no_acknowledgements),
        TEST(test_relay_keeps_packets_whole),
        TEST(test_relay_lets_no_publication_overtake_a_subscription),
        TEST(test_relay_publishes_what_waits_for_a_subscription_before_a_disconnect),
        TEST(test_relay_waits_for_the_broker),
        TEST(test_relay_waits_for_the_library),
        TEST(test_relay_waits_for_room),
        TEST(test_relay_tells_the_library_that_the_broker_has_gone),
        TEST(test_relay_hears_the_last_words),
        TEST(test_relay_survives_a_reset),
        TEST(test_relay_tells_the_broker_that_the_library_has_gone),
        TEST(test_relay_sends_a_last_word_when_it_is_freed),
        TEST(test_relay_is_silent_once_it_is_stopped),
        TEST(test_relay_lets_acknowledgements_lie),
        TEST(test_relay_ends_what_needs_no_acknowledgement),
        TEST(test_relay_ends_only_what_the_connection_has),
        TEST(test_relay_ends_nothing_that_was_lost),
        TEST(test_relay_ends_nothing_behind_the_end),
        TEST(test_relay_ends_nothing_that_a_reset_took),
        TEST(test_relay_does_not_look_in_vain),
        cmocka_unit_test(test_relay_needs_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
