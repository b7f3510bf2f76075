/* The packets of MQTT that the benchmark needs. */
#include "wire.h"

#include <string.h>

#include "rig.h"

bool wire_number(const uint8_t **at, const uint8_t *end, uint32_t *number)
{
    *number = 0;
    for (unsigned shift = 0; *at < end && shift < 28; shift += 7) {
        uint8_t byte = *(*at)++;

        *number |= (uint32_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

uint16_t wire_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

bool wire_parse(const uint8_t *bytes, size_t length, struct wire_packet *packet)
{
    const uint8_t *at = bytes + 1, *end = bytes + length;
    uint32_t remaining;

    if (length < 2 || !wire_number(&at, end, &remaining) || (size_t)(end - at) < remaining)
        return false;
    packet->type = (enum wire_type)(bytes[0] >> 4);
    packet->flags = bytes[0] & 0x0F;
    packet->body = at;
    packet->length = remaining;
    packet->size = (size_t)(at - bytes) + remaining;
    return true;
}

bool wire_parse_publish(
    const struct wire_packet *packet, bool version5, struct wire_publish *publish)
{
    const uint8_t *at = packet->body, *end = at + packet->length;
    uint32_t properties = 0;

    publish->qos = (packet->flags >> 1) & 3;
    publish->retained = (packet->flags & 1) != 0;
    if (end - at < 2)
        return false;
    publish->topic_length = wire_u16(at);
    at += 2;
    if ((size_t)(end - at) < publish->topic_length + (publish->qos > 0 ? 2u : 0u))
        return false;
    publish->topic = (const char *)at;
    at += publish->topic_length;
    publish->id = publish->qos > 0 ? wire_u16(at) : 0;
    at += publish->qos > 0 ? 2 : 0;
    if (version5 && (!wire_number(&at, end, &properties) || (size_t)(end - at) < properties))
        return false;
    publish->payload = (const char *)at + properties;
    publish->length = (size_t)(end - at) - properties;
    return true;
}

/* Bytes of a property's value that stands at `at`; 0: cannot be told. MQTT 5, section 2.2.2.2 */
static size_t property_size(uint8_t identifier, const uint8_t *at, const uint8_t *end)
{
    switch (identifier) {
    case 0x24: /* Maximum QoS */
    case 0x25: /* Retain Available */
    case 0x28: /* Wildcard Subscription Available */
    case 0x29: /* Subscription Identifiers Available */
    case 0x2A: /* Shared Subscription Available */
        return 1;
    case 0x13: /* Server Keep Alive */
    case 0x21: /* Receive Maximum */
    case 0x22: /* Topic Alias Maximum */
        return 2;
    case 0x11: /* Session Expiry Interval */
    case 0x27: /* Maximum Packet Size */
        return 4;
    case 0x12: /* Assigned Client Identifier */
    case 0x1A: /* Response Information */
    case 0x1F: /* Reason String */
        return end - at >= 2 ? 2u + wire_u16(at) : 0;
    default:
        return 0;
    }
}

unsigned wire_connack(const struct wire_packet *packet, bool version5)
{
    const uint8_t *at = packet->body + 2, *end = packet->body + packet->length;
    unsigned receive = UINT16_MAX;
    uint32_t properties;

    if (packet->type != WIRE_CONNACK || packet->length < 2 || packet->body[1] != 0)
        rig_die("the broker refuses the connection");
    if (!version5 || !wire_number(&at, end, &properties))
        return receive;
    while (at < end) {
        uint8_t identifier = *at++;
        size_t size = property_size(identifier, at, end);

        if (size == 0 || (size_t)(end - at) < size)
            rig_die("CONNACK with a property 0x%02x that cannot be read", identifier);
        if (identifier == 0x21)
            receive = wire_u16(at);
        at += size;
    }
    return receive;
}

void wire_put_u16(struct buf *out, unsigned number)
{
    const uint8_t bytes[2] = {(uint8_t)(number >> 8), (uint8_t)number};

    buf_append(out, bytes, sizeof bytes);
}

void wire_put_header(struct buf *out, uint8_t first, size_t length)
{
    uint8_t bytes[5] = {first};
    size_t count = 1;

    do {
        bytes[count] = (uint8_t)(length % 128 | (length >= 128 ? 0x80 : 0));
        length /= 128;
        count++;
    } while (length > 0);
    buf_append(out, bytes, count);
}

void wire_put_connect(struct buf *out, bool version5, const char *client_id, uint16_t receive)
{
    static const uint8_t name[] = {0, 4, 'M', 'Q', 'T', 'T'};
    const uint8_t rest[] = {version5 ? 5 : 4, 0x02, 0, 0};
    size_t id_length = strlen(client_id);

    wire_put_header(
        out, WIRE_CONNECT << 4, sizeof name + sizeof rest + (version5 ? 4u : 0u) + 2 + id_length);
    buf_append(out, name, sizeof name);
    buf_append(out, rest, sizeof rest);
    if (version5) {
        buf_append(out, "\x03\x21", 2);
        wire_put_u16(out, receive);
    }
    wire_put_u16(out, (unsigned)id_length);
    buf_append(out, client_id, id_length);
}

void wire_put_subscribe(struct buf *out, bool version5, uint16_t id, const char *filter)
{
    size_t length = strlen(filter);
    const char options = version5 ? 0x21 : 0x01; /* QoS 1; Retain Handling 2: none */

    wire_put_header(out, WIRE_SUBSCRIBE << 4 | 2, 2 + (version5 ? 1u : 0u) + 2 + length + 1);
    wire_put_u16(out, id);
    if (version5)
        buf_append_char(out, 0);
    wire_put_u16(out, (unsigned)length);
    buf_append(out, filter, length);
    buf_append_char(out, options);
}

void wire_put_puback(struct buf *out, uint16_t id)
{
    const uint8_t bytes[4] = {WIRE_PUBACK << 4, 2, (uint8_t)(id >> 8), (uint8_t)id};

    buf_append(out, bytes, sizeof bytes);
}

void wire_put_publish(struct buf *out, bool version5, uint16_t id, const char *topic,
    const char *payload, size_t length)
{
    static const char properties[] = "\x15\x01\x01\x03\x00\x10"
                                     "application/json";
    size_t topic_length = strlen(topic);
    size_t properties_length = version5 ? sizeof properties - 1 : 0;

    wire_put_header(
        out, WIRE_PUBLISH << 4 | 0x03, 2 + topic_length + 2 + properties_length + length);
    wire_put_u16(out, (unsigned)topic_length);
    buf_append(out, topic, topic_length);
    wire_put_u16(out, id);
    buf_append(out, properties, properties_length);
    buf_append(out, payload, length);
}
