#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "limit.h"
#include "logwriter.h"
#include "within.h"

enum { LINE = 100, PATIENCE_MS = 30000 };

/* Standard error as a pipe, whose other end is here. */
static int kept_stderr, reader;

static size_t describe(uint64_t lost, char *line, size_t size)
{
    return (size_t)snprintf(line, size, "%llu lost\n", (unsigned long long)lost);
}

static int open_pipe(void **state)
{
    int ends[2];
    (void)state;
    kept_stderr = dup(STDERR_FILENO);
    if (kept_stderr < 0 || pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return -1;
    reader = ends[0];
    close(ends[1]);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    if (reader >= 0)
        close(reader);
    return 0;
}

/* A line of LINE bytes that begins with its number. */
static void put_numbered(unsigned number)
{
    char line[LINE + 1];
    snprintf(line, sizeof line, "%08u %*s\n", number, LINE - 10, "x");
    logwriter_put(line, LINE);
}

/* Reads one line; -1 at the end. Returns its number. */
static long long read_line(char *line, size_t size)
{
    size_t length = 0;
    while (length + 1 < size && read(reader, line + length, 1) == 1)
        if (line[length++] == '\n')
            break;
    line[length] = '\0';
    return length > 0 ? strtoll(line, NULL, 10) : -1;
}

static void test_logwriter_writes_in_order_and_ends(void **state)
{
    char line[256];
    (void)state;
    assert_true(logwriter_start(describe));
    for (unsigned i = 0; i < 50; i++)
        put_numbered(i);
    logwriter_stop(PATIENCE_MS);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(read_line(line, sizeof line), i);
}

static void test_logwriter_writes_by_itself_before_and_after(void **state)
{
    char line[256];
    (void)state;
    put_numbered(1);
    assert_int_equal(read_line(line, sizeof line), 1);
    assert_true(logwriter_start(describe));
    logwriter_stop(PATIENCE_MS);
    put_numbered(2);
    assert_int_equal(read_line(line, sizeof line), 2);
}

/* Far more than pipe and buffers hold: nobody waits, and the place of what is missing is told. */
static void test_logwriter_waits_for_no_reader_and_says_what_was_lost(void **state)
{
    enum { LINES = (4 * LIMIT_LOG_BYTES + 1024 * 1024) / LINE };
    uint64_t lost_before = logwriter_lost();
    char line[256];
    long long next = 0, lost = 0;
    (void)state;
    assert_true(logwriter_start(describe));
    int64_t began_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < LINES; i++)
        put_numbered(i);
    logwriter_flush(50);
    assert_within(clock_monotonic_ms() - began_ms, 50, 15000);
    assert_true(logwriter_lost() > lost_before);
    while (next < LINES) {
        long long number = read_line(line, sizeof line);
        if (strstr(line, " lost\n")) {
            lost += number;
            next += number;
        } else {
            assert_int_equal(number, next++);
        }
    }
    assert_int_equal(logwriter_lost() - lost_before, lost);
    put_numbered(7);
    logwriter_stop(PATIENCE_MS);
    assert_int_equal(read_line(line, sizeof line), 7);
}

static void test_logwriter_counts_what_cannot_be_written(void **state)
{
    uint64_t lost_before = logwriter_lost();
    char line[256];
    int ends[2];
    (void)state;
    assert_true(logwriter_start(describe));
    close(reader);
    for (unsigned i = 0; i < 3; i++)
        put_numbered(i);
    logwriter_flush(PATIENCE_MS);
    assert_int_equal(logwriter_lost() - lost_before, 3);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    reader = ends[0];
    put_numbered(9);
    logwriter_stop(PATIENCE_MS);
    assert_int_equal(read_line(line, sizeof line), 9);
    assert_int_equal(read_line(line, sizeof line), 3);
    assert_string_equal(line, "3 lost\n");
}

/* A terminal's other programs may have made it so: the description is shared. */
static void test_logwriter_loses_nothing_to_a_descriptor_that_does_not_block(void **state)
{
    enum { LINES = 100 * 1024 / LINE };
    char line[256];
    (void)state;
    assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, O_WRONLY | O_NONBLOCK), 0);
    assert_true(logwriter_start(describe));
    for (unsigned i = 0; i < LINES; i++)
        put_numbered(i);
    for (unsigned i = 0; i < LINES; i++)
        assert_int_equal(read_line(line, sizeof line), i);
    logwriter_stop(PATIENCE_MS);
}

/* The last of all tests: the thread stays in its write. */
static void test_logwriter_ends_with_nobody_reading(void **state)
{
    (void)state;
    assert_true(logwriter_start(describe));
    for (unsigned i = 0; i < 1024 * 1024 / LINE; i++)
        put_numbered(i);
    int64_t began_ms = clock_monotonic_ms();
    logwriter_stop(100);
    put_numbered(1);
    logwriter_stop(100);
    assert_within(clock_monotonic_ms() - began_ms, 100, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_logwriter_writes_in_order_and_ends, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            test_logwriter_writes_by_itself_before_and_after, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            test_logwriter_waits_for_no_reader_and_says_what_was_lost, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            test_logwriter_counts_what_cannot_be_written, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            test_logwriter_loses_nothing_to_a_descriptor_that_does_not_block, open_pipe,
            close_pipe),
        cmocka_unit_test_setup_teardown(
            test_logwriter_ends_with_nobody_reading, open_pipe, close_pipe),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
