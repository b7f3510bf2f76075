#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * MQTT packets as bytes: those of a publication, both ways, and what of the others the bridge has
 * to know (MQTT 3.1.1 and 5; numbers of sections are those of MQTT 5). The others are the MQTT
 * library's. On one connection both it and the bridge number their packets, so each has half of the
 * Packet Identifiers (section 2.2.1). Pure: no I/O.
 */
enum packet_type {
    PACKET_CONNECT = 1,
    PACKET_CONNACK,
    PACKET_PUBLISH,
    PACKET_PUBACK,
    PACKET_PUBREC,
    PACKET_PUBREL,
    PACKET_PUBCOMP,
    PACKET_SUBSCRIBE,
    PACKET_SUBACK,
    PACKET_UNSUBSCRIBE,
    PACKET_UNSUBACK,
    PACKET_PINGREQ,
    PACKET_PINGRESP,
    PACKET_DISCONNECT,
};

enum {
    PACKET_FIRST_IDENTIFIER = 0x8000, /* the bridge's are from here on */
    PACKET_IDENTIFIERS = 0x8000,      /* and as many */
    PACKET_REMAINING_MOST = 268435455 /* section 2.1.4 (3.1.1: 2.2.3) */
};

struct packet_publish {
    const char *topic; /* a valid Topic Name (section 4.7), at most 65,535 bytes */
    size_t topic_length;
    const void *payload;
    size_t payload_length;
    int qos;             /* 0 to 2 */
    uint16_t identifier; /* not part of the packet with QoS 0 */
    bool retain;
    bool version5;                /* else MQTT 3.1.1, and what follows is left out */
    bool json;                    /* Content Type application/json, Payload Format Indicator 1 */
    const void *correlation_data; /* NULL where there is none */
    size_t correlation_length;    /* at most 65,535 bytes */
};

/* Its bytes; SIZE_MAX where that is more than MQTT allows. */
size_t packet_publish_size(const struct packet_publish *publish);
/* Writes the packet where there is room for that many bytes. */
void packet_write_publish(void *out, const struct packet_publish *publish);
/* Appends it. False, with nothing appended, where it would be larger than MQTT allows or than the
 * buffer takes (out->failed). */
bool packet_append_publish(struct buf *out, const struct packet_publish *publish) NODISCARD;

/* Of a whole PUBLISH. */
int packet_qos(const void *packet);
void packet_set_identifier(void *packet, uint16_t identifier); /* QoS 1 and 2 */

/* Appends a PUBACK, PUBREC, PUBREL or PUBCOMP with success. False where the buffer takes no more
 * (out->failed). */
bool packet_append_answer(struct buf *out, enum packet_type type, uint16_t identifier) NODISCARD;

/* Bytes of the packet that begins here, with its header; SIZE_MAX where too few are there to say.
 */
size_t packet_size(const void *bytes, size_t length);
/* Its type (section 2.1.2). */
enum packet_type packet_type(const void *packet);

/* What follows reads whole packets that an inspector has let pass (inspector.h). */

/* A message: views of its packet. */
struct packet_message {
    const char *topic;
    size_t topic_length;
    const char *payload;
    size_t payload_length;
    const char *response_topic; /* NULL where none (MQTT 5, 3.3.2.3.5) */
    size_t response_topic_length;
    const char *correlation_data; /* NULL where none (MQTT 5, 3.3.2.3.6) */
    size_t correlation_length;
    uint32_t expiry_s; /* UINT32_MAX where none (MQTT 5, 3.3.2.3.3) */
    int qos;
    uint16_t identifier;
    bool retain, duplicate;
};

/* A PUBLISH (section 3.3). The bytes of its texts may be anything: not every broker looks at what
 * its clients send. */
void packet_read_message(const void *packet, bool version5, struct packet_message *message);

/* Whether the bytes are a text (section 1.5.4): well-formed UTF-8 without U+0000. */
bool packet_is_text(const char *bytes, size_t length);
/* Whether they can be a message's topic: text without wildcards, and not empty. */
bool packet_is_topic_name(const char *topic, size_t length);

/* PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7), and the identifier alone of SUBSCRIBE,
 * SUBACK, UNSUBSCRIBE and UNSUBACK. */
struct packet_answer {
    uint16_t identifier;
    uint8_t reason_code; /* 0 in MQTT 3.1.1 */
};
struct packet_answer packet_read_answer(const void *packet, bool version5);

/* Why a broker refuses or ends a connection: views of the packet. */
struct packet_reason {
    int code;
    const char *text; /* Reason String; NULL where none */
    size_t text_length;
    const char *server; /* Server Reference; NULL where none */
    size_t server_length;
};
/* A DISCONNECT (section 3.14). */
void packet_read_disconnect(const void *packet, struct packet_reason *reason);

/* A CONNACK (section 3.2), with the specification's defaults for what it leaves out. */
struct packet_connack {
    struct packet_reason reason;
    unsigned receive_maximum;
    uint32_t maximum_packet_size;
    int maximum_qos;
    bool retain_available;
    int keep_alive_s; /* Server Keep Alive; -1 where the client's holds */
};
void packet_read_connack(const void *packet, bool version5, struct packet_connack *connack);

#endif
