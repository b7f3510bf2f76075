/* MQTT packets as bytes. */
#include "packet.h"

#include <assert.h>
#include <string.h>

#include "cursor.h"

enum {
    /* The first byte of a PUBLISH (section 3.3.1). */
    FLAG_RETAIN = 1,
    QOS_SHIFT = 1,
    FLAG_DUP = 8,
    /* Section 2.2.2.2. */
    PROPERTY_PAYLOAD_FORMAT = 1,
    PROPERTY_EXPIRY = 2,
    PROPERTY_CONTENT_TYPE = 3,
    PROPERTY_RESPONSE_TOPIC = 8,
    PROPERTY_CORRELATION_DATA = 9,
    PROPERTY_SUBSCRIPTION = 11,
    PROPERTY_SESSION_EXPIRY = 0x11,
    PROPERTY_SERVER_KEEP_ALIVE = 0x13,
    PROPERTY_SERVER_REFERENCE = 0x1C,
    PROPERTY_REASON_STRING = 0x1F,
    PROPERTY_RECEIVE_MAXIMUM = 0x21,
    PROPERTY_TOPIC_ALIAS_MAXIMUM = 0x22,
    PROPERTY_MAXIMUM_QOS = 0x24,
    PROPERTY_RETAIN_AVAILABLE = 0x25,
    PROPERTY_USER = 0x26,
    PROPERTY_MAXIMUM_PACKET_SIZE = 0x27,
    PROPERTY_WILDCARD_AVAILABLE = 0x28,
    PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29,
    PROPERTY_SHARED_AVAILABLE = 0x2A,
    LENGTH_BYTES = 4, /* most of a Variable Byte Integer (section 1.5.5) */
    IDENTIFIER_BYTES = 2,
};

static const char content_type[] = "application/json";

/* ---- Writing */

static unsigned char *put_byte(unsigned char *at, unsigned value)
{
    *at = (unsigned char)value;
    return at + 1;
}

static unsigned char *put_two(unsigned char *at, size_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
    return at + 2;
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(at, bytes, length);
    return at + length;
}

static unsigned char *put_binary(unsigned char *at, const void *bytes, size_t length)
{
    return put_bytes(put_two(at, length), bytes, length);
}

static unsigned char *put_variable(unsigned char *at, size_t value)
{
    for (; value > 127; value >>= 7)
        at = put_byte(at, (unsigned)(value & 127) | 128);
    return put_byte(at, (unsigned)value);
}

static size_t variable_size(size_t value)
{
    size_t size = 1;
    while ((value >>= 7) > 0)
        size++;
    return size;
}

static size_t properties_size(const struct packet_publish *publish)
{
    size_t size = publish->json ? 2 + 3 + sizeof content_type - 1 : 0;
    return size + (publish->correlation_data ? 3 + publish->correlation_length : 0);
}

static unsigned char *put_properties(unsigned char *at, const struct packet_publish *publish)
{
    at = put_variable(at, properties_size(publish));
    if (publish->json) {
        at = put_byte(put_byte(at, PROPERTY_PAYLOAD_FORMAT), 1);
        at = put_byte(at, PROPERTY_CONTENT_TYPE);
        at = put_binary(at, content_type, sizeof content_type - 1);
    }
    if (publish->correlation_data) {
        at = put_byte(at, PROPERTY_CORRELATION_DATA);
        at = put_binary(at, publish->correlation_data, publish->correlation_length);
    }
    return at;
}

/* What follows the fixed header, but the payload. */
static size_t head_size(const struct packet_publish *publish)
{
    size_t properties = properties_size(publish);
    return 2 + publish->topic_length + (publish->qos > 0 ? IDENTIFIER_BYTES : 0) +
           (publish->version5 ? variable_size(properties) + properties : 0);
}

size_t packet_publish_size(const struct packet_publish *publish)
{
    size_t remaining = head_size(publish);
    assert(publish->topic_length <= UINT16_MAX && publish->correlation_length <= UINT16_MAX);
    if (publish->payload_length > PACKET_REMAINING_MOST - remaining)
        return SIZE_MAX;
    remaining += publish->payload_length;
    return 1 + variable_size(remaining) + remaining;
}

void packet_write_publish(void *out, const struct packet_publish *publish)
{
    assert(publish->qos >= 0 && publish->qos <= 2);
    unsigned char *at = put_byte(out, PACKET_PUBLISH << 4 | (unsigned)publish->qos << QOS_SHIFT |
                                          (publish->retain ? FLAG_RETAIN : 0));
    at = put_variable(at, head_size(publish) + publish->payload_length);
    at = put_binary(at, publish->topic, publish->topic_length);
    if (publish->qos > 0)
        at = put_two(at, publish->identifier);
    if (publish->version5)
        at = put_properties(at, publish);
    put_bytes(at, publish->payload, publish->payload_length);
}

