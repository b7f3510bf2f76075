/*
 * One value into one setting: types, ranges and words, and the error that names the value. What a
 * text must look like is config_check.c's.
 */
#include "config_private.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "utf8.h"

#define SHOWN_LIMIT    60  /* bytes of a value in an error */
#define SENTENCE_LIMIT 256 /* bytes of what was expected */
#define NUMBER_SIZE    32

static void show_escaped(struct buf *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        buf_printf(out, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
}

void config_show_text(struct buf *out, const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        uint32_t code_point;
        size_t size = utf8_decode(text + at, length - at, &code_point);
        if (at + size > SHOWN_LIMIT) {
            buf_append_text(out, "...");
            return;
        }
        if (size == 0 || utf8_is_control_or_nonchar(code_point))
            show_escaped(out, text + at, size > 0 ? size : 1);
        else
            buf_append(out, text + at, size);
        at += size > 0 ? size : 1;
    }
}

void config_list_words(
    struct buf *out, const char *const *words, const char *quote, const char *last)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            buf_append_text(out, words[i + 1] == NULL ? last : ", ");
        buf_printf(out, "%s%s%s", quote, words[i], quote);
    }
}

/* The shortest form that reads as the same number. */
static void format_number(char out[static NUMBER_SIZE], double number)
{
    if (isinf(number)) {
        snprintf(out, NUMBER_SIZE, "too large a number");
        return;
    }
    snprintf(out, NUMBER_SIZE, "%.15g", number);
    if (strtod(out, NULL) != number)
        snprintf(out, NUMBER_SIZE, "%.17g", number);
}

/* Puts the name, and what was given, before the error, which says what was expected. A URL with a
 * user or a query in it is not shown: there may be a password in it. */
static bool refuse_text(
    const struct setting *setting, const char *name, const char *text, struct error *error)
{
    if (setting->type != SETTING_SECRET && strpbrk(text, "@?") == NULL) {
        struct buf shown;
        buf_init(&shown, SENTENCE_LIMIT);
        buf_append_char(&shown, '"');
        config_show_text(&shown, text);
        buf_append_char(&shown, '"');
        error_wrap(error, "%s", shown.data);
        buf_clear(&shown);
    }
    return error_wrap(error, "%s", name);
}

/* The same for a value that was no string. Arrays and objects are not looked into. */
static bool refuse_json(
    const struct setting *setting, const char *name, const cJSON *value, struct error *error)
{
    if (cJSON_IsString(value))
        return refuse_text(setting, name, value->valuestring, error);
    if (setting->type == SETTING_SECRET)
        return error_wrap(error, "%s", name);
    if (cJSON_IsNumber(value)) {
        char number[NUMBER_SIZE];
        format_number(number, value->valuedouble);
        error_wrap(error, "%s", number);
    } else if (cJSON_IsBool(value)) {
        error_wrap(error, "%s", cJSON_IsTrue(value) ? "true" : "false");
    } else {
        error_wrap(error, "%s",
            cJSON_IsNull(value)    ? "null"
            : cJSON_IsArray(value) ? "an array"
                                   : "an object");
    }
    return error_wrap(error, "%s", name);
}

static bool expected_words(const struct setting *setting, struct error *error)
{
    struct buf sentence;
    buf_init(&sentence, SENTENCE_LIMIT);
    config_list_words(&sentence, setting->words, "\"", " or ");
    error_set(error, ERROR_USAGE, "expected %s", sentence.data);
    buf_clear(&sentence);
    return false;
}

static bool expected_number(const struct setting *setting, struct error *error)
{
    if (setting->maximum - setting->minimum == 2)
        return error_set(error, ERROR_USAGE, "expected %d, %d or %d", setting->minimum,
            setting->minimum + 1, setting->maximum);
    return error_set(error, ERROR_USAGE, "expected a whole number from %d to %d", setting->minimum,
        setting->maximum);
}

static bool check_text(const struct setting *setting, char *text, struct error *error)
{
    bool optional = strcmp(setting->fallback, "\"\"") == 0;
    if (optional && *text == '\0')
        return true;
    if (setting->type != SETTING_SECRET && !config_check_plain(text, error))
        return false;
    return setting->check == NULL || setting->check(text, error);
}

void config_discard(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

static bool assign_text(
    const struct setting *setting, char **target, const char *text, struct error *error)
{
    char *copy = xstrdup(text);
    bool ok = check_text(setting, copy, error);
    config_discard(ok ? *target : copy);
    if (ok)
        *target = copy;
    return ok;
}

/* The word's position, -1 where it is none of them. */
static int find_word(const struct setting *setting, const char *text)
{
    for (int i = 0; setting->words[i] != NULL; i++)
        if (strcmp(setting->words[i], text) == 0)
            return i;
    return -1;
}

static bool assign_word(
    const struct setting *setting, int *target, const char *text, struct error *error)
{
    int word = find_word(setting, text);
    if (word < 0)
        return expected_words(setting, error);
    *target = word;
    return true;
}

static bool assign_switch_text(bool *target, const char *text, struct error *error)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        *target = true;
    else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        *target = false;
    else
        return error_set(error, ERROR_USAGE, "expected true, false, 1 or 0");
    return true;
}

static bool assign_number_text(
    const struct setting *setting, int *target, const char *text, struct error *error)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    /* strtol() takes white space and signs. */
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < setting->minimum ||
        number > setting->maximum)
        return expected_number(setting, error);
    *target = (int)number;
    return true;
}

