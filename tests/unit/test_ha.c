#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ha.h"
#include "hafound.h"
#include "haid.h"

/* ---- Names */

static char *job_object_id(const char *root, const char *id)
{
    struct buf out;
    buf_init(&out, 65536);
    haid_append_job(&out, root, id);
    assert_false(out.failed);
    return buf_take(&out);
}

static char *bridge_object_id(const char *root)
{
    struct buf out;
    buf_init(&out, 65536);
    haid_append_bridge(&out, root);
    return buf_take(&out);
}

static void assert_object_id(const char *root, const char *id, const char *expected)
{
    char *found = id ? job_object_id(root, id) : bridge_object_id(root);
    assert_string_equal(found, expected);
    assert_int_equal(strspn(found, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-"),
        strlen(found));
    assert_int_equal(haid_recognise(root, found), id ? HAID_JOB : HAID_BRIDGE);
    free(found);
}

#define OF_64 "0123456789012345678901234567890123456789012345678901234567890123"

static const char of_65[] = OF_64 "x";

static void test_ha_names_are_plain_where_they_can_be(void **state)
{
    (void)state;
    assert_object_id("aiva", NULL, "aiva_bridge");
    assert_object_id("aiva", "job_abc123", "aiva_job_job_abc123");
    assert_object_id("aiva", OF_64, "aiva_job_" OF_64);
    assert_object_id("a_b", "x", "a_b_job_x");
    assert_object_id("lab-2", "X-1", "lab-2_job_X-1");
}

static void test_ha_names_escape_what_a_discovery_topic_refuses(void **state)
{
    (void)state;
    assert_object_id("a/b", NULL, "x-a-2Fb_bridge");
    assert_object_id("aiva", "a.b", "aiva_job_x-a-2Eb");
    assert_object_id("aiva", "a b", "aiva_job_x-a-20b");
    assert_object_id("aiva", "\xc3\xa4", "aiva_job_x--C3-A4");
    assert_object_id("aiva", OF_64 "4", "aiva_job_x-" OF_64 "4");
    /* What looks as if it had been escaped. */
    assert_object_id("aiva", "x-a-2Eb", "aiva_job_x-x-2Da-2D2Eb");
    assert_object_id("x-a", "x-", "x-x-2Da_job_x-x-2D");
}

/* Every pair of a root and an id, or none for the bridge, has a name of its own. */
static void test_ha_names_never_collide(void **state)
{
    (void)state;
    static const char *const roots[] = {"aiva", "a/b", "a_b", "a-b", "a-2Fb", "x-a-2Fb", "aiva_job",
        "aiva_job_x", "aiva_bridge", "aiva_job_a_job", "A_B", "a_j", "a_jo", "a_jo/b", "aiva/job"};
    static const char *const ids[] = {NULL, "a", "a.b", "a-2Eb", "x-a-2Eb", "job_x", "x_job_a",
        "bridge", "x", "a_b", "a b", "a-b", "A", "a_job_a", "job", "_job", "b_job_x", "\xc3\xa4",
        "\xc3", "a/b", OF_64, of_65};
    enum { ROOTS = sizeof roots / sizeof *roots, IDS = sizeof ids / sizeof *ids };
    char *names[ROOTS * IDS];
    for (size_t i = 0; i < ROOTS * IDS; i++)
        names[i] = ids[i % IDS] ? job_object_id(roots[i / IDS], ids[i % IDS])
                                : bridge_object_id(roots[i / IDS]);
    for (size_t i = 0; i < ROOTS * IDS; i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
        for (size_t root = 0; root < ROOTS; root++)
            assert_int_equal(haid_recognise(roots[root], names[i]) != HAID_OTHER, root == i / IDS);
    }
    for (size_t i = 0; i < ROOTS * IDS; i++)
        free(names[i]);
}

static void assert_slug(const char *text, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    buf_append_text(&out, ">");
    haid_append_slug(&out, text);
    assert_string_equal(out.data + 1, expected);
    buf_clear(&out);
}

static void test_ha_entity_ids_are_as_home_assistant_writes_them(void **state)
{
    (void)state;
    assert_slug("aiva_job_Job-1_Created", "aiva_job_job_1_created");
    assert_slug("__a  b__", "a_b");
    assert_slug(OF_64 OF_64 OF_64 "123456789", OF_64 OF_64 OF_64 "12345678");
}

/* ---- What devices are called */

struct fixture {
    struct job_hidden hidden;
    struct ha ha;
    struct json_object scratch;
    struct buf out;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->ha = (struct ha){.root = "aiva",
        .client_id = "client-1",
        .version = "1.2.3",
        .allow = CONFIG_COMMAND_CANCEL | CONFIG_COMMAND_DELETE | CONFIG_COMMAND_REFRESH,
        .hidden = &f->hidden};
    buf_init(&f->out, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    json_object_clear(&f->scratch);
    buf_clear(&f->out);
    free(f);
    return 0;
}

static void assert_name(
    struct fixture *f, const char *record, enum config_device_name how, const char *expected)
{
    struct job job = {.id = "job\n1", .text = record, .length = (uint32_t)strlen(record)};
    buf_reset(&f->out);
    ha_append_name(&f->out, &job, how, &f->scratch);
    assert_string_equal(f->out.data, expected);
}

#define FIFTY "12345678901234567890123456789012345678901234567890"

static void test_ha_devices_are_named_after_their_sample(void **state)
{
    struct fixture *f = *state;
    enum config_device_name sample = CONFIG_DEVICE_SAMPLE_NAME;
    assert_name(f, "{\"sample_name\":\"Patient-001\"}", sample, "Patient-001");
    assert_name(f, "{\"sample_name\":\" \\u0009 a\\u0007 \\n \\u2028b  \"}", sample, "a b");
    assert_name(f, "{\"sample_name\":\"{{ 1 }} \\\"x\\\" \\ud83e\\uddec\"}", sample,
        "{{ 1 }} \"x\" \xf0\x9f\xa7\xac");
    assert_name(f, "{\"sample_name\":4711}", sample, "4711");
    assert_name(f, "{\"sample_name\":\"" FIFTY FIFTY "\"}", sample, FIFTY FIFTY);
    assert_name(f, "{\"sample_name\":\"" FIFTY FIFTY " \"}", sample, FIFTY FIFTY);
    assert_name(f, "{\"sample_name\":\"" FIFTY FIFTY "x\"}", sample, FIFTY FIFTY "\xe2\x80\xa6");
    /* Characters count, not bytes. */
    assert_name(f, "{\"sample_name\":\"\xc3\xa4" FIFTY FIFTY "\"}", sample,
        "\xc3\xa4" FIFTY "1234567890123456789012345678901234567890123456789\xe2\x80\xa6");
}

static void test_ha_devices_are_named_by_job_id_otherwise(void **state)
{
    struct fixture *f = *state;
    static const char *const nameless[] = {"{}", "{\"sample_name\":\"\"}",
        "{\"sample_name\":\" \\n\"}", "{\"sample_name\":null}", "{\"sample_name\":[\"x\"]}",
        "{\"sample_name\":\"\\u0000\"}", "{", ""};
    for (size_t i = 0; i < sizeof nameless / sizeof *nameless; i++)
        assert_name(f, nameless[i], CONFIG_DEVICE_SAMPLE_NAME, "job 1");
    assert_name(f, "{\"sample_name\":\"Patient-001\"}", CONFIG_DEVICE_JOB_ID, "job 1");
}

/* ---- Payloads */

static const char *bridge_payload(struct fixture *f)
{
    buf_reset(&f->out);
    ha_append_bridge(&f->out, &f->ha);
    assert_false(f->out.failed);
    struct json_problem problem;
    assert_int_equal(json_check(f->out.data, f->out.length, &problem), JSON_OK);
    return f->out.data;
}

static const char *job_payload(struct fixture *f, const char *id, const char *name)
{
    buf_reset(&f->out);
    ha_append_job(&f->out, &f->ha, id, name);
    assert_false(f->out.failed);
    struct json_problem problem;
    assert_int_equal(json_check(f->out.data, f->out.length, &problem), JSON_OK);
    return f->out.data;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in %s", part, text);
}

static void test_ha_a_job_has_its_entities(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {
        "{\"device\":{\"identifiers\":[\"aiva_job_a-2\"],\"name\":\"Sample\"",
        "\"serial_number\":\"a-2\",\"via_device\":\"aiva_bridge\"}",
        "\"origin\":{\"name\":\"aiva-mqtt-bridge\",\"sw_version\":\"1.2.3\"}",
        "\"components\":{\"status\":{\"platform\":\"sensor\",\"unique_id\":\"aiva_job_a-2_status\","
        "\"name\":null,\"default_entity_id\":\"sensor.aiva_job_a_2\",",
        "\"state_topic\":\"aiva/jobs/a-2/state\"",
        "\"created_at\":{\"platform\":\"sensor\",\"unique_id\":\"aiva_job_a-2_created_at\","
        "\"name\":\"Created\",\"default_entity_id\":\"sensor.aiva_job_a_2_created\"",
        "\"command_topic\":\"aiva/jobs/a-2/command/cancel\"",
        "\"command_topic\":\"aiva/jobs/a-2/command/delete\"",
    };
    const char *payload = job_payload(f, "a-2", "Sample");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_holds(payload, parts[i]);
    assert_null(strstr(payload, "state_class"));
}

static void test_ha_escapes_ids_and_names(void **state)
{
    struct fixture *f = *state;
    f->ha.root = "l\"ab";
    const char *payload = job_payload(f, "a/\"b", "\"{{ x }}\"\\");
    assert_holds(payload, "\"name\":\"\\\"{{ x }}\\\"\\\\\"");
    assert_holds(payload, "\"state_topic\":\"l\\\"ab/jobs/a%2F\\\"b/state\"");
    assert_holds(payload, "\"serial_number\":\"a/\\\"b\"");
    assert_holds(bridge_payload(f), "\"name\":\"AIVA bridge (l\\\"ab)\"");
}

static void test_ha_shows_no_button_for_a_command_that_is_not_allowed(void **state)
{
    struct fixture *f = *state;
    f->ha.allow = CONFIG_COMMAND_DELETE;
    const char *payload = job_payload(f, "a", "a");
    assert_holds(payload, "\"delete\":{\"platform\":\"button\"");
    assert_null(strstr(payload, "command/cancel"));
    assert_null(strstr(bridge_payload(f), "command/refresh"));
    f->ha.allow = CONFIG_COMMAND_CANCEL | CONFIG_COMMAND_REFRESH;
    assert_null(strstr(job_payload(f, "a", "a"), "command/delete"));
    assert_holds(bridge_payload(f), "command/refresh");
}

static void test_ha_has_no_entities_for_hidden_members(void **state)
{
    struct fixture *f = *state;
    static char *const names[] = {"message", "progress", "completed_at"};
    f->hidden = (struct job_hidden){names, 3};
    const char *payload = job_payload(f, "a", "a");
    for (size_t i = 0; i < 3; i++) {
        char unique_id[64];
        snprintf(unique_id, sizeof unique_id, "aiva_job_a_%s\"", names[i]);
        assert_null(strstr(payload, unique_id));
    }
    assert_holds(payload, "aiva_job_a_created_at");
}

/* The templates name the states: all that there are. */
static void test_ha_knows_every_documented_state(void **state)
{
    struct fixture *f = *state;
    char options[256] = "\"options\":[", list[256] = "s in [";
    for (int i = 0; i < JOB_STATUS_DOCUMENTED; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\",", job_status_names[i]);
        strncat(options, quoted, sizeof options - strlen(options) - 1);
        snprintf(quoted, sizeof quoted, "%s'%s'", i > 0 ? "," : "", job_status_names[i]);
        strncat(list, quoted, sizeof list - strlen(list) - 1);
    }
    strncat(options, "\"other\"]", sizeof options - strlen(options) - 1);
    strncat(list, "]", sizeof list - strlen(list) - 1);
    const char *payload = job_payload(f, "a", "a");
    assert_holds(payload, options);
    assert_holds(payload, list);
    payload = bridge_payload(f);
    for (int i = 0; i < JOB_STATUS_DOCUMENTED; i++) {
        char key[64];
        snprintf(key, sizeof key, "aiva_bridge_jobs_%s\"", job_status_names[i]);
        assert_holds(payload, key);
    }
}

static void test_ha_the_longest_names_fit(void **state)
{
    struct fixture *f = *state;
    char root[257], id[129], name[5000];
    memset(root, '/', 256);
    for (size_t i = 0; i < 256; i += 2)
        root[i] = '"';
    memset(id, '%', 128);
    memset(name, '"', sizeof name);
    root[256] = id[128] = name[sizeof name - 1] = '\0';
    f->ha.root = root;
    job_payload(f, id, name);
    assert_true(f->out.length < LIMIT_DISCOVERY);
    bridge_payload(f);
    assert_true(f->out.length < LIMIT_DISCOVERY);
}

static void test_ha_recognises_what_it_has_written(void **state)
{
    struct fixture *f = *state;
    struct hafound found = {0};
    bridge_payload(f);
    assert_true(hafound_read(&found, f->out.data, f->out.length));
    assert_string_equal(found.origin, HA_ORIGIN);
    assert_string_equal(found.serial, "client-1");
    assert_string_equal(found.via_device, "");
    hafound_clear(&found);
    job_payload(f, "a", "a");
    assert_true(hafound_read(&found, f->out.data, f->out.length));
    assert_string_equal(found.serial, "a");
    assert_string_equal(found.via_device, "aiva_bridge");
    hafound_clear(&found);
}

static void test_ha_recognises_nothing_in_what_others_wrote(void **state)
{
    (void)state;
    static const char *const others[] = {"{}", "{\"origin\":null,\"device\":[]}",
        "{\"origin\":{\"name\":[1]},\"device\":{\"via_device\":7}}", "{\"o\":{\"name\":\"x\"}}"};
    struct hafound found = {0};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_true(hafound_read(&found, others[i], strlen(others[i])));
        assert_string_equal(found.origin, "");
        assert_string_equal(found.serial, "");
        assert_string_equal(found.via_device, "");
        hafound_clear(&found);
    }
    assert_false(hafound_read(&found, "[]", 2));
    assert_false(hafound_read(&found, "", 0));
}

