/*
 * Discovery payloads: a table of entities for each kind of device, and what writes a row as JSON.
 * The keys are Home Assistant's, written out: abbreviations save little and read badly.
 */
#include "ha.h"

#include <stdlib.h>
#include <string.h>

#include "haid.h"
#include "mem.h"
#include "utf8.h"

/* A device's name stands on buttons and in menus; Home Assistant itself has no limit. */
#define NAME_CHARACTERS 100

/* ---- Templates */

/* As in job_status_names; a test compares them. */
#define ENDED  "'completed','failed','cancelled'"
#define STATES "'upload_pending','queued','processing'," ENDED
#define STATE_OPTIONS                                                                              \
    "\"upload_pending\",\"queued\",\"processing\",\"completed\",\"failed\",\"cancelled\""

/* A member, or none where it, or the whole payload, is missing. */
#define MEMBER(name)            "(value_json." name " | default(none) if value_json is defined else none)"
#define SHOW(name)              "{{ " MEMBER(name) " }}"
#define ON_IF(test)             "{{ ('ON' if " test " else 'OFF') if value_json is defined else none }}"
#define ONLINE_IF(test)         "{{ 'online' if value_json is defined and " test " else 'offline' }}"
#define IS_ONE_OF(name, values) "value_json." name " | default('') in [" values "]"

/* Anything else would be an exception in Home Assistant's log, and true is a number there. */
#define NUMBER(name)                                                                               \
    "{% set n = " MEMBER(name) " %}{{ n if n is number and n is not boolean else none }}"
/* Home Assistant wants a time zone, and throws an exception where there is none. */
#define TIME(name)                                                                                 \
    "{% set t = " MEMBER(name) " %}"                                                               \
                               "{{ t if t is string and t[10:11] in ['T', 't', ' '] and "          \
                               "(t[-1:] in ['Z', 'z'] or t[-6:-5] in ['+', '-']) else none }}"
/* A state has at most 255 characters. An empty one would leave the message before in place. */
#define TEXT(name)                                                                                 \
    "{% set m = " MEMBER(name) " | default('', true) | string | trim %}"                           \
                               "{{ m | truncate(255, true, '...', 0) if m else none }}"
#define STATUS                                                                                     \
    "{% set s = " MEMBER("status") " %}{{ s if s is none or s in [" STATES "] else 'other' }}"
#define EVENT                                                                                      \
    "{% if value_json is defined and value_json is mapping %}"                                     \
    "{% set t = value_json.event_type | default('') %}"                                            \
    "{{ dict(value_json, event_type=(t if t in [" STATES ",'deleted'] else 'other')) | to_json }}" \
    "{% endif %}"
#define EVENT_TYPE "{{ value_json.event_type | default('') if value_json is defined else '' }}"
#define ALL        "{{ value_json | default({}) | to_json }}"
/* Shown beside the status: the message in full, and a status that became "other". */
#define ATTRIBUTE(name) "'" name "': j." name " | default(none)"
#define ATTRIBUTES                                                                                 \
    "{% set j = value_json | default({}) %}{{ {" ATTRIBUTE("job_id") ", " ATTRIBUTE(               \
        "status") ", " ATTRIBUTE("sample_name") ", " ATTRIBUTE("created_at") ", " ATTRIBUTE("mess" \
                                                                                            "age") "} | to_json }}"
#define COUNT(name)    "{{ value_json." name " | default(0) if value_json is defined else none }}"
#define UPSTREAM_IS_UP ONLINE_IF(IS_ONE_OF("state", "'streaming','polling'"))

#define EVENT_TYPES   ",\"event_types\":[" STATE_OPTIONS ",\"deleted\",\"other\"]"
#define MEASUREMENT   ",\"state_class\":\"measurement\""
#define DIAGNOSTIC    ",\"entity_category\":\"diagnostic\""
#define CONFIGURATION ",\"entity_category\":\"config\""

/* ---- Tables */

