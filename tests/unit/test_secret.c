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
    secret_set(SECRET_API_KEY, "key-12345678");
    secret_set(SECRET_PASSWORD, "hunter2-and-more");
    assert_masked("key-12345678", "***");
    assert_masked("a key-12345678 key-12345678, b hunter2-and-more", "a *** ***, b ***");
    assert_masked("key-1234567", "key-1234567");
    assert_masked("", "");
    secret_set(SECRET_API_KEY, "key-87654321");
    assert_masked("key-12345678 key-87654321", "key-12345678 ***");
    secret_clear();
    assert_masked("key-87654321", "key-87654321");
}

static void test_secret_masks_have_one_width_and_cover_whole_words(void **state)
{
    (void)state;
    secret_set(SECRET_API_KEY, "key-12345678");
    secret_set(SECRET_PASSWORD, "5678xkey=a-longer-word");
    assert_masked("xkey-12345678", "***");
    assert_masked("key-12345678y", "***");
    assert_masked("\xc3\xa9key-12345678\xc3\xa9 x", "*** x");
    assert_masked("key-12345678key-12345678", "***");
    assert_masked("(key-12345678)", "(***)");
    assert_masked("k=key-12345678&x=1", "k=***&x=1");
    assert_masked("/jobs/key-12345678/status", "/jobs/***/status");
    /* Two that overlap. */
    assert_masked("a key-12345678xkey=a-longer-word b", "a *** b");
    secret_clear();
}

static void test_secret_that_is_too_short_masks_nothing(void **state)
{
    (void)state;
    secret_set(SECRET_PASSWORD, "elevenbytes");
    secret_set(SECRET_API_KEY, "elevenbytes");
    assert_masked("elevenbytes", "elevenbytes");
    assert_false(secret_key_counts());
    assert_false(secret_key_is_in("elevenbytes", 11));
    secret_set(SECRET_API_KEY, "twelve-bytes");
    assert_true(secret_key_counts());
    secret_set(SECRET_PASSWORD, NULL);
    secret_clear();
}

static void test_secret_is_masked_as_others_spell_it(void **state)
{
    (void)state;
    secret_set(SECRET_API_KEY, "a/b\"c\\d~e/f/g/h");
    assert_masked("?token=a%2Fb%22c%5Cd~e%2Ff%2Fg%2Fh&x", "?token=***&x");
    assert_masked("?token=a%2fb%22c%5cd~e%2ff%2fg%2fh", "?token=***");
    assert_masked("{\"k\":\"a/b\\\"c\\\\d~e/f/g/h\"}", "{\"k\":\"***\"}");
    assert_masked("a/b\"c\\d~e/f/g/h", "***");
    secret_clear();
}

static void test_secret_key_is_masked_in_bytes(void **state)
{
    char bytes[] = "\0key-of-16-or-more\0x";

    (void)state;
    secret_set(SECRET_API_KEY, "key-of-16-or-more");
    assert_true(secret_key_is_in(bytes, sizeof bytes));
    assert_false(secret_key_is_in(bytes, 17));
    assert_int_equal(secret_mask_key(bytes, sizeof bytes), 7);
    assert_memory_equal(bytes, "\0***\0x", 7);
    secret_clear();
    assert_false(secret_key_is_in("key-of-16-or-more", 17));
}

/* Whoever can have a text published could try passwords otherwise. */
static void test_secret_password_is_not_looked_for_in_what_is_published(void **state)
{
    char text[] = "no such job: password-as-long-as-this";

    (void)state;
    secret_set(SECRET_PASSWORD, "password-as-long-as-this");
    secret_set(SECRET_API_KEY, "key-of-16-or-more");
    assert_false(secret_key_is_in(text, strlen(text)));
    secret_mask_key_in_text(text);
    assert_string_equal(text, "no such job: password-as-long-as-this");
    secret_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_is_masked_as_others_spell_it),
        cmocka_unit_test(test_secret_key_is_masked_in_bytes),
        cmocka_unit_test(test_secret_is_masked_wherever_it_stands),
        cmocka_unit_test(test_secret_masks_have_one_width_and_cover_whole_words),
        cmocka_unit_test(test_secret_password_is_not_looked_for_in_what_is_published),
        cmocka_unit_test(test_secret_that_is_too_short_masks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
