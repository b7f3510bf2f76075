#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "loop_fixture.h"
#include "timers.h"
#include "within.h"

enum { WALK_TIMERS = 200, WALK_STEPS = 20000 };

struct walk {
    struct timer timers[WALK_TIMERS];

    int64_t now_ms, last_ms;
    unsigned count;
};

static struct walk walk;

static void walk_fire(void *ctx)
{
    struct timer *timer = ctx;

    assert_false(timer_is_set(timer));
    assert_true(timer->at_ms >= walk.last_ms);
    assert_true(timer->at_ms <= walk.now_ms);
    walk.last_ms = timer->at_ms;
    walk.count++;
}

/* Against the plainest model there is: after a step to `now`, a timer is set if and only if it was
 * set before for a later time. */
static void test_timers_fire_in_order_on_a_random_walk(void **state)
{
    struct timers timers = {0};

    (void)state;
    srand(4711);
    for (unsigned i = 0; i < WALK_TIMERS; i++)
        walk.timers[i] = (struct timer){.fire = walk_fire, .ctx = &walk.timers[i]};
    for (unsigned step = 0; step < WALK_STEPS; step++) {
        struct timer *timer = &walk.timers[rand() % WALK_TIMERS];

        if (timer->position > 0)
            timers_remove(&timers, timer);
        if (rand() % 4 != 0)
            timers_add(&timers, timer, walk.now_ms + rand() % 100);
        if (rand() % 8 == 0) {
            unsigned due = 0;

            walk.now_ms += rand() % 20;
            walk.last_ms = 0;
            walk.count = 0;
            for (unsigned i = 0; i < WALK_TIMERS; i++)
                due += walk.timers[i].position > 0 && walk.timers[i].at_ms <= walk.now_ms;
            timers_fire(&timers, walk.now_ms, UINT32_MAX);
            assert_int_equal(walk.count, due);
            assert_true(timers_next_ms(&timers) > walk.now_ms);
        }
    }
    for (unsigned i = 0; i < WALK_TIMERS; i++) {
        if (walk.timers[i].position > 0)
            timers_remove(&timers, &walk.timers[i]);
    }
    timers_clear(&timers);
}

struct repeating {
    struct fixture fixture;
    struct timer timer;
    unsigned fired;
};

static void fire_again_at_once(void *ctx)
{
    struct repeating *repeating = ctx;

    repeating->fired++;
    timer_set(&repeating->timer, loop_now(repeating->fixture.loop) - 1000);
}

static bool other_timer_fired(void *ctx)
{
    return *(bool *)ctx;
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static void test_loop_goes_on_with_a_timer_that_is_always_due(void **state)
{
    struct repeating repeating = {0};
    struct timer other = {0};
    bool fired = false;

    (void)state;
    fixture_open(&repeating.fixture);
    timer_init(&repeating.timer, repeating.fixture.loop, fire_again_at_once, &repeating);
    timer_init(&other, repeating.fixture.loop, set_true, &fired);
    timer_set(&repeating.timer, 0);
    timer_set(&other, loop_now(repeating.fixture.loop) + 20);
    fixture_run(&repeating.fixture, other_timer_fired, &fired);
    assert_true(repeating.fired > 0);
    timer_stop(&repeating.timer);
    fixture_close(&repeating.fixture);
}

struct pushed {
    struct fixture fixture;
    uint64_t next;
    unsigned most_in_pass, in_pass;
};

static void count_event(void *ctx, const struct inbox_event *event)
{
    struct pushed *pushed = ctx;

    assert_int_equal(event->number, pushed->next++);
    pushed->in_pass++;
}

static bool all_pushed(void *ctx)
{
    struct pushed *pushed = ctx;

    if (pushed->in_pass > pushed->most_in_pass)
        pushed->most_in_pass = pushed->in_pass;
    pushed->in_pass = 0;
    return pushed->next == 10000;
}

static void *push_ten_thousand(void *ctx)
{
    for (uint64_t i = 0; i < 10000; i++)
        inbox_push(ctx, &(struct inbox_event){.number = i});
    return NULL;
}

static void test_loop_takes_events_of_another_thread_in_batches(void **state)
{
    struct pushed pushed = {0};
    pthread_t thread;

    (void)state;
    fixture_open(&pushed.fixture);
    loop_on_inbox(pushed.fixture.loop, count_event, &pushed);
    assert_int_equal(
        pthread_create(&thread, NULL, push_ten_thousand, loop_inbox(pushed.fixture.loop)), 0);
    fixture_run(&pushed.fixture, all_pushed, &pushed);
    pthread_join(thread, NULL);
    assert_true(pushed.most_in_pass <= 256);
    fixture_close(&pushed.fixture);
}

struct signals {
    struct loop *loop;
    unsigned seen;
};

static void note_signal(void *ctx, int signal_number)
{
    struct signals *signals = ctx;

    signals->seen |= 1u << signal_number;
    if (signals->seen == (1u << SIGTERM | 1u << SIGINT | 1u << SIGHUP))
        loop_stop(signals->loop);
}

static void test_loop_reports_signals_and_survives_a_broken_pipe(void **state)
{
    struct signals signals = {0};
    struct error error;
    int ends[2];

    (void)state;
    signals.loop = loop_new(&error);
    assert_non_null(signals.loop);
    loop_set_handler(
        signals.loop, &(struct loop_handler){.ctx = &signals, .on_signal = note_signal});
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    close(ends[1]);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGINT);
    kill(getpid(), SIGHUP);
    assert_true(loop_run(signals.loop, &error));
    loop_free(signals.loop);
}

