/*
 * How to connect, in paho's terms, and what came of it: what the broker allows, and why it failed,
 * in people's. Several of paho's defaults are not what a daemon wants: no check of the host name,
 * security level 1, an unlimited incoming packet, a second connection attempt with an older
 * protocol.
 */
#include "mqttconnect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "limit.h"
#include "mqtt.h"
#include "tls.h"

enum { QUEUE_SPARE = 16 }; /* so that a full window never meets paho's own bound */

struct scheme {
    const char *name;
    const char *paho;
    int port;
    bool tls;
    bool path; /* a path belongs to the address: WebSocket */
};

static const struct scheme schemes[] = {
    {"mqtt://", "tcp://", 1883, false, false},
    {"mqtts://", "ssl://", 8883, true, false},
    {"ws://", "ws://", 80, false, true},
    {"wss://", "wss://", 443, true, true},
};

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncasecmp(url, schemes[i].name, strlen(schemes[i].name)) == 0)
            return &schemes[i];
    }
    return NULL;
}

/* The port behind the host, *host_length without it; the default where there is none; -1 where it
 * is not a port. The colons of an IPv6 literal are inside its brackets. */
static long split_port(const char *authority, size_t *host_length, int fallback)
{
    size_t length = *host_length;
    char digits[6] = "";
    const char *colon = memrchr(authority, ':', length);
    size_t count;
    long port;

    if (colon == NULL || memchr(colon, ']', length - (size_t)(colon - authority)) != NULL)
        return fallback;
    count = length - (size_t)(colon + 1 - authority);
    if (count == 0 || count >= sizeof digits || strspn(colon + 1, "0123456789") < count)
        return -1;
    memcpy(digits, colon + 1, count);
    port = strtol(digits, NULL, 10);
    *host_length = (size_t)(colon - authority);
    return port >= 1 && port <= 65535 ? port : -1;
}

bool mqttconnect_address(const char *url, struct mqttconnect_address *address, struct error *error)
{
    const struct scheme *scheme = scheme_of(url);
    const char *authority, *path;
    size_t length;
    long port;
    int written;

    if (scheme == NULL)
        return error_set(error, ERROR_BROKER, "%s: expected mqtt, mqtts, ws or wss", url);
    authority = url + strlen(scheme->name);
    length = strcspn(authority, "/?#");
    path = authority + length;
    port = split_port(authority, &length, scheme->port);
    if (length == 0 || port < 0 || memchr(authority, '@', length) != NULL)
        return error_set(error, ERROR_BROKER, "the broker's URL: expected host[:port]");
    written = snprintf(address->uri, sizeof address->uri, "%s%.*s:%ld%s", scheme->paho, (int)length,
        authority, port, scheme->path ? path : "");
    if (written < 0 || (size_t)written >= sizeof address->uri)
        return error_set(error, ERROR_BROKER, "the broker's URL is too long");
    address->tls = scheme->tls;
    address->websocket = scheme->path;
    return true;
}

