/*
 * Some of the MQTT library's system calls. Its object files are made to call these functions
 * instead (cmake/paho.cmake):
 *
 * - Nothing that was written waits in the kernel for company (TCP_NODELAY).
 * - The library reads no packet that a broker may not send: it trusts lengths, and properties that
 *   are not there. Nor does it read into a block that it has not got (lean.c).
 * - The socket of a connection is known, so that a relay can take its place (mqttrelay.h).
 * - Where there is no relay, with TLS and WebSocket, a burst of publications is worked off by the
 *   thread that hands it over: on a virtual machine, waking another one costs as much as ten
 *   messages.
 * - The library's threads look around less often while nothing is to be done, and the reading
 *   thread does not sleep through what comes.
 * - Its threads can be waited for.
 */
#include "wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "inspector.h"
#include "limit.h"
#include "mem.h"
#include "wirecalls.h"

enum {
    /* How often the library's threads look around. */
    LOOK_MS = 1000,
    /* The library's MQTTAsync_sleep(100) of its reading thread. */
    NAP_US = 100000,
    /* It reads on one thread and sends on the other, from the first connection until its last
     * handle is destroyed. */
    THREADS = 2,
    END_S = 1,
};

static atomic_int rest_ms;
static atomic_bool signalled; /* the sending thread, and it has not waited since */

/* Of the library's reading thread. */
static _Thread_local struct {
    int socket;  /* the last one that it has read from; 0, which the library does not use: none */
    bool waited; /* the last call has waited for something to read, and nothing came */
    char fault[sizeof((struct inspector *)0)->fault]; /* of the connection that this has ended */
} reading;

/* A connection whose packets are looked at. */
struct watched {
    int fd;
    struct inspector inspector; /* of the thread that reads */
    struct watched *next;
};

static struct {
    pthread_mutex_t lock; /* over all that follows */
    enum wire_content expected;
    struct watched *first;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of a thread that publishes. */
static _Thread_local struct {
    bool corked;
    unsigned held;             /* signals to the sending thread that were kept back */
    pthread_cond_t *condition; /* of those */
} sending;

/* Of the owner thread, on which the library begins its own when it is asked to connect. */
static pthread_t threads[THREADS];
static size_t thread_count;

/* paho-mqtt-c, src/MQTTAsyncUtils.c: does the next thing on the list, under the library's locks; 0
 * where none can be done now. */
int MQTTAsync_processCommand(void);

/* ---- What is read */

void wire_expect(enum wire_content content)
{
    pthread_mutex_lock(&watch.lock);
    watch.expected = content;
    pthread_mutex_unlock(&watch.lock);
}

/* Under the lock. The place of the link to it, or to nothing. */
static struct watched **find(int fd)
{
    struct watched **link = &watch.first;
    while (*link && (*link)->fd != fd)
        link = &(*link)->next;
    return link;
}

static void unwatch(int fd)
{
    pthread_mutex_lock(&watch.lock);
    struct watched **link = find(fd), *found = *link;
    if (found) {
        *link = found->next;
        inspector_clear(&found->inspector);
        free(found);
    }
    pthread_mutex_unlock(&watch.lock);
}

static void begin_watch(int fd)
{
    unwatch(fd);
    pthread_mutex_lock(&watch.lock);
    if (watch.expected != WIRE_OTHER) {
        struct watched *watched = xcalloc(1, sizeof *watched);
        watched->fd = fd;
        inspector_init(&watched->inspector, watch.expected == WIRE_MQTT_5);
        watched->next = watch.first;
        watch.first = watched;
    }
    pthread_mutex_unlock(&watch.lock);
}

/* What has come, as the library may see it: nothing at all, as if the connection had ended, where
 * it is no packet. */
static ssize_t pass(int fd, const void *data, ssize_t got)
{
    if (got <= 0)
        return got;
    pthread_mutex_lock(&watch.lock);
    struct watched *watched = *find(fd);
    if (watched && !inspector_look(&watched->inspector, data, (size_t)got)) {
        snprintf(reading.fault, sizeof reading.fault, "%s", watched->inspector.fault);
        got = 0;
    }
    pthread_mutex_unlock(&watch.lock);
    return got;
}

void wire_take_fault(char *out, size_t size)
{
    snprintf(out, size, "%s", reading.fault);
    reading.fault[0] = '\0';
}

/* The library asks for as many bytes as the peer has announced, wherever there is room or not. */
static bool is_possible(const void *data, size_t size)
{
    return size == 0 || (data != NULL && size <= LIMIT_MQTT_BLOCK);
}

/* ---- The socket */

/* Where broker and bridge both keep back a small segment until what they sent before is
 * acknowledged (Nagle's algorithm), each waits for the other until a delayed acknowledgement comes,
 * 40 ms later. What belongs together is written together here anyway. */
int wire_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    begin_watch(fd);
    return connect(fd, address, length);
}

