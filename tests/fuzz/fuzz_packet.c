/* What a broker may send, as the connection reads it: of each packet that the inspector lets pass,
 * every view is inside of it, and what is read of it is read the same way again. Beside that, what
 * the input makes of a PUBLISH is one whole packet, which is read back as it was.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inspector.h"
#include "limit.h"
#include "packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_view(const uint8_t *packet, size_t size, const void *view, size_t length)
{
    const uint8_t *begin = view;
    if (view && (begin < packet || length > size || begin > packet + size - length))
        abort();
}

static void check_reason(const uint8_t *packet, size_t size, const struct packet_reason *reason)
{
    check_view(packet, size, reason->text, reason->text_length);
    check_view(packet, size, reason->server, reason->server_length);
}

static void read_message(const uint8_t *packet, size_t size, bool version5)
{
    struct packet_message message;
    packet_read_message(packet, version5, &message);
    check_view(packet, size, message.topic, message.topic_length);
    check_view(packet, size, message.payload, message.payload_length);
    check_view(packet, size, message.response_topic, message.response_topic_length);
    check_view(packet, size, message.correlation_data, message.correlation_length);
    if (message.qos > 2 || (message.qos > 0) != (message.identifier > 0) ||
        (message.payload + message.payload_length != (const char *)packet + size))
        abort();
}

static void read_packet(const uint8_t *packet, size_t size, bool version5)
{
    struct packet_connack connack;
    struct packet_reason reason;
    switch (packet_type(packet)) {
    case PACKET_CONNACK:
        packet_read_connack(packet, version5, &connack);
        check_reason(packet, size, &connack.reason);
        if (connack.maximum_qos > 2 || connack.receive_maximum == 0)
            abort();
        break;
    case PACKET_PUBLISH:
        read_message(packet, size, version5);
        break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        if (packet_read_answer(packet, version5).identifier == 0)
            abort();
        break;
    case PACKET_DISCONNECT:
        packet_read_disconnect(packet, &reason);
        check_reason(packet, size, &reason);
        break;
    case PACKET_PINGRESP:
        break;
    case PACKET_CONNECT:
    case PACKET_SUBSCRIBE:
    case PACKET_UNSUBSCRIBE:
    case PACKET_PINGREQ:
        abort();
    }
}

static void check_reading(const uint8_t *bytes, size_t length, bool version5)
{
    struct inspector inspector;
    inspector_init(&inspector, version5);
    size_t at = 0, size = packet_size(bytes, length);
    while (size <= length - at && inspector_look(&inspector, bytes + at, size)) {
        /* Of its own, so that AddressSanitizer sees what is read behind its end. */
        uint8_t *packet = malloc(size);
        memcpy(packet, bytes + at, size);
        read_packet(packet, size, version5);
        free(packet);
        at += size;
        size = packet_size(bytes + at, length - at);
    }
    inspector_clear(&inspector);
}

static void check_writing(const uint8_t *bytes, size_t length, unsigned choice)
{
    struct packet_publish publish = {
        .topic = (const char *)bytes,
        .topic_length = length / 2,
        .payload = bytes,
        .payload_length = length,
        .qos = (int)((choice >> 4) % 3),
        .identifier = (uint16_t)(PACKET_FIRST_IDENTIFIER + choice),
        .retain = (choice & 1) != 0,
        .version5 = (choice & 2) != 0,
        .json = (choice & 4) != 0,
        .correlation_data = (choice & 8) != 0 ? bytes : NULL,
        .correlation_length = (choice & 8) != 0 ? length / 3 : 0,
    };
    struct packet_message read;
    struct buf out;
    if (publish.topic_length > UINT16_MAX || publish.correlation_length > UINT16_MAX)
        return;
    buf_init(&out, SIZE_MAX);
    if (!packet_append_publish(&out, &publish) || packet_size(out.data, out.length) != out.length)
        abort();
    packet_read_message(out.data, publish.version5, &read);
    bool correlated = publish.version5 && publish.correlation_data;
    if (read.topic_length != publish.topic_length || read.qos != publish.qos ||
        read.payload_length != publish.payload_length || read.retain != publish.retain ||
        (publish.payload_length > 0 &&
            memcmp(read.payload, publish.payload, publish.payload_length) != 0) ||
        (read.correlation_data != NULL) != correlated)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 2)
        return 0;
    check_reading(bytes + 1, length - 1, (bytes[0] & 1) != 0);
    check_writing(bytes + 1, length - 1, bytes[0]);
    return 0;
}
