/* For which names and addresses http.listen answers. */
#include "httphost.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { HOST_SIZE = 256 }; /* a name has at most 253 bytes */

/* The host of a header, without port, brackets and the dot that may end a name. False where it is
 * none. */
static bool read_host(const char *header, char out[static HOST_SIZE])
{
    bool bracketed = header[0] == '[';
    const char *begin = header + bracketed;
    size_t length = strcspn(begin, bracketed ? "]" : ":");
    const char *port = begin + length + bracketed;
    if (length == 0 || length >= HOST_SIZE || (bracketed && begin[length] != ']') ||
        (port[0] != '\0' && (port[0] != ':' || port[1 + strspn(port + 1, "0123456789")] != '\0')))
        return false;
    memcpy(out, begin, length);
    out[length] = '\0';
    if (!bracketed && length > 1 && out[length - 1] == '.')
        out[length - 1] = '\0';
    return true;
}

/* All as IPv6; an IPv4 address is ::ffff:a.b.c.d there. */
static bool read_address(const char *text, struct in6_addr *out)
{
    struct in_addr four;
    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    if (inet_pton(AF_INET, text, &four) != 1)
        return false;
    *out = (struct in6_addr){.s6_addr = {[10] = 0xFF, [11] = 0xFF}};
    memcpy(&out->s6_addr[12], &four, sizeof four);
    return true;
}

static bool is_loopback(const struct in6_addr *address)
{
    return IN6_IS_ADDR_LOOPBACK(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static bool is_any(const struct in6_addr *address)
{
    static const struct in6_addr any_four = {.s6_addr = {[10] = 0xFF, [11] = 0xFF}};
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_ARE_ADDR_EQUAL(address, &any_four);
}

/* RFC 6761, 6.3: whatever ends in it is loopback too. */
static bool is_localhost(const char *name)
{
    static const char tail[] = ".localhost";
    size_t length = strlen(name);
    return strcasecmp(name, tail + 1) == 0 ||
           (length > sizeof tail && strcasecmp(name + length - (sizeof tail - 1), tail) == 0);
}

bool httphost_is_served(const struct httphost *own, const char *header)
{
    char host[HOST_SIZE];
    struct in6_addr asked, bound;
    if (!header)
        return true;
    if (!read_host(header, host))
        return false;
    if (!read_address(host, &asked))
        return is_localhost(host) || strcasecmp(host, own->name) == 0;
    return is_loopback(&asked) || (read_address(own->address, &bound) &&
                                      (is_any(&bound) || IN6_ARE_ADDR_EQUAL(&asked, &bound)));
}
