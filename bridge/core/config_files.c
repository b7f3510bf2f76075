/*
 * The files that settings name: secrets and certificates. They are read as a whole, looked at, and
 * only then used, at the start and while the bridge runs; what was read stays in memory, so that a
 * file that is replaced by a bad one changes nothing. The texts are wiped before they are freed and
 * never part of an error.
 */
#include "config_private.h"

#include <stdio.h>
#include <string.h>

#include "limit.h"
#include "mem.h"
#include "utf8.h"

/* The text that the row's target holds. */
static const char *text_of(struct config *config, const struct setting *setting)
{
    char **text = setting_target(setting, config);
    return *text;
}

static bool is_given(struct config *config, const struct setting *setting)
{
    return *text_of(config, setting) != '\0';
}

bool config_choose_secret(struct config *config, const struct config_source *source,
    const struct setting *secret, struct error *error)
{
    const struct setting *file = secret + 1;
    bool has_variable = config_environment(source, secret) != NULL;
    bool has_file_variable = config_environment(source, file) != NULL;
    if (is_given(config, secret) && is_given(config, file)) {
        error_set(
            error, ERROR_USAGE, "%s and %s: expected only one of them", secret->path, file->path);
        return config_wrap_file(source, error);
    }
    if (has_variable && has_file_variable)
        return error_set(error, ERROR_USAGE, "%s and %s: expected only one of them",
            secret->environment, file->environment);
    if (!has_variable && !has_file_variable)
        return true;
    return config_assign_text(config, secret, secret->path, "", error) &&
           config_assign_text(config, file, file->path, "", error);
}

/* ---- One file */

static void warn(const struct config_source *source, const char *name, const char *what)
{
    struct buf text;
    if (source->warn == NULL)
        return;
    buf_init(&text, LIMIT_CONFIG);
    buf_printf(&text, "%s: %s", name, what);
    source->warn(source->ctx, text.data);
    buf_clear(&text);
}

bool config_strip_mark(const struct config_source *source, const char *name, const char **text,
    size_t *length, struct error *error)
{
    switch (utf8_mark(*text, *length)) {
    case UTF8_MARK_NONE:
        break;
    case UTF8_MARK_OWN:
        warn(source, name,
            "it begins with a byte order mark, which is ignored: save it as UTF-8 without one");
        *text += UTF8_MARK_SIZE;
        *length -= UTF8_MARK_SIZE;
        break;
    case UTF8_MARK_UTF16:
        return error_set(error, ERROR_USAGE, "expected UTF-8, found UTF-16: save it as UTF-8");
    }
    return true;
}

/* Without one line end at its end. */
static size_t strip_line_end(const char *text, size_t length)
{
    if (length == 0 || text[length - 1] != '\n')
        return length;
    return length > 1 && text[length - 2] == '\r' ? length - 2 : length - 1;
}

static bool is_secret_file(const struct setting *file)
{
    return file->type == SETTING_SECRET_FILE;
}

/* The text in the file, which says nothing of itself in errors; the caller's, who wipes it. */
static char *take_text(const struct config_source *source, const struct setting *file,
    const char *path, const struct buf *content, struct error *error)
{
    const char *text = content->data;
    size_t length = content->length;
    if (length > 0 && !config_strip_mark(source, path, &text, &length, error))
        return NULL;
    if (is_secret_file(file))
        length = strip_line_end(text, length);
    if (length == 0) {
        error_set(error, ERROR_USAGE, "the file is empty");
        return NULL;
    }
    if (memchr(text, '\0', length) != NULL) {
        error_set(error, ERROR_USAGE, "expected no control characters");
        return NULL;
    }
    char *copy = xmemdup0(text, length);
    if (is_secret_file(file) && !file[-1].check(copy, error)) {
        config_discard(copy);
        return NULL;
    }
    return copy;
}

static void wrap_path(const struct config_source *source, const struct setting *file,
    const char *path, struct error *error)
{
    error->class = ERROR_USAGE;
    error_wrap(error, "%s", path);
    config_wrap_origin(source, file, error);
}

/* The caller's, who wipes it; NULL where it cannot be had. */
static char *read_text(const struct config_source *source, const struct setting *file,
    const char *path, struct error *error)
{
    struct buf content;
    char *text = NULL;
    buf_init(&content, is_secret_file(file) ? LIMIT_SECRET : LIMIT_PEM);
    if (source->read_file(source->ctx, path, &content, error)) {
        if (content.failed)
            error_set(error, ERROR_USAGE, "longer than %zu bytes", content.limit);
        else
            text = take_text(source, file, path, &content, error);
    }
    if (text == NULL)
        wrap_path(source, file, path, error);
    if (content.data != NULL)
        explicit_bzero(content.data, content.capacity);
    buf_clear(&content);
    return text;
}

/* ---- All files */

static bool has_tls(const struct config *config, const struct setting *setting)
{
    if (strncmp(setting->path, "aiva.", strlen("aiva.")) == 0)
        return strncmp(config->aiva.url, "https:", strlen("https:")) == 0;
    return strncmp(config->mqtt.url, "mqtts:", strlen("mqtts:")) == 0 ||
           strncmp(config->mqtt.url, "wss:", strlen("wss:")) == 0 ||
           strncmp(config->mqtt.proxy, "https:", strlen("https:")) == 0;
}

