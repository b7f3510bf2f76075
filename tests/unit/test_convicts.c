#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "convicts.h"
#include "outbox.h"

static struct outbox_entry entry_of(char *packet)
{
    return (struct outbox_entry){.packet = packet, .length = strlen(packet)};
}

static void test_convicts_are_told_by_the_packet(void **state)
{
    char packet[] = "a1", other[] = "b1", later[] = "a2";
    struct convicts convicts = {0};
    struct outbox_entry entry = entry_of(packet);
    (void)state;
    assert_false(convicts_has(&convicts, &entry));
    convicts_add(&convicts, &entry);
    entry.sequence = 7;
    assert_true(convicts_has(&convicts, &entry));
    entry = entry_of(other);
    assert_false(convicts_has(&convicts, &entry));
    entry = entry_of(later);
    assert_false(convicts_has(&convicts, &entry));
}

static void test_convicts_forget_the_oldest(void **state)
{
    char packet[] = "@";
    struct convicts convicts = {0};
    struct outbox_entry entry = entry_of(packet);
    (void)state;
    for (int i = 0; i <= CONVICTS_KEPT; i++) {
        packet[0] = (char)('@' + i);
        convicts_add(&convicts, &entry);
    }
    assert_true(convicts_has(&convicts, &entry));
    packet[0] = '@' + 1;
    assert_true(convicts_has(&convicts, &entry));
    packet[0] = '@';
    assert_false(convicts_has(&convicts, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convicts_are_told_by_the_packet),
        cmocka_unit_test(test_convicts_forget_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
