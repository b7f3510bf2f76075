#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_TAG "test"
#include "log.h"
#include "within.h"

/* ---- Standard error, caught in a file ---- */

static int kept_stderr;
static FILE *caught;

static int catch_stderr(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    caught = tmpfile();
    kept_stderr = dup(STDERR_FILENO);
    return caught != NULL && kept_stderr >= 0 && dup2(fileno(caught), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release_stderr(void **state)
{
    (void)state;
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    fclose(caught);
    return 0;
}

/* All that was written since the last call. Valid until the next. */
static const char *written(void)
{
    static char text[64 * 1024];
    size_t length;

    rewind(caught);
    length = fread(text, 1, sizeof text - 1, caught);
    text[length] = '\0';
    assert_int_equal(ftruncate(fileno(caught), 0), 0);
    rewind(caught);
    assert_int_equal(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
    return text;
}

/* What follows the time, which text lines begin with and JSON lines have as the first member. */
static const char *after_time(void)
{
    const char *text = written();
    const char *end = strstr(text, "Z");

    assert_non_null(end);
    return end + 1;
}

/* ---- Tests ---- */

static void test_log_writes_time_level_tag_and_message(void **state)
{
    const char *text;

    (void)state;
    log_warn("%s is %d", "it", 5);
    text = written();
    assert_int_equal(text[10], 'T');
    assert_string_equal(text + 24, " warn test: it is 5\n");
}

static void test_log_writes_json(void **state)
{
    const char *text;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_error("%s is \"%d\" \\", "it", 5);
    text = written();
    assert_memory_equal(text, "{\"time\":\"2", 10);
    assert_string_equal(strstr(text, "Z\""),
        "Z\",\"level\":\"error\",\"tag\":\"test\",\"message\":\"it is \\\"5\\\" \\\\\"}\n");
}

static void test_log_leaves_out_what_is_below_the_level(void **state)
{
    (void)state;
    log_debug("no");
    assert_string_equal(written(), "");
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    log_warn("no");
    log_info("no");
    assert_string_equal(written(), "");
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("yes");
    assert_string_equal(after_time(), " debug test: yes\n");
}

static void test_log_escapes_what_could_forge_a_line(void **state)
{
    (void)state;
    log_info("%s", "a\nb\r\t\x1b[0m\x7f\xC2\x9B\xC3\xA9 \"q\" \\");
    assert_string_equal(after_time(),
        " info test: a\\u000ab\\u000d\\u0009\\u001b[0m\\u007f\\u009b\xC3\xA9 \"q\" \\\n");
}

static void test_log_escapes_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    log_info("%s", "a\xff\xC3");
    assert_string_equal(after_time(), " info test: a\\xff\\xc3\n");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("%s", "a\xff\xC3\n");
    assert_string_equal(after_time(),
        "\",\"level\":\"info\",\"tag\":\"test\",\"message\":\"a\\\\xff\\\\xc3\\u000a\"}\n");
}

static void check_cut(const char *text, const char *end)
{
    const char *line;
    size_t length;

    log_info("%s", text);
    line = written();
    length = strlen(line);
    assert_true(length > 8150 && length <= 8192);
    assert_string_equal(line + length - strlen(end), end);
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
}

static void test_log_cuts_long_messages_and_says_so(void **state)
{
    char text[10000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    check_cut(text, "x...\n");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    check_cut(text, "x...\"}\n");
}

static void test_log_cuts_between_escapes(void **state)
{
    char text[10000];

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    check_cut(text, "\\u000a...\"}\n");
    memset(text, '"', sizeof text - 1);
    check_cut(text, "\\\"...\"}\n");
    memset(text, '\xff', sizeof text - 1);
    check_cut(text, "\\\\xff...\"}\n");
}

/* Only where the journal's stream is the one that is written to. */
static void test_log_gives_the_journal_priorities(void **state)
{
    char stream[64];
    struct stat found;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &found), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_error("%s", "x");
    assert_memory_equal(written(), "<3>2", 4);
    log_warn("%s", "x");
    assert_memory_equal(written(), "<4>2", 4);
    log_info("%s", "x");
    assert_memory_equal(written(), "<6>2", 4);
    log_debug("%s", "x");
    assert_memory_equal(written(), "<7>2", 4);
    log_last_words("why");
    assert_string_equal(written(), "<3>aiva-mqtt-bridge: why\n");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_warn("%s", "x");
    assert_memory_equal(written(), "<4>{\"time\"", 10);
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_warn("%s", "x");
    assert_memory_equal(written(), "2", 1);
    unsetenv("JOURNAL_STREAM");
}

static void test_log_keeps_errno(void **state)
{
    (void)state;
    errno = ENOENT;
    log_info("%s", "x");
    assert_int_equal(errno, ENOENT);
    close(STDERR_FILENO);
    log_info("%s", "x");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(dup2(fileno(caught), STDERR_FILENO), STDERR_FILENO);
}

static void test_log_limit_passes_once_a_minute_and_counts_the_rest(void **state)
{
    struct log_limit limit = {0};
    unsigned suppressed = 99;

    (void)state;
    assert_true(log_limit_pass(&limit, 1000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_limit_pass(&limit, 1001, &suppressed));
    assert_false(log_limit_pass(&limit, 60999, &suppressed));
    assert_true(log_limit_pass(&limit, 61000, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_limit_pass(&limit, 61000 + 3600000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_true(log_limit_pass(&limit, 121000 + 3600000, &suppressed));
    assert_int_equal(suppressed, 0);
}

/* One message a second for three hours. */
static void test_log_limit_grows_rarer_while_the_message_keeps_coming(void **state)
{
    struct log_limit limit = {0};
    unsigned suppressed, lines = 0, total = 0;
    int64_t last_ms = 0, longest_ms = 0;

    (void)state;
    for (int64_t now_ms = 0; now_ms < 3 * 3600 * 1000; now_ms += 1000) {
        if (!log_limit_pass(&limit, now_ms, &suppressed))
            continue;
        lines++;
        total += suppressed + 1;
        longest_ms = now_ms - last_ms;
        last_ms = now_ms;
    }
    assert_int_equal(longest_ms, 16 * 60 * 1000);
    assert_within(lines, 14, 16);
    assert_int_equal(total, last_ms / 1000 + 1);
    /* After a quiet time it starts with a minute again. */
    assert_true(log_limit_pass(&limit, last_ms + 86400000, &suppressed));
    assert_false(log_limit_pass(&limit, last_ms + 86400000 + 59999, &suppressed));
    assert_true(log_limit_pass(&limit, last_ms + 86400000 + 60000, &suppressed));
}

static void test_log_level_changes_in_steps_and_says_so(void **state)
{
    (void)state;
    log_change_level(1);
    assert_string_equal(after_time(), " info log: the log level is debug from now on\n");
    log_change_level(1);
    assert_string_equal(after_time(), " info log: the log level is debug already\n");
    assert_int_equal(log_threshold, LOG_LEVEL_DEBUG);
    log_change_level(-1);
    log_change_level(-1);
    assert_non_null(strstr(written(), " info log: the log level is warn from now on\n"));
    log_change_level(-1);
    assert_string_equal(after_time(), " warn log: the log level is error from now on\n");
    log_warn("%s", "not seen");
    assert_string_equal(written(), "");
    log_change_level(-1);
    assert_string_equal(after_time(), " error log: the log level is error already\n");
    log_change_level(1);
    assert_string_equal(after_time(), " warn log: the log level is warn from now on\n");
}

static void test_log_warn_limited_says_how_many_were_held_back(void **state)
{
    struct log_limit limit = {0};

    (void)state;
    log_warn_limited(&limit, 0, "bad %s", "a");
    assert_string_equal(after_time(), " warn test: bad a\n");
    log_warn_limited(&limit, 10, "bad %s", "b");
    assert_string_equal(written(), "");
    log_warn_limited(&limit, 60000, "bad %s", "c");
    assert_string_equal(
        after_time(), " warn test: bad c (and 1 more like this since the last such line)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_log_writes_time_level_tag_and_message, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(test_log_writes_json, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_leaves_out_what_is_below_the_level, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_escapes_what_could_forge_a_line, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_escapes_bytes_that_are_not_utf8, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_cuts_long_messages_and_says_so, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_cuts_between_escapes, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_gives_the_journal_priorities, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(test_log_keeps_errno, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_limit_passes_once_a_minute_and_counts_the_rest, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(test_log_limit_grows_rarer_while_the_message_keeps_coming,
            catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_level_changes_in_steps_and_says_so, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(
            test_log_warn_limited_says_how_many_were_held_back, catch_stderr, release_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
