/* Incoming messages, from paho's terms and from bytes. */
#include "mqttmessage.h"

#include <MQTTAsync.h>
#include <string.h>

#include "buf.h"

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

/* With a NUL, as paho leaves one behind topics. */
static const char *keep(char **at, const char *bytes, size_t length)
{
    char *kept = *at;

    if (bytes == NULL)
        return NULL;
    memcpy(kept, bytes, length);
    kept[length] = '\0';
    *at += length + 1;
    return kept;
}

struct mqtt_message *mqttmessage_copy(const struct packet_message *packet)
{
    size_t size = packet->topic_length + packet->payload_length + packet->response_topic_length +
                  packet->correlation_length + 4;
    struct mqtt_message *message;
    struct buf block;
    char *at;

    buf_init(&block, sizeof *message + size); /* and no more than that */
    if (buf_extend(&block, sizeof *message + size) == NULL)
        return NULL;
    message = (struct mqtt_message *)buf_take(&block);
    at = (char *)(message + 1);
    *message = (struct mqtt_message){
        .topic = keep(&at, packet->topic, packet->topic_length),
        .topic_length = packet->topic_length,
        .payload = keep(&at, packet->payload, packet->payload_length),
        .payload_length = packet->payload_length,
        .response_topic = keep(&at, packet->response_topic, packet->response_topic_length),
        .response_topic_length = packet->response_topic_length,
        .correlation_data = keep(&at, packet->correlation_data, packet->correlation_length),
        .correlation_length = packet->correlation_length,
        .retained = packet->retain,
        .duplicate = packet->duplicate,
        .expiry_s = packet->expiry_s,
    };
    return message;
}
