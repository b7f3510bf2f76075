/* Packet Identifiers and what waits for an acknowledgement (MQTT 5, sections 2.2.1 and 4.3). */
#include "inflight.h"

#include <assert.h>
#include <stdlib.h>

#include "mem.h"

void inflight_init(struct inflight *inflight, unsigned size)
{
    assert(size > 0 && size <= PACKET_IDENTIFIERS);
    *inflight = (struct inflight){
        .places = xcalloc(size, sizeof *inflight->places),
        .sending = xcalloc(size, sizeof *inflight->sending),
        .size = size,
    };
    for (unsigned i = 0; i < size; i++)
        inflight->places[i].next = i + 1;
}

void inflight_clear(struct inflight *inflight)
{
    free(inflight->places);
    free(inflight->sending);
    *inflight = (struct inflight){0};
}

uint16_t inflight_add(struct inflight *inflight, int qos, const struct inflight_owner *owner)
{
    unsigned number = inflight->first_free;
    struct inflight_place *place = &inflight->places[number];
    assert(number < inflight->size);
    inflight->first_free = place->next;
    place->owner = *owner;
    place->awaits = qos == 0 ? INFLIGHT_SENDING : qos == 1 ? INFLIGHT_PUBACK : INFLIGHT_PUBREC;
    inflight->count++;
    if (qos == 0)
        inflight->sending[inflight->sending_count++] = number;
    else
        inflight->awaited++;
    inflight->urgent += qos > 0 && owner->urgent;
    return (uint16_t)(PACKET_FIRST_IDENTIFIER + number);
}

static void finish(struct inflight *inflight, unsigned number, int reason_code)
{
    struct inflight_place *place = &inflight->places[number];
    bool awaited = place->awaits != INFLIGHT_SENDING;
    inflight->awaited -= awaited;
    inflight->urgent -= awaited && place->owner.urgent;
    inflight->count--;
    place->awaits = INFLIGHT_FREE;
    place->next = inflight->first_free;
    inflight->first_free = number;
    place->owner.done(place->owner.ctx, reason_code);
}

bool inflight_answer(
    struct inflight *inflight, enum packet_type type, const struct packet_answer *answer)
{
    static const enum inflight_awaits awaited[] = {[PACKET_PUBACK] = INFLIGHT_PUBACK,
        [PACKET_PUBREC] = INFLIGHT_PUBREC,
        [PACKET_PUBCOMP] = INFLIGHT_PUBCOMP};
    unsigned number = (unsigned)answer->identifier - PACKET_FIRST_IDENTIFIER;
    if (answer->identifier < PACKET_FIRST_IDENTIFIER || number >= inflight->size ||
        inflight->places[number].awaits != awaited[type])
        return false;
    if (type != PACKET_PUBREC || answer->reason_code >= 0x80) {
        finish(inflight, number, answer->reason_code);
        return false;
    }
    inflight->places[number].awaits = INFLIGHT_PUBCOMP;
    return true;
}

void inflight_settle(struct inflight *inflight)
{
    for (unsigned i = 0; i < inflight->sending_count; i++)
        finish(inflight, inflight->sending[i], 0);
    inflight->sending_count = 0;
}
