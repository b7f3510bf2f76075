/*
 * The owner thread's loop. One pass does everything that is due, in a fixed order, and then sleeps
 * in curl_multi_poll, which watches libcurl's sockets, the descriptors given here and the wake-up
 * that other threads use. There is no tick: with nothing due the process sleeps.
 */
#include "loop.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "limit.h"
#include "mem.h"
#include "timers.h"
#include "wire.h"

enum {
    LOOP_BATCH = 256,                /* of each source in one pass, so that none starves the rest */
    LOOP_DESCRIPTORS = 8 + 1,        /* the first is the signalfd */
    LOOP_IDLE_CONNECTIONS = 8,       /* kept for reuse: a few requests at a time to one host */
    LOOP_LONGEST_SLEEP_MS = 3600000, /* far away, and still an int */
    LOOP_LOOK_EVERY = 64,            /* polls that end with nothing to show for it */
};

struct descriptor {
    int fd; /* -1: free */
    short events;
    void (*ready)(void *ctx, short revents);
    void *ctx;
};

struct deferred {
    void (*free_object)(void *object);
    void *object;
};

struct loop {
    CURLM *multi;
    int wake_fd; /* an eventfd */
    struct inbox *inbox;
    struct loop_handler handler;
    struct timers timers;
    struct descriptor descriptors[LOOP_DESCRIPTORS];
    struct deferred *later;
    size_t later_count, later_capacity;
    int64_t now_ms;
    bool descriptor_ready; /* the last poll may have seen a descriptor given here */
    unsigned unexplained;  /* polls in a row that something else has ended */
    bool transfers_left;   /* finished transfers wait for the next pass */
    bool stopping;
};

/* Any thread. */
static void wake_now(void *ctx)
{
    const struct loop *loop = ctx;
    const uint64_t one = 1;

    /* Fails only where the counter is full: then the loop is about to wake up anyway. */
    (void)!write(loop->wake_fd, &one, sizeof one);
}

static void take_wake_up(const struct loop *loop)
{
    uint64_t count;

    (void)!read(loop->wake_fd, &count, sizeof count);
}

/* Any thread. */
static void wake(void *ctx)
{
    wire_after_reading(wake_now, ctx);
}

static void on_signalfd(void *ctx, short revents)
{
    struct loop *loop = ctx;
    struct signalfd_siginfo info;

    (void)revents;
    while (read(loop->descriptors[0].fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (loop->handler.on_signal != NULL)
            loop->handler.on_signal(loop->handler.ctx, (int)info.ssi_signo);
    }
}

static sigset_t handled_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    return set;
}

void loop_block_signals(void)
{
    sigset_t set = handled_signals();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool open_signalfd(struct loop *loop, struct error *error)
{
    sigset_t set = handled_signals();

    loop->descriptors[0] = (struct descriptor){
        .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
        .events = POLLIN,
        .ready = on_signalfd,
        .ctx = loop,
    };
    if (loop->descriptors[0].fd < 0)
        return error_set(error, ERROR_RUN, "cannot open a signalfd: %s", strerror(errno));
    return true;
}

/* libcurl has a wake-up of its own, curl_multi_wakeup: a pair of sockets, and two calls to take one
 * out of it. */
static bool open_wake_fd(struct loop *loop, struct error *error)
{
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return error_set(error, ERROR_RUN, "eventfd: %s", strerror(errno));
    return true;
}

static bool open_multi(struct loop *loop, struct error *error)
{
    loop->multi = curl_multi_init();
    if (loop->multi == NULL)
        return error_set(error, ERROR_RUN, "libcurl: cannot create a multi handle");
    curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)LOOP_IDLE_CONNECTIONS);
    return true;
}

struct loop *loop_new(struct error *error)
{
    struct loop *loop = xcalloc(1, sizeof *loop);

    loop->wake_fd = -1;
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++)
        loop->descriptors[i].fd = -1;
    loop->inbox = inbox_new(LIMIT_INBOX_BYTES, wake, loop);
    loop->now_ms = clock_monotonic_ms();
    loop_block_signals();
    if (!open_signalfd(loop, error) || !open_wake_fd(loop, error) || !open_multi(loop, error)) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_set_handler(struct loop *loop, const struct loop_handler *handler)
{
    loop->handler = *handler;
}

