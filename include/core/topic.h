#ifndef TOPIC_H
#define TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Job id <-> topic level, the names of all topics, and what an incoming topic asks for. Follows
 * MQTT 5, section 4.7, and the contract's percent-encoding. Pure.
 */

/* What may be done with an id. */
enum topic_id {
    TOPIC_ID_REFUSED,    /* empty, too long, ".", "..", not UTF-8, or holds U+0000 */
    TOPIC_ID_TOPIC_ONLY, /* may be published, never put into a URL */
    TOPIC_ID_URL_SAFE,   /* only A-Z a-z 0-9 . _ ~ : @ - */
};
enum topic_id topic_classify_id(const char *id, size_t length);

/* Appends the id as one topic level; injective, so that two ids never share a topic. */
void topic_append_level(struct buf *out, const char *id, size_t length);
/* Appends the id that a level stands for. False where an escape is broken; what was appended by
 * then is to be dropped. */
bool topic_decode_level(struct buf *out, const char *level, size_t length);

/* True where `level` is how the bridge itself spells the id: the one spelling under which it
 * answers.
 */
bool topic_is_level_of(const char *id, size_t id_length, const char *level, size_t length);

/* Appends "<root>/jobs/<level of id>/<leaf>". */
void topic_append_job(struct buf *out, const char *root, const char *id, const char *leaf);

enum topic_kind {
    TOPIC_OTHER,
    TOPIC_BRIDGE_STATE,   /* <root>/bridge/state */
    TOPIC_BRIDGE_INFO,    /* <root>/bridge/info */
    TOPIC_BRIDGE_JOBS,    /* <root>/bridge/jobs */
    TOPIC_JOB_STATE,      /* <root>/jobs/<level>/state */
    TOPIC_BRIDGE_COMMAND, /* <root>/bridge/command/<command> */
    TOPIC_JOB_COMMAND,    /* <root>/jobs/<level>/command/<command> */
};

/* Parts are borrowed from the topic. */
struct topic_parts {
    enum topic_kind kind;
    const char *level;
    size_t level_length;
    const char *command;
    size_t command_length;
};
void topic_parse(struct topic_parts *parts, const char *root, const char *topic, size_t length);

/* True where a client may publish on it: what MQTT 5, section 4.7, allows, and no more levels than
 * mosquitto takes. */
bool topic_is_name(const char *topic, size_t length);

/* True where `topic` is `parent` or lies below it. */
bool topic_is_within(const char *topic, size_t length, const char *parent);
/* True where one of the topic's levels is `command`. */
bool topic_has_command_level(const char *topic, size_t length);

/* Where requesters may have answers sent to. All borrowed. */
struct topic_responses {
    const char *root;
    char *const *prefixes; /* what is allowed besides `<root>/response` */
    size_t prefix_count;
    const char *discovery_prefix, *status_topic; /* Home Assistant's: never allowed */
};

/* True where this Response Topic may be used: a valid topic name below `<root>/response/` or below
 * one of the prefixes, without a level `command`. Whoever may send a command could otherwise
 * publish with the bridge's rights. */
bool topic_response_is_allowed(
    const struct topic_responses *responses, const char *topic, size_t length);

#endif