/* A file of these kinds that is named, and used. */
static bool is_wanted(struct config *config, const struct setting *setting, unsigned kinds)
{
    if (setting->type == SETTING_SECRET_FILE)
        return (kinds & CONFIG_SECRETS) != 0 && is_given(config, setting);
    return setting->type == SETTING_PEM_FILE && (kinds & CONFIG_CERTIFICATES) != 0 &&
           is_given(config, setting) && has_tls(config, setting);
}

void config_each_file(const struct config *config, unsigned kinds,
    void (*each)(void *ctx, const char *path), void *ctx)
{
    struct config copy = *config; /* of the pointers alone: what they point to is only looked at */
    for (size_t i = 0; i < settings_count; i++)
        if (is_wanted(&copy, &settings[i], kinds))
            each(ctx, text_of(&copy, &settings[i]));
}

/* Only the pointers of what was read change; the old texts are the caller's. */
static bool replace_texts(
    struct config *config, const struct config_source *source, unsigned kinds, struct error *error)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *file = &settings[i];
        if (!is_wanted(config, file, kinds))
            continue;
        char *text = read_text(source, file, text_of(config, file), error);
        if (text == NULL)
            return false;
        *setting_content(file, config) = text;
    }
    return true;
}

/* Discards each content of `config` that is another object in `other`. */
static void discard_replaced(struct config *config, struct config *other)
{
    for (size_t i = 0; i < settings_count; i++) {
        if (settings[i].type != SETTING_SECRET_FILE && settings[i].type != SETTING_PEM_FILE)
            continue;
        char **text = setting_content(&settings[i], config);
        if (*text != *setting_content(&settings[i], other))
            config_discard(*text);
    }
}

static bool is_same(struct config *config, struct config *other)
{
    for (size_t i = 0; i < settings_count; i++)
        if ((settings[i].type == SETTING_SECRET_FILE || settings[i].type == SETTING_PEM_FILE) &&
            strcmp(*setting_content(&settings[i], config), *setting_content(&settings[i], other)) !=
                0)
            return false;
    return true;
}

/* ---- Certificates */

/* `old`: what is in use, which time has made no worse than it was; NULL at the start. */
static bool check_side(struct config *config, struct config *old,
    const struct config_source *source, const char *const paths[3], struct error *error)
{
    const struct setting *rows[3];
    const char *texts[3] = {"", "", ""};
    enum config_pem_file which = CONFIG_PEM_CA;
    for (int i = 0; i < 3; i++) {
        rows[i] = paths[i] != NULL ? setting_of(paths[i]) : NULL;
        if (rows[i] != NULL)
            texts[i] = *setting_content(rows[i], config);
    }
    enum config_pem_state state = source->check_pem(source->ctx,
        &(struct config_pem){texts[CONFIG_PEM_CA], texts[CONFIG_PEM_CERT], texts[CONFIG_PEM_KEY]},
        &which, error);
    if (state == CONFIG_PEM_GOOD)
        return true;
    bool outdated = state == CONFIG_PEM_OUTDATED;
    if (outdated && old != NULL && strcmp(texts[which], *setting_content(rows[which], old)) == 0)
        return true;
    wrap_path(source, rows[which], text_of(config, rows[which]), error);
    if (outdated && old == NULL && source->warn != NULL)
        source->warn(source->ctx, error->text);
    return outdated && old == NULL;
}

static bool check_certificates(struct config *config, struct config *old,
    const struct config_source *source, struct error *error)
{
    static const char *const aiva[3] = {"aiva.ca_file", NULL, NULL};
    static const char *const mqtt[3] = {"mqtt.ca_file", "mqtt.cert_file", "mqtt.key_file"};
    return source->check_pem == NULL || (check_side(config, old, source, aiva, error) &&
                                            check_side(config, old, source, mqtt, error));
}

/* ---- Loading */

static bool load(struct config *config, struct config *old, const struct config_source *source,
    unsigned kinds, struct error *error)
{
    return replace_texts(config, source, kinds, error) &&
           ((kinds & CONFIG_CERTIFICATES) == 0 || check_certificates(config, old, source, error));
}

bool config_load_files(
    struct config *config, const struct config_source *source, struct error *error)
{
    struct config fresh = *config;
    bool loaded = load(&fresh, NULL, source, CONFIG_ALL_FILES, error);
    discard_replaced(config, &fresh);
    *config = fresh;
    return loaded;
}

enum config_reload config_reload(
    struct config *config, const struct config_source *source, unsigned kinds, struct error *error)
{
    struct config fresh = *config;
    if (!load(&fresh, config, source, kinds, error)) {
        discard_replaced(&fresh, config);
        return CONFIG_RELOAD_REFUSED;
    }
    bool same = is_same(config, &fresh);
    discard_replaced(config, &fresh);
    *config = fresh;
    return same ? CONFIG_RELOAD_SAME : CONFIG_RELOAD_NEW;
}
