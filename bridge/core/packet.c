/* PUBLISH and PUBACK as bytes, and among others. */
#include "packet.h"

#include <assert.h>
#include <string.h>

#include "cursor.h"
#include "inspector.h"
#include "limit.h"

enum {
    TYPE_PUBLISH = 3,
    TYPE_PUBACK = 4,
    TYPE_SUBSCRIBE = 8,
    TYPE_UNSUBSCRIBE = 10,
    TYPE_DISCONNECT = 14,
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
    PROPERTY_USER = 38,
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

bool packet_append_publish(struct buf *out, const struct packet_publish *publish)
{
    assert(publish->topic_length <= UINT16_MAX && publish->correlation_length <= UINT16_MAX);
    assert(publish->qos == 0 || publish->qos == 1);
    size_t remaining = 2 + publish->topic_length + (publish->qos > 0 ? IDENTIFIER_BYTES : 0);
    if (publish->version5)
        remaining += variable_size(properties_size(publish)) + properties_size(publish);
    if (publish->payload_length > PACKET_REMAINING_MOST - remaining)
        return false;
    remaining += publish->payload_length;
    size_t size = 1 + variable_size(remaining) + remaining;
    unsigned char *begin = (unsigned char *)buf_extend(out, size);
    if (!begin)
        return false;
    unsigned char *at = put_byte(begin, TYPE_PUBLISH << 4 | (unsigned)publish->qos << QOS_SHIFT |
                                            (publish->retain ? FLAG_RETAIN : 0));
    at = put_variable(at, remaining);
    at = put_binary(at, publish->topic, publish->topic_length);
    if (publish->qos > 0)
        at = put_two(at, publish->identifier);
    if (publish->version5)
        at = put_properties(at, publish);
    at = put_bytes(at, publish->payload, publish->payload_length);
    assert(at == begin + size);
    return true;
}

bool packet_append_puback(struct buf *out, uint16_t identifier)
{
    unsigned char packet[4];
    put_two(put_byte(put_byte(packet, TYPE_PUBACK << 4), IDENTIFIER_BYTES), identifier);
    return buf_append(out, packet, sizeof packet);
}

/* ---- Reading */

/* The size of the fixed header, with the packet's Remaining Length. 0 where more is needed;
 * SIZE_MAX where no packet begins like that. */
static size_t read_header(const unsigned char *bytes, size_t size, size_t *remaining)
{
    *remaining = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        if (1 + i >= size)
            return 0;
        unsigned byte = bytes[1 + i];
        *remaining |= (size_t)(byte & 127) << (7 * i);
        if (byte < 128)
            return 2 + i;
    }
    return SIZE_MAX;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Hands out what is there of the packet under way. */
static struct packet_part go_on(struct packet_reader *reader, size_t size)
{
    size_t taken = least(size, reader->left);
    reader->left -= taken;
    return (struct packet_part){
        .kind = reader->left_ours ? PACKET_SKIPPED : PACKET_LIBRARY, .size = taken};
}

static struct packet_part begin_puback(
    struct packet_reader *reader, const unsigned char *bytes, size_t size, size_t header)
{
    size_t whole = reader->left, body = whole - header;
    const unsigned char *at = bytes + header;
    /* Whose it is, and the reason where there is one. */
    if (size - header < least(body, IDENTIFIER_BYTES + 1)) {
        reader->left = 0;
        return (struct packet_part){.kind = PACKET_MORE};
    }
    unsigned identifier = body < IDENTIFIER_BYTES ? 0 : (unsigned)at[0] << 8 | at[1];
    if (identifier < PACKET_FIRST_IDENTIFIER)
        return go_on(reader, size);
    reader->left_ours = true;
    struct packet_part part = go_on(reader, size);
    part.kind = PACKET_PUBACK;
    part.identifier = (uint16_t)identifier;
    part.reason_code = body > IDENTIFIER_BYTES ? at[IDENTIFIER_BYTES] : 0;
    return part;
}

static int qos_of(unsigned char first)
{
    return first >> QOS_SHIFT & 3;
}

static bool is_message(unsigned char first)
{
    return first >> 4 == TYPE_PUBLISH && qos_of(first) < 2;
}

struct packet_part packet_read(struct packet_reader *reader, const void *bytes, size_t size)
{
    const unsigned char *first = bytes;
    size_t remaining, header;
    if (size == 0)
        return (struct packet_part){.kind = PACKET_MORE};
    if (reader->unreadable)
        return (struct packet_part){.kind = PACKET_LIBRARY, .size = size};
    if (reader->left > 0)
        return go_on(reader, size);
    header = read_header(first, size, &remaining);
    if (header == 0)
        return (struct packet_part){.kind = PACKET_MORE};
    if (header == SIZE_MAX) {
        reader->unreadable = true;
        return (struct packet_part){.kind = PACKET_LIBRARY, .size = size};
    }
    if (is_message(first[0]) && header + remaining <= LIMIT_MQTT_PACKET) {
        if (size < header + remaining)
            return (struct packet_part){.kind = PACKET_MORE};
        return (struct packet_part){.kind = PACKET_PUBLISH, .size = header + remaining};
    }
    reader->left = header + remaining;
    reader->left_ours = false;
    if (first[0] >> 4 == TYPE_PUBACK)
        return begin_puback(reader, first, size, header);
    return go_on(reader, size);
}

/* ---- Messages */

/* Sections 3.3.2.3.2 to 3.3.2.3.9; what the bridge does not ask for is only passed over. */
static bool take_property(struct cursor *cursor, struct packet_message *message)
{
    const unsigned char *identifier;
    const char *text, *value;
    size_t length, value_length;
    uint32_t number;
    if (!cursor_take(cursor, 1, &identifier))
        return false;
    switch (*identifier) {
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

static bool take_properties(struct cursor *cursor, struct packet_message *message)
{
    struct cursor properties = {0};
    uint32_t size;
    if (!cursor_take_variable(cursor, &size) || !cursor_take(cursor, size, &properties.at))
        return false;
    properties.left = size;
    while (properties.left > 0)
        if (!take_property(&properties, message))
            return false;
    return true;
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

bool packet_read_message(
    const void *bytes, size_t size, bool version5, struct packet_message *message)
{
    const unsigned char *first = bytes;
    size_t remaining, header = read_header(first, size, &remaining);
    struct cursor cursor = {.at = first + header, .left = remaining};
    uint32_t identifier = 0;
    assert(header > 0 && header != SIZE_MAX && size == header + remaining);
    *message = (struct packet_message){
        .qos = qos_of(first[0]),
        .retain = (first[0] & FLAG_RETAIN) != 0,
        .duplicate = (first[0] & FLAG_DUP) != 0,
        .expiry_s = UINT32_MAX,
    };
    if (!inspector_allows(first[0], cursor.at, cursor.left, version5) ||
        !cursor_take_binary(&cursor, &message->topic, &message->topic_length))
        return false;
    if (message->qos > 0 && !cursor_take_number(&cursor, 2, &identifier))
        return false;
    if (version5 && !take_properties(&cursor, message))
        return false;
    message->identifier = (uint16_t)identifier;
    message->payload = (const char *)cursor.at;
    message->payload_length = cursor.left;
    return true;
}

/* ---- What the library sends */

size_t packet_complete(const void *bytes, size_t size, struct packet_counts *counts)
{
    const unsigned char *first = bytes;
    size_t done = 0, remaining;
    while (done < size) {
        size_t header = read_header(first + done, size - done, &remaining);
        if (header == SIZE_MAX)
            return size;
        if (header == 0 || size - done < header + remaining)
            break;
        unsigned type = first[done] >> 4;
        counts->subscriptions += type == TYPE_SUBSCRIBE || type == TYPE_UNSUBSCRIBE;
        counts->disconnects += type == TYPE_DISCONNECT;
        done += header + remaining;
    }
    return done;
}
