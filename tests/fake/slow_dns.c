/*
 * LD_PRELOAD: a resolver that hangs. Names that end in `.slow.test` are answered with 127.0.0.1
 * after SLOW_DNS_S seconds, all others at once by the C library.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int lookup(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

static int is_slow(const char *name)
{
    static const char suffix[] = ".slow.test";
    size_t length = name ? strlen(name) : 0;
    return length >= sizeof suffix && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

int getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    union {
        void *symbol;
        lookup *function;
    } next = {.symbol = dlsym(RTLD_NEXT, "getaddrinfo")};
    if (!next.symbol)
        return EAI_FAIL;
    if (!is_slow(node))
        return next.function(node, service, hints, result);
    const char *seconds = getenv("SLOW_DNS_S");
    struct timespec wait = {.tv_sec = seconds ? atoi(seconds) : 30};
    while (nanosleep(&wait, &wait) != 0)
        continue;
    return next.function("127.0.0.1", service, hints, result);
}
