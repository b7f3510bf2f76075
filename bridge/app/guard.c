/* What keeps the bridge's secrets from others on the same machine. */
#include "guard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "config.h"

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

/* Container engines mount secrets there, readable for the container's user, whoever that is: the
 * container itself keeps others out. */
static bool is_from_container(const char *path)
{
    return strncmp(path, "/run/secrets/", strlen("/run/secrets/")) == 0;
}

static void warn_of_file(const char *what, const char *path)
{
    struct stat status;
    if (path[0] == '\0' || is_from_container(path) || stat(path, &status) != 0)
        return;
    if (status.st_mode & S_IWOTH)
        log_warn(
            "%s: every user of this machine can write it, and it holds %s: chmod 600", path, what);
    else if (status.st_mode & S_IROTH)
        log_warn(
            "%s: every user of this machine can read it, and it holds %s: chmod 600", path, what);
}

static bool is_in_environment(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] != '\0';
}

static void warn_of_files(const struct config *config, const char *config_file)
{
    bool key_inside = config->aiva.api_key_file[0] == '\0' && !is_in_environment("AIVA_API_KEY");
    bool password_inside = config->mqtt.password[0] != '\0' &&
                           config->mqtt.password_file[0] == '\0' &&
                           !is_in_environment("MQTT_PASSWORD");
    warn_of_file("the API key", config->aiva.api_key_file);
    warn_of_file("the broker's password", config->mqtt.password_file);
    warn_of_file("the client certificate's private key", config->mqtt.key_file);
    if (config_file && (key_inside || password_inside))
        warn_of_file(key_inside ? "the API key" : "the broker's password", config_file);
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
    if (plain && config->mqtt.password[0] != '\0' && !is_local(config->mqtt.url))
        log_warn("%s: without TLS everybody on the way can read the broker's password",
            config->mqtt.url);
}

void guard_warn(const struct config *config, const char *config_file)
{
    warn_of_files(config, config_file);
    warn_of_connections(config);
}
