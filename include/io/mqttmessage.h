#ifndef MQTTMESSAGE_H
#define MQTTMESSAGE_H

#include "inbox.h"
#include "mqtt.h"
#include "packet.h"

/* Incoming messages as the rest of the bridge sees them. For mqtt.c and mqttlink.c only; any
 * thread. */

/* Views of what paho holds in an event of INBOX_MQTT_MESSAGE, for as long as the event lives. */
struct mqtt_message mqttmessage_view(const struct inbox_event *event);
/* A copy of what the relay has read; free() frees it with all that it points to. NULL where memory
 * is short. */
struct mqtt_message *mqttmessage_copy(const struct packet_message *packet) NODISCARD;

#endif
