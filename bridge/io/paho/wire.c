/*
 * The MQTT library's system calls. On its own it makes six for each message: three to read an
 * acknowledgement (one byte, one byte, the rest), two to see whether the socket can be read and
 * written, one to write; and three threads wake each other up for it. On a virtual machine, a
 * wake-up that finds a processor idle costs as much as ten messages. So its object files are made
 * to call these functions instead (cmake/paho.cmake):
 *
 * - What is there to be read is read at once, and the library takes it from memory.
 * - A burst of publications is worked off by the thread that hands it over, and written at once.
 * - While nobody waits for acknowledgements, they do not wake the reading thread one by one
 *   (SO_RCVLOWAT).
 * - Nothing that was written waits in the kernel for company (TCP_NODELAY).
 *
 * TLS connections are read and written by OpenSSL: to them only connecting and waiting apply.
 */
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "mem.h"
#include "wirecalls.h"

enum {
    /* Connections at a time that are helped; more are possible, for a moment, and go without. */
    WIRES = 4,
    IN_SIZE = 4096,
    OUT_SIZE = 16384,
    /* Acknowledgements that nobody waits for: the reading thread wakes up for so many bytes, which
     * every command has (a PUBLISH to `aiva/bridge/command/refresh` has 31), or after so long. */
    LAZY_BYTES = 16,
    LAZY_MS = 20,
    /* What a socket did not take is tried again so often; before it is closed, so many times. */
    RETRY_MS = 20,
    LAST_TRIES = 4,
    LAST_TRY_MS = 50,
    /* How often the library's threads look around. */
    LOOK_MS = 1000,
    /* The library's MQTTAsync_sleep(100) of its reading thread. */
    NAP_US = 100000,
};

/* Of the library's reading side. A descriptor of 0 is a free place: the library takes 0 for no
 * socket, too. */
static struct reader {
    int fd;
    bool lazy; /* SO_RCVLOWAT is LAZY_BYTES */
    size_t begin;
    size_t end;
    char *data;
} readers[WIRES];
static pthread_mutex_t readers_lock = PTHREAD_MUTEX_INITIALIZER;

/* What the library takes for written. */
static struct writer {
    int fd;
    size_t count;
    char *data;
} writers[WIRES];
static pthread_mutex_t writers_lock = PTHREAD_MUTEX_INITIALIZER;

static atomic_bool hurried;
static atomic_int rest_ms;

static struct {
    pthread_mutex_t lock;
    void (*call)(void *ctx);
    void *ctx;
} after = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of the reading thread. */
static _Thread_local struct {
    bool reads;    /* this is it */
    bool waited;   /* the last call has waited for something to read, and nothing came */
    bool flowing;  /* the last bytes came shortly after those before */
    int64_t at_ms; /* when the last bytes came */
} reading;

/* Of a thread that publishes. */
static _Thread_local struct {
    bool corked;
    bool gathers;              /* what is written now may be held back: it is flushed soon */
    unsigned held;             /* signals to the sending thread that were kept back */
    pthread_cond_t *condition; /* of those */
} sending;

/* paho-mqtt-c, src/MQTTAsyncUtils.c: does the next thing on the list, under the library's locks; 0
 * where none can be done now. */
int MQTTAsync_processCommand(void);

/* ---- Connecting */

/* Where broker and bridge both keep back a small segment until what they sent before is
 * acknowledged (Nagle's algorithm), each waits for the other until a delayed acknowledgement comes,
 * 40 ms later. What belongs together is written together here anyway. */
int wire_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(fd, address, length);
}

/* ---- Reading */

static struct reader *find_reader(int fd)
{
    for (size_t i = 0; i < WIRES; i++)
        if (readers[i].fd == fd)
            return &readers[i];
    return NULL;
}

static struct reader *reader_of(int fd)
{
    struct reader *reader = find_reader(fd);
    if (reader)
        return reader;
    reader = find_reader(0);
    if (reader) {
        *reader = (struct reader){.fd = fd, .data = reader->data};
        if (!reader->data)
            reader->data = xmalloc(IN_SIZE);
    }
    return reader;
}

static bool has_bytes(int fd)
{
    const struct reader *reader = find_reader(fd);
    return reader && reader->begin < reader->end;
}

static ssize_t take(struct reader *reader, void *data, size_t size)
{
    size_t there = reader->end - reader->begin;
    size_t taken = size < there ? size : there;
    memcpy(data, reader->data + reader->begin, taken);
    reader->begin += taken;
    return (ssize_t)taken;
}

static ssize_t read_ahead(struct reader *reader, void *data, size_t size)
{
    if (reader->begin < reader->end)
        return take(reader, data, size);
    if (size >= IN_SIZE)
        return recv(reader->fd, data, size, 0);
    ssize_t got = recv(reader->fd, reader->data, IN_SIZE, 0);
    if (got <= 0)
        return got;
    reader->begin = 0;
    reader->end = (size_t)got;
    return take(reader, data, size);
}

