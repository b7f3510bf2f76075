/* What a broker may send, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inspector.h"
#include "limit.h"

struct sample {
    const char *bytes; /* behind the CONNACK, or from the first on */
    size_t size;
    const char *fault; /* a part of it; NULL where there is none */
};

#define S(bytes, fault) bytes, sizeof(bytes) - 1, fault

static const char connack3[] = "\x20\x02\x00\x00";
static const char connack5[] = "\x20\x03\x00\x00\x00";

static bool look(struct inspector *inspector, const char *bytes, size_t size, size_t step)
{
    bool well = true;
    for (size_t at = 0; at < size; at += step)
        well = inspector_look(inspector, bytes + at, size - at < step ? size - at : step);
    return well;
}

static void assert_verdict(
    const struct sample *sample, size_t which, bool version5, bool connected, size_t step)
{
    struct inspector inspector;
    inspector_init(&inspector, version5);
    if (connected && version5)
        assert_true(inspector_look(&inspector, connack5, sizeof connack5 - 1));
    else if (connected)
        assert_true(inspector_look(&inspector, connack3, sizeof connack3 - 1));
    bool well = look(&inspector, sample->bytes, sample->size, step);
    if (sample->fault ? strstr(inspector.fault, sample->fault) == NULL : inspector.fault[0] != 0)
        fail_msg("sample %zu: \"%s\", expected \"%s\"", which, inspector.fault,
            sample->fault ? sample->fault : "");
    assert_int_equal(well, sample->fault == NULL);
    /* Once lost, always lost; and a whole packet leaves nothing behind. */
    assert_int_equal(inspector_look(&inspector, "\xd0\x00", connected ? 2 : 0), !sample->fault);
    if (!sample->fault)
        assert_int_equal(inspector.head.length + inspector.rest, 0);
    inspector_clear(&inspector);
}

static void check(const struct sample *samples, size_t count, bool version5, bool connected)
{
    for (size_t i = 0; i < count; i++)
        for (size_t step = 1; step < 6; step += 2)
            assert_verdict(&samples[i], i, version5, connected, step);
}

#define CHECK(samples, version5, connected)                                                        \
    check(samples, sizeof samples / sizeof samples[0], version5, connected)

static void test_inspector_wants_a_connack_first(void **state)
{
    static const struct sample three[] = {
        {S("\x20\x02\x00\x00", NULL)},
        {S("\x20\x02\x01\x05", NULL)},
        {S("\x20\x02\x02\x00", "CONNACK that is not allowed: reserved")},
        {S("\x21\x02\x00\x00", "reserved")},
        {S("\x20\x01\x00", "too short")},
        {S("\x20\x00", "too short")},
        {S("\x20\x03\x00\x00\x00", "more of it")},
        {S("\xd0\x00", "PINGRESP that is not allowed: the first packet")},
        {S("\x30\x05\x00\x01ttt", "PUBLISH that is not allowed: the first packet")},
        {S("HTTP/1.1 200 OK\r\n", "the first packet")},
        {S("\x20\xff\xff\xff\x7f", "larger")},
        {S("\x20\x80\x80\x80\x80", "its length")},
    };
    static const struct sample five[] = {
        {S("\x20\x03\x00\x00\x00", NULL)},
        /* How a broker that knows no MQTT 5 refuses; and how nobody accepts. */
        {S("\x20\x02\x00\x01", NULL)},
        {S("\x20\x02\x00\x00", "do not fit")},
        {S("\x20\x14\x00\x00\x11\x21\x00\x0a\x27\x00\x00\x10\x00\x24\x01\x25\x00\x26\x00\x00\x00"
           "\x00",
            NULL)},
        {S("\x20\x0b\x00\x00\x09\x12\x00\x02id\x13\x00\x0a", "do not fit")},
        {S("\x20\x0b\x00\x00\x08\x12\x00\x02id\x13\x00\x0a", NULL)},
        {S("\x20\x0b\x00\x00\x07\x12\x00\x02id\x13\x00\x0a", "value")},
        {S("\x20\x05\x00\x00\x02\x24\x02", "value")},
        {S("\x20\x05\x00\x00\x02\x25\x02", "value")},
        {S("\x20\x06\x00\x00\x03\x21\x00\x00", "value")},
        {S("\x20\x08\x00\x00\x05\x27\x00\x00\x00\x00", "value")},
        {S("\x20\x07\x00\x00\x04\x24\x01\x24\x01", "twice")},
        {S("\x20\x05\x00\x00\x02\x01\x01", "belong")},
        {S("\x20\x04\x00\x00\x01\x7f", "belong")},
        {S("\x20\x05\x00\x00\x02\xa4\x00", "belong")},
        {S("\x20\x08\x00\x00\x05\x1f\x00\x02\xc0\x80", "value")},
        {S("\x20\x07\x00\x00\x04\x1f\x00\x01\x00", "value")},
        {S("\x20\x05\x00\x00\x00\x24\x01", "more of it")},
        {S("\x20\x04\x00\x00\xff\x01", "do not fit")},
        {S("\x20\x07\x00\x00\xff\xff\xff\xff\x01", "do not fit")},
        {S("\xf0\x00", "AUTH that is not allowed: the first packet")},
    };
    (void)state;
    CHECK(three, false, false);
    CHECK(five, true, false);
}

