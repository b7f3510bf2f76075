/* bridge/io/paho/wire.c on real sockets, with this file in the MQTT library's place. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/io/paho/wirecalls.h"
#include "wire.h"

int MQTTAsync_processCommand(void);

/* What MQTTAsync_processCommand is to write, one message a call. */
static struct {
    int fd;
    unsigned messages;
    size_t size;
    unsigned written;
    ssize_t result; /* of the last write */
} commands;

static char letter_of(unsigned number)
{
    return (char)('a' + number % 26);
}

static ssize_t write_message(int fd, unsigned number, size_t size)
{
    static char body[100000];
    char head[2] = {'<', letter_of(number)};
    struct iovec parts[] = {{head, sizeof head}, {body, size - sizeof head}};
    memset(body, letter_of(number), sizeof body);
    return wire_writev(fd, parts, 2);
}

int MQTTAsync_processCommand(void)
{
    if (commands.messages == 0)
        return 0;
    commands.messages--;
    commands.result = write_message(commands.fd, commands.written++, commands.size);
    return 1;
}

struct pair {
    int library;
    int broker;
};

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

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
    set_nonblocking(pair->library);
    memset(&commands, 0, sizeof commands);
    commands.fd = pair->library;
    wire_hurry(false);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    wire_close(pair->library);
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

