/* bridge/io/paho/wire.c on real sockets, with this file in the MQTT library's place. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/io/paho/wirecalls.h"
#include "wire.h"

int MQTTAsync_processCommand(void);

/* How many commands the library's list has; each takes one call. */
static unsigned commands;

int MQTTAsync_processCommand(void)
{
    if (commands == 0)
        return 0;
    commands--;
    return 1;
}

struct pair {
    int library;
    int broker;
};

static int setup(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct pair *pair = calloc(1, sizeof *pair);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    pair->library = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(wire_connect(pair->library, (struct sockaddr *)&address, length), 0);
    pair->broker = accept(listener, NULL, NULL);
    assert_true(pair->broker >= 0);
    close(listener);
    commands = 0;
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    close(pair->library);
    close(pair->broker);
    free(pair);
    return 0;
}

static void say(const struct pair *pair, const char *text)
{
    struct pollfd ready = {.fd = pair->library, .events = POLLIN};
    assert_int_equal(write(pair->broker, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(poll(&ready, 1, 10000), 1);
}

/* ---- Connecting */

static void test_wire_connects_without_delay(void **state)
{
    const struct pair *pair = *state;
    int on = 0;
    socklen_t length = sizeof on;
    assert_int_equal(getsockopt(pair->library, IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
    assert_true(on);
}

static void test_wire_tells_that_nobody_listens(void **state)
{
    const struct pair *pair = *state;
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* A port that is taken, and not listened at. */
    assert_int_equal(getsockname(pair->library, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(wire_connect(fd, (struct sockaddr *)&address, length), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

/* ---- What is read */

static ssize_t read_some(const struct pair *pair, const char *said, size_t length)
{
    char bytes[64];
    struct pollfd ready = {.fd = pair->library, .events = POLLIN};
    assert_int_equal(write(pair->broker, said, length), (ssize_t)length);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    return wire_recv(pair->library, bytes, sizeof bytes, 0);
}

#define READ(pair, said) read_some(pair, said, sizeof(said) - 1)

static int setup_content(void **state, enum wire_content content)
{
    wire_expect(content);
    return setup(state);
}

static int setup_mqtt3(void **state)
{
    return setup_content(state, WIRE_MQTT_3);
}

static int setup_mqtt5(void **state)
{
    return setup_content(state, WIRE_MQTT_5);
}

static int teardown_content(void **state)
{
    const struct pair *pair = *state;
    wire_expect(WIRE_OTHER);
    (void)wire_shutdown(pair->library, SHUT_WR);
    return teardown(state);
}

static void assert_fault(const char *expected)
{
    char text[128] = "?";
    wire_take_fault(text, sizeof text);
    assert_string_equal(text, expected);
    wire_take_fault(text, sizeof text);
    assert_string_equal(text, "");
}

/* As if the connection had ended in front of the last byte, and from then on. */
static void test_wire_keeps_malformed_packets_from_the_library(void **state)
{
    const struct pair *pair = *state;
    assert_int_equal(READ(pair, "\x20\x03\x00"), 3);
    assert_int_equal(READ(pair, "\x00\x00"), 2);
    assert_int_equal(READ(pair, "\x90\x03\x00\x01"), 4);
    assert_fault("");
    assert_int_equal(READ(pair, "\x00"), 0);
    assert_fault("a SUBACK that is not allowed: no reason codes");
    assert_int_equal(READ(pair, "\xd0\x00"), 0);
}

static void test_wire_knows_the_version(void **state)
{
    const struct pair *pair = *state;
    assert_int_equal(READ(pair, "\x20\x02\x00\x00"), 4);
    assert_int_equal(READ(pair, "\xe0\x00"), 0);
    assert_fault("a DISCONNECT that is not allowed: only a client may send one");
}

/* WebSocket; and what is bytes of something else for all that is known. */
static void test_wire_leaves_other_connections_alone(void **state)
{
    const struct pair *pair = *state;
    assert_int_equal(READ(pair, "HTTP/1.1 101 "), 13);
    assert_fault("");
}

/* Nothing is read: the length is the peer's, and there is no room. */
static void test_wire_reads_no_more_than_there_is_room_for(void **state)
{
    const struct pair *pair = *state;
    char byte;
    say(pair, "x");
    assert_int_equal(wire_recv(pair->library, NULL, (size_t)1 << 40, 0), 0);
    assert_int_equal(wire_recv(pair->library, NULL, 1, 0), 0);
    assert_int_equal(wire_recv(pair->library, &byte, SIZE_MAX, 0), 0);
    assert_int_equal(wire_SSL_read(NULL, &byte, 0), 0);
    assert_int_equal(wire_SSL_read(NULL, &byte, -1), 0);
    assert_int_equal(wire_SSL_read(NULL, NULL, 1), 0);
    assert_int_equal(wire_recv(pair->library, &byte, 1, 0), 1);
}

/* ---- Threads */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t condition;
    bool waits;
    bool woken;
} sender = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static void *wait_for_signal(void *ctx)
{
    struct timespec until;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&sender.lock);
    sender.waits = true;
    sender.woken = wire_pthread_cond_timedwait(&sender.condition, &sender.lock, &until) == 0;
    pthread_mutex_unlock(&sender.lock);
    return NULL;
}

/* On the thread that hands the commands over: nobody else is told. */
static void test_wire_works_off_a_burst(void **state)
{
    struct timespec now;
    (void)state;
    commands = 3;
    wire_cork();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wire_pthread_cond_signal(&sender.condition), 0);
    assert_int_equal(commands, 3);
    wire_uncork();
    assert_int_equal(commands, 0);
    /* Nothing was held: what others have put on the list is theirs. */
    commands = 1;
    wire_cork();
    wire_uncork();
    assert_int_equal(commands, 1);
    commands = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&sender.lock);
    assert_int_equal(wire_pthread_cond_timedwait(&sender.condition, &sender.lock, &now), ETIMEDOUT);
    pthread_mutex_unlock(&sender.lock);
}

static void test_wire_keeps_a_signal_for_who_comes_to_wait(void **state)
{
    struct timespec until;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    assert_int_equal(wire_pthread_cond_signal(&sender.condition), 0);
    pthread_mutex_lock(&sender.lock);
    assert_int_equal(wire_pthread_cond_timedwait(&sender.condition, &sender.lock, &until), 0);
    until.tv_sec -= 10;
    assert_int_equal(
        wire_pthread_cond_timedwait(&sender.condition, &sender.lock, &until), ETIMEDOUT);
    pthread_mutex_unlock(&sender.lock);
}

/* With a command that cannot be worked off now, the library's own thread has to try. */
static void test_wire_passes_a_signal_on_where_something_is_left(void **state)
{
    pthread_t thread;
    bool waits = false;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_signal, NULL), 0);
    while (!waits) {
        pthread_mutex_lock(&sender.lock);
        waits = sender.waits;
        pthread_mutex_unlock(&sender.lock);
    }
    wire_cork();
    wire_pthread_cond_signal(&sender.condition);
    wire_uncork();
    pthread_join(thread, NULL);
    assert_true(sender.woken);
}

struct reading_thread {
    const struct pair *pair;
    int before; /* wire_socket, before it has read anything */
    int socket;
    int64_t napped_ms;
    int64_t paused_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *read_as_the_library(void *ctx)
{
    struct reading_thread *thread = ctx;
    struct pollfd fds = {.fd = thread->pair->library, .events = POLLIN};
    char byte;
    thread->before = wire_socket();
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    assert_int_equal(wire_recv(fds.fd, &byte, 1, 0), 1);
    thread->socket = wire_socket();
    /* It has waited for a socket: no nap. */
    int64_t begin;
    int tries = 0;
    do { /* a busy machine may stop a thread for as long */
        assert_int_equal(wire_poll(&fds, 1, 1), 0);
        begin = now_ms();
        wire_usleep(100000);
        thread->napped_ms = now_ms() - begin;
    } while (thread->napped_ms >= 100 && ++tries < 10);
    /* While there is something that the library does not read yet, it must not turn in circles. */
    say(thread->pair, "3");
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    begin = now_ms();
    wire_usleep(100000);
    thread->paused_ms = now_ms() - begin;
    return NULL;
}

static void test_wire_knows_the_socket_and_does_not_nap(void **state)
{
    struct reading_thread reading = {.pair = *state};
    pthread_t thread;
    say(reading.pair, "1");
    assert_int_equal(pthread_create(&thread, NULL, read_as_the_library, &reading), 0);
    pthread_join(thread, NULL);
    assert_int_equal(reading.before, -1);
    assert_int_equal(reading.socket, reading.pair->library);
    assert_true(reading.napped_ms < 100);
    assert_true(reading.paused_ms >= 100);
    assert_int_equal(wire_socket(), -1);
}

static void *wait_for_the_end(void *ctx)
{
    const struct pair *pair = ctx;
    struct pollfd fds = {.fd = pair->library, .events = POLLIN};
    /* What the broker has sent is told first, so that the other thread knows that this one is here.
     */
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    assert_int_equal(write(pair->library, "here", 4), 4);
    fds.events = 0;
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    return NULL;
}

/* As the library does it: for writing alone. The broker has not closed its end. */
static void test_wire_ends_the_wait_for_a_socket_that_is_shut_down(void **state)
{
    struct pair *pair = *state;
    pthread_t thread;
    char data[8];
    int64_t begin = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, pair), 0);
    say(pair, "1");
    assert_int_equal(read(pair->broker, data, sizeof data), 4);
    assert_int_equal(wire_shutdown(pair->library, SHUT_WR), 0);
    pthread_join(thread, NULL);
    assert_true(now_ms() - begin < 9000);
    assert_int_equal(read(pair->broker, data, sizeof data), 0);
}

static int64_t wait_for_nothing(const struct pair *pair)
{
    struct pollfd fds = {.fd = pair->library, .events = POLLIN};
    int64_t begin = now_ms();
    assert_int_equal(wire_poll(&fds, 1, 1000), 0);
    return now_ms() - begin;
}

/* A moment longer than the second that the library looks for; not at all where it must not. */
static void test_wire_lets_the_library_rest(void **state)
{
    struct timespec now;
    wire_rest(1200);
    assert_true(wait_for_nothing(*state) >= 1190);
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t begin = now_ms();
    pthread_mutex_lock(&sender.lock);
    assert_int_equal(wire_pthread_cond_timedwait(&sender.condition, &sender.lock, &now), ETIMEDOUT);
    pthread_mutex_unlock(&sender.lock);
    assert_true(now_ms() - begin >= 190);
    wire_rest(500);
    assert_true(wait_for_nothing(*state) >= 990);
    wire_rest(0);
}

/* OpenSSL has such a destructor. */
static void take_time(void *ended)
{
    for (int i = 0; i < 1000; i++)
        sched_yield();
    atomic_store((atomic_bool *)ended, true);
}

struct ending {
    pthread_key_t key;
    atomic_bool ended;
};

static void *end_late(void *argument)
{
    struct ending *ending = argument;
    pthread_setspecific(ending->key, &ending->ended);
    return NULL;
}

static void create_detached(struct ending *ending)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    assert_int_equal(pthread_key_create(&ending->key, take_time), 0);
    assert_int_equal(wire_pthread_create(&thread, &attributes, end_late, ending), 0);
    pthread_attr_destroy(&attributes);
}

