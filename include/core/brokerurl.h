#ifndef BROKERURL_H
#define BROKERURL_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* The address of a broker: mqtt://, mqtts://, ws:// or wss://, host [:port] [/path]. Pure. */
struct brokerurl {
    bool tls, websocket;
    const char *host; /* as it stands, an IPv6 address in its brackets; a view of the text */
    size_t host_length;
    int port;         /* the scheme's where the text has none: 1883, 8883, 80, 443 */
    const char *path; /* with its query, "/" where there is none; a view */
};

/* False and the error (ERROR_BROKER) where it is none of these. A user name in it is refused, since
 * it would be shown wherever the address is. */
bool brokerurl_parse(const char *text, struct brokerurl *url, struct error *error) NODISCARD;

#endif
