#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packet.h"

static void assert_packet(const struct packet_publish *publish, const void *bytes, size_t size)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_append_text(&out, "before");
    assert_true(packet_append_publish(&out, publish));
    assert_int_equal(out.length, strlen("before") + size);
    assert_memory_equal(out.data, "before", strlen("before"));
    assert_memory_equal(out.data + strlen("before"), bytes, size);
    buf_clear(&out);
}

static struct packet_publish plain(void)
{
    return (struct packet_publish){.topic = "a/b",
        .topic_length = 3,
        .payload = "{}",
        .payload_length = 2,
        .qos = 1,
        .identifier = 0x8001};
}

/* MQTT 3.1.1, 3.3: figure 3.10 and what follows it. */
static void test_packet_writes_version_3_1_1(void **state)
{
    struct packet_publish publish = plain();
    (void)state;
    assert_packet(&publish,
        "\x32\x09\x00\x03"
        "a/b\x80\x01{}",
        11);
    publish.retain = true;
    publish.json = true; /* no properties there */
    publish.correlation_data = "x";
    publish.correlation_length = 1;
    assert_packet(&publish,
        "\x33\x09\x00\x03"
        "a/b\x80\x01{}",
        11);
    publish.payload = NULL;
    publish.payload_length = 0;
    assert_packet(&publish,
        "\x33\x07\x00\x03"
        "a/b\x80\x01",
        9);
}

static void test_packet_writes_version_5(void **state)
{
    struct packet_publish publish = plain();
    (void)state;
    publish.version5 = true;
    assert_packet(&publish,
        "\x32\x0a\x00\x03"
        "a/b\x80\x01\x00{}",
        12);
    publish.json = true;
    assert_packet(&publish,
        "\x32\x1f\x00\x03"
        "a/b\x80\x01\x15\x01\x01\x03\x00\x10"
        "application/json{}",
        33);
    publish.correlation_data = "\0\xff";
    publish.correlation_length = 2;
    assert_packet(&publish,
        "\x32\x24\x00\x03"
        "a/b\x80\x01\x1a\x01\x01\x03\x00\x10"
        "application/json\x09\x00\x02\x00\xff{}",
        38);
    publish.json = false;
    publish.correlation_length = 0; /* there, and empty */
    assert_packet(&publish,
        "\x32\x0d\x00\x03"
        "a/b\x80\x01\x03\x09\x00\x00{}",
        15);
}

/* MQTT 5, 2.2.1 and 3.3.2.2: such a packet has no Packet Identifier. */
static void test_packet_writes_qos_0(void **state)
{
    struct packet_publish publish = plain();
    (void)state;
    publish.qos = 0;
    assert_packet(&publish,
        "\x30\x07\x00\x03"
        "a/b{}",
        9);
    publish.version5 = true;
    publish.retain = true;
    assert_packet(&publish,
        "\x31\x08\x00\x03"
        "a/b\x00{}",
        10);
}

/* Section 1.5.5, table 1-1: where another byte is needed. */
static void test_packet_writes_lengths_of_any_size(void **state)
{
    static const struct {
        size_t remaining;
        const char *bytes;
        size_t size;
    } lengths[] = {
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {2097151, "\xff\xff\x7f", 3},
        {2097152, "\x80\x80\x80\x01", 4},
    };
    char *payload = calloc(1, 2097152);
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct packet_publish publish = plain();
        struct buf out;
        publish.payload = payload;
        publish.payload_length = lengths[i].remaining - 7;
        buf_init(&out, SIZE_MAX);
        assert_true(packet_append_publish(&out, &publish));
        assert_int_equal(out.length, 1 + lengths[i].size + lengths[i].remaining);
        assert_memory_equal(out.data + 1, lengths[i].bytes, lengths[i].size);
        assert_int_equal(packet_size(out.data, out.length), out.length);
        assert_int_equal(packet_size(out.data, 1 + lengths[i].size), out.length);
        assert_int_equal(packet_size(out.data, lengths[i].size), SIZE_MAX);
        buf_clear(&out);
    }
    free(payload);
}