struct entity {
    const char *key, *platform;
    const char *name;  /* behind the device's; NULL: the device's main entity, without a name */
    const char *topic; /* behind the root, or behind the job's topics */
    const char *value; /* template; NULL: the payload as it stands */
    const char *more;  /* further members, each with a comma before it */
    const char *attributes; /* template, of the same topic; NULL for none */
    const char *needs;      /* the member of a job that it shows, which may be hidden */
};

#define COUNT_OF(state, name)                                                                      \
    "jobs_" state, "sensor", name, "bridge/jobs", COUNT(state), .more = MEASUREMENT

static const struct entity bridge_entities[] = {
    /* Without availability: it shows "off", where all others become unavailable. */
    {"connectivity", "binary_sensor", "Connection to broker", "bridge/state", NULL,
        .more = ",\"device_class\":\"connectivity\",\"payload_on\":\"online\","
                "\"payload_off\":\"offline\",\"availability\":[]" DIAGNOSTIC},
    {"upstream", "sensor", "AIVA connection", "bridge/upstream", SHOW("state"),
        .more = ",\"device_class\":\"enum\",\"options\":[\"connecting\",\"streaming\","
                "\"polling\",\"unauthorized\",\"unavailable\"],"
                "\"icon\":\"mdi:cloud-sync-outline\"" DIAGNOSTIC,
        .attributes = ALL},
    {"upstream_problem", "binary_sensor", "AIVA problem", "bridge/upstream",
        ON_IF(IS_ONE_OF("state", "'unauthorized','unavailable'")),
        .more = ",\"device_class\":\"problem\"" DIAGNOSTIC},
    {"jobs_total", "sensor", "Jobs", "bridge/jobs", COUNT("total"),
        .more = MEASUREMENT ",\"icon\":\"mdi:dna\""},
    {COUNT_OF("upload_pending", "Jobs upload pending")},
    {COUNT_OF("queued", "Jobs queued")},
    {COUNT_OF("processing", "Jobs processing")},
    {COUNT_OF("completed", "Jobs completed")},
    {COUNT_OF("failed", "Jobs failed")},
    {COUNT_OF("cancelled", "Jobs cancelled")},
    {"started_at", "sensor", "Started", "bridge/info", TIME("started_at"),
        .more = ",\"device_class\":\"timestamp\"" DIAGNOSTIC},
    /* Of every job, also of those that are no devices. */
    {"job_event", "event", "Job event", "jobs/+/event", EVENT,
        .more = EVENT_TYPES ",\"icon\":\"mdi:dna\""},
};

static const char *const triggers[] = {"completed", "failed", "cancelled"};

/* No state_class: it would leave long-term statistics behind for each job. */
static const struct entity job_entities[] = {
    {"status", "sensor", NULL, "state", STATUS,
        .more = ",\"device_class\":\"enum\",\"options\":[" STATE_OPTIONS ",\"other\"]"
                ",\"icon\":\"mdi:dna\"",
        .attributes = ATTRIBUTES},
    /* No device class of Home Assistant means progress, and most of them refuse a per cent sign. */
    {"progress", "sensor", "Progress", "state", NUMBER("progress"),
        .more = ",\"unit_of_measurement\":\"%\",\"suggested_display_precision\":0"
                ",\"icon\":\"mdi:progress-clock\"",
        .needs = "progress"},
    {"message", "sensor", "Message", "state", TEXT("message"),
        .more = ",\"icon\":\"mdi:message-text-outline\"", .needs = "message"},
    {"created_at", "sensor", "Created", "state", TIME("created_at"),
        .more = ",\"device_class\":\"timestamp\"", .needs = "created_at"},
    {"completed_at", "sensor", "Completed", "state", TIME("completed_at"),
        .more = ",\"device_class\":\"timestamp\"", .needs = "completed_at"},
    {"problem", "binary_sensor", "Problem", "state", ON_IF(IS_ONE_OF("status", "'failed'")),
        .more = ",\"device_class\":\"problem\""},
    {"event", "event", "Event", "event", EVENT, .more = EVENT_TYPES ",\"icon\":\"mdi:dna\""},
};