bool packet_append_publish(struct buf *out, const struct packet_publish *publish)
{
    size_t size = packet_publish_size(publish);
    char *begin = size != SIZE_MAX ? buf_extend(out, size) : NULL;
    if (begin)
        packet_write_publish(begin, publish);
    return begin != NULL;
}

int packet_qos(const void *packet)
{
    return *(const unsigned char *)packet >> QOS_SHIFT & 3;
}

/* Behind the topic. */
void packet_set_identifier(void *packet, uint16_t identifier)
{
    unsigned char *at = (unsigned char *)packet + 1;
    while ((*at++ & 0x80) != 0)
        continue;
    at += 2 + ((size_t)at[0] << 8 | at[1]);
    put_two(at, identifier);
}

bool packet_append_answer(struct buf *out, enum packet_type type, uint16_t identifier)
{
    unsigned char packet[4];
    unsigned reserved = type == PACKET_PUBREL ? 2 : 0;
    put_two(
        put_byte(put_byte(packet, (unsigned)type << 4 | reserved), IDENTIFIER_BYTES), identifier);
    return buf_append(out, packet, sizeof packet);
}

/* ---- Reading */

size_t packet_size(const void *bytes, size_t length)
{
    struct cursor cursor = {.at = bytes, .left = length};
    const unsigned char *first;
    uint32_t remaining;
    if (!cursor_take(&cursor, 1, &first) || !cursor_take_variable(&cursor, &remaining))
        return SIZE_MAX;
    return length - cursor.left + remaining;
}

enum packet_type packet_type(const void *packet)
{
    return (enum packet_type)(*(const unsigned char *)packet >> 4);
}

/* What is behind the fixed header. Whatever else a cursor's functions return, these packets have
 * been looked at: what they have is as long as it says. */
static struct cursor body_of(const unsigned char *packet)
{
    struct cursor cursor = {.at = packet + 1, .left = LENGTH_BYTES};
    uint32_t remaining = 0;
    (void)!cursor_take_variable(&cursor, &remaining);
    return (struct cursor){.at = cursor.at, .left = remaining};
}

static struct cursor take_properties(struct cursor *body)
{
    struct cursor properties = {0};
    uint32_t size;
    if (cursor_take_variable(body, &size) && cursor_take(body, size, &properties.at))
        properties.left = size;
    return properties;
}

/* ---- Messages */

/* Sections 3.3.2.3.2 to 3.3.2.3.9; what the bridge does not ask for is only passed over. */
static bool take_message_property(struct cursor *cursor, struct packet_message *message)
{
    const char *text, *value;
    size_t length, value_length;
    uint32_t identifier, number;
    if (!cursor_take_number(cursor, 1, &identifier))
        return false;
    switch (identifier) {
    case PROPERTY_PAYLOAD_FORMAT:
        return cursor_take_number(cursor, 1, &number);
    case PROPERTY_EXPIRY:
        return cursor_take_number(cursor, 4, &message->expiry_s);
    case PROPERTY_CONTENT_TYPE:
        return cursor_take_binary(cursor, &text, &length);
    case PROPERTY_RESPONSE_TOPIC:
        return cursor_take_binary(
            cursor, &message->response_topic, &message->response_topic_length);
    case PROPERTY_CORRELATION_DATA:
        return cursor_take_binary(cursor, &message->correlation_data, &message->correlation_length);
    case PROPERTY_SUBSCRIPTION:
        return cursor_take_variable(cursor, &number);
    case PROPERTY_USER:
        return cursor_take_binary(cursor, &text, &length) &&
               cursor_take_binary(cursor, &value, &value_length);
    default:
        return false;
    }
}

bool packet_is_text(const char *bytes, size_t length)
{
    return cursor_is_text(bytes, length);
}

/* Sections 3.3.2.1 and 4.7.1. */
bool packet_is_topic_name(const char *topic, size_t length)
{
    return length > 0 && cursor_is_text(topic, length) && memchr(topic, '+', length) == NULL &&
           memchr(topic, '#', length) == NULL;
}

