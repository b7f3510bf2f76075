#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limit.h"
#include "topic.h"

/* An id with its length (it may hold NUL), its level and what it may be used for. */
static const struct {
    const char *id;
    size_t length;
    const char *level;
    enum topic_id class;
} ids[] = {
    {"job_abc123", 10, "job_abc123", TOPIC_ID_URL_SAFE},
    {"A.b_c~d:e@f-9", 13, "A.b_c~d:e@f-9", TOPIC_ID_URL_SAFE},
    {"...", 3, "...", TOPIC_ID_URL_SAFE},
    {"a/b", 3, "a%2Fb", TOPIC_ID_TOPIC_ONLY},
    {"+", 1, "%2B", TOPIC_ID_TOPIC_ONLY},
    {"#", 1, "%23", TOPIC_ID_TOPIC_ONLY},
    {"a%2Fb", 5, "a%252Fb", TOPIC_ID_TOPIC_ONLY},
    {"$SYS", 4, "%24SYS", TOPIC_ID_TOPIC_ONLY},
    {"a$b", 3, "a$b", TOPIC_ID_TOPIC_ONLY},
    {"a b", 3, "a b", TOPIC_ID_TOPIC_ONLY},
    {"a?b=c", 5, "a?b=c", TOPIC_ID_TOPIC_ONLY},
    {"\n", 1, "%0A", TOPIC_ID_TOPIC_ONLY},
    {"\x7f", 1, "%7F", TOPIC_ID_TOPIC_ONLY},
    {"\xc2\x85", 2, "%C2%85", TOPIC_ID_TOPIC_ONLY},
    {"\xef\xbf\xbe", 3, "%EF%BF%BE", TOPIC_ID_TOPIC_ONLY},
    {"\xf0\x9f\xa7\xac", 4, "\xf0\x9f\xa7\xac", TOPIC_ID_TOPIC_ONLY},
    {"\xc3\xa9", 2, "\xc3\xa9", TOPIC_ID_TOPIC_ONLY},
    {"", 0, NULL, TOPIC_ID_REFUSED},
    {".", 1, NULL, TOPIC_ID_REFUSED},
    {"..", 2, NULL, TOPIC_ID_REFUSED},
    {"a\0b", 3, NULL, TOPIC_ID_REFUSED},
    {"\xff", 1, NULL, TOPIC_ID_REFUSED},
    {"\xed\xa0\x80", 3, NULL, TOPIC_ID_REFUSED},
};

static void test_topic_level_and_id_are_each_others_inverse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct buf level, id;
        assert_int_equal(topic_classify_id(ids[i].id, ids[i].length), ids[i].class);
        if (ids[i].class == TOPIC_ID_REFUSED)
            continue;
        buf_init(&level, 1024);
        buf_init(&id, 1024);
        topic_append_level(&level, ids[i].id, ids[i].length);
        assert_string_equal(level.data, ids[i].level);
        assert_true(topic_decode_level(&id, level.data, level.length));
        assert_int_equal(id.length, ids[i].length);
        assert_memory_equal(id.data, ids[i].id, id.length);
        buf_clear(&level);
        buf_clear(&id);
    }
}

static void test_topic_refuses_ids_of_more_than_128_bytes(void **state)
{
    (void)state;
    char id[LIMIT_JOB_ID + 1];
    memset(id, 'x', sizeof id);
    assert_int_equal(topic_classify_id(id, LIMIT_JOB_ID), TOPIC_ID_URL_SAFE);
    assert_int_equal(topic_classify_id(id, LIMIT_JOB_ID + 1), TOPIC_ID_REFUSED);
}

static void test_topic_refuses_broken_escapes(void **state)
{
    (void)state;
    static const char *const broken[] = {"%", "%2", "a%", "%zz", "%2g", "%%41", "a%4"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct buf id;
        buf_init(&id, 64);
        assert_false(topic_decode_level(&id, broken[i], strlen(broken[i])));
        buf_clear(&id);
    }
}

