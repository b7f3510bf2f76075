/* `--healthcheck`: the question that a container's supervisor asks. */
#include "healthcheck.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "httpproxy.h"
#include "json.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "secret.h"
#include "version.h"

#define HEALTHCHECK_TIMEOUT_MS 5000

struct healthcheck {
    struct loop *loop;
    struct buf *found;
    struct http_request *request;
    int status; /* of the answer; 0: there was none */
    char failure[LIMIT_DETAIL];
    bool interrupted;
};

char *healthcheck_url(const char *listen)
{
    struct in_addr four;
    struct in6_addr six;
    struct buf url;
    const char *colon = strrchr(listen, ':');
    bool bracketed = listen[0] == '[';
    char *host = xmemdup0(listen + bracketed, (size_t)(colon - listen) - 2 * (size_t)bracketed);
    bool all_four = inet_pton(AF_INET, host, &four) == 1 && four.s_addr == htonl(INADDR_ANY);
    bool all_six = inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_UNSPECIFIED(&six);
    free(host);
    buf_init(&url, UINT16_MAX);
    if (all_four)
        buf_printf(&url, "http://127.0.0.1%s", colon);
    else if (all_six)
        buf_printf(&url, "http://[::1]%s", colon);
    else
        buf_printf(&url, "http://%s", listen);
    return buf_take(&url);
}

/* The answer to /healthz is one word, that to /readyz has sentences. */
static void take_reasons(struct healthcheck *check, const struct http_answer *answer)
{
    struct json_object body = {0};
    struct json_array reasons;
    struct json_slice reason;
    const struct json_member *member = NULL;
    if (json_object_read(&body, answer->body, answer->length) == JSON_OK)
        member = json_find(&body, "reasons");
    if (member && json_array_begin(&reasons, member->value.at, member->value.length) == JSON_OK) {
        buf_reset(check->found);
        const char *between = "not ready: ";
        while (json_array_next(&reasons, &reason) == JSON_OK) {
            struct buf text;
            buf_init(&text, LIMIT_STATUS_BODY);
            if (json_decode_string(reason, &text) && text.length > 0)
                buf_printf(check->found, "%s%s", between, text.data);
            buf_clear(&text);
            between = "; ";
        }
        if (check->found->length == 0)
            buf_append_text(check->found, "ready");
    }
    json_object_clear(&body);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
    struct healthcheck *check = ctx;
    check->request = NULL;
    check->status = answer->complete ? answer->status : 0;
    snprintf(check->failure, sizeof check->failure, "%s", answer->failure);
    take_reasons(check, answer);
    loop_stop(check->loop);
}

static void on_signal(void *ctx, int signal_number)
{
    struct healthcheck *check = ctx;
    (void)signal_number;
    check->interrupted = true;
    loop_stop(check->loop);
}

/* One call; false and the error where there was no answer. */
static bool ask(struct healthcheck *check, struct http_client *client, const char *url,
    const char *path, struct error *error)
{
    struct http_call call = {
        .method = HTTP_GET,
        .path = path,
        .body_limit = LIMIT_STATUS_BODY,
        .timeout_ms = HEALTHCHECK_TIMEOUT_MS,
        .done = on_answer,
        .ctx = check,
    };
    check->request = http_start(client, &call, error);
    if (!check->request || !loop_run(check->loop, error))
        return false;
    http_cancel(check->request);
    if (check->interrupted)
        return error_set(error, ERROR_RUN, "interrupted");
    if (check->status == 0)
        return error_set(error, ERROR_RUN, "%s%s: no answer: %s", url, path, check->failure);
    return true;
}

static bool ask_all(struct healthcheck *check, const char *listen, struct error *error)
{
    char *url = healthcheck_url(listen);
    /* No key: whoever listens there need not be the bridge. */
    struct http_client *client =
        http_client_new(check->loop, url, "", NULL, "aiva-mqtt-bridge/" BRIDGE_VERSION);
    bool well = ask(check, client, url, "/healthz", error);
    if (well && check->status != 200)
        well = error_set(error, ERROR_RUN,
            "%s/healthz: answered %d: is it a bridge that listens there?", url, check->status);
    buf_append_text(check->found, "the main loop turns");
    if (well && !ask(check, client, url, "/readyz", error))
        well = false;
    http_client_free(client);
    free(url);
    return well;
}

bool healthcheck_run(const struct config *config, struct buf *found, struct error *error)
{
    struct healthcheck check = {.found = found};
    if (config->http.listen[0] == '\0')
        return error_set(error, ERROR_RUN,
            "http.listen is off: there is nothing to ask; set it, or HTTP_LISTEN, such as "
            "127.0.0.1:9280");
    if (!http_global_init(error))
        return false;
    /* This machine asks itself. */
    httpproxy_forget();
    bool well = false;
    check.loop = loop_new(error);
    if (check.loop) {
        loop_set_handler(check.loop, &(struct loop_handler){.ctx = &check, .on_signal = on_signal});
        well = ask_all(&check, config->http.listen, error);
        loop_free(check.loop);
    }
    http_global_cleanup();
    /* All errors of a health check are one to the exit code. */
    error->class = ERROR_RUN;
    return well;
}
