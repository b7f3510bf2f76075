/* The configuration: the table of cases, and what a table cannot say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "limit.h"
#include "mem.h"

#define PAIR_LIMIT 8

struct pair {
    char *name;
    struct buf value;
};

/* One case, and the fake world that its configuration is loaded in. */
struct world {
    char *title;
    struct buf text;
    bool has_text;
    struct pair variables[PAIR_LIMIT], files[PAIR_LIMIT], values[PAIR_LIMIT];
    size_t variable_count, file_count, value_count;
    char *error, *warning;
    struct buf warned;
};

static const struct pair *find(const struct pair *pairs, size_t count, const char *name)
{
    for (size_t i = count; i-- > 0;)
        if (strcmp(pairs[i].name, name) == 0)
            return &pairs[i];
    return NULL;
}

/* A key is in the environment unless the case says otherwise. */
static const char *world_environment(void *ctx, const char *name)
{
    const struct world *world = ctx;
    const struct pair *pair = find(world->variables, world->variable_count, name);
    if (pair != NULL)
        return pair->value.length > 0 ? pair->value.data : "";
    return strcmp(name, "AIVA_API_KEY") == 0 ? "key" : NULL;
}

static bool world_read_file(void *ctx, const char *path, struct buf *out, struct error *error)
{
    const struct world *world = ctx;
    const struct pair *pair = find(world->files, world->file_count, path);
    if (pair == NULL)
        return error_set(error, ERROR_RUN, "No such file or directory");
    buf_append(out, pair->value.data, pair->value.length);
    return true;
}

/* The words that a certificate consists of here are its state; a key fits "good" alone. */
static enum config_pem_state world_check_pem(
    void *ctx, const struct config_pem *pem, enum config_pem_file *which, struct error *error)
{
    const char *const texts[] = {pem->ca, pem->cert, pem->key};
    enum config_pem_state state = CONFIG_PEM_GOOD;
    (void)ctx;
    for (int i = 2; i >= 0; i--) {
        if (strncmp(texts[i], "bad", 3) != 0 && strncmp(texts[i], "old", 3) != 0)
            continue;
        state = texts[i][0] == 'b' ? CONFIG_PEM_BAD : CONFIG_PEM_OUTDATED;
        *which = (enum config_pem_file)i;
        error_set(error, ERROR_USAGE, "it is %.3s", texts[i]);
    }
    return state;
}

static void world_warn(void *ctx, const char *text)
{
    struct world *world = ctx;
    buf_append_text(&world->warned, text);
}

static struct config_source world_source(struct world *world)
{
    return (struct config_source){.text = world->has_text ? world->text.data : NULL,
        .length = world->text.length,
        .name = "bridge.json",
        .ctx = world,
        .environment = world_environment,
        .read_file = world_read_file,
        .check_pem = world_check_pem,
        .warn = world_warn};
}

/* Understands \n, \r, \\ and \xHH. */
static void append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char digits[3] = "";
        if (*text != '\\') {
            buf_append_char(out, *text);
        } else if (*++text == 'x') {
            memcpy(digits, text + 1, 2);
            buf_append_char(out, (char)(unsigned char)strtoul(digits, NULL, 16));
            text += 2;
        } else {
            buf_append_char(out, *text == 'n' ? '\n' : *text == 'r' ? '\r' : *text);
        }
    }
}

static void add_pair(struct pair *pairs, size_t *count, const char *text)
{
    const char *equals = strchr(text, '=');
    assert_non_null(equals);
    assert_true(*count < PAIR_LIMIT);
    struct pair *pair = &pairs[(*count)++];
    pair->name = xmemdup0(text, (size_t)(equals - text));
    buf_init(&pair->value, 2 * LIMIT_SECRET);
    append_escaped(&pair->value, equals + 1);
}

static void world_init(struct world *world, const char *title)
{
    *world = (struct world){.title = xstrdup(title)};
    buf_init(&world->text, 2 * LIMIT_CONFIG);
    buf_init(&world->warned, LIMIT_CONFIG);
}

static void world_set_text(struct world *world, const char *text)
{
    buf_reset(&world->text);
    buf_append_text(&world->text, text);
    world->has_text = true;
}

static void clear_pairs(struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        buf_clear(&pairs[i].value);
    }
}

