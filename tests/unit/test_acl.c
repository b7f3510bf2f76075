/* The access rules, word for word: people paste them into their broker's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acl.h"

/* The rules only: comments are for people. */
static char *write_rules(const char *user, const char *root, bool homeassistant)
{
    struct buf all, rules;
    buf_init(&all, 65536);
    buf_init(&rules, 65536);
    acl_write(&all, user, root, &(struct config_list){0}, homeassistant, "ha", "ha/status");
    assert_false(all.failed);
    assert_int_equal(all.data[all.length - 1], '\n');
    for (char *line = all.data; *line != '\0'; line += strcspn(line, "\n") + 1)
        if (*line != '#')
            buf_append(&rules, line, strcspn(line, "\n") + 1);
    buf_clear(&all);
    return buf_take(&rules);
}

#define OWN_RULES                                                                                  \
    "topic readwrite site/aiva/bridge/state\n"                                                     \
    "topic readwrite site/aiva/bridge/info\n"                                                      \
    "topic readwrite site/aiva/bridge/upstream\n"                                                  \
    "topic readwrite site/aiva/bridge/jobs\n"                                                      \
    "topic write site/aiva/bridge/result\n"                                                        \
    "topic readwrite site/aiva/jobs/+/state\n"                                                     \
    "topic write site/aiva/jobs/+/event\n"                                                         \
    "topic write site/aiva/jobs/+/result\n"                                                        \
    "topic read site/aiva/bridge/command/+\n"                                                      \
    "topic read site/aiva/jobs/+/command/+\n"                                                      \
    "topic write site/aiva/response/#\n"

static void assert_rules(
    const char *user, const char *root, bool homeassistant, const char *expected)
{
    char *rules = write_rules(user, root, homeassistant);
    assert_string_equal(rules, expected);
    free(rules);
}

static void test_acl_has_the_users_rules(void **state)
{
    (void)state;
    assert_rules("aiva bridge", "site/aiva", false, "user aiva bridge\n" OWN_RULES);
}

static void test_acl_adds_discovery_for_home_assistant(void **state)
{
    (void)state;
    assert_rules("bridge", "site/aiva", true,
        "user bridge\n" OWN_RULES "topic readwrite ha/device/+/config\n"
        "topic read ha/status\n");
}

static void test_acl_without_a_user_is_for_anonymous_clients(void **state)
{
    (void)state;
    assert_rules("", "site/aiva", false, OWN_RULES);
}

static void test_acl_grants_answers_where_the_configuration_allows_them(void **state)
{
    static const char *const topics[] = {"lab/reply", "answers"};
    struct config_list list = {(char **)topics, 2};
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    acl_write(&out, "", "aiva", &list, false, "ha", "ha/status");
    assert_non_null(strstr(out.data, "\ntopic write aiva/response/#\ntopic write lab/reply/#\n"
                                     "topic write answers/#\n"));
    assert_non_null(strstr(out.data, "anonymous"));
    buf_clear(&out);
}

static char *write_others(const char *bridge_user, const char *status_topic)
{
    struct buf all;
    buf_init(&all, 65536);
    acl_write_others(&all, bridge_user, "site/aiva", "ha", status_topic);
    assert_false(all.failed);
    return buf_take(&all);
}

static void test_acl_lets_nobody_else_delete_or_speak_for_the_bridge(void **state)
{
    char *rules = write_others("bridge", "ha/status");
    (void)state;
    for (const char *line = rules; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char access[16], topic[64];
        if (sscanf(line, "topic %15s %63s", access, topic) != 2 || strcmp(access, "read") == 0)
            continue;
        assert_true(strncmp(topic, "site/aiva/jobs/+/command/", 25) == 0 ||
                    strcmp(topic, "site/aiva/bridge/command/refresh") == 0 ||
                    strcmp(topic, "ha/#") == 0);
        assert_null(strstr(topic, "delete"));
    }
    assert_non_null(strstr(rules, "\nuser dashboard\n"));
    assert_non_null(strstr(rules, "\nuser operator\n"));
    assert_non_null(strstr(rules, "\nuser homeassistant\n"));
    assert_null(strstr(rules, "topic write ha/status"));
    free(rules);
}

static void test_acl_leaves_out_whoever_is_the_bridge(void **state)
{
    char *rules = write_others("operator", "elsewhere/status");
    (void)state;
    assert_null(strstr(rules, "user operator"));
    assert_non_null(strstr(rules, "user dashboard"));
    assert_non_null(strstr(rules, "\ntopic write elsewhere/status\n"));
    free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acl_lets_nobody_else_delete_or_speak_for_the_bridge),
        cmocka_unit_test(test_acl_leaves_out_whoever_is_the_bridge),
        cmocka_unit_test(test_acl_has_the_users_rules),
        cmocka_unit_test(test_acl_adds_discovery_for_home_assistant),
        cmocka_unit_test(test_acl_without_a_user_is_for_anonymous_clients),
        cmocka_unit_test(test_acl_grants_answers_where_the_configuration_allows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
