/*
 * The access rules that the bridge itself needs at a mosquitto broker, and no wider. The topics are
 * the contract's; what is both written and read is its own retained state, which it looks for at
 * the start.
 */
#include "acl.h"

#include <stddef.h>

struct rule {
    const char *access;
    const char *levels; /* behind the root or the prefix */
};

static void write_rules(
    struct buf *out, const char *root, const struct rule *rules, size_t rule_count)
{
    for (size_t i = 0; i < rule_count; i++)
        buf_printf(out, "topic %s %s/%s\n", rules[i].access, root, rules[i].levels);
}

static void write_own_topics(struct buf *out, const char *root)
{
    static const struct rule own[] = {
        {"readwrite", "bridge/state"},
        {"readwrite", "bridge/info"},
        {"write", "bridge/upstream"},
        {"readwrite", "bridge/jobs"},
        {"write", "bridge/result"},
        {"readwrite", "jobs/+/state"},
        {"write", "jobs/+/event"},
        {"write", "jobs/+/result"},
    };
    static const struct rule commands[] = {
        {"read", "bridge/command/+"},
        {"read", "jobs/+/command/+"},
    };
    static const struct rule responses[] = {{"write", "response/#"}};

    buf_append_text(out, "# What it publishes. It reads back its own retained topics.\n");
    write_rules(out, root, own, sizeof own / sizeof *own);
    buf_append_text(out, "# Commands to it.\n");
    write_rules(out, root, commands, sizeof commands / sizeof *commands);
    buf_append_text(out, "# Answers to MQTT 5 Response Topics. One that is not under this topic "
                         "needs a\n# \"topic write\" rule of its own.\n");
    write_rules(out, root, responses, sizeof responses / sizeof *responses);
}

static void write_homeassistant(struct buf *out, const char *prefix, const char *status_topic)
{
    static const struct rule discovery[] = {{"readwrite", "device/+/config"}};

    buf_append_text(out, "# Home Assistant: discovery, and its birth message.\n");
    write_rules(out, prefix, discovery, sizeof discovery / sizeof *discovery);
    buf_printf(out, "topic read %s\n", status_topic);
}

void acl_write(struct buf *out, const char *user, const char *root, bool homeassistant,
    const char *prefix, const char *status_topic)
{
    buf_append_text(out, "# Rules of aiva-mqtt-bridge for mosquitto's acl_file.\n");
    if (*user == '\0')
        buf_append_text(out, "# No mqtt.username is configured: these are for all anonymous "
                             "clients, and belong\n# before the first \"user\" line.\n");
    else
        buf_printf(out, "user %s\n", user);
    write_own_topics(out, root);
    if (homeassistant)
        write_homeassistant(out, prefix, status_topic);
}
