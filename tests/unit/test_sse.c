/* The cases of cases/sse.txt, and what a table cannot say: restarts, sizes, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "buf.h"
#include "limit.h"
#include "sse.h"

enum { TEXT_LIMIT = 1 << 20 };

/* ---- What the parser calls, as text in the form of the table ---- */

static void write_quoted(struct buf *out, const char *bytes, size_t length)
{
    buf_append_text(out, " \"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '\n')
            buf_append_text(out, "\\n");
        else if (c == '\r')
            buf_append_text(out, "\\r");
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7F)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void record_event(void *ctx, const struct sse_event *event)
{
    struct buf *out = ctx;

    assert_int_equal(event->data[event->length], '\0');
    buf_append_text(out, "event");
    write_quoted(out, event->type, strlen(event->type));
    write_quoted(out, event->data, event->length);
    write_quoted(out, event->last_event_id, strlen(event->last_event_id));
    buf_append_char(out, '\n');
}

static void record_retry(void *ctx, int retry_ms)
{
    buf_printf(ctx, "retry %d\n", retry_ms);
}

static void record_oversize(void *ctx)
{
    buf_append_text(ctx, "oversize\n");
}

static struct sse *new_recorder(struct buf *out, size_t max_line, size_t max_data)
{
    struct sse_handler handler = {out, record_event, record_retry, record_oversize};

    buf_init(out, TEXT_LIMIT);
    return sse_new(&handler, max_line, max_data);
}

static void feed_text(struct sse *sse, const char *text)
{
    sse_feed(sse, text, strlen(text));
}

/* A copy in memory of just this size lets the sanitizer see a read beyond the piece. */
static void feed_exact(struct sse *sse, const char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);

    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    sse_feed(sse, copy, length);
    free(copy);
}

/* ---- The table ---- */

struct sse_case {
    char name[160];
    size_t max_line, max_data;
    struct buf input, expected;
    bool has_last_id;
};

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    assert_non_null(found);
    return (int)(found - digits);
}

static void read_quoted(const char *text, struct buf *out)
{
    size_t length = strlen(text);

    assert_true(length >= 2 && text[0] == '"' && text[length - 1] == '"');
    for (const char *at = text + 1; at < text + length - 1; at++) {
        if (*at != '\\') {
            buf_append_char(out, *at);
            continue;
        }
        at++;
        if (*at == 'x') {
            buf_append_char(out, (char)(hex_value(at[1]) * 16 + hex_value(at[2])));
            at += 2;
        } else {
            assert_true(*at != '\0' && strchr("nr\\\"", *at) != NULL);
            buf_append_char(out, *at == 'n' ? '\n' : *at == 'r' ? '\r' : *at);
        }
    }
    assert_false(out->failed);
}

static void begin_case(struct sse_case *c, const char *name)
{
    snprintf(c->name, sizeof c->name, "%.*s", (int)sizeof c->name - 1, name);
    c->max_line = 1000;
    c->max_data = 1000;
    c->has_last_id = false;
    buf_init(&c->input, TEXT_LIMIT);
    buf_init(&c->expected, TEXT_LIMIT);
}

/* Feeds the input cut into pieces of `step` bytes after a first one of `first`. */
static void check_chunks(const struct sse_case *c, size_t first, size_t step)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, c->max_line, c->max_data);
    const char *id;

    feed_exact(sse, c->input.data, first);
    for (size_t at = first; at < c->input.length; at += step) {
        size_t left = c->input.length - at;

        feed_exact(sse, c->input.data + at, left < step ? left : step);
    }
    id = sse_last_event_id(sse);
    if (c->has_last_id || *id != '\0') {
        buf_append_text(&out, "last-id");
        write_quoted(&out, id, strlen(id));
        buf_append_char(&out, '\n');
    }
    if (out.length != c->expected.length ||
        (out.length > 0 && memcmp(out.data, c->expected.data, out.length) != 0))
        fail_msg("%s (first piece %zu, then %zu):\nexpected:\n%s\ngot:\n%s", c->name, first, step,
            c->expected.length > 0 ? c->expected.data : "", out.length > 0 ? out.data : "");
    sse_free(sse);
    buf_clear(&out);
}

static void end_case(struct sse_case *c)
{
    assert_true(c->input.length > 0);
    check_chunks(c, c->input.length, 1);
    check_chunks(c, 0, 1);
    for (size_t at = 1; at < c->input.length; at++)
        check_chunks(c, at, c->input.length);
    for (size_t step = 2; step <= 5; step++)
        check_chunks(c, 0, step);
    buf_clear(&c->input);
    buf_clear(&c->expected);
}

