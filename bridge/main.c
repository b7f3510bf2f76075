/* Options, the configuration's sources, and the exit code: nothing else ends the program. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "bridge.h"
#include "certcheck.h"
#include "check.h"
#include "clock.h"
#include "config.h"
#include "escape.h"
#include "file.h"
#include "guard.h"
#include "healthcheck.h"
#include "limit.h"
#include "logwriter.h"
#include "loop.h"
#include "secret.h"
#include "version.h"

#define LOG_TAG "main"
#include "log.h"

/* How long the last lines of the log may wait for a reader when the bridge ends. */
#define LAST_LINES_MS 500

enum action { ACTION_RUN, ACTION_CHECK, ACTION_HEALTHCHECK, ACTION_PRINT_ACL };

struct options {
    enum action action;
    const char *config_file;
};

static const char usage[] =
    "usage: aiva-mqtt-bridge [--config FILE] [--check | --healthcheck | --print-acl]\n"
    "                        [--version] [--help]\n"
    "\n"
    "Puts the jobs of the AIVA genomics portal on an MQTT broker.\n"
    "\n"
    "  --config FILE   settings, one JSON object; environment variables win over it\n"
    "  --check         check the configuration, AIVA and the broker, and exit\n"
    "  --healthcheck   ask the running bridge (http.listen) whether it is well, and exit\n"
    "  --print-acl     print the mosquitto access rules that the bridge's user needs, and those\n"
    "                  for dashboards, operators and Home Assistant\n"
    "  --version       print the version\n"
    "  --help          print this\n"
    "\n"
    "The key comes from AIVA_API_KEY or AIVA_API_KEY_FILE, the broker from MQTT_URL; the README\n"
    "has all settings. Signals: SIGTERM and SIGINT stop it in order, SIGHUP reads secrets and\n"
    "certificates again, SIGUSR1 and SIGUSR2 make the log say more and less.\n"
    "Exit codes: 0 orderly stop or check passed, 1 failure while running,\n"
    "2 usage or configuration, 3 --check: AIVA, 4 --check: the broker.\n";

static int exit_code(const struct error *error)
{
    switch (error->class) {
    case ERROR_NONE:
        return 0;
    case ERROR_USAGE:
        return 2;
    case ERROR_UPSTREAM:
        return 3;
    case ERROR_BROKER:
        return 4;
    case ERROR_RUN:
        break;
    }
    return 1;
}

static int report(const struct error *error)
{
    fflush(stdout);
    log_last_words(error->text);
    return exit_code(error);
}

/* ---- The configuration's sources */

/* Warnings about files come before it is known how the log is to look. */
struct remarks {
    struct buf early; /* each with its NUL */
    bool logged;
    struct log_limit limit;
};

static void remark(void *ctx, const char *text)
{
    struct remarks *remarks = ctx;
    if (remarks->logged)
        log_warn_limited(
            &remarks->limit, clock_monotonic_ms(), "a file should be looked at: %s", text);
    else
        buf_append(&remarks->early, text, strlen(text) + 1);
}

static void log_remarks(struct remarks *remarks)
{
    remarks->logged = true;
    for (size_t at = 0; at < remarks->early.length; at += strlen(remarks->early.data + at) + 1)
        log_warn("a file should be looked at: %s", remarks->early.data + at);
    buf_clear(&remarks->early);
}

static bool read_file(void *ctx, const char *path, struct buf *out, struct error *error)
{
    (void)ctx;
    return file_read(path, out, error);
}

static enum config_pem_state check_pem(
    void *ctx, const struct config_pem *pem, enum config_pem_file *which, struct error *error)
{
    (void)ctx;
    return certcheck(pem, which, error);
}

