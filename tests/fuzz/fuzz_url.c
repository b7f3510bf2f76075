/*
 * What becomes of addresses and of the header that says when to come back. The first byte chooses;
 * the rest is a path, a redirect's target, a Retry-After, an address of the configuration, or the
 * body of an error.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "backoff.h"
#include "brokerurl.h"
#include "config.h"
#include "httpurl.h"
#include "limit.h"
#include "mem.h"
#include "topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OWN "https://aiva.example/api"

enum { PATH, REDIRECT, RETRY_AFTER, AIVA_URL, MQTT_URL, BODY, KINDS };

/* What is kept has no segment that anybody could take for a way up. */
static void try_path(const char *text)
{
    struct buf url;
    buf_init(&url, 1024 * 1024);
    buf_printf(&url, OWN "/jobs/%s/cancel", text);
    bool kept = httpurl_is_kept(url.data);
    assert(!kept || (strpbrk(text, "?#") == NULL && strstr(url.data, "/../") == NULL &&
                        strstr(url.data, "/./") == NULL));
    if (topic_classify_id(text, strlen(text)) == TOPIC_ID_URL_SAFE)
        assert(kept);
    buf_clear(&url);
}

/* What is followed leads to the same host, as anybody would read it. */
static void try_redirect(const char *target)
{
    char refusal[300] = "";
    bool follow = httpurl_may_follow(OWN, target, refusal, sizeof refusal);
    assert(follow == (refusal[0] == '\0'));
    if (!follow)
        return;
    assert(strncasecmp(target, "https:", 6) == 0);
    const char *host = target + 6 + strspn(target + 6, "/");
    size_t length = strcspn(host, "/?#");
    assert(memchr(host, '@', length) == NULL && memchr(host, '\\', length) == NULL);
    if (memchr(host, '%', length))
        return; /* libcurl decodes it, and compares what it decoded */
    assert(strncasecmp(host, "aiva.example", strlen("aiva.example")) == 0);
    assert(strchr(":/?#.", host[strlen("aiva.example")]) != NULL);
}

static void try_retry_after(const char *text)
{
    int64_t limit_ms = LIMIT_RETRY_AFTER_S * 1000;
    int64_t wait_ms = backoff_retry_after(text, 1700000000000, limit_ms);
    assert(wait_ms >= -1 && wait_ms <= limit_ms);
    wait_ms = backoff_retry_after(text, 1700000000000, INT32_MAX);
    assert(wait_ms >= -1 && wait_ms <= INT32_MAX);
}

struct variable {
    const char *name, *value;
};

static const char *environment(void *ctx, const char *name)
{
    const struct variable *variable = ctx;
    if (strcmp(name, variable->name) == 0)
        return variable->value;
    return strcmp(name, "AIVA_API_KEY") == 0 ? "key" : NULL;
}

static struct config *configure(struct variable *variable)
{
    struct error error;
    return config_load(
        &(struct config_source){.ctx = variable, .environment = environment}, &error);
}

static void try_aiva_url(const char *text)
{
    struct config *config = configure(&(struct variable){"AIVA_URL", text});
    char refusal[300] = "";
    if (!config)
        return;
    assert(strncmp(config->aiva.url, "http", 4) == 0 && strpbrk(config->aiva.url, "?# ") == NULL);
    /* Either it can be asked, or nothing is. */
    if (httpurl_is_kept(config->aiva.url))
        assert(httpurl_may_follow(config->aiva.url, config->aiva.url, refusal, sizeof refusal));
    config_free(config);
}

static void try_mqtt_url(const char *text)
{
    struct config *config = configure(&(struct variable){"MQTT_URL", text});
    struct brokerurl url;
    struct error error;
    if (!config)
        return;
    if (brokerurl_parse(config->mqtt.url, &url, &error)) {
        const char *end = config->mqtt.url + strlen(config->mqtt.url);
        bool tls =
            strncmp(config->mqtt.url, "mqtts", 5) == 0 || strncmp(config->mqtt.url, "wss", 3) == 0;
        assert(url.tls == tls && url.port >= 1 && url.port <= 65535);
        assert(url.host_length > 0 && url.host + url.host_length <= end);
        assert(!memchr(url.host, '@', url.host_length) && url.path[0] == '/');
    }
    config_free(config);
}

static void try_body(const char *text, size_t length)
{
    char small[16], large[LIMIT_DETAIL];
    struct http_answer answer = {.status = 422,
        .body = text,
        .length = length,
        .retry_after = "",
        .failure = "",
        .complete = true};
    answer_detail(&answer, small, sizeof small);
    assert(strlen(small) < sizeof small);
    answer_describe(&answer, large, sizeof large);
    assert(strncmp(large, "AIVA answered 422", 17) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = xmemdup0(data + 1, size - 1);
    switch (data[0] % KINDS) {
    case PATH:
        try_path(text);
        break;
    case REDIRECT:
        try_redirect(text);
        break;
    case RETRY_AFTER:
        try_retry_after(text);
        break;
    case AIVA_URL:
        try_aiva_url(text);
        break;
    case MQTT_URL:
        try_mqtt_url(text);
        break;
    case BODY:
        try_body(text, size - 1);
        break;
    }
    free(text);
    return 0;
}
