#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"

static void test_buf_is_null_while_nothing_was_appended(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_null(buf_take(&buf));
    buf_reset(&buf);
    buf_clear(&buf);
    assert_int_equal(buf.limit, 10);
}

static void test_buf_is_terminated_after_every_append(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_true(buf_append(&buf, NULL, 0));
    assert_string_equal(buf.data, "");
    assert_true(buf_append(&buf, "ab", 2));
    assert_string_equal(buf.data, "ab");
    assert_true(buf_append_char(&buf, 'c'));
    assert_true(buf_append_text(&buf, "de"));
    assert_true(buf_printf(&buf, "%d", 42));
    assert_string_equal(buf.data, "abcde42");
    assert_int_equal(buf.length, 7);
    buf_clear(&buf);
}

static void test_buf_holds_exactly_its_limit(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 200);
    for (int i = 0; i < 200; i++)
        assert_true(buf_append_char(&buf, 'x'));
    assert_false(buf.failed);
    assert_int_equal(buf.capacity, 201);
    assert_false(buf_append_char(&buf, 'x'));
    assert_true(buf.failed);
    assert_int_equal(buf.length, 200);
    assert_int_equal(strlen(buf.data), 200);
    buf_clear(&buf);
}

static void test_buf_takes_nothing_after_a_piece_that_did_not_fit(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4);
    assert_true(buf_append_text(&buf, "ab"));
    assert_false(buf_append_text(&buf, "cde"));
    assert_false(buf_append_text(&buf, "c"));
    assert_false(buf_printf(&buf, "c"));
    assert_true(buf.failed);
    assert_string_equal(buf.data, "ab");
    buf_reset(&buf);
    assert_false(buf.failed);
    assert_true(buf_append_text(&buf, "cd"));
    assert_string_equal(buf.data, "cd");
    buf_clear(&buf);
}

static void test_buf_printf_grows_as_needed(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    assert_true(buf_printf(&buf, "%05000d", 7));
    assert_int_equal(buf.length, 5000);
    assert_int_equal(buf.data[4999], '7');
    buf_clear(&buf);
}

static void test_buf_printf_beyond_the_limit_appends_nothing(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_true(buf_append_text(&buf, "ab"));
    assert_false(buf_printf(&buf, "%0200d", 7));
    assert_true(buf.failed);
    assert_string_equal(buf.data, "ab");
    assert_int_equal(buf.length, 2);
    buf_clear(&buf);
}

static void test_buf_printf_fills_to_exactly_the_limit(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_true(buf_printf(&buf, "%0100d", 7));
    assert_int_equal(buf.length, 100);
    assert_true(buf_printf(&buf, "%s", ""));
    assert_false(buf_printf(&buf, "x"));
    buf_clear(&buf);
}

static void test_buf_take_hands_over_the_memory(void **state)
{
    struct buf buf;
    char *taken;

    (void)state;
    buf_init(&buf, 100);
    buf_append_text(&buf, "mine");
    taken = buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_null(buf.data);
    assert_int_equal(buf.length, 0);
    free(taken);
    assert_true(buf_append_text(&buf, "next"));
    buf_reset(&buf);
    assert_null(buf_take(&buf));
}

static void test_buf_refuses_sizes_that_overflow(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, SIZE_MAX);
    assert_true(buf_append_text(&buf, "ab"));
    assert_false(buf_append(&buf, "x", SIZE_MAX - 1));
    assert_true(buf.failed);
    assert_string_equal(buf.data, "ab");
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_is_null_while_nothing_was_appended),
        cmocka_unit_test(test_buf_is_terminated_after_every_append),
        cmocka_unit_test(test_buf_holds_exactly_its_limit),
        cmocka_unit_test(test_buf_takes_nothing_after_a_piece_that_did_not_fit),
        cmocka_unit_test(test_buf_printf_grows_as_needed),
        cmocka_unit_test(test_buf_printf_beyond_the_limit_appends_nothing),
        cmocka_unit_test(test_buf_printf_fills_to_exactly_the_limit),
        cmocka_unit_test(test_buf_take_hands_over_the_memory),
        cmocka_unit_test(test_buf_refuses_sizes_that_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
