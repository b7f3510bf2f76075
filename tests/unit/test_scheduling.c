#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduling.h"

static void *read_mask(void *ctx)
{
    sched_getaffinity(0, sizeof(cpu_set_t), ctx);
    return NULL;
}

static void test_scheduling_gathers_threads_until_it_is_released(void **state)
{
    cpu_set_t before, gathered, inherited, after;
    pthread_t thread;

    (void)state;
    read_mask(&before);
    scheduling_release();
    read_mask(&after);
    assert_true(CPU_EQUAL(&before, &after));
    scheduling_gather();
    read_mask(&gathered);
    assert_int_equal(CPU_COUNT(&gathered), 1);
    assert_int_equal(pthread_create(&thread, NULL, read_mask, &inherited), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(CPU_EQUAL(&inherited, &gathered));
    scheduling_gather();
    scheduling_release();
    read_mask(&after);
    assert_true(CPU_EQUAL(&before, &after));
}

struct policies {
    int chosen; /* before; -1: none */
    int own;
    int inherited;
};

static void *read_policy(void *ctx)
{
    *(int *)ctx = sched_getscheduler(0);
    return NULL;
}

static void *be_modest(void *ctx)
{
    const struct sched_param none = {0};
    struct policies *policies = ctx;
    pthread_t thread;
    if (policies->chosen >= 0)
        assert_int_equal(sched_setscheduler(0, policies->chosen, &none), 0);
    scheduling_be_modest();
    policies->own = sched_getscheduler(0);
    assert_int_equal(pthread_create(&thread, NULL, read_policy, &policies->inherited), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return NULL;
}

/* On a thread of its own, as the policy is one of a thread. */
static struct policies policies_after(int chosen)
{
    struct policies policies = {.chosen = chosen};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_modest, &policies), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return policies;
}

static void test_scheduling_is_modest_and_so_are_threads_that_begin_later(void **state)
{
    struct policies policies = policies_after(-1);
    (void)state;
    assert_int_equal(policies.own, SCHED_BATCH);
    assert_int_equal(policies.inherited, SCHED_BATCH);
}

static void test_scheduling_leaves_what_was_chosen(void **state)
{
    struct policies policies = policies_after(SCHED_IDLE);
    (void)state;
    assert_int_equal(policies.own, SCHED_IDLE);
    assert_int_equal(policies.inherited, SCHED_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduling_is_modest_and_so_are_threads_that_begin_later),
        cmocka_unit_test(test_scheduling_leaves_what_was_chosen),
        cmocka_unit_test(test_scheduling_gathers_threads_until_it_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