static const char *after(const char *line, const char *word)
{
    return strncmp(line, word, strlen(word)) == 0 ? line + strlen(word) : NULL;
}

static void read_case_line(struct sse_case *c, const char *line)
{
    const char *rest;

    if ((rest = after(line, "limits ")) != NULL) {
        assert_int_equal(sscanf(rest, "%zu %zu", &c->max_line, &c->max_data), 2);
    } else if ((rest = after(line, "in ")) != NULL) {
        read_quoted(rest, &c->input);
    } else {
        c->has_last_id = c->has_last_id || after(line, "last-id ") != NULL;
        buf_printf(&c->expected, "%s\n", line);
    }
}

static void test_sse_follows_the_table_of_cases_at_every_split(void **state)
{
    FILE *file = fopen(TEST_CASES "/sse.txt", "r");
    struct sse_case c;
    char line[1000];
    unsigned cases = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *name;

        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        name = after(line, "case ");
        if (name == NULL) {
            assert_true(cases > 0);
            read_case_line(&c, line);
            continue;
        }
        if (cases++ > 0)
            end_case(&c);
        begin_case(&c, name);
    }
    fclose(file);
    assert_true(cases > 50);
    end_case(&c);
}

/* ---- Restarts ---- */

static void test_sse_restart_discards_the_partial_event_and_line(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 100, 100);

    (void)state;
    feed_text(sse, "event: status\ndata: lost\ndata: lo");
    sse_restart(sse);
    feed_text(sse, "data: kept\n\n");
    assert_string_equal(out.data, "event \"message\" \"kept\" \"\"\n");
    sse_free(sse);
    buf_clear(&out);
}

static void test_sse_restart_keeps_the_id_that_was_dispatched(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 100, 100);

    (void)state;
    feed_text(sse, "id: 7\n\nid: 8\ndata: lost\n");
    sse_restart(sse);
    assert_string_equal(sse_last_event_id(sse), "7");
    feed_text(sse, "data: kept\n\n");
    assert_string_equal(out.data, "event \"message\" \"kept\" \"7\"\n");
    sse_free(sse);
    buf_clear(&out);
}

static void test_sse_forgets_an_id_that_was_refused(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 100, 100);

    (void)state;
    feed_text(sse, "id: 7\n\n");
    sse_restart(sse);
    sse_forget_id(sse);
    assert_string_equal(sse_last_event_id(sse), "");
    feed_text(sse, "data: a\n\nid: 8\ndata: b\n\n");
    assert_string_equal(out.data, "event \"message\" \"a\" \"\"\nevent \"message\" \"b\" \"8\"\n");
    sse_free(sse);
    buf_clear(&out);
}

static void test_sse_restart_expects_a_byte_order_mark_again(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 100, 100);

    (void)state;
    feed_text(sse, "\xEF\xBB\xBF"
                   "data: 1\n\n");
    sse_restart(sse);
    feed_text(sse, "\xEF\xBB");
    sse_restart(sse);
    feed_text(sse, "\xEF\xBB\xBF"
                   "data: 2\n\n");
    assert_string_equal(out.data, "event \"message\" \"1\" \"\"\nevent \"message\" \"2\" \"\"\n");
    sse_free(sse);
    buf_clear(&out);
}

static void test_sse_restart_forgets_a_cr_and_an_oversize_event(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 10, 100);

    (void)state;
    feed_text(sse, "data: 1\r");
    sse_restart(sse);
    feed_text(sse, "\ndata: 2\n\ndata: 67890");
    sse_restart(sse);
    feed_text(sse, "data: 3\n\n");
    assert_string_equal(
        out.data, "event \"message\" \"2\" \"\"\noversize\nevent \"message\" \"3\" \"\"\n");
    sse_free(sse);
    buf_clear(&out);
}

/* ---- Sizes ---- */

static void test_sse_ignores_an_id_that_is_too_long(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, 4 * LIMIT_SSE_ID, 100);
    char id[LIMIT_SSE_ID + 2];

    (void)state;
    memset(id, 'x', sizeof id);
    id[LIMIT_SSE_ID] = '\0';
    feed_text(sse, "id: ");
    feed_text(sse, id);
    feed_text(sse, "\n\n");
    assert_string_equal(sse_last_event_id(sse), id);

    feed_text(sse, "id: ");
    sse_feed(sse, id, LIMIT_SSE_ID);
    feed_text(sse, "y\n\n");
    assert_string_equal(sse_last_event_id(sse), id);
    sse_free(sse);
    buf_clear(&out);
}

