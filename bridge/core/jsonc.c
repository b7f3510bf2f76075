/*
 * JSON with comments into a cJSON tree, strictly: comments become spaces in a copy, the scanner of
 * json.c says where and why that is not JSON, and cJSON, which is less strict and no good at
 * positions, builds the tree.
 */
#include "jsonc.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"
#include "utf8.h"

/* At a quote: to behind the string; to the end of its line where it has no end. */
static char *skip_string(char *at, const char *end)
{
    at++;
    while (at < end && *at != '"' && *at != '\n')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : at;
}

/* At a slash: makes the comment spaces and goes behind it. NULL: it is none, or has no end. Line
 * ends may become spaces too: positions are worked out on the text itself. */
static char *blank_comment(char *at, char *end, const char **reason)
{
    char *behind = NULL;
    if (end - at > 1 && at[1] == '/') {
        behind = memchr(at, '\n', (size_t)(end - at));
        behind = behind ? behind : end;
    } else if (end - at > 1 && at[1] == '*') {
        behind = memmem(at + 2, (size_t)(end - at) - 2, "*/", 2);
        behind = behind ? behind + 2 : NULL;
        *reason = "this comment has no end";
    } else {
        *reason = "expected a comment, // or /* */, after the slash";
    }
    if (behind)
        memset(at, ' ', (size_t)(behind - at));
    return behind;
}

/* Up to the first problem with a comment. */
static bool blank_comments(char *text, size_t length, struct json_problem *problem)
{
    char *at = text, *end = text + length;
    while (at < end) {
        char *next = at + 1;
        if (*at == '"')
            next = skip_string(at, end);
        else if (*at == '/')
            next = blank_comment(at, end, &problem->reason);
        if (!next) {
            problem->at = (size_t)(at - text);
            return false;
        }
        at = next;
    }
    return true;
}

/* Comments too must be text: what is not is a damaged file. */
static bool check_characters(const char *text, size_t length, struct json_problem *problem)
{
    size_t valid = utf8_valid_length(text, length);
    const char *nul = memchr(text, '\0', valid);
    if (nul)
        *problem = (struct json_problem){(size_t)(nul - text), "a NUL character is not allowed"};
    else if (valid < length)
        *problem = (struct json_problem){valid, "this is not valid UTF-8"};
    return !nul && valid == length;
}

/* Makes the copy plain JSON. What is wrong ahead of a broken comment is the first problem. */
static bool prepare(char *copy, size_t length, struct json_problem *problem)
{
    struct json_problem comment = {0};
    if (!check_characters(copy, length, problem))
        return false;
    bool blanked = blank_comments(copy, length, &comment);
    bool valid = json_check(copy, length, problem) == JSON_OK;
    if (!blanked && (valid || comment.at <= problem->at))
        *problem = comment;
    return blanked && valid;
}

/* Columns are characters, as editors count them: continuation bytes are none. */
static void set_error(const char *text, const struct json_problem *problem, struct error *error)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < problem->at; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    error_set(error, ERROR_USAGE, "line %zu, column %zu: %s", line, column, problem->reason);
}

cJSON *jsonc_parse(const char *text, size_t length, struct error *error)
{
    struct json_problem problem = {0};
    char *copy = xmemdup0(text, length);
    cJSON *tree = NULL;
    if (prepare(copy, length, &problem)) {
        const char *end = copy;
        tree = cJSON_ParseWithLengthOpts(copy, length + 1, &end, true);
        /* Some versions have no room for a number of more than 63 characters. */
        problem = (struct json_problem){(size_t)(end - copy), "this cannot be read"};
    }
    if (!tree)
        set_error(text, &problem, error);
    explicit_bzero(copy, length);
    free(copy);
    return tree;
}

static void wipe(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        if (cJSON_IsString(item))
            explicit_bzero(item->valuestring, strlen(item->valuestring));
        wipe(item->child);
    }
}

void jsonc_delete(cJSON *tree)
{
    wipe(tree);
    cJSON_Delete(tree);
}
