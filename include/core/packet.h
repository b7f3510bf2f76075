#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * The MQTT packets that each event takes, as bytes: PUBLISH with QoS 0 or 1 (MQTT 3.1.1 and 5,
 * section 3.3) and the PUBACK of the latter (section 3.4). All others are the MQTT library's. On
 * one connection both it and the bridge number their packets, so each has half of the Packet
 * Identifiers (section 2.2.1). Pure: no I/O.
 */
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
    int qos;             /* 0 or 1 */
    uint16_t identifier; /* not part of the packet with QoS 0 */
    bool retain;
    bool version5;                /* else MQTT 3.1.1, and what follows is left out */
    bool json;                    /* Content Type application/json, Payload Format Indicator 1 */
    const void *correlation_data; /* NULL where there is none */
    size_t correlation_length;    /* at most 65,535 bytes */
};

/* Appends the packet. False, with nothing appended, where it would be larger than MQTT allows or
 * than the buffer takes (out->failed). */
bool packet_append_publish(struct buf *out, const struct packet_publish *publish) NODISCARD;

/* Appends the PUBACK, with success, for what the broker has numbered so. False where the buffer
 * takes no more (out->failed). */
bool packet_append_puback(struct buf *out, uint16_t identifier) NODISCARD;

/* Finds the messages, and the PUBACKs that answer the bridge, in what the broker sends, in pieces
 * of any size. Zero-initialise for a new connection. */
struct packet_reader {
    size_t left;     /* of the packet under way, bytes that were not handed out yet */
    bool left_ours;  /* it is a PUBACK of the bridge's, already reported */
    bool unreadable; /* the stream is no MQTT: all of it is the library's, which knows what to do */
};

enum packet_kind {
    PACKET_MORE,    /* the beginning of a packet: nothing can be said before more has come */
    PACKET_LIBRARY, /* bytes for the library */
    PACKET_PUBLISH, /* a whole PUBLISH with QoS 0 or 1, for packet_read_message */
    PACKET_PUBACK,  /* an answer to the bridge */
    PACKET_SKIPPED, /* the rest of one */
};

struct packet_part {
    enum packet_kind kind;
    size_t size;         /* bytes from the beginning; 0 for PACKET_MORE only */
    uint16_t identifier; /* of PACKET_PUBACK */
    uint8_t reason_code; /* of PACKET_PUBACK: section 3.4.2.1; 0 in MQTT 3.1.1 */
};

/* Says what the first bytes are. PACKET_MORE with PACKET_DECIDES bytes or more only for a PUBLISH;
 * one that is larger than LIMIT_MQTT_PACKET, which the broker was told, is the library's. */
enum { PACKET_DECIDES = 8 };
struct packet_part packet_read(struct packet_reader *reader, const void *bytes, size_t size);

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
    int qos;           /* 0 or 1 */
    uint16_t identifier;
    bool retain, duplicate;
};

/* Reads a PACKET_PUBLISH. False where it is not made as the specification has it, or has a Topic
 * Alias, which nobody has asked for: the library knows what to do then. Texts may be any bytes: not
 * every broker looks at what its clients send. */
bool packet_read_message(
    const void *bytes, size_t size, bool version5, struct packet_message *message) NODISCARD;

/* Whether the bytes are a text (section 1.5.4): well-formed UTF-8 without U+0000. */
bool packet_is_text(const char *bytes, size_t length);
/* Whether they can be a message's topic: text without wildcards, and not empty. */
bool packet_is_topic_name(const char *topic, size_t length);

/* What is among whole packets. */
struct packet_counts {
    unsigned subscriptions; /* SUBSCRIBE or UNSUBSCRIBE (sections 3.8 and 3.10) */
    unsigned disconnects;   /* DISCONNECT: nothing may be sent behind it (section 3.14.4) */
};

/* How many of the bytes are whole packets, from the beginning; all where they are no MQTT. Adds to
 * *counts what these are. */
size_t packet_complete(const void *bytes, size_t size, struct packet_counts *counts);

#endif
