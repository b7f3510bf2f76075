/* Whose the devices at the broker are. */
#include "haowner.h"

#include <stdlib.h>
#include <string.h>

#include "ha.h"
#include "hafound.h"
#include "haid.h"
#include "limit.h"
#include "mem.h"

struct haowner {
    const char *root, *client_id;
    char *bridges[LIMIT_EARLIER_ROOTS]; /* object ids */
    size_t count, left_out;
};

struct haowner *haowner_new(const char *root, const char *client_id)
{
    struct haowner *owner = xcalloc(1, sizeof *owner);
    owner->root = root;
    owner->client_id = client_id;
    return owner;
}

void haowner_forget(struct haowner *owner)
{
    while (owner->count > 0)
        free(owner->bridges[--owner->count]);
    owner->left_out = 0;
}

void haowner_free(struct haowner *owner)
{
    if (!owner)
        return;
    haowner_forget(owner);
    free(owner);
}

static bool knows(const struct haowner *owner, const char *bridge)
{
    for (size_t i = 0; i < owner->count; i++)
        if (strcmp(owner->bridges[i], bridge) == 0)
            return true;
    return false;
}

static bool remember(struct haowner *owner, const char *bridge)
{
    if (knows(owner, bridge))
        return true;
    if (owner->count >= LIMIT_EARLIER_ROOTS || strlen(bridge) > LIMIT_OBJECT_ID) {
        owner->left_out++;
        return false;
    }
    owner->bridges[owner->count++] = xstrdup(bridge);
    return true;
}

static enum haowner_verdict judge_earlier(
    struct haowner *owner, const char *object_id, const struct hafound *found)
{
    if (found->via_device[0] != '\0')
        return knows(owner, found->via_device) ? HAOWNER_EARLIER_JOB : HAOWNER_OTHER;
    if (strcmp(found->serial, owner->client_id) != 0)
        return HAOWNER_OTHER;
    return remember(owner, object_id) ? HAOWNER_EARLIER_BRIDGE : HAOWNER_OTHER;
}

/* No payload of ours is larger than LIMIT_DISCOVERY: such a one is not even read. */
enum haowner_verdict haowner_judge(
    struct haowner *owner, const char *object_id, const char *payload, size_t length)
{
    struct hafound found = {0};
    enum haowner_verdict verdict = HAOWNER_OTHER;
    if (length > LIMIT_DISCOVERY || !hafound_read(&found, payload, length))
        return HAOWNER_OTHER;
    if (strcmp(found.origin, HA_ORIGIN) == 0) {
        switch (haid_recognise(owner->root, object_id)) {
        case HAID_BRIDGE:
            verdict = HAOWNER_BRIDGE;
            break;
        case HAID_JOB:
            verdict = HAOWNER_JOB;
            break;
        case HAID_OTHER:
            verdict = judge_earlier(owner, object_id, &found);
        }
    }
    hafound_clear(&found);
    return verdict;
}

size_t haowner_roots(const struct haowner *owner)
{
    return owner->count;
}

size_t haowner_roots_left_out(const struct haowner *owner)
{
    return owner->left_out;
}
