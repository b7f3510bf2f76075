/* What keeps the bridge's secrets from others on the same machine. */
#include "guard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "config.h"
#include "limit.h"
#include "tamper.h"

#define LOG_TAG "guard"
#include "log.h"

static const char *const secret_variables[] = {"AIVA_API_KEY", "MQTT_PASSWORD"};

void guard_process(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

void guard_environment(void)
{
    for (size_t i = 0; i < sizeof secret_variables / sizeof *secret_variables; i++) {
        char *value = getenv(secret_variables[i]);
        if (value)
            explicit_bzero(value, strlen(value));
        unsetenv(secret_variables[i]);
    }
}

/* ---- Files */

static bool is_within(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return length > 0 && strncmp(path, folder, length) == 0 &&
           (path[length] == '/' || path[length] == '\0');
}

/* Container engines and systemd hand out secrets there, readable for the bridge's user, whoever
 * that is: they keep others out themselves. */
static bool is_handed_out(const char *path)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    return is_within(path, "/run/secrets") || (credentials && is_within(path, credentials));
}

static void warn_of_readers(const char *what, const char *path)
{
    struct stat status;
    if (path[0] != '\0' && !is_handed_out(path) && stat(path, &status) == 0 &&
        (status.st_mode & S_IROTH))
        log_warn(
            "%s: every user of this machine can read it, and it holds %s: chmod 600", path, what);
}

static bool is_in_environment(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] != '\0';
}

static void warn_of_all_readers(const struct config *config, const char *config_file)
{
    bool key_inside = config->aiva.api_key_file[0] == '\0' && !is_in_environment("AIVA_API_KEY");
    bool password_inside = config->mqtt.password[0] != '\0' &&
                           config->mqtt.password_file[0] == '\0' &&
                           !is_in_environment("MQTT_PASSWORD");
    warn_of_readers("the API key", config->aiva.api_key_file);
    warn_of_readers("the broker's password", config->mqtt.password_file);
    warn_of_readers("the client certificate's private key", config->mqtt.key_file);
    if (config_file && (key_inside || password_inside))
        warn_of_readers(key_inside ? "the API key" : "the broker's password", config_file);
}

/* What is told once, however many files lie behind it. */
struct writers {
    const char *file; /* as the configuration names it */
    struct buf told;  /* places, each with its NUL */
};

static bool is_told(const struct buf *told, const char *path)
{
    for (size_t at = 0; at < told->length; at += strlen(told->data + at) + 1)
        if (strcmp(told->data + at, path) == 0)
            return true;
    return false;
}

static void warn_of_place(void *ctx, const struct tamper_place *place)
{
    struct writers *writers = ctx;
    if (is_handed_out(place->path) || is_told(&writers->told, place->path))
        return;
    buf_append(&writers->told, place->path, strlen(place->path) + 1);
    if (place->foreign)
        log_warn("%s (mode %04o) belongs to user %u, who can change what the bridge reads from %s: "
                 "chown it to root or to the user of the bridge",
            place->path, (unsigned)place->mode, (unsigned)place->owner, writers->file);
    else
        log_warn("%s (mode %04o) can be written by other users, who can change what the bridge "
                 "reads from %s: chmod go-w %s",
            place->path, (unsigned)place->mode, writers->file, place->path);
}

static void warn_of_writers(void *ctx, const char *path)
{
    struct writers *writers = ctx;
    writers->file = path;
    tamper_each(path, geteuid(), warn_of_place, writers);
}

/* Not for files with secrets alone: who can change aiva.url chooses who gets the key, and who can
 * change mqtt.ca_file whom the bridge takes for the broker. */
static void warn_of_all_writers(const struct config *config, const char *config_file)
{
    struct writers writers = {.file = config_file};
    buf_init(&writers.told, LIMIT_CONFIG);
    if (config_file)
        warn_of_writers(&writers, config_file);
    config_each_file(config, CONFIG_ALL_FILES, warn_of_writers, &writers);
    buf_clear(&writers.told);
}

/* ---- Connections */

/* The host behind the scheme is this machine. */
static bool is_local(const char *url)
{
    const char *host = strstr(url, "://") + strlen("://");
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    bool ipv4 = length == strspn(host, "0123456789.") && strncmp(host, "127.", 4) == 0;
    return ipv4 || (length == strlen("localhost") && strncasecmp(host, "localhost", length) == 0) ||
           (length == strlen("[::1]") && strncmp(host, "[::1]", length) == 0);
}

static bool has_scheme(const char *url, const char *scheme)
{
    return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static void warn_of_connections(const struct config *config)
{
    bool plain = has_scheme(config->mqtt.url, "mqtt:") || has_scheme(config->mqtt.url, "ws:");
    if (has_scheme(config->aiva.url, "http:") && !is_local(config->aiva.url))
        log_warn("%s: without TLS everybody on the way can read the API key, and act with it",
            config->aiva.url);
    bool far = config->mqtt.proxy[0] != '\0' || !is_local(config->mqtt.url);
    if (plain && config->mqtt.password[0] != '\0' && far)
        log_warn("%s: without TLS everybody on the way can read the broker's password",
            config->mqtt.url);
}

void guard_warn(const struct config *config, const char *config_file)
{
    warn_of_all_readers(config, config_file);
    warn_of_all_writers(config, config_file);
    warn_of_connections(config);
}