static int bytes_in_kernel(int fd)
{
    int bytes = -1;
    assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

static void assert_reads(int fd, const char *text)
{
    char data[64] = "";
    assert_int_equal(wire_recv(fd, data, strlen(text), 0), (ssize_t)strlen(text));
    assert_string_equal(data, text);
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

/* ---- Reading */

static void test_wire_reads_ahead_in_order(void **state)
{
    struct pair *pair = *state;
    char data[8];
    say(pair, "abcdefgh");
    assert_reads(pair->library, "a");
    assert_int_equal(bytes_in_kernel(pair->library), 0);
    assert_reads(pair->library, "bcd");
    /* No more than there is, and then what a socket without bytes says. */
    assert_int_equal(wire_recv(pair->library, data, sizeof data, 0), 4);
    assert_memory_equal(data, "efgh", 4);
    assert_int_equal(wire_recv(pair->library, data, sizeof data, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_wire_tells_the_end_after_the_last_byte(void **state)
{
    struct pair *pair = *state;
    char byte;
    say(pair, "xy");
    assert_int_equal(shutdown(pair->broker, SHUT_WR), 0);
    assert_reads(pair->library, "x");
    assert_reads(pair->library, "y");
    assert_int_equal(wire_recv(pair->library, &byte, 1, 0), 0);
}

static void test_wire_reads_more_than_it_holds(void **state)
{
    enum { SIZE = 200000 };
    struct pair *pair = *state;
    static char sent[SIZE], got[SIZE];
    size_t out = 0, in = 0;
    unsigned step = 0;
    set_nonblocking(pair->broker);
    for (size_t i = 0; i < SIZE; i++)
        sent[i] = (char)(i * 7 + i / 251);
    while (in < SIZE) {
        static const size_t sizes[] = {1, 1, 2, 333, 5000, 70000};
        size_t size = sizes[step++ % 6];
        ssize_t count = out < SIZE ? write(pair->broker, sent + out, SIZE - out) : 0;
        out += count > 0 ? (size_t)count : 0;
        count = wire_recv(pair->library, got + in, size < SIZE - in ? size : SIZE - in, 0);
        assert_true(count > 0 || errno == EAGAIN);
        in += count > 0 ? (size_t)count : 0;
    }
    assert_memory_equal(got, sent, SIZE);
}

static void test_wire_calls_ready_what_is_in_memory(void **state)
{
    struct pair *pair = *state;
    struct pollfd fds[] = {{.fd = pair->broker, .events = POLLOUT, .revents = POLLERR},
        {.fd = pair->library, .events = POLLIN}};
    say(pair, "12");
    assert_reads(pair->library, "1");
    assert_int_equal(wire_poll(fds, 2, 10000), 1);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLIN);
    fds[1].events = POLLOUT;
    assert_int_equal(wire_poll(&fds[1], 1, 0), 1);
    assert_int_equal(fds[1].revents, POLLOUT);
    assert_reads(pair->library, "2");
    fds[1].events = POLLIN;
    assert_int_equal(wire_poll(&fds[1], 1, 0), 0);
}

static void test_wire_forgets_a_closed_socket(void **state)
{
    struct pair *pair = *state;
    int number = pair->library;
    char byte;
    say(pair, "old");
    assert_reads(number, "o");
    wire_close(number);
    close(pair->broker);
    free(pair);
    setup(state);
    pair = *state;
    assert_int_equal(pair->library, number);
    assert_int_equal(wire_recv(number, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_wire_helps_no_more_sockets_than_it_has_room_for(void **state)
{
    enum { PAIRS = 8 };
    int fds[PAIRS][2];
    char data[4];
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        assert_int_equal(write(fds[i][1], "ab", 2), 2);
        assert_reads(fds[i][0], "a");
        assert_int_equal(write_message(fds[i][0], (unsigned)i, 4), 4);
    }
    for (int i = 0; i < PAIRS; i++) {
        assert_reads(fds[i][0], "b");
        assert_int_equal(read(fds[i][1], data, sizeof data), 4);
        assert_int_equal(data[1], letter_of((unsigned)i));
        wire_close(fds[i][0]);
        close(fds[i][1]);
    }
}

/* ---- Writing */

static void burst(unsigned messages, size_t size)
{
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    commands.messages = messages;
    commands.size = size;
    commands.written = 0;
    wire_cork();
    for (unsigned i = 0; i < messages; i++)
        assert_int_equal(wire_pthread_cond_signal(&condition), 0);
    wire_uncork();
}

/* Reads what `count` messages of the burst are, and that nothing follows. */
static void assert_arrives(int fd, unsigned messages, size_t size)
{
    static char data[100000];
    for (unsigned i = 0; i < messages; i++) {
        for (size_t got = 0; got < size;) {
            struct pollfd ready = {.fd = fd, .events = POLLIN};
            assert_int_equal(poll(&ready, 1, 10000), 1);
            ssize_t count = read(fd, data + got, size - got);
            assert_true(count > 0);
            got += (size_t)count;
        }
        assert_int_equal(data[0], '<');
        for (size_t at = 1; at < size; at++)
            assert_int_equal(data[at], letter_of(i));
    }
    assert_int_equal(bytes_in_kernel(fd), 0);
}

static void test_wire_writes_a_burst_at_its_end(void **state)
{
    struct pair *pair = *state;
    burst(50, 100);
    assert_arrives(pair->broker, 50, 100);
    /* Alone, a message goes at once. */
    assert_int_equal(write_message(pair->library, 0, 10), 10);
    assert_arrives(pair->broker, 1, 10);
}

static void test_wire_writes_bursts_of_any_size(void **state)
{
    struct pair *pair = *state;
    burst(100, 1000);
    assert_arrives(pair->broker, 100, 1000);
    burst(3, 70000);
    assert_int_equal(commands.result, 70000);
    assert_arrives(pair->broker, 3, 70000);
}

/* The rest waits until the socket takes it, and nobody writes before it. */
static void test_wire_keeps_what_the_socket_does_not_take(void **state)
{
    struct pair *pair = *state;
    struct pollfd fds = {.fd = pair->library, .events = POLLIN};
    static char filling[1 << 20];
    size_t filled = 0;
    ssize_t count;
    while ((count = send(pair->library, filling, sizeof filling, 0)) > 0)
        filled += (size_t)count;
    burst(10, 100);
    assert_int_equal(commands.result, 100);
    /* What others write now stays behind it. */
    assert_int_equal(write_message(pair->library, 10, 100), 100);
    assert_int_equal(write_message(pair->library, 0, 50000), -1);
    assert_int_equal(errno, EAGAIN);
    while (filled > 0) {
        count = read(pair->broker, filling, filled < sizeof filling ? filled : sizeof filling);
        assert_true(count > 0);
        filled -= (size_t)count;
    }
    /* The reading thread comes by. */
    assert_int_equal(wire_poll(&fds, 1, 1), 0);
    assert_arrives(pair->broker, 11, 100);
}

static void test_wire_writes_the_rest_before_a_shutdown(void **state)
{
    struct pair *pair = *state;
    char byte;
    burst(2, 50);
    assert_int_equal(wire_shutdown(pair->library, SHUT_WR), 0);
    assert_arrives(pair->broker, 2, 50);
    assert_int_equal(read(pair->broker, &byte, 1), 0);
}

static void test_wire_survives_a_connection_that_has_ended(void **state)
{
    struct pair *pair = *state;
    struct linger reset = {.l_onoff = 1};
    struct pollfd fds = {.fd = pair->library, .events = POLLIN};
    assert_int_equal(setsockopt(pair->broker, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(pair->broker);
    assert_int_equal(poll(&fds, 1, 10000), 1);
    burst(5, 100);
    burst(5, 100);
    assert_int_equal(commands.result, 100);
    pair->broker = open("/dev/null", O_RDWR);
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
    sender.woken = pthread_cond_timedwait(&sender.condition, &sender.lock, &until) == 0;
    pthread_mutex_unlock(&sender.lock);
    return NULL;
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

static void count_call(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

struct reading_thread {
    const struct pair *pair;
    atomic_int calls;
    int before; /* calls before the thread had worked off what it had read */
    int after;
    int after_nap;
    int forgotten;
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
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    assert_int_equal(wire_recv(fds.fd, &byte, 1, 0), 1);
    wire_after_reading(count_call, &thread->calls);
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    thread->before = thread->calls;
    assert_int_equal(wire_recv(fds.fd, &byte, 1, 0), 1);
    assert_int_equal(wire_poll(&fds, 1, 1), 0);
    thread->after = thread->calls;
    /* It has waited for a socket: no nap. Without one, it may sleep as it likes. */
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
    assert_int_equal(wire_recv(fds.fd, &byte, 1, 0), 1);
    wire_after_reading(count_call, &thread->calls);
    wire_usleep(1);
    thread->after_nap = thread->calls;
    wire_after_reading(count_call, &thread->calls);
    wire_forget(&thread->calls);
    assert_int_equal(wire_poll(&fds, 1, 1), 0);
    thread->forgotten = thread->calls;
    return NULL;
}

static void test_wire_calls_once_all_has_been_read(void **state)
{
    struct reading_thread reading = {.pair = *state};
    pthread_t thread;
    say(reading.pair, "12");
    assert_int_equal(pthread_create(&thread, NULL, read_as_the_library, &reading), 0);
    pthread_join(thread, NULL);
    assert_int_equal(reading.before, 0);
    assert_int_equal(reading.after, 1);
    assert_true(reading.napped_ms < 100);
    assert_true(reading.paused_ms >= 100);
    assert_int_equal(reading.after_nap, 2);
    assert_int_equal(reading.forgotten, 2);
}

static void *call_elsewhere(void *ctx)
{
    wire_after_reading(count_call, ctx);
    return NULL;
}

static void test_wire_calls_at_once_on_other_threads(void **state)
{
    atomic_int calls = 0;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, call_elsewhere, &calls), 0);
    pthread_join(thread, NULL);
    assert_int_equal(calls, 1);
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

static int lowest(int fd)
{
    int bytes = 0;
    socklen_t length = sizeof bytes;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &length), 0);
    return bytes;
}

static void wait_and_read(const struct pair *pair, const char *text)
{
    struct pollfd fds = {.fd = pair->library, .events = POLLIN};
    assert_int_equal(wire_poll(&fds, 1, 10000), 1);
    assert_reads(pair->library, text);
}

/* Until bytes have come fast enough, which is a matter of milliseconds. */
static void become_lazy(const struct pair *pair)
{
    while (lowest(pair->library) == 1) {
        say(pair, "0123456789abcdef");
        wait_and_read(pair, "0123456789abcdef");
    }
}

/* A few bytes are left alone for a moment while more come all the time, and not for longer. */
static void test_wire_is_lazy_while_nobody_waits(void **state)
{
    struct pair *pair = *state;
    struct pollfd ready = {.fd = pair->library, .events = POLLIN};
    become_lazy(pair);
    assert_int_equal(write(pair->broker, "0123", 4), 4);
    assert_int_equal(poll(&ready, 1, 0), 0);
    wait_and_read(pair, "0123");
    assert_int_equal(lowest(pair->library), 1);
}

static void test_wire_stops_being_lazy_when_somebody_waits(void **state)
{
    struct pair *pair = *state;
    struct pollfd ready = {.fd = pair->library, .events = POLLIN};
    become_lazy(pair);
    assert_int_equal(write(pair->broker, "0123", 4), 4);
    wire_hurry(true);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(lowest(pair->library), 1);
    wait_and_read(pair, "0123");
    assert_int_equal(lowest(pair->library), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wire_connects_without_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_tells_that_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_reads_ahead_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_tells_the_end_after_the_last_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_reads_more_than_it_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_calls_ready_what_is_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_forgets_a_closed_socket, setup, teardown),
        cmocka_unit_test(test_wire_helps_no_more_sockets_than_it_has_room_for),
        cmocka_unit_test_setup_teardown(test_wire_writes_a_burst_at_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_writes_bursts_of_any_size, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_keeps_what_the_socket_does_not_take, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_writes_the_rest_before_a_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_survives_a_connection_that_has_ended, setup, teardown),
        cmocka_unit_test(test_wire_passes_a_signal_on_where_something_is_left),
        cmocka_unit_test_setup_teardown(test_wire_calls_once_all_has_been_read, setup, teardown),
        cmocka_unit_test(test_wire_calls_at_once_on_other_threads),
        cmocka_unit_test_setup_teardown(test_wire_lets_the_library_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wire_is_lazy_while_nobody_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_wire_stops_being_lazy_when_somebody_waits, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
