#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "limit.h"
#include "listwatch.h"
#include "within.h"

static char why[128];

static bool take(struct listwatch *watch, const char *text)
{
    return listwatch_take(watch, text, strlen(text), why, sizeof why);
}

enum { CHUNK = 64 * 1024 };

/* How many bytes are taken of a piece that is repeated, to within a chunk; beyond `most`: SIZE_MAX.
 */
static size_t taken_of(struct listwatch *watch, const char *piece, size_t most)
{
    static char chunk[CHUNK];
    size_t length = strlen(piece), filled = 0;
    for (; filled + length <= CHUNK; filled += length)
        memcpy(chunk + filled, piece, length);
    why[0] = '\0';
    for (size_t taken = 0; taken <= most; taken += filled)
        if (!listwatch_take(watch, chunk, filled, why, sizeof why))
            return taken;
    return SIZE_MAX;
}

static void test_listwatch_counts_jobs_whatever_they_hold(void **state)
{
    static const char list[] = " [ {\"job_id\":\"a\",\"status\":\"queued\",\"x\":[{},{\"y\":[1]}]},"
                               "{\"job_id\":\"}]\\\"{\\\\\",\"status\":\"}]{[\"} , 1, [], {},"
                               "{\"job_id\":\"c\",\"status\":\"d\"}]\n";
    (void)state;
    struct listwatch whole = {0}, bytes = {0};
    assert_true(take(&whole, list));
    assert_int_equal(whole.jobs, 3);
    for (size_t i = 0; i < sizeof list - 1; i++)
        assert_true(listwatch_take(&bytes, &list[i], 1, why, sizeof why));
    assert_memory_equal(&whole, &bytes, sizeof whole);
}

/* Behind two jobs; each piece is repeated for ever. */
static void test_listwatch_gives_up_where_the_jobs_do_not_grow(void **state)
{
    static const char *const openings[] = {"", "[", "[{\"job_id\":\"a\",\"status\":\"b\",\"x\":\"",
        "[{\"job_id\":\"a\",\"status\":\"b\"},{\"job_id\":\"b\",\"status\":\"b\"}", "[1,", "{",
        "]"};
    static const char *const pieces[] = {" \n\t", "x", "\\\"", "[", "]", "1,", "{},", "[{}],",
        "{\"a\":1},", "\"{\\\"job_id\\\":\\\"a\\\",\\\"status\\\":\\\"b\\\"}\",", "\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
            struct listwatch watch = {0};
            assert_true(take(&watch, openings[i]));
            size_t taken = taken_of(&watch, pieces[j], 2 * LIMIT_LIST_GAP);
            assert_within(taken, LIMIT_LIST_GAP - 2 * CHUNK, LIMIT_LIST_GAP);
            assert_non_null(strstr(why, "no further job in 4 MiB"));
        }
}

static void test_listwatch_gives_up_beyond_what_all_jobs_may_take(void **state)
{
    (void)state;
    struct listwatch watch = {0};
    assert_true(take(&watch, "["));
    size_t taken = taken_of(&watch, "{\"job_id\":\"a\",\"status\":\"b\"},", LIMIT_LIST_BODY);
    assert_within(taken, LIMIT_LIST_JOBS * 28u - CHUNK, LIMIT_LIST_BODY / 2);
    assert_non_null(strstr(why, "more than 4194304 jobs"));
}

static void test_listwatch_takes_the_largest_jobs(void **state)
{
    enum { SIZE = 2 * LIMIT_EVENT };
    static char large[SIZE];
    (void)state;
    struct listwatch watch = {0};
    memset(large, 'x', SIZE);
    assert_true(take(&watch, "["));
    for (size_t i = 1; i < 50; i++) {
        assert_true(take(&watch, "{\"job_id\":\"a\",\"status\":\"b\",\"x\":\""));
        assert_true(listwatch_take(&watch, large, SIZE, why, sizeof why));
        assert_true(take(&watch, "\"},"));
        assert_int_equal(watch.jobs, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listwatch_counts_jobs_whatever_they_hold),
        cmocka_unit_test(test_listwatch_gives_up_where_the_jobs_do_not_grow),
        cmocka_unit_test(test_listwatch_gives_up_beyond_what_all_jobs_may_take),
        cmocka_unit_test(test_listwatch_takes_the_largest_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
