/* What a broker may send, and when. Numbers of sections are those of MQTT 5. */
#include "inspector.h"

#include <stdio.h>
#include <string.h>

#include "cursor.h"
#include "limit.h"

enum {
    CONNACK = 2,
    PUBLISH = 3,
    PUBACK = 4,
    PUBREC = 5,
    PUBREL = 6,
    PUBCOMP = 7,
    SUBACK = 9,
    UNSUBACK = 11,
    PINGRESP = 13,
    DISCONNECT = 14,
    TYPES = 16,
};

static const char *const names[TYPES] = {"packet of type 0", "CONNECT", "CONNACK", "PUBLISH",
    "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
    "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};

enum {
    HEADER_MOST = 5, /* bytes of a fixed header (2.1) */
    /* Of a PUBLISH of MQTT 3.1.1, in front of the payload: topic and Packet Identifier. */
    PUBLISH_HEAD = 2 + UINT16_MAX + 2,
    KEPT = 4096, /* a buffer that was larger is given back after its packet */
    FLAGS = 0x0F,
    QOS_SHIFT = 1,
    QOS_MASK = 3,
    PROPERTIES = 0x2B, /* identifiers end before that (2.2.2.2) */
};

/* ---- Properties */

enum form { FLAG = 1, TWO, FOUR, VARIABLE, TEXT, BINARY, PAIR };

struct property {
    enum form form; /* 0: there is no such property, or not for a client */
    unsigned where; /* a bit for each type of packet */
    bool some;      /* 0 is not allowed */
    bool repeats;
};

#define IN(type) (1u << (type))
#define IN_ANSWERS                                                                                 \
    (IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) |               \
        IN(UNSUBACK) | IN(DISCONNECT))

/* 2.2.2.2. A Topic Alias (0x23) is missing: the bridge announces no Topic Alias Maximum. */
static const struct property properties[PROPERTIES] = {
    [0x01] = {FLAG, IN(PUBLISH), false, false},
    [0x02] = {FOUR, IN(PUBLISH), false, false},
    [0x03] = {BINARY, IN(PUBLISH), false, false},
    [0x08] = {BINARY, IN(PUBLISH), false, false},
    [0x09] = {BINARY, IN(PUBLISH), false, false},
    [0x0B] = {VARIABLE, IN(PUBLISH), true, true},
    [0x11] = {FOUR, IN(CONNACK), false, false},
    [0x12] = {TEXT, IN(CONNACK), false, false},
    [0x13] = {TWO, IN(CONNACK), false, false},
    [0x15] = {TEXT, IN(CONNACK), false, false},
    [0x16] = {BINARY, IN(CONNACK), false, false},
    [0x1A] = {TEXT, IN(CONNACK), false, false},
    [0x1C] = {TEXT, IN(CONNACK) | IN(DISCONNECT), false, false},
    [0x1F] = {TEXT, IN_ANSWERS, false, false},
    [0x21] = {TWO, IN(CONNACK), true, false},
    [0x22] = {TWO, IN(CONNACK), false, false},
    [0x24] = {FLAG, IN(CONNACK), false, false},
    [0x25] = {FLAG, IN(CONNACK), false, false},
    [0x26] = {PAIR, IN_ANSWERS | IN(PUBLISH), false, true},
    [0x27] = {FOUR, IN(CONNACK), true, false},
    [0x28] = {FLAG, IN(CONNACK), false, false},
    [0x29] = {FLAG, IN(CONNACK), false, false},
    [0x2A] = {FLAG, IN(CONNACK), false, false},
};

static bool take_text(struct cursor *cursor)
{
    const char *text;
    size_t length;
    return cursor_take_binary(cursor, &text, &length) && cursor_is_text(text, length);
}

/* The texts of a message are the publisher's. */
static bool take_pair(struct cursor *cursor, unsigned type)
{
    const char *name, *value;
    size_t name_length, value_length;
    return cursor_take_binary(cursor, &name, &name_length) &&
           cursor_take_binary(cursor, &value, &value_length) &&
           (type == PUBLISH ||
               (cursor_is_text(name, name_length) && cursor_is_text(value, value_length)));
}

static bool take_value(struct cursor *cursor, const struct property *property, unsigned type)
{
    const char *data;
    size_t length;
    uint32_t number = 1;
    bool taken = false;
    switch (property->form) {
    case FLAG:
        taken = cursor_take_number(cursor, 1, &number) && number <= 1;
        break;
    case TWO:
        taken = cursor_take_number(cursor, 2, &number);
        break;
    case FOUR:
        taken = cursor_take_number(cursor, 4, &number);
        break;
    case VARIABLE:
        taken = cursor_take_variable(cursor, &number);
        break;
    case TEXT:
        taken = take_text(cursor);
        break;
    case BINARY:
        taken = cursor_take_binary(cursor, &data, &length);
        break;
    case PAIR:
        taken = take_pair(cursor, type);
        break;
    }
    return taken && (number > 0 || !property->some);
}

