/*
 * The owner thread's loop. One pass does everything that is due, in a fixed order, and then sleeps
 * in epoll_wait, which watches libcurl's sockets, the descriptors given here and the wake-up that
 * other threads use. There is no tick: with nothing due the process sleeps.
 *
 * libcurl says which sockets and which time it waits for (its "multi socket" interface), so that a
 * pass for something else does not cost a look at every transfer.
 */
#include "loop.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "timers.h"

enum {
    LOOP_BATCH = 256,                /* of each source in one pass, so that none starves the rest */
    LOOP_DESCRIPTORS = 20 + 1,       /* the first is the signalfd */
    LOOP_IDLE_CONNECTIONS = 8,       /* kept for reuse: a few requests at a time to one host */
    LOOP_LONGEST_SLEEP_MS = 3600000, /* far away, and still an int */
    LOOP_READY = 16,                 /* descriptors that one epoll_wait reports */
    /* How epoll's events are told apart: below are the places of `descriptors`, from LOOP_TRANSFER
     * on libcurl's sockets. */
    LOOP_WAKE_UP = LOOP_DESCRIPTORS,
    LOOP_TRANSFER,
};

struct descriptor {
    int fd;         /* -1: free */
    short reported; /* by the last epoll_wait */
    void (*ready)(void *ctx, short revents);
    void *ctx;
};

struct deferred {
    void (*free_object)(void *object);
    void *object;
};

struct loop {
    CURLM *multi;
    int64_t transfers_due_ms; /* libcurl waits for this time; INT64_MAX: for none */
    int epoll_fd;
    struct epoll_event ready[LOOP_READY];
    int ready_count;
    int wake_fd; /* an eventfd */
    struct inbox *inbox;
    void (*on_inbox)(void *ctx, const struct inbox_event *event);
    void *inbox_ctx;
    struct loop_handler handler;
    struct loop_hook hook;
    struct timers timers;
    struct descriptor descriptors[LOOP_DESCRIPTORS];
    struct deferred *later;
    size_t later_count, later_capacity;
    int64_t now_ms;
    bool transfers_left; /* finished transfers wait for the next pass */
    bool stopping;
};

/* Any thread. */
static void wake(void *ctx)
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

static bool watch(const struct loop *loop, int operation, int fd, uint32_t events, uint64_t who)
{
    struct epoll_event event = {.events = events, .data.u64 = who};

    return epoll_ctl(loop->epoll_fd, operation, fd, &event) == 0;
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
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);

    if (fd < 0)
        return error_set(error, ERROR_RUN, "cannot open a signalfd: %s", strerror(errno));
    if (loop_add_fd(loop, fd, EPOLLIN, on_signalfd, loop))
        return true;
    close(fd);
    return error_set(error, ERROR_RUN, "epoll_ctl: %s", strerror(errno));
}

/* libcurl has a wake-up of its own, curl_multi_wakeup: a pair of sockets, and two calls to take one
 * out of it. */
static bool open_epoll(struct loop *loop, struct error *error)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return error_set(error, ERROR_RUN, "epoll_create1: %s", strerror(errno));
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return error_set(error, ERROR_RUN, "eventfd: %s", strerror(errno));
    if (!watch(loop, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN, LOOP_WAKE_UP))
        return error_set(error, ERROR_RUN, "epoll_ctl: %s", strerror(errno));
    return true;
}

/* libcurl may have closed a socket, and opened another with its number, before it says so. */
static int on_transfer_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    const struct loop *loop = ctx;
    uint64_t who = LOOP_TRANSFER + (uint64_t)fd;
    uint32_t events = 0;

    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE) {
        (void)watch(loop, EPOLL_CTL_DEL, fd, 0, who);
        return 0;
    }
    events |= (what & CURL_POLL_IN) != 0 ? EPOLLIN : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0;
    if (watch(loop, EPOLL_CTL_MOD, fd, events, who))
        return 0;
    /* -1 ends the transfers. */
    return watch(loop, EPOLL_CTL_ADD, fd, events, who) ? 0 : -1;
}

