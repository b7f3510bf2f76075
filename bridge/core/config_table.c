/*
 * The settings: one row each, and nothing else knows their names. A new setting is a member of
 * struct config and a row here; the parser, the environment, the example file and the documents
 * follow.
 */
#include "config_private.h"

#include <assert.h>
#include <string.h>

#include "log.h"

#define TARGET(member)    .target = offsetof(struct config, member)
#define TEXT              .type = SETTING_TEXT
#define CONTENT(member)   .content = offsetof(struct config, member)
#define NUMBER(low, high) .type = SETTING_NUMBER, .minimum = (low), .maximum = (high)
#define WORD(list)        .type = SETTING_WORD, .words = (list)
#define DAY_S             86400

/* The position of a word is its value. */
static const char *const mode_words[] = {"auto", "stream", "poll", NULL};
static const char *const version_words[] = {"5", "3.1.1", NULL};
static const char *const command_words[] = {"cancel", "delete", "refresh", NULL};
static const char *const name_words[] = {"sample_name", "job_id", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_words[] = {"text", "json", NULL};

static_assert(CONFIG_MODE_STREAM == 1 && CONFIG_MODE_POLL == 2, "mode_words");
static_assert(CONFIG_MQTT_3_1_1 == 1, "version_words");
static_assert(CONFIG_COMMAND_CANCEL == 1 << 0 && CONFIG_COMMAND_DELETE == 1 << 1 &&
                  CONFIG_COMMAND_REFRESH == 1 << 2,
    "command_words");
static_assert(CONFIG_DEVICE_JOB_ID == 1, "name_words");
static_assert(LOG_LEVEL_WARN == 1 && LOG_LEVEL_INFO == 2 && LOG_LEVEL_DEBUG == 3, "level_words");
static_assert(LOG_FORMAT_JSON == 1, "format_words");

const struct setting settings[] = {
    {.path = "aiva.url",
        .environment = "AIVA_URL",
        TEXT,
        TARGET(aiva.url),
        .fallback = "\"https://api.aivaportal.com\"",
        .check = config_check_aiva_url,
        .values = "`http://` or `https://`, a host, optionally a port and a path prefix",
        .meaning = "Where AIVA's API is."},
    {.path = "aiva.api_key",
        .environment = "AIVA_API_KEY",
        .type = SETTING_SECRET,
        TARGET(aiva.api_key),
        .fallback = "\"\"",
        .check = config_check_key,
        .values = "visible ASCII characters",
        .meaning = "The API key; required, here or as a file."},
    {.path = "aiva.api_key_file",
        .environment = "AIVA_API_KEY_FILE",
        .type = SETTING_SECRET_FILE,
        TARGET(aiva.api_key_file),
        CONTENT(aiva.api_key),
        .fallback = "\"\"",
        .example = "\"/run/secrets/aiva_api_key\"",
        .meaning = "The file that holds the API key; read again on SIGHUP."},
    {.path = "aiva.mode",
        .environment = "AIVA_MODE",
        WORD(mode_words),
        TARGET(aiva.mode),
        .fallback = "\"auto\"",
        .meaning = "How changes are learnt; auto: by the event stream, and by polling while it "
                   "cannot be had."},
    {.path = "aiva.ca_file",
        .environment = "AIVA_CA_FILE",
        .type = SETTING_PEM_FILE,
        TARGET(aiva.ca_file),
        CONTENT(aiva.ca),
        .values = "a file name",
        .fallback = "\"\"",
        .meaning = "The CA certificates (PEM) to trust for AIVA; empty: the "
                   "system's."},
    {.path = "aiva.idle_timeout_s",
        NUMBER(1, DAY_S),
        TARGET(aiva.idle_timeout_s),
        .fallback = "60",
        .meaning = "A stream that sends nothing for this many seconds counts as dead."},
    {.path = "aiva.poll_interval_s",
        NUMBER(1, DAY_S),
        TARGET(aiva.poll_interval_s),
        .fallback = "5",
        .meaning = "While polling: seconds between the status calls for an unfinished job."},
    {.path = "aiva.list_interval_s",
        NUMBER(1, DAY_S),
        TARGET(aiva.list_interval_s),
        .fallback = "30",
        .meaning = "While polling: seconds between readings of the job list."},
    {.path = "aiva.resync_interval_s",
        NUMBER(1, DAY_S),
        TARGET(aiva.resync_interval_s),
        .fallback = "300",
        .meaning = "While streaming: seconds between readings of the job list and of the status "
                   "of unfinished jobs."},

    {.path = "mqtt.url",
        .environment = "MQTT_URL",
        TEXT,
        TARGET(mqtt.url),
        .fallback = "\"mqtt://localhost:1883\"",
        .check = config_check_mqtt_url,
        .values = "`mqtt://`, `mqtts://`, `ws://` or `wss://`, a host, optionally a port; a path "
                  "with `ws` and `wss` only",
        .meaning = "Where the MQTT broker is."},
    {.path = "mqtt.username",
        .environment = "MQTT_USERNAME",
        TEXT,
        TARGET(mqtt.username),
        .fallback = "\"\"",
        .meaning = "The user name at the broker; empty: anonymous."},
    {.path = "mqtt.password",
        .environment = "MQTT_PASSWORD",
        .type = SETTING_SECRET,
        TARGET(mqtt.password),
        .fallback = "\"\"",
        .check = config_check_password,
        .values = "no control characters",
        .meaning = "The password at the broker; needs a user name."},
    {.path = "mqtt.password_file",
        .environment = "MQTT_PASSWORD_FILE",
        .type = SETTING_SECRET_FILE,
        TARGET(mqtt.password_file),
        CONTENT(mqtt.password),
        .fallback = "\"\"",
        .example = "\"/run/secrets/mqtt_password\"",
        .meaning = "The file that holds the password; read again on SIGHUP."},
    {.path = "mqtt.ca_file",
        .environment = "MQTT_CA_FILE",
        .type = SETTING_PEM_FILE,
        TARGET(mqtt.ca_file),
        CONTENT(mqtt.ca),
        .values = "a file name",
        .fallback = "\"\"",
        .meaning = "The CA certificates (PEM) to trust for the broker; empty: "
                   "the system's."},
    {.path = "mqtt.cert_file",
        .environment = "MQTT_CERT_FILE",
        .type = SETTING_PEM_FILE,
        TARGET(mqtt.cert_file),
        CONTENT(mqtt.cert),
        .values = "a file name",
        .fallback = "\"\"",
        .meaning = "The client certificate (PEM) to show to the broker; needs mqtt.key_file."},
    {.path = "mqtt.key_file",
        .environment = "MQTT_KEY_FILE",
        .type = SETTING_PEM_FILE,
        TARGET(mqtt.key_file),
        CONTENT(mqtt.key),
        .values = "a file name",
        .fallback = "\"\"",
        .meaning = "The client certificate's private key (PEM); needs mqtt.cert_file."},
    {.path = "mqtt.proxy",
        .environment = "MQTT_PROXY",
        TEXT,
        TARGET(mqtt.proxy),
        .fallback = "\"\"",
        .example = "\"socks5h://proxy.example:1080\"",
        .check = config_check_proxy,
        .values = "`http://`, `https://`, `socks5://` or `socks5h://`, a host, a port; empty: none",
        .meaning = "The proxy through which the broker is reached; `socks5h` leaves the look-up of "
                   "the broker's name to it. The variables `http_proxy` and the like are for AIVA "
                   "alone."},
    {.path = "mqtt.alpn",
        .environment = "MQTT_ALPN",
        TEXT,
        TARGET(mqtt.alpn),
        .fallback = "\"\"",
        .example = "\"mqtt\"",
        .check = config_check_alpn,
        .values = "up to 255 visible ASCII characters; empty: none",
        .meaning = "The protocol named in the TLS handshake (ALPN), for brokers that share a port "
                   "with other services: `mqtt` for most on port 443."},
    {.path = "mqtt.version",
        .environment = "MQTT_VERSION",
        WORD(version_words),
        TARGET(mqtt.version),
        .fallback = "\"5\"",
        .meaning = "The version of MQTT to speak."},
    {.path = "mqtt.client_id",
        .environment = "MQTT_CLIENT_ID",
        TEXT,
        TARGET(mqtt.client_id),
        .fallback = "\"aiva-mqtt-bridge\"",
        .check = config_check_client_id,
        .values = "1 to 128 bytes",
        .meaning = "The client id; no two clients of a broker may have the same."},
    {.path = "mqtt.topic",
        .environment = "MQTT_TOPIC",
        TEXT,
        TARGET(mqtt.topic),
        .fallback = "\"aiva\"",
        .check = config_check_topic,
        .values = "1 to 256 bytes; no `+` or `#`, no `/` at either end, no `$` at the start",
        .meaning = "The root of all topics of the bridge."},
    {.path = "mqtt.qos",
        NUMBER(0, 2),
        TARGET(mqtt.qos),
        .fallback = "1",
        .meaning = "The quality of service of everything that is published."},
    {.path = "mqtt.queue_limit",
        NUMBER(1, 10000000),
        TARGET(mqtt.queue_limit),
        .fallback = "100000",
        .meaning = "With this many messages waiting for the broker the stream is paused."},
    {.path = "mqtt.keep_alive_s",
        .environment = "MQTT_KEEP_ALIVE_S",
        NUMBER(5, 3600),
        TARGET(mqtt.keep_alive_s),
        .fallback = "30",
        .meaning = "The broker hears of the bridge at least this often, in seconds; after twice as "
                   "long without an answer a connection is made anew. Brokers with a lower limit "
                   "refuse clients of MQTT 3.1.1 that ask for more."},

    {.path = "jobs.hide",
        .type = SETTING_NAMES,
        TARGET(jobs.hide),
        .fallback = "[]",
        .check = config_check_hidden,
        .values = "an array of member names; not `job_id`, `status` or `observed_at`",
        .meaning = "Members of a job that are never published (sample names can be personal "
                   "data)."},
    {.path = "jobs.keep_finished_h",
        NUMBER(0, 87600),
        TARGET(jobs.keep_finished_h),
        .fallback = "0",
        .meaning = "An ended job's topics are cleared this many hours after its end; 0: never."},

    {.path = "commands.allow",
        .type = SETTING_WORD_SET,
        .words = command_words,
        TARGET(commands.allow),
        .fallback = "[\"cancel\", \"delete\", \"refresh\"]",
        .meaning = "The commands that are carried out."},
    {.path = "commands.rate_per_s",
        NUMBER(1, 10000),
        TARGET(commands.rate_per_s),
        .fallback = "10",
        .meaning = "Commands a second that are accepted in the long run."},
    {.path = "commands.burst",
        NUMBER(1, 100000),
        TARGET(commands.burst),
        .fallback = "50",
        .meaning = "Commands that are accepted at once after a quiet time."},
    {.path = "commands.timeout_s",
        NUMBER(1, 3600),
        TARGET(commands.timeout_s),
        .fallback = "30",
        .meaning = "Seconds within which a command is answered, repetitions included."},
    {.path = "commands.response_topics",
        .environment = "COMMANDS_RESPONSE_TOPICS",
        .type = SETTING_NAMES,
        TARGET(commands.response_topics),
        .fallback = "[]",
        .check = config_check_response_topic,
        .values = "an array of topics, in the variable separated by commas; each as `mqtt.topic`, "
                  "without a level `command`, and apart from the topics of the bridge and of "
                  "Home Assistant",
        .meaning = "MQTT 5 Response Topics may lie below these, besides `response/` below "
                   "`mqtt.topic`."},

    {.path = "homeassistant.enabled",
        .environment = "HOMEASSISTANT_ENABLED",
        .type = SETTING_SWITCH,
        TARGET(homeassistant.enabled),
        .fallback = "false",
        .meaning = "Announce the bridge and its jobs to Home Assistant (MQTT discovery)."},
    {.path = "homeassistant.prefix",
        .environment = "HOMEASSISTANT_PREFIX",
        TEXT,
        TARGET(homeassistant.prefix),
        .fallback = "\"homeassistant\"",
        .check = config_check_topic,
        .values = "as for `mqtt.topic`",
        .meaning = "The discovery prefix."},
    {.path = "homeassistant.max_jobs",
        NUMBER(1, 1000),
        TARGET(homeassistant.max_jobs),
        .fallback = "50",
        .meaning = "At most this many jobs are devices there."},
    {.path = "homeassistant.status_topic",
        TEXT,
        TARGET(homeassistant.status_topic),
        .fallback = "\"homeassistant/status\"",
        .check = config_check_topic,
        .values = "as for `mqtt.topic`",
        .meaning = "Where Home Assistant says that it has started."},
    {.path = "homeassistant.device_name",
        WORD(name_words),
        TARGET(homeassistant.device_name),
        .fallback = "\"sample_name\"",
        .meaning = "What a job's device is named after."},

    {.path = "http.listen",
        .environment = "HTTP_LISTEN",
        TEXT,
        TARGET(http.listen),
        .fallback = "\"\"",
        .example = "\"127.0.0.1:9280\"",
        .check = config_check_listen,
        .values = "`host:port`, `[IPv6 address]:port`; empty: off",
        .meaning = "Where /healthz, /readyz and /metrics (Prometheus) are served."},

    {.path = "log.level",
        .environment = "LOG_LEVEL",
        WORD(level_words),
        TARGET(log.level),
        .fallback = "\"info\"",
        .meaning = "The least important messages that are logged."},
    {.path = "log.format",
        .environment = "LOG_FORMAT",
        WORD(format_words),
        TARGET(log.format),
        .fallback = "\"text\"",
        .meaning = "Lines for people, or one JSON object a line."},
};

const size_t settings_count = sizeof settings / sizeof *settings;

const struct setting_section setting_sections[] = {
    {"aiva", "The upstream: AIVA's job API."},
    {"mqtt", "The MQTT broker."},
    {"jobs", "What is published of the jobs."},
    {"commands", "What others may ask the bridge to do."},
    {"homeassistant", "Home Assistant."},
    {"http", "Health and metrics for other programs."},
    {"log", "The log, on standard error."},
};

const size_t setting_sections_count = sizeof setting_sections / sizeof *setting_sections;

const char *setting_name(const struct setting *setting, const char *section)
{
    size_t length = strlen(section);
    if (strncmp(setting->path, section, length) != 0 || setting->path[length] != '.')
        return NULL;
    return setting->path + length + 1;
}

void *setting_target(const struct setting *setting, struct config *config)
{
    return (char *)config + setting->target;
}

char **setting_content(const struct setting *setting, struct config *config)
{
    return (char **)(void *)((char *)config + setting->content);
}

const struct setting *setting_of(const char *path)
{
    const struct setting *setting = settings;
    while (strcmp(setting->path, path) != 0)
        setting++;
    return setting;
}
