/* Which retained topic the broker refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "refusal.h"

static void test_refusal_ends_with_the_topic_that_is_taken(void **state)
{
    struct refusal refusal = {0};
    (void)state;
    assert_false(refusal_taken(&refusal, "a"));
    assert_true(refusal_note(&refusal, "a", "not authorized"));
    assert_false(refusal_note(&refusal, "a", "quota exceeded"));
    assert_string_equal(refusal.topic, "a");
    assert_string_equal(refusal.reason, "quota exceeded");
    assert_false(refusal_taken(&refusal, "b"));
    assert_true(refusal_taken(&refusal, "a"));
    assert_null(refusal.topic);
}

static void test_refusal_lasts_while_another_topic_is_refused(void **state)
{
    struct refusal refusal = {0};
    (void)state;
    assert_true(refusal_note(&refusal, "a", "no"));
    assert_false(refusal_note(&refusal, "b", "no"));
    assert_false(refusal_taken(&refusal, "a"));
    assert_string_equal(refusal.topic, "b");
    assert_false(refusal_note(&refusal, "c", "no"));
    assert_false(refusal_taken(&refusal, "c"));
    assert_true(refusal_taken(&refusal, "b"));
    assert_true(refusal_note(&refusal, "d", "no"));
    refusal_clear(&refusal);
    assert_null(refusal.topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal_ends_with_the_topic_that_is_taken),
        cmocka_unit_test(test_refusal_lasts_while_another_topic_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
