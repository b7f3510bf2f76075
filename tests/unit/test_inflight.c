#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inflight.h"

static int ends[8]; /* the reason code with which each has ended; -1: not yet */

static void note(void *ctx, int reason_code)
{
    assert_int_equal(*(int *)ctx, -1);
    *(int *)ctx = reason_code;
}

static int setup(void **state)
{
    static struct inflight inflight;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        ends[i] = -1;
    inflight_init(&inflight, 4);
    *state = &inflight;
    return 0;
}

static int teardown(void **state)
{
    inflight_clear(*state);
    return 0;
}

static uint16_t add(struct inflight *inflight, int qos, int which, bool urgent)
{
    return inflight_add(inflight, qos, &(struct inflight_owner){note, &ends[which], urgent});
}

static bool answer(struct inflight *inflight, enum packet_type type, uint16_t identifier, int code)
{
    return inflight_answer(inflight, type, &(struct packet_answer){identifier, (uint8_t)code});
}

static void test_inflight_ends_with_the_acknowledgement_of_its_qos(void **state)
{
    struct inflight *inflight = *state;
    uint16_t one = add(inflight, 1, 0, false), two = add(inflight, 2, 1, true);
    assert_int_not_equal(one, two);
    assert_true(one >= PACKET_FIRST_IDENTIFIER && two >= PACKET_FIRST_IDENTIFIER);
    assert_int_equal(inflight->awaited, 2);
    assert_int_equal(inflight->urgent, 1);
    assert_false(answer(inflight, PACKET_PUBACK, two, 0));
    assert_false(answer(inflight, PACKET_PUBCOMP, two, 0));
    assert_false(answer(inflight, PACKET_PUBREC, one, 0));
    assert_int_equal(inflight->count, 2);
    assert_true(answer(inflight, PACKET_PUBREC, two, 0x10));
    assert_int_equal(ends[1], -1);
    assert_false(answer(inflight, PACKET_PUBREC, two, 0)); /* again: it is released already */
    assert_false(answer(inflight, PACKET_PUBCOMP, two, 0));
    assert_false(answer(inflight, PACKET_PUBACK, one, 0x97));
    assert_int_equal(ends[0], 0x97);
    assert_int_equal(ends[1], 0);
    assert_int_equal(inflight->count, 0);
    assert_int_equal(inflight->urgent, 0);
}

static void test_inflight_ends_with_a_refusal_of_qos_2(void **state)
{
    struct inflight *inflight = *state;
    assert_false(answer(inflight, PACKET_PUBREC, add(inflight, 2, 0, false), 0x87));
    assert_int_equal(ends[0], 0x87);
    assert_int_equal(inflight->count, 0);
}

static void test_inflight_has_no_place_for_answers_to_nothing(void **state)
{
    struct inflight *inflight = *state;
    uint16_t one = add(inflight, 1, 0, false);
    static const uint16_t others[] = {
        0, 1, PACKET_FIRST_IDENTIFIER - 1, PACKET_FIRST_IDENTIFIER + 4, UINT16_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(answer(inflight, PACKET_PUBACK, others[i], 0));
    assert_false(answer(inflight, PACKET_PUBACK, one, 0));
    assert_false(answer(inflight, PACKET_PUBACK, one, 0)); /* a second time */
    assert_int_equal(inflight->count, 0);
}

static void test_inflight_settles_qos_0_in_order_and_nothing_else(void **state)
{
    struct inflight *inflight = *state;
    add(inflight, 0, 0, true);
    uint16_t one = add(inflight, 1, 1, false);
    add(inflight, 0, 2, false);
    assert_int_equal(inflight->awaited, 1);
    assert_int_equal(inflight->urgent, 0); /* nothing is to come for it */
    inflight_settle(inflight);
    assert_int_equal(ends[0], 0);
    assert_int_equal(ends[1], -1);
    assert_int_equal(ends[2], 0);
    inflight_settle(inflight);
    assert_false(answer(inflight, PACKET_PUBACK, one, 0));
    assert_int_equal(inflight->count, 0);
}

static void test_inflight_uses_its_places_again(void **state)
{
    struct inflight *inflight = *state;
    bool used[4] = {false};
    for (int i = 0; i < 4; i++) {
        uint16_t identifier = add(inflight, 1, i, false);
        assert_false(used[identifier - PACKET_FIRST_IDENTIFIER]);
        used[identifier - PACKET_FIRST_IDENTIFIER] = true;
    }
    assert_false(answer(inflight, PACKET_PUBACK, PACKET_FIRST_IDENTIFIER + 2, 0));
    assert_int_equal(add(inflight, 1, 4, false), PACKET_FIRST_IDENTIFIER + 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_inflight_ends_with_the_acknowledgement_of_its_qos),
        TEST(test_inflight_ends_with_a_refusal_of_qos_2),
        TEST(test_inflight_has_no_place_for_answers_to_nothing),
        TEST(test_inflight_settles_qos_0_in_order_and_nothing_else),
        TEST(test_inflight_uses_its_places_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
