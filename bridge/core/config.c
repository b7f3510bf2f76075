/*
 * Loading the configuration: defaults, the file, the environment, the files that these name, and
 * then what must hold between settings. Where a value comes from is decided here and in
 * config_files.c; what
 * it may be is a row of config_table.c, and looking at it config_assign.c's.
 */
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_private.h"
#include "jsonc.h"
#include "limit.h"
#include "mem.h"
#include "topic.h"

struct loader {
    struct config *config;
    const struct config_source *source;
    struct error *error;
};

const char *config_environment(const struct config_source *source, const struct setting *setting)
{
    const char *text = NULL;
    if (setting->environment != NULL)
        text = source->environment(source->ctx, setting->environment);
    return text != NULL && *text != '\0' ? text : NULL;
}

bool config_wrap_file(const struct config_source *source, struct error *error)
{
    return source->name == NULL ? false : error_wrap(error, "%s", source->name);
}

bool config_wrap_origin(
    const struct config_source *source, const struct setting *setting, struct error *error)
{
    if (config_environment(source, setting) != NULL)
        return error_wrap(error, "%s (%s)", setting->environment, setting->path);
    error_wrap(error, "%s", setting->path);
    return config_wrap_file(source, error);
}

static void load_defaults(const struct loader *loader)
{
    for (size_t i = 0; i < settings_count; i++) {
        cJSON *value = cJSON_Parse(settings[i].fallback);
        bool ok = config_assign_json(loader->config, &settings[i], value, loader->error);
        assert(ok);
        (void)ok;
        cJSON_Delete(value);
        if (settings[i].type == SETTING_PEM_FILE)
            *setting_content(&settings[i], loader->config) = xstrdup("");
    }
}

static bool is_repeated(const cJSON *object, const cJSON *member)
{
    for (const cJSON *earlier = object->child; earlier != member; earlier = earlier->next)
        if (strcmp(earlier->string, member->string) == 0)
            return true;
    return false;
}

/* A section's name, or a member's path, for errors; `section` is NULL for the file's own members.
 */
static bool wrap_member(const char *section, const cJSON *member, struct error *error)
{
    struct buf path;
    buf_init(&path, sizeof error->text);
    if (section != NULL)
        buf_printf(&path, "%s.", section);
    config_show_text(&path, member->string);
    error_wrap(error, "%s", path.length > 0 ? path.data : "\"\"");
    buf_clear(&path);
    return false;
}

static bool refuse_unknown(
    const char *section, const cJSON *member, const char *const *known, struct error *error)
{
    struct buf names;
    buf_init(&names, sizeof error->text);
    config_list_words(&names, known, "", " or ");
    error_set(error, ERROR_USAGE, "unknown member: expected %s", names.data);
    buf_clear(&names);
    return wrap_member(section, member, error);
}

static bool refuse_unknown_setting(const char *section, const cJSON *member, struct error *error)
{
    const char **known = xcalloc(settings_count + 1, sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < settings_count; i++) {
        const char *name = setting_name(&settings[i], section);
        if (name != NULL)
            known[count++] = name;
    }
    refuse_unknown(section, member, known, error);
    free(known);
    return false;
}

static bool refuse_unknown_section(const cJSON *member, struct error *error)
{
    const char **known = xcalloc(setting_sections_count + 1, sizeof *known);
    for (size_t i = 0; i < setting_sections_count; i++)
        known[i] = setting_sections[i].name;
    refuse_unknown(NULL, member, known, error);
    free(known);
    return false;
}

static const struct setting *find_setting(const char *section, const char *name)
{
    for (size_t i = 0; i < settings_count; i++) {
        const char *known = setting_name(&settings[i], section);
        if (known != NULL && strcmp(known, name) == 0)
            return &settings[i];
    }
    return NULL;
}

static bool load_section(const struct loader *loader, const char *section, const cJSON *object)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        const struct setting *setting = find_setting(section, member->string);
        if (setting == NULL)
            return refuse_unknown_setting(section, member, loader->error);
        if (is_repeated(object, member)) {
            error_set(loader->error, ERROR_USAGE, "given twice");
            return wrap_member(section, member, loader->error);
        }
        if (!config_assign_json(loader->config, setting, member, loader->error))
            return false;
    }
    return true;
}

static const char *find_section(const char *name)
{
    for (size_t i = 0; i < setting_sections_count; i++)
        if (strcmp(setting_sections[i].name, name) == 0)
            return setting_sections[i].name;
    return NULL;
}

static bool load_root(const struct loader *loader, const cJSON *root)
{
    const cJSON *member;
    if (!cJSON_IsObject(root))
        return error_set(loader->error, ERROR_USAGE, "expected one JSON object");
    cJSON_ArrayForEach(member, root)
    {
        const char *section = find_section(member->string);
        if (section == NULL)
            return refuse_unknown_section(member, loader->error);
        if (is_repeated(root, member) || !cJSON_IsObject(member)) {
            error_set(loader->error, ERROR_USAGE,
                is_repeated(root, member) ? "given twice" : "expected an object");
            return wrap_member(NULL, member, loader->error);
        }
        if (!load_section(loader, section, member))
            return false;
    }
    return true;
}