static void assert_farewell(const char *standing, const char *payload, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    bool any = hafound_append_farewell(&out, standing, strlen(standing), payload, strlen(payload));
    assert_int_equal(any, expected != NULL);
    if (expected)
        assert_string_equal(out.data, expected);
    buf_clear(&out);
}

static void test_ha_entities_that_are_no_more_say_farewell(void **state)
{
    (void)state;
    static const char payload[] = "{\"a\":1,\"components\":{\"x\":{\"platform\":\"sensor\"}}}";
    assert_farewell("{\"components\":{\"y\":{\"platform\":\"button\",\"name\":\"n\"},"
                    "\"x\":{\"platform\":\"button\"},\"\\u007a\":{\"platform\":\"event\"}}}",
        payload,
        "{\"a\":1,\"components\":{\"x\":{\"platform\":\"sensor\"},\"y\":{\"platform\":\"button\"},"
        "\"\\u007a\":{\"platform\":\"event\"}}}");
    static const char *const without[] = {payload, "{}", "", "[]", "{\"components\":[]}",
        "{\"components\":{\"\\u0078\":{\"platform\":\"button\"}}}",
        "{\"components\":{\"y\":{\"name\":\"n\"}}}", "{\"components\":{\"y\":7}}"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_farewell(without[i], payload, NULL);
}

static void test_ha_a_button_that_is_no_more_says_farewell(void **state)
{
    struct fixture *f = *state;
    struct json_problem problem;
    struct buf out;
    char *before = strdup(job_payload(f, "a", "a"));
    assert_non_null(before);
    f->ha.allow = CONFIG_COMMAND_DELETE;
    job_payload(f, "a", "a");
    buf_init(&out, 65536);
    assert_true(hafound_append_farewell(&out, before, strlen(before), f->out.data, f->out.length));
    assert_int_equal(json_check(out.data, out.length, &problem), JSON_OK);
    assert_holds(out.data, ",\"cancel\":{\"platform\":\"button\"}}}");
    buf_clear(&out);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ha_names_are_plain_where_they_can_be),
        cmocka_unit_test(test_ha_names_escape_what_a_discovery_topic_refuses),
        cmocka_unit_test(test_ha_names_never_collide),
        cmocka_unit_test(test_ha_entity_ids_are_as_home_assistant_writes_them),
        cmocka_unit_test_setup_teardown(
            test_ha_devices_are_named_after_their_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_ha_devices_are_named_by_job_id_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ha_a_job_has_its_entities, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ha_escapes_ids_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_ha_shows_no_button_for_a_command_that_is_not_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_ha_has_no_entities_for_hidden_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ha_knows_every_documented_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ha_the_longest_names_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ha_recognises_what_it_has_written, setup, teardown),
        cmocka_unit_test(test_ha_entities_that_are_no_more_say_farewell),
        cmocka_unit_test_setup_teardown(
            test_ha_a_button_that_is_no_more_says_farewell, setup, teardown),
        cmocka_unit_test(test_ha_recognises_nothing_in_what_others_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
