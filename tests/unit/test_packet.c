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
        struct packet_counts counts = {0};
        publish.payload = payload;
        publish.payload_length = lengths[i].remaining - 7;
        buf_init(&out, SIZE_MAX);
        assert_true(packet_append_publish(&out, &publish));
        assert_int_equal(out.length, 1 + lengths[i].size + lengths[i].remaining);
        assert_memory_equal(out.data + 1, lengths[i].bytes, lengths[i].size);
        assert_int_equal(packet_complete(out.data, out.length, &counts), out.length);
        assert_int_equal(packet_complete(out.data, out.length - 1, &counts), 0);
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

/* What the reader says of a stream, cut into pieces of `step` bytes. */
struct heard {
    unsigned char library[256];
    size_t library_size;
    unsigned acks[16][2];
    size_t ack_count;
    unsigned char messages[256]; /* whole packets */
    size_t messages_size;
};

static void hear(struct heard *heard, const void *stream, size_t size, size_t step)
{
    struct packet_reader reader = {0};
    const unsigned char *bytes = stream;
    size_t begin = 0, there = 0;
    *heard = (struct heard){0};
    while (there < size) {
        there = there + step < size ? there + step : size;
        for (;;) {
            struct packet_part part = packet_read(&reader, bytes + begin, there - begin);
            if (part.kind == PACKET_MORE) {
                assert_true(there - begin < PACKET_DECIDES || bytes[begin] >> 4 == 3);
                break;
            }
            assert_true(part.size > 0 && part.size <= there - begin);
            if (part.kind == PACKET_LIBRARY) {
                memcpy(heard->library + heard->library_size, bytes + begin, part.size);
                heard->library_size += part.size;
            } else if (part.kind == PACKET_PUBACK) {
                heard->acks[heard->ack_count][0] = part.identifier;
                heard->acks[heard->ack_count++][1] = part.reason_code;
            } else if (part.kind == PACKET_PUBLISH) {
                memcpy(heard->messages + heard->messages_size, bytes + begin, part.size);
                heard->messages_size += part.size;
            }
            begin += part.size;
        }
    }
}

static void assert_heard(const void *stream, size_t size, const void *library, size_t library_size,
    const unsigned (*acks)[2], size_t ack_count)
{
    for (size_t step = 1; step <= size; step++) {
        struct heard heard;
        hear(&heard, stream, size, step);
        assert_int_equal(heard.library_size, library_size);
        assert_memory_equal(heard.library, library, library_size);
        assert_int_equal(heard.ack_count, ack_count);
        if (ack_count > 0)
            assert_memory_equal(heard.acks, acks, ack_count * sizeof *acks);
    }
}

static void test_packet_hands_messages_out_whole(void **state)
{
    static const char stream[] = "\x31\x08\x00\x03xyz\x40\x02\x80\xd0\x00"
                                 "\x3a\x07\x00\x01t\x00\x01\x00n\x30\x00";
    static const char messages[] = "\x31\x08\x00\x03xyz\x40\x02\x80"
                                   "\x3a\x07\x00\x01t\x00\x01\x00n\x30\x00";
    struct heard heard;
    (void)state;
    for (size_t step = 1; step < sizeof stream; step++) {
        hear(&heard, stream, sizeof stream - 1, step);
        assert_int_equal(heard.messages_size, sizeof messages - 1);
        assert_memory_equal(heard.messages, messages, sizeof messages - 1);
        assert_int_equal(heard.library_size, 2);
    }
    /* Larger than the broker was told: the library's from its first byte. */
    static const char large[] = "\x30\x80\x80\x80\x04\x00\x01t";
    hear(&heard, large, sizeof large - 1, sizeof large - 1);
    assert_int_equal(heard.library_size, sizeof large - 1);
}

/* A PUBLISH of that first byte and what follows the fixed header. */
static bool read_publish(
    unsigned first, const void *body, size_t size, bool version5, struct packet_message *message)
{
    static unsigned char packet[128];
    assert_true(size < 126);
    packet[0] = (unsigned char)first;
    packet[1] = (unsigned char)size;
    memcpy(packet + 2, body, size);
    return packet_read_message(packet, size + 2, version5, message);
}

#define READ(first, body, version5, message)                                                       \
    read_publish(first, body, sizeof(body) - 1, version5, message)

static void assert_text(const char *text, size_t length, const char *expected)
{
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
}

