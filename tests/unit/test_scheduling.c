#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "scheduling.h"

struct policies {
    int chosen; /* before; -1: none */
    int modest;
    int inherited; /* by a thread that begins then */
    int released;
};

static void *read_policy(void *ctx)
{
    *(int *)ctx = sched_getscheduler(0);
    return NULL;
}

static void *be_modest(void *ctx)
{
    const struct sched_param none = {0};
    struct policies *policies = ctx;
    pthread_t thread;
    if (policies->chosen >= 0)
        assert_int_equal(sched_setscheduler(0, policies->chosen, &none), 0);
    scheduling_be_modest();
    policies->modest = sched_getscheduler(0);
    assert_int_equal(pthread_create(&thread, NULL, read_policy, &policies->inherited), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    scheduling_be_modest();
    scheduling_release();
    policies->released = sched_getscheduler(0);
    return NULL;
}

/* On a thread of its own, as the policy is one of a thread. */
static struct policies policies_where(int chosen)
{
    struct policies policies = {.chosen = chosen};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_modest, &policies), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return policies;
}

static void test_scheduling_is_modest_until_it_is_released(void **state)
{
    struct policies policies = policies_where(-1);
    (void)state;
    assert_int_equal(policies.modest, SCHED_BATCH);
    assert_int_equal(policies.inherited, SCHED_BATCH);
    assert_int_equal(policies.released, SCHED_OTHER);
}

static void test_scheduling_leaves_what_was_chosen(void **state)
{
    const int choices[] = {SCHED_BATCH, SCHED_IDLE};
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        struct policies policies = policies_where(choices[i]);
        assert_int_equal(policies.modest, choices[i]);
        assert_int_equal(policies.inherited, choices[i]);
        assert_int_equal(policies.released, choices[i]);
    }
}

/* Of this thread, as systemd's SystemCallFilter does it for a process. */
static void forbid_choosing(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setscheduler, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void *be_modest_in_vain(void *ctx)
{
    forbid_choosing();
    return be_modest(ctx);
}

static void test_scheduling_goes_on_where_the_system_refuses(void **state)
{
    struct policies policies = {.chosen = -1};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, be_modest_in_vain, &policies), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(policies.modest, SCHED_OTHER);
    assert_int_equal(policies.inherited, SCHED_OTHER);
    assert_int_equal(policies.released, SCHED_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduling_is_modest_until_it_is_released),
        cmocka_unit_test(test_scheduling_leaves_what_was_chosen),
        cmocka_unit_test(test_scheduling_goes_on_where_the_system_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
