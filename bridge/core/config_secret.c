/*
 * Secrets: given as text or as the name of a file, in the configuration file or in the environment,
 * and read again while the bridge runs. Their texts are wiped before they are freed and never part
 * of an error.
 */
#include "config_private.h"

#include <string.h>

#include "limit.h"
#include "mem.h"

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

/* Strips one line end and looks at what is left. Says nothing of the content in errors. */
static bool check_content(const struct setting *secret, struct buf *content, struct error *error)
{
    if (content->failed)
        return error_set(error, ERROR_USAGE, "longer than %d bytes", LIMIT_SECRET);
    if (content->length > 0 && content->data[content->length - 1] == '\n') {
        content->length--;
        if (content->length > 0 && content->data[content->length - 1] == '\r')
            content->length--;
        content->data[content->length] = '\0';
    }
    if (content->length == 0)
        return error_set(error, ERROR_USAGE, "the file is empty");
    if (memchr(content->data, '\0', content->length) != NULL)
        return error_set(error, ERROR_USAGE, "expected no control characters");
    return secret->check(content->data, error);
}

/* The caller's, who wipes it; NULL where it cannot be had. */
static char *read_secret(const struct config_source *source, const struct setting *secret,
    const char *path, struct error *error)
{
    struct buf content;
    char *text = NULL;
    buf_init(&content, LIMIT_SECRET);
    if (source->read_file(source->ctx, path, &content, error) &&
        check_content(secret, &content, error)) {
        text = xmemdup0(content.data, content.length);
    } else {
        error->class = ERROR_USAGE;
        error_wrap(error, "%s", path);
        config_wrap_origin(source, secret + 1, error);
    }
    if (content.data != NULL)
        explicit_bzero(content.data, content.capacity);
    buf_clear(&content);
    return text;
}

/* Only the pointers of secrets that come from files change; the old texts are the caller's. */
static bool replace_secrets(
    struct config *config, const struct config_source *source, struct error *error)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *secret = &settings[i];
        if (secret->type != SETTING_SECRET || !is_given(config, secret + 1))
            continue;
        char *text = read_secret(source, secret, text_of(config, secret + 1), error);
        if (text == NULL)
            return false;
        *(char **)setting_target(secret, config) = text;
    }
    return true;
}

/* Discards each secret of `config` that is another object in `other`. */
static void discard_replaced(struct config *config, struct config *other)
{
    for (size_t i = 0; i < settings_count; i++) {
        if (settings[i].type != SETTING_SECRET)
            continue;
        char **text = setting_target(&settings[i], config);
        if (*text != text_of(other, &settings[i]))
            config_discard(*text);
    }
}

bool config_reload_secrets(
    struct config *config, const struct config_source *source, struct error *error)
{
    struct config fresh = *config;
    if (!replace_secrets(&fresh, source, error)) {
        discard_replaced(&fresh, config);
        return false;
    }
    discard_replaced(config, &fresh);
    *config = fresh;
    return true;
}