static const char *environment(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

/* ---- Actions */

static int print_acl(const struct config *config)
{
    struct buf rules;
    buf_init(&rules, LIMIT_CONFIG);
    acl_write(&rules, config->mqtt.username, config->mqtt.topic, &config->commands.response_topics,
        config->homeassistant.enabled, config->homeassistant.prefix,
        config->homeassistant.status_topic);
    acl_write_others(&rules, config->mqtt.username, config->mqtt.topic,
        config->homeassistant.prefix, config->homeassistant.status_topic);
    fwrite(rules.data, 1, rules.length, stdout);
    buf_clear(&rules);
    return 0;
}

static int healthcheck(const struct config *config)
{
    struct error error = {.class = ERROR_NONE};
    struct buf found, shown;
    buf_init(&found, LIMIT_STATUS_BODY);
    buf_init(&shown, (size_t)ESCAPE_SIZE * LIMIT_STATUS_BODY);
    bool well = healthcheck_run(config, &found, &error);
    if (well) {
        escape_append(&shown, found.data);
        printf("%s\n", shown.data);
    }
    buf_clear(&shown);
    buf_clear(&found);
    return well ? 0 : report(&error);
}

static int act(enum action action, struct config *config, const struct config_source *source)
{
    struct error error = {.class = ERROR_NONE};
    log_setup((enum log_level)config->log.level, (enum log_format)config->log.format);
    log_remarks(source->ctx);
    secret_set(SECRET_API_KEY, config->aiva.api_key);
    secret_set(SECRET_PASSWORD, config->mqtt.password);
    if (action == ACTION_RUN || action == ACTION_CHECK)
        guard_warn(config, source->name);
    guard_environment();
    switch (action) {
    case ACTION_PRINT_ACL:
        return print_acl(config);
    case ACTION_HEALTHCHECK:
        return healthcheck(config);
    case ACTION_CHECK:
        return check_run(config, &error) ? 0 : report(&error);
    case ACTION_RUN:
        break;
    }
    log_start();
    return bridge_run(config, source, &error) ? 0 : report(&error);
}

static int run(const struct options *options)
{
    struct error error = {.class = ERROR_NONE};
    struct remarks remarks = {.logged = false};
    struct config_source source = {.ctx = &remarks,
        .environment = environment,
        .read_file = read_file,
        .check_pem = check_pem,
        .warn = remark,
        .without_secrets =
            options->action == ACTION_PRINT_ACL || options->action == ACTION_HEALTHCHECK};
    struct buf text;
    buf_init(&remarks.early, LIMIT_CONFIG);
    buf_init(&text, LIMIT_CONFIG);
    if (options->config_file) {
        if (!file_read(options->config_file, &text, &error)) {
            error_wrap(&error, "%s", options->config_file);
            buf_clear(&text);
            return report(&error);
        }
        source.text = text.length > 0 ? text.data : "";
        source.length = text.length;
        source.name = options->config_file;
    }
    struct config *config = config_load(&source, &error);
    if (text.data)
        explicit_bzero(text.data, text.length);
    buf_clear(&text);
    source.text = NULL;
    if (!config)
        log_remarks(&remarks);
    int code = config ? act(options->action, config, &source) : report(&error);
    config_free(config);
    secret_clear();
    logwriter_stop(LAST_LINES_MS);
    return code;
}

/* ---- Options */

static int misuse(const char *what)
{
    fprintf(stderr, "aiva-mqtt-bridge: %s\n%s", what, usage);
    return 2;
}

static bool choose(struct options *options, enum action action)
{
    if (options->action != ACTION_RUN && options->action != action)
        return false;
    options->action = action;
    return true;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"healthcheck", no_argument, NULL, 'e'},
        {"print-acl", no_argument, NULL, 'a'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.action = ACTION_RUN};
    int option;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    guard_process();
    loop_block_signals();
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        bool single = true;
        switch (option) {
        case 'c':
            options.config_file = optarg;
            break;
        case 'k':
            single = choose(&options, ACTION_CHECK);
            break;
        case 'e':
            single = choose(&options, ACTION_HEALTHCHECK);
            break;
        case 'a':
            single = choose(&options, ACTION_PRINT_ACL);
            break;
        case 'v':
            puts("aiva-mqtt-bridge " BRIDGE_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return misuse("unknown option or missing argument");
        }
        if (!single)
            return misuse("--check, --healthcheck and --print-acl exclude each other");
    }
    if (optind < argc)
        return misuse("unexpected argument");
    return run(&options);
}
