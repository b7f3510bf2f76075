#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "certificates.h"
#include "http.h"
#include "loop_fixture.h"
#include "raw_server.h"
#include "transport.h"
#include "within.h"

#define KEY        "s3cret"
#define OK_ANSWER  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
#define TIMEOUT_MS 10000

/* A server, a client and what the last call was answered. */
struct world {
    struct fixture fixture;
    struct raw_server server;
    struct http_client *client;
    unsigned answers, wanted;
    struct http_answer answer;
    char body[256], retry_after[64], failure[400];
    struct http_request *to_cancel;
    bool ask_again, keep;
    struct http_answer *kept;
};

static struct world world;

static void open_world(void)
{
    world = (struct world){0};
    fixture_open(&world.fixture);
    raw_server_open(&world.server);
    world.client = http_client_new(world.fixture.loop, world.server.url, KEY, "", "test/1");
}

static void close_world(void)
{
    http_client_free(world.client);
    fixture_close(&world.fixture);
    raw_server_close(&world.server);
}

static struct http_request *ask(enum http_method method, const char *path, bool fresh);

static void on_done(void *ctx, const struct http_answer *answer)
{
    (void)ctx;
    world.answers++;
    world.answer = *answer;
    snprintf(world.body, sizeof world.body, "%s", answer->body);
    snprintf(world.retry_after, sizeof world.retry_after, "%s", answer->retry_after);
    snprintf(world.failure, sizeof world.failure, "%s", answer->failure);
    assert_null(strstr(answer->failure, KEY));
    http_cancel(world.to_cancel);
    world.to_cancel = NULL;
    if (world.keep)
        world.kept = http_answer_keep(answer);
    if (world.ask_again) {
        world.ask_again = false;
        ask(HTTP_GET, "/again", false);
    }
}

static struct http_request *ask_with(const struct http_call *call)
{
    struct error error = {0};
    struct http_request *request = http_start(world.client, call, &error);

    if (request == NULL)
        fail_msg("%s", error.text);
    return request;
}

static struct http_request *ask(enum http_method method, const char *path, bool fresh)
{
    return ask_with(&(struct http_call){.method = method,
        .path = path,
        .body_limit = 100,
        .timeout_ms = TIMEOUT_MS,
        .fresh_connection = fresh,
        .done = on_done});
}

static bool answered(void *ctx)
{
    (void)ctx;
    return world.answers >= world.wanted;
}

static void wait_answer(void)
{
    world.wanted = world.answers + 1;
    fixture_run(&world.fixture, answered, NULL);
}

/* One exchange with a server that plays the given answers. */
static void play(enum http_method method, const char *path, const char *const *answers)
{
    open_world();
    for (unsigned i = 0; answers[i] != NULL; i++)
        world.server.steps[i] = (struct raw_step){.bytes = answers[i], .close = true};
    raw_server_start(&world.server);
    ask(method, path, false);
    wait_answer();
    close_world();
}

static void play_one(enum http_method method, const char *answer)
{
    play(method, "/jobs", (const char *const[]){answer, NULL});
}

static void test_http_sends_what_is_promised_and_no_more(void **state)
{
    const char *request = world.server.requests[0];

    (void)state;
    play_one(HTTP_GET, "HTTP/1.1 200 OK\r\nretry-AFTER:  120 \r\nContent-Length: 2\r\n\r\n[]");
    assert_int_equal(world.answer.status, 200);
    assert_true(world.answer.complete);
    assert_string_equal(world.body, "[]");
    assert_string_equal(world.retry_after, "120");
    assert_string_equal(world.failure, "");
    assert_ptr_equal(strstr(request, "GET /jobs HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer " KEY "\r\n"));
    assert_non_null(strstr(request, "\r\nUser-Agent: test/1\r\n"));
    assert_null(strcasestr(request, "accept-encoding"));
    assert_null(strcasestr(request, "content-type"));
}

