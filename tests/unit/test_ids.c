#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ids.h"
#include "mem.h"

static void test_ids_gives_the_last_one_first(void **state)
{
    (void)state;
    struct ids ids = {0};
    char text[16];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%d", i);
        ids_take(&ids, xstrdup(text));
    }
    for (int i = 199; i >= 0; i--) {
        char *id = ids_last(&ids);
        snprintf(text, sizeof text, "%d", i);
        assert_string_equal(id, text);
        free(id);
    }
    assert_int_equal(ids.count, 0);
    ids_clear(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_gives_the_last_one_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
