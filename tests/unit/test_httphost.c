#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "httphost.h"

static const struct httphost one = {"192.0.2.7", "192.0.2.7"}, all_four = {"0.0.0.0", "0.0.0.0"},
                             all_six = {"::", "::"}, six = {"2001:db8::1", "2001:db8::1"},
                             named = {"bridge.example", "192.0.2.7"},
                             loopback = {"127.0.0.1", "127.0.0.1"};

static const struct {
    const struct httphost *own;
    const char *host;
    bool served;
} cases[] = {
    {&loopback, NULL, true},
    {&loopback, "127.0.0.1:9280", true},
    {&loopback, "127.0.0.1", true},
    {&loopback, "localhost:9280", true},
    {&loopback, "LocalHost.", true},
    {&loopback, "bridge.localhost:80", true},
    {&loopback, "[::1]:9280", true},
    {&loopback, "127.8.9.10", true},
    {&loopback, "[::ffff:127.0.0.1]", true},
    {&loopback, "192.0.2.7", false},
    {&loopback, "0.0.0.0", false},
    {&loopback, "evil.example:9280", false},
    {&loopback, "127.0.0.1.evil.example", false},
    {&loopback, "localhost.evil.example", false},
    {&loopback, "evillocalhost", false},
    {&loopback, ".localhost", false},
    {&loopback, "", false},
    {&loopback, ":9280", false},
    {&loopback, "[]", false},
    {&loopback, "[::1", false},
    {&loopback, "[::1]x", false},
    {&loopback, "localhost:80:evil.example", false},
    {&loopback, "localhost:evil", false},
    {&loopback, "user@localhost", false},
    {&loopback, "localhost, evil.example", false},
    {&one, "192.0.2.7:9280", true},
    {&one, "[::ffff:192.0.2.7]:9280", true},
    {&one, "192.0.2.8:9280", false},
    {&one, "localhost", true},
    {&one, "evil.example", false},
    {&named, "bridge.example:9280", true},
    {&named, "BRIDGE.example.", true},
    {&named, "192.0.2.7:9280", true},
    {&named, "192.0.2.8", false},
    {&named, "x.bridge.example", false},
    {&all_four, "198.51.100.4:9280", true},
    {&all_four, "[2001:db8::9]", true},
    {&all_four, "evil.example", false},
    {&all_four, "bridge:9280", false},
    {&all_six, "198.51.100.4", true},
    {&all_six, "[2001:db8::9]:9280", true},
    {&all_six, "evil.example", false},
    {&six, "[2001:db8:0::1]:9280", true},
    {&six, "[2001:db8::2]:9280", false},
};

static void test_httphost_serves_what_is_listened_on_and_no_other_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (httphost_is_served(cases[i].own, cases[i].host) != cases[i].served)
            fail_msg("%s at %s", cases[i].host, cases[i].own->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_httphost_serves_what_is_listened_on_and_no_other_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