/* What is deferred while the list is worked off waits for the next time: the order stays plain. */
static void run_later(struct loop *loop)
{
    struct deferred *list = loop->later;
    size_t count = loop->later_count;

    loop->later = NULL;
    loop->later_count = loop->later_capacity = 0;
    for (size_t i = 0; i < count; i++)
        list[i].free_object(list[i].object);
    free(list);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    while (loop->later_count > 0)
        run_later(loop);
    free(loop->later);
    timers_clear(&loop->timers);
    wire_forget(loop);
    inbox_free(loop->inbox);
    if (loop->multi != NULL)
        curl_multi_cleanup(loop->multi);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->descriptors[0].fd >= 0)
        close(loop->descriptors[0].fd);
    free(loop);
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now_ms;
}

struct inbox *loop_inbox(struct loop *loop)
{
    return loop->inbox;
}

void *loop_multi(struct loop *loop)
{
    return loop->multi;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

void timer_init(struct timer *timer, struct loop *loop, void (*fire)(void *ctx), void *ctx)
{
    assert(timer->position == 0);
    *timer = (struct timer){.fire = fire, .ctx = ctx, .loop = loop};
}

void timer_set(struct timer *timer, int64_t at_ms)
{
    timer_stop(timer);
    timers_add(&timer->loop->timers, timer, at_ms);
}

void timer_stop(struct timer *timer)
{
    if (timer_is_set(timer))
        timers_remove(&timer->loop->timers, timer);
}

bool timer_is_set(const struct timer *timer)
{
    return timer->position > 0;
}

void loop_free_later(struct loop *loop, void (*free_object)(void *object), void *object)
{
    if (loop->later_count == loop->later_capacity) {
        loop->later_capacity = loop->later_capacity > 0 ? 2 * loop->later_capacity : 8;
        loop->later = xreallocarray(loop->later, loop->later_capacity, sizeof *loop->later);
    }
    loop->later[loop->later_count++] =
        (struct deferred){.free_object = free_object, .object = object};
}

bool loop_add_fd(
    struct loop *loop, int fd, short events, void (*ready)(void *ctx, short revents), void *ctx)
{
    for (size_t i = 1; i < LOOP_DESCRIPTORS; i++) {
        if (loop->descriptors[i].fd < 0) {
            loop->descriptors[i] =
                (struct descriptor){.fd = fd, .events = events, .ready = ready, .ctx = ctx};
            return true;
        }
    }
    return false;
}

void loop_remove_fd(struct loop *loop, int fd)
{
    for (size_t i = 1; i < LOOP_DESCRIPTORS; i++) {
        if (loop->descriptors[i].fd == fd)
            loop->descriptors[i].fd = -1;
    }
}

static void run_finished(struct loop *loop)
{
    unsigned left = LOOP_BATCH;
    int queued = 0;
    CURLMsg *message;

    while (left-- > 0 && (message = curl_multi_info_read(loop->multi, &queued)) != NULL) {
        void *private = NULL;
        const struct loop_transfer *transfer;

        if (message->msg != CURLMSG_DONE)
            continue;
        /* The message is gone once the handle is removed, so nothing of it is used after done. */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        transfer = private;
        transfer->done(transfer->ctx, (int)message->data.result);
    }
    loop->transfers_left = queued > 0;
}

/* curl_multi_poll reports no POLLHUP and no POLLERR for descriptors that are not its own, and a
 * descriptor in that state would make every poll return at once: hence a look of our own, where
 * something was reported and once in a while besides. */
static void run_descriptors(struct loop *loop)
{
    struct pollfd fds[LOOP_DESCRIPTORS];

    if (!loop->descriptor_ready)
        return;
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++)
        fds[i] =
            (struct pollfd){.fd = loop->descriptors[i].fd, .events = loop->descriptors[i].events};
    if (poll(fds, LOOP_DESCRIPTORS, 0) <= 0)
        return;
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++) {
        struct descriptor *descriptor = &loop->descriptors[i];

        /* One that a callback has removed meanwhile is not called any more. */
        if (fds[i].revents != 0 && descriptor->fd == fds[i].fd)
            descriptor->ready(descriptor->ctx, fds[i].revents);
    }
}

