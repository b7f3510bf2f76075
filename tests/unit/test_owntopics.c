#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "owntopics.h"

static void test_owntopics_keep_the_last_value(void **state)
{
    struct owntopics own;
    char value[] = "online";
    (void)state;
    owntopics_init(&own, "lab/aiva");
    assert_false(owntopics_is_set(&own, OWNTOPIC_STATE));
    owntopics_set(&own, OWNTOPIC_STATE, "offline", 7);
    owntopics_set(&own, OWNTOPIC_STATE, value, 6);
    value[0] = 'X';
    assert_true(owntopics_is_set(&own, OWNTOPIC_STATE));
    assert_false(owntopics_is_set(&own, OWNTOPIC_INFO));
    struct outbox_message message = owntopics_message(&own, OWNTOPIC_STATE);
    assert_string_equal(message.topic, "lab/aiva/bridge/state");
    assert_int_equal(message.payload_length, 6);
    assert_memory_equal(message.payload, "online", 6);
    assert_int_equal(message.slot, OWNTOPIC_STATE);
    assert_true(message.retain);
    assert_false(message.json);
    owntopics_set(&own, OWNTOPIC_JOBS, "{}", 2);
    message = owntopics_message(&own, OWNTOPIC_JOBS);
    assert_string_equal(message.topic, "lab/aiva/bridge/jobs");
    assert_true(message.json);
    owntopics_clear(&own);
    assert_false(owntopics_is_set(&own, OWNTOPIC_JOBS));
}

static void test_owntopics_know_what_was_refused(void **state)
{
    struct owntopics own;
    (void)state;
    owntopics_init(&own, "aiva");
    owntopics_note_refusal(&own, "aiva/bridge/info");
    owntopics_note_refusal(&own, "aiva/jobs/info/state");
    owntopics_note_refusal(&own, "aiva/bridge/infos");
    assert_false(owntopics_take_refusal(&own, OWNTOPIC_STATE));
    assert_false(owntopics_take_refusal(&own, OWNTOPIC_JOBS));
    assert_true(owntopics_take_refusal(&own, OWNTOPIC_INFO));
    assert_false(owntopics_take_refusal(&own, OWNTOPIC_INFO));
    owntopics_note_refusal(&own, "aiva/bridge/upstream");
    owntopics_forget_refusals(&own);
    assert_false(owntopics_take_refusal(&own, OWNTOPIC_UPSTREAM));
    owntopics_clear(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owntopics_keep_the_last_value),
        cmocka_unit_test(test_owntopics_know_what_was_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