/* The request, and all that it held, is gone by then. */
static void test_http_keeps_an_answer_for_later(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){
        .bytes = "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbody",
        .close = true};
    world.server.steps[1] =
        (struct raw_step){.bytes = "HTTP/1.1 204 No Content\r\n\r\n", .close = true};
    raw_server_start(&world.server);
    world.keep = true;
    ask(HTTP_GET, "/jobs", false);
    wait_answer();
    struct http_answer *first = world.kept;
    ask(HTTP_GET, "/jobs", true);
    wait_answer();
    assert_int_equal(first->status, 429);
    assert_string_equal(first->body, "body");
    assert_int_equal(first->length, 4);
    assert_string_equal(first->retry_after, "7");
    assert_true(first->complete);
    assert_string_equal(world.kept->body, "");
    http_answer_free(first);
    http_answer_free(world.kept);
    http_answer_free(NULL);
    close_world();
}

static void test_http_posts_an_empty_body_that_says_so(void **state)
{
    (void)state;
    play_one(HTTP_POST, OK_ANSWER);
    assert_ptr_equal(strstr(world.server.requests[0], "POST /jobs HTTP/1.1\r\n"),
        (char *)world.server.requests[0]);
    assert_non_null(strstr(world.server.requests[0], "\r\nContent-Length: 0\r\n"));
    assert_null(strcasestr(world.server.requests[0], "content-type"));
    play_one(HTTP_DELETE, OK_ANSWER);
    assert_ptr_equal(strstr(world.server.requests[0], "DELETE /jobs HTTP/1.1\r\n"),
        (char *)world.server.requests[0]);
}

static void test_http_skips_interim_answers(void **state)
{
    (void)state;
    play_one(HTTP_GET, "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                       "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(world.answer.status, 429);
    assert_string_equal(world.retry_after, "");
    assert_true(world.answer.complete);
}

static void test_http_follows_redirects_within_the_origin(void **state)
{
    char absolute[128];

    (void)state;
    play(HTTP_GET, "/jobs",
        (const char *const[]){"HTTP/1.1 301 M\r\nLocation: /a\r\nContent-Length: 4\r\n\r\nlost",
            "HTTP/1.1 302 M\r\nLocation: b?x=1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 307 M\r\nLocation: /c\r\nContent-Length: 0\r\n\r\n", OK_ANSWER, NULL});
    assert_int_equal(world.answer.status, 200);
    assert_string_equal(world.body, "{}");
    assert_non_null(strstr(world.server.requests[1], "GET /a HTTP"));
    assert_non_null(strstr(world.server.requests[2], "GET /b?x=1 HTTP"));
    assert_non_null(strstr(world.server.requests[3], "GET /c HTTP"));
    assert_non_null(strstr(world.server.requests[3], "Bearer " KEY));

    open_world();
    snprintf(absolute, sizeof absolute,
        "HTTP/1.1 308 M\r\nLocation: HTTP://127.0.0.1:%u/abs\r\nContent-Length: 0\r\n\r\n",
        world.server.port);
    world.server.steps[0].bytes = absolute;
    world.server.steps[1].bytes = OK_ANSWER;
    raw_server_start(&world.server);
    ask(HTTP_POST, "/jobs", false);
    wait_answer();
    close_world();
    assert_int_equal(world.answer.status, 200);
    assert_non_null(strstr(world.server.requests[1], "POST /abs HTTP"));
}

static void test_http_refuses_redirects_to_another_origin(void **state)
{
    static const char *const targets[] = {"http://127.0.0.1:1/x?token=t", "https://127.0.0.1/x",
        "http://localhost/x", "//other.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd",
        "http://u:p@127.0.0.1/x", "http://[bad/x"};

    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        char answer[256];

        open_world();
        snprintf(answer, sizeof answer,
            "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", targets[i]);
        world.server.steps[0].bytes = answer;
        raw_server_start(&world.server);
        ask(HTTP_GET, "/jobs", false);
        wait_answer();
        close_world();
        assert_int_equal(world.answer.status, 302);
        assert_non_null(strstr(world.failure, "refused"));
        assert_null(strstr(world.failure, "/x"));
        assert_null(strstr(world.failure, "passwd"));
    }
}