static void test_packet_reads_messages(void **state)
{
    struct packet_message message;
    (void)state;
    assert_true(READ(0x31,
        "\x00\x03"
        "a/bno",
        false, &message));
    assert_text(message.topic, message.topic_length, "a/b");
    assert_text(message.payload, message.payload_length, "no");
    assert_int_equal(message.qos, 0);
    assert_true(message.retain && !message.duplicate);
    assert_null(message.response_topic);
    assert_null(message.correlation_data);
    assert_int_equal(message.expiry_s, UINT32_MAX);
    assert_true(READ(0x3a, "\x00\x01t\x12\x34\x00", true, &message));
    assert_int_equal(message.qos, 1);
    assert_int_equal(message.identifier, 0x1234);
    assert_true(!message.retain && message.duplicate);
    assert_int_equal(message.payload_length, 0);
    /* Every property that section 3.3.2.3 allows, but the Topic Alias. */
    assert_true(READ(0x30,
        "\x00\x01t\x29"
        "\x01\x01"
        "\x02\x00\x00\x01\x02"
        "\x03\x00\x02zz"
        "\x08\x00\x03r/s"
        "\x09\x00\x02\x00\xff"
        "\x0b\x81\x01\x0b\x02"
        "\x26\x00\x01k\x00\x02vv\x26\x00\x00\x00\x00{",
        true, &message));
    assert_text(message.response_topic, message.response_topic_length, "r/s");
    assert_int_equal(message.correlation_length, 2);
    assert_memory_equal(message.correlation_data, "\x00\xff", 2);
    assert_int_equal(message.expiry_s, 258);
    assert_text(message.payload, message.payload_length, "{");
}

static void test_packet_refuses_what_is_no_message(void **state)
{
    struct packet_message message;
    (void)state;
    assert_false(READ(0x30, "", false, &message));
    assert_false(READ(0x30, "\x00\x00x", false, &message));     /* no topic */
    assert_false(READ(0x30, "\x00\x09tt", false, &message));    /* cut short */
    assert_false(READ(0x32, "\x00\x01t\x01", false, &message)); /* half a Packet Identifier */
    assert_false(READ(0x32, "\x00\x01t\x00\x00", false, &message));
    assert_true(READ(0x32, "\x00\x01t\x00\x01", false, &message));
    assert_false(READ(0x30, "\x00\x01t", true, &message));         /* no properties */
    assert_false(READ(0x30, "\x00\x01t\x02\x01", true, &message)); /* beyond the end */
    assert_false(READ(0x30, "\x00\x01t\x01\x01", true, &message)); /* no value */
    assert_true(READ(0x30, "\x00\x01t\x02\x01\x01", true, &message));
    assert_false(READ(0x30, "\x00\x01t\x02\x7f\x01", true, &message));     /* unknown */
    assert_false(READ(0x30, "\x00\x01t\x03\x23\x00\x01", true, &message)); /* an alias */
    assert_false(READ(0x30, "\x00\x01t\xff\xff\xff\xff\x01", true, &message));
    assert_true(READ(0x30, "\x00\x01t\x04\x08\x00\x01r", true, &message));
    assert_false(READ(0x30, "\x00\x01t\x08\x08\x00\x01r\x08\x00\x01r", true, &message)); /* twice */
    assert_false(READ(0x30, "\x00\x01t\x08\x09\x00\x01r\x09\x00\x01r", true, &message));
    assert_false(
        READ(0x30, "\x00\x01t\x0a\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01", true, &message));
}

/* A topic is read by its length, whatever is in it. */
static void test_packet_tells_topics_from_other_bytes(void **state)
{
    struct packet_message message;
    (void)state;
    assert_true(READ(0x30, "\x00\x04t\x00/xy", false, &message));
    assert_int_equal(message.topic_length, 4);
    assert_int_equal(message.payload_length, 1);
    assert_false(packet_is_topic_name(message.topic, message.topic_length));
    assert_false(packet_is_topic_name("", 0));
    assert_false(packet_is_topic_name("t/#", 3));
    assert_false(packet_is_topic_name("+/t", 3));
    assert_false(packet_is_topic_name("\xc0\x80", 2));
    assert_true(packet_is_topic_name("t/\xc3\xa4", 4));
    assert_true(packet_is_text("", 0));
    assert_true(packet_is_text("#", 1));
    assert_false(packet_is_text("a\x00", 2));
}