/* NULL, or what is wrong. */
static const char *take_properties(struct cursor *body, unsigned type)
{
    struct cursor cursor = {0};
    uint64_t seen = 0;
    uint32_t size;
    if (!cursor_take_variable(body, &size) || !cursor_take(body, size, &cursor.at))
        return "its properties do not fit into it";
    cursor.left = size;
    while (cursor.left > 0) {
        uint32_t identifier;
        const struct property *property;
        if (!cursor_take_number(&cursor, 1, &identifier) || identifier >= PROPERTIES ||
            (properties[identifier].where & IN(type)) == 0)
            return "a property that does not belong there";
        property = &properties[identifier];
        if (!property->repeats && (seen >> identifier & 1) != 0)
            return "a property that is there twice";
        seen |= UINT64_C(1) << identifier;
        if (!take_value(&cursor, property, type))
            return "a property whose value is not allowed";
    }
    return NULL;
}

/* ---- Packets */

static const char too_short[] = "it is too short";
static const char too_long[] = "there is more of it than there may be";
static const char no_number[] = "Packet Identifier 0";

/* Everything behind the fixed header. */
struct packet {
    unsigned type;
    unsigned flags;
    bool version5;
    struct cursor body;
};

static const char *check_end(const struct packet *packet)
{
    return packet->body.left > 0 ? too_long : NULL;
}

static const char *check_properties_end(struct packet *packet)
{
    const char *fault = take_properties(&packet->body, packet->type);
    return fault ? fault : check_end(packet);
}

/* 3.2. A broker that knows no MQTT 5 refuses with the CONNACK of an older version. */
static const char *check_connack(struct packet *packet)
{
    uint32_t flags, code;
    if (!cursor_take_number(&packet->body, 1, &flags) ||
        !cursor_take_number(&packet->body, 1, &code))
        return too_short;
    if (flags > 1)
        return "reserved bits are set";
    if (!packet->version5 || (packet->body.left == 0 && code > 0))
        return check_end(packet);
    return check_properties_end(packet);
}

static const char *take_identifier(struct packet *packet)
{
    uint32_t identifier;
    if (!cursor_take_number(&packet->body, 2, &identifier))
        return too_short;
    return identifier == 0 ? no_number : NULL;
}

/* 3.3 */
static const char *check_publish(struct packet *packet)
{
    const char *topic, *fault = NULL;
    size_t length;
    unsigned qos = packet->flags >> QOS_SHIFT & QOS_MASK;
    if (qos == QOS_MASK)
        return "QoS 3";
    if (!cursor_take_binary(&packet->body, &topic, &length))
        return too_short;
    if (length == 0)
        return "no topic";
    if (qos > 0)
        fault = take_identifier(packet);
    if (!fault && packet->version5)
        fault = take_properties(&packet->body, PUBLISH);
    return fault;
}

/* 3.4 to 3.7: reason and properties may be left out where all is well. */
static const char *check_acknowledgement(struct packet *packet)
{
    const char *fault = take_identifier(packet);
    uint32_t reason;
    if (fault || !packet->version5 || !cursor_take_number(&packet->body, 1, &reason) ||
        packet->body.left == 0)
        return fault ? fault : check_end(packet);
    return check_properties_end(packet);
}

/* 3.9 and 3.11. The UNSUBACK of MQTT 3.1.1 is a number and nothing else. */
static const char *check_suback(struct packet *packet)
{
    const char *fault = take_identifier(packet);
    if (!fault && packet->version5)
        fault = take_properties(&packet->body, packet->type);
    if (fault)
        return fault;
    if (packet->type == UNSUBACK && !packet->version5)
        return check_end(packet);
    /* Each SUBSCRIBE of the bridge has one filter. */
    return packet->body.left == 1 ? NULL : "not one reason code";
}

/* 3.14 */
static const char *check_disconnect(struct packet *packet)
{
    uint32_t reason;
    if (!packet->version5)
        return "only a client may send one";
    if (!cursor_take_number(&packet->body, 1, &reason) || packet->body.left == 0)
        return NULL;
    return check_properties_end(packet);
}

static const char *check(struct packet *packet)
{
    unsigned reserved = packet->type == PUBREL ? 2 : 0;
    if (packet->type != PUBLISH && packet->flags != reserved)
        return "reserved bits are set";
    switch (packet->type) {
    case CONNACK:
        return check_connack(packet);
    case PUBLISH:
        return check_publish(packet);
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
        return check_acknowledgement(packet);
    case SUBACK:
    case UNSUBACK:
        return check_suback(packet);
    case PINGRESP:
        return check_end(packet);
    case DISCONNECT:
        return check_disconnect(packet);
    default:
        return "only a client may send one, or nobody";
    }
}