/* paho takes NULL for "not given". */
static const char *given(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

int mqttconnect_queue(const struct mqtt_options *options)
{
    return (int)options->window + QUEUE_SPARE;
}

void mqttconnect_learn(struct mqttconnect_demands *demands, int code)
{
    if (code == MQTTREASONCODE_QOS_NOT_SUPPORTED && demands->will_qos_lowered < 2)
        demands->will_qos_lowered++;
    else if (code == MQTTREASONCODE_RETAIN_NOT_SUPPORTED)
        demands->will_unretained = true;
}

struct mqtt_options mqttconnect_obey(
    const struct mqttconnect_demands *demands, const struct mqtt_options *options)
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

static MQTTAsync_SSLOptions tls_options(
    const struct mqttconnect_files *files, const struct mqttconnect_calls *calls)
{
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

    tls.trustStore = given(files->ca.path); /* else OpenSSL's own places */
    tls.keyStore = given(files->cert.path);
    tls.privateKey = given(files->key.path);
    tls.enableServerCertAuth = 1;
    tls.verify = 1; /* the host name */
    /* paho lowers the security level to 1, which lets 1024-bit keys pass; this puts it back. */
    tls.enabledCipherSuites = TLS_CIPHERS;
    tls.ssl_error_cb = calls->on_tls_error;
    tls.ssl_error_context = calls->context;
    return tls;
}

static void add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, unsigned number)
{
    MQTTProperty property = {.identifier = code};

    if (code == MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
        property.value.integer2 = (unsigned short)number;
    else
        property.value.integer4 = number;
    MQTTProperties_add(properties, &property);
}

/* What differs between the two versions of the protocol. */
static MQTTAsync_connectOptions version_options(
    const struct mqtt_options *options, const struct mqttconnect_calls *calls, MQTTProperties *own)
{
    if (options->version5) {
        MQTTAsync_connectOptions five = MQTTAsync_connectOptions_initializer5;

        /* A clean start and no session expiry: the outbox sends again what was not acknowledged,
         * in order, which a session kept by broker and library could only disturb. */
        five.cleanstart = 1;
        add_number(own, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, LIMIT_MQTT_RECEIVE);
        add_number(own, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, LIMIT_MQTT_PACKET);
        five.connectProperties = own;
        five.onSuccess5 = calls->on_success5;
        five.onFailure5 = calls->on_failure5;
        return five;
    }
    MQTTAsync_connectOptions four = MQTTAsync_connectOptions_initializer;

    four.MQTTVersion = MQTTVERSION_3_1_1; /* the default would fall back to 3.1 after a loss */
    four.cleansession = 1;
    four.onSuccess = calls->on_success;
    four.onFailure = calls->on_failure;
    return four;
}

static bool open_file(struct memfile *file, const char *text, struct error *error)
{
    return given(text) == NULL || memfile_open(file, text, error);
}

bool mqttconnect_open_files(
    struct mqttconnect_files *files, const struct mqtt_options *options, struct error *error)
{
    return open_file(&files->ca, options->ca, error) &&
           open_file(&files->cert, options->cert, error) &&
           open_file(&files->key, options->key, error);
}

void mqttconnect_close_files(struct mqttconnect_files *files)
{
    memfile_close(&files->ca);
    memfile_close(&files->cert);
    memfile_close(&files->key);
}

int mqttconnect_start(MQTTAsync handle, const struct mqtt_options *options, bool tls,
    const struct mqttconnect_files *files, const struct mqttconnect_calls *calls)
{
    MQTTProperties own = MQTTProperties_initializer;
    MQTTAsync_connectOptions connect = version_options(options, calls, &own);
    MQTTAsync_SSLOptions ssl = tls_options(files, calls);
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    int code;

    will.topicName = given(options->will_topic);
    will.message = options->will_payload != NULL ? options->will_payload : "";
    will.retained = !options->will_unretained;
    will.qos = options->will_qos;
    connect.will = will.topicName != NULL ? &will : NULL;
    connect.ssl = tls ? &ssl : NULL;
    connect.username = given(options->username);
    connect.password = given(options->password);
    connect.keepAliveInterval = options->keep_alive_s;
    connect.connectTimeout = options->connect_timeout_s;
    connect.maxInflight = mqttconnect_queue(options);
    connect.automaticReconnect = 0;
    connect.context = calls->context;
    code = MQTTAsync_connect(handle, &connect);
    MQTTProperties_free(&own);
    return code;
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

const char *mqttconnect_reason(int code)
{
    const char *name = NULL;

    if (code >= 1 && code <= 5)
        return return_codes[code];
    if (code >= 0x80)
        name = MQTTReasonCode_toString((enum MQTTReasonCodes)code);
    return name != NULL ? name : "unknown reason";
}

bool mqttconnect_is_refusal(int code)
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

void mqttconnect_describe(
    int code, const char *message, const char *tls_text, char *out, size_t size)
{
    const char *words = message;

    if (tls_text[0] != '\0') {
        snprintf(out, size, "TLS: %s", tls_text);
        return;
    }
    if (code > 0) {
        snprintf(out, size, "the broker refused the connection: %s (code %d)",
            mqttconnect_reason(code), code);
        return;
    }
    if (code == 0 && words != NULL) {
        snprintf(out, size, "%s", words);
        return;
    }
    if (words == NULL)
        words = MQTTAsync_strerror(code);
    snprintf(out, size, "%s (code %d)", words != NULL ? words : "the connection failed", code);
}

/* The values that paho parses and does not obey. */
static void read_connack(MQTTProperties *properties, struct mqtt_limits *limits)
{
    MQTTProperty *property;

    property = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM);
    if (property != NULL && property->value.integer2 > 0 &&
        property->value.integer2 < limits->window)
        limits->window = property->value.integer2;
    property = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE);
    if (property != NULL && property->value.integer4 > 0)
        limits->maximum_packet_size = property->value.integer4;
    property = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_MAXIMUM_QOS);
    if (property != NULL)
        limits->maximum_qos = property->value.byte;
    property = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_RETAIN_AVAILABLE);
    if (property != NULL)
        limits->retain_available = property->value.byte != 0;
    property = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE);
    if (property != NULL)
        limits->keep_alive_s = property->value.integer2;
}

struct mqtt_limits mqttconnect_limits(unsigned window, MQTTProperties *connack)
{
    struct mqtt_limits limits = {
        .window = window,
        .maximum_packet_size = UINT32_MAX,
        .maximum_qos = 2,
        .retain_available = true,
    };

    if (connack != NULL)
        read_connack(connack, &limits);
    return limits;
}

bool mqttconnect_publication_refused(int code, struct error *error)
{
    bool hopeless = code == MQTTASYNC_BAD_UTF8_STRING || code == MQTTASYNC_BAD_QOS ||
                    code == MQTTASYNC_NULL_PARAMETER || code == MQTTASYNC_TOPICNAME_TRUNCATED;
    const char *words = MQTTAsync_strerror(code);

    return error_set(error, hopeless ? ERROR_RUN : ERROR_BROKER, "the MQTT library: %s (code %d)",
        words != NULL ? words : "refused", code);
}
