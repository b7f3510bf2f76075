#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "readiness.h"

static struct readiness well(void)
{
    return (struct readiness){
        .broker_connected = true,
        .broker_url = "mqtt://broker:1883",
        .broker_detail = "",
        .memory_read = true,
        .upstream_state = "streaming",
        .upstream_detail = "the event stream is open",
        .upstream_since_ms = 1700000000123,
        .waiting_messages = 3,
    };
}

static void assert_text(void (*write)(struct buf *out, const struct readiness *readiness),
    const struct readiness *readiness, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    write(&out, readiness);
    assert_string_equal(out.data, expected);
    buf_clear(&out);
}

static void test_readiness_needs_the_broker_and_the_upstream(void **state)
{
    static const struct {
        const char *upstream;
        bool broker, stopping, ready;
    } cases[] = {
        {"streaming", true, false, true},
        {"polling", true, false, true},
        {"connecting", true, false, false},
        {"unauthorized", true, false, false},
        {"unavailable", true, false, false},
        {"streaming", false, false, false},
        {"streaming", true, true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct readiness readiness = well();
        readiness.upstream_state = cases[i].upstream;
        readiness.broker_connected = cases[i].broker;
        readiness.stopping = cases[i].stopping;
        assert_int_equal(readiness_is_given(&readiness), cases[i].ready);
    }
}

static void test_readiness_says_that_all_is_well(void **state)
{
    struct readiness readiness = well();
    (void)state;
    assert_text(readiness_write, &readiness,
        "{\"ready\":true,\"reasons\":[],"
        "\"broker\":{\"connected\":true,\"url\":\"mqtt://broker:1883\"},"
        "\"upstream\":{\"state\":\"streaming\",\"since\":\"2023-11-14T22:13:20.123Z\","
        "\"detail\":\"the event stream is open\"},\"stream_paused\":false,"
        "\"waiting_messages\":3}\n");
    assert_text(readiness_summary, &readiness, "connected to mqtt://broker:1883; AIVA: streaming");
}

static void test_readiness_names_a_topic_that_is_refused(void **state)
{
    struct readiness readiness = well();
    (void)state;
    readiness.refused_topic = "";
    readiness.refused_reason = "";
    assert_true(readiness_is_given(&readiness));
    readiness.refused_topic = "aiva/bridge/state";
    readiness.refused_reason = "not authorized";
    assert_false(readiness_is_given(&readiness));
    assert_text(
        readiness_summary, &readiness, "the broker refuses aiva/bridge/state: not authorized");
}

static void test_readiness_gives_every_reason(void **state)
{
    struct readiness readiness = well();
    (void)state;
    readiness.stopping = true;
    readiness.broker_connected = false;
    readiness.broker_detail = "not authorised \"\n";
    readiness.upstream_state = "unauthorized";
    readiness.upstream_detail = "AIVA refuses the key";
    assert_text(readiness_summary, &readiness,
        "the bridge is being stopped; no connection to the broker mqtt://broker:1883: not "
        "authorised \"\n; AIVA: unauthorized: AIVA refuses the key");
    struct buf out;
    buf_init(&out, 65536);
    readiness_write(&out, &readiness);
    struct json_object body = {0};
    assert_int_equal(json_object_read(&body, out.data, out.length), JSON_OK);
    struct json_slice reasons = json_find(&body, "reasons")->value;
    const char expected[] =
        "[\"the bridge is being stopped\",\"no connection to the broker mqtt://broker:1883: not "
        "authorised \\\"\\u000a\",\"AIVA: unauthorized: AIVA refuses the key\"]";
    assert_int_equal(reasons.length, strlen(expected));
    assert_memory_equal(reasons.at, expected, reasons.length);
    json_object_clear(&body);
    buf_clear(&out);
}

static void test_readiness_knows_what_comes_first(void **state)
{
    struct readiness readiness = well();
    (void)state;
    readiness.memory_read = false;
    readiness.upstream_state = "connecting";
    assert_text(readiness_summary, &readiness,
        "AIVA: connecting: asked once the broker's retained topics have been read");
    readiness.broker_connected = false;
    assert_text(readiness_summary, &readiness,
        "no connection to the broker mqtt://broker:1883: connecting; AIVA: connecting: asked once "
        "the broker's retained topics have been read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readiness_needs_the_broker_and_the_upstream),
        cmocka_unit_test(test_readiness_says_that_all_is_well),
        cmocka_unit_test(test_readiness_names_a_topic_that_is_refused),
        cmocka_unit_test(test_readiness_gives_every_reason),
        cmocka_unit_test(test_readiness_knows_what_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
