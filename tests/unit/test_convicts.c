#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "convicts.h"
#include "outbox.h"

static struct outbox_entry entry_of(char *topic, char *payload)
{
    return (struct outbox_entry){
        .topic = topic, .payload = payload, .payload_length = strlen(payload)};
}

static void test_convicts_are_told_by_topic_and_payload(void **state)
{
    char topic[] = "a", other[] = "b", payload[] = "1", later[] = "2";
    struct convicts convicts = {0};
    struct outbox_entry entry = entry_of(topic, payload);
    (void)state;
    assert_false(convicts_has(&convicts, &entry));
    convicts_add(&convicts, &entry);
    entry.sequence = 7;
    assert_true(convicts_has(&convicts, &entry));
    entry = entry_of(other, payload);
    assert_false(convicts_has(&convicts, &entry));
    entry = entry_of(topic, later);
    assert_false(convicts_has(&convicts, &entry));
}

static void test_convicts_forget_the_oldest(void **state)
{
    char topic[] = "a", payload[] = "@";
    struct convicts convicts = {0};
    struct outbox_entry entry = entry_of(topic, payload);
    (void)state;
    for (int i = 0; i <= CONVICTS_KEPT; i++) {
        payload[0] = (char)('@' + i);
        convicts_add(&convicts, &entry);
    }
    assert_true(convicts_has(&convicts, &entry));
    payload[0] = '@' + 1;
    assert_true(convicts_has(&convicts, &entry));
    payload[0] = '@';
    assert_false(convicts_has(&convicts, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convicts_are_told_by_topic_and_payload),
        cmocka_unit_test(test_convicts_forget_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
