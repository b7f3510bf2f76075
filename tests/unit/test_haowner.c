#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "haowner.h"
#include "limit.h"
#include "mem.h"

static struct haowner *owner;

static int setup(void **state)
{
    (void)state;
    owner = haowner_new("aiva", "client-1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    haowner_free(owner);
    return 0;
}

static enum haowner_verdict judge_bridge(const char *object_id, const char *client_id)
{
    char payload[LIMIT_OBJECT_ID];
    int length = snprintf(payload, sizeof payload,
        "{\"device\":{\"serial_number\":\"%s\"},\"origin\":{\"name\":\"aiva-mqtt-bridge\"}}",
        client_id);
    return haowner_judge(owner, object_id, payload, (size_t)length);
}

static enum haowner_verdict judge_job(const char *object_id, const char *bridge)
{
    char payload[LIMIT_OBJECT_ID];
    int length = snprintf(payload, sizeof payload,
        "{\"device\":{\"serial_number\":\"client-1\",\"via_device\":\"%s\"},"
        "\"origin\":{\"name\":\"aiva-mqtt-bridge\"}}",
        bridge);
    return haowner_judge(owner, object_id, payload, (size_t)length);
}

static void test_haowner_knows_its_own_root_by_the_object_id(void **state)
{
    (void)state;
    static const char foreign[] = "{\"origin\":{\"name\":\"zigbee2mqtt\"}}";
    assert_int_equal(judge_bridge("aiva_bridge", "whoever"), HAOWNER_BRIDGE);
    assert_int_equal(judge_job("aiva_job_one", "aiva_bridge"), HAOWNER_JOB);
    assert_int_equal(
        haowner_judge(owner, "aiva_job_one", foreign, sizeof foreign - 1), HAOWNER_OTHER);
    assert_int_equal(haowner_judge(owner, "aiva_job_one", "{", 1), HAOWNER_OTHER);
    assert_int_equal(haowner_roots(owner), 0);
}

static void test_haowner_knows_another_root_once_its_bridge_was_seen(void **state)
{
    (void)state;
    assert_int_equal(judge_job("lab_job_one", "lab_bridge"), HAOWNER_OTHER);
    assert_int_equal(judge_bridge("other_bridge", "client-2"), HAOWNER_OTHER);
    assert_int_equal(judge_job("other_job_one", "other_bridge"), HAOWNER_OTHER);
    assert_int_equal(haowner_roots(owner), 0);
    assert_int_equal(judge_bridge("lab_bridge", "client-1"), HAOWNER_EARLIER_BRIDGE);
    assert_int_equal(haowner_roots(owner), 1);
    assert_int_equal(judge_job("lab_job_one", "lab_bridge"), HAOWNER_EARLIER_JOB);
    assert_int_equal(judge_bridge("lab_bridge", "client-1"), HAOWNER_EARLIER_BRIDGE);
    assert_int_equal(haowner_roots(owner), 1);
    haowner_forget(owner);
    assert_int_equal(judge_job("lab_job_one", "lab_bridge"), HAOWNER_OTHER);
}

static void test_haowner_remembers_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    char name[LIMIT_OBJECT_ID + 2];
    for (int i = 0; i < LIMIT_EARLIER_ROOTS; i++) {
        snprintf(name, sizeof name, "lab%d_bridge", i);
        assert_int_equal(judge_bridge(name, "client-1"), HAOWNER_EARLIER_BRIDGE);
    }
    assert_int_equal(haowner_roots_left_out(owner), 0);
    assert_int_equal(judge_bridge("one_too_many", "client-1"), HAOWNER_OTHER);
    assert_int_equal(judge_bridge("lab0_bridge", "client-1"), HAOWNER_EARLIER_BRIDGE);
    assert_int_equal(haowner_roots_left_out(owner), 1);
    haowner_forget(owner);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(judge_bridge(name, "client-1"), HAOWNER_OTHER);
    name[LIMIT_OBJECT_ID] = '\0';
    assert_int_equal(judge_bridge(name, "client-1"), HAOWNER_EARLIER_BRIDGE);
}

/* Nothing of ours is so large. */
static void test_haowner_does_not_read_what_is_too_large(void **state)
{
    (void)state;
    static const char head[] = "{\"origin\":{\"name\":\"aiva-mqtt-bridge\"},\"x\":\"";
    char *payload = xmalloc(LIMIT_DISCOVERY + 1);
    memset(payload, 'x', LIMIT_DISCOVERY + 1);
    memcpy(payload, head, sizeof head - 1);
    memcpy(payload + LIMIT_DISCOVERY - 2, "\"}", 2);
    assert_int_equal(haowner_judge(owner, "aiva_job_one", payload, LIMIT_DISCOVERY), HAOWNER_JOB);
    payload[LIMIT_DISCOVERY] = ' ';
    assert_int_equal(
        haowner_judge(owner, "aiva_job_one", payload, LIMIT_DISCOVERY + 1), HAOWNER_OTHER);
    free(payload);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_haowner_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(knows_its_own_root_by_the_object_id),
        TEST(knows_another_root_once_its_bridge_was_seen),
        TEST(remembers_no_more_than_there_is_room_for),
        TEST(does_not_read_what_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