static int on_transfer_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct loop *loop = ctx;

    (void)multi;
    loop->transfers_due_ms = timeout_ms < 0 ? INT64_MAX : clock_monotonic_ms() + timeout_ms;
    return 0;
}

static bool open_multi(struct loop *loop, struct error *error)
{
    loop->multi = curl_multi_init();
    if (loop->multi == NULL)
        return error_set(error, ERROR_RUN, "libcurl: cannot create a multi handle");
    curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)LOOP_IDLE_CONNECTIONS);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_transfer_socket);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_transfer_timer);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    return true;
}

struct loop *loop_new(struct error *error)
{
    struct loop *loop = xcalloc(1, sizeof *loop);

    loop->wake_fd = loop->epoll_fd = -1;
    loop->transfers_due_ms = INT64_MAX;
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++)
        loop->descriptors[i].fd = -1;
    loop->inbox = inbox_new(wake, loop);
    loop->now_ms = clock_monotonic_ms();
    loop_block_signals();
    if (!open_epoll(loop, error) || !open_signalfd(loop, error) || !open_multi(loop, error)) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_set_handler(struct loop *loop, const struct loop_handler *handler)
{
    loop->handler = *handler;
}

void loop_set_hook(struct loop *loop, const struct loop_hook *hook)
{
    assert(hook == NULL || loop->hook.ctx == NULL);
    loop->hook = hook != NULL ? *hook : (struct loop_hook){0};
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
    inbox_free(loop->inbox);
    if (loop->multi != NULL)
        curl_multi_cleanup(loop->multi);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->descriptors[0].fd >= 0)
        close(loop->descriptors[0].fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
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

void loop_on_inbox(
    struct loop *loop, void (*on_event)(void *ctx, const struct inbox_event *event), void *ctx)
{
    loop->on_inbox = on_event;
    loop->inbox_ctx = ctx;
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
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++) {
        if (loop->descriptors[i].fd >= 0)
            continue;
        if (!watch(loop, EPOLL_CTL_ADD, fd, (uint32_t)events, i))
            return false;
        loop->descriptors[i] = (struct descriptor){.fd = fd, .ready = ready, .ctx = ctx};
        return true;
    }
    return false;
}

static struct descriptor *find_descriptor(struct loop *loop, int fd)
{
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++)
        if (loop->descriptors[i].fd == fd)
            return &loop->descriptors[i];
    return NULL;
}

void loop_watch_fd(struct loop *loop, int fd, short events)
{
    const struct descriptor *descriptor = find_descriptor(loop, fd);

    assert(descriptor != NULL);
    (void)watch(
        loop, EPOLL_CTL_MOD, fd, (uint32_t)events, (uint64_t)(descriptor - loop->descriptors));
}

void loop_remove_fd(struct loop *loop, int fd)
{
    struct descriptor *descriptor = find_descriptor(loop, fd);

    if (descriptor == NULL)
        return;
    (void)watch(loop, EPOLL_CTL_DEL, fd, 0, 0);
    *descriptor = (struct descriptor){.fd = -1};
}

static void run_hooked(const struct loop *loop, void (*step)(void *ctx))
{
    if (loop->hook.before != NULL)
        loop->hook.before(loop->hook.ctx);
    if (step != NULL)
        step(loop->handler.ctx);
    if (loop->hook.after != NULL)
        loop->hook.after(loop->hook.ctx);
}

void loop_breathe(struct loop *loop)
{
    run_hooked(loop, loop->handler.meanwhile);
}

int64_t loop_turn_begin(void)
{
    return clock_monotonic_ms();
}

