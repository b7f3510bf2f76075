/* Which URLs may be asked for. */
#include "httpurl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool httpurl_is_kept(const char *url)
{
    static const CURLUPart absent[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    const char *authority = strstr(url, "://");
    const char *intended = authority != NULL ? strchr(authority + 3, '/') : NULL;
    CURLU *parsed = curl_url();
    char *path = NULL;
    bool kept = intended != NULL && parsed != NULL &&
                curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
                strcmp(path, intended) == 0;

    for (size_t i = 0; kept && i < sizeof absent / sizeof absent[0]; i++) {
        char *part = NULL;

        kept = curl_url_get(parsed, absent[i], &part, 0) != CURLUE_OK;
        curl_free(part);
    }
    curl_free(path);
    curl_url_cleanup(parsed);
    return kept;
}

static bool same_part(CURLU *one, CURLU *other, CURLUPart part)
{
    char *first = NULL, *second = NULL;
    bool same = curl_url_get(one, part, &first, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(other, part, &second, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                strcasecmp(first, second) == 0;

    curl_free(first);
    curl_free(second);
    return same;
}

static void describe_refusal(CURLU *target, char *refusal, size_t size)
{
    char *scheme = NULL, *host = NULL, *port = NULL;

    if (target != NULL && curl_url_get(target, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(target, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(target, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        snprintf(refusal, size,
            "redirect to %s://%s:%s refused: not the configured scheme, host and port", scheme,
            host, port);
    else
        snprintf(refusal, size, "redirect to an unusable address refused");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
}

bool httpurl_may_follow(const char *own, const char *target, char *refusal, size_t size)
{
    CURLU *here = curl_url(), *there = curl_url();
    char *user = NULL;
    bool usable = here != NULL && there != NULL &&
                  curl_url_set(here, CURLUPART_URL, own, 0) == CURLUE_OK &&
                  curl_url_set(there, CURLUPART_URL, target, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    bool follow = usable && same_part(here, there, CURLUPART_SCHEME) &&
                  same_part(here, there, CURLUPART_HOST) &&
                  same_part(here, there, CURLUPART_PORT) &&
                  curl_url_get(there, CURLUPART_USER, &user, 0) != CURLUE_OK;

    if (!follow)
        describe_refusal(usable ? there : NULL, refusal, size);
    curl_free(user);
    curl_url_cleanup(here);
    curl_url_cleanup(there);
    return follow;
}
