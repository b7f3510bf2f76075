#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "http.h"
#include "httpstream.h"
#include "loop_fixture.h"
#include "raw_server.h"
#include "within.h"

#define KEY    "k&y /+1"
#define OPENED "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"

struct world {
    struct fixture fixture;
    struct raw_server server;
    struct http_client *client;
    struct httpstream *stream;
    struct buf bytes;
    unsigned opens, ends;
    size_t wanted;
    bool pause_at_once, free_in_bytes, free_in_open;
    struct timer later;
    int status;
    bool refused;
    char reason[400], content_type[300], retry_after[64], body[5000];
};

static struct world world;

static void on_open(void *ctx)
{
    (void)ctx;
    world.opens++;
    if (world.free_in_open) {
        httpstream_free(world.stream);
        world.stream = NULL;
    }
}

static void on_bytes(void *ctx, const char *bytes, size_t length)
{
    (void)ctx;
    assert_int_equal(world.opens, 1);
    assert_false(httpstream_is_paused(world.stream));
    assert_true(buf_append(&world.bytes, bytes, length));
    if (world.pause_at_once)
        httpstream_pause(world.stream);
    if (world.free_in_bytes) {
        httpstream_free(world.stream);
        world.stream = NULL;
    }
}

static void on_end(void *ctx, const struct httpstream_end *end)
{
    (void)ctx;
    world.ends++;
    world.status = end->status;
    world.refused = end->refused;
    snprintf(world.reason, sizeof world.reason, "%s", end->reason);
    snprintf(world.content_type, sizeof world.content_type, "%s", end->content_type);
    snprintf(world.retry_after, sizeof world.retry_after, "%s", end->retry_after);
    snprintf(world.body, sizeof world.body, "%s", end->body);
    assert_null(strstr(end->reason, "token"));
    httpstream_free(world.stream);
    world.stream = NULL;
}

static const struct httpstream_handler handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_end = on_end};

static void open_world(void)
{
    world = (struct world){0};
    buf_init(&world.bytes, 16777216);
    fixture_open(&world.fixture);
    raw_server_open(&world.server);
    world.client = http_client_new(world.fixture.loop, world.server.url, KEY, "", "test/1");
}

static void open_stream(const char *last_event_id)
{
    struct error error = {0};

    raw_server_start(&world.server);
    world.stream = httpstream_open(world.client, last_event_id, &handler, &error);
    if (world.stream == NULL)
        fail_msg("%s", error.text);
    assert_int_equal(httpstream_last_byte_ms(world.stream), loop_now(world.fixture.loop));
}

static void close_world(void)
{
    timer_stop(&world.later);
    httpstream_free(world.stream);
    http_client_free(world.client);
    fixture_close(&world.fixture);
    raw_server_close(&world.server);
    buf_clear(&world.bytes);
}

static bool has_ended(void *ctx)
{
    (void)ctx;
    return world.ends > 0;
}

static bool has_bytes(void *ctx)
{
    (void)ctx;
    return world.bytes.length >= world.wanted;
}

static bool is_gone(void *ctx)
{
    (void)ctx;
    return world.stream == NULL;
}

static void play_one(const char *answer)
{
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = answer, .close = true};
    open_stream("");
    fixture_run(&world.fixture, has_ended, NULL);
    close_world();
}

static void test_httpstream_asks_with_token_and_delivers_bytes_as_they_come(void **state)
{
    const char *request = world.server.requests[0];

    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){
        .bytes = OPENED "data: 1\n\n", .wait = true, .rest = "data: 2\n\n", .close = true};
    open_stream("id-7");
    world.wanted = 9;
    fixture_run(&world.fixture, has_bytes, NULL);
    assert_int_equal(world.ends, 0);
    raw_server_go(&world.server);
    fixture_run(&world.fixture, has_ended, NULL);
    assert_string_equal(world.bytes.data, "data: 1\n\ndata: 2\n\n");
    assert_int_equal(world.status, 200);
    assert_false(world.refused);
    assert_string_equal(world.reason, "the server ended the stream");
    close_world();
    assert_ptr_equal(
        strstr(request, "GET /jobs/events?token=k%26y%20%2F%2B1 HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nAccept: text/event-stream\r\n"));
    assert_non_null(strstr(request, "\r\nCache-Control: no-cache\r\n"));
    assert_non_null(strstr(request, "\r\nLast-Event-ID: id-7\r\n"));
    assert_null(strstr(request, "Authorization"));
}