static void test_http_refuses_a_redirect_that_names_a_user(void **state)
{
    char answer[256];

    (void)state;
    open_world();
    snprintf(answer, sizeof answer,
        "HTTP/1.1 302 F\r\nLocation: http://u:p@127.0.0.1:%u/x\r\nContent-Length: 0\r\n\r\n",
        world.server.port);
    world.server.steps[0].bytes = answer;
    raw_server_start(&world.server);
    ask(HTTP_GET, "/jobs", false);
    wait_answer();
    close_world();
    assert_int_equal(world.answer.status, 302);
    assert_non_null(strstr(world.failure, "refused"));
}

static void test_http_refuses_a_redirect_that_would_change_the_method(void **state)
{
    (void)state;
    play_one(HTTP_DELETE, "HTTP/1.1 303 S\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(world.answer.status, 303);
    assert_non_null(strstr(world.failure, "refused"));
}

static void test_http_gives_up_after_three_redirects(void **state)
{
    static const char again[] = "HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";

    (void)state;
    play(HTTP_GET, "/jobs", (const char *const[]){again, again, again, again, NULL});
    assert_int_equal(world.answer.status, 302);
    assert_string_equal(world.failure, "more than 3 redirects");
}

static void test_http_refuses_paths_that_would_become_others(void **state)
{
    static const char *const paths[] = {"/jobs/..", "/jobs/../x", "/jobs/./x", "/jobs/x?admin=1",
        "/jobs/x#f", "/jobs/a b", "/jobs/a\r\nX: y", "jobs", "", "@other.example/"};

    (void)state;
    open_world();
    raw_server_start(&world.server);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct error error = {0};

        assert_null(http_start(world.client,
            &(struct http_call){.path = paths[i], .timeout_ms = TIMEOUT_MS, .done = on_done},
            &error));
        assert_int_equal(error.class, ERROR_UPSTREAM);
    }
    close_world();
}

static void test_http_refuses_a_key_that_would_end_the_header(void **state)
{
    struct error error = {0};

    (void)state;
    open_world();
    raw_server_start(&world.server);
    http_client_set_key(world.client, KEY "\r\nX: y");
    assert_null(http_start(world.client,
        &(struct http_call){.path = "/jobs", .timeout_ms = TIMEOUT_MS, .done = on_done}, &error));
    assert_null(strstr(error.text, KEY));
    close_world();
}

static void test_http_caps_the_body(void **state)
{
    char answer[512];

    (void)state;
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n\r\n%0101d", 0);
    play_one(HTTP_GET, answer);
    assert_int_equal(world.answer.status, 200);
    assert_false(world.answer.complete);
    assert_string_equal(world.failure, "the answer is longer than 100 bytes");
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n\r\n%0100d", 0);
    play_one(HTTP_GET, answer);
    assert_true(world.answer.complete);
}

static void test_http_caps_the_header_section(void **state)
{
    static char answer[80 * 1024];
    char *end = stpcpy(answer, "HTTP/1.1 200 OK\r\n");

    (void)state;
    for (int i = 0; i < 1000; i++)
        end =
            stpcpy(end, "X-Filler: 0123456789012345678901234567890123456789012345678901234567\r\n");
    strcpy(end, "\r\n");
    play_one(HTTP_GET, answer);
    assert_int_equal(world.answer.status, 0);
    assert_string_equal(world.failure, "the answer's header section is too long");
}

static void test_http_tells_a_body_that_broke_off(void **state)
{
    (void)state;
    play_one(HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1,2");
    assert_int_equal(world.answer.status, 200);
    assert_false(world.answer.complete);
    assert_string_not_equal(world.failure, "");
}

static void test_http_does_not_take_what_is_not_http_1(void **state)
{
    (void)state;
    play_one(HTTP_GET, "hello there, no header section here\r\n\r\n");
    assert_int_equal(world.answer.status, 0);
    assert_string_not_equal(world.failure, "");
}

static void test_http_says_why_nobody_answered(void **state)
{
    (void)state;
    open_world();
    close(world.server.listener);
    world.server.listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
    raw_server_start(&world.server);
    ask(HTTP_GET, "/jobs", false);
    wait_answer();
    assert_int_equal(world.answer.status, 0);
    assert_false(world.answer.timed_out);
    assert_string_not_equal(world.failure, "");
    close_world();
}

static void test_http_times_out_over_all_redirects(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] =
        (struct raw_step){.bytes = "HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"};
    world.server.steps[1] = (struct raw_step){.bytes = "HTTP/1.1 200", .wait = true};
    raw_server_start(&world.server);
    ask_with(&(struct http_call){
        .path = "/jobs", .body_limit = 100, .timeout_ms = 300, .done = on_done});
    wait_answer();
    close_world();
    assert_int_equal(world.answer.status, 0);
    assert_true(world.answer.timed_out);
    assert_within(world.answer.duration_ms, 200, 5000);
}