static bool list_holds(const struct config_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

/* The check may shorten the text. */
static bool add_text(
    const struct setting *setting, struct config_list *list, char *text, struct error *error)
{
    if (!check_text(setting, text, error))
        return false;
    if (list_holds(list, text))
        return true;
    list->items = xreallocarray(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = xstrdup(text);
    return true;
}

static void clear_list(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

/* `a, b`: a list replaces what was there before. */
static bool assign_list_text(
    const struct setting *setting, struct config_list *list, const char *text, struct error *error)
{
    char *copy = xstrdup(text), *rest = copy, *item;
    bool ok = true;
    clear_list(list);
    while (ok && (item = strsep(&rest, ","))) {
        item += strspn(item, " ");
        size_t length = strlen(item);
        while (length > 0 && item[length - 1] == ' ')
            item[--length] = '\0';
        ok = add_text(setting, list, item, error);
    }
    free(copy);
    return ok;
}

bool config_assign_text(struct config *config, const struct setting *setting, const char *name,
    const char *text, struct error *error)
{
    void *target = setting_target(setting, config);
    bool ok = false;
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_SECRET_FILE:
    case SETTING_PEM_FILE:
        ok = assign_text(setting, target, text, error);
        break;
    case SETTING_WORD:
        ok = assign_word(setting, target, text, error);
        break;
    case SETTING_SWITCH:
        ok = assign_switch_text(target, text, error);
        break;
    case SETTING_NAMES:
        ok = assign_list_text(setting, target, text, error);
        break;
    case SETTING_NUMBER:
        ok = assign_number_text(setting, target, text, error);
        break;
    case SETTING_WORD_SET:
        assert(false); /* no row of these types has an environment variable */
    }
    return ok || refuse_text(setting, name, text, error);
}

static bool assign_number(
    const struct setting *setting, int *target, const cJSON *value, struct error *error)
{
    double number = value->valuedouble;
    if (!cJSON_IsNumber(value) || number < setting->minimum || number > setting->maximum ||
        (int)number != number)
        return expected_number(setting, error);
    *target = (int)number;
    return true;
}

/* A word that looks like a number may be given as one. */
static bool assign_number_word(
    const struct setting *setting, int *target, const cJSON *value, struct error *error)
{
    char text[NUMBER_SIZE] = "";
    if (cJSON_IsNumber(value))
        format_number(text, value->valuedouble);
    return assign_word(setting, target, text, error);
}

static bool assign_switch(bool *target, const cJSON *value, struct error *error)
{
    if (!cJSON_IsBool(value))
        return error_set(error, ERROR_USAGE, "expected true or false");
    *target = cJSON_IsTrue(value);
    return true;
}

static bool add_word(
    const struct setting *setting, unsigned *set, const cJSON *value, struct error *error)
{
    int word = cJSON_IsString(value) ? find_word(setting, value->valuestring) : -1;
    if (word < 0)
        return expected_words(setting, error);
    *set |= 1u << word;
    return true;
}

static bool add_name(const struct setting *setting, struct config_list *list, const cJSON *value,
    struct error *error)
{
    if (!cJSON_IsString(value))
        return error_set(error, ERROR_USAGE, "expected a string");
    return add_text(setting, list, value->valuestring, error);
}

/* An array replaces what was there before. Its elements are named like jobs.hide[2]. */
static bool assign_array(
    const struct setting *setting, void *target, const cJSON *value, struct error *error)
{
    const cJSON *element;
    int index = 0;
    if (!cJSON_IsArray(value)) {
        error_set(error, ERROR_USAGE, "expected an array of strings");
        return refuse_json(setting, setting->path, value, error);
    }
    if (setting->type == SETTING_NAMES)
        clear_list(target);
    else
        *(unsigned *)target = 0;
    cJSON_ArrayForEach(element, value)
    {
        if (setting->type == SETTING_NAMES ? !add_name(setting, target, element, error)
                                           : !add_word(setting, target, element, error)) {
            char element_name[64];
            snprintf(element_name, sizeof element_name, "%s[%d]", setting->path, index);
            return refuse_json(setting, element_name, element, error);
        }
        index++;
    }
    return true;
}

bool config_assign_json(
    struct config *config, const struct setting *setting, const cJSON *value, struct error *error)
{
    void *target = setting_target(setting, config);
    bool ok = false;
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_SECRET_FILE:
    case SETTING_PEM_FILE:
        if (cJSON_IsString(value))
            return config_assign_text(config, setting, setting->path, value->valuestring, error);
        error_set(error, ERROR_USAGE, "expected a string");
        break;
    case SETTING_WORD:
        if (cJSON_IsString(value))
            return config_assign_text(config, setting, setting->path, value->valuestring, error);
        ok = assign_number_word(setting, target, value, error);
        break;
    case SETTING_NUMBER:
        ok = assign_number(setting, target, value, error);
        break;
    case SETTING_SWITCH:
        ok = assign_switch(target, value, error);
        break;
    case SETTING_WORD_SET:
    case SETTING_NAMES:
        return assign_array(setting, target, value, error);
    }
    return ok || refuse_json(setting, setting->path, value, error);
}

static void clear_text(char **text)
{
    config_discard(*text);
    *text = NULL;
}

void config_unassign(struct config *config, const struct setting *setting)
{
    void *target = setting_target(setting, config);
    if (setting->type == SETTING_NAMES)
        clear_list(target);
    else if (setting->type == SETTING_TEXT || setting->type == SETTING_SECRET ||
             setting->type == SETTING_SECRET_FILE || setting->type == SETTING_PEM_FILE)
        clear_text(target);
    if (setting->type == SETTING_PEM_FILE)
        clear_text(setting_content(setting, config));
}
