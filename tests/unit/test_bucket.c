#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bucket.h"

static int take_all(struct bucket *bucket, int64_t now_ms)
{
    int taken = 0;

    while (bucket_take(bucket, now_ms))
        taken++;
    return taken;
}

static void test_bucket_is_full_at_the_start(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 20, 5000);
    assert_int_equal(take_all(&bucket, 5000), 20);
}

static void test_bucket_gives_its_rate(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 20, 0);
    take_all(&bucket, 0);
    assert_int_equal(take_all(&bucket, 99), 0);
    assert_int_equal(take_all(&bucket, 100), 1);
    assert_int_equal(take_all(&bucket, 1100), 10);
}

static void test_bucket_saves_up_no_more_than_the_burst(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 20, 0);
    take_all(&bucket, 0);
    assert_int_equal(take_all(&bucket, 1000000), 20);
    assert_int_equal(take_all(&bucket, INT64_MAX), 20);
}

static void test_bucket_loses_nothing_to_rounding(void **state)
{
    struct bucket bucket;
    int taken = 0;

    (void)state;
    bucket_init(&bucket, 7, 3, 0);
    take_all(&bucket, 0);
    for (int64_t now = 1; now <= 10000; now++)
        taken += take_all(&bucket, now);
    assert_int_equal(taken, 70);
}

static void test_bucket_adds_nothing_when_the_clock_goes_back(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 20, 10000);
    take_all(&bucket, 10000);
    assert_int_equal(take_all(&bucket, 5000), 0);
    assert_int_equal(take_all(&bucket, 10000), 0);
    assert_int_equal(take_all(&bucket, 10100), 1);
}

static void test_bucket_without_a_rate_gives_only_the_burst(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 0, 2, 0);
    assert_int_equal(take_all(&bucket, 0), 2);
    assert_int_equal(take_all(&bucket, INT64_MAX), 0);
}

static void test_bucket_survives_the_largest_rates_and_times(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, INT64_MAX, 5, 0);
    take_all(&bucket, 0);
    assert_int_equal(take_all(&bucket, 1), 5);
    assert_int_equal(take_all(&bucket, INT64_MAX), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_is_full_at_the_start),
        cmocka_unit_test(test_bucket_gives_its_rate),
        cmocka_unit_test(test_bucket_saves_up_no_more_than_the_burst),
        cmocka_unit_test(test_bucket_loses_nothing_to_rounding),
        cmocka_unit_test(test_bucket_adds_nothing_when_the_clock_goes_back),
        cmocka_unit_test(test_bucket_without_a_rate_gives_only_the_burst),
        cmocka_unit_test(test_bucket_survives_the_largest_rates_and_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
