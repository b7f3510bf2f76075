/* One look at the broker's TLS port, for the sake of the error message. */
#include "mqttprobe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "loop.h"
#include "mem.h"
#include "mqtt.h"
#include "tls.h"

enum {
    CONNECT_MS = 4000,
    LISTEN_MS = 1000, /* for an alert behind the handshake */
    LISTEN_STEP_MS = 50,
    URL_LIMIT = 1024,
};

struct mqttprobe {
    struct loop *loop;
    CURL *easy;
    struct loop_transfer finished;
    /* To start: libcurl takes no additions inside a callback of another transfer. Then to listen.
     */
    struct timer timer;
    int64_t listen_until_ms;
    mqttprobe_done *done; /* NULL once it was called or is not wanted any more */
    void *ctx;
    bool running; /* started, and not finished */
    bool added;   /* in the multi handle */
    char libcurl_text[CURL_ERROR_SIZE];
};

static void dispose(void *object)
{
    struct mqttprobe *probe = object;

    if (probe->added)
        curl_multi_remove_handle(loop_multi(probe->loop), probe->easy);
    curl_easy_cleanup(probe->easy);
    free(probe);
}

static void finish(struct mqttprobe *probe, CURLcode code)
{
    const char *text =
        probe->libcurl_text[0] != '\0' ? probe->libcurl_text : curl_easy_strerror(code);
    bool reached = code == CURLE_OK || code == CURLE_OPERATION_TIMEDOUT;
    char words[CURL_ERROR_SIZE + 128] = "";
    mqttprobe_done *done = probe->done;

    probe->running = false;
    probe->done = NULL;
    if (!reached)
        tls_explain((int)code, text, words, sizeof words);
    if (done != NULL)
        done(probe->ctx, tls_is_refusal((int)code, text), words);
}

/* With TLS 1.3 the server looks at the client's certificate when the client is through already: if
 * it does not like it, the alert is what comes next. A broker that likes it waits for CONNECT. */
static void await_alert(void *ctx)
{
    struct mqttprobe *probe = ctx;
    char byte;
    size_t count;
    CURLcode code = curl_easy_recv(probe->easy, &byte, 1, &count);

    if (code == CURLE_AGAIN && loop_now(probe->loop) < probe->listen_until_ms)
        timer_set(&probe->timer, loop_now(probe->loop) + LISTEN_STEP_MS);
    else
        finish(probe, code == CURLE_AGAIN ? CURLE_OK : code);
}

static void on_finished(void *ctx, int curl_code)
{
    struct mqttprobe *probe = ctx;

    if (probe->done == NULL)
        return; /* freed in this pass */
    if (curl_code != CURLE_OK) {
        finish(probe, (CURLcode)curl_code);
        return;
    }
    probe->listen_until_ms = loop_now(probe->loop) + LISTEN_MS;
    timer_init(&probe->timer, probe->loop, await_alert, probe);
    timer_set(&probe->timer, loop_now(probe->loop) + LISTEN_STEP_MS);
}

static void start(void *ctx)
{
    struct mqttprobe *probe = ctx;

    probe->added = curl_multi_add_handle(loop_multi(probe->loop), probe->easy) == CURLM_OK;
    if (!probe->added)
        finish(probe, CURLE_FAILED_INIT);
}

/* https://host:port/ */
static bool set_url(CURL *easy, const char *uri)
{
    const char *authority = strstr(uri, "://") + strlen("://");
    struct buf url;
    bool done;

    buf_init(&url, URL_LIMIT);
    done = buf_printf(&url, "https://%.*s/", (int)strcspn(authority, "/"), authority) &&
           curl_easy_setopt(easy, CURLOPT_URL, url.data) == CURLE_OK;
    buf_clear(&url);
    return done;
}

static bool set_client(CURL *easy, const struct mqtt_options *options)
{
    if (options->cert == NULL || options->cert[0] == '\0')
        return true;
    return tls_set_text(easy, CURLOPT_SSLCERT_BLOB, options->cert) &&
           tls_set_text(easy, CURLOPT_SSLKEY_BLOB, options->key);
}

static bool set_options(struct mqttprobe *probe, const struct mqtt_options *options)
{
    CURL *easy = probe->easy;

    return tls_apply(easy, options->ca) && set_client(easy, options) &&
           curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, probe->libcurl_text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, &probe->finished) == CURLE_OK;
}

struct mqttprobe *mqttprobe_new(struct loop *loop, const struct mqtt_options *options,
    const char *uri, mqttprobe_done *done, void *ctx)
{
    struct mqttprobe *probe = xcalloc(1, sizeof *probe);

    probe->loop = loop;
    probe->done = done;
    probe->ctx = ctx;
    probe->finished = (struct loop_transfer){.done = on_finished, .ctx = probe};
    timer_init(&probe->timer, loop, start, probe);
    probe->easy = curl_easy_init();
    if (probe->easy == NULL || !set_url(probe->easy, uri) || !set_options(probe, options)) {
        dispose(probe);
        return NULL;
    }
    return probe;
}

void mqttprobe_start(struct mqttprobe *probe)
{
    probe->running = true;
    timer_set(&probe->timer, loop_now(probe->loop));
}

bool mqttprobe_is_running(const struct mqttprobe *probe)
{
    return probe != NULL && probe->running;
}

void mqttprobe_free(struct mqttprobe *probe)
{
    if (probe == NULL)
        return;
    probe->done = NULL;
    timer_stop(&probe->timer);
    /* Not at once: this may be a callback of libcurl. */
    loop_free_later(probe->loop, dispose, probe);
}
