#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "counters.h"

static struct counters counters;

static int clear(void **state)
{
    (void)state;
    counters = (struct counters){0};
    return 0;
}

static void test_latency_counts_in_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    counters_note_latency(&counters, 1000, 1000);
    counters_note_latency(&counters, 1000, 1001);
    counters_note_latency(&counters, 1000, 1002);
    counters_note_latency(&counters, 1000, 1003);
    counters_note_latency(&counters, 1000, 1000 + 600001);
    assert_int_equal(counters.event_latency.counts[0], 2);
    assert_int_equal(counters.event_latency.counts[1], 1);
    assert_int_equal(counters.event_latency.counts[2], 1);
    assert_int_equal(counters.event_latency.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(counters.event_latency.sum_ms, 0 + 1 + 2 + 3 + 600001);
}

static void test_bounds_rise(void **state)
{
    (void)state;
    for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++) {
        assert_true(histogram_event_bounds_ms[i - 1] < histogram_event_bounds_ms[i]);
        assert_true(histogram_call_bounds_ms[i - 1] < histogram_call_bounds_ms[i]);
    }
}

static void test_calls_are_told_apart_by_the_class_of_their_status(void **state)
{
    static const struct {
        int status;
        enum counters_class class;
    } cases[] = {{0, COUNTERS_NO_ANSWER}, {199, COUNTERS_NO_ANSWER}, {200, COUNTERS_2XX},
        {204, COUNTERS_2XX}, {302, COUNTERS_3XX}, {404, COUNTERS_4XX}, {503, COUNTERS_5XX},
        {599, COUNTERS_5XX}, {600, COUNTERS_NO_ANSWER}, {-1, COUNTERS_NO_ANSWER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clear(state);
        counters_note_call(&counters, COUNTERS_DELETE_JOB, cases[i].status, 7);
        assert_int_equal(counters.calls[COUNTERS_DELETE_JOB][cases[i].class].counts[0], 1);
        assert_int_equal(counters.calls[COUNTERS_DELETE_JOB][cases[i].class].sum_ms, 7);
    }
}

static void test_each_outcome_has_a_number_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(counters_outcome(NULL), 0);
    for (size_t i = 0; i < COUNTERS_OUTCOMES; i++)
        assert_int_equal(counters_outcome(counters_outcome_names[i]), i);
}

static void test_sums(void **state)
{
    (void)state;
    counters.refused[COUNTERS_REFUSED_BROKER] = 3;
    counters.refused[COUNTERS_REFUSALS - 1] = 4;
    assert_int_equal(counters_sum(counters.refused, COUNTERS_REFUSALS), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_latency_counts_in_the_first_bucket_that_holds_it, clear),
        cmocka_unit_test_setup(test_bounds_rise, clear),
        cmocka_unit_test_setup(test_calls_are_told_apart_by_the_class_of_their_status, clear),
        cmocka_unit_test_setup(test_each_outcome_has_a_number_of_its_own, clear),
        cmocka_unit_test_setup(test_sums, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
