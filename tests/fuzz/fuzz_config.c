/* The configuration: the input is the file, and also what every secret file holds. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *text;
    size_t length;
};

static const char *no_environment(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static bool read_input(void *ctx, const char *path, struct buf *out, struct error *error)
{
    const struct input *input = ctx;
    assert(*path != '\0');
    if (!buf_append(out, input->text, input->length))
        return error_set(error, ERROR_RUN, "too long");
    return true;
}

/* What the rest of the program relies on. */
static void check(const struct config *config)
{
    size_t length = strlen(config->mqtt.topic);
    assert(*config->aiva.api_key != '\0');
    assert(strncmp(config->aiva.url, "http", 4) == 0);
    assert(config->aiva.url[strlen(config->aiva.url) - 1] != '/');
    assert(length >= 1 && length <= 256 && strpbrk(config->mqtt.topic, "+#") == NULL);
    assert(config->mqtt.topic[0] != '/' && config->mqtt.topic[length - 1] != '/');
    assert(config->mqtt.qos >= 0 && config->mqtt.qos <= 2);
    assert(config->mqtt.queue_limit >= 1);
    assert(*config->mqtt.password == '\0' || *config->mqtt.username != '\0');
    assert(config->commands.allow <= 7);
    for (size_t i = 0; i < config->jobs.hide.count; i++)
        assert(*config->jobs.hide.items[i] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    struct error error = {0};
    struct config_source source = {.text = input.text,
        .length = size,
        .name = "fuzz",
        .ctx = &input,
        .environment = no_environment,
        .read_file = read_input};
    struct config *config = config_load(&source, &error);
    if (config == NULL) {
        assert(error.class == ERROR_USAGE && error.text[0] != '\0');
        return 0;
    }
    check(config);
    if (config_reload(config, &source, CONFIG_ALL_FILES, &error) == CONFIG_RELOAD_REFUSED)
        assert(error.class == ERROR_USAGE);
    config_free(config);
    return 0;
}
