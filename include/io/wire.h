#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How the MQTT library's sockets and threads are used, where the library is linked in a way that
 * lets the bridge have a say (bridge/io/paho/wire.c); elsewhere (bridge/io/paho/nowire.c) all of
 * this does nothing. For mqtt.c and mqttlink.c only. Nothing fails.
 */

/* Any thread, in a callback of the library's. The socket that the library has last read from on
 * this thread: that of the connection which the callback is about. -1 where it is not known, as
 * with TLS. */
int wire_socket(void);

/* What comes through a connection of the library's. */
enum wire_content {
    WIRE_OTHER,  /* not MQTT itself: WebSocket */
    WIRE_MQTT_3, /* MQTT 3.1.1 */
    WIRE_MQTT_5,
};

/* Owner only. Of the connections that the library makes from now on. What no broker may send ends
 * an MQTT connection before the library has it (inspector.h), with TLS too. At first: WIRE_OTHER.
 */
void wire_expect(enum wire_content content);

/* Any thread, in a callback of the library's. Copies what ended the connection that this thread has
 * last read from so; "" where nothing did, and the next time. */
void wire_take_fault(char *out, size_t size);

/* Owner only. What the library is asked to publish between these two is worked off at the second,
 * on the caller's thread. In between the library must not be asked to connect. */
void wire_cork(void);
void wire_uncork(void);

/* Owner only. How long the library's threads, which look around once a second, may rest while
 * nothing is to be done. 0, as at first: not longer than that. */
void wire_rest(int ms);

/* Owner only, after the last of the library's handles was destroyed, which ends its threads.
 * Returns when they have ended, at once as a rule, or after a second for each. */
void wire_join(void);

/* True where the library's reading thread sleeps for 100 ms after each second without anything to
 * read, whatever comes meanwhile. Constant. */
bool wire_naps(void);

#endif