static void test_inspector_reads_version_3(void **state)
{
    static const struct sample samples[] = {
        {S("\x30\x04\x00\x01t!", NULL)},
        {S("\x32\x05\x00\x01t\x00\x01", NULL)},
        {S("\x35\x05\x00\x01t\x00\x01", NULL)},
        {S("\x30\x03\x00\x01t", NULL)},
        {S("\x30\x03\x00\x01\x00", NULL)}, /* the bytes of a topic are its publisher's */
        {S("\x36\x05\x00\x01t\x00\x01", "QoS 3")},
        {S("\x30\x02\x00\x00", "no topic")},
        {S("\x30\x03\x00\x02t", "too short")},
        {S("\x30\x01\x00", "too short")},
        {S("\x32\x04\x00\x01t\x01", "too short")},
        {S("\x32\x05\x00\x01t\x00\x00", "Identifier 0")},
        {S("\x40\x02\x00\x01", NULL)},
        {S("\x40\x02\x00\x00", "Identifier 0")},
        {S("\x40\x03\x00\x01\x00", "more of it")},
        {S("\x40\x01\x01", "too short")},
        {S("\x42\x02\x00\x01", "reserved")},
        {S("\x50\x02\x00\x01", NULL)},
        {S("\x62\x02\x00\x01", NULL)},
        {S("\x60\x02\x00\x01", "reserved")},
        {S("\x70\x02\x00\x01", NULL)},
        {S("\x90\x03\x00\x01\x00", NULL)},
        {S("\x90\x02\x00\x01", "not one reason")},
        {S("\x90\x04\x00\x01\x00\x00", "not one reason")},
        {S("\x90\x03\x00\x00\x00", "Identifier 0")},
        {S("\xb0\x02\x00\x01", NULL)},
        {S("\xb0\x03\x00\x01\x00", "more of it")},
        {S("\xd0\x00", NULL)},
        {S("\xd0\x01\x00", "more of it")},
        {S("\xd1\x00", "reserved")},
        {S("\xe0\x00", "DISCONNECT that is not allowed: only a client")},
        {S("\x20\x02\x00\x00", "one already")},
        {S("\x10\x00", "CONNECT that is not allowed: only a client")},
        {S("\x82\x00", "reserved")},
        {S("\x80\x00", "only a client")},
        {S("\xa0\x00", "only a client")},
        {S("\xc0\x00", "only a client")},
        {S("\x00\x00", "packet of type 0 that is not allowed: only")},
        {S("\xf0\x00", "AUTH that is not allowed: only")},
        {S("\x90\x80\x80\x80\x04", "larger")},
    };
    (void)state;
    CHECK(samples, false, true);
}