static void test_topic_knows_one_spelling_of_each_id(void **state)
{
    (void)state;
    static const struct {
        const char *id, *level;
        bool same;
    } cases[] = {
        {"job_1", "job_1", true},
        {"job_1", "%6Aob_1", false},
        {"job_1", "%6a%6f%62_1", false},
        {"a/b", "a%2Fb", true},
        {"a/b", "a%2fb", false},
        {"$x", "%24x", true},
        {"a$x", "a%24x", false},
        {"é", "é", true},
        {"é", "%C3%A9", false},
        {"%", "%25", true},
        {"", "", true},
        {"a", "", false},
        {"\xff", "%FF", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (topic_is_level_of(cases[i].id, strlen(cases[i].id), cases[i].level,
                strlen(cases[i].level)) != cases[i].same)
            fail_msg("%s %s", cases[i].id, cases[i].level);
    assert_true(topic_is_level_of("a\0b", 3, "a%00b", 5));
}

static void test_topic_recognises_what_comes_in(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        enum topic_kind kind;
        const char *level, *command;
    } cases[] = {
        {"lab/aiva/bridge/state", TOPIC_BRIDGE_STATE, "", ""},
        {"lab/aiva/bridge/jobs", TOPIC_BRIDGE_JOBS, "", ""},
        {"lab/aiva/bridge/command/refresh", TOPIC_BRIDGE_COMMAND, "", "refresh"},
        {"lab/aiva/bridge/command/", TOPIC_BRIDGE_COMMAND, "", ""},
        {"lab/aiva/jobs/j1/state", TOPIC_JOB_STATE, "j1", ""},
        {"lab/aiva/jobs//state", TOPIC_JOB_STATE, "", ""},
        {"lab/aiva/jobs/a%2Fb/command/cancel", TOPIC_JOB_COMMAND, "a%2Fb", "cancel"},
        {"lab/aiva/jobs/j1/command/a/b", TOPIC_JOB_COMMAND, "j1", "a/b"},
        {"lab/aiva/jobs/j1/result", TOPIC_OTHER, "", ""},
        {"lab/aiva/jobs/j1", TOPIC_OTHER, "", ""},
        {"lab/aiva/jobs/", TOPIC_OTHER, "", ""},
        {"lab/aiva", TOPIC_OTHER, "", ""},
        {"lab/aivax/bridge/state", TOPIC_OTHER, "", ""},
        {"aiva/bridge/state", TOPIC_OTHER, "", ""},
        {"", TOPIC_OTHER, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topic_parts parts;
        topic_parse(&parts, "lab/aiva", cases[i].topic, strlen(cases[i].topic));
        if (parts.kind != cases[i].kind || parts.level_length != strlen(cases[i].level) ||
            parts.command_length != strlen(cases[i].command))
            fail_msg("%s: kind %d", cases[i].topic, (int)parts.kind);
        if (parts.command_length > 0)
            assert_memory_equal(parts.command, cases[i].command, parts.command_length);
    }
}

static const char *const response_prefixes[] = {"reply", "lab/answers"};

static bool allowed(const char *topic, size_t length)
{
    const struct topic_responses responses = {
        .root = "aiva",
        .prefixes = (char *const *)response_prefixes,
        .prefix_count = 2,
        .discovery_prefix = "homeassistant",
        .status_topic = "ha/birth",
    };
    return topic_response_is_allowed(&responses, topic, length);
}

static void test_topic_lets_nobody_publish_with_the_bridges_rights(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        bool allowed;
    } cases[] = {
        {"aiva/response/me", true},
        {"aiva/response/a/b//c", true},
        {"aiva/response/commands/x", true},
        {"aiva/response/Command", true},
        {"reply/x", true},
        {"reply/aiva/bridge/state", true},
        {"lab/answers/7/x", true},
        {"my/reply", false},
        {"reply", false},
        {"reply/", false},
        {"replys/x", false},
        {"lab/x", false},
        {"other/jobs/job_1/command/delete", false},
        {"reply/jobs/job_1/command/delete", false},
        {"reply/command", false},
        {"reply/command/x", false},
        {"aiva/response/command", false},
        {"aiva/response/jobs/x/command/delete", false},
        {"command/reply/x", false},
        {"aivax/reply", false},
        {"homeassistants/x", false},
        {"aiva", false},
        {"aiva/response", false},
        {"aiva/response/", false},
        {"aiva/bridge/state", false},
        {"aiva/jobs/j1/state", false},
        {"aiva/jobs/j1/command/delete", false},
        {"aiva/responses/x", false},
        {"aiva/Response/x", false},
        {"aiva//response/x", false},
        {"/aiva/response/x", false},
        {"homeassistant/device/x/config", false},
        {"homeassistant", false},
        {"ha/birth", false},
        {"$SYS/x", false},
        {"$share/g/x", false},
        {"reply/+/b", false},
        {"reply/#", false},
        {"", false},
        {"reply/\x01", false},
        {"reply/\xff", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (allowed(cases[i].topic, strlen(cases[i].topic)) != cases[i].allowed)
            fail_msg("%s", cases[i].topic);
    assert_false(allowed("reply/a\0b", 9));
}

static void test_topic_keeps_answers_from_home_assistant(void **state)
{
    (void)state;
    const struct topic_responses responses = {
        .root = "aiva",
        .discovery_prefix = "aiva/response/ha",
        .status_topic = "aiva/response/birth",
    };
    assert_false(topic_response_is_allowed(&responses, "aiva/response/ha/device/x/config", 32));
    assert_false(topic_response_is_allowed(&responses, "aiva/response/birth", 19));
    assert_true(topic_response_is_allowed(&responses, "aiva/response/births", 20));
}

static void test_topic_takes_a_response_topic_of_200_levels_and_no_more(void **state)
{
    (void)state;
    /* "reply/x/x/…/x" */
    char topic[407] = "reply";
    for (size_t i = 5; i < sizeof topic; i++)
        topic[i] = i % 2 == 0 ? 'x' : '/';
    assert_true(allowed(topic, 5 + 2 * 199));
    assert_false(allowed(topic, 5 + 2 * 199 + 1));
    assert_false(allowed(topic, 5 + 2 * 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_level_and_id_are_each_others_inverse),
        cmocka_unit_test(test_topic_refuses_ids_of_more_than_128_bytes),
        cmocka_unit_test(test_topic_refuses_broken_escapes),
        cmocka_unit_test(test_topic_knows_one_spelling_of_each_id),
        cmocka_unit_test(test_topic_recognises_what_comes_in),
        cmocka_unit_test(test_topic_lets_nobody_publish_with_the_bridges_rights),
        cmocka_unit_test(test_topic_keeps_answers_from_home_assistant),
        cmocka_unit_test(test_topic_takes_a_response_topic_of_200_levels_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
