#ifndef MQTTMESSAGE_H
#define MQTTMESSAGE_H

#include "inbox.h"
#include "mqtt.h"

/* An incoming message, an event of INBOX_MQTT_MESSAGE, as the rest of the bridge sees it: views of
 * what paho holds, for as long as the event lives. For mqtt.c only; any thread. */
struct mqtt_message mqttmessage_view(const struct inbox_event *event);

#endif