static void test_packet_refuses_what_does_not_fit(void **state)
{
    struct packet_publish publish = plain();
    struct buf out;
    (void)state;
    buf_init(&out, 16);
    assert_true(packet_append_publish(&out, &publish));
    assert_false(packet_append_publish(&out, &publish));
    assert_true(out.failed);
    assert_int_equal(out.length, 11);
    buf_reset(&out);
    publish.payload_length = PACKET_REMAINING_MOST - 6;
    assert_false(packet_append_publish(&out, &publish));
    assert_int_equal(out.length, 0);
    buf_clear(&out);
}

static void test_packet_writes_qos_2(void **state)
{
    struct packet_publish publish = plain();
    (void)state;
    publish.qos = 2;
    assert_packet(&publish,
        "\x34\x09\x00\x03"
        "a/b\x80\x01{}",
        11);
}

/* Section 2.1.3: PUBREL alone has a reserved bit that is set. */
static void test_packet_writes_answers(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 16);
    assert_true(packet_append_answer(&out, PACKET_PUBACK, 1));
    assert_true(packet_append_answer(&out, PACKET_PUBREC, 0x1234));
    assert_true(packet_append_answer(&out, PACKET_PUBREL, 2));
    assert_true(packet_append_answer(&out, PACKET_PUBCOMP, 0xFFFF));
    assert_memory_equal(
        out.data, "\x40\x02\x00\x01\x50\x02\x12\x34\x62\x02\x00\x02\x70\x02\xff\xff", 16);
    assert_false(packet_append_answer(&out, PACKET_PUBACK, 1));
    buf_clear(&out);
}

static void test_packet_tells_sizes_and_types(void **state)
{
    (void)state;
    assert_int_equal(packet_size("", 0), SIZE_MAX);
    assert_int_equal(packet_size("\xd0", 1), SIZE_MAX);
    assert_int_equal(packet_size("\xd0\x00", 2), 2);
    assert_int_equal(packet_size("\x30\xff\xff\xff\x7f", 5), 5 + (size_t)PACKET_REMAINING_MOST);
    assert_int_equal(packet_type("\xd0\x00"), PACKET_PINGRESP);
    assert_int_equal(packet_type("\x3d"), PACKET_PUBLISH);
}

static void assert_text(const char *text, size_t length, const char *expected)
{
    if (!expected) {
        assert_null(text);
        return;
    }
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
}

static void test_packet_reads_messages(void **state)
{
    struct packet_message message;
    (void)state;
    packet_read_message("\x3b\x09\x00\x03"
                        "a/b\x00\x07hi",
        false, &message);
    assert_text(message.topic, message.topic_length, "a/b");
    assert_text(message.payload, message.payload_length, "hi");
    assert_int_equal(message.qos, 1);
    assert_int_equal(message.identifier, 7);
    assert_true(message.retain && message.duplicate);
    assert_null(message.response_topic);
    packet_read_message("\x34\x29\x00\x01t\x12\x34\x22"
                        "\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01x\x08\x00\x01r\x09\x00\x02\x00\xff"
                        "\x0b\x05\x26\x00\x01k\x00\x01v"
                        "\x26\x00\x00\x00\x00z",
        true, &message);
    assert_int_equal(message.qos, 2);
    assert_int_equal(message.identifier, 0x1234);
    assert_int_equal(message.expiry_s, 60);
    assert_text(message.response_topic, message.response_topic_length, "r");
    assert_int_equal(message.correlation_length, 2);
    assert_memory_equal(message.correlation_data, "\0\xff", 2);
    assert_text(message.payload, message.payload_length, "z");
    packet_read_message("\x30\x03\x00\x01t", false, &message);
    assert_int_equal(message.payload_length, 0);
    assert_int_equal(message.expiry_s, UINT32_MAX);
}

static void test_packet_knows_what_can_be_a_topic(void **state)
{
    (void)state;
    assert_true(packet_is_topic_name("a/b", 3));
    assert_false(packet_is_topic_name("", 0));
    assert_false(packet_is_topic_name("a/+", 3));
    assert_false(packet_is_topic_name("#", 1));
    assert_false(packet_is_topic_name("a\0b", 3));
    assert_false(packet_is_topic_name("\xff", 1));
    assert_true(packet_is_text("", 0));
}

