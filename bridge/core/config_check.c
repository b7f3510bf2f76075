/*
 * What a text must look like to be a setting's value: URLs, topics, addresses. Each check says in
 * the error what was expected, and never quotes the text, which may hold a secret in a wrong place.
 */
#include "config_private.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "topic.h"
#include "utf8.h"

#define TEXT_LIMIT      4096 /* bytes; the longest file name */
#define TOPIC_LIMIT     256
#define CLIENT_ID_LIMIT 128
#define ALPN_LIMIT      255 /* RFC 7301, 3.1: its length is one byte */

static bool expected(struct error *error, const char *what)
{
    return error_set(error, ERROR_USAGE, "expected %s", what);
}

/* Control characters and non-characters are nowhere of use, and a broker may refuse them. */
bool config_check_plain(char *text, struct error *error)
{
    size_t length = strlen(text);
    if (length > TEXT_LIMIT)
        return error_set(error, ERROR_USAGE, "expected at most %d bytes", TEXT_LIMIT);
    for (size_t at = 0; at < length;) {
        uint32_t code_point;
        size_t size = utf8_decode(text + at, length - at, &code_point);
        if (size == 0)
            return expected(error, "valid UTF-8");
        if (utf8_is_control_or_nonchar(code_point))
            return expected(error, "no control characters");
        at += size;
    }
    return true;
}

static bool is_visible_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* The key travels in a header and in a query: only what neither can bend. */
bool config_check_key(char *text, struct error *error)
{
    if (!is_visible_ascii(text))
        return expected(error, "visible ASCII characters only");
    return true;
}

/* For a broker a password is bytes. A control character is a file of more than one line. */
bool config_check_password(char *text, struct error *error)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return expected(error, "no control characters");
    return true;
}

static bool parse_port(const char *text)
{
    unsigned port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    return port >= 1 && port <= 65535;
}

static bool is_host_name(const char *text, size_t length)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_";
    return length > 0 && length <= 253 && strspn(text, allowed) >= length;
}

static bool is_ipv6_address(const char *text, size_t length)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

/* Returns what follows the host, NULL where no host stands there. An IPv6 address is in brackets.
 */
static const char *skip_host(const char *text)
{
    if (*text == '[') {
        size_t length = strcspn(text + 1, "]");
        if (text[1 + length] != ']' || !is_ipv6_address(text + 1, length))
            return NULL;
        return text + length + 2;
    }
    size_t length = strcspn(text, ":");
    return is_host_name(text, length) ? text + length : NULL;
}

static bool check_authority(const char *authority, struct error *error)
{
    const char *rest = skip_host(authority);
    if (rest == NULL)
        return expected(error, "a host name or address behind the ://, IPv6 in brackets");
    if (*rest == '\0')
        return true;
    if (*rest != ':' || !parse_port(rest + 1))
        return expected(error, "a port from 1 to 65535 behind the host's colon");
    return true;
}

/* Returns what follows "scheme://", which is made lower case; NULL where it is none of `schemes`.
 */
static char *skip_scheme(char *url, const char *const *schemes)
{
    for (; *schemes != NULL; schemes++) {
        size_t length = strlen(*schemes);
        if (strncasecmp(url, *schemes, length) == 0) {
            memcpy(url, *schemes, length);
            return url + length;
        }
    }
    return NULL;
}

/* What holds for all URLs, from behind the scheme on. Returns the path ("" or from its slash). */
static char *check_location(char *location, const char *users, struct error *error)
{
    size_t length = strcspn(location, "/?#");
    char *path = location + length;
    if (memchr(location, '@', length) != NULL) {
        error_set(error, ERROR_USAGE, "expected no user or password in the URL: %s", users);
        return NULL;
    }
    if (strpbrk(path, "?#") != NULL) {
        expected(error, "no query (?) and no fragment (#) in the URL");
        return NULL;
    }
    char kept = *path;
    *path = '\0';
    bool ok = check_authority(location, error);
    *path = kept;
    return ok ? path : NULL;
}

/* RFC 3986 has no place for these, and libraries disagree about what they mean. */
static bool check_url_characters(const char *url, struct error *error)
{
    if (!is_visible_ascii(url))
        return expected(error, "no white space and ASCII characters only in the URL");
    if (strpbrk(url, "\"<>\\^`{|}") != NULL)
        return expected(error, "none of \"<>\\^`{|} in the URL");
    return true;
}

