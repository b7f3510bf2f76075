#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "httpd.h"
#include "limit.h"
#include "loop_fixture.h"
#include "mem.h"
#include "within.h"

enum {
    MOST_MS = 300,
    PATIENT_MS = 60000,
    SLOW_CLIENTS = 40,
    SLOW_CLIENTS_LEFT = 31, /* and one that asks: 32 in all */
};

struct server {
    struct fixture fixture;
    struct httpd *httpd;
    unsigned short port;
    unsigned asked;
    size_t body_length; /* of /large */
};

/* One client; all that was sent to it, until the server closed the connection. */
struct client {
    int fd;
    char text[4096];
    size_t length;
    bool closed;
};

static void on_get(void *ctx, const char *path, struct httpd_answer *answer)
{
    struct server *server = ctx;
    server->asked++;
    if (strcmp(path, "/hello") == 0) {
        answer->status = 200;
        buf_append_text(&answer->body, "hello\n");
    } else if (strcmp(path, "/large") == 0) {
        answer->status = 200;
        for (size_t i = 0; i < server->body_length; i++)
            buf_append_char(&answer->body, 'x');
    }
}

static unsigned short free_port(int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    void *address = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t length = family == AF_INET ? sizeof four : sizeof six;
    int fd = socket(family, SOCK_STREAM, 0);
    bool bound =
        fd >= 0 && bind(fd, address, length) == 0 && getsockname(fd, address, &length) == 0;
    if (fd >= 0)
        close(fd);
    if (!bound)
        return 0;
    return ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
}

static void open_for(void **state, int64_t most_ms)
{
    struct server *server = xcalloc(1, sizeof *server);
    struct error error = {0};
    char listen[32];
    fixture_open(&server->fixture);
    server->port = free_port(AF_INET);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", server->port);
    server->httpd = httpd_new(
        server->fixture.loop, listen, most_ms, &(struct httpd_handler){server, on_get}, &error);
    assert_non_null(server->httpd);
    *state = server;
}

static int open_server(void **state)
{
    open_for(state, MOST_MS);
    return 0;
}

static int open_patient_server(void **state)
{
    open_for(state, PATIENT_MS);
    return 0;
}

static int close_server(void **state)
{
    struct server *server = *state;
    httpd_free(server->httpd);
    fixture_close(&server->fixture);
    free(server);
    return 0;
}

static struct client connect_client(const struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(server->port)};
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(client.fd >= 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static void send_text(const struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What does not fit is only counted. */
static bool is_closed(void *ctx)
{
    struct client *client = ctx;
    char bytes[16384];
    ssize_t got;
    while (!client->closed && (got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0) {
        client->closed = got == 0;
        for (ssize_t i = 0; i < got && client->length + 1 < sizeof client->text; i++)
            client->text[client->length++] = bytes[i];
    }
    return client->closed || (errno != EAGAIN && (client->closed = true));
}

static void wait_closed(struct server *server, struct client *client)
{
    fixture_run(&server->fixture, is_closed, client);
    close(client->fd);
}

/* Sends a request and returns the answer when the server has closed the connection. */
static struct client ask(struct server *server, const char *request)
{
    struct client client = connect_client(server);
    send_text(&client, request);
    wait_closed(server, &client);
    return client;
}

static void assert_ends(const char *text, const char *end)
{
    assert_true(strlen(text) >= strlen(end));
    assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void test_httpd_answers_a_get_and_closes(void **state)
{
    struct client client = ask(*state, "GET /hello?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 200 "));
    assert_non_null(strstr(client.text, "Connection: close\r\n"));
    assert_ends(client.text, "\r\n\r\nhello\n");
}

static void test_httpd_answers_a_head_without_a_body(void **state)
{
    struct client client = ask(*state, "HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 200 "));
    assert_non_null(strstr(client.text, "Content-Length: 6\r\n"));
    assert_ends(client.text, "\r\n\r\n");
}

static void test_httpd_answers_404(void **state)
{
    struct client client = ask(*state, "GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 404 "));
}

static void test_httpd_refuses_other_methods(void **state)
{
    static const char *const requests[] = {
        "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
        "DELETE /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "BREW /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"};
    struct server *server = *state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client client = ask(server, requests[i]);
        assert_non_null(strstr(client.text, "HTTP/1.1 405 "));
        assert_non_null(strstr(client.text, "Allow: GET, HEAD\r\n"));
    }
    assert_int_equal(server->asked, 0);
}

static void test_httpd_answers_for_no_other_host(void **state)
{
    struct server *server = *state;
    struct client client = ask(server, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 421 "));
    client = ask(server, "POST /hello HTTP/1.1\r\nHost: evil.example:80\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 421 "));
    assert_int_equal(server->asked, 0);
    client = ask(server, "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 200 "));
}

