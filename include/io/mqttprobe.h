#ifndef MQTTPROBE_H
#define MQTTPROBE_H

#include <stdbool.h>

#include "error.h"

/*
 * Why TLS with the broker fails, in words. paho keeps to itself whether a certificate has expired,
 * is for another host or comes from an unknown authority, and whether a port is open at all. So
 * after an attempt that failed, libcurl connects to the same place once, with the same rules and
 * certificates, and says what it met. Nothing is sent beyond the handshake. For mqtt.c only;
 * owner thread.
 */
struct loop;
struct mqtt_options;
struct mqttprobe;

/* `refused`: TLS itself failed, which waiting alone will hardly mend. `words`: "" where libcurl
 * got through. Borrowed for the call. */
typedef void mqttprobe_done(void *ctx, bool refused, const char *words);

/* Prepares a probe for these options, copied; their URL has to be mqtts or wss. `uri` is paho's
 * form of it, ssl://host:port or wss://host:port/path. NULL where libcurl is out of memory. */
struct mqttprobe *mqttprobe_new(struct loop *loop, const struct mqtt_options *options,
    const char *uri, mqttprobe_done *done, void *ctx);
/* Starts it, once. done is called after five seconds at the latest, never from within. */
void mqttprobe_start(struct mqttprobe *probe);
bool mqttprobe_is_running(const struct mqttprobe *probe);
/* Ends it without a callback and frees it, also from its own callback; NULL is allowed. */
void mqttprobe_free(struct mqttprobe *probe);

#endif
