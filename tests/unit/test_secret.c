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

static void test_secret_is_masked_as_others_spell_it(void **state)
{
    (void)state;
    secret_set(SECRET_API_KEY, "a/b\"c\\d~e");
    assert_masked("?token=a%2Fb%22c%5Cd~e&x", "?token=***************&x");
    assert_masked("?token=a%2fb%22c%5cd~e", "?token=***************");
    assert_masked("{\"k\":\"a/b\\\"c\\\\d~e\"}", "{\"k\":\"***********\"}");
    assert_masked("a/b\"c\\d~e", "*********");
    secret_clear();
}

static void test_secret_key_is_masked_in_bytes(void **state)
{
    char bytes[] = "\0key-of-16-or-more\0x";

    (void)state;
    secret_set(SECRET_PASSWORD, "password-as-long-as-this");
    assert_false(secret_key_is_in("password-as-long-as-this", 24));
    secret_set(SECRET_API_KEY, "short-key");
    assert_false(secret_key_is_in("short-key", 9));
    secret_set(SECRET_API_KEY, "key-of-16-or-more");
    assert_true(secret_key_is_in(bytes, sizeof bytes));
    assert_false(secret_key_is_in(bytes, 17));
    secret_mask_key(bytes, sizeof bytes);
    assert_memory_equal(bytes, "\0*****************\0x", sizeof bytes);
    secret_clear();
    assert_false(secret_key_is_in("key-of-16-or-more", 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_is_masked_as_others_spell_it),
        cmocka_unit_test(test_secret_key_is_masked_in_bytes),
        cmocka_unit_test(test_secret_is_masked_wherever_it_stands),
        cmocka_unit_test(test_secret_that_is_too_short_masks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
