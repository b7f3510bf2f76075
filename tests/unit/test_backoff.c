#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backoff.h"

#define NOW INT64_C(1773052200000) /* Mon, 09 Mar 2026 10:30:00 GMT */

static void test_backoff_doubles_up_to_the_cap(void **state)
{
    static const int64_t ceilings[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct backoff backoff;

    (void)state;
    backoff_init(&backoff, 1000, 10000);
    for (size_t i = 0; i < sizeof ceilings / sizeof *ceilings; i++) {
        struct backoff again = backoff;

        assert_int_equal(backoff_next(&again, (uint64_t)ceilings[i] + 1), 0);
        assert_int_equal(backoff_next(&backoff, (uint64_t)ceilings[i]), ceilings[i]);
    }
    assert_int_equal(backoff.failures, 6);
}

static void test_backoff_stays_within_bounds_for_any_random_number(void **state)
{
    struct backoff backoff;
    uint64_t random = 88172645463325252u;

    (void)state;
    backoff_init(&backoff, 1, INT64_MAX / 4);
    backoff.floor_ms = 5;
    for (int i = 0; i < 1000; i++) {
        int64_t wait;

        random = random * 6364136223846793005u + 1442695040888963407u;
        wait = backoff_next(&backoff, random);
        assert_true(wait >= 5 && wait <= INT64_MAX / 4 + 5);
    }
}

static void test_backoff_reset_makes_the_next_wait_the_shortest(void **state)
{
    struct backoff backoff;

    (void)state;
    backoff_init(&backoff, 1000, 60000);
    backoff.floor_ms = 3000;
    backoff_next(&backoff, 0);
    backoff_next(&backoff, 0);
    backoff_reset(&backoff);
    assert_int_equal(backoff_next(&backoff, 1000), 4000);
}

static void test_backoff_adds_the_floor_before_the_jitter(void **state)
{
    struct backoff backoff;

    (void)state;
    backoff_init(&backoff, 1000, 2000);
    backoff.floor_ms = 5000;
    assert_int_equal(backoff_next(&backoff, 0), 5000);
    assert_int_equal(backoff_next(&backoff, 2000), 7000);
    backoff.floor_ms = INT64_MAX;
    assert_int_equal(backoff_next(&backoff, 2000), INT64_MAX);
}

static void test_backoff_never_wraps_its_count(void **state)
{
    struct backoff backoff;

    (void)state;
    backoff_init(&backoff, 1000, 60000);
    backoff.failures = UINT32_MAX;
    assert_int_equal(backoff_next(&backoff, 60000), 60000);
    assert_int_equal(backoff_next(&backoff, 60000), 60000);
}

static void test_backoff_reads_retry_after_in_seconds(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_after("0", NOW, 600000), 0);
    assert_int_equal(backoff_retry_after("120", NOW, 600000), 120000);
    assert_int_equal(backoff_retry_after(" \t7 \t", NOW, 600000), 7000);
    assert_int_equal(backoff_retry_after("007", NOW, 600000), 7000);
    assert_int_equal(backoff_retry_after("601", NOW, 600000), 600000);
    assert_int_equal(backoff_retry_after("5", NOW, 4500), 4500);
    assert_int_equal(backoff_retry_after("99999999999999999999999999", NOW, 600000), 600000);
    assert_int_equal(backoff_retry_after("99999999999999999999999999", NOW, INT64_MAX), INT64_MAX);
}

static void test_backoff_reads_retry_after_as_a_date_in_all_three_forms(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_after("Mon, 09 Mar 2026 10:31:00 GMT", NOW, 600000), 60000);
    assert_int_equal(backoff_retry_after("Monday, 09-Mar-26 10:31:00 GMT", NOW, 600000), 60000);
    assert_int_equal(backoff_retry_after("Mon Mar  9 10:31:00 2026", NOW, 600000), 60000);
    assert_int_equal(backoff_retry_after(" Mon, 09 Mar 2026 10:31:00 GMT ", NOW, 600000), 60000);
}

static void test_backoff_clamps_dates(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", NOW, 600000), 0);
    assert_int_equal(backoff_retry_after("Sun, 06 Nov 2094 08:49:37 GMT", NOW, 600000), 600000);
}

static void test_backoff_places_two_digit_years_within_fifty_years(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", NOW, 600000), 0);
    assert_int_equal(backoff_retry_after("Sunday, 06-Nov-77 08:49:37 GMT", NOW, 600000), 0);
    assert_int_equal(backoff_retry_after("Sunday, 06-Nov-75 08:49:37 GMT", NOW, 600000), 600000);
    assert_int_equal(backoff_retry_after("Sunday, 06-Nov-27 08:49:37 GMT", NOW, 600000), 600000);
}

static void test_backoff_refuses_what_is_no_retry_after(void **state)
{
    static const char *const bad[] = {"", " ", "soon", "-1", "+1", "1.5", "1s", "1 2", "0x10",
        "Mon, 09 Mar 2026 10:31:00", "Mon, 09 Mar 2026 10:31:00 CET",
        "Mon, 31 Feb 2026 10:31:00 GMT", "Mon, 09 Mar 2026 25:31:00 GMT",
        "Mon, 09 Mar 2026 10:31:00 GMT x", "2026-03-09T10:31:00Z",
        "Mon, 09 Mar 2026 10:31:00 GMT Mon, 09 Mar 2026 10:31:00 GMT Mon, 09 Mar 2026"};

    (void)state;
    assert_int_equal(backoff_retry_after(NULL, NOW, 600000), -1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (backoff_retry_after(bad[i], NOW, 600000) != -1)
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_doubles_up_to_the_cap),
        cmocka_unit_test(test_backoff_stays_within_bounds_for_any_random_number),
        cmocka_unit_test(test_backoff_reset_makes_the_next_wait_the_shortest),
        cmocka_unit_test(test_backoff_adds_the_floor_before_the_jitter),
        cmocka_unit_test(test_backoff_never_wraps_its_count),
        cmocka_unit_test(test_backoff_reads_retry_after_in_seconds),
        cmocka_unit_test(test_backoff_reads_retry_after_as_a_date_in_all_three_forms),
        cmocka_unit_test(test_backoff_clamps_dates),
        cmocka_unit_test(test_backoff_places_two_digit_years_within_fifty_years),
        cmocka_unit_test(test_backoff_refuses_what_is_no_retry_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
