/*
 * What stands on the discovery topics of a broker, which anybody may have written who is let: each
 * line is one retained message, an object id and its payload, with a letter before it that says
 * what else happens. The first byte says how often the first message comes, each time under another
 * id. Whatever was found, the announcer comes to rest in the end.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "announcer.h"
#include "ha.h"
#include "hafound.h"
#include "haowner.h"
#include "limit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_REMEMBERED 3
#define SHOWN           "{\"device\":{},\"components\":{\"a\":{\"platform\":\"sensor\"}}}"

struct world {
    struct announcer *announcer;
    struct haowner *owner;
    int64_t now_ms;
    size_t found; /* that the announcer has taken, since it was empty */
};

static void say_next(struct world *world)
{
    struct announcement sent;
    int64_t wake_ms;
    world->now_ms += ANNOUNCER_PACE_MS;
    if (!announcer_next(world->announcer, world->now_ms, &sent, &wake_ms)) {
        assert(wake_ms > world->now_ms);
        return;
    }
    assert(sent.topic && strlen(sent.payload) <= sent.length);
    announcer_done(world->announcer, world->now_ms, ANNOUNCER_TAKEN);
}

/* The payload that takes the place of what stands there is one that can be read again. */
static void show(struct world *world, const char *topic)
{
    struct announcer_device device = {.topic = topic, .kind = ANNOUNCER_JOB, .name = "n"};
    struct buf farewell;
    size_t length;
    const char *standing = announcer_standing(world->announcer, topic, &length);
    buf_init(&farewell, LIMIT_DISCOVERY);
    if (standing && hafound_append_farewell(&farewell, standing, length, SHOWN, sizeof SHOWN - 1)) {
        struct hafound read = {0};
        assert(hafound_read(&read, farewell.data, farewell.length));
        hafound_clear(&read);
        device.farewell = farewell.data;
        device.farewell_length = farewell.length;
    }
    announcer_show(world->announcer, &device, SHOWN, sizeof SHOWN - 1);
    buf_clear(&farewell);
}

static void find(struct world *world, const char *id, const char *payload, size_t length)
{
    char topic[96];
    enum haowner_verdict verdict = haowner_judge(world->owner, id, payload, length);
    assert(haowner_roots(world->owner) <= LIMIT_EARLIER_ROOTS);
    if (verdict == HAOWNER_OTHER)
        return;
    assert(length <= LIMIT_DISCOVERY);
    snprintf(topic, sizeof topic, "ha/device/%s/config", id);
    bool known = announcer_has(world->announcer, topic);
    bool taken =
        announcer_found(world->announcer, topic, ANNOUNCER_JOB, payload, length, world->now_ms);
    assert(taken || !known);
    world->found += taken && !known;
    if (taken && verdict == HAOWNER_EARLIER_JOB)
        announcer_hide(world->announcer, topic);
}

static void happen(struct world *world, char what, const char *id)
{
    char topic[96];
    snprintf(topic, sizeof topic, "ha/device/%s/config", id);
    if (what == 's')
        show(world, topic);
    else if (what == 'h')
        announcer_hide(world->announcer, topic);
    else if (what == 'n')
        say_next(world);
    else if (what == 'l')
        announcer_read_begin(world->announcer);
    else if (what == 'e')
        announcer_read_end(world->announcer);
    else if (what == 'r')
        announcer_repeat(world->announcer, world->now_ms);
}

/* "x id payload" */
static void take_line(struct world *world, const char *line, size_t length, unsigned times)
{
    char id[48], numbered[64];
    const char *payload = length > 2 ? memchr(line + 2, ' ', length - 2) : NULL;
    if (!payload || payload - line - 2 >= (ptrdiff_t)sizeof id)
        return;
    size_t id_length = (size_t)(payload - line - 2);
    memcpy(id, line + 2, id_length);
    id[id_length] = '\0';
    payload++;
    for (unsigned i = 0; i <= times; i++) {
        snprintf(numbered, sizeof numbered, i == 0 ? "%s" : "%s%u", id, i);
        find(world, numbered, payload, length - (size_t)(payload - line));
    }
    happen(world, line[0], id);
}

/* All that was found is of no job: it goes, and nothing is left to do. */
static void come_to_rest(struct world *world)
{
    announcer_review_begin(world->announcer);
    announcer_review_end(world->announcer);
    announcer_again(world->announcer);
    for (size_t i = 0; i < 2 * world->found + 4096 && !announcer_is_idle(world->announcer); i++)
        say_next(world);
    assert(announcer_is_idle(world->announcer));
    world->now_ms += ANNOUNCER_SPACING_MS;
    say_next(world);
    assert(announcer_has_room(world->announcer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct world world = {.announcer = announcer_new(MOST_REMEMBERED),
        .owner = haowner_new("aiva", "client-1"),
        .now_ms = 1000000};
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    unsigned times = data[0] % 4;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        take_line(&world, at, length, times);
        at += length + 1;
        times = 0;
    }
    come_to_rest(&world);
    announcer_free(world.announcer);
    haowner_free(world.owner);
    return 0;
}