void packet_read_message(const void *packet, bool version5, struct packet_message *message)
{
    const unsigned char *first = packet;
    struct cursor body = body_of(first), properties;
    uint32_t identifier = 0;
    *message = (struct packet_message){
        .qos = first[0] >> QOS_SHIFT & 3,
        .retain = (first[0] & FLAG_RETAIN) != 0,
        .duplicate = (first[0] & FLAG_DUP) != 0,
        .expiry_s = UINT32_MAX,
    };
    (void)!cursor_take_binary(&body, &message->topic, &message->topic_length);
    if (message->qos > 0)
        (void)!cursor_take_number(&body, IDENTIFIER_BYTES, &identifier);
    message->identifier = (uint16_t)identifier;
    if (version5)
        for (properties = take_properties(&body); properties.left > 0;)
            if (!take_message_property(&properties, message))
                break;
    message->payload = (const char *)body.at;
    message->payload_length = body.left;
}

/* ---- Answers */

struct packet_answer packet_read_answer(const void *packet, bool version5)
{
    struct cursor body = body_of(packet);
    uint32_t identifier = 0, reason = 0;
    (void)!cursor_take_number(&body, IDENTIFIER_BYTES, &identifier);
    if (version5 && !cursor_take_number(&body, 1, &reason))
        reason = 0;
    return (struct packet_answer){
        .identifier = (uint16_t)identifier, .reason_code = (uint8_t)reason};
}

/* ---- The connection */

/* Sections 3.2.2.3 and 3.14.2.2. False where the rest cannot be read. */
static bool take_connection_property(struct cursor *cursor, struct packet_connack *connack)
{
    const char *text, *value;
    size_t length, value_length;
    uint32_t identifier, number = 0;
    if (!cursor_take_number(cursor, 1, &identifier))
        return false;
    switch (identifier) {
    case PROPERTY_REASON_STRING:
        return cursor_take_binary(cursor, &connack->reason.text, &connack->reason.text_length);
    case PROPERTY_SERVER_REFERENCE:
        return cursor_take_binary(cursor, &connack->reason.server, &connack->reason.server_length);
    case PROPERTY_RECEIVE_MAXIMUM:
        return cursor_take_number(cursor, 2, &connack->receive_maximum);
    case PROPERTY_MAXIMUM_PACKET_SIZE:
        return cursor_take_number(cursor, 4, &connack->maximum_packet_size);
    case PROPERTY_SERVER_KEEP_ALIVE:
        if (!cursor_take_number(cursor, 2, &number))
            return false;
        connack->keep_alive_s = (int)number;
        return true;
    case PROPERTY_MAXIMUM_QOS:
        if (!cursor_take_number(cursor, 1, &number))
            return false;
        connack->maximum_qos = (int)number;
        return true;
    case PROPERTY_RETAIN_AVAILABLE:
        if (!cursor_take_number(cursor, 1, &number))
            return false;
        connack->retain_available = number != 0;
        return true;
    case PROPERTY_SESSION_EXPIRY:
        return cursor_take_number(cursor, 4, &number);
    case PROPERTY_TOPIC_ALIAS_MAXIMUM:
        return cursor_take_number(cursor, 2, &number);
    case PROPERTY_WILDCARD_AVAILABLE:
    case PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE:
    case PROPERTY_SHARED_AVAILABLE:
        return cursor_take_number(cursor, 1, &number);
    case PROPERTY_USER:
        return cursor_take_binary(cursor, &text, &length) &&
               cursor_take_binary(cursor, &value, &value_length);
    default: /* Assigned Client Identifier, Response Information, Authentication Method and Data */
        return cursor_take_binary(cursor, &text, &length);
    }
}

static void take_connection_properties(struct cursor *body, struct packet_connack *connack)
{
    struct cursor properties = take_properties(body);
    while (properties.left > 0 && take_connection_property(&properties, connack))
        continue;
}

void packet_read_connack(const void *packet, bool version5, struct packet_connack *connack)
{
    struct cursor body = body_of(packet);
    uint32_t flags, code = 0;
    *connack = (struct packet_connack){
        .receive_maximum = UINT16_MAX,
        .maximum_packet_size = UINT32_MAX,
        .maximum_qos = 2,
        .retain_available = true,
        .keep_alive_s = -1,
    };
    if (cursor_take_number(&body, 1, &flags) && cursor_take_number(&body, 1, &code))
        connack->reason.code = (int)code;
    if (version5)
        take_connection_properties(&body, connack);
}

void packet_read_disconnect(const void *packet, struct packet_reason *reason)
{
    struct packet_connack connack = {0};
    struct cursor body = body_of(packet);
    uint32_t code = 0;
    if (cursor_take_number(&body, 1, &code))
        take_connection_properties(&body, &connack);
    *reason = connack.reason;
    reason->code = (int)code;
}
