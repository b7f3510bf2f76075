/* Which Response Topic made the broker end the connection, and how long it gets no answers. */
#include "quarantine.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* A broker that does not like a message ends the connection when it reads it. */
#define BLAME_MS 2000
/* With QoS 0 nothing says that it was read: longer than a round trip, and too short for most losses
 * that have another reason. */
#define BLAME_QOS0_MS 250

static void remove_at(struct quarantine_topic *topics, size_t *count, size_t at)
{
    free(topics[at].topic);
    (*count)--;
    memmove(&topics[at], &topics[at + 1], (*count - at) * sizeof *topics);
}

static void forget_asked(struct quarantine *quarantine)
{
    while (quarantine->asked_count > 0)
        remove_at(quarantine->asked, &quarantine->asked_count, quarantine->asked_count - 1);
}

void quarantine_clear(struct quarantine *quarantine)
{
    forget_asked(quarantine);
    while (quarantine->held_count > 0)
        remove_at(quarantine->held, &quarantine->held_count, quarantine->held_count - 1);
}

void quarantine_sent(
    struct quarantine *quarantine, const char *topic, uint64_t sequence, int qos, int64_t now_ms)
{
    if (qos == 0)
        forget_asked(quarantine);
    else if (quarantine->asked_count == QUARANTINE_ASKED)
        remove_at(quarantine->asked, &quarantine->asked_count, 0);
    quarantine->asked[quarantine->asked_count++] = (struct quarantine_topic){
        .topic = xstrdup(topic),
        .sequence = qos == 0 ? 0 : sequence,
        .until_ms = now_ms + (qos == 0 ? BLAME_QOS0_MS : BLAME_MS),
    };
}

void quarantine_acknowledged(struct quarantine *quarantine, uint64_t sequence)
{
    for (size_t i = 0; i < quarantine->asked_count; i++) {
        if (quarantine->asked[i].sequence != sequence)
            continue;
        remove_at(quarantine->asked, &quarantine->asked_count, i);
        return;
    }
}

void quarantine_hold(struct quarantine *quarantine, const char *topic, int64_t now_ms)
{
    if (quarantine->held_count == LIMIT_QUARANTINE)
        return;
    quarantine->held[quarantine->held_count++] =
        (struct quarantine_topic){.topic = xstrdup(topic), .until_ms = now_ms + QUARANTINE_MS};
}

enum quarantine_verdict quarantine_lost(
    struct quarantine *quarantine, bool by_broker, int64_t now_ms)
{
    const char *suspect = NULL;
    bool several = false;
    for (size_t i = 0; i < quarantine->asked_count; i++) {
        const struct quarantine_topic *asked = &quarantine->asked[i];
        if (asked->until_ms <= now_ms)
            continue;
        several = several || (suspect && strcmp(suspect, asked->topic) != 0);
        suspect = asked->topic;
    }
    if (by_broker && suspect && !several)
        quarantine_hold(quarantine, suspect, now_ms);
    forget_asked(quarantine);
    if (!by_broker || !suspect)
        return QUARANTINE_INNOCENT;
    return several ? QUARANTINE_UNCLEAR : QUARANTINE_HELD;
}

bool quarantine_has(struct quarantine *quarantine, const char *topic, int64_t now_ms)
{
    /* The oldest come first. */
    while (quarantine->held_count > 0 && quarantine->held[0].until_ms <= now_ms)
        remove_at(quarantine->held, &quarantine->held_count, 0);
    if (quarantine->held_count == LIMIT_QUARANTINE)
        return true;
    for (size_t i = 0; i < quarantine->held_count; i++)
        if (strcmp(quarantine->held[i].topic, topic) == 0)
            return true;
    return false;
}
