#ifndef HA_H
#define HA_H

#include "buf.h"
#include "config.h"
#include "jobs.h"

/*
 * Home Assistant's MQTT discovery: the payloads that make devices of the bridge and of its jobs.
 * One device-based payload for each device (Home Assistant 2024.11 or later), long key names, no
 * `~`. Pure.
 *
 * All templates hold for an empty payload too, which clears a topic: `value_json` does not exist
 * then, and a template that uses it all the same would write an error into Home Assistant's log. A
 * member that is missing counts as null, for an empty result leaves a numeric sensor at its old
 * value.
 */

/* What the payloads of one bridge have in common. Borrowed for each call. */
struct ha {
    const char *root; /* mqtt.topic */
    const char
        *client_id; /* tells a later run of this bridge, with another root, what was its own */
    const char *version;
    unsigned allow; /* bits of enum config_command: buttons for others are left out */
    const struct job_hidden *hidden; /* no entities for these members */
};

/* Appends "<prefix>/device/<object_id>/config". */
void ha_append_topic(struct buf *out, const char *prefix, const char *object_id);

/* Appends the bridge's payload: one JSON object. */
void ha_append_bridge(struct buf *out, const struct ha *ha);

/* Appends the payload of the job's device, to be shown under that name. */
void ha_append_job(struct buf *out, const struct ha *ha, const char *id, const char *name);

/* Appends the name of the job's device: its sample's, or the job's id where that is asked for or
 * the record has none. One line, at most 100 characters. `scratch` is used to read the record. */
void ha_append_name(struct buf *out, const struct job *job, enum config_device_name how,
    struct json_object *scratch);

/* What origin.name says in all payloads of this program. */
#define HA_ORIGIN "aiva-mqtt-bridge"

#endif