struct watched {
    struct fixture fixture;
    int fd;
    bool hung_up;
};

static void on_ready(void *ctx, short revents)
{
    struct watched *watched = ctx;

    assert_true((revents & (POLLIN | POLLHUP)) != 0);
    if ((revents & POLLIN) != 0) {
        char byte;

        assert_int_equal(read(watched->fd, &byte, 1), 1);
    } else {
        loop_remove_fd(watched->fixture.loop, watched->fd);
        watched->hung_up = true;
    }
}

static bool has_hung_up(void *ctx)
{
    return ((struct watched *)ctx)->hung_up;
}

static void test_loop_reports_bytes_and_hang_up_of_a_descriptor(void **state)
{
    struct watched watched = {0};
    int ends[2];

    (void)state;
    fixture_open(&watched.fixture);
    assert_int_equal(pipe(ends), 0);
    watched.fd = ends[0];
    assert_true(loop_add_fd(watched.fixture.loop, ends[0], POLLIN, on_ready, &watched));
    assert_int_equal(write(ends[1], "ab", 2), 2);
    close(ends[1]);
    fixture_run(&watched.fixture, has_hung_up, &watched);
    close(ends[0]);
    fixture_close(&watched.fixture);
}

struct order {
    struct fixture fixture;
    unsigned taken; /* events of the inbox */
    bool asked;     /* the descriptor was seen */
    char byte;
    int fd;
};

static void note_event(void *ctx, const struct inbox_event *event)
{
    struct order *order = ctx;

    (void)event;
    order->taken++;
}

static void ask(void *ctx, short revents)
{
    struct order *order = ctx;

    (void)revents;
    assert_int_equal(read(order->fd, &order->byte, 1), 1);
    assert_int_equal(order->taken, 1);
    order->asked = true;
}

static bool was_asked(void *ctx)
{
    const struct order *order = ctx;

    return order->asked;
}

/* Whoever asks over a descriptor is told of what has happened before. */
static void test_loop_takes_the_inbox_before_it_looks_at_descriptors(void **state)
{
    struct order order = {0};
    int ends[2];

    (void)state;
    fixture_open(&order.fixture);
    loop_on_inbox(order.fixture.loop, note_event, &order);
    assert_int_equal(pipe(ends), 0);
    order.fd = ends[0];
    assert_true(loop_add_fd(order.fixture.loop, ends[0], POLLIN, ask, &order));
    inbox_push(loop_inbox(order.fixture.loop), &(struct inbox_event){0});
    assert_int_equal(write(ends[1], "x", 1), 1);
    fixture_run(&order.fixture, was_asked, &order);
    close(ends[0]);
    close(ends[1]);
    fixture_close(&order.fixture);
}

static void ignore_ready(void *ctx, short revents)
{
    (void)ctx;
    (void)revents;
}