static long peak_memory_kib(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void feed_megabytes(struct sse *sse, const char *piece, size_t piece_length, int megabytes)
{
    for (size_t fed = 0; fed < (size_t)megabytes * 1024 * 1024; fed += piece_length)
        sse_feed(sse, piece, piece_length);
}

static void test_sse_holds_no_more_than_its_limits_of_a_huge_line(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, LIMIT_SSE_LINE, LIMIT_EVENT);
    char *piece = malloc(64 * 1024);
    long before;

    (void)state;
    assert_non_null(piece);
    memset(piece, 'x', 64 * 1024);
    before = peak_memory_kib();
    feed_text(sse, "data: ");
    feed_megabytes(sse, piece, 64 * 1024, 100);
    feed_text(sse, "\n\ndata: 1\n\n");
    assert_string_equal(out.data, "oversize\nevent \"message\" \"1\" \"\"\n");
    assert_true(peak_memory_kib() - before < 16 * 1024);
    free(piece);
    sse_free(sse);
    buf_clear(&out);
}

static void test_sse_holds_no_more_than_its_limits_of_a_huge_event(void **state)
{
    struct buf out;
    struct sse *sse = new_recorder(&out, LIMIT_SSE_LINE, LIMIT_EVENT);
    char *piece = malloc(64 * 1024);
    long before;

    (void)state;
    assert_non_null(piece);
    memset(piece, 'x', 64 * 1024);
    memcpy(piece, "\ndata: ", 7);
    before = peak_memory_kib();
    feed_megabytes(sse, piece, 64 * 1024, 100);
    feed_text(sse, "\n\ndata: 1\n\n");
    assert_string_equal(out.data, "oversize\nevent \"message\" \"1\" \"\"\n");
    assert_true(peak_memory_kib() - before < 16 * 1024);
    free(piece);
    sse_free(sse);
    buf_clear(&out);
}

struct sizes {
    size_t events, bytes, oversize;
};

static void count_event(void *ctx, const struct sse_event *event)
{
    struct sizes *sizes = ctx;

    sizes->events++;
    sizes->bytes += event->length;
}

static void count_retry(void *ctx, int retry_ms)
{
    (void)ctx;
    (void)retry_ms;
}

static void count_oversize(void *ctx)
{
    ((struct sizes *)ctx)->oversize++;
}

static void test_sse_delivers_an_event_of_exactly_the_contract_limit(void **state)
{
    struct sizes sizes = {0};
    struct sse_handler handler = {&sizes, count_event, count_retry, count_oversize};
    struct sse *sse = sse_new(&handler, LIMIT_SSE_LINE, LIMIT_EVENT);
    char *data = malloc(LIMIT_EVENT + 1);

    (void)state;
    assert_non_null(data);
    memset(data, 'x', LIMIT_EVENT + 1);
    feed_text(sse, "data: ");
    sse_feed(sse, data, LIMIT_EVENT);
    feed_text(sse, "\n\n");
    assert_int_equal(sizes.events, 1);
    assert_int_equal(sizes.bytes, LIMIT_EVENT);

    feed_text(sse, "data: ");
    sse_feed(sse, data, LIMIT_EVENT + 1);
    feed_text(sse, "\n\n");
    assert_int_equal(sizes.events, 1);
    assert_int_equal(sizes.oversize, 1);
    free(data);
    sse_free(sse);
}

static void test_sse_free_takes_null(void **state)
{
    (void)state;
    sse_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse_follows_the_table_of_cases_at_every_split),
        cmocka_unit_test(test_sse_restart_discards_the_partial_event_and_line),
        cmocka_unit_test(test_sse_restart_keeps_the_id_that_was_dispatched),
        cmocka_unit_test(test_sse_forgets_an_id_that_was_refused),
        cmocka_unit_test(test_sse_restart_expects_a_byte_order_mark_again),
        cmocka_unit_test(test_sse_restart_forgets_a_cr_and_an_oversize_event),
        cmocka_unit_test(test_sse_ignores_an_id_that_is_too_long),
        cmocka_unit_test(test_sse_holds_no_more_than_its_limits_of_a_huge_line),
        cmocka_unit_test(test_sse_holds_no_more_than_its_limits_of_a_huge_event),
        cmocka_unit_test(test_sse_delivers_an_event_of_exactly_the_contract_limit),
        cmocka_unit_test(test_sse_free_takes_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
