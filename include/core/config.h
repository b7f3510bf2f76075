#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "error.h"

enum config_mode { CONFIG_MODE_AUTO, CONFIG_MODE_STREAM, CONFIG_MODE_POLL };
enum config_mqtt_version { CONFIG_MQTT_5, CONFIG_MQTT_3_1_1 };
enum config_device_name { CONFIG_DEVICE_SAMPLE_NAME, CONFIG_DEVICE_JOB_ID };
enum config_command {
    CONFIG_COMMAND_CANCEL = 1,
    CONFIG_COMMAND_DELETE = 2,
    CONFIG_COMMAND_REFRESH = 4
};

struct config_list {
    char **items;
    size_t count;
};

/* All settings, after defaults, file, environment, and the files that they name. Strings are owned
 * and never NULL unless said. Numbers are within the ranges of the table in config_table.c.
 * Read-only once loaded, but for config_reload. */
struct config {
    struct {
        char *url; /* http or https, no trailing slash, no user, query or fragment */
        char *api_key;
        char *api_key_file; /* "" where the key did not come from a file; for reading it again */
        char *ca_file;      /* "" for the system's */
        char *ca;           /* what is in it, where TLS is used; else "" */
        enum config_mode mode;
        int idle_timeout_s, poll_interval_s, list_interval_s, resync_interval_s;
    } aiva;
    struct {
        char *url; /* mqtt, mqtts, ws or wss, with host, no user; port optional */
        char *username, *password, *password_file; /* "" where not given */
        char *ca_file, *cert_file, *key_file;      /* "" where not given */
        char *ca, *cert, *key;                     /* what is in them, where TLS is used; else "" */
        char *proxy, *alpn;                        /* "" where not given */
        enum config_mqtt_version version;
        char *client_id;
        char *topic; /* no wildcard, no leading or trailing slash, no leading $ */
        int qos;
        int queue_limit;
        int keep_alive_s;
    } mqtt;
    struct {
        struct config_list hide;
        int keep_finished_h; /* 0: for ever */
    } jobs;
    struct {
        unsigned allow; /* bits of enum config_command */
        int rate_per_s, burst, timeout_s;
        /* no wildcard, no level `command`, no trailing slash; none overlaps the bridge's own topics
         * or Home Assistant's */
        struct config_list response_topics;
    } commands;
    struct {
        bool enabled;
        char *prefix, *status_topic;
        int max_jobs;
        enum config_device_name device_name;
    } homeassistant;
    struct {
        char *listen; /* "" where off */
    } http;
    struct {
        int level;  /* enum log_level */
        int format; /* enum log_format */
    } log;
};

/* What files have for one side of TLS, as PEM; "" where there is none. */
struct config_pem {
    const char *ca, *cert, *key;
};
enum config_pem_file { CONFIG_PEM_CA, CONFIG_PEM_CERT, CONFIG_PEM_KEY };
enum config_pem_state {
    CONFIG_PEM_GOOD,
    CONFIG_PEM_OUTDATED, /* of use at another time, or by another clock */
    CONFIG_PEM_BAD       /* of no use */
};

/* Where the settings come from; passed in, so that this module does no I/O. */
struct config_source {
    const char *text; /* the configuration file's content; NULL where there is none */
    size_t length;
    const char *name; /* the file's name, for errors; NULL where there is none */
    void *ctx;
    /* getenv(3)-like; NULL or "" count as not set. Borrowed for the load. */
    const char *(*environment)(void *ctx, const char *name);
    /* Reads a whole file into `out`; sets the error (reason only) and returns false. */
    bool (*read_file)(void *ctx, const char *path, struct buf *out, struct error *error);
    /* Whether TLS can do with these; else *which file is to blame, and the error says why (reason
     * only). NULL: nobody looks. */
    enum config_pem_state (*check_pem)(
        void *ctx, const struct config_pem *pem, enum config_pem_file *which, struct error *error);
    /* Something that is put up with; a sentence without its end. May be NULL. */
    void (*warn)(void *ctx, const char *text);
    /* For those who ask neither AIVA nor the broker: no other file is read, no key required. */
    bool without_secrets;
};

/*
 * Defaults, then the file, then the environment, then secret files. On failure the error (class
 * ERROR_USAGE) names the member's path (behind the environment variable, if that is where it
 * comes from), the value unless it is secret, and what was expected:
 * "config.json: mqtt.qos: 7: expected 0, 1 or 2". Returns NULL.
 * The caller frees with config_free.
 */
struct config *config_load(const struct config_source *source, struct error *error) NODISCARD;
/* Wipes the secrets before it frees. */
void config_free(struct config *config);

/* The kinds of files that settings name, as bits. */
enum config_files { CONFIG_SECRETS = 1, CONFIG_CERTIFICATES = 2, CONFIG_ALL_FILES = 3 };
enum config_reload {
    CONFIG_RELOAD_SAME,   /* they hold what is in use already */
    CONFIG_RELOAD_NEW,    /* *config has what they hold now */
    CONFIG_RELOAD_REFUSED /* the error says why, and nothing has changed */
};

/* Reads files of these kinds again, all of them or none, into *config. What is new, but of no use
 * now (CONFIG_PEM_OUTDATED), is refused: what is in use may be better. */
enum config_reload config_reload(struct config *config, const struct config_source *source,
    unsigned kinds, struct error *error) NODISCARD;
/* Calls `each` for the name of each file of these kinds that is used. */
void config_each_file(const struct config *config, unsigned kinds,
    void (*each)(void *ctx, const char *path), void *ctx);

/* The settings table as documents: a commented example file (JSON with comments, every setting at
 * its default), a Markdown table, and a manual page. Used by the build's generator and compared by
 * a test. */
void config_write_example(struct buf *out);
void config_write_markdown(struct buf *out);
void config_write_man(struct buf *out);

#endif
