#ifndef LOOP_FIXTURE_H
#define LOOP_FIXTURE_H

/* A loop for tests, run until a condition holds; include after cmocka.h. */
#include "error.h"
#include "loop.h"

struct fixture {
    struct loop *loop;
    struct timer limit; /* a condition that never comes fails the test instead of hanging it */
    bool (*is_done)(void *ctx);
    void *ctx;
    bool late;
};

static inline void fixture_too_late(void *ctx)
{
    struct fixture *fixture = ctx;

    fixture->late = true;
    loop_stop(fixture->loop);
}

static inline void fixture_before_sleep(void *ctx)
{
    struct fixture *fixture = ctx;

    if (fixture->is_done != NULL && fixture->is_done(fixture->ctx))
        loop_stop(fixture->loop);
}

static inline void fixture_open(struct fixture *fixture)
{
    struct error error;

    *fixture = (struct fixture){0};
    fixture->loop = loop_new(&error);
    assert_non_null(fixture->loop);
    loop_set_handler(fixture->loop,
        &(struct loop_handler){.ctx = fixture, .before_sleep = fixture_before_sleep});
    timer_init(&fixture->limit, fixture->loop, fixture_too_late, fixture);
}

static inline void fixture_run(struct fixture *fixture, bool (*is_done)(void *ctx), void *ctx)
{
    struct error error = {0};

    fixture->is_done = is_done;
    fixture->ctx = ctx;
    fixture->late = false;
    timer_set(&fixture->limit, loop_now(fixture->loop) + 20000);
    assert_true(loop_run(fixture->loop, &error));
    assert_false(fixture->late);
    timer_stop(&fixture->limit);
}

static inline void fixture_close(struct fixture *fixture)
{
    timer_stop(&fixture->limit);
    loop_free(fixture->loop);
}

#endif
