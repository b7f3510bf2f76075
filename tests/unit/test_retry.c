#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "retry.h"

/* The longest wait that the back-off may choose: a ceiling is a power of two times the base. */
#define ALL 1000

static struct retry new_retry(void)
{
    struct retry retry;
    retry_init(&retry, 1000, 60000);
    return retry;
}

static void test_retry_counts_concurrent_failures_once(void **state)
{
    (void)state;
    struct retry retry = new_retry();
    unsigned began = retry.incident;
    assert_int_equal(retry_failed(&retry, began, 5000, -1, true, ALL), 1000);
    /* Those that were under way then come a little later. */
    for (int i = 1; i < 4; i++)
        assert_int_equal(retry_failed(&retry, began, 5000 + i, -1, true, ALL), 1000 - i);
    assert_int_equal(retry.backoff.failures, 1);
    assert_int_equal(retry_failed(&retry, retry.incident, 6000, -1, true, 2 * ALL), 2000);
    assert_int_equal(retry.backoff.failures, 2);
}

static void test_retry_obeys_the_longest_wait_of_an_incident(void **state)
{
    (void)state;
    struct retry retry = new_retry();
    unsigned began = retry.incident;
    assert_int_equal(retry_failed(&retry, began, 0, 3000, true, 0), 3000);
    assert_int_equal(retry_failed(&retry, began, 100, 9000, true, 0), 9000);
    assert_int_equal(retry_failed(&retry, began, 200, 1000, true, 0), 8900);
    assert_int_equal(retry.asked_until_ms, 9100);
}

static void test_retry_knows_who_has_asked_for_a_wait(void **state)
{
    (void)state;
    struct retry retry = new_retry();
    retry_failed(&retry, retry.incident, 0, -1, false, ALL);
    assert_int_equal(retry.until_ms, 1000);
    assert_int_equal(retry.asked_until_ms, 0);
}

static void test_retry_begins_anew_after_a_success(void **state)
{
    (void)state;
    struct retry retry = new_retry();
    for (int i = 0; i < 5; i++)
        retry_failed(&retry, retry.incident, 0, -1, true, ALL);
    retry_succeeded(&retry);
    assert_int_equal(retry.until_ms, 0);
    assert_int_equal(retry.asked_until_ms, 0);
    assert_int_equal(retry_failed(&retry, retry.incident, 0, -1, true, ALL), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_counts_concurrent_failures_once),
        cmocka_unit_test(test_retry_obeys_the_longest_wait_of_an_incident),
        cmocka_unit_test(test_retry_knows_who_has_asked_for_a_wait),
        cmocka_unit_test(test_retry_begins_anew_after_a_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