static void world_clear(struct world *world)
{
    free(world->title);
    free(world->error);
    free(world->warning);
    buf_clear(&world->text);
    buf_clear(&world->warned);
    clear_pairs(world->variables, world->variable_count);
    clear_pairs(world->files, world->file_count);
    clear_pairs(world->values, world->value_count);
}

static void world_line(struct world *world, const char *key, const char *text)
{
    if (strcmp(key, "file") == 0) {
        world->has_text = true;
        buf_append_text(&world->text, text);
        buf_append_char(&world->text, '\n');
    } else if (strcmp(key, "bytes") == 0) {
        world->has_text = true;
        append_escaped(&world->text, text);
    } else if (strcmp(key, "env") == 0) {
        add_pair(world->variables, &world->variable_count, text);
    } else if (strcmp(key, "secret") == 0) {
        add_pair(world->files, &world->file_count, text);
    } else if (strcmp(key, "value") == 0) {
        add_pair(world->values, &world->value_count, text);
    } else if (strcmp(key, "error") == 0) {
        free(world->error);
        world->error = xstrdup(text);
    } else if (strcmp(key, "warning") == 0) {
        free(world->warning);
        world->warning = xstrdup(text);
    } else {
        fail_msg("config.txt: no such key: %s", key);
    }
}

static const char *dump_texts(const struct config *config, const char *path)
{
    const struct {
        const char *path, *text;
    } texts[] = {{"aiva.url", config->aiva.url}, {"aiva.api_key", config->aiva.api_key},
        {"aiva.api_key_file", config->aiva.api_key_file}, {"aiva.ca_file", config->aiva.ca_file},
        {"aiva.ca", config->aiva.ca}, {"mqtt.ca", config->mqtt.ca},
        {"mqtt.cert", config->mqtt.cert}, {"mqtt.key", config->mqtt.key},
        {"mqtt.url", config->mqtt.url}, {"mqtt.username", config->mqtt.username},
        {"mqtt.password", config->mqtt.password},
        {"mqtt.password_file", config->mqtt.password_file}, {"mqtt.ca_file", config->mqtt.ca_file},
        {"mqtt.cert_file", config->mqtt.cert_file}, {"mqtt.key_file", config->mqtt.key_file},
        {"mqtt.proxy", config->mqtt.proxy}, {"mqtt.alpn", config->mqtt.alpn},
        {"mqtt.client_id", config->mqtt.client_id}, {"mqtt.topic", config->mqtt.topic},
        {"homeassistant.prefix", config->homeassistant.prefix},
        {"homeassistant.status_topic", config->homeassistant.status_topic},
        {"http.listen", config->http.listen}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].path, path) == 0)
            return texts[i].text;
    return NULL;
}

static int dump_number(const struct config *config, const char *path)
{
    const struct {
        const char *path;
        int number;
    } numbers[] = {{"aiva.mode", (int)config->aiva.mode},
        {"aiva.idle_timeout_s", config->aiva.idle_timeout_s},
        {"aiva.poll_interval_s", config->aiva.poll_interval_s},
        {"aiva.list_interval_s", config->aiva.list_interval_s},
        {"aiva.resync_interval_s", config->aiva.resync_interval_s},
        {"mqtt.version", (int)config->mqtt.version}, {"mqtt.qos", config->mqtt.qos},
        {"mqtt.queue_limit", config->mqtt.queue_limit},
        {"mqtt.keep_alive_s", config->mqtt.keep_alive_s},
        {"jobs.keep_finished_h", config->jobs.keep_finished_h},
        {"commands.allow", (int)config->commands.allow},
        {"commands.rate_per_s", config->commands.rate_per_s},
        {"commands.burst", config->commands.burst},
        {"commands.timeout_s", config->commands.timeout_s},
        {"homeassistant.enabled", config->homeassistant.enabled},
        {"homeassistant.max_jobs", config->homeassistant.max_jobs},
        {"homeassistant.device_name", (int)config->homeassistant.device_name},
        {"log.level", config->log.level}, {"log.format", config->log.format}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].path, path) == 0)
            return numbers[i].number;
    fail_msg("config.txt: no such setting: %s", path);
    return -1;
}