ssize_t wire_recv(int fd, void *data, size_t size, int flags)
{
    reading.socket = fd;
    return is_possible(data, size) ? pass(fd, data, recv(fd, data, size, flags)) : 0;
}

/* A number of bytes that is too large for an int has become another one. */
int wire_SSL_read(SSL *ssl, void *data, int size)
{
    if (size <= 0 || !is_possible(data, (size_t)size))
        return 0;
    return (int)pass(SSL_get_fd(ssl), data, SSL_read(ssl, data, size));
}

/* The library shuts a socket down for writing and closes it. Its reading thread may wait for that
 * socket meanwhile, and whoever ends the connection waits for the thread: now it sees the end. */
int wire_shutdown(int fd, int how)
{
    (void)how;
    unwatch(fd);
    return shutdown(fd, SHUT_RDWR);
}

int wire_socket(void)
{
    return reading.socket > 0 ? reading.socket : -1;
}

/* ---- Waiting */

static int longer_ms(void)
{
    int ms = atomic_load(&rest_ms);
    return ms > LOOK_MS ? ms - LOOK_MS : 0;
}

int wire_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (timeout_ms <= 0)
        return poll(fds, count, timeout_ms);
    if (timeout_ms == LOOK_MS)
        timeout_ms += longer_ms();
    int ready = poll(fds, count, timeout_ms);
    reading.waited = ready == 0;
    return ready;
}

int wire_usleep(useconds_t us)
{
    /* Who has waited for a socket in vain need not sleep besides. After a socket that can be read
     * he must: the library reads nothing before it can write as well. */
    bool needless = reading.waited && us == NAP_US;
    reading.waited = false;
    return needless ? 0 : usleep(us);
}

void wire_rest(int ms)
{
    atomic_store(&rest_ms, ms);
}

bool wire_naps(void)
{
    return false;
}

/* ---- The sending thread */

/* The library looks at its list, and then waits, with nothing to hold the two together: a signal in
 * between would be lost, and what was put on the list would wait for the next look. So a signal
 * that finds nobody waiting is kept. There is one condition, that of the sending thread. */
static void signal_sender(pthread_cond_t *condition)
{
    atomic_store(&signalled, true);
    pthread_cond_signal(condition);
}

int wire_pthread_cond_timedwait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    if (atomic_exchange(&signalled, false))
        return 0;
    int64_t ns = until->tv_nsec + (int64_t)longer_ms() * 1000000;
    const struct timespec later = {
        .tv_sec = until->tv_sec + ns / 1000000000, .tv_nsec = ns % 1000000000};
    int result = pthread_cond_timedwait(condition, mutex, &later);
    if (result == 0)
        atomic_store(&signalled, false);
    return result;
}

int wire_pthread_cond_signal(pthread_cond_t *condition)
{
    if (!sending.corked) {
        signal_sender(condition);
        return 0;
    }
    sending.held++;
    sending.condition = condition;
    return 0;
}

void wire_cork(void)
{
    sending.corked = true;
    sending.held = 0;
}

void wire_uncork(void)
{
    unsigned done = 0;
    while (done < sending.held && MQTTAsync_processCommand() != 0)
        done++;
    sending.corked = false;
    /* The library keeps some for later, for instance while a write is not complete. */
    if (done < sending.held)
        signal_sender(sending.condition);
}

/* ---- The threads */

/* The library detaches its threads, and they may still be about to end when it has destroyed its
 * last handle. If the process ended just then, OpenSSL would not free what the threads have of it.
 */
int wire_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    bool full = thread_count == THREADS;
    int failed = pthread_create(thread, full ? attributes : NULL, function, argument);
    if (!failed && !full)
        threads[thread_count++] = *thread;
    return failed;
}

/* Until a time of the wall clock, as ThreadSanitizer does not know pthread_clockjoin_np. A thread
 * that does not end is the library's concern again. */
void wire_join(void)
{
    while (thread_count > 0) {
        pthread_t thread = threads[--thread_count];
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += END_S;
        if (pthread_timedjoin_np(thread, NULL, &until) != 0)
            pthread_detach(thread);
    }
}