struct button {
    const char *key, *name;
    enum config_command command;
    const char *command_topic; /* behind the root, or behind the job's topics */
    const char *available;     /* template of the job's state; NULL: while the bridge is there */
    const char *more;
};

static const struct button refresh_button = {"refresh", "Refresh", CONFIG_COMMAND_REFRESH,
    "bridge/command/refresh", NULL, CONFIGURATION ",\"icon\":\"mdi:refresh\""};

static const struct button job_buttons[] = {
    {"cancel", "Cancel", CONFIG_COMMAND_CANCEL, "command/cancel",
        ONLINE_IF(IS_ONE_OF("status", "'queued','processing'")), ",\"icon\":\"mdi:cancel\""},
    /* Home Assistant asks nobody whether he is sure: who wants the button switches it on. */
    {"delete", "Delete", CONFIG_COMMAND_DELETE, "command/delete",
        ONLINE_IF(IS_ONE_OF("status", ENDED)),
        CONFIGURATION ",\"enabled_by_default\":false,\"icon\":\"mdi:delete-outline\""},
};

#define COUNT_OF_ARRAY(array) (sizeof(array) / sizeof *(array))

/* ---- Writing */

/* One device's payload while it is written. */
struct writer {
    struct buf *out;
    const struct ha *ha;
    struct buf object_id;
    struct buf base; /* what the topics of its entities begin with, with a slash at the end */
    bool first;      /* no component has been written yet */
};

static void append_string(struct buf *out, const char *text)
{
    json_append_string(out, text, strlen(text));
}

static void append_member(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    append_string(out, text);
}

/* The member's value is the two texts, one behind the other. */
static void append_joined(struct buf *out, const char *name, const char *head, const char *tail)
{
    struct buf joined;
    buf_init(&joined, UINT16_MAX);
    buf_append_text(&joined, head);
    buf_append_text(&joined, tail);
    append_member(out, name, joined.data);
    out->failed = out->failed || joined.failed;
    buf_clear(&joined);
}

/* {"topic": <head><tail>[, "value_template": …]} */
static void append_availability(
    struct buf *out, const char *head, const char *tail, const char *value)
{
    buf_append_text(out, "{\"payload_available\":\"online\",\"payload_not_available\":\"offline\"");
    append_joined(out, "topic", head, tail);
    if (value)
        append_member(out, "value_template", value);
    buf_append_char(out, '}');
}

static void append_device_availability(struct writer *writer)
{
    buf_append_text(writer->out, ",\"availability\":[");
    append_availability(writer->out, writer->ha->root, "/bridge/state", NULL);
    buf_append_text(writer->out, "],\"availability_mode\":\"all\"");
}

/* Home Assistant would make entity ids of the device's name, which may be a sample's, and keep them
 * for ever. With the same rule, but from the object id, they say no more than the topics do; those
 * of a bridge at "aiva" are what Home Assistant makes itself. */
static void append_entity_id(struct writer *writer, const char *platform, const char *name)
{
    struct buf text;
    buf_init(&text, UINT16_MAX);
    buf_append_text(&text, writer->object_id.data);
    if (name)
        buf_printf(&text, "_%s", name);
    buf_printf(writer->out, ",\"default_entity_id\":\"%s.", platform);
    haid_append_slug(writer->out, text.data);
    buf_append_char(writer->out, '"');
    buf_clear(&text);
}

/* "key":{"platform":…,"unique_id":…,"name":…,"default_entity_id":…,"qos":1: to be closed. */
static void begin_component(
    struct writer *writer, const char *key, const char *platform, const char *name)
{
    struct buf *out = writer->out;
    if (!writer->first)
        buf_append_char(out, ',');
    writer->first = false;
    buf_printf(out, "\"%s\":{\"platform\":\"%s\"", key, platform);
    /* Object ids and keys hold nothing that JSON would escape. */
    buf_printf(out, ",\"unique_id\":\"%s_%s\"", writer->object_id.data, key);
    if (name)
        append_member(out, "name", name);
    else
        buf_append_text(out, ",\"name\":null");
    append_entity_id(writer, platform, name);
    buf_append_text(out, ",\"qos\":1");
}

