/*
 * Makes the MQTT library's check of the broker's name as strict as libcurl's is here (tls.h). It
 * calls OpenSSL's X509_check_host without any flag, which takes the common name where there is no
 * subjectAltName, and lets `f*.example` stand for foo.example; and it asks for addresses as if they
 * were names, so that the DNS name "192.0.2.7" passes for the address. It has no option for that.
 * The program's own function of that name comes before OpenSSL's, also for a shared library, and
 * hands the question on with the right flags.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

typedef int check_host(
    X509 *certificate, const char *name, size_t length, unsigned flags, char **peer_name);

static bool is_address(const char *name, size_t length)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (length >= sizeof text)
        return false;
    memcpy(text, name, length);
    text[length] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

int X509_check_host(
    X509 *certificate, const char *name, size_t length, unsigned flags, char **peer_name)
{
    union {
        void *symbol;
        check_host *function;
    } openssl = {.symbol = dlsym(RTLD_NEXT, "X509_check_host")};
    if (!openssl.symbol || is_address(name, length > 0 ? length : strlen(name)))
        return 0;
    return openssl.function(certificate, name, length,
        flags | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
        peer_name);
}
