#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "healthcheck.h"

/* What http.listen may be, and whom to ask then. */
static void test_healthcheck_asks_an_address_that_can_be_asked(void **state)
{
    static const char *const cases[][2] = {
        {"127.0.0.1:9280", "http://127.0.0.1:9280"},
        {"192.0.2.7:80", "http://192.0.2.7:80"},
        {"localhost:9280", "http://localhost:9280"},
        {"0.0.0.0:9280", "http://127.0.0.1:9280"},
        {"[::1]:9280", "http://[::1]:9280"},
        {"[2001:db8::1]:9280", "http://[2001:db8::1]:9280"},
        {"[::]:9280", "http://[::1]:9280"},
        {"[0:0:0:0:0:0:0:0]:9280", "http://[::1]:9280"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *url = healthcheck_url(cases[i][0]);
        assert_string_equal(url, cases[i][1]);
        free(url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthcheck_asks_an_address_that_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