static void test_packet_acknowledges(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 7);
    assert_true(packet_append_puback(&out, 0x1234));
    assert_int_equal(out.length, 4);
    assert_memory_equal(out.data, "\x40\x02\x12\x34", 4);
    assert_false(packet_append_puback(&out, 1));
    buf_clear(&out);
}

static void test_packet_finds_its_acknowledgements(void **state)
{
    static const char stream[] = "\x40\x02\x80\x00"                /* success, short form */
                                 "\xd0\x00"                        /* PINGRESP */
                                 "\x40\x03\x80\x01\x10"            /* no matching subscribers */
                                 "\x40\x02\x00\x07"                /* the library's */
                                 "\x31\x08\x00\x03xyz\x40\x02\x80" /* PUBLISH that holds one */
                                 "\x34\x08\x00\x01t\x00\x01\x00no" /* QoS 2: the library's */
                                 "\x40\x09\x80\x02\x87\x05\x1f\x00\x02no" /* Reason String */
                                 "\x40\x82\x00\x80\x03" /* a length of more bytes than needed */
                                 "\x40\x05\x00\x08\x97\x00\x00" /* the library's, with more */
                                 "\x90\x04\x00\x01\x00\x01";    /* SUBACK */
    static const char library[] = "\xd0\x00"
                                  "\x40\x02\x00\x07"
                                  "\x34\x08\x00\x01t\x00\x01\x00no"
                                  "\x40\x05\x00\x08\x97\x00\x00"
                                  "\x90\x04\x00\x01\x00\x01";
    static const unsigned acks[][2] = {{0x8000, 0}, {0x8001, 0x10}, {0x8002, 0x87}, {0x8003, 0}};
    (void)state;
    assert_heard(stream, sizeof stream - 1, library, sizeof library - 1, acks, 4);
}

static void test_packet_leaves_to_the_library_what_it_cannot_read(void **state)
{
    static const char empty_puback[] = "\x40\x00\x40\x01\x80\xd0\x00";
    static const char no_mqtt[] = "\xd0\x00\x40\xff\xff\xff\xff\x40\x02\x80\x00";
    (void)state;
    assert_heard(
        empty_puback, sizeof empty_puback - 1, empty_puback, sizeof empty_puback - 1, NULL, 0);
    assert_heard(no_mqtt, sizeof no_mqtt - 1, no_mqtt, sizeof no_mqtt - 1, NULL, 0);
}

static void test_packet_counts_whole_packets(void **state)
{
    static const char sent[] = "\x82\x03\x00\x01\x00" /* SUBSCRIBE */
                               "\xc0\x00"             /* PINGREQ */
                               "\xa2\x03\x00\x02\x00" /* UNSUBSCRIBE */
                               "\xe0\x00";            /* DISCONNECT */
    static const size_t ends[] = {0, 0, 0, 0, 0, 5, 5, 7, 7, 7, 7, 7, 12, 12, 14};
    (void)state;
    for (size_t size = 0; size < sizeof sent; size++) {
        struct packet_counts counts = {0};
        assert_int_equal(packet_complete(sent, size, &counts), ends[size]);
        assert_int_equal(counts.subscriptions, (ends[size] >= 5) + (ends[size] >= 12));
        assert_int_equal(counts.disconnects, ends[size] == 14);
    }
    struct packet_counts none = {0};
    assert_int_equal(packet_complete("\x82\xff\xff\xff\xff", 5, &none), 5);
    assert_int_equal(none.subscriptions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_writes_version_3_1_1),
        cmocka_unit_test(test_packet_writes_version_5),
        cmocka_unit_test(test_packet_writes_qos_0),
        cmocka_unit_test(test_packet_writes_lengths_of_any_size),
        cmocka_unit_test(test_packet_refuses_what_does_not_fit),
        cmocka_unit_test(test_packet_finds_its_acknowledgements),
        cmocka_unit_test(test_packet_hands_messages_out_whole),
        cmocka_unit_test(test_packet_reads_messages),
        cmocka_unit_test(test_packet_refuses_what_is_no_message),
        cmocka_unit_test(test_packet_tells_topics_from_other_bytes),
        cmocka_unit_test(test_packet_acknowledges),
        cmocka_unit_test(test_packet_leaves_to_the_library_what_it_cannot_read),
        cmocka_unit_test(test_packet_counts_whole_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