/* The setting as text: a list with commas, an enum as its number. */
static void dump(const struct config *config, const char *path, struct buf *out)
{
    const char *text = dump_texts(config, path);
    const struct config_list *list = strcmp(path, "jobs.hide") == 0 ? &config->jobs.hide
                                     : strcmp(path, "commands.response_topics") == 0
                                         ? &config->commands.response_topics
                                         : NULL;
    buf_init(out, LIMIT_CONFIG);
    buf_append_text(out, "");
    if (text != NULL)
        buf_append_text(out, text);
    else if (!list)
        buf_printf(out, "%d", dump_number(config, path));
    else
        for (size_t i = 0; i < list->count; i++)
            buf_printf(out, "%s%s", i > 0 ? "," : "", list->items[i]);
}

static bool values_hold(const struct world *world, const struct config *config)
{
    bool ok = true;
    for (size_t i = 0; i < world->value_count; i++) {
        const struct pair *expected = &world->values[i];
        struct buf found;
        dump(config, expected->name, &found);
        if (found.length != expected->value.length ||
            (found.length > 0 && memcmp(found.data, expected->value.data, found.length) != 0)) {
            print_error("%s: %s is \"%s\"\n", world->title, expected->name,
                found.length > 0 ? found.data : "");
            ok = false;
        }
        buf_clear(&found);
    }
    return ok;
}

static bool run(struct world *world)
{
    struct error error = {0};
    struct config_source source = world_source(world);
    struct config *config = config_load(&source, &error);
    bool ok = true;
    if (config == NULL)
        ok = world->error != NULL && strcmp(error.text, world->error) == 0 &&
             error.class == ERROR_USAGE;
    else
        ok = world->error == NULL && values_hold(world, config);
    const char *warned = world->warned.length > 0 ? world->warned.data : "";
    ok = ok && strcmp(warned, world->warning != NULL ? world->warning : "") == 0;
    if (!ok)
        print_error("%s: %s; %s\n", world->title, config == NULL ? error.text : "loaded", warned);
    config_free(config);
    return ok;
}

static void test_config_cases(void **state)
{
    FILE *file = fopen(TEST_CASES "/config.txt", "r");
    char *line = NULL;
    size_t size = 0, cases = 0, failed = 0;
    struct world world;
    (void)state;
    assert_non_null(file);
    world_init(&world, "");
    while (getline(&line, &size, file) != -1) {
        line[strcspn(line, "\n")] = '\0';
        char *text = strstr(line, ": ");
        if (line[0] == '#' || line[0] == '\0')
            continue;
        assert_non_null(text);
        *text = '\0';
        if (strcmp(line, "case") != 0) {
            world_line(&world, line, text + 2);
            continue;
        }
        failed += cases++ > 0 && !run(&world);
        world_clear(&world);
        world_init(&world, text + 2);
    }
    failed += !run(&world);
    world_clear(&world);
    free(line);
    fclose(file);
    assert_true(cases > 100);
    assert_int_equal(failed, 0);
}

static struct config *load(struct world *world, struct error *error)
{
    struct config_source source = world_source(world);
    return config_load(&source, error);
}

/* Loads with one variable of `length` times `c`; true where it is accepted. */
static bool accepts_length(const char *name, char c, size_t length)
{
    struct world world;
    struct error error = {0};
    struct buf variable;
    world_init(&world, name);
    buf_init(&variable, 2 * LIMIT_SECRET);
    buf_printf(&variable, "%s=", name);
    for (size_t i = 0; i < length; i++)
        buf_append_char(&variable, c);
    add_pair(world.variables, &world.variable_count, variable.data);
    struct config *config = load(&world, &error);
    bool accepted = config != NULL;
    config_free(config);
    buf_clear(&variable);
    world_clear(&world);
    return accepted;
}

static void test_config_limits_the_length_of_texts(void **state)
{
    (void)state;
    assert_true(accepts_length("MQTT_TOPIC", 't', 256));
    assert_false(accepts_length("MQTT_TOPIC", 't', 257));
    assert_true(accepts_length("MQTT_CLIENT_ID", 'c', 128));
    assert_false(accepts_length("MQTT_CLIENT_ID", 'c', 129));
    assert_true(accepts_length("MQTT_CA_FILE", 'f', 4096));
    assert_false(accepts_length("MQTT_CA_FILE", 'f', 4097));
}

