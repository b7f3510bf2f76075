#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "idset.h"

static void test_idset_takes_one_out_wherever_it_stands(void **state)
{
    (void)state;
    struct idset set = {0};
    assert_false(idset_remove(&set, "a"));
    idset_add(&set, "a");
    idset_add(&set, "b");
    idset_add(&set, "c");
    idset_add(&set, "b");
    assert_int_equal(idset_count(&set), 3);
    assert_false(idset_remove(&set, "d"));
    assert_true(idset_remove(&set, "b"));
    assert_false(idset_remove(&set, "b"));
    assert_true(idset_remove(&set, "c"));
    assert_int_equal(idset_count(&set), 1);
    idset_clear(&set);
    assert_int_equal(idset_count(&set), 0);
    assert_false(idset_remove(&set, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idset_takes_one_out_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
