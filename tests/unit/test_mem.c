#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem.h"

static void test_mem_gives_memory_for_size_zero(void **state)
{
    void *a = xmalloc(0);
    void *b = xcalloc(0, 8);
    void *c = xreallocarray(NULL, 0, 8);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    free(a);
    free(b);
    free(c);
}

static void test_mem_xcalloc_zeroes(void **state)
{
    static const char zeros[64];
    char *memory = xcalloc(8, 8);

    (void)state;
    assert_memory_equal(memory, zeros, sizeof zeros);
    free(memory);
}

static void test_mem_xreallocarray_keeps_the_content(void **state)
{
    int *numbers = xreallocarray(NULL, 2, sizeof *numbers);

    (void)state;
    numbers[0] = 1;
    numbers[1] = 2;
    numbers = xreallocarray(numbers, 1000, sizeof *numbers);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[1], 2);
    free(numbers);
}

static void test_mem_copies_text_and_bytes(void **state)
{
    char *text = xstrdup("hello");
    char *bytes = xmemdup0("a\0b", 3);
    char *nothing = xmemdup0(NULL, 0);

    (void)state;
    assert_string_equal(text, "hello");
    assert_memory_equal(bytes, "a\0b", 4);
    assert_string_equal(nothing, "");
    free(text);
    free(bytes);
    free(nothing);
}

/* Runs `ask` in a child; returns what it wrote to standard error before it ended. */
static void expect_death(void (*ask)(void), char *text, size_t size)
{
    int ends[2], status;
    pid_t child;
    ssize_t length;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        ask();
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    length = read(ends[0], text, size - 1);
    close(ends[0]);
    assert_true(length >= 0);
    text[length] = '\0';
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void ask_for_an_overflow(void)
{
    free(xreallocarray(NULL, SIZE_MAX / 2, 3));
}

static void test_mem_dies_of_an_overflow_with_the_size_asked_for(void **state)
{
    char text[200], expected[200];

    (void)state;
    expect_death(ask_for_an_overflow, text, sizeof text);
    snprintf(expected, sizeof expected, "out of memory: %zu x 3 bytes\n", SIZE_MAX / 2);
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_gives_memory_for_size_zero),
        cmocka_unit_test(test_mem_xcalloc_zeroes),
        cmocka_unit_test(test_mem_xreallocarray_keeps_the_content),
        cmocka_unit_test(test_mem_copies_text_and_bytes),
        cmocka_unit_test(test_mem_dies_of_an_overflow_with_the_size_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