static void test_config_limits_the_file(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    world_init(&world, "long");
    world_set_text(&world, "{}");
    while (world.text.length <= LIMIT_CONFIG)
        buf_append_char(&world.text, ' ');
    assert_null(load(&world, &error));
    assert_string_equal(error.text, "bridge.json: longer than 1048576 bytes");
    world_clear(&world);
}

static void test_config_limits_secret_files(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    world_init(&world, "long secret");
    add_pair(world.variables, &world.variable_count, "AIVA_API_KEY=");
    add_pair(world.variables, &world.variable_count, "AIVA_API_KEY_FILE=/k");
    add_pair(world.files, &world.file_count, "/k=");
    while (world.files[0].value.length <= LIMIT_SECRET)
        buf_append_char(&world.files[0].value, 'k');
    assert_null(load(&world, &error));
    assert_string_equal(
        error.text, "AIVA_API_KEY_FILE (aiva.api_key_file): /k: longer than 65535 bytes");
    world_clear(&world);
}

/* A file that ends too early, anywhere, is an error that says where. */
static void test_config_refuses_every_cut_of_the_example(void **state)
{
    struct world world;
    struct buf example;
    (void)state;
    world_init(&world, "cut");
    buf_init(&example, LIMIT_CONFIG);
    config_write_example(&example);
    size_t end = (size_t)(strrchr(example.data, '}') - example.data);
    for (size_t length = 0; length <= end; length++) {
        struct error error = {0};
        char *cut = xmemdup0(example.data, length);
        world_set_text(&world, cut);
        assert_null(load(&world, &error));
        assert_non_null(strstr(error.text, "bridge.json: line "));
        free(cut);
    }
    buf_clear(&example);
    world_clear(&world);
}

static void assert_same(const struct config *left, const struct config *right, const char *path)
{
    struct buf left_text, right_text;
    dump(left, path, &left_text);
    dump(right, path, &right_text);
    assert_int_equal(left_text.length, right_text.length);
    if (left_text.length > 0)
        assert_string_equal(left_text.data, right_text.data);
    buf_clear(&left_text);
    buf_clear(&right_text);
}

static void test_config_example_holds_the_defaults(void **state)
{
    static const char *const paths[] = {"aiva.url", "aiva.mode", "aiva.ca_file",
        "aiva.idle_timeout_s", "aiva.poll_interval_s", "aiva.list_interval_s",
        "aiva.resync_interval_s", "mqtt.url", "mqtt.username", "mqtt.password", "mqtt.ca_file",
        "mqtt.cert_file", "mqtt.key_file", "mqtt.proxy", "mqtt.alpn", "mqtt.version",
        "mqtt.client_id", "mqtt.topic", "mqtt.qos", "mqtt.queue_limit", "mqtt.keep_alive_s",
        "jobs.hide", "jobs.keep_finished_h", "commands.allow", "commands.rate_per_s",
        "commands.burst", "commands.timeout_s", "commands.response_topics", "homeassistant.enabled",
        "homeassistant.prefix", "homeassistant.max_jobs", "homeassistant.status_topic",
        "homeassistant.device_name", "http.listen", "log.level", "log.format"};
    struct world world;
    struct error error = {0};
    struct buf example;
    (void)state;
    world_init(&world, "example");
    struct config *defaults = load(&world, &error);
    assert_non_null(defaults);
    buf_init(&example, LIMIT_CONFIG);
    config_write_example(&example);
    world_set_text(&world, example.data);
    struct config *loaded = load(&world, &error);
    assert_non_null(loaded);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *name = strchr(paths[i], '.') + 1;
        assert_non_null(strstr(example.data, name));
        assert_same(loaded, defaults, paths[i]);
    }
    config_free(loaded);
    config_free(defaults);
    buf_clear(&example);
    world_clear(&world);
}

static void test_config_example_lacks_only_the_key(void **state)
{
    struct world world;
    struct error error = {0};
    struct buf example;
    (void)state;
    world_init(&world, "example without key");
    add_pair(world.variables, &world.variable_count, "AIVA_API_KEY=");
    buf_init(&example, LIMIT_CONFIG);
    config_write_example(&example);
    world_set_text(&world, example.data);
    assert_null(load(&world, &error));
    assert_memory_equal(error.text, "aiva.api_key: required", 22);
    buf_clear(&example);
    world_clear(&world);
}

