/* The last values of the bridge's own topics. */
#include "owntopics.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static const struct {
    const char *leaf;
    bool json;
} kinds[OWNTOPICS] = {
    [OWNTOPIC_STATE] = {"state", false},
    [OWNTOPIC_INFO] = {"info", true},
    [OWNTOPIC_UPSTREAM] = {"upstream", true},
    [OWNTOPIC_JOBS] = {"jobs", true},
};

void owntopics_init(struct owntopics *own, const char *root)
{
    *own = (struct owntopics){.root = root};
    buf_init(&own->name, UINT16_MAX);
}

void owntopics_clear(struct owntopics *own)
{
    for (size_t i = 0; i < OWNTOPICS; i++)
        free(own->topics[i].value);
    buf_clear(&own->name);
    owntopics_init(own, own->root);
}

void owntopics_set(struct owntopics *own, enum owntopic topic, const char *value, size_t length)
{
    free(own->topics[topic].value);
    own->topics[topic].value = xmemdup0(value, length);
    own->topics[topic].length = length;
}

bool owntopics_is_set(const struct owntopics *own, enum owntopic topic)
{
    return own->topics[topic].value != NULL;
}

static const char *name_of(struct owntopics *own, enum owntopic topic)
{
    buf_reset(&own->name);
    buf_printf(&own->name, "%s/bridge/%s", own->root, kinds[topic].leaf);
    return own->name.data;
}

struct outbox_message owntopics_message(struct owntopics *own, enum owntopic topic)
{
    assert(owntopics_is_set(own, topic));
    return (struct outbox_message){
        .topic = name_of(own, topic),
        .payload = own->topics[topic].value,
        .payload_length = own->topics[topic].length,
        .retain = true,
        .json = kinds[topic].json,
        .slot = topic,
    };
}

void owntopics_note_refusal(struct owntopics *own, const char *topic)
{
    for (enum owntopic i = OWNTOPIC_STATE; i < OWNTOPICS; i++)
        own->topics[i].refused = own->topics[i].refused || strcmp(name_of(own, i), topic) == 0;
}

bool owntopics_take_refusal(struct owntopics *own, enum owntopic topic)
{
    bool refused = own->topics[topic].refused;
    own->topics[topic].refused = false;
    return refused;
}

void owntopics_forget_refusals(struct owntopics *own)
{
    for (size_t i = 0; i < OWNTOPICS; i++)
        own->topics[i].refused = false;
}
