/*
 * The thread that waits for whoever reads standard error, so that the owner thread does not.
 *
 * Why a thread. O_NONBLOCK belongs to the open file description, which the bridge shares with its
 * terminal's shell or with the other end of a supervisor's pipe: setting it would change it for
 * them too. Opening /dev/stderr again makes a description of one's own, but not for a socket, not
 * without /proc, and not for a process that has made itself undumpable. poll(2) promises room for
 * PIPE_BUF bytes of a pipe until another writer takes them, and for one byte of a terminal. A
 * thread covers all of them, and files on a disk that hangs as well.
 *
 * Two buffers: the owner fills one while the thread writes the other out, then they change places.
 * Once a line did not fit, further ones are dropped until the buffers change places, so that the
 * line that says how many were lost stands exactly where they are missing.
 */
#include "logwriter.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "limit.h"

struct lines {
    char bytes[LIMIT_LOG_BYTES];
    size_t length;
    uint64_t lost; /* lines that followed these and found no room */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_cond_t written;
    pthread_t thread;
    logwriter_describe *describe;
    bool running; /* changed while there is no other thread */
    /* Under the lock: */
    bool stopping;
    bool busy;             /* the thread writes; `draining` is the thread's alone then */
    struct lines *filling; /* the owner's */
    struct lines *draining;
    uint64_t lost; /* in all */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct lines buffers[2];

/* False where the bytes cannot be written. Waits for a reader where somebody else has made the
 * descriptor non-blocking. */
static bool write_out(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, length);
        if (written >= 0) {
            bytes += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            (void)poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* ---- The thread */

/* One write a line, so that lines of several programs on one pipe do not mix. Returns how many
 * could not be written, and in *well whether the last one could. */
static uint64_t write_lines(const struct lines *lines, bool *well)
{
    uint64_t failed = 0;
    for (size_t at = 0, length; at < lines->length; at += length) {
        const char *end = memchr(lines->bytes + at, '\n', lines->length - at);
        assert(end);
        length = (size_t)(end + 1 - (lines->bytes + at));
        *well = write_out(lines->bytes + at, length);
        failed += !*well;
    }
    return failed;
}

/* Says how many lines were lost, once lines can be written again. Returns how many are still to be
 * told of. */
static uint64_t tell(uint64_t untold, bool well)
{
    char line[256];
    if (untold == 0 || !well)
        return untold;
    size_t length = writer.describe(untold, line, sizeof line);
    return write_out(line, length) ? 0 : untold;
}

static void *run(void *none)
{
    uint64_t untold = 0;
    bool well = true; /* the last line could be written */
    (void)none;
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        while (writer.filling->length == 0 && !writer.stopping)
            pthread_cond_wait(&writer.filled, &writer.lock);
        if (writer.filling->length == 0)
            break;
        struct lines *full = writer.filling;
        writer.filling = writer.draining;
        writer.draining = full;
        writer.busy = true;
        pthread_mutex_unlock(&writer.lock);
        uint64_t failed = write_lines(full, &well);
        untold = tell(untold + failed + full->lost, well);
        pthread_mutex_lock(&writer.lock);
        writer.lost += failed;
        full->length = 0;
        full->lost = 0;
        writer.busy = false;
        pthread_cond_broadcast(&writer.written);
    }
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

/* ---- The owner */

bool logwriter_start(logwriter_describe *describe)
{
    pthread_condattr_t monotonic;
    assert(!writer.running);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.filled, NULL);
    pthread_cond_init(&writer.written, &monotonic);
    pthread_condattr_destroy(&monotonic);
    writer.describe = describe;
    writer.filling = &buffers[0];
    writer.draining = &buffers[1];
    writer.stopping = false;
    writer.running = pthread_create(&writer.thread, NULL, run, NULL) == 0;
    return writer.running;
}

void logwriter_put(const char *line, size_t length)
{
    if (!writer.running) {
        writer.lost += !write_out(line, length);
        return;
    }
    pthread_mutex_lock(&writer.lock);
    struct lines *lines = writer.filling;
    if (lines->lost > 0 || length > sizeof lines->bytes - lines->length) {
        lines->lost++;
        writer.lost++;
    } else {
        memcpy(lines->bytes + lines->length, line, length);
        lines->length += length;
    }
    pthread_cond_signal(&writer.filled);
    pthread_mutex_unlock(&writer.lock);
}

/* With the lock. False where the time was too short. */
static bool wait_written(int64_t most_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += most_ms / 1000;
    until.tv_nsec += most_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (writer.busy || writer.filling->length > 0)
        if (pthread_cond_timedwait(&writer.written, &writer.lock, &until) == ETIMEDOUT)
            return !writer.busy && writer.filling->length == 0;
    return true;
}

void logwriter_flush(int64_t most_ms)
{
    pthread_mutex_lock(&writer.lock);
    if (writer.filling)
        (void)wait_written(most_ms);
    pthread_mutex_unlock(&writer.lock);
}

void logwriter_stop(int64_t most_ms)
{
    if (!writer.running || writer.stopping)
        return;
    pthread_mutex_lock(&writer.lock);
    bool all = wait_written(most_ms);
    writer.stopping = true;
    pthread_cond_signal(&writer.filled);
    pthread_mutex_unlock(&writer.lock);
    if (!all) {
        pthread_detach(writer.thread);
        return;
    }
    pthread_join(writer.thread, NULL);
    writer.running = false;
}

uint64_t logwriter_lost(void)
{
    pthread_mutex_lock(&writer.lock);
    uint64_t lost = writer.lost;
    pthread_mutex_unlock(&writer.lock);
    return lost;
}