static void test_config_error_without_a_file_name(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    world_init(&world, "no name");
    world_set_text(&world, "{\"mqtt\": {\"qos\": 3}}");
    struct config_source source = world_source(&world);
    source.name = NULL;
    assert_null(config_load(&source, &error));
    assert_string_equal(error.text, "mqtt.qos: 3: expected 0, 1 or 2");
    world_clear(&world);
}

static void test_config_without_secrets_needs_none(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    world_init(&world, "no secrets");
    add_pair(world.variables, &world.variable_count, "AIVA_API_KEY=");
    world_set_text(&world,
        "{\"aiva\": {\"api_key_file\": \"/absent\"}, \"mqtt\": {\"topic\": \"lab\","
        " \"username\": \"u\", \"password_file\": \"/absent\"}}");
    struct config_source source = world_source(&world);
    source.without_secrets = true;
    struct config *config = config_load(&source, &error);
    assert_non_null(config);
    assert_string_equal(config->mqtt.topic, "lab");
    assert_string_equal(config->aiva.api_key, "");
    config_free(config);
    source.without_secrets = false;
    assert_null(config_load(&source, &error));
    world_clear(&world);
}

static struct config *load_with_secret_files(struct world *world)
{
    struct error error = {0};
    world_init(world, "reload");
    add_pair(world->variables, &world->variable_count, "AIVA_API_KEY=");
    world_set_text(world, "{\"aiva\": {\"api_key_file\": \"/k\"},"
                          " \"mqtt\": {\"username\": \"u\", \"password_file\": \"/p\"}}");
    add_pair(world->files, &world->file_count, "/k=key-one\\n");
    add_pair(world->files, &world->file_count, "/p=pass one\\r\\n");
    struct config *config = load(world, &error);
    assert_non_null(config);
    assert_string_equal(config->aiva.api_key, "key-one");
    assert_string_equal(config->mqtt.password, "pass one");
    return config;
}

static void test_config_reloads_secrets_from_files(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    struct config *config = load_with_secret_files(&world);
    struct config_source source = world_source(&world);
    add_pair(world.files, &world.file_count, "/k=key-two");
    add_pair(world.files, &world.file_count, "/p=pass two");
    assert_int_equal(config_reload(config, &source, CONFIG_SECRETS, &error), CONFIG_RELOAD_NEW);
    assert_string_equal(config->aiva.api_key, "key-two");
    assert_string_equal(config->mqtt.password, "pass two");
    config_free(config);
    world_clear(&world);
}

static void test_config_reload_changes_nothing_when_a_file_is_bad(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    struct config *config = load_with_secret_files(&world);
    struct config_source source = world_source(&world);
    add_pair(world.files, &world.file_count, "/k=key-two");
    add_pair(world.files, &world.file_count, "/p=\\n");
    assert_int_equal(
        config_reload(config, &source, CONFIG_ALL_FILES, &error), CONFIG_RELOAD_REFUSED);
    assert_string_equal(error.text, "bridge.json: mqtt.password_file: /p: the file is empty");
    assert_int_equal(error.class, ERROR_USAGE);
    assert_string_equal(config->aiva.api_key, "key-one");
    assert_string_equal(config->mqtt.password, "pass one");
    config_free(config);
    world_clear(&world);
}

static void test_config_reload_leaves_given_secrets_alone(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    world_init(&world, "nothing to reload");
    struct config *config = load(&world, &error);
    struct config_source source = world_source(&world);
    assert_non_null(config);
    assert_int_equal(config_reload(config, &source, CONFIG_ALL_FILES, &error), CONFIG_RELOAD_SAME);
    assert_string_equal(config->aiva.api_key, "key");
    config_free(config);
    config_free(NULL);
    world_clear(&world);
}

static struct config *load_with_certificates(struct world *world, const char *cert)
{
    struct error error = {0};
    char line[64];
    world_init(world, "certificates");
    world_set_text(world,
        "{\"aiva\": {\"url\": \"https://a\", \"ca_file\": \"/ca\"}, \"mqtt\": {\"url\": "
        "\"mqtts://b\", \"cert_file\": \"/cert\", \"key_file\": \"/key\"}}");
    snprintf(line, sizeof line, "/cert=%s", cert);
    add_pair(world->files, &world->file_count, "/ca=good ca");
    add_pair(world->files, &world->file_count, line);
    add_pair(world->files, &world->file_count, "/key=good key");
    struct config *config = load(world, &error);
    assert_non_null(config);
    return config;
}

