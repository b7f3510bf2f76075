/* Which proxy the environment asks for. libcurl decides whether a host is excepted. */
#include "httpproxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

static char *http_proxy, *https_proxy, *no_proxy;

/* The first of the named variables that is set and not empty, as a copy; else "". */
static char *first_of(const char *const names[])
{
    for (; *names != NULL; names++) {
        const char *value = getenv(*names);

        if (value != NULL && value[0] != '\0')
            return xstrdup(value);
    }
    return xstrdup("");
}

void httpproxy_read(void)
{
    /* HTTP_PROXY is not read, as in curl: a CGI server sets it from a request header. */
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_https[] = {
        "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};

    httpproxy_forget();
    http_proxy = first_of(for_http);
    https_proxy = first_of(for_https);
    no_proxy = first_of(exceptions);
}

void httpproxy_forget(void)
{
    free(http_proxy);
    free(https_proxy);
    free(no_proxy);
    http_proxy = https_proxy = no_proxy = NULL;
}

const char *httpproxy_for(const char *url)
{
    const char *proxy = strncasecmp(url, "https:", 6) == 0 ? https_proxy : http_proxy;

    return proxy != NULL ? proxy : "";
}

const char *httpproxy_exceptions(void)
{
    return no_proxy != NULL ? no_proxy : "";
}
