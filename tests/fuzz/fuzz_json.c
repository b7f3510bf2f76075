/* The scanner: whatever it takes, cJSON must take and understand in the same way, and the three
 * ways to read a text must agree on it. */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "json.h"
#include "secret.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_problem(
    enum json_result result, const struct json_problem *problem, size_t length)
{
    char described[JSON_DESCRIBED];
    assert(problem->at <= length);
    assert((result == JSON_OK) == (problem->reason == NULL));
    if (result == JSON_OK)
        return;
    json_describe(described, sizeof described, result, problem);
    assert(strlen(described) < sizeof described - 1);
}

/* What only json_check refuses; it also counts the outermost level of nesting. */
static bool is_for_check_only(enum json_result result)
{
    return result == JSON_NUL || result == JSON_SURROGATE || result == JSON_TOO_DEEP;
}

static void check_string(struct json_slice value, const char *expected)
{
    struct buf decoded;
    buf_init(&decoded, value.length);
    assert(json_decode_string(value, &decoded));
    assert(decoded.length == strlen(expected));
    assert(memcmp(decoded.length > 0 ? decoded.data : "", expected, decoded.length) == 0);
    buf_clear(&decoded);
}

static void check_member(const struct json_member *member, const cJSON *item)
{
    struct json_problem problem;
    assert(json_check(member->value.at, member->value.length, &problem) == JSON_OK);
    assert(json_is_string(member->value) == (bool)cJSON_IsString(item));
    assert(json_is_number(member->value) == (bool)cJSON_IsNumber(item));
    assert(json_is_null(member->value) == (bool)cJSON_IsNull(item));
    check_string((struct json_slice){member->name.at - 1, member->name.length + 2}, item->string);
    if (cJSON_IsString(item))
        check_string(member->value, item->valuestring);
}

/* cJSON keeps all members and decodes all names. */
static size_t count_names(const cJSON *tree)
{
    size_t count = 0;
    for (const cJSON *item = tree->child; item; item = item->next) {
        const cJSON *same = tree->child;
        while (same != item && strcmp(same->string, item->string) != 0)
            same = same->next;
        count += same == item;
    }
    return count;
}

static void check_members(const struct json_object *object, const cJSON *tree)
{
    assert(object->count == count_names(tree));
    for (size_t i = 0; i < object->count; i++)
        if (object->members[i].repeated)
            return;
    const cJSON *item = tree->child;
    for (size_t i = 0; i < object->count; i++, item = item->next)
        check_member(&object->members[i], item);
    assert(item == NULL);
}

static void check_object(const char *text, size_t length, enum json_result whole, const cJSON *tree)
{
    struct json_object object = {0};
    enum json_result result = json_object_read(&object, text, length);
    check_problem(result, &object.problem, length);
    assert(result == JSON_OK || object.count == 0);
    if (whole == JSON_OK)
        assert(result == (cJSON_IsObject(tree) ? JSON_OK : JSON_WRONG_TYPE) ||
               result == JSON_TOO_MANY);
    else
        assert(result != JSON_OK || is_for_check_only(whole));
    if (whole == JSON_OK && result == JSON_OK)
        check_members(&object, tree);
    json_object_clear(&object);
}

static void check_array(const char *text, size_t length, enum json_result whole, const cJSON *tree)
{
    struct json_array array;
    struct json_slice element;
    int count = 0;
    enum json_result result = json_array_begin(&array, text, length);
    while (result == JSON_OK && (result = json_array_next(&array, &element)) == JSON_OK) {
        assert(element.length > 0 && element.at > text);
        assert(element.at + element.length <= text + length);
        count++;
    }
    if (result != JSON_END)
        check_problem(result, &array.problem, length);
    /* UTF-8 is for the readers of the elements. */
    assert(result != JSON_END || whole == JSON_OK || whole == JSON_NOT_UTF8 ||
           is_for_check_only(whole));
    if (whole == JSON_OK)
        assert(result == (cJSON_IsArray(tree) ? JSON_END : JSON_WRONG_TYPE));
    if (whole == JSON_OK && result == JSON_END)
        assert(count == cJSON_GetArraySize(tree));
}

/* Once cleaned it is an object still, for strict readers, and without the key. */
static void check_cleaning(const char *text, size_t length)
{
    struct json_object object = {0};
    struct json_problem problem;
    struct buf clean;
    secret_set(SECRET_API_KEY, "key/\"12345678");
    buf_init(&clean, 3 * length);
    if (json_object_read(&object, text, length) == JSON_OK) {
        bool unclean = json_is_unclean(text, length, object.untidy);
        json_clean(&clean, text, length);
        assert(!clean.failed);
        assert(unclean || (clean.length == length && memcmp(clean.data, text, length) == 0));
        assert(json_object_read(&object, clean.data, clean.length) == JSON_OK);
        assert(!object.untidy && !json_is_unclean(clean.data, clean.length, false));
        assert(json_check(clean.data, clean.length, &problem) != JSON_SURROGATE);
    }
    secret_clear();
    buf_clear(&clean);
    json_object_clear(&object);
}

/* Any text is a string once it is written as one. */
static void check_writing(const char *text, size_t length)
{
    struct json_problem problem;
    struct buf written, read;
    if (!utf8_valid(text, length) || memchr(text, '\0', length))
        return;
    buf_init(&written, 6 * length + 2);
    buf_init(&read, length);
    json_append_string(&written, text, length);
    assert(json_check(written.data, written.length, &problem) == JSON_OK);
    assert(json_decode_string((struct json_slice){written.data, written.length}, &read));
    assert(read.length == length && (length == 0 || memcmp(read.data, text, length) == 0));
    buf_clear(&written);
    buf_clear(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct json_problem problem;
    if (size == 0)
        return 0;
    check_cleaning(text, size);
    enum json_result whole = json_check(text, size, &problem);
    cJSON *tree = whole == JSON_OK ? cJSON_ParseWithLength(text, size) : NULL;
    check_problem(whole, &problem, size);
    assert(whole != JSON_OK || tree != NULL);
    check_object(text, size, whole, tree);
    check_array(text, size, whole, tree);
    check_writing(text, size);
    cJSON_Delete(tree);
    return 0;
}
