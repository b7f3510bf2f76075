#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inbox.h"

enum { PUSHERS = 4, EVENTS = 5000 };

static void count_wake(void *ctx)
{
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void push_number(struct inbox *inbox, uint64_t number)
{
    inbox_push(inbox, &(struct inbox_event){.number = number});
}

static void test_inbox_keeps_order_however_it_is_taken(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(count_wake, &wakes);
    struct inbox_event events[7];
    uint64_t pushed = 0, taken = 0;
    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned i = 0; i < round % 11; i++)
            push_number(inbox, pushed++);
        size_t count = inbox_take(inbox, events, 1 + round % 7);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(events[i].number, taken++);
        assert_int_equal(inbox_is_ready(inbox), taken < pushed);
    }
    while (inbox_take(inbox, events, 1) > 0)
        assert_int_equal(events[0].number, taken++);
    assert_int_equal(taken, pushed);
    inbox_free(inbox);
}

static void test_inbox_wakes_once_until_all_is_taken(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(count_wake, &wakes);
    struct inbox_event event;
    (void)state;
    for (int i = 0; i < 3; i++)
        push_number(inbox, 0);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_int_equal(inbox_take(inbox, &event, 1), 1);
    push_number(inbox, 0);
    assert_int_equal(atomic_load(&wakes), 1);
    while (inbox_take(inbox, &event, 1) > 0)
        continue;
    push_number(inbox, 0);
    assert_int_equal(atomic_load(&wakes), 2);
    inbox_free(inbox);
}

static void *push_many(void *ctx)
{
    for (uint64_t i = 0; i < EVENTS; i++)
        push_number(ctx, i);
    return NULL;
}

static void test_inbox_loses_nothing_of_many_threads(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(count_wake, &wakes);
    pthread_t threads[PUSHERS];
    size_t taken = 0;
    (void)state;
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, inbox), 0);
    while (taken < (size_t)PUSHERS * EVENTS) {
        struct inbox_event events[64];
        taken += inbox_take(inbox, events, 64);
    }
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(inbox_is_ready(inbox));
    inbox_free(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_keeps_order_however_it_is_taken),
        cmocka_unit_test(test_inbox_wakes_once_until_all_is_taken),
        cmocka_unit_test(test_inbox_loses_nothing_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
