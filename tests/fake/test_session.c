/* bridge/io/session.c with a fake in paho's place: the test plays paho, and strangers who would
 * like to be taken for it. */
#include <MQTTAsync.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
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

#include "loop_fixture.h"
#include "session.h"

/* ---- paho */

static struct {
    char proxy[256];
    void *context;
    MQTTAsync_onFailure5 *on_failure;
    unsigned created, destroyed;
} paho;

void MQTTAsync_global_init(MQTTAsync_init_options *options)
{
    (void)options;
}

void MQTTAsync_setTraceLevel(enum MQTTASYNC_TRACE_LEVELS level)
{
    (void)level;
}

int MQTTAsync_createWithOptions(MQTTAsync *handle, const char *uri, const char *client_id,
    int persistence, void *context, MQTTAsync_createOptions *options)
{
    (void)uri, (void)client_id, (void)persistence, (void)context, (void)options;
    *handle = &paho;
    paho.created++;
    return MQTTASYNC_SUCCESS;
}

void MQTTAsync_destroy(MQTTAsync *handle)
{
    *handle = NULL;
    paho.destroyed++;
}

int MQTTAsync_setCallbacks(MQTTAsync handle, void *context, MQTTAsync_connectionLost *lost,
    MQTTAsync_messageArrived *arrived, MQTTAsync_deliveryComplete *complete)
{
    (void)handle, (void)context, (void)lost, (void)arrived, (void)complete;
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_setDisconnected(MQTTAsync handle, void *context, MQTTAsync_disconnected *disconnected)
{
    (void)handle, (void)context, (void)disconnected;
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_connect(MQTTAsync handle, const MQTTAsync_connectOptions *options)
{
    (void)handle;
    snprintf(paho.proxy, sizeof paho.proxy, "%s", options->httpProxy);
    paho.context = options->context;
    paho.on_failure = options->onFailure5;
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_subscribe(
    MQTTAsync handle, const char *filter, int qos, MQTTAsync_responseOptions *response)
{
    (void)handle, (void)filter, (void)qos, (void)response;
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_unsubscribe(MQTTAsync handle, const char *filter, MQTTAsync_responseOptions *response)
{
    (void)handle, (void)filter, (void)response;
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_disconnect(MQTTAsync handle, const MQTTAsync_disconnectOptions *options)
{
    (void)handle, (void)options;
    return MQTTASYNC_SUCCESS;
}

const char *MQTTAsync_strerror(int code)
{
    (void)code;
    return "";
}

void MQTTAsync_freeMessage(MQTTAsync_message **message)
{
    (void)message;
}

void MQTTAsync_free(void *memory)
{
    (void)memory;
}

int MQTTProperties_add(MQTTProperties *properties, const MQTTProperty *property)
{
    (void)properties, (void)property;
    return 0;
}

void MQTTProperties_free(MQTTProperties *properties)
{
    (void)properties;
}

/* ---- The session's owner */

struct owner {
    struct fixture fixture;
    struct session *session;
    unsigned packets, ups, downs;
    unsigned char last[64];
    size_t last_length;
    int fd; /* to be looked at */
    char answer[64];
};

static void on_packet(void *ctx, const char *packet, size_t length)
{
    struct owner *owner = ctx;
    assert_true(length <= sizeof owner->last);
    memcpy(owner->last, packet, length);
    owner->last_length = length;
    owner->packets++;
}

static void on_up(void *ctx)
{
    ((struct owner *)ctx)->ups++;
}

static void on_subscribed(void *ctx, uint64_t token, int code)
{
    (void)ctx, (void)token, (void)code;
}

static void on_down(void *ctx)
{
    ((struct owner *)ctx)->downs++;
}

static void open_owner(struct owner *owner)
{
    const struct mqtt_options options = {
        .client_id = "test", .version5 = true, .keep_alive_s = 30, .connect_timeout_s = 5};
    const struct session_handler handler = {owner, on_packet, on_up, on_subscribed, on_down};
    struct error error = {0};
    *owner = (struct owner){.fd = -1};
    memset(&paho, 0, sizeof paho);
    fixture_open(&owner->fixture);
    session_start(owner->fixture.loop);
    owner->session = session_open(owner->fixture.loop, &options, &handler, &error);
    if (!owner->session)
        fail_msg("%s", error.text);
}

static void close_owner(struct owner *owner)
{
    session_free(owner->session);
    session_stop();
    fixture_close(&owner->fixture);
    assert_int_equal(paho.destroyed, paho.created);
}

/* ---- Connecting as paho does */

static bool is_connected(void *ctx)
{
    struct pollfd writable = {.fd = ((struct owner *)ctx)->fd, .events = POLLOUT};
    return poll(&writable, 1, 0) == 1;
}

/* Not where nobody listens. */
static int call(struct owner *owner)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *port = strrchr(paho.proxy, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_non_null(strstr(paho.proxy, "@127.0.0.1:"));
    address.sin_port = htons((uint16_t)strtol(port + 1, NULL, 10));
    (void)connect(fd, (struct sockaddr *)&address, sizeof address);
    owner->fd = fd;
    fixture_run(&owner->fixture, is_connected, owner);
    return fd;
}

static size_t base64(char *out, const char *bytes, size_t length)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t written = 0;
    for (size_t at = 0; at < length; at += 3) {
        unsigned number = (unsigned)(unsigned char)bytes[at] << 16;
        number |= at + 1 < length ? (unsigned)(unsigned char)bytes[at + 1] << 8 : 0;
        number |= at + 2 < length ? (unsigned char)bytes[at + 2] : 0;
        for (int i = 0; i < 4; i++)
            out[written++] = at + (size_t)i <= length ? letters[number >> (18 - 6 * i) & 63] : '=';
    }
    out[written] = '\0';
    return written;
}

/* "http://user:password@…" as paho shows it. */
static void ask(int fd, const char *proxy)
{
    char basic[128], text[512];
    const char *pair = proxy + strlen("http://");
    base64(basic, pair, strcspn(pair, "@"));
    int length = snprintf(text, sizeof text,
        "CONNECT broker:1883 HTTP/1.1\r\nHost: broker\r\nProxy-authorization: Basic %s\r\n\r\n",
        basic);
    assert_int_equal(send(fd, text, (size_t)length, 0), length);
}

static bool is_answered(void *ctx)
{
    struct owner *owner = ctx;
    size_t there = strlen(owner->answer);
    ssize_t got = recv(owner->fd, owner->answer + there, sizeof owner->answer - 1 - there, 0);
    bool ended = got == 0 || (got < 0 && errno == ECONNRESET);
    if (ended)
        snprintf(owner->answer, sizeof owner->answer, "closed");
    return ended || strstr(owner->answer, "\r\n\r\n") != NULL;
}

static void await_answer(struct owner *owner, int fd, const char *expected)
{
    owner->fd = fd;
    owner->answer[0] = '\0';
    fixture_run(&owner->fixture, is_answered, owner);
    assert_memory_equal(owner->answer, expected, strlen(expected));
}

static bool has_packet(void *ctx)
{
    return ((struct owner *)ctx)->packets > 0;
}

static const char connect_packet[] = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x";

static void test_session_lets_in_who_shows_the_credentials(void **state)
{
    struct owner owner;
    (void)state;
    open_owner(&owner);
    int fd = call(&owner);
    ask(fd, paho.proxy);
    await_answer(&owner, fd, "HTTP/1.1 200 ");
    assert_int_equal(send(fd, connect_packet, 15, 0), 15);
    fixture_run(&owner.fixture, has_packet, &owner);
    assert_int_equal(owner.last_length, 15);
    assert_memory_equal(owner.last, connect_packet, 15);
    assert_true(session_give(owner.session, "packet\r\n\r\n", 10));
    await_answer(&owner, fd, "packet");
    /* The way in is closed. */
    int late = call(&owner);
    ssize_t got = recv(late, &(char){0}, 1, 0);
    assert_true(got <= 0);
    close(late);
    close(fd);
    close_owner(&owner);
}

static void test_session_lets_nobody_else_in(void **state)
{
    struct owner owner;
    (void)state;
    open_owner(&owner);
    static const char *const others[] = {
        "http://bridge:00000000000000000000000000000000@", "http://bridge:@", "http://x:y@"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int fd = call(&owner);
        ask(fd, others[i]);
        await_answer(&owner, fd, "closed");
        close(fd);
    }
    int mute = call(&owner);
    assert_int_equal(send(mute, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    await_answer(&owner, mute, "closed");
    close(mute);
    int flood = call(&owner);
    char line[2048];
    memset(line, 'x', sizeof line);
    assert_true(send(flood, line, sizeof line, MSG_NOSIGNAL) > 0);
    owner.fd = flood;
    fixture_run(&owner.fixture, is_answered, &owner);
    close(flood);
    int fd = call(&owner);
    ask(fd, paho.proxy);
    await_answer(&owner, fd, "HTTP/1.1 200 ");
    assert_int_equal(send(fd, connect_packet, 15, 0), 15);
    fixture_run(&owner.fixture, has_packet, &owner);
    close(fd);
    close_owner(&owner);
}

/* Strangers who say nothing take no place for ever. */
static void test_session_is_not_kept_by_the_silent(void **state)
{
    struct owner owner;
    int silent[10];
    (void)state;
    open_owner(&owner);
    for (int i = 0; i < 10; i++)
        silent[i] = call(&owner);
    int fd = call(&owner);
    ask(fd, paho.proxy);
    await_answer(&owner, fd, "HTTP/1.1 200 ");
    for (int i = 0; i < 10; i++)
        close(silent[i]);
    assert_int_equal(send(fd, connect_packet, 15, 0), 15);
    fixture_run(&owner.fixture, has_packet, &owner);
    close(fd);
    close_owner(&owner);
}

static bool is_free(void *ctx)
{
    (void)ctx;
    return !session_is_busy();
}

/* In the handshake paho holds its lock: the session is gone for its owner, but not before paho has
 * got through it and reported. */
static void test_session_lingers_until_the_handshake_is_over(void **state)
{
    struct owner owner;
    (void)state;
    open_owner(&owner);
    session_free(owner.session);
    owner.session = NULL;
    assert_true(session_is_busy());
    assert_int_equal(paho.destroyed, 0);
    int fd = call(&owner);
    ask(fd, paho.proxy);
    await_answer(&owner, fd, "HTTP/1.1 200 ");
    assert_int_equal(send(fd, connect_packet, 15, 0), 15);
    await_answer(&owner, fd, "closed");
    paho.on_failure(paho.context, NULL);
    fixture_run(&owner.fixture, is_free, &owner);
    assert_int_equal(owner.packets, 0);
    assert_int_equal(owner.downs, 0);
    close(fd);
    close_owner(&owner);
}

static bool is_down(void *ctx)
{
    return ((struct owner *)ctx)->downs > 0;
}

static void test_session_tells_what_paho_reports_and_nothing_of_others(void **state)
{
    struct owner owner;
    (void)state;
    open_owner(&owner);
    /* Of a session of long ago. */
    paho.on_failure((void *)((uintptr_t)paho.context ^ 0x70000), NULL);
    paho.on_failure(paho.context, NULL);
    fixture_run(&owner.fixture, is_down, &owner);
    assert_int_equal(owner.downs, 1);
    assert_int_equal(owner.ups, 0);
    close_owner(&owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_lets_in_who_shows_the_credentials),
        cmocka_unit_test(test_session_lets_nobody_else_in),
        cmocka_unit_test(test_session_is_not_kept_by_the_silent),
        cmocka_unit_test(test_session_lingers_until_the_handshake_is_over),
        cmocka_unit_test(test_session_tells_what_paho_reports_and_nothing_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