static void test_loop_takes_twenty_descriptors_and_reuses_their_places(void **state)
{
    struct fixture fixture;
    int ends[2], copies[20];

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 20; i++) {
        copies[i] = dup(ends[0]);
        assert_true(loop_add_fd(fixture.loop, copies[i], POLLIN, ignore_ready, NULL));
    }
    assert_false(loop_add_fd(fixture.loop, ends[1], POLLIN, ignore_ready, NULL));
    loop_remove_fd(fixture.loop, copies[3]);
    assert_true(loop_add_fd(fixture.loop, ends[1], POLLIN, ignore_ready, NULL));
    for (int i = 0; i < 20; i++)
        close(copies[i]);
    close(ends[0]);
    close(ends[1]);
    fixture_close(&fixture);
}

static void count_free(void *object)
{
    ++*(unsigned *)object;
}

static bool was_freed(void *ctx)
{
    return *(unsigned *)ctx > 0;
}

static void test_loop_frees_later_at_the_end_of_a_pass_or_of_the_loop(void **state)
{
    struct fixture fixture;
    unsigned freed = 0;

    (void)state;
    fixture_open(&fixture);
    loop_free_later(fixture.loop, count_free, &freed);
    assert_int_equal(freed, 0);
    fixture_run(&fixture, was_freed, &freed);
    assert_int_equal(freed, 1);
    loop_free_later(fixture.loop, count_free, &freed);
    fixture_close(&fixture);
    assert_int_equal(freed, 2);
}

struct passes {
    struct fixture fixture;
    unsigned count;
    bool over;
};

static bool count_pass(void *ctx)
{
    struct passes *passes = ctx;

    passes->count++;
    return passes->over;
}

static void test_loop_sleeps_while_nothing_is_due(void **state)
{
    struct passes passes = {0};
    struct timer end = {0};

    (void)state;
    fixture_open(&passes.fixture);
    timer_init(&end, passes.fixture.loop, set_true, &passes.over);
    timer_set(&end, loop_now(passes.fixture.loop) + 300);
    fixture_run(&passes.fixture, count_pass, &passes);
    /* one at the start, one at the end, and some slack for rounding and a first wake-up */
    assert_within(passes.count, 2, 6);
    fixture_close(&passes.fixture);
}

struct steps {
    struct fixture fixture;
    char taken[16];
    unsigned count;
};

static void note_step(struct steps *steps, char step)
{
    if (steps->count < sizeof steps->taken - 1)
        steps->taken[steps->count++] = step;
}

static void note_before(void *ctx)
{
    note_step(ctx, '<');
}

static void note_after(void *ctx)
{
    note_step(ctx, '>');
}

static void note_sleep(void *ctx)
{
    struct steps *steps = ctx;
    note_step(steps, 's');
    loop_breathe(steps->fixture.loop);
    loop_stop(steps->fixture.loop);
}

static void note_meanwhile(void *ctx)
{
    note_step(ctx, 'm');
}

/* What has come is known before anybody acts, and what was done goes out behind that. */
static void test_loop_calls_the_hook_around_those_who_act(void **state)
{
    struct steps steps = {0};
    struct error error;

    (void)state;
    fixture_open(&steps.fixture);
    loop_set_handler(steps.fixture.loop,
        &(struct loop_handler){
            .ctx = &steps, .before_sleep = note_sleep, .meanwhile = note_meanwhile});
    loop_set_hook(steps.fixture.loop, &(struct loop_hook){&steps, note_before, note_after});
    assert_true(loop_run(steps.fixture.loop, &error));
    assert_string_equal(steps.taken, "<s<m>>");
    loop_set_hook(steps.fixture.loop, NULL);
    loop_breathe(steps.fixture.loop);
    assert_string_equal(steps.taken, "<s<m>>m");
    fixture_close(&steps.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order_on_a_random_walk),
        cmocka_unit_test(test_loop_goes_on_with_a_timer_that_is_always_due),
        cmocka_unit_test(test_loop_takes_events_of_another_thread_in_batches),
        cmocka_unit_test(test_loop_reports_signals_and_survives_a_broken_pipe),
        cmocka_unit_test(test_loop_reports_bytes_and_hang_up_of_a_descriptor),
        cmocka_unit_test(test_loop_takes_the_inbox_before_it_looks_at_descriptors),
        cmocka_unit_test(test_loop_takes_twenty_descriptors_and_reuses_their_places),
        cmocka_unit_test(test_loop_frees_later_at_the_end_of_a_pass_or_of_the_loop),
        cmocka_unit_test(test_loop_sleeps_while_nothing_is_due),
        cmocka_unit_test(test_loop_calls_the_hook_around_those_who_act),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
