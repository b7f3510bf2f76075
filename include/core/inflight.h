#ifndef INFLIGHT_H
#define INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/*
 * Publications that the broker has not acknowledged, by their Packet Identifiers: those of QoS 0
 * too, which are done once the connection has taken them. Pure.
 */
enum inflight_awaits {
    INFLIGHT_FREE,
    INFLIGHT_SENDING, /* QoS 0 */
    INFLIGHT_PUBACK,  /* QoS 1 */
    INFLIGHT_PUBREC,  /* QoS 2 */
    INFLIGHT_PUBCOMP,
};

/* Who is told of the end of a publication, and whether somebody waits for it. */
struct inflight_owner {
    void (*done)(void *ctx, int reason_code);
    void *ctx;
    bool urgent;
};

struct inflight_place {
    enum inflight_awaits awaits;
    struct inflight_owner owner;
    unsigned next; /* free: the next free one */
};

/* A value type; zero-initialise, then inflight_init. */
struct inflight {
    struct inflight_place *places; /* by identifier, from PACKET_FIRST_IDENTIFIER on */
    unsigned size, first_free;
    unsigned *sending; /* the places of QoS 0, in their order */
    unsigned sending_count;
    unsigned count;   /* all of them */
    unsigned awaited; /* those that the broker has to acknowledge */
    unsigned urgent;  /* of these, those that somebody waits for */
};

void inflight_init(struct inflight *inflight, unsigned size);
/* Forgets all; nobody is told. */
void inflight_clear(struct inflight *inflight);

/* Takes a place, of which there is one (count < size), and returns its identifier. */
uint16_t inflight_add(struct inflight *inflight, int qos, const struct inflight_owner *owner);
/* A PUBACK, PUBREC or PUBCOMP has come: its owner is told of the end. True where a PUBREL is to
 * follow. A late one, for nothing that is in flight, changes nothing. */
bool inflight_answer(
    struct inflight *inflight, enum packet_type type, const struct packet_answer *answer);
/* The connection has taken all that was written: those of QoS 0 end. Nobody who is told of that
 * adds others at once. */
void inflight_settle(struct inflight *inflight);

#endif