static void test_http_reuses_connections_unless_told_otherwise(void **state)
{
    (void)state;
    open_world();
    for (unsigned i = 0; i < 4; i++)
        world.server.steps[i].bytes = OK_ANSWER;
    raw_server_start(&world.server);
    /* Only what is younger than the key is reused: as if the key had been there for a while. */
    world.client->secrets_ms -= 10000;
    ask(HTTP_GET, "/1", false);
    wait_answer();
    ask(HTTP_GET, "/2", false);
    wait_answer();
    ask(HTTP_GET, "/3", true);
    wait_answer();
    http_client_set_key(world.client, "other");
    ask(HTTP_GET, "/4", false);
    wait_answer();
    close_world();
    assert_int_equal(world.server.connections, 3);
    assert_non_null(strstr(world.server.requests[3], "Bearer other\r\n"));
}

static bool second_answered(void *ctx)
{
    (void)ctx;
    return world.answers >= 2;
}

static void test_http_starts_and_cancels_from_within_an_answer(void **state)
{
    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    world.server.steps[1] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    raw_server_start(&world.server);
    world.ask_again = true;
    ask(HTTP_GET, "/first", false);
    fixture_run(&world.fixture, second_answered, NULL);
    close_world();
    assert_int_equal(world.answers, 2);
    assert_non_null(strstr(world.server.requests[1], "GET /again"));

    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    raw_server_start(&world.server);
    /* itself: allowed, and without effect */
    world.to_cancel = ask(HTTP_GET, "/first", false);
    wait_answer();
    close_world();
    assert_int_equal(world.answers, 1);
}

static void test_http_calls_nobody_after_a_cancel(void **state)
{
    struct http_request *request;

    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    raw_server_start(&world.server);
    http_cancel(NULL);
    request = ask(HTTP_GET, "/unwanted", false);
    http_cancel(request);
    ask(HTTP_GET, "/wanted", false);
    wait_answer();
    close_world();
    assert_int_equal(world.answers, 1);
    assert_non_null(strstr(world.server.requests[0], "GET /wanted"));
}

/* openssl's own little server, which answers every GET. */
static pid_t start_tls_server(const char *directory, const char *name, unsigned short port)
{
    char script[256], output[4096];
    size_t length = 0;
    int ends[2];
    pid_t pid;

    snprintf(script, sizeof script,
        "cd %s && exec openssl s_server -www -accept 127.0.0.1:%u -cert %s.crt -key %s.key 2>&1",
        directory, port, name, name);
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    output[0] = '\0';
    while (strstr(output, "ACCEPT") == NULL) {
        ssize_t got = read(ends[0], output + length, sizeof output - 1 - length);

        if (got <= 0)
            fail_msg("openssl did not start: %s", output);
        length += (size_t)got;
        output[length] = '\0';
    }
    close(ends[0]);
    return pid;
}