static void test_httpd_refuses_what_is_no_request(void **state)
{
    struct server *server = *state;
    ask(server, "\x16\x03\x01 this is TLS\r\n\r\n\r\n");
    ask(server, "GET /hello\r\n\r\n");
    char head[12000];
    memset(head, 'a', sizeof head);
    memcpy(head, "GET /", 5);
    head[sizeof head - 1] = '\0';
    struct client client = connect_client(server);
    send(client.fd, head, sizeof head - 1, MSG_NOSIGNAL);
    wait_closed(server, &client);
    assert_null(strstr(client.text, " 200 "));
    assert_non_null(
        strstr(ask(server, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").text, " 200 "));
}

static void test_httpd_ends_a_slow_client(void **state)
{
    struct server *server = *state;
    struct client silent = connect_client(server), slow = connect_client(server);
    send_text(&slow, "GET /hello HTTP/1.1\r\nHost: ");
    int64_t began_ms = clock_monotonic_ms();
    wait_closed(server, &silent);
    wait_closed(server, &slow);
    assert_int_equal(server->asked, 0);
    assert_within(clock_monotonic_ms() - began_ms, MOST_MS - 5, 15000);
}

static void test_httpd_lets_the_oldest_go_when_there_are_too_many(void **state)
{
    struct server *server = *state;
    struct client slow[SLOW_CLIENTS];
    for (size_t i = 0; i < SLOW_CLIENTS; i++)
        slow[i] = connect_client(server);
    struct client last = ask(server, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(last.text, " 200 "));
    for (size_t i = 0; i < SLOW_CLIENTS; i++) {
        assert_int_equal(is_closed(&slow[i]), i < SLOW_CLIENTS - SLOW_CLIENTS_LEFT);
        close(slow[i].fd);
    }
}

static void test_httpd_answers_500_where_the_answer_is_too_large(void **state)
{
    struct server *server = *state;
    server->body_length = LIMIT_HTTPD_BODY + 1;
    struct client client = ask(server, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(client.text, "HTTP/1.1 500 "));
}

static void test_httpd_says_why_it_cannot_listen(void **state)
{
    struct server *server = *state;
    struct error error = {0};
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", server->port);
    struct httpd_handler handler = {server, on_get};
    assert_null(httpd_new(server->fixture.loop, listen, MOST_MS, &handler, &error));
    assert_int_equal(error.class, ERROR_RUN);
    assert_non_null(strstr(error.text, "http.listen"));
    assert_non_null(strstr(error.text, listen));
    assert_non_null(strstr(error.text, "in use"));
    assert_null(httpd_new(server->fixture.loop, "192.0.2.1:9280", MOST_MS, &handler, &error));
    assert_non_null(strstr(error.text, "192.0.2.1:9280"));
    assert_null(
        httpd_new(server->fixture.loop, "no.such.host.invalid:80", MOST_MS, &handler, &error));
    assert_non_null(strstr(error.text, "no.such.host.invalid:80"));
}

static void test_httpd_listens_on_ipv6(void **state)
{
    struct server *server = *state;
    struct error error = {0};
    char listen[32];
    unsigned short port = free_port(AF_INET6);
    if (port == 0)
        skip(); /* this machine has none */
    snprintf(listen, sizeof listen, "[::1]:%u", port);
    struct httpd *httpd = httpd_new(
        server->fixture.loop, listen, MOST_MS, &(struct httpd_handler){server, on_get}, &error);
    assert_non_null(httpd);
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback, .sin6_port = htons(port)};
    struct client client = {.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    send_text(&client, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_closed(server, &client);
    assert_ends(client.text, "hello\n");
    httpd_free(httpd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_httpd_answers_a_get_and_closes, open_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_answers_a_head_without_a_body, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_httpd_answers_404, open_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_refuses_other_methods, open_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_answers_for_no_other_host, open_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_refuses_what_is_no_request, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_httpd_ends_a_slow_client, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_httpd_lets_the_oldest_go_when_there_are_too_many,
            open_patient_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_answers_500_where_the_answer_is_too_large, open_server, close_server),
        cmocka_unit_test_setup_teardown(
            test_httpd_says_why_it_cannot_listen, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_httpd_listens_on_ipv6, open_server, close_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