static bool inbox_waits(struct loop *loop)
{
    return loop->handler.on_inbox != NULL && inbox_is_ready(loop->inbox);
}

/* One at a time: a handler may empty the inbox itself (mqtt.c does, when a connection has ended).
 */
static void run_inbox(struct loop *loop)
{
    struct inbox_event event;
    unsigned left = LOOP_BATCH;

    if (loop->handler.on_inbox == NULL)
        return;
    while (left-- > 0 && inbox_take(loop->inbox, &event, 1) > 0)
        loop->handler.on_inbox(loop->handler.ctx, &event);
}

static bool run_pass(struct loop *loop, struct error *error)
{
    CURLMcode code;
    int running;

    loop->now_ms = clock_monotonic_ms();
    code = curl_multi_perform(loop->multi, &running);
    if (code != CURLM_OK)
        return error_set(error, ERROR_RUN, "libcurl: %s", curl_multi_strerror(code));
    run_finished(loop);
    /* Before those who ask how things are: events that have not woken the loop may be in it. */
    run_inbox(loop);
    run_descriptors(loop);
    timers_fire(&loop->timers, loop->now_ms, LOOP_BATCH);
    run_later(loop);
    if (loop->handler.before_sleep != NULL)
        loop->handler.before_sleep(loop->handler.ctx);
    return true;
}

static int sleep_ms(struct loop *loop)
{
    int64_t next_ms = timers_next_ms(&loop->timers), now_ms;

    if (loop->stopping || loop->transfers_left || loop->later_count > 0 || inbox_waits(loop))
        return 0;
    if (next_ms == INT64_MAX)
        return LOOP_LONGEST_SLEEP_MS;
    now_ms = clock_monotonic_ms();
    if (next_ms <= now_ms)
        return 0;
    return next_ms - now_ms < LOOP_LONGEST_SLEEP_MS ? (int)(next_ms - now_ms)
                                                    : LOOP_LONGEST_SLEEP_MS;
}

/* What was ready is most often libcurl's, or the wake-up, which comes last: a call to the kernel
 * for each event is saved. */
static void note_ready(
    struct loop *loop, const struct curl_waitfd *fds, unsigned count, bool something)
{
    bool woken = fds[--count].revents != 0;

    if (woken)
        take_wake_up(loop);
    loop->descriptor_ready = false;
    for (unsigned i = 0; i < count; i++)
        loop->descriptor_ready = loop->descriptor_ready || fds[i].revents != 0;
    if (loop->descriptor_ready || woken || !something)
        loop->unexplained = 0;
    else if (++loop->unexplained % LOOP_LOOK_EVERY == 0)
        loop->descriptor_ready = true;
}

static bool sleep_until_due(struct loop *loop, struct error *error)
{
    struct curl_waitfd fds[LOOP_DESCRIPTORS + 1];
    unsigned count = 0;
    int ready = 0;
    CURLMcode code;

    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++) {
        const struct descriptor *descriptor = &loop->descriptors[i];

        if (descriptor->fd < 0)
            continue;
        fds[count] = (struct curl_waitfd){.fd = descriptor->fd};
        if ((descriptor->events & POLLIN) != 0)
            fds[count].events |= CURL_WAIT_POLLIN;
        if ((descriptor->events & POLLOUT) != 0)
            fds[count].events |= CURL_WAIT_POLLOUT;
        count++;
    }
    fds[count++] = (struct curl_waitfd){.fd = loop->wake_fd, .events = CURL_WAIT_POLLIN};
    code = curl_multi_poll(loop->multi, fds, count, sleep_ms(loop), &ready);
    note_ready(loop, fds, count, ready > 0);
    if (code != CURLM_OK)
        return error_set(error, ERROR_RUN, "libcurl: poll: %s", curl_multi_strerror(code));
    return true;
}

bool loop_run(struct loop *loop, struct error *error)
{
    bool running = true;

    while (running && !loop->stopping)
        running = run_pass(loop, error) && (loop->stopping || sleep_until_due(loop, error));
    loop->stopping = false;
    return running;
}
