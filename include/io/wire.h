#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>

/*
 * How the MQTT library's sockets are used, where the library is linked in a way that lets the
 * bridge have a say (bridge/io/paho/wire.c); elsewhere (bridge/io/paho/nowire.c) all of this does
 * nothing. For mqtt.c and loop.c only. Nothing fails.
 */

/* Owner only. What the library is asked to publish between these two is handed to the kernel at the
 * second, in as few system calls as possible, and on the caller's thread. In between the library
 * must not be asked to connect. */
void wire_cork(void);
void wire_uncork(void);

/* Owner only. Whether somebody waits for acknowledgements. While nobody does, as at first, they may
 * lie for some milliseconds until something else has come. */
void wire_hurry(bool hurry);

/* Owner only. How long the library's threads, which look around once a second, may rest while
 * nothing is to be done. 0, as at first: not longer than that. */
void wire_rest(int ms);

/* Any thread. Makes the call once the calling thread has handed on all that the library had read:
 * at once unless that is the library's reading thread. A second call before that replaces the
 * first. */
void wire_after_reading(void (*call)(void *ctx), void *ctx);
/* Any thread. No call with this ctx is made after this has returned. */
void wire_forget(const void *ctx);

/* True where the library's reading thread sleeps for 100 ms after each second without anything to
 * read, whatever comes meanwhile. Constant. */
bool wire_naps(void);

#endif
