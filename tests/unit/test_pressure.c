#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limit.h"
#include "pressure.h"
#include "within.h"

static struct pressure_gauge new_gauge(size_t limit)
{
    return (struct pressure_gauge){.limit = limit};
}

/* With nothing sent. */
static enum pressure update(struct pressure_gauge *gauge, size_t messages, size_t bytes, bool flows)
{
    return pressure_update(gauge, &(struct pressure_load){.messages = messages,
                                      .bytes = bytes,
                                      .unsent = messages,
                                      .unsent_bytes = bytes,
                                      .flows = flows});
}

static void test_pressure_takes_everything_in_up_to_the_limit_while_nothing_flows(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(100000);
    assert_int_equal(update(&gauge, 99999, 1000, false), PRESSURE_NONE);
    assert_int_equal(update(&gauge, 100000, 1000, false), PRESSURE_FULL);
}

static void test_pressure_stays_full_until_half_is_gone(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(1000);
    assert_int_equal(update(&gauge, 1000, 0, false), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 501, 0, false), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 500, 0, false), PRESSURE_NONE);
    assert_int_equal(update(&gauge, 999, 0, false), PRESSURE_NONE);
}

static void test_pressure_is_full_of_bytes_too(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(1000);
    assert_int_equal(update(&gauge, 1, LIMIT_OUTBOX_BYTES, false), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 1, LIMIT_OUTBOX_BYTES / 2 + 1, false), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 1, LIMIT_OUTBOX_BYTES / 2, false), PRESSURE_NONE);
}

static void test_pressure_holds_reading_back_early_while_the_broker_takes_messages(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(100000);
    size_t most = 0;
    while (update(&gauge, most, 0, true) == PRESSURE_NONE)
        most++;
    assert_within(most, 100, 5000);
    assert_int_equal(gauge.pressure, PRESSURE_AHEAD);
    /* It goes on well before nothing is left to send. */
    size_t least = most;
    while (update(&gauge, least, 0, true) == PRESSURE_AHEAD)
        least--;
    assert_within(least, 20, most / 2);
    assert_int_equal(update(&gauge, most - 1, 0, true), PRESSURE_NONE);
    assert_int_equal(update(&gauge, 1, 64 * LIMIT_EVENT, true), PRESSURE_AHEAD);
}

/* Else a large window would leave nothing to send before reading goes on. */
static void test_pressure_does_not_count_what_is_under_way(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(100000);
    struct pressure_load load = {
        .messages = 60000, .bytes = LIMIT_OUTBOX_BYTES / 2, .unsent = 10, .flows = true};
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_NONE);
    load.unsent = 5000;
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_AHEAD);
    load.unsent = 10;
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_NONE);
    load.unsent_bytes = load.bytes;
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_AHEAD);
    load.unsent_bytes = 10;
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_NONE);
    load.messages = 100000;
    assert_int_equal(pressure_update(&gauge, &load), PRESSURE_FULL);
}

static void test_pressure_lets_go_when_the_broker_stops_taking(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(100000);
    assert_int_equal(update(&gauge, 50000, 0, true), PRESSURE_AHEAD);
    assert_int_equal(update(&gauge, 50000, 0, false), PRESSURE_NONE);
}

/* Behind a broker that is back a full queue is emptied before anything more is read. */
static void test_pressure_goes_from_full_to_ahead(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(10000);
    assert_int_equal(update(&gauge, 10000, 0, false), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 5001, 0, true), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 5000, 0, true), PRESSURE_AHEAD);
    assert_int_equal(update(&gauge, 10, 0, true), PRESSURE_NONE);
}

static void test_pressure_knows_a_limit_of_one(void **state)
{
    (void)state;
    struct pressure_gauge gauge = new_gauge(1);
    assert_int_equal(update(&gauge, 0, 0, true), PRESSURE_NONE);
    assert_int_equal(update(&gauge, 1, 0, true), PRESSURE_FULL);
    assert_int_equal(update(&gauge, 0, 0, true), PRESSURE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pressure_takes_everything_in_up_to_the_limit_while_nothing_flows),
        cmocka_unit_test(test_pressure_stays_full_until_half_is_gone),
        cmocka_unit_test(test_pressure_is_full_of_bytes_too),
        cmocka_unit_test(test_pressure_holds_reading_back_early_while_the_broker_takes_messages),
        cmocka_unit_test(test_pressure_does_not_count_what_is_under_way),
        cmocka_unit_test(test_pressure_lets_go_when_the_broker_stops_taking),
        cmocka_unit_test(test_pressure_goes_from_full_to_ahead),
        cmocka_unit_test(test_pressure_knows_a_limit_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
