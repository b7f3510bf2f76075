/* The address of a broker. */
#include "brokerurl.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static const struct scheme {
    const char *name;
    int port;
    bool tls, websocket;
} schemes[] = {
    {"mqtt://", 1883, false, false},
    {"mqtts://", 8883, true, false},
    {"ws://", 80, false, true},
    {"wss://", 443, true, true},
};

static const struct scheme *scheme_of(const char *text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(text, schemes[i].name, strlen(schemes[i].name)) == 0)
            return &schemes[i];
    return NULL;
}

/* Takes a port off the end of `host [:port]`; -1 where it is none. The colons of an IPv6 address
 * are inside its brackets. */
static int take_port(const char *host, size_t *length, int fallback)
{
    const char *end = host + *length, *bracket = memrchr(host, ']', *length);
    const char *behind = bracket ? bracket : host;
    const char *colon = memchr(behind, ':', (size_t)(end - behind));
    if (!colon)
        return fallback;
    int port = 0;
    *length = (size_t)(colon - host);
    for (const char *digit = colon + 1; digit < end; digit++) {
        if (*digit < '0' || *digit > '9' || port > UINT16_MAX)
            return -1;
        port = 10 * port + (*digit - '0');
    }
    return port >= 1 && port <= UINT16_MAX ? port : -1;
}

bool brokerurl_parse(const char *text, struct brokerurl *url, struct error *error)
{
    const struct scheme *scheme = scheme_of(text);
    if (!scheme)
        return error_set(error, ERROR_BROKER, "%s: expected mqtt, mqtts, ws or wss", text);
    const char *host = text + strlen(scheme->name);
    size_t length = strcspn(host, "/?#");
    const char *path = host + length;
    int port = take_port(host, &length, scheme->port);
    *url = (struct brokerurl){.tls = scheme->tls,
        .websocket = scheme->websocket,
        .host = host,
        .host_length = length,
        .port = port,
        .path = path[0] == '/' ? path : "/"};
    if (length == 0 || port < 0 || memchr(host, '@', length))
        return error_set(error, ERROR_BROKER, "the broker's URL: expected host[:port]");
    return true;
}