ssize_t wire_recv(int fd, void *data, size_t size, int flags)
{
    /* The library asks for no bytes at all before it closes a socket. */
    if (size == 0 || flags != 0)
        return recv(fd, data, size, flags);
    pthread_mutex_lock(&readers_lock);
    struct reader *reader = reader_of(fd);
    ssize_t got = reader ? read_ahead(reader, data, size) : recv(fd, data, size, flags);
    pthread_mutex_unlock(&readers_lock);
    return got;
}

/* ---- Writing */

static struct writer *find_writer(int fd)
{
    for (size_t i = 0; i < WIRES; i++)
        if (writers[i].fd == fd)
            return &writers[i];
    return NULL;
}

static struct writer *writer_of(int fd)
{
    struct writer *writer = find_writer(fd);
    if (writer)
        return writer;
    writer = find_writer(0);
    if (writer) {
        *writer = (struct writer){.fd = fd, .data = writer->data};
        if (!writer->data)
            writer->data = xmalloc(OUT_SIZE);
    }
    return writer;
}

/* False where the socket takes no more for now. Any other error ends the connection, which the
 * library learns when it reads: nothing may follow a packet of which a part is missing. */
static bool flush(struct writer *writer)
{
    size_t done = 0;
    while (done < writer->count) {
        ssize_t sent = write(writer->fd, writer->data + done, writer->count - done);
        if (sent >= 0)
            done += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR) {
            (void)shutdown(writer->fd, SHUT_RDWR);
            done = writer->count;
        }
    }
    writer->count -= done;
    memmove(writer->data, writer->data + done, writer->count);
    return writer->count == 0;
}

static bool flush_all(void)
{
    bool all = true;
    pthread_mutex_lock(&writers_lock);
    for (size_t i = 0; i < WIRES; i++)
        all = (writers[i].count == 0 || flush(&writers[i])) && all;
    pthread_mutex_unlock(&writers_lock);
    return all;
}

static ssize_t gather(struct writer *writer, const struct iovec *parts, int count)
{
    size_t before = writer->count;
    for (int i = 0; i < count; i++) {
        memcpy(writer->data + writer->count, parts[i].iov_base, parts[i].iov_len);
        writer->count += parts[i].iov_len;
    }
    return (ssize_t)(writer->count - before);
}

static ssize_t write_in_order(struct writer *writer, const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    bool early = sending.gathers && size <= OUT_SIZE - writer->count;
    if (!early && flush(writer) && !(sending.gathers && size <= OUT_SIZE))
        return writev(writer->fd, parts, count);
    /* Also behind what the socket does not take: the library gives a connection up whose PINGREQ
     * it cannot write, unless a packet of its own is half written. */
    if (size <= OUT_SIZE - writer->count)
        return gather(writer, parts, count);
    errno = EAGAIN;
    return -1;
}

ssize_t wire_writev(int fd, const struct iovec *parts, int count)
{
    pthread_mutex_lock(&writers_lock);
    struct writer *writer = writer_of(fd);
    ssize_t written = writer ? write_in_order(writer, parts, count) : writev(fd, parts, count);
    pthread_mutex_unlock(&writers_lock);
    return written;
}

static bool flush_one(int fd)
{
    pthread_mutex_lock(&writers_lock);
    struct writer *writer = find_writer(fd);
    bool all = !writer || flush(writer);
    pthread_mutex_unlock(&writers_lock);
    return all;
}

int wire_shutdown(int fd, int how)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    for (int tries = 0; tries < LAST_TRIES && !flush_one(fd); tries++)
        (void)poll(&writable, 1, LAST_TRY_MS);
    return shutdown(fd, how);
}

int wire_close(int fd)
{
    pthread_mutex_lock(&readers_lock);
    struct reader *reader = find_reader(fd);
    if (reader)
        *reader = (struct reader){.data = reader->data};
    pthread_mutex_unlock(&readers_lock);
    pthread_mutex_lock(&writers_lock);
    struct writer *writer = find_writer(fd);
    if (writer)
        *writer = (struct writer){.data = writer->data};
    pthread_mutex_unlock(&writers_lock);
    return close(fd);
}

/* ---- Waiting */

/* What has been read ahead is ready, and whoever writes when he should not is told so then. */
static int ready_from_memory(struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    pthread_mutex_lock(&readers_lock);
    for (nfds_t i = 0; i < count; i++)
        ready += has_bytes(fds[i].fd);
    for (nfds_t i = 0; ready > 0 && i < count; i++)
        fds[i].revents = (short)(has_bytes(fds[i].fd) ? fds[i].events : 0);
    pthread_mutex_unlock(&readers_lock);
    return ready;
}

static void call_after_reading(void)
{
    pthread_mutex_lock(&after.lock);
    if (after.call)
        after.call(after.ctx);
    after.call = NULL;
    pthread_mutex_unlock(&after.lock);
}

