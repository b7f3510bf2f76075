/*
 * The access rules that the bridge itself needs at a mosquitto broker, and no wider, and those for
 * whoever else has to do with it. The topics are the contract's; what the bridge both writes and
 * reads is retained: it looks for it at the start, or whoever clears it in its name does.
 */
#include "acl.h"

#include <stddef.h>
#include <string.h>

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

static void write_own_topics(
    struct buf *out, const char *root, const struct config_list *response_topics)
{
    static const struct rule own[] = {
        {"readwrite", "bridge/state"},
        {"readwrite", "bridge/info"},
        {"readwrite", "bridge/upstream"},
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

    buf_append_text(out, "# What it publishes. It reads back its own retained topics.\n");
    write_rules(out, root, own, sizeof own / sizeof *own);
    buf_append_text(out, "# Commands to it.\n");
    write_rules(out, root, commands, sizeof commands / sizeof *commands);
    buf_append_text(out, "# Answers to MQTT 5 Response Topics: here, and where "
                         "commands.response_topics says.\n");
    buf_printf(out, "topic write %s/response/#\n", root);
    for (size_t i = 0; i < response_topics->count; i++)
        buf_printf(out, "topic write %s/#\n", response_topics->items[i]);
}

static void write_homeassistant(struct buf *out, const char *prefix, const char *status_topic)
{
    static const struct rule discovery[] = {{"readwrite", "device/+/config"}};

    buf_append_text(out, "# Home Assistant: discovery, and its birth message.\n");
    write_rules(out, prefix, discovery, sizeof discovery / sizeof *discovery);
    buf_printf(out, "topic read %s\n", status_topic);
}

void acl_write(struct buf *out, const char *user, const char *root,
    const struct config_list *response_topics, bool homeassistant, const char *prefix,
    const char *status_topic)
{
    buf_append_text(out, "# Rules of aiva-mqtt-bridge for mosquitto's acl_file.\n");
    if (*user == '\0')
        buf_append_text(out, "# No mqtt.username is configured: these are for all anonymous "
                             "clients, and belong\n# before the first \"user\" line.\n");
    else
        buf_printf(out, "user %s\n", user);
    write_own_topics(out, root, response_topics);
    if (homeassistant)
        write_homeassistant(out, prefix, status_topic);
}

/* Not jobs/+/#: commands are nobody's to read. */
static const struct rule seeing[] = {
    {"read", "bridge/+"},
    {"read", "jobs/+/state"},
    {"read", "jobs/+/event"},
    {"read", "jobs/+/result"},
};

/* Deleting takes a job's data with it, and is left to those who have a key. */
static const struct rule ordering[] = {
    {"write", "jobs/+/command/cancel"},
    {"write", "jobs/+/command/refresh"},
    {"write", "bridge/command/refresh"},
};

/* False, and nothing written, where the bridge has that name. */
static bool begin_user(
    struct buf *out, const char *bridge_user, const char *user, const char *meaning)
{
    if (strcmp(user, bridge_user) == 0)
        return false;
    buf_printf(out, "\n# %s\nuser %s\n", meaning, user);
    return true;
}

void acl_write_others(struct buf *out, const char *bridge_user, const char *root,
    const char *prefix, const char *status_topic)
{
    if (begin_user(
            out, bridge_user, "dashboard", "A screen on the wall: sees everything, does nothing."))
        write_rules(out, root, seeing, sizeof seeing / sizeof *seeing);
    if (begin_user(out, bridge_user, "operator", "May cancel and refresh, not delete.")) {
        write_rules(out, root, seeing, sizeof seeing / sizeof *seeing);
        write_rules(out, root, ordering, sizeof ordering / sizeof *ordering);
        buf_printf(out, "# Answers to requests with an MQTT 5 Response Topic.\n");
        buf_printf(out, "topic read %s/response/operator/#\n", root);
    }
    if (begin_user(
            out, bridge_user, "homeassistant", "Home Assistant: the same from its buttons.")) {
        write_rules(out, root, seeing, sizeof seeing / sizeof *seeing);
        write_rules(out, root, ordering, sizeof ordering / sizeof *ordering);
        buf_printf(out, "# Discovery, and its birth message.\ntopic readwrite %s/#\n", prefix);
        if (strncmp(status_topic, prefix, strlen(prefix)) != 0 ||
            status_topic[strlen(prefix)] != '/')
            buf_printf(out, "topic write %s\n", status_topic);
    }
}
