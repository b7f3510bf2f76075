/*
 * LD_PRELOAD: a resolver that hangs, and one that knows several addresses. Names that end in
 * `.slow.test` are answered with 127.0.0.1 after SLOW_DNS_S seconds; names that end in
 * `.several.test` with the addresses in SEVERAL_DNS, separated by spaces, in that order; all others
 * at once by the C library.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int lookup(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

static int ends_with(const char *name, const char *suffix)
{
    size_t length = name ? strlen(name) : 0, end = strlen(suffix);
    return length > end && strcmp(name + length - end, suffix) == 0;
}

static int look_up_several(
    lookup *next, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    const char *given = getenv("SEVERAL_DNS");
    char *addresses = strdup(given ? given : ""), *rest = addresses, *address;
    int code = addresses ? EAI_NONAME : EAI_MEMORY;
    for (*result = NULL; addresses && (address = strtok_r(rest, " ", &rest));) {
        struct addrinfo **end = result;
        while (*end)
            end = &(*end)->ai_next;
        if ((code = next(address, service, hints, end)) != 0)
            break;
    }
    free(addresses);
    return code;
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
    if (ends_with(node, ".several.test"))
        return look_up_several(next.function, service, hints, result);
    if (!ends_with(node, ".slow.test"))
        return next.function(node, service, hints, result);
    const char *seconds = getenv("SLOW_DNS_S");
    struct timespec wait = {.tv_sec = seconds ? atoi(seconds) : 30};
    while (nanosleep(&wait, &wait) != 0)
        continue;
    return next.function("127.0.0.1", service, hints, result);
}