static void test_httpstream_takes_only_event_streams(void **state)
{
    static const char *const good[] = {
        "TEXT/Event-Stream", "text/event-stream;charset=utf-8", "text/event-stream ; x=y"};
    static const char *const bad[] = {"text/html", "text/event-stream2", "text/event", ""};
    char answer[256];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\nx", good[i]);
        play_one(answer);
        assert_int_equal(world.opens, 1);
        assert_false(world.refused);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\nwhy", bad[i]);
        play_one(answer);
        assert_int_equal(world.opens, 0);
        assert_true(world.refused);
        assert_string_equal(world.content_type, bad[i]);
        assert_string_equal(world.body, "why");
        assert_int_equal(world.status, 200);
    }
}

static void test_httpstream_reports_refusals_with_their_words(void **state)
{
    (void)state;
    play_one("HTTP/1.1 503 No\r\nContent-Type: text/event-stream\r\nRetry-After: 7\r\n"
             "Content-Length: 4\r\n\r\nbusy");
    assert_int_equal(world.opens, 0);
    assert_true(world.refused);
    assert_int_equal(world.status, 503);
    assert_string_equal(world.retry_after, "7");
    assert_string_equal(world.body, "busy");
    play_one("HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(world.refused);
    assert_int_equal(world.status, 204);
}

static void test_httpstream_reads_only_the_beginning_of_a_refusal(void **state)
{
    static char answer[9000];

    (void)state;
    snprintf(answer, sizeof answer, "HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n%08000d", 0);
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = answer, .wait = true};
    open_stream("");
    fixture_run(&world.fixture, has_ended, NULL);
    close_world();
    assert_true(world.refused);
    assert_int_equal(world.status, 500);
    assert_int_equal(strlen(world.body), 4096);
}

static void test_httpstream_follows_redirects_within_the_origin_only(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] =
        (struct raw_step){.bytes = "HTTP/1.1 307 M\r\nLocation: "
                                   "/stream?token=x\r\nContent-Length: 3\r\n\r\nabc"};
    world.server.steps[1] = (struct raw_step){.bytes = OPENED "hello", .close = true};
    open_stream("");
    fixture_run(&world.fixture, has_ended, NULL);
    assert_string_equal(world.bytes.data, "hello");
    assert_false(world.refused);
    assert_string_equal(world.body, "");
    close_world();
    play_one("HTTP/1.1 302 M\r\nLocation: http://127.0.0.2/stream?token=x\r\n"
             "Content-Length: 0\r\n\r\n");
    assert_true(world.refused);
    assert_non_null(strstr(world.reason, "redirect to http://127.0.0.2:80 refused"));
}

