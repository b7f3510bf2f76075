#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"

static void test_error_set_stores_class_and_text_and_returns_false(void **state)
{
    struct error error = {0};

    (void)state;
    assert_false(error_set(&error, ERROR_USAGE, "%s: %d", "mqtt.qos", 7));
    assert_int_equal(error.class, ERROR_USAGE);
    assert_string_equal(error.text, "mqtt.qos: 7");
}

static void test_error_wrap_puts_context_before_the_text_and_keeps_the_class(void **state)
{
    struct error error = {0};

    (void)state;
    error_set(&error, ERROR_BROKER, "refused");
    assert_false(error_wrap(&error, "connect to %s", "host"));
    assert_int_equal(error.class, ERROR_BROKER);
    assert_string_equal(error.text, "connect to host: refused");
}

static void test_error_text_that_is_too_long_is_cut(void **state)
{
    struct error error = {0};
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&error, ERROR_RUN, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    error_wrap(&error, "where");
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_memory_equal(error.text, "where: xxx", 10);
    error_wrap(&error, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void test_error_text_is_not_cut_within_a_character(void **state)
{
    struct error error = {0};
    char text[sizeof error.text + 8];

    (void)state;
    for (size_t before = sizeof error.text - 4; before < sizeof error.text; before++) {
        memset(text, 'x', before);
        strcpy(text + before, "\xF0\x9F\x98\x80");
        error_set(&error, ERROR_RUN, "%s", text);
        if (before + 4 < sizeof error.text)
            assert_string_equal(error.text, text);
        else
            assert_int_equal(strlen(error.text), before);
    }
}

static void test_error_text_that_just_fits_is_whole(void **state)
{
    struct error error = {0};
    char text[sizeof error.text];

    (void)state;
    memset(text, 'x', sizeof text - 3);
    strcpy(text + sizeof text - 3, "\xC3\xA9");
    error_set(&error, ERROR_RUN, "%s", text);
    assert_string_equal(error.text, text);
}

static void test_error_text_of_stray_bytes_is_cut_at_the_size(void **state)
{
    struct error error = {0};
    char text[2000];

    (void)state;
    memset(text, '\x80', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&error, ERROR_RUN, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void test_error_set_may_quote_the_text_it_replaces(void **state)
{
    struct error error = {0};

    (void)state;
    error_set(&error, ERROR_RUN, "inner");
    error_set(&error, ERROR_UPSTREAM, "outer (%s)", error.text);
    assert_string_equal(error.text, "outer (inner)");
    error_wrap(&error, "%s", error.text);
    assert_string_equal(error.text, "outer (inner): outer (inner)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_set_stores_class_and_text_and_returns_false),
        cmocka_unit_test(test_error_wrap_puts_context_before_the_text_and_keeps_the_class),
        cmocka_unit_test(test_error_text_that_is_too_long_is_cut),
        cmocka_unit_test(test_error_text_is_not_cut_within_a_character),
        cmocka_unit_test(test_error_text_that_just_fits_is_whole),
        cmocka_unit_test(test_error_text_of_stray_bytes_is_cut_at_the_size),
        cmocka_unit_test(test_error_set_may_quote_the_text_it_replaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
