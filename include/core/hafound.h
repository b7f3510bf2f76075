#ifndef HAFOUND_H
#define HAFOUND_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Discovery payloads of earlier runs, as they stand at the broker: whose they are, and how Home
 * Assistant is told of entities that are no more. Pure.
 */

/* Whose device it is, as far as the payload tells. Strings are owned; "" where there is none. */
struct hafound {
    char *origin;     /* origin.name */
    char *serial;     /* device.serial_number: of a bridge's device its client id */
    char *via_device; /* device.via_device: of a job's device its bridge */
};
/* False, and nothing to clear, where the payload is no JSON object. The caller clears. */
bool hafound_read(struct hafound *found, const char *payload, size_t length);
void hafound_clear(struct hafound *found);

/*
 * An entity that a later payload merely lacks stays in Home Assistant. It goes when it comes once
 * more with its platform alone. Appends `payload` (which ends with its components, as ha.h writes
 * it) with every component that only `standing` has reduced so. False, and nothing of use was
 * appended, where there is none: `payload` can be sent as it is.
 */
bool hafound_append_farewell(struct buf *out, const char *standing, size_t standing_length,
    const char *payload, size_t length);

#endif