static void test_inspector_reads_version_5(void **state)
{
    static const struct sample samples[] = {
        {S("\x30\x05\x00\x01t\x00!", NULL)},
        {S("\x30\x03\x00\x01t", "do not fit")},
        {S("\x34\x06\x00\x01t\x00\x01\x00", NULL)},
        {S("\x30\x06\x00\x01t\x02\x01\x01", NULL)},
        {S("\x30\x06\x00\x01t\x02\x01\x02", "value")},
        {S("\x30\x08\x00\x01t\x04\x0b\x01\x0b\x02", NULL)},
        {S("\x30\x06\x00\x01t\x02\x0b\x00", "value")},
        {S("\x30\x07\x00\x01t\x03\x23\x00\x01", "belong")},
        {S("\x30\x08\x00\x01t\x04\x26\x00\x00\x00", "value")},
        {S("\x30\x0d\x00\x01t\x09\x26\x00\x02\xc0\x80\x00\x02\xff\x00", NULL)},
        {S("\x30\x08\x00\x01t\x04\x1f\x00\x01r", "belong")},
        {S("\x30\x0c\x00\x01t\x08\x09\x00\x01r\x09\x00\x01r", "twice")},
        {S("\x40\x02\x00\x01", NULL)},
        {S("\x40\x03\x00\x01\x87", NULL)},
        {S("\x40\x04\x00\x01\x87\x00", NULL)},
        {S("\x40\x05\x00\x01\x87\x00\x00", "more of it")},
        {S("\x40\x08\x00\x01\x87\x04\x1f\x00\x01r", NULL)},
        {S("\x40\x06\x00\x01\x00\x02\x24\x01", "belong")},
        {S("\x90\x04\x00\x01\x00\x00", NULL)},
        {S("\x90\x03\x00\x01\x00", "not one reason")},
        {S("\x90\x02\x00\x01", "do not fit")},
        {S("\xb0\x04\x00\x01\x00\x11", NULL)},
        {S("\xb0\x03\x00\x01\x00", "not one reason")},
        {S("\xb0\x02\x00\x01", "do not fit")},
        {S("\xe0\x00", NULL)},
        {S("\xe0\x01\x8b", NULL)},
        {S("\xe0\x02\x8b\x00", NULL)},
        {S("\xe0\x02\x8b\x01", "do not fit")},
        {S("\xe0\x06\x8b\x04\x1c\x00\x01h", NULL)},
        {S("\xe0\x07\x8b\x05\x11\x00\x00\x00\x00", "belong")},
        {S("\xe2\x00", "reserved")},
        {S("\xf0\x00", "AUTH that is not allowed: only")},
        {S("\x30\x80\x80\x80\x04", "larger")},
    };
    (void)state;
    CHECK(samples, true, true);
}

/* Of a large message of MQTT 3.1.1 the payload is neither kept nor looked at. */
static void test_inspector_lets_a_large_message_pass(void **state)
{
    enum { SIZE = 10 * 1024 * 1024, STEP = 100000 };
    struct inspector inspector;
    char *bytes = calloc(1, SIZE + 5);
    (void)state;
    memcpy(bytes, "\x30\x80\x80\x80\x05\x00\x01t", 8);
    inspector_init(&inspector, false);
    assert_true(look(&inspector, connack3, sizeof connack3 - 1, 1));
    assert_true(look(&inspector, bytes, SIZE + 5, STEP));
    assert_string_equal(inspector.fault, "");
    assert_int_equal(inspector.rest, 0);
    assert_true(inspector.head.capacity < 3 * STEP);
    assert_true(inspector_look(&inspector, "\xd0\x00", 2));
    inspector_clear(&inspector);
    free(bytes);
}

/* Nothing is set aside for what has only been announced. */
static void test_inspector_keeps_what_has_come(void **state)
{
    struct inspector inspector;
    (void)state;
    inspector_init(&inspector, true);
    assert_true(look(&inspector, connack5, sizeof connack5 - 1, 1));
    assert_true(look(&inspector, "\x90\xf0\xff\xff\x03\x00\x01", 7, 7));
    assert_string_equal(inspector.fault, "");
    assert_true(inspector.head.capacity < 4096);
    inspector_clear(&inspector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inspector_wants_a_connack_first),
        cmocka_unit_test(test_inspector_reads_version_3),
        cmocka_unit_test(test_inspector_reads_version_5),
        cmocka_unit_test(test_inspector_lets_a_large_message_pass),
        cmocka_unit_test(test_inspector_keeps_what_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