bool config_check_aiva_url(char *text, struct error *error)
{
    static const char *const schemes[] = {"http://", "https://", NULL};
    if (!check_url_characters(text, error))
        return false;
    char *location = skip_scheme(text, schemes);
    if (location == NULL)
        return expected(error, "a URL that begins with http:// or https://");
    char *path = check_location(location, "the key is aiva.api_key", error);
    if (path == NULL)
        return false;
    for (char *end = path + strlen(path); end > path && end[-1] == '/'; end--)
        end[-1] = '\0';
    return true;
}

bool config_check_mqtt_url(char *text, struct error *error)
{
    static const char *const schemes[] = {"mqtt://", "mqtts://", "ws://", "wss://", NULL};
    if (!check_url_characters(text, error))
        return false;
    char *location = skip_scheme(text, schemes);
    if (location == NULL)
        return expected(error, "a URL that begins with mqtt://, mqtts://, ws:// or wss://");
    char *path = check_location(location, "use mqtt.username and mqtt.password", error);
    if (path == NULL)
        return false;
    if (*text == 'w')
        return true;
    if (strcmp(path, "/") == 0)
        *path = '\0';
    if (*path != '\0')
        return expected(error, "no path behind the host: only ws:// and wss:// have one");
    return true;
}

bool config_check_proxy(char *text, struct error *error)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
    if (*text == '\0')
        return true;
    if (!check_url_characters(text, error))
        return false;
    char *location = skip_scheme(text, schemes);
    if (location == NULL)
        return expected(error, "a URL that begins with http://, https://, socks5:// or socks5h://");
    char *path = check_location(location, "a proxy that wants them cannot be used", error);
    if (path == NULL)
        return false;
    if (strcmp(path, "/") == 0)
        *path = '\0';
    if (*path != '\0')
        return expected(error, "no path behind the host");
    if (*skip_host(location) != ':')
        return expected(error, "a port behind the host, since proxies have no usual one");
    return true;
}

bool config_check_alpn(char *text, struct error *error)
{
    if (!is_visible_ascii(text) || strlen(text) > ALPN_LIMIT)
        return error_set(
            error, ERROR_USAGE, "expected up to %d visible ASCII characters", ALPN_LIMIT);
    return true;
}

bool config_check_client_id(char *text, struct error *error)
{
    if (*text == '\0' || strlen(text) > CLIENT_ID_LIMIT)
        return error_set(error, ERROR_USAGE, "expected 1 to %d bytes", CLIENT_ID_LIMIT);
    return true;
}

bool config_check_topic(char *text, struct error *error)
{
    size_t length = strlen(text);
    if (length == 0 || length > TOPIC_LIMIT)
        return error_set(error, ERROR_USAGE, "expected a topic of 1 to %d bytes", TOPIC_LIMIT);
    if (strpbrk(text, "+#") != NULL)
        return expected(error, "a topic without the wildcards + and #");
    if (text[0] == '$')
        return expected(error, "a topic that does not begin with $");
    if (text[0] == '/' || text[length - 1] == '/' || strstr(text, "//") != NULL)
        return expected(error, "a topic without empty levels: no / at its ends, no //");
    return true;
}

/* `replies/` means what `replies` does. */
bool config_check_response_topic(char *text, struct error *error)
{
    size_t length = strlen(text);
    if (length > 1 && text[length - 1] == '/')
        text[--length] = '\0';
    if (!config_check_topic(text, error))
        return false;
    if (topic_has_command_level(text, length))
        return expected(error, "a topic without the level command");
    return true;
}

bool config_check_listen(char *text, struct error *error)
{
    const char *rest = skip_host(text);
    if (rest == NULL || *rest != ':' || !parse_port(rest + 1))
        return expected(error, "host:port with a port from 1 to 65535, IPv6 in brackets, "
                               "such as 127.0.0.1:9280 or [::1]:9280");
    return true;
}

bool config_check_hidden(char *text, struct error *error)
{
    static const char *const needed[] = {"job_id", "status", "observed_at"};
    if (*text == '\0')
        return expected(error, "a member's name");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strcmp(text, needed[i]) == 0)
            return expected(error, "another member: job_id, status and observed_at cannot be "
                                   "hidden");
    return true;
}
