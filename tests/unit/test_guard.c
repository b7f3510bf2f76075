#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "guard.h"

static void test_guard_closes_the_process(void **state)
{
    struct rlimit core;

    (void)state;
    guard_process();
    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_cur, 0);
    assert_int_equal(core.rlim_max, 0);
}

static void test_guard_wipes_secrets_of_the_environment(void **state)
{
    char key[] = "AIVA_API_KEY=secret", password[] = "MQTT_PASSWORD=hunter2";

    (void)state;
    putenv(key);
    putenv(password);
    guard_environment();
    assert_null(getenv("AIVA_API_KEY"));
    assert_null(getenv("MQTT_PASSWORD"));
    assert_memory_equal(key, "AIVA_API_KEY=\0\0\0\0\0\0", sizeof key);
    assert_memory_equal(password, "MQTT_PASSWORD=\0\0\0\0\0\0\0", sizeof password);
    guard_environment();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_closes_the_process),
        cmocka_unit_test(test_guard_wipes_secrets_of_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