bool loop_turn_is_over(int64_t begun_ms)
{
    return clock_monotonic_ms() - begun_ms >= LOOP_TURN_MS;
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

static void run_descriptors(struct loop *loop)
{
    for (size_t i = 0; i < LOOP_DESCRIPTORS; i++) {
        struct descriptor *descriptor = &loop->descriptors[i];
        short reported = descriptor->reported;

        /* One that a callback removes meanwhile is not called any more. */
        descriptor->reported = 0;
        if (reported != 0)
            descriptor->ready(descriptor->ctx, reported);
    }
}

static bool inbox_waits(struct loop *loop)
{
    return loop->on_inbox != NULL && inbox_is_ready(loop->inbox);
}

static void run_inbox(struct loop *loop)
{
    struct inbox_event event;
    unsigned left = LOOP_BATCH;

    if (loop->on_inbox == NULL)
        return;
    while (left-- > 0 && inbox_take(loop->inbox, &event, 1) > 0)
        loop->on_inbox(loop->inbox_ctx, &event);
}

static bool act(struct loop *loop, curl_socket_t fd, int events, struct error *error)
{
    int running;
    CURLMcode code = curl_multi_socket_action(loop->multi, fd, events, &running);

    return code == CURLM_OK ||
           error_set(error, ERROR_RUN, "libcurl: %s", curl_multi_strerror(code));
}

/* libcurl says nothing where the time that it waits for is still the same: that it was some
 * microseconds too early. */
static void renew_transfer_timer(struct loop *loop)
{
    long timeout_ms = -1;

    if (loop->transfers_due_ms != INT64_MAX)
        return;
    (void)curl_multi_timeout(loop->multi, &timeout_ms);
    (void)on_transfer_timer(loop->multi, timeout_ms, loop);
}

/* libcurl's sockets first: what they bring may be in time for everything else of this pass. */
static bool run_transfers(struct loop *loop, struct error *error)
{
    for (int i = 0; i < loop->ready_count; i++) {
        uint32_t events = loop->ready[i].events;
        int mask = 0;

        if (loop->ready[i].data.u64 < LOOP_TRANSFER)
            continue;
        mask |= (events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
        mask |= (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
        mask |= (events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
        if (!act(loop, (curl_socket_t)(loop->ready[i].data.u64 - LOOP_TRANSFER), mask, error))
            return false;
    }
    if (loop->transfers_due_ms <= loop->now_ms) {
        loop->transfers_due_ms = INT64_MAX;
        if (!act(loop, CURL_SOCKET_TIMEOUT, 0, error))
            return false;
        renew_transfer_timer(loop);
    }
    run_finished(loop);
    return true;
}

static bool run_pass(struct loop *loop, struct error *error)
{
    loop->now_ms = clock_monotonic_ms();
    if (!run_transfers(loop, error))
        return false;
    /* Before those who ask how things are: events that have not woken the loop may be in it. */
    run_inbox(loop);
    run_descriptors(loop);
    timers_fire(&loop->timers, loop->now_ms, LOOP_BATCH);
    run_later(loop);
    run_hooked(loop, loop->handler.before_sleep);
    return true;
}

static int sleep_ms(struct loop *loop)
{
    int64_t next_ms = timers_next_ms(&loop->timers), now_ms;

    if (loop->transfers_due_ms < next_ms)
        next_ms = loop->transfers_due_ms;
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

static bool sleep_until_due(struct loop *loop, struct error *error)
{
    int count = epoll_wait(loop->epoll_fd, loop->ready, LOOP_READY, sleep_ms(loop));

    if (count < 0 && errno != EINTR)
        return error_set(error, ERROR_RUN, "epoll_wait: %s", strerror(errno));
    loop->ready_count = count > 0 ? count : 0;
    for (int i = 0; i < loop->ready_count; i++) {
        uint64_t who = loop->ready[i].data.u64;

        if (who == LOOP_WAKE_UP)
            take_wake_up(loop);
        else if (who < LOOP_DESCRIPTORS)
            loop->descriptors[who].reported = (short)loop->ready[i].events;
    }
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
