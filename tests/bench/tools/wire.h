#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * The packets of MQTT 3.1.1 and 5 (sections 2 and 3 of either) that the benchmark needs, as the
 * client and as the broker.
 */

enum wire_type {
    WIRE_CONNECT = 1,
    WIRE_CONNACK = 2,
    WIRE_PUBLISH = 3,
    WIRE_PUBACK = 4,
    WIRE_SUBSCRIBE = 8,
    WIRE_SUBACK = 9,
    WIRE_UNSUBSCRIBE = 10,
    WIRE_UNSUBACK = 11,
    WIRE_PINGREQ = 12,
    WIRE_PINGRESP = 13,
    WIRE_DISCONNECT = 14,
};

/* A packet in a buffer; borrowed from there. */
struct wire_packet {
    enum wire_type type;
    uint8_t flags;
    const uint8_t *body;
    size_t length;
    size_t size; /* with its header */
};

struct wire_publish {
    const char *topic;
    size_t topic_length;
    const char *payload;
    size_t length;
    uint16_t id; /* QoS 1 and 2 */
    uint8_t qos;
    bool retained;
};

/* The packet at the buffer's start. False: it is not all there. */
bool wire_parse(const uint8_t *bytes, size_t length, struct wire_packet *packet);
bool wire_parse_publish(
    const struct wire_packet *packet, bool version5, struct wire_publish *publish);
/* Reads a variable byte integer and moves *at behind it. */
bool wire_number(const uint8_t **at, const uint8_t *end, uint32_t *number);
uint16_t wire_u16(const uint8_t *at);

/* What the broker allows in its CONNACK: Receive Maximum, 65535 without. Dies if it refuses. */
unsigned wire_connack(const struct wire_packet *packet, bool version5);

/* Clean start, no keep alive. */
void wire_put_connect(struct buf *out, bool version5, const char *client_id, uint16_t receive);
/* QoS 1; with MQTT 5 without the messages that are retained already. */
void wire_put_subscribe(struct buf *out, bool version5, uint16_t id, const char *filter);
void wire_put_puback(struct buf *out, uint16_t id);
/* QoS 1, retained; with MQTT 5 the content type and payload format that the bridge gives. */
void wire_put_publish(struct buf *out, bool version5, uint16_t id, const char *topic,
    const char *payload, size_t length);
void wire_put_header(struct buf *out, uint8_t first, size_t length);
void wire_put_u16(struct buf *out, unsigned number);

#endif