static void set_lazy(struct reader *reader, bool lazy)
{
    const int bytes = lazy ? LAZY_BYTES : 1;
    if (reader->lazy != lazy)
        (void)setsockopt(reader->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    reader->lazy = lazy;
}

/* False where it cannot be: somebody waits, or nothing is known of the sockets. */
static bool be_lazy(const struct pollfd *fds, nfds_t count, bool lazy)
{
    bool all = true;
    pthread_mutex_lock(&readers_lock);
    lazy = lazy && !atomic_load(&hurried);
    for (nfds_t i = 0; i < count; i++) {
        struct reader *reader = find_reader(fds[i].fd);
        if (reader)
            set_lazy(reader, lazy);
        all = all && reader;
    }
    pthread_mutex_unlock(&readers_lock);
    return lazy && all;
}

static int wait_for_any(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (reading.flowing && timeout_ms > LAZY_MS && be_lazy(fds, count, true)) {
        int ready = poll(fds, count, LAZY_MS);
        if (ready != 0)
            return ready;
        timeout_ms -= LAZY_MS;
    }
    (void)be_lazy(fds, count, false);
    return poll(fds, count, timeout_ms);
}

static int wait_to_read(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int ready = wait_for_any(fds, count, timeout_ms);
    int64_t now = clock_monotonic_ms();
    reading.flowing = ready > 0 && now - reading.at_ms < LAZY_MS;
    if (ready > 0)
        reading.at_ms = now;
    return ready;
}

static int longer_ms(void)
{
    int ms = atomic_load(&rest_ms);
    return ms > LOOK_MS ? ms - LOOK_MS : 0;
}

int wire_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int ready = ready_from_memory(fds, count);
    if (ready > 0)
        return ready;
    if (timeout_ms <= 0)
        return poll(fds, count, timeout_ms);
    reading.reads = true;
    call_after_reading();
    if (!flush_all() && timeout_ms > RETRY_MS)
        timeout_ms = RETRY_MS;
    else if (timeout_ms == LOOK_MS)
        timeout_ms += longer_ms();
    ready = wait_to_read(fds, count, timeout_ms);
    reading.waited = ready == 0;
    return ready;
}

int wire_usleep(useconds_t us)
{
    /* After the last connection has ended the reading thread comes here only. */
    if (reading.reads)
        call_after_reading();
    /* Who has waited for a socket in vain need not sleep besides. After a socket that can be read
     * he must: the library reads nothing before it can write as well. */
    bool needless = reading.waited && us == NAP_US;
    reading.waited = false;
    return needless ? 0 : usleep(us);
}

/* ---- The sending thread */

int wire_pthread_cond_timedwait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    int64_t ns = until->tv_nsec + (int64_t)longer_ms() * 1000000;
    const struct timespec later = {
        .tv_sec = until->tv_sec + ns / 1000000000, .tv_nsec = ns % 1000000000};
    return pthread_cond_timedwait(condition, mutex, &later);
}

int wire_pthread_cond_signal(pthread_cond_t *condition)
{
    if (!sending.corked)
        return pthread_cond_signal(condition);
    sending.held++;
    sending.condition = condition;
    return 0;
}

/* ---- What the bridge calls */

void wire_cork(void)
{
    sending.corked = true;
    sending.held = 0;
}

void wire_uncork(void)
{
    unsigned done = 0;
    if (sending.held > 0) {
        sending.gathers = true;
        while (MQTTAsync_processCommand() != 0)
            done++;
        sending.gathers = false;
        (void)flush_all();
    }
    sending.corked = false;
    /* The library keeps some for later, for instance while a write is not complete. */
    if (done < sending.held)
        pthread_cond_signal(sending.condition);
}

void wire_hurry(bool hurry)
{
    bool before = atomic_exchange(&hurried, hurry);
    if (before || !hurry)
        return;
    /* The kernel looks at once whether this wakes the reading thread. */
    pthread_mutex_lock(&readers_lock);
    for (size_t i = 0; i < WIRES; i++)
        if (readers[i].fd != 0)
            set_lazy(&readers[i], false);
    pthread_mutex_unlock(&readers_lock);
}

void wire_rest(int ms)
{
    atomic_store(&rest_ms, ms);
}

void wire_after_reading(void (*call)(void *ctx), void *ctx)
{
    if (!reading.reads) {
        call(ctx);
        return;
    }
    pthread_mutex_lock(&after.lock);
    after.call = call;
    after.ctx = ctx;
    pthread_mutex_unlock(&after.lock);
}

void wire_forget(const void *ctx)
{
    pthread_mutex_lock(&after.lock);
    if (after.ctx == ctx)
        after.call = NULL;
    pthread_mutex_unlock(&after.lock);
}

bool wire_naps(void)
{
    return false;
}
