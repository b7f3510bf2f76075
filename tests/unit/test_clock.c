#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"

static const char *format(int64_t unix_ms)
{
    static char text[CLOCK_TEXT_SIZE];

    clock_format(unix_ms, text);
    return text;
}

static void test_clock_formats_utc_with_milliseconds(void **state)
{
    (void)state;
    assert_string_equal(format(0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(format(1773052200007), "2026-03-09T10:30:00.007Z");
    assert_string_equal(format(951782400000), "2000-02-29T00:00:00.000Z");
    assert_string_equal(format(-1), "1969-12-31T23:59:59.999Z");
}

static void test_clock_clamps_years_that_have_no_four_digits(void **state)
{
    (void)state;
    assert_string_equal(format(INT64_MIN), "0000-01-01T00:00:00.000Z");
    assert_string_equal(format(INT64_C(-62167219200000)), "0000-01-01T00:00:00.000Z");
    assert_string_equal(format(INT64_C(253402300799999)), "9999-12-31T23:59:59.999Z");
    assert_string_equal(format(INT64_MAX), "9999-12-31T23:59:59.999Z");
}

static void test_clock_parses_what_rfc_3339_allows(void **state)
{
    static const struct {
        const char *text, *utc;
    } cases[] = {
        {"2026-03-09T10:30:00Z", "2026-03-09T10:30:00.000Z"},
        {"2026-03-09t10:30:00z", "2026-03-09T10:30:00.000Z"},
        {"2026-03-09 10:30:00Z", "2026-03-09T10:30:00.000Z"},
        {"2026-03-09T10:30:00.5Z", "2026-03-09T10:30:00.500Z"},
        {"2026-03-09T10:30:00.123456789+00:00", "2026-03-09T10:30:00.123Z"},
        {"2026-03-09T10:30:00.9999Z", "2026-03-09T10:30:00.999Z"},
        {"2026-03-09T10:30:00+01:30", "2026-03-09T09:00:00.000Z"},
        {"2026-03-09T10:30:00-23:59", "2026-03-10T10:29:00.000Z"},
        {"2026-03-09T10:30:00-00:00", "2026-03-09T10:30:00.000Z"},
        {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"},
        {"2016-12-31T15:59:60.25-08:00", "2017-01-01T00:00:00.250Z"},
        {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
        {"0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 0;

        assert_true(clock_parse(cases[i].text, strlen(cases[i].text), &ms));
        assert_string_equal(format(ms), cases[i].utc);
    }
}

static void test_clock_refuses_anything_else(void **state)
{
    static const char *const bad[] = {"", "now", "2026-03-09", "2026-03-09T10:30:00",
        "2026-03-09T10:30Z", "2026-3-9T10:30:00Z", "26-03-09T10:30:00Z", "2026-03-09T10:30:00.Z",
        "2026-03-09T10:30:00,5Z", "2026-03-09T10:30:00+0100", "2026-03-09T10:30:00+01",
        "2026-03-09T10:30:00+24:00", "2026-03-09T10:30:00+01:60", "2026-03-09T10:30:00Z ",
        " 2026-03-09T10:30:00Z", "2026-03-09_10:30:00Z", "2026-13-09T10:30:00Z",
        "2026-00-09T10:30:00Z", "2026-03-00T10:30:00Z", "2026-02-29T10:30:00Z",
        "2026-04-31T10:30:00Z", "2026-03-09T24:00:00Z", "2026-03-09T10:60:00Z",
        "2026-03-09T10:30:61Z", "2026-03-09T10:30:60Z", "+026-03-09T10:30:00Z",
        "2026-03-09T10:30:00.123", "2026-03-09T10:30:00+"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 42;

        if (clock_parse(bad[i], strlen(bad[i]), &ms) || ms != 42)
            fail_msg("%s", bad[i]);
    }
}

static void test_clock_refuses_every_cut_of_a_time(void **state)
{
    const char *text = "2026-03-09T10:30:00.123+01:00";

    (void)state;
    for (size_t length = 0; length < strlen(text); length++) {
        int64_t ms = 42;

        assert_false(clock_parse(text, length, &ms));
        assert_int_equal(ms, 42);
    }
}

static void test_clock_monotonic_does_not_go_back(void **state)
{
    int64_t before = clock_monotonic_ms();

    (void)state;
    assert_true(before >= 0);
    assert_true(clock_monotonic_ms() >= before);
    assert_true(clock_unix_ms() > INT64_C(1600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_formats_utc_with_milliseconds),
        cmocka_unit_test(test_clock_clamps_years_that_have_no_four_digits),
        cmocka_unit_test(test_clock_parses_what_rfc_3339_allows),
        cmocka_unit_test(test_clock_refuses_anything_else),
        cmocka_unit_test(test_clock_refuses_every_cut_of_a_time),
        cmocka_unit_test(test_clock_monotonic_does_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
