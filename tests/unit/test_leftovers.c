#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "announcer.h"
#include "buf.h"
#include "config.h"
#include "leftovers.h"
#include "limit.h"
#include "loop_fixture.h"

static struct fixture fixture;
static struct config config;
static struct announcer *announcer;
static struct leftovers *leftovers;
static bool listens;
static unsigned times; /* that it has begun to listen */

static void on_event(void *ctx)
{
    (void)ctx;
}

static void on_listen(void *ctx, const char *prefix, bool listen)
{
    (void)ctx;
    assert_string_equal(prefix, "ha");
    listens = listen;
    times += listen;
}

static int setup(void **state)
{
    (void)state;
    static char root[] = "aiva", client_id[] = "client-1", prefix[] = "ha";
    config = (struct config){0};
    config.mqtt.topic = root;
    config.mqtt.client_id = client_id;
    config.homeassistant.enabled = true;
    config.homeassistant.prefix = prefix;
    listens = false;
    times = 0;
    fixture_open(&fixture);
    announcer = announcer_new(3);
    leftovers = leftovers_new(fixture.loop, &config, announcer,
        &(struct leftovers_handler){NULL, on_event, on_listen, on_event});
    announcer_read_begin(announcer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leftovers_free(leftovers);
    announcer_free(announcer);
    fixture_close(&fixture);
    return 0;
}

static void receive(const char *object_id, const char *device)
{
    char topic[128], payload[256];
    int topic_length = snprintf(topic, sizeof topic, "ha/device/%s/config", object_id);
    int length = snprintf(payload, sizeof payload,
        "{\"device\":%s,\"origin\":{\"name\":\"aiva-mqtt-bridge\"}}", device);
    leftovers_receive(leftovers, &(struct mqtt_message){.topic = topic,
                                     .topic_length = (size_t)topic_length,
                                     .payload = payload,
                                     .payload_length = (size_t)length,
                                     .retained = true});
}

static void end_reading(void)
{
    announcer_read_end(announcer);
    leftovers_remembered_all(leftovers);
}

/* Clears all that is to be cleared, at once; returns how many that were, and the last. */
static size_t clear_all(char last[static 64])
{
    int64_t now = loop_now(fixture.loop), wake;
    size_t cleared = 0;
    struct announcement sent;
    now += ANNOUNCER_SPACING_MS;
    while (announcer_next(announcer, now, &sent, &wake)) {
        assert_int_equal(sent.length, 0);
        snprintf(last, 64, "%s", sent.topic);
        cleared++;
        announcer_done(announcer, now, ANNOUNCER_SEEN);
        now += ANNOUNCER_PACE_MS;
    }
    announcer_next(announcer, now + ANNOUNCER_SPACING_MS, &sent, &wake);
    return cleared;
}

static bool sweep_is_over(void *ctx)
{
    (void)ctx;
    return !listens;
}

/* What came before the bridge's device is read again, and that device goes last. */
static void test_leftovers_of_another_root_go_with_their_bridge_at_the_end(void **state)
{
    (void)state;
    char last[64];
    for (int pass = 0; pass < 2; pass++) {
        receive("lab_job_one", "{\"via_device\":\"lab_bridge\"}");
        receive("lab_bridge", "{\"serial_number\":\"client-1\"}");
        receive("lab_job_two", "{\"via_device\":\"lab_bridge\"}");
        receive("other_bridge", "{\"serial_number\":\"client-2\"}");
        receive("other_job_one", "{\"via_device\":\"other_bridge\"}");
        if (pass == 0)
            end_reading();
        assert_int_equal(times, 1);
    }
    fixture_run(&fixture, sweep_is_over, NULL);
    assert_int_equal(times, 1);
    assert_int_equal(clear_all(last), 3);
    assert_string_equal(last, "ha/device/lab_bridge/config");
}

/* Anybody who may write there can make it so. */
static void test_leftovers_that_have_no_room_are_read_again_when_there_is(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < LIMIT_DEVICES + 10; i++) {
        snprintf(name, sizeof name, "aiva_job_%d", i);
        receive(name, "{}");
    }
    end_reading();
    assert_int_equal(times, 0);
    announcer_review_begin(announcer);
    announcer_review_end(announcer);
    leftovers_go_on(leftovers);
    assert_int_equal(times, 0);
    assert_int_equal(clear_all(name), LIMIT_DEVICES);
    leftovers_go_on(leftovers);
    assert_int_equal(times, 1);
}

/* Neither live messages nor strange topics are of this. */
static void test_leftovers_are_what_is_retained(void **state)
{
    (void)state;
    static const char payload[] = "{\"origin\":{\"name\":\"aiva-mqtt-bridge\"}}";
    static const struct {
        const char *topic;
        size_t length;
        bool retained;
    } messages[] = {
        {"ha/device/aiva_job_a/config", 27, false},
        {"ha/sensor/aiva_job_a/config", 27, true},
        {"ha/device//config", 17, true},
        {"hb/device/aiva_job_a/config", 27, true},
        {"ha/device/aiva_job_\0/config", 27, true},
    };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        leftovers_receive(leftovers, &(struct mqtt_message){.topic = messages[i].topic,
                                         .topic_length = messages[i].length,
                                         .payload = payload,
                                         .payload_length = sizeof payload - 1,
                                         .retained = messages[i].retained});
    end_reading();
    announcer_review_begin(announcer);
    announcer_review_end(announcer);
    assert_true(announcer_is_idle(announcer));
}

/* The bridge/info of an earlier run is as long as whoever may write it likes. */
static void test_leftovers_remember_so_many_prefixes(void **state)
{
    (void)state;
    struct buf info;
    buf_init(&info, UINT16_MAX);
    buf_append_text(&info, "{\"discovery\":[\"ha\",\"a+\",7");
    for (int i = 0; i < 3 * LIMIT_PREFIXES; i++)
        buf_printf(&info, ",\"p%d\",\"p%d\"", i, i);
    buf_append_text(&info, "]}");
    leftovers_remember_info(leftovers, info.data, info.length);
    buf_clear(&info);
    const struct config_list *prefixes = leftovers_prefixes(leftovers);
    assert_int_equal(prefixes->count, LIMIT_PREFIXES);
    assert_string_equal(prefixes->items[0], "ha");
    assert_string_equal(prefixes->items[1], "p0");
    assert_string_equal(prefixes->items[LIMIT_PREFIXES - 1], "p6");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_leftovers_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_another_root_go_with_their_bridge_at_the_end),
        TEST(that_have_no_room_are_read_again_when_there_is),
        TEST(are_what_is_retained),
        TEST(remember_so_many_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