static void test_config_reload_takes_all_certificates_or_none(void **state)
{
    static const char *const bad[] = {"/key=bad key", "/key=old key", "/key=", "/ca=bad ca",
        "/ca=\\xff\\xfe-", "/cert=good\\x00"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct world world;
        struct error error = {0};
        struct config *config = load_with_certificates(&world, "good cert");
        struct config_source source = world_source(&world);
        add_pair(world.files, &world.file_count, "/cert=good new cert");
        add_pair(world.files, &world.file_count, bad[i]);
        assert_int_equal(
            config_reload(config, &source, CONFIG_ALL_FILES, &error), CONFIG_RELOAD_REFUSED);
        assert_non_null(strstr(error.text, "bridge.json: "));
        assert_string_equal(config->aiva.ca, "good ca");
        assert_string_equal(config->mqtt.cert, "good cert");
        assert_string_equal(config->mqtt.key, "good key");
        world.file_count--;
        if (i < 5)
            assert_int_equal(
                config_reload(config, &source, CONFIG_CERTIFICATES, &error), CONFIG_RELOAD_NEW);
        else
            assert_int_equal(
                config_reload(config, &source, CONFIG_SECRETS, &error), CONFIG_RELOAD_SAME);
        world.file_count++;
        config_free(config);
        world_clear(&world);
    }
}

/* It ran out while it was in use: no reason to refuse a new key. */
static void test_config_reload_takes_what_has_run_out_in_use(void **state)
{
    struct world world;
    struct error error = {0};
    (void)state;
    struct config *config = load_with_certificates(&world, "old cert");
    struct config_source source = world_source(&world);
    assert_string_equal(world.warned.data, "bridge.json: mqtt.cert_file: /cert: it is old");
    add_pair(world.files, &world.file_count, "/ca=good new ca");
    assert_int_equal(config_reload(config, &source, CONFIG_ALL_FILES, &error), CONFIG_RELOAD_NEW);
    assert_string_equal(config->aiva.ca, "good new ca");
    add_pair(world.files, &world.file_count, "/cert=old too");
    assert_int_equal(
        config_reload(config, &source, CONFIG_ALL_FILES, &error), CONFIG_RELOAD_REFUSED);
    assert_string_equal(error.text, "bridge.json: mqtt.cert_file: /cert: it is old");
    config_free(config);
    world_clear(&world);
}

static void count_file(void *ctx, const char *path)
{
    struct buf *names = ctx;
    buf_printf(names, "%s ", path);
}

static void test_config_tells_which_files_it_uses(void **state)
{
    struct world world;
    struct buf names;
    (void)state;
    struct config *config = load_with_certificates(&world, "good");
    buf_init(&names, LIMIT_CONFIG);
    config_each_file(config, CONFIG_ALL_FILES, count_file, &names);
    assert_string_equal(names.data, "/ca /cert /key ");
    buf_reset(&names);
    config_each_file(config, CONFIG_SECRETS, count_file, &names);
    assert_int_equal(names.length, 0);
    buf_clear(&names);
    config_free(config);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_cases),
        cmocka_unit_test(test_config_limits_the_length_of_texts),
        cmocka_unit_test(test_config_limits_the_file),
        cmocka_unit_test(test_config_limits_secret_files),
        cmocka_unit_test(test_config_refuses_every_cut_of_the_example),
        cmocka_unit_test(test_config_example_holds_the_defaults),
        cmocka_unit_test(test_config_example_lacks_only_the_key),
        cmocka_unit_test(test_config_error_without_a_file_name),
        cmocka_unit_test(test_config_without_secrets_needs_none),
        cmocka_unit_test(test_config_reloads_secrets_from_files),
        cmocka_unit_test(test_config_reload_changes_nothing_when_a_file_is_bad),
        cmocka_unit_test(test_config_reload_leaves_given_secrets_alone),
        cmocka_unit_test(test_config_reload_takes_all_certificates_or_none),
        cmocka_unit_test(test_config_reload_takes_what_has_run_out_in_use),
        cmocka_unit_test(test_config_tells_which_files_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
