#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "inbox.h"

/*
 * The owner thread's event loop: libcurl's transfers, signals, the inbox, timers, deferred frees.
 * One pass: read the clock -> libcurl's sockets and time -> finished transfers -> inbox -> signals,
 * fds -> due timers -> "later" list -> before_sleep, between the hook's two -> epoll_wait until the
 * next timer.
 * Every step has a batch limit; leftover work makes the poll return at once. All functions are
 * for the owner thread unless they say otherwise.
 */
struct loop;

struct loop_handler {
    void *ctx;
    void (*on_signal)(void *ctx, int signal_number); /* SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 */
    void (*before_sleep)(void *ctx);                 /* the last step of each pass */
    void (*meanwhile)(void *ctx);                    /* see loop_breathe */
};

/* What the connection to the broker does in each pass, around the handler's before_sleep, and
 * around its meanwhile. */
struct loop_hook {
    void *ctx;
    void (*before)(void *ctx); /* takes what has come without waking the loop */
    void (*after)(void *ctx);  /* sends together what the pass has brought about */
};

/* Blocks the signals of on_signal until a loop reads them, and ignores SIGPIPE. Early, before any
 * thread is started: a stop that is asked for while the program starts is then an orderly one. */
void loop_block_signals(void);

/* Does what loop_block_signals does, opens a signalfd and the multi handle. To be
 * called before any thread is started, so that every thread inherits the mask. NULL and the error
 * (ERROR_RUN) on failure. The handler is copied; loop_set_handler may replace it. */
struct loop *loop_new(struct error *error) NODISCARD;
void loop_set_handler(struct loop *loop, const struct loop_handler *handler);
/* There is one; NULL takes it away. Copied. */
void loop_set_hook(struct loop *loop, const struct loop_hook *hook);
/* Runs the "later" list and frees. Timers and transfers must have been stopped. */
void loop_free(struct loop *loop);

/* Runs until loop_stop. False and the error (ERROR_RUN) if polling fails for good. */
bool loop_run(struct loop *loop, struct error *error) NODISCARD;
void loop_stop(struct loop *loop);

/* For whoever is at work for longer than others can wait: has done what must not wait for the end
 * of the pass, by the handler's `meanwhile`. */
void loop_breathe(struct loop *loop);

/* Work that takes long is done in turns, one a pass: a timer that is set to loop_now comes in the
 * next. loop_turn_begin returns the moment, for loop_turn_is_over: the turn has taken long enough.
 */
#define LOOP_TURN_MS 10
int64_t loop_turn_begin(void);
bool loop_turn_is_over(int64_t begun_ms);

/* The pass's time, monotonic milliseconds: read once a pass. */
int64_t loop_now(const struct loop *loop);
/* Any thread may push to it. */
struct inbox *loop_inbox(struct loop *loop);
/* Who gets its events, on the owner thread; NULL: they stay inside. */
void loop_on_inbox(
    struct loop *loop, void (*on_event)(void *ctx, const struct inbox_event *event), void *ctx);
/* The CURLM handle, for http.c and httpstream.c only (void so that no one else needs curl.h). */
void *loop_multi(struct loop *loop);

/* A timer, embedded in its owner. Zero-initialise, then timer_init. Fires once. */
struct timer {
    void (*fire)(void *ctx);
    void *ctx;
    int64_t at_ms;
    struct loop *loop;
    unsigned position; /* in the heap, from 1; 0 where not set */
};

void timer_init(struct timer *timer, struct loop *loop, void (*fire)(void *ctx), void *ctx);
/* Fires at the monotonic time at_ms, or in the next pass if that is past; moves it if already set.
 */
void timer_set(struct timer *timer, int64_t at_ms);
void timer_stop(struct timer *timer);
bool timer_is_set(const struct timer *timer);

/* Calls free_object(object) at the end of this pass, after all callbacks of the pass. */
void loop_free_later(struct loop *loop, void (*free_object)(void *object), void *object);

/* An extra descriptor; ready is called with the poll(2) revents. At most 20. False if full, or
 * where the kernel refuses it. To be removed before it is closed. */
bool loop_add_fd(struct loop *loop, int fd, short events, void (*ready)(void *ctx, short revents),
    void *ctx) NODISCARD;
/* What to wait for from now on: 0 for an end of it alone (POLLHUP, POLLERR). */
void loop_watch_fd(struct loop *loop, int fd, short events);
void loop_remove_fd(struct loop *loop, int fd);

/* What a finished transfer calls; private data of each easy handle is a `struct loop_transfer *`.
 */
struct loop_transfer {
    void (*done)(void *ctx, int curl_code);
    void *ctx;
};

#endif