static void ask_tls(const char *directory, const char *name, const char *ca)
{
    unsigned short port = certificates_free_port();
    pid_t pid = start_tls_server(directory, name, port);
    char url[64];

    open_world();
    raw_server_start(&world.server);
    http_client_free(world.client);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    world.client = http_client_new(world.fixture.loop, url, KEY, ca, "test/1");
    ask_with(&(struct http_call){
        .path = "/", .body_limit = 100000, .timeout_ms = TIMEOUT_MS, .done = on_done});
    wait_answer();
    close_world();
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_http_checks_the_server_s_certificate(void **state)
{
    char directory[] = "/tmp/test_http.XXXXXX", *ca;

    (void)state;
    assert_non_null(mkdtemp(directory));
    certificates_make(directory);
    ca = certificates_text(directory, "ca.crt");
    ask_tls(directory, "127.0.0.1", ca);
    assert_string_equal(world.failure, "");
    assert_int_equal(world.answer.status, 200);
    ask_tls(directory, "127.0.0.1", "");
    assert_int_equal(world.answer.status, 0);
    assert_non_null(strstr(world.failure, "certificate"));
    ask_tls(directory, "192.0.2.1", ca);
    assert_int_equal(world.answer.status, 0);
    assert_non_null(strstr(world.failure, "127.0.0.1"));
    free(ca);
    certificates_shell(directory, "rm -f *");
    assert_int_equal(rmdir(directory), 0);
}

static void test_http_uses_the_proxy_that_the_environment_named(void **state)
{
    char proxy[64];
    struct error error;

    (void)state;
    open_world();
    world.server.steps[0] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    world.server.steps[1] = (struct raw_step){.bytes = OK_ANSWER, .close = true};
    raw_server_start(&world.server);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", world.server.port);
    setenv("http_proxy", proxy, 1);
    setenv("no_proxy", "127.0.0.1", 1);
    setenv("SSLKEYLOGFILE", "/dev/null", 1);
    assert_true(http_global_init(&error));
    assert_null(getenv("SSLKEYLOGFILE"));
    unsetenv("http_proxy");
    unsetenv("no_proxy");

    http_client_free(world.client);
    world.client =
        http_client_new(world.fixture.loop, "http://aiva.example/base", KEY, "", "test/1");
    ask(HTTP_GET, "/jobs", false);
    wait_answer();
    assert_int_equal(world.answer.status, 200);
    http_client_free(world.client);
    world.client = http_client_new(world.fixture.loop, world.server.url, KEY, "", "test/1");
    ask(HTTP_GET, "/jobs", false);
    wait_answer();
    close_world();
    assert_non_null(
        strstr(world.server.requests[0], "GET http://aiva.example/base/jobs HTTP/1.1\r\n"));
    assert_non_null(strstr(world.server.requests[1], "GET /jobs HTTP/1.1\r\n"));
    http_global_cleanup();
    assert_true(http_global_init(&error));
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
        cmocka_unit_test(test_http_sends_what_is_promised_and_no_more),
        cmocka_unit_test(test_http_keeps_an_answer_for_later),
        cmocka_unit_test(test_http_posts_an_empty_body_that_says_so),
        cmocka_unit_test(test_http_skips_interim_answers),
        cmocka_unit_test(test_http_follows_redirects_within_the_origin),
        cmocka_unit_test(test_http_refuses_redirects_to_another_origin),
        cmocka_unit_test(test_http_refuses_a_redirect_that_names_a_user),
        cmocka_unit_test(test_http_refuses_a_redirect_that_would_change_the_method),
        cmocka_unit_test(test_http_gives_up_after_three_redirects),
        cmocka_unit_test(test_http_refuses_paths_that_would_become_others),
        cmocka_unit_test(test_http_refuses_a_key_that_would_end_the_header),
        cmocka_unit_test(test_http_caps_the_body),
        cmocka_unit_test(test_http_caps_the_header_section),
        cmocka_unit_test(test_http_tells_a_body_that_broke_off),
        cmocka_unit_test(test_http_does_not_take_what_is_not_http_1),
        cmocka_unit_test(test_http_says_why_nobody_answered),
        cmocka_unit_test(test_http_times_out_over_all_redirects),
        cmocka_unit_test(test_http_reuses_connections_unless_told_otherwise),
        cmocka_unit_test(test_http_starts_and_cancels_from_within_an_answer),
        cmocka_unit_test(test_http_calls_nobody_after_a_cancel),
        cmocka_unit_test(test_http_checks_the_server_s_certificate),
        cmocka_unit_test(test_http_uses_the_proxy_that_the_environment_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