static void append_entities(struct writer *writer, const struct entity *entities, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct entity *entity = &entities[i];
        if (entity->needs && job_is_hidden(writer->ha->hidden, entity->needs))
            continue;
        begin_component(writer, entity->key, entity->platform, entity->name);
        append_joined(writer->out, "state_topic", writer->base.data, entity->topic);
        if (entity->value)
            append_member(writer->out, "value_template", entity->value);
        buf_append_text(writer->out, entity->more);
        if (entity->attributes) {
            append_joined(writer->out, "json_attributes_topic", writer->base.data, entity->topic);
            append_member(writer->out, "json_attributes_template", entity->attributes);
        }
        buf_append_char(writer->out, '}');
    }
}

/* A press that nobody heard is forgotten after a minute, where Home Assistant can say so (2026.6;
 * older ones pass over the key). */
static void append_button(struct writer *writer, const struct button *button)
{
    struct buf *out = writer->out;
    if (!(writer->ha->allow & (unsigned)button->command))
        return;
    begin_component(writer, button->key, "button", button->name);
    append_joined(out, "command_topic", writer->base.data, button->command_topic);
    buf_append_text(out, ",\"payload_press\":\"PRESS\",\"message_expiry_interval\":60");
    buf_append_text(out, button->more);
    if (button->available) {
        buf_append_text(out, ",\"availability\":[");
        append_availability(out, writer->ha->root, "/bridge/state", NULL);
        buf_append_char(out, ',');
        append_availability(out, writer->ha->root, "/bridge/upstream", UPSTREAM_IS_UP);
        buf_append_char(out, ',');
        append_availability(out, writer->base.data, "state", button->available);
        buf_append_text(out, "],\"availability_mode\":\"all\"");
    }
    buf_append_char(out, '}');
}

static void begin_payload(struct writer *writer, const char *name, const char *model)
{
    struct buf *out = writer->out;
    buf_append_text(out, "{\"device\":{\"identifiers\":[");
    append_string(out, writer->object_id.data);
    buf_append_char(out, ']');
    append_member(out, "name", name);
    append_member(out, "manufacturer", "AIVA");
    append_member(out, "model", model);
}

/* Closes the device and opens the components. */
static void begin_components(struct writer *writer)
{
    buf_append_text(writer->out, "},\"origin\":{\"name\":\"" HA_ORIGIN "\"");
    append_member(writer->out, "sw_version", writer->ha->version);
    buf_append_char(writer->out, '}');
    append_device_availability(writer);
    buf_append_text(writer->out, ",\"components\":{");
    writer->first = true;
}

static void end_payload(struct writer *writer)
{
    buf_append_text(writer->out, "}}");
    writer->out->failed = writer->out->failed || writer->object_id.failed || writer->base.failed;
    buf_clear(&writer->object_id);
    buf_clear(&writer->base);
}

/* ---- The bridge */

/* Device automations have neither a name nor an id of their own. */
static void append_triggers(struct writer *writer)
{
    for (size_t i = 0; i < COUNT_OF_ARRAY(triggers); i++) {
        buf_printf(writer->out,
            ",\"trigger_%s\":{\"platform\":\"device_automation\",\"automation_type\":\"trigger\","
            "\"type\":\"job\",\"subtype\":\"%s\",\"payload\":\"%s\",\"qos\":1",
            triggers[i], triggers[i], triggers[i]);
        append_joined(writer->out, "topic", writer->base.data, "jobs/+/event");
        append_member(writer->out, "value_template", EVENT_TYPE);
        buf_append_char(writer->out, '}');
    }
}

