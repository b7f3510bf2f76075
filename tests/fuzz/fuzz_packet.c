/* What a broker may send, cut in two ways: the library must get the same bytes, and the bridge the
 * same messages and acknowledgements; what a message points to is in its packet. Beside that, what
 * the input makes of a PUBLISH must be one whole packet.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

struct heard {
    struct buf library;
    struct buf ours;
};

static void check_view(const uint8_t *packet, size_t size, const void *view, size_t length)
{
    const uint8_t *begin = view;
    if (view && (begin < packet || length > size || begin > packet + size - length))
        abort();
}

static void hear_message(struct heard *heard, const uint8_t *packet, size_t size)
{
    for (int version5 = 0; version5 < 2; version5++) {
        struct packet_message message;
        if (!packet_read_message(packet, size, version5 != 0, &message))
            continue;
        check_view(packet, size, message.topic, message.topic_length);
        check_view(packet, size, message.payload, message.payload_length);
        check_view(packet, size, message.response_topic, message.response_topic_length);
        check_view(packet, size, message.correlation_data, message.correlation_length);
        if (message.topic_length == 0 || (message.qos > 0) != (message.identifier > 0))
            abort();
        buf_append(&heard->ours, message.topic, message.topic_length);
        buf_append(&heard->ours, message.payload, message.payload_length);
    }
}

static void hear(struct heard *heard, const uint8_t *bytes, size_t length, size_t step)
{
    struct packet_reader reader = {0};
    size_t begin = 0, there = 0;
    buf_init(&heard->library, SIZE_MAX);
    buf_init(&heard->ours, SIZE_MAX);
    while (there < length) {
        there = length - there < step ? length : there + step;
        struct packet_part part;
        while ((part = packet_read(&reader, bytes + begin, there - begin)).kind != PACKET_MORE) {
            if (part.size == 0 || part.size > there - begin)
                abort();
            if (part.kind == PACKET_LIBRARY)
                buf_append(&heard->library, bytes + begin, part.size);
            else if (part.kind == PACKET_PUBLISH)
                hear_message(heard, bytes + begin, part.size);
            else if (part.kind == PACKET_PUBACK)
                buf_printf(&heard->ours, "%u %u\n", part.identifier, part.reason_code);
            if (part.kind == PACKET_PUBACK && part.identifier < PACKET_FIRST_IDENTIFIER)
                abort();
            begin += part.size;
        }
        if (there - begin >= PACKET_DECIDES && bytes[begin] >> 4 != 3)
            abort();
    }
}

static bool equal(const struct buf *a, const struct buf *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static void check_reading(const uint8_t *bytes, size_t length, size_t step)
{
    struct heard whole, pieces;
    hear(&whole, bytes, length, length);
    hear(&pieces, bytes, length, step);
    if (!equal(&whole.library, &pieces.library) || !equal(&whole.ours, &pieces.ours))
        abort();
    buf_clear(&whole.library);
    buf_clear(&whole.ours);
    buf_clear(&pieces.library);
    buf_clear(&pieces.ours);
}

/* What is written is read as it was, where the topic can be one. */
static void check_read_back(const struct packet_publish *publish, const struct buf *packet)
{
    struct packet_message message;
    if (packet->length > LIMIT_MQTT_PACKET ||
        !packet_read_message(packet->data, packet->length, publish->version5, &message))
        return;
    bool correlated = publish->version5 && publish->correlation_data;
    if (message.topic_length != publish->topic_length || message.qos != publish->qos ||
        message.payload_length != publish->payload_length || message.retain != publish->retain ||
        (publish->payload_length > 0 &&
            memcmp(message.payload, publish->payload, publish->payload_length) != 0) ||
        (message.correlation_data != NULL) != correlated)
        abort();
}

static void check_writing(const uint8_t *bytes, size_t length, unsigned choice)
{
    struct packet_publish publish = {
        .topic = (const char *)bytes,
        .topic_length = length / 2,
        .payload = bytes,
        .payload_length = length,
        .qos = (choice & 16) != 0,
        .identifier = (uint16_t)(PACKET_FIRST_IDENTIFIER + choice),
        .retain = (choice & 1) != 0,
        .version5 = (choice & 2) != 0,
        .json = (choice & 4) != 0,
        .correlation_data = (choice & 8) != 0 ? bytes : NULL,
        .correlation_length = (choice & 8) != 0 ? length / 3 : 0,
    };
    struct buf out;
    struct packet_counts counts = {0};
    if (publish.topic_length > UINT16_MAX || publish.correlation_length > UINT16_MAX)
        return;
    buf_init(&out, SIZE_MAX);
    if (!packet_append_publish(&out, &publish))
        abort();
    if (publish.topic_length > 0)
        check_read_back(&publish, &out);
    if (packet_complete(out.data, out.length, &counts) != out.length || counts.subscriptions != 0 ||
        packet_complete(out.data, out.length - 1, &counts) != 0)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct packet_counts counts = {0};
    if (length < 2)
        return 0;
    check_reading(bytes + 1, length - 1, 1 + bytes[0] % 16);
    check_writing(bytes + 1, length - 1, bytes[0]);
    if (packet_complete(bytes + 1, length - 1, &counts) > length - 1)
        abort();
    return 0;
}