bool inspector_allows(unsigned first, const void *body, size_t size, bool version5)
{
    struct packet packet = {
        .type = first >> 4,
        .flags = first & FLAGS,
        .version5 = version5,
        .body = {body, size},
    };
    return check(&packet) == NULL;
}

/* ---- The connection */

void inspector_init(struct inspector *inspector, bool version5)
{
    *inspector = (struct inspector){.version5 = version5};
    buf_init(&inspector->head, LIMIT_MQTT_PACKET);
}

void inspector_clear(struct inspector *inspector)
{
    buf_clear(&inspector->head);
}

static unsigned first_byte(const struct inspector *inspector)
{
    return (unsigned char)inspector->head.data[0];
}

static bool fail(struct inspector *inspector, const char *fault)
{
    const char *name = inspector->head.length > 0 ? names[first_byte(inspector) >> 4] : "packet";
    snprintf(
        inspector->fault, sizeof inspector->fault, "a %s that is not allowed: %s", name, fault);
    return false;
}

/* Bytes of the fixed header, and of what follows it; 0 where more is needed to say. */
static size_t read_header(const struct inspector *inspector, size_t *remaining)
{
    const struct buf *head = &inspector->head;
    struct cursor cursor = {.at = (const unsigned char *)head->data, .left = head->length};
    const unsigned char *first;
    uint32_t number;
    if (!cursor_take(&cursor, 1, &first) || !cursor_take_variable(&cursor, &number))
        return 0;
    *remaining = number;
    return head->length - cursor.left;
}

/* How much of the packet is to be looked at. */
static size_t wanted(const struct inspector *inspector, size_t header, size_t remaining)
{
    bool short_head = !inspector->version5 && first_byte(inspector) >> 4 == PUBLISH;
    return header + (short_head && remaining > PUBLISH_HEAD ? PUBLISH_HEAD : remaining);
}

/* As soon as the header is there: a packet that may not come now, or is too large, need not be
 * waited for. */
static const char *check_header(const struct inspector *inspector, size_t header, size_t remaining)
{
    unsigned type = first_byte(inspector) >> 4;
    if (type != CONNACK && !inspector->connected)
        return "the first packet has to be a CONNACK";
    if (type == CONNACK && inspector->connected)
        return "there is one already";
    if (header + remaining > LIMIT_MQTT_PACKET && (inspector->version5 || type != PUBLISH))
        return "it is larger than the bridge allows";
    return NULL;
}

static bool judge(struct inspector *inspector, size_t header, size_t remaining)
{
    struct buf *head = &inspector->head;
    struct packet packet = {
        .type = first_byte(inspector) >> 4,
        .flags = first_byte(inspector) & FLAGS,
        .version5 = inspector->version5,
        .body = {(const unsigned char *)head->data + header, head->length - header},
    };
    const char *fault = check(&packet);
    if (fault)
        return fail(inspector, fault);
    inspector->connected = true;
    inspector->rest = header + remaining - head->length;
    if (head->capacity > KEPT)
        buf_clear(head);
    else
        buf_reset(head);
    return true;
}

/* Takes what belongs to the packet under way; the rest stays. */
static bool take_some(struct inspector *inspector, struct cursor *bytes)
{
    struct buf *head = &inspector->head;
    size_t remaining = 0, header = read_header(inspector, &remaining);
    size_t more = header > 0 ? wanted(inspector, header, remaining) - head->length : 1;
    const unsigned char *piece;
    if (more > bytes->left)
        more = bytes->left;
    if (!cursor_take(bytes, more, &piece) || !buf_append(head, piece, more))
        return fail(inspector, "no memory for it");
    if (header == 0) {
        const char *fault = NULL;
        header = read_header(inspector, &remaining);
        if (header > 0)
            fault = check_header(inspector, header, remaining);
        else if (head->length == HEADER_MOST)
            fault = "its length is none";
        if (fault)
            return fail(inspector, fault);
    }
    if (header > 0 && head->length == wanted(inspector, header, remaining))
        return judge(inspector, header, remaining);
    return true;
}

bool inspector_look(struct inspector *inspector, const void *bytes, size_t size)
{
    struct cursor cursor = {.at = bytes, .left = size};
    while (cursor.left > 0 && inspector->fault[0] == '\0') {
        size_t skipped = inspector->rest < cursor.left ? inspector->rest : cursor.left;
        inspector->rest -= skipped;
        cursor.at += skipped;
        cursor.left -= skipped;
        if (cursor.left > 0 && !take_some(inspector, &cursor))
            break;
    }
    return inspector->fault[0] == '\0';
}