static void test_httpstream_tells_a_cut_from_an_end(void **state)
{
    (void)state;
    play_one("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_string_equal(world.reason, "the server ended the stream");
    play_one("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nd");
    assert_int_equal(world.opens, 1);
    assert_int_equal(world.status, 200);
    assert_false(world.refused);
    assert_string_not_equal(world.reason, "the server ended the stream");
    play_one("HTTP/1.1 20");
    assert_int_equal(world.opens, 0);
    assert_int_equal(world.status, 0);
    assert_false(world.refused);
}

static void test_httpstream_refuses_an_id_that_would_end_the_header(void **state)
{
    struct error error = {0};

    (void)state;
    open_world();
    raw_server_start(&world.server);
    assert_null(httpstream_open(world.client, "a\nb", &handler, &error));
    assert_int_equal(error.class, ERROR_UPSTREAM);
    close_world();
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

/* Lets the loop turn for a moment; that nothing happens can only be seen by waiting. */
static void turn(int milliseconds)
{
    bool over = false;

    timer_init(&world.later, world.fixture.loop, set_true, &over);
    timer_set(&world.later, loop_now(world.fixture.loop) + milliseconds);
    fixture_run(&world.fixture, is_true, &over);
}

static void test_httpstream_pauses_and_loses_nothing(void **state)
{
    enum { SIZE = 4 * 1024 * 1024 };
    char *answer;
    size_t head = sizeof OPENED - 1, before;

    (void)state;
    open_world();
    answer = malloc(head + SIZE + 1);
    memcpy(answer, OPENED, head);
    for (size_t i = 0; i < SIZE; i++)
        answer[head + i] = (char)('a' + i % 23);
    answer[head + SIZE] = '\0';
    world.server.steps[0] =
        (struct raw_step){.bytes = answer, .length = head + SIZE, .close = true};
    world.pause_at_once = true;
    open_stream("");
    world.wanted = 1;
    fixture_run(&world.fixture, has_bytes, NULL);
    assert_true(httpstream_is_paused(world.stream));
    before = world.bytes.length;
    turn(100);
    assert_int_equal(world.bytes.length, before);
    assert_int_equal(world.ends, 0);
    for (unsigned i = 0; i < 50 && world.stream != NULL; i++) {
        world.wanted = world.bytes.length + 1;
        httpstream_resume(world.stream);
        httpstream_resume(world.stream);
        assert_int_equal(world.bytes.length, world.wanted - 1);
        fixture_run(&world.fixture, has_bytes, NULL);
    }
    world.pause_at_once = false;
    httpstream_resume(world.stream);
    fixture_run(&world.fixture, has_ended, NULL);
    assert_int_equal(world.bytes.length, SIZE);
    assert_memory_equal(world.bytes.data, answer + head, SIZE);
    close_world();
    free(answer);
}

/* What is held back here keeps the rest in the server's buffers, from where it comes a little
 * later: that nothing can be read at one moment is not enough. */
static void test_httpstream_is_read_once_it_has_been_silent(void **state)
{
    enum { SIZE = 8 * 1024 * 1024 };
    char *answer;
    size_t head = sizeof OPENED - 1;

    (void)state;
    open_world();
    answer = malloc(head + SIZE + 1);
    memset(answer, 'x', head + SIZE);
    memcpy(answer, OPENED, head);
    answer[head + SIZE] = '\0';
    world.server.steps[0] = (struct raw_step){.bytes = answer, .length = head + SIZE};
    world.pause_at_once = true;
    open_stream("");
    world.wanted = 1;
    fixture_run(&world.fixture, has_bytes, NULL);
    turn(100);
    assert_false(httpstream_is_read(world.stream));
    assert_true(httpstream_unread(world.stream) > 16384);
    world.pause_at_once = false;
    httpstream_resume(world.stream);
    world.wanted = SIZE;
    fixture_run(&world.fixture, has_bytes, NULL);
    assert_int_equal(world.bytes.length, SIZE);
    assert_false(httpstream_is_read(world.stream));
    turn(1000);
    assert_true(httpstream_is_read(world.stream));
    close_world();
    free(answer);
}

/* How much had been handed over each time others got their turn. */
static struct {
    unsigned count;
    size_t first, last;
} breaths;

static void note_breath(void *ctx)
{
    (void)ctx;
    if (breaths.count++ == 0)
        breaths.first = world.bytes.length;
    breaths.last = world.bytes.length;
}

/* However much there is to be read: libcurl would hand over all of this in one pass of the loop. */
static void test_httpstream_lets_others_breathe(void **state)
{
    enum { BODY = 60000 };
    static char answer[sizeof OPENED + BODY];

    (void)state;
    memset(answer, 'x', sizeof answer);
    memcpy(answer, OPENED, sizeof OPENED - 1);
    memset(&breaths, 0, sizeof breaths);
    open_world();
    loop_set_handler(world.fixture.loop,
        &(struct loop_handler){
            .ctx = &world.fixture, .before_sleep = fixture_before_sleep, .meanwhile = note_breath});
    world.server.steps[0] =
        (struct raw_step){.bytes = answer, .length = sizeof OPENED - 1 + BODY, .close = true};
    open_stream("");
    fixture_run(&world.fixture, has_ended, NULL);
    assert_int_equal(world.bytes.length, BODY);
    assert_within(breaths.count, 3, 15);
    assert_within(breaths.first, 4096, 4095 + 16384);
    assert_true(breaths.last > BODY - 16384 - 4096);
    close_world();
}

static void test_httpstream_may_be_paused_and_resumed_before_any_byte(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] =
        (struct raw_step){.bytes = OPENED, .wait = true, .rest = "hello", .close = true};
    open_stream("");
    httpstream_pause(world.stream);
    httpstream_resume(world.stream);
    httpstream_pause(world.stream);
    raw_server_go(&world.server);
    turn(50);
    assert_int_equal(world.opens, 1);
    assert_int_equal(world.bytes.length, 0);
    httpstream_resume(world.stream);
    fixture_run(&world.fixture, has_ended, NULL);
    assert_string_equal(world.bytes.data, "hello");
    close_world();
}

static void test_httpstream_is_freed_from_within_its_callbacks(void **state)
{
    (void)state;
    for (int in_open = 0; in_open <= 1; in_open++) {
        open_world();
        world.server.steps[0] =
            (struct raw_step){.bytes = OPENED "hello", .wait = true, .rest = "more"};
        world.free_in_open = in_open != 0;
        world.free_in_bytes = in_open == 0;
        open_stream("");
        fixture_run(&world.fixture, is_gone, NULL);
        raw_server_go(&world.server);
        turn(20);
        assert_int_equal(world.ends, 0);
        assert_int_equal(world.bytes.length, in_open ? 0 : 5);
        close_world();
    }
}

static void test_httpstream_is_freed_while_paused_or_not_started(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = OPENED "hello", .wait = true, .rest = "x"};
    world.pause_at_once = true;
    open_stream("");
    world.wanted = 1;
    fixture_run(&world.fixture, has_bytes, NULL);
    raw_server_go(&world.server);
    turn(20);
    close_world();
    open_world();
    open_stream("");
    close_world();
    assert_int_equal(world.ends, 0);
}

static int set_up(void **state)
{
    struct error error;

    (void)state;
    return http_global_init(&error) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_httpstream_asks_with_token_and_delivers_bytes_as_they_come),
        cmocka_unit_test(test_httpstream_takes_only_event_streams),
        cmocka_unit_test(test_httpstream_reports_refusals_with_their_words),
        cmocka_unit_test(test_httpstream_reads_only_the_beginning_of_a_refusal),
        cmocka_unit_test(test_httpstream_follows_redirects_within_the_origin_only),
        cmocka_unit_test(test_httpstream_tells_a_cut_from_an_end),
        cmocka_unit_test(test_httpstream_refuses_an_id_that_would_end_the_header),
        cmocka_unit_test(test_httpstream_pauses_and_loses_nothing),
        cmocka_unit_test(test_httpstream_is_read_once_it_has_been_silent),
        cmocka_unit_test(test_httpstream_lets_others_breathe),
        cmocka_unit_test(test_httpstream_may_be_paused_and_resumed_before_any_byte),
        cmocka_unit_test(test_httpstream_is_freed_from_within_its_callbacks),
        cmocka_unit_test(test_httpstream_is_freed_while_paused_or_not_started),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
