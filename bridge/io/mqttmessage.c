/* What paho holds of an incoming message, in the bridge's terms. */
#include "mqttmessage.h"

#include <MQTTAsync.h>

struct mqtt_message mqttmessage_view(const struct inbox_event *event)
{
    MQTTAsync_message *incoming = event->pointer;
    MQTTProperty *response =
        MQTTProperties_getProperty(&incoming->properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC);
    MQTTProperty *correlation =
        MQTTProperties_getProperty(&incoming->properties, MQTTPROPERTY_CODE_CORRELATION_DATA);
    MQTTProperty *expiry = MQTTProperties_getProperty(
        &incoming->properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL);
    struct mqtt_message message = {
        .topic = event->pointer2,
        .topic_length = event->number,
        .payload = incoming->payload != NULL ? incoming->payload : "",
        .payload_length = (size_t)incoming->payloadlen,
        .retained = incoming->retained != 0,
        .duplicate = incoming->dup != 0,
        .expiry_s = expiry != NULL ? expiry->value.integer4 : UINT32_MAX,
    };

    if (response != NULL) {
        message.response_topic = response->value.data.data;
        message.response_topic_length = (size_t)response->value.data.len;
    }
    if (correlation != NULL) {
        message.correlation_data = correlation->value.data.data;
        message.correlation_length = (size_t)correlation->value.data.len;
    }
    return message;
}