/* The address of AIVA's API is not shown as the device's page: nobody could use it in a browser. */
void ha_append_bridge(struct buf *out, const struct ha *ha)
{
    struct writer writer = {.out = out, .ha = ha};
    struct buf name;
    buf_init(&writer.object_id, UINT16_MAX);
    haid_append_bridge(&writer.object_id, ha->root);
    buf_init(&writer.base, UINT16_MAX);
    buf_printf(&writer.base, "%s/", ha->root);
    buf_init(&name, UINT16_MAX);
    buf_append_text(&name, "AIVA bridge");
    if (strcmp(ha->root, "aiva") != 0)
        buf_printf(&name, " (%s)", ha->root);
    begin_payload(&writer, name.data, "aiva-mqtt-bridge");
    append_member(out, "sw_version", ha->version);
    append_member(out, "serial_number", ha->client_id);
    begin_components(&writer);
    append_entities(&writer, bridge_entities, COUNT_OF_ARRAY(bridge_entities));
    append_button(&writer, &refresh_button);
    append_triggers(&writer);
    end_payload(&writer);
    buf_clear(&name);
}

/* ---- A job */

void ha_append_job(struct buf *out, const struct ha *ha, const char *id, const char *name)
{
    struct writer writer = {.out = out, .ha = ha};
    struct buf bridge;
    buf_init(&writer.object_id, UINT16_MAX);
    haid_append_job(&writer.object_id, ha->root, id);
    buf_init(&writer.base, UINT16_MAX);
    topic_append_job(&writer.base, ha->root, id, "");
    buf_init(&bridge, UINT16_MAX);
    haid_append_bridge(&bridge, ha->root);
    begin_payload(&writer, name, "Genomics job");
    append_member(out, "serial_number", id);
    append_member(out, "via_device", bridge.data);
    begin_components(&writer);
    append_entities(&writer, job_entities, COUNT_OF_ARRAY(job_entities));
    for (size_t i = 0; i < COUNT_OF_ARRAY(job_buttons); i++)
        append_button(&writer, &job_buttons[i]);
    end_payload(&writer);
    buf_clear(&bridge);
}

/* ---- Names */

/* What stands between words: in a name one space for any number of them. */
static bool is_gap(uint32_t point)
{
    /* U+2028 and U+2029 separate lines and paragraphs. */
    return point == ' ' || point == 0x2028 || point == 0x2029 || utf8_is_control_or_nonchar(point);
}

/* Appends the text in one line. Returns whether there was any. */
static bool append_line(struct buf *out, const char *text, size_t length)
{
    size_t characters = 0, at = 0;
    bool gap = false;
    while (at < length) {
        uint32_t point;
        size_t size = utf8_decode(text + at, length - at, &point);
        if (size == 0)
            break;
        if (is_gap(point)) {
            gap = characters > 0;
        } else if (characters + gap >= NAME_CHARACTERS) {
            buf_append_text(out, "\xe2\x80\xa6"); /* U+2026, three dots */
            break;
        } else {
            if (gap)
                buf_append_char(out, ' ');
            buf_append(out, text + at, size);
            characters += gap + 1u;
            gap = false;
        }
        at += size;
    }
    return characters > 0;
}

/* Appends what the record gives as the sample's name; false where that is nothing. */
static bool append_sample(struct buf *out, const struct job *job, struct json_object *scratch)
{
    if (json_object_read(scratch, job->text, job->length) != JSON_OK)
        return false;
    const struct json_member *member = json_find(scratch, "sample_name");
    if (!member)
        return false;
    struct buf name;
    buf_init(&name, LIMIT_JOB_RECORD);
    if (json_is_number(member->value))
        json_append_slice(&name, member->value);
    else
        json_decode_string(member->value, &name);
    bool named = name.length > 0 && append_line(out, name.data, name.length);
    buf_clear(&name);
    return named;
}

void ha_append_name(struct buf *out, const struct job *job, enum config_device_name how,
    struct json_object *scratch)
{
    if (how == CONFIG_DEVICE_SAMPLE_NAME && append_sample(out, job, scratch))
        return;
    if (!append_line(out, job->id, strlen(job->id)))
        buf_append_text(out, "?");
}

/* ---- Topics */

void ha_append_topic(struct buf *out, const char *prefix, const char *object_id)
{
    buf_printf(out, "%s/device/%s/config", prefix, object_id);
}