/* As for one connection after the other. */
static void test_wire_waits_for_threads_to_end(void **state)
{
    struct ending endings[6] = {0};
    (void)state;
    for (int i = 0; i < 6; i += 2) {
        create_detached(&endings[i]);
        create_detached(&endings[i + 1]);
        wire_join();
        assert_true(endings[i].ended && endings[i + 1].ended);
        pthread_key_delete(endings[i].key);
        pthread_key_delete(endings[i + 1].key);
    }
    wire_join();
}

/* More than the library is known to begin are left to themselves, as it wants it. */
static void test_wire_leaves_further_threads_alone(void **state)
{
    struct ending endings[3] = {0};
    (void)state;
    for (int i = 0; i < 3; i++)
        create_detached(&endings[i]);
    wire_join();
    assert_true(endings[0].ended && endings[1].ended);
    while (!endings[2].ended)
        sched_yield();
    for (int i = 0; i < 3; i++)
        pthread_key_delete(endings[i].key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wire_connects_without_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_tells_that_nobody_listens, setup, teardown),
        cmocka_unit_test(test_wire_works_off_a_burst),
        cmocka_unit_test(test_wire_keeps_a_signal_for_who_comes_to_wait),
        cmocka_unit_test(test_wire_passes_a_signal_on_where_something_is_left),
        cmocka_unit_test_setup_teardown(
            test_wire_knows_the_socket_and_does_not_nap, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_ends_the_wait_for_a_socket_that_is_shut_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_lets_the_library_rest, setup, teardown),
        cmocka_unit_test(test_wire_waits_for_threads_to_end),
        cmocka_unit_test(test_wire_leaves_further_threads_alone),
        cmocka_unit_test_setup_teardown(
            test_wire_keeps_malformed_packets_from_the_library, setup_mqtt5, teardown_content),
        cmocka_unit_test_setup_teardown(test_wire_knows_the_version, setup_mqtt3, teardown_content),
        cmocka_unit_test_setup_teardown(test_wire_leaves_other_connections_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_reads_no_more_than_there_is_room_for, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
