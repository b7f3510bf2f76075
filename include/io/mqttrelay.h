#ifndef MQTTRELAY_H
#define MQTTRELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/*
 * Stands between the MQTT library and its socket once a connection is up, so that messages, both
 * ways, and their acknowledgements need not go through the library and its threads: they are the
 * relay's, everything else is passed on as it is. For mqtt.c and mqttlink.c only; on the owner
 * thread unless it says otherwise.
 */
struct mqttrelay;
struct loop;

/* Puts a relay in the place of the connected socket `fd`, non-blocking, which is the library's:
 * from now on the library reads from the relay and writes to it, and nothing passes before
 * mqttrelay_start. Any thread, while no other uses fd. NULL, and nothing has changed, where the
 * process has no descriptors left. */
struct mqttrelay *mqttrelay_new(int fd, bool version5);
/* Passes on what the library has written, a last DISCONNECT, waiting up to 200 ms for a broker that
 * takes nothing, and closes the connection. The library must have closed its end, or never use it
 * again. NULL is allowed. */
void mqttrelay_free(struct mqttrelay *relay);

/* In the order in which the broker has sent it all. The calls must not free the relay, nor look. */
struct mqttrelay_handler {
    void *ctx;
    /* A PUBACK for a publication of the relay's, or with QoS 0 that the kernel has taken it, which
     * counts as 0; at_ms is monotonic. */
    void (*on_ack)(void *ctx, uint16_t identifier, uint8_t reason_code, int64_t at_ms);
    /* A message, to be copied; the relay acknowledges it. */
    void (*on_message)(void *ctx, const struct packet_message *message);
    /* Whether more may be read. The broker is held back until then, and the loop goes on looking:
     * whoever has no room must be at work on what has come. */
    bool (*has_room)(void *ctx);
};

/* Begins to pass things on, on the loop. The handler is copied. False where the loop has no room.
 */
bool mqttrelay_start(
    struct mqttrelay *relay, struct loop *loop, const struct mqttrelay_handler *handler) NODISCARD;
/* Nothing passes any more, and the handler is not called again. The connection stays open. */
void mqttrelay_stop(struct mqttrelay *relay);

/* The library has been asked to subscribe or to unsubscribe: no later publication overtakes that.
 */
void mqttrelay_expect_subscription(struct mqttrelay *relay);

/* Copies the publication; it is sent by mqttrelay_flush. False where it is larger than MQTT allows
 * or memory is short. */
bool mqttrelay_publish(struct mqttrelay *relay, const struct packet_publish *publish) NODISCARD;
void mqttrelay_flush(struct mqttrelay *relay);

/* Whether acknowledgements wake the loop one by one. That is so at first; otherwise they may lie
 * for some milliseconds, or until mqttrelay_look. */
void mqttrelay_hurry(struct mqttrelay *relay, bool hurry);
/* Takes what lies there. */
void mqttrelay_look(struct mqttrelay *relay);
/* Of a publication of the relay's on_ack has not been told yet. */
bool mqttrelay_awaits(const struct mqttrelay *relay);

#endif
