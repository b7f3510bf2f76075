#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "affinity.h"

static void *read_mask(void *ctx)
{
    sched_getaffinity(0, sizeof(cpu_set_t), ctx);
    return NULL;
}

static void test_affinity_holds_for_threads_that_begin_later_until_it_is_released(void **state)
{
    cpu_set_t before, gathered, inherited, after;
    pthread_t thread;

    (void)state;
    read_mask(&before);
    affinity_release();
    read_mask(&after);
    assert_true(CPU_EQUAL(&before, &after));
    affinity_gather();
    read_mask(&gathered);
    assert_int_equal(CPU_COUNT(&gathered), 1);
    assert_int_equal(pthread_create(&thread, NULL, read_mask, &inherited), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(CPU_EQUAL(&inherited, &gathered));
    affinity_gather();
    affinity_release();
    read_mask(&after);
    assert_true(CPU_EQUAL(&before, &after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_affinity_holds_for_threads_that_begin_later_until_it_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