static bool load_file(const struct loader *loader)
{
    const char *text = loader->source->text;
    size_t length = loader->source->length;
    if (text == NULL)
        return true;
    if (length > LIMIT_CONFIG) {
        error_set(loader->error, ERROR_USAGE, "longer than %d bytes", LIMIT_CONFIG);
        return config_wrap_file(loader->source, loader->error);
    }
    if (!config_strip_mark(loader->source, loader->source->name, &text, &length, loader->error))
        return config_wrap_file(loader->source, loader->error);
    cJSON *root = jsonc_parse(text, length, loader->error);
    bool ok = root != NULL && load_root(loader, root);
    jsonc_delete(root);
    return ok || config_wrap_file(loader->source, loader->error);
}

static bool assign_variable(
    const struct loader *loader, const struct setting *setting, const char *text)
{
    char name[128]; /* the variable's and the member's */
    snprintf(name, sizeof name, "%s (%s)", setting->environment, setting->path);
    return config_assign_text(loader->config, setting, name, text, loader->error);
}

static bool load_environment(const struct loader *loader)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *setting = &settings[i];
        const char *text = config_environment(loader->source, setting);
        if (setting->type == SETTING_SECRET &&
            !config_choose_secret(loader->config, loader->source, setting, loader->error))
            return false;
        if (text != NULL && !assign_variable(loader, setting, text))
            return false;
    }
    return true;
}

static bool refuse_lonely(const struct loader *loader, const char *name, const char *missing)
{
    error_set(loader->error, ERROR_USAGE, "given, so expected %s too", missing);
    return config_wrap_origin(loader->source, find_setting("mqtt", name), loader->error);
}

static bool overlaps(const char *topic, const char *other)
{
    return topic_is_within(topic, strlen(topic), other) ||
           topic_is_within(other, strlen(other), topic);
}

/* Whoever may send a command may have the bridge publish below these. */
static bool check_response_topics(const struct loader *loader)
{
    const struct config *config = loader->config;
    const struct config_list *list = &config->commands.response_topics;
    for (size_t i = 0; i < list->count; i++) {
        const char *topic = list->items[i];
        if (!overlaps(topic, config->mqtt.topic) &&
            !overlaps(topic, config->homeassistant.prefix) &&
            !overlaps(topic, config->homeassistant.status_topic))
            continue;
        struct buf shown;
        buf_init(&shown, sizeof loader->error->text);
        config_show_text(&shown, topic);
        error_set(loader->error, ERROR_USAGE,
            "\"%s\": expected a topic that neither holds nor lies below mqtt.topic, "
            "homeassistant.prefix or homeassistant.status_topic (response/ below mqtt.topic is "
            "always allowed)",
            shown.data);
        buf_clear(&shown);
        return config_wrap_origin(
            loader->source, find_setting("commands", "response_topics"), loader->error);
    }
    return true;
}

static bool check_together(const struct loader *loader)
{
    const struct config *config = loader->config;
    bool has_password = *config->mqtt.password != '\0',
         has_username = *config->mqtt.username != '\0';
    bool has_cert = *config->mqtt.cert_file != '\0', has_key = *config->mqtt.key_file != '\0';
    if (*config->aiva.api_key == '\0' && !loader->source->without_secrets)
        return error_set(loader->error, ERROR_USAGE,
            "aiva.api_key: required: set AIVA_API_KEY, or AIVA_API_KEY_FILE to the name of a file "
            "that holds it, or give aiva.api_key or aiva.api_key_file in the configuration file");
    if (has_password && !has_username)
        return refuse_lonely(loader,
            *config->mqtt.password_file != '\0' ? "password_file" : "password",
            "mqtt.username (MQTT_USERNAME)");
    if (has_cert && !has_key)
        return refuse_lonely(loader, "cert_file", "mqtt.key_file (MQTT_KEY_FILE)");
    if (has_key && !has_cert)
        return refuse_lonely(loader, "key_file", "mqtt.cert_file (MQTT_CERT_FILE)");
    return check_response_topics(loader);
}

/* cJSON tells memory that ran out by the NULL that also means a mistake in the text, and goes on
 * with half a tree elsewhere. */
static void check_memory_of_cjson(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = xmalloc, .free_fn = free});
}

struct config *config_load(const struct config_source *source, struct error *error)
{
    check_memory_of_cjson();
    struct loader loader = {xcalloc(1, sizeof(struct config)), source, error};
    load_defaults(&loader);
    if (load_file(&loader) && load_environment(&loader) &&
        (source->without_secrets || config_load_files(loader.config, source, error)) &&
        check_together(&loader))
        return loader.config;
    config_free(loader.config);
    return NULL;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < settings_count; i++)
        config_unassign(config, &settings[i]);
    free(config);
}