static void test_packet_reads_answers(void **state)
{
    struct packet_answer answer;
    (void)state;
    answer = packet_read_answer("\x40\x02\x80\x01", true);
    assert_int_equal(answer.identifier, 0x8001);
    assert_int_equal(answer.reason_code, 0);
    answer = packet_read_answer("\x40\x04\x80\x01\x87\x00", true);
    assert_int_equal(answer.reason_code, 0x87);
    answer = packet_read_answer("\x90\x03\x00\x02\x80", false);
    assert_int_equal(answer.identifier, 2);
    assert_int_equal(answer.reason_code, 0);
}

/* Section 3.2.2.3, with all properties that a CONNACK may have. */
static void test_packet_reads_what_a_broker_allows(void **state)
{
    static const char all[] = "\x20\x4c\x00\x00\x49"
                              "\x11\x00\x00\x00\x01\x21\x00\x14\x24\x01\x25\x00\x27\x00\x00\x03\xe8"
                              "\x12\x00\x02id\x22\x00\x05\x1f\x00\x02ok\x26\x00\x01k\x00\x01v"
                              "\x28\x01\x29\x01\x2a\x01\x13\x00\x1e\x1a\x00\x01r\x1c\x00\x06other:"
                              "\x15\x00\x01m\x16\x00\x02\x00\x01\x26\x00\x00\x00\x00";
    struct packet_connack connack;
    (void)state;
    packet_read_connack("\x20\x02\x00\x05", false, &connack);
    assert_int_equal(connack.reason.code, 5);
    assert_int_equal(connack.receive_maximum, UINT16_MAX);
    assert_int_equal(connack.maximum_packet_size, UINT32_MAX);
    assert_int_equal(connack.maximum_qos, 2);
    assert_true(connack.retain_available);
    assert_int_equal(connack.keep_alive_s, -1);
    assert_int_equal(packet_size(all, sizeof all - 1), sizeof all - 1);
    packet_read_connack(all, true, &connack);
    assert_int_equal(connack.reason.code, 0);
    assert_int_equal(connack.receive_maximum, 20);
    assert_int_equal(connack.maximum_qos, 1);
    assert_false(connack.retain_available);
    assert_int_equal(connack.maximum_packet_size, 1000);
    assert_int_equal(connack.keep_alive_s, 30);
    assert_text(connack.reason.text, connack.reason.text_length, "ok");
    assert_text(connack.reason.server, connack.reason.server_length, "other:");
}

static void test_packet_reads_why_a_broker_ends_it(void **state)
{
    struct packet_reason reason;
    (void)state;
    packet_read_disconnect("\xe0\x00", &reason);
    assert_int_equal(reason.code, 0);
    assert_null(reason.text);
    packet_read_disconnect("\xe0\x0c\x9c\x0a\x1c\x00\x01h\x1f\x00\x03why", &reason);
    assert_int_equal(reason.code, 0x9C);
    assert_text(reason.text, reason.text_length, "why");
    assert_text(reason.server, reason.server_length, "h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_writes_version_3_1_1),
        cmocka_unit_test(test_packet_writes_version_5),
        cmocka_unit_test(test_packet_writes_qos_0),
        cmocka_unit_test(test_packet_writes_lengths_of_any_size),
        cmocka_unit_test(test_packet_refuses_what_does_not_fit),
        cmocka_unit_test(test_packet_writes_qos_2),
        cmocka_unit_test(test_packet_writes_answers),
        cmocka_unit_test(test_packet_tells_sizes_and_types),
        cmocka_unit_test(test_packet_reads_messages),
        cmocka_unit_test(test_packet_knows_what_can_be_a_topic),
        cmocka_unit_test(test_packet_reads_answers),
        cmocka_unit_test(test_packet_reads_what_a_broker_allows),
        cmocka_unit_test(test_packet_reads_why_a_broker_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
