/* What earlier runs have left at the broker. */
#include "hafound.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

static char *take_string(const struct json_object *object, const char *name)
{
    struct buf text;
    const struct json_member *member = json_find(object, name);
    buf_init(&text, UINT16_MAX);
    if (member)
        json_decode_string(member->value, &text);
    char *taken = buf_take(&text);
    return taken ? taken : xstrdup("");
}

static void read_inner(struct json_object *inner, const struct json_object *outer, const char *name)
{
    const struct json_member *member = json_find(outer, name);
    inner->count = 0;
    if (member)
        json_object_read(inner, member->value.at, member->value.length);
}

bool hafound_read(struct hafound *found, const char *payload, size_t length)
{
    struct json_object whole = {0}, inner = {0};
    bool read = json_object_read(&whole, payload, length) == JSON_OK;
    if (read) {
        read_inner(&inner, &whole, "origin");
        found->origin = take_string(&inner, "name");
        read_inner(&inner, &whole, "device");
        found->serial = take_string(&inner, "serial_number");
        found->via_device = take_string(&inner, "via_device");
    }
    json_object_clear(&inner);
    json_object_clear(&whole);
    return read;
}

void hafound_clear(struct hafound *found)
{
    free(found->origin);
    free(found->serial);
    free(found->via_device);
    *found = (struct hafound){0};
}

/* ---- Entities that are no more */

/* The members of the payload's components; none where it has no such thing. */
static void read_components(struct json_object *components, const char *payload, size_t length)
{
    struct json_object whole = {0};
    components->count = 0;
    if (json_object_read(&whole, payload, length) == JSON_OK)
        read_inner(components, &whole, "components");
    json_object_clear(&whole);
}

static bool has_same(const struct json_object *components, const struct json_member *wanted)
{
    for (size_t i = 0; i < components->count; i++)
        if (json_same_name(&components->members[i], wanted))
            return true;
    return false;
}

/* ,"key":{"platform":…}; false where it has none. */
static bool append_reduced(struct buf *out, const struct json_member *component)
{
    struct json_object inner = {0};
    const struct json_member *platform = NULL;
    if (json_object_read(&inner, component->value.at, component->value.length) == JSON_OK)
        platform = json_find(&inner, "platform");
    if (platform) {
        buf_append_char(out, ',');
        json_clean(out, component->name.at - 1, component->name.length + 2);
        buf_append_text(out, ":{\"platform\":");
        json_clean(out, platform->value.at, platform->value.length);
        buf_append_char(out, '}');
    }
    json_object_clear(&inner);
    return platform != NULL;
}

bool hafound_append_farewell(struct buf *out, const char *standing, size_t standing_length,
    const char *payload, size_t length)
{
    static const char end[] = "}}";
    struct json_object before = {0}, now = {0};
    bool any = false;
    read_components(&before, standing, standing_length);
    read_components(&now, payload, length);
    buf_append(out, payload, length - strlen(end));
    for (size_t i = 0; i < before.count && now.count > 0; i++)
        if (!has_same(&now, &before.members[i]))
            any = append_reduced(out, &before.members[i]) || any;
    buf_append_text(out, end);
    json_object_clear(&before);
    json_object_clear(&now);
    return any && !out->failed;
}
