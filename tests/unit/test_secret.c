#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "secret.h"

static void assert_masked(const char *text, const char *expected)
{
    char copy[128];
    strcpy(copy, text);
    secret_mask(copy);
    assert_string_equal(copy, expected);
}

static void test_secret_is_masked_wherever_it_stands(void **state)
{
    (void)state;
    secret_set(SECRET_API_KEY, "key-123");
    secret_set(SECRET_PASSWORD, "hunter22");
    assert_masked("key-123", "*******");
    assert_masked("a key-123key-123 b hunter22", "a ************** b ********");
    assert_masked("key-12", "key-12");
    assert_masked("", "");
    secret_set(SECRET_API_KEY, "key-456");
    assert_masked("key-123 key-456", "key-123 *******");
    secret_clear();
    assert_masked("key-456", "key-456");
}

static void test_secret_that_is_too_short_masks_nothing(void **state)
{
    (void)state;
    secret_set(SECRET_PASSWORD, "a");
    assert_masked("banana", "banana");
    secret_set(SECRET_PASSWORD, NULL);
    secret_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_is_masked_wherever_it_stands),
        cmocka_unit_test(test_secret_that_is_too_short_masks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
