#ifndef INSPECTOR_H
#define INSPECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Reads all that a broker sends on one connection, in pieces of any size, as strictly as the
 * specification is written (MQTT 3.1.1 and 5): packets that only a client may send, or none may at
 * that time; lengths that do not fit; reserved bits; properties that are unknown, misplaced,
 * doubled or out of range. So whoever reads the same bytes behind it never meets a malformed
 * packet. What a broker may have from one of its clients without a look is not judged: the bytes of
 * a message's texts. Pure: no I/O. Not shared between threads.
 */
struct inspector {
    bool version5;
    bool connected;  /* the CONNACK has come */
    struct buf head; /* of the packet under way, as far as it is looked at */
    size_t rest;     /* bytes of it that are not */
    char fault[128]; /* for people; "" while all is well */
};

void inspector_init(struct inspector *inspector, bool version5);
/* Frees the memory. */
void inspector_clear(struct inspector *inspector);

/* Looks at the next bytes. False where they complete, or begin, what no broker may send, and from
 * then on always; `fault` says what it is. A packet is judged with its last byte at the latest. At
 * most LIMIT_MQTT_PACKET bytes are kept; a larger packet is a fault with MQTT 5, where the broker
 * was told, and with 3.1.1 if it is no message. */
bool inspector_look(struct inspector *inspector, const void *bytes, size_t size) NODISCARD;

/* Whether a broker may send this packet at all: its first byte, and all that follows the fixed
 * header. */
bool inspector_allows(unsigned first, const void *body, size_t size, bool version5);

#endif
