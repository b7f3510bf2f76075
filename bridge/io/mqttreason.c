/* What a broker's codes mean. */
#include "mqttreason.h"

#include <MQTTAsync.h>
#include <stdio.h>

#include "mqtt.h"

void mqttreason_learn(struct mqtt_demands *demands, int code)
{
    if (code == MQTTREASONCODE_QOS_NOT_SUPPORTED && demands->will_qos_lowered < 2)
        demands->will_qos_lowered++;
    else if (code == MQTTREASONCODE_RETAIN_NOT_SUPPORTED)
        demands->will_unretained = true;
}

struct mqtt_options mqttreason_obey(
    const struct mqtt_demands *demands, const struct mqtt_options *options)
{
    struct mqtt_options result = *options;

    result.will_qos -= demands->will_qos_lowered;
    if (result.will_qos < 0)
        result.will_qos = 0;
    result.will_unretained = options->will_unretained || demands->will_unretained;
    if (demands->keep_alive_s > 0 && demands->keep_alive_s < result.keep_alive_s)
        result.keep_alive_s = demands->keep_alive_s;
    return result;
}

/* The return codes of MQTT 3.1.1, section 3.2.2.3. A broker that knows no MQTT 5 answers an MQTT 5
 * client with them too, and no reason code of MQTT 5 for a refusal is that low. */
static const char *const return_codes[] = {
    [1] = "unacceptable protocol version",
    [2] = "client identifier rejected",
    [3] = "server unavailable",
    [4] = "bad user name or password",
    [5] = "not authorized",
};

const char *mqttreason_name(int code)
{
    const char *name = NULL;

    if (code >= 1 && code <= 5)
        return return_codes[code];
    if (code >= 0x80)
        name = MQTTReasonCode_toString((enum MQTTReasonCodes)code);
    return name != NULL ? name : "unknown reason";
}

bool mqttreason_is_refusal(int code)
{
    switch (code) {
    case 1:
    case 2:
    case 4:
    case 5:
    case MQTTREASONCODE_UNSUPPORTED_PROTOCOL_VERSION:
    case MQTTREASONCODE_CLIENT_IDENTIFIER_NOT_VALID:
    case MQTTREASONCODE_BAD_USER_NAME_OR_PASSWORD:
    case MQTTREASONCODE_NOT_AUTHORIZED:
    case MQTTREASONCODE_BANNED:
    case MQTTREASONCODE_BAD_AUTHENTICATION_METHOD:
        return true;
    default:
        return false;
    }
}

void mqttreason_describe(
    const char *what, const struct packet_reason *reason, char *out, size_t size)
{
    int length =
        snprintf(out, size, "%s: %s (code %d)", what, mqttreason_name(reason->code), reason->code);
    if (reason->text && length > 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, "; it says: %.*s",
            (int)reason->text_length, reason->text);
    if (reason->server && length > 0 && (size_t)length < size)
        snprintf(out + length, size - (size_t)length, "; it names another server: %.*s",
            (int)reason->server_length, reason->server);
}
