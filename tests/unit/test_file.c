/* What may be read as a file, and what a file in memory is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"

static char directory[] = "/tmp/test_file.XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    strcpy(strrchr(directory, '.'), ".XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)remove(path_of("one"));
    return rmdir(directory);
}

static void write_file(size_t length)
{
    FILE *file = fopen(path_of("one"), "w");
    assert_non_null(file);
    for (size_t i = 0; i < length; i++)
        fputc('x', file);
    fclose(file);
}

static void assert_refused(const char *path, const char *reason)
{
    struct error error = {0};
    struct buf out;
    buf_init(&out, 10);
    assert_false(file_read(path, &out, &error));
    assert_int_equal(error.class, ERROR_USAGE);
    assert_string_equal(error.text, reason);
    assert_int_equal(out.length, 0);
    buf_clear(&out);
}

static void test_file_is_read_up_to_the_limit(void **state)
{
    struct error error = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 10);
    write_file(0);
    assert_true(file_read(path_of("one"), &out, &error));
    assert_int_equal(out.length, 0);
    write_file(10);
    assert_true(file_read(path_of("one"), &out, &error));
    assert_string_equal(out.data, "xxxxxxxxxx");
    buf_clear(&out);
    write_file(11);
    assert_refused(path_of("one"), "longer than 10 bytes");
}

static void test_file_that_is_not_there(void **state)
{
    (void)state;
    assert_refused(path_of("one"), "No such file or directory");
}

/* None of these may hold the process up. */
static void test_file_refuses_what_is_no_regular_file(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    assert_refused(directory, "expected a regular file, found a directory");
    assert_refused("/dev/zero", "expected a regular file, found a device");
    assert_int_equal(mkfifo(path_of("one"), 0600), 0);
    assert_refused(path_of("one"), "expected a regular file, found a FIFO");
    assert_int_equal(remove(path_of("one")), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path_of("one"));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_refused(path_of("one"), "No such device or address");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_is_read_up_to_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_refuses_what_is_no_regular_file, setup, teardown),
        cmocka_unit_test(test_file_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
