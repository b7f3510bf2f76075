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

static bool push_number(struct inbox *inbox, uint64_t number)
{
    return inbox_push(inbox, &(struct inbox_event){.number = number});
}

static void take_all(struct inbox *inbox)
{
    struct inbox_event event;

    while (inbox_take(inbox, &event, 1) > 0)
        ;
}

static void test_inbox_keeps_order_however_it_is_taken(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(0, count_wake, &wakes);
    struct inbox_event events[7];
    uint64_t pushed = 0, taken = 0;

    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        size_t count;

        for (unsigned i = 0; i < round % 11; i++)
            assert_true(push_number(inbox, pushed++));
        count = inbox_take(inbox, events, 1 + round % 7);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(events[i].number, taken++);
        assert_int_equal(inbox_is_ready(inbox), taken < pushed);
    }
    while (inbox_take(inbox, events, 1) > 0)
        assert_int_equal(events[0].number, taken++);
    assert_int_equal(taken, pushed);
    inbox_free(inbox);
}

static void test_inbox_has_room_up_to_half_of_its_limit(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(100, count_wake, &wakes);
    struct inbox_event event = {.size = 49};

    (void)state;
    assert_true(inbox_has_room(inbox));
    assert_true(inbox_push(inbox, &event));
    assert_true(inbox_has_room(inbox));
    event.size = 1;
    assert_true(inbox_push(inbox, &event));
    assert_false(inbox_has_room(inbox));
    event.size = 50;
    assert_true(inbox_push(inbox, &event));
    assert_int_equal(inbox_take(inbox, &event, 1), 1);
    assert_false(inbox_has_room(inbox));
    take_all(inbox);
    assert_true(inbox_has_room(inbox));
    inbox_free(inbox);
}

static void test_inbox_wakes_once_until_it_is_emptied(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(0, count_wake, &wakes);
    struct inbox_event event;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        push_number(inbox, i);
    assert_int_equal(wakes, 1);
    /* Something is left: the owner knows, and comes again without being woken. */
    assert_int_equal(inbox_take(inbox, &event, 1), 1);
    push_number(inbox, 10);
    assert_int_equal(wakes, 1);
    take_all(inbox);
    push_number(inbox, 11);
    assert_int_equal(wakes, 2);
    take_all(inbox);
    inbox_free(inbox);
}

static void push_patient(struct inbox *inbox, uint64_t number)
{
    assert_true(inbox_push(inbox, &(struct inbox_event){.number = number, .patient = true}));
}

static void test_inbox_lets_patient_events_wait_for_others(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(0, count_wake, &wakes);
    struct inbox_event event;

    (void)state;
    push_patient(inbox, 0);
    assert_int_equal(wakes, 1);
    take_all(inbox);
    inbox_set_eager(inbox, false);
    push_patient(inbox, 1);
    push_patient(inbox, 2);
    assert_int_equal(wakes, 1);
    assert_false(inbox_is_ready(inbox));
    push_number(inbox, 3);
    assert_int_equal(wakes, 2);
    assert_true(inbox_is_ready(inbox));
    for (uint64_t number = 1; number <= 3; number++) {
        assert_int_equal(inbox_take(inbox, &event, 1), 1);
        assert_int_equal(event.number, number);
    }
    push_patient(inbox, 4);
    assert_int_equal(wakes, 2);
    assert_false(inbox_is_ready(inbox));
    /* What waits already is ready as soon as the owner wants it. */
    inbox_set_eager(inbox, true);
    assert_true(inbox_is_ready(inbox));
    take_all(inbox);
    inbox_free(inbox);
}

static void test_inbox_limits_the_sum_of_sizes(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(100, count_wake, &wakes);
    struct inbox_event event = {.size = 60};

    (void)state;
    assert_true(inbox_push(inbox, &event));
    assert_false(inbox_push(inbox, &event));
    event.size = 40;
    assert_true(inbox_push(inbox, &event));
    event.size = 1;
    assert_false(inbox_push(inbox, &event));
    event.size = SIZE_MAX;
    assert_false(inbox_push(inbox, &event));
    event.size = 0;
    assert_true(inbox_push(inbox, &event));
    assert_int_equal(inbox_take(inbox, &event, 1), 1);
    event.size = 60;
    assert_true(inbox_push(inbox, &event));
    take_all(inbox);
    inbox_free(inbox);
}

struct pusher {
    struct inbox *inbox;
    unsigned name;
};

static void *push_many(void *ctx)
{
    const struct pusher *pusher = ctx;

    for (uint64_t i = 0; i < EVENTS; i++) {
        struct inbox_event event = {.code = (int)pusher->name, .number = i, .size = 1};

        while (!inbox_push(pusher->inbox, &event))
            ; /* full: the owner is about to take some */
    }
    return NULL;
}

static void test_inbox_loses_nothing_between_threads(void **state)
{
    atomic_uint wakes = 0;
    struct inbox *inbox = inbox_new(200, count_wake, &wakes);
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    uint64_t next[PUSHERS] = {0};
    unsigned left = PUSHERS * EVENTS;

    (void)state;
    for (unsigned i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.inbox = inbox, .name = i};
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
    }
    while (left > 0) {
        struct inbox_event events[32];
        size_t count = inbox_take(inbox, events, 32);

        for (size_t i = 0; i < count; i++)
            assert_int_equal(events[i].number, next[events[i].code]++);
        left -= (unsigned)count;
    }
    for (unsigned i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(inbox_is_ready(inbox));
    inbox_free(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_keeps_order_however_it_is_taken),
        cmocka_unit_test(test_inbox_has_room_up_to_half_of_its_limit),
        cmocka_unit_test(test_inbox_wakes_once_until_it_is_emptied),
        cmocka_unit_test(test_inbox_lets_patient_events_wait_for_others),
        cmocka_unit_test(test_inbox_limits_the_sum_of_sizes),
        cmocka_unit_test(test_inbox_loses_nothing_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
