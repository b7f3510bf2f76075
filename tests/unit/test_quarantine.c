/* Which Response Topic gets the blame for a lost connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quarantine.h"

static void test_quarantine_holds_the_only_topic_in_question(void **state)
{
    struct quarantine q = {0};
    (void)state;
    quarantine_sent(&q, "taken", 1, 1, 0);
    quarantine_sent(&q, "bad", 2, 1, 0);
    quarantine_sent(&q, "bad", 3, 1, 10);
    quarantine_acknowledged(&q, 1);
    assert_false(quarantine_has(&q, "bad", 20));
    assert_int_equal(quarantine_lost(&q, true, 20), QUARANTINE_HELD);
    assert_string_equal(q.held[q.held_count - 1].topic, "bad");
    assert_true(quarantine_has(&q, "bad", 20));
    assert_false(quarantine_has(&q, "taken", 20));
    assert_int_equal(quarantine_lost(&q, true, 21), QUARANTINE_INNOCENT);
    assert_true(quarantine_has(&q, "bad", 20 + QUARANTINE_MS - 1));
    assert_false(quarantine_has(&q, "bad", 20 + QUARANTINE_MS));
    quarantine_clear(&q);
}

static void test_quarantine_holds_none_of_several(void **state)
{
    struct quarantine q = {0};
    (void)state;
    quarantine_sent(&q, "a", 1, 1, 0);
    quarantine_sent(&q, "b", 2, 1, 0);
    quarantine_sent(&q, "a", 3, 1, 0);
    assert_int_equal(quarantine_lost(&q, true, 1), QUARANTINE_UNCLEAR);
    assert_false(quarantine_has(&q, "a", 1));
    assert_false(quarantine_has(&q, "b", 1));
    quarantine_clear(&q);
}

static void test_quarantine_blames_nobody_for_what_the_bridge_ended(void **state)
{
    struct quarantine q = {0};
    (void)state;
    quarantine_sent(&q, "a", 1, 1, 0);
    assert_int_equal(quarantine_lost(&q, false, 1), QUARANTINE_INNOCENT);
    quarantine_sent(&q, "a", 2, 1, 0);
    assert_int_equal(quarantine_lost(&q, true, 2000), QUARANTINE_INNOCENT);
    assert_false(quarantine_has(&q, "a", 2000));
    quarantine_clear(&q);
}

static void test_quarantine_blames_the_last_one_with_qos_0(void **state)
{
    struct quarantine q = {0};
    (void)state;
    quarantine_sent(&q, "a", 1, 0, 0);
    quarantine_sent(&q, "b", 2, 0, 10);
    quarantine_acknowledged(&q, 2);
    assert_int_equal(quarantine_lost(&q, true, 20), QUARANTINE_HELD);
    assert_true(quarantine_has(&q, "b", 20));
    assert_false(quarantine_has(&q, "a", 20));
    quarantine_sent(&q, "a", 3, 0, 100);
    assert_int_equal(quarantine_lost(&q, true, 350), QUARANTINE_INNOCENT);
    quarantine_clear(&q);
}

static void test_quarantine_holds_all_once_it_is_full(void **state)
{
    struct quarantine q = {0};
    (void)state;
    for (int i = 0; i < LIMIT_QUARANTINE; i++) {
        char topic[16];
        snprintf(topic, sizeof topic, "bad/%d", i);
        assert_false(quarantine_has(&q, "good", i));
        quarantine_sent(&q, topic, (uint64_t)i + 1, 1, i);
        assert_int_equal(quarantine_lost(&q, true, i), QUARANTINE_HELD);
    }
    assert_true(quarantine_has(&q, "good", LIMIT_QUARANTINE));
    quarantine_hold(&q, "one more", LIMIT_QUARANTINE);
    assert_int_equal(q.held_count, LIMIT_QUARANTINE);
    assert_false(quarantine_has(&q, "good", QUARANTINE_MS));
    assert_true(quarantine_has(&q, "bad/1", QUARANTINE_MS));
    assert_false(quarantine_has(&q, "bad/0", QUARANTINE_MS));
    quarantine_clear(&q);
}

static void test_quarantine_remembers_no_more_than_a_window_of_answers(void **state)
{
    struct quarantine q = {0};
    (void)state;
    for (int i = 0; i < 2 * QUARANTINE_ASKED; i++)
        quarantine_sent(&q, i < QUARANTINE_ASKED ? "old" : "new", (uint64_t)i + 1, 1, 0);
    assert_int_equal(q.asked_count, QUARANTINE_ASKED);
    assert_int_equal(quarantine_lost(&q, true, 1), QUARANTINE_HELD);
    assert_true(quarantine_has(&q, "new", 1));
    quarantine_clear(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine_holds_the_only_topic_in_question),
        cmocka_unit_test(test_quarantine_holds_none_of_several),
        cmocka_unit_test(test_quarantine_blames_nobody_for_what_the_bridge_ended),
        cmocka_unit_test(test_quarantine_blames_the_last_one_with_qos_0),
        cmocka_unit_test(test_quarantine_holds_all_once_it_is_full),
        cmocka_unit_test(test_quarantine_remembers_no_more_than_a_window_of_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
