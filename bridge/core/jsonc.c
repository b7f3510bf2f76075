/*
 * JSON with comments into a cJSON tree, strictly.
 *
 * cJSON 1.7.15 alone takes more than JSON (raw control characters, 007, a string that ends at its
 * \u0000) and its error position is a byte off in the most common mistakes. So a checker of the
 * grammar of RFC 8259 walks over the text first and says where and why it is not JSON; cJSON then
 * gets a copy in which each comment is spaces, and builds the tree.
 */
#include "jsonc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "mem.h"
#include "utf8.h"

struct checker {
    const char *text;
    char *copy; /* of the text; comments become spaces here, so that positions stay right */
    size_t length;
    size_t at;
    const char *reason; /* set once something at `at` is wrong */
};

static bool refuse(struct checker *checker, const char *reason)
{
    checker->reason = reason;
    return false;
}

/* The byte `ahead` of the current one; -1 at the end of the text. */
static int peek(const struct checker *checker, size_t ahead)
{
    if (ahead >= checker->length - checker->at)
        return -1;
    return (unsigned char)checker->text[checker->at + ahead];
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool accept(struct checker *checker, int c)
{
    if (peek(checker, 0) != c)
        return false;
    checker->at++;
    return true;
}

static void skip_line(struct checker *checker)
{
    while (peek(checker, 0) != -1 && peek(checker, 0) != '\n')
        checker->at++;
}

static bool skip_block(struct checker *checker)
{
    size_t start = checker->at;
    checker->at += 2;
    while (peek(checker, 0) != '*' || peek(checker, 1) != '/') {
        if (peek(checker, 0) == -1) {
            checker->at = start;
            return refuse(checker, "this comment has no end");
        }
        checker->at++;
    }
    checker->at += 2;
    return true;
}

/* At a slash: skips the comment and makes it spaces in the copy. Line ends may become spaces too:
 * positions are worked out on the text itself. */
static bool skip_comment(struct checker *checker)
{
    size_t start = checker->at;
    if (peek(checker, 1) == '/')
        skip_line(checker);
    else if (peek(checker, 1) != '*')
        return refuse(checker, "expected a comment, // or /* */, after the slash");
    else if (!skip_block(checker))
        return false;
    memset(checker->copy + start, ' ', checker->at - start);
    return true;
}

static bool skip_space(struct checker *checker)
{
    for (;;) {
        switch (peek(checker, 0)) {
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            checker->at++;
            break;
        case '/':
            if (!skip_comment(checker))
                return false;
            break;
        default:
            return true;
        }
    }
}

static bool check_unicode_escape(struct checker *checker)
{
    bool zero = true;
    for (size_t i = 2; i < 6; i++) {
        int c = peek(checker, i);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
            return refuse(checker, "expected four hexadecimal digits after \\u");
        zero = zero && c == '0';
    }
    if (zero)
        return refuse(checker, "\\u0000 is not allowed");
    checker->at += 6;
    return true;
}

static bool check_escape(struct checker *checker)
{
    int c = peek(checker, 1);
    if (c == 'u')
        return check_unicode_escape(checker);
    if (c <= 0 || strchr("\"\\/bfnrt", c) == NULL)
        return refuse(checker, "this is not an escape sequence of JSON");
    checker->at += 2;
    return true;
}

static bool check_string(struct checker *checker)
{
    size_t start = checker->at++;
    for (;;) {
        int c = peek(checker, 0);
        if (c == -1 || c == '\n') {
            checker->at = start;
            return refuse(checker, "this string has no end on its line");
        }
        if (c < ' ')
            return refuse(checker, "a control character in a string must be escaped");
        if (c == '\\') {
            if (!check_escape(checker))
                return false;
            continue;
        }
        checker->at++;
        if (c == '"')
            return true;
    }
}

static bool check_digits(struct checker *checker)
{
    if (!is_digit(peek(checker, 0)))
        return refuse(checker, "expected a digit");
    while (is_digit(peek(checker, 0)))
        checker->at++;
    return true;
}

static bool check_number(struct checker *checker)
{
    accept(checker, '-');
    if (accept(checker, '0')) {
        if (is_digit(peek(checker, 0)))
            return refuse(checker, "a number must not begin with 0");
    } else if (!check_digits(checker)) {
        return false;
    }
    if (accept(checker, '.') && !check_digits(checker))
        return false;
    if (accept(checker, 'e') || accept(checker, 'E')) {
        if (!accept(checker, '+'))
            accept(checker, '-');
        return check_digits(checker);
    }
    return true;
}

static bool check_literal(struct checker *checker)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        size_t length = strlen(literals[i]);
        if (checker->length - checker->at >= length &&
            memcmp(checker->text + checker->at, literals[i], length) == 0) {
            checker->at += length;
            return true;
        }
    }
    return refuse(checker, "expected a value");
}

static bool check_value(struct checker *checker, int depth);

static bool check_member(struct checker *checker, int depth)
{
    if (peek(checker, 0) != '"')
        return refuse(checker, "expected a member's name in double quotes");
    if (!check_string(checker) || !skip_space(checker))
        return false;
    if (!accept(checker, ':'))
        return refuse(checker, "expected a colon");
    return skip_space(checker) && check_value(checker, depth);
}

/* At the opening bracket of an array or object: all of it. */
static bool check_elements(struct checker *checker, char closing, int depth)
{
    if (depth == 0)
        return refuse(checker, "nested too deeply");
    checker->at++;
    if (!skip_space(checker))
        return false;
    if (accept(checker, closing))
        return true;
    for (;;) {
        if (closing == '}' ? !check_member(checker, depth - 1) : !check_value(checker, depth - 1))
            return false;
        if (!skip_space(checker))
            return false;
        if (accept(checker, closing))
            return true;
        if (!accept(checker, ','))
            return refuse(checker, closing == '}' ? "expected a comma or a closing brace"
                                                  : "expected a comma or a closing bracket");
        if (!skip_space(checker))
            return false;
        if (peek(checker, 0) == closing)
            return refuse(checker, "the comma before this is one too many");
    }
}

static bool check_value(struct checker *checker, int depth)
{
    int c = peek(checker, 0);
    if (c == '{')
        return check_elements(checker, '}', depth);
    if (c == '[')
        return check_elements(checker, ']', depth);
    if (c == '"')
        return check_string(checker);
    if (c == '-' || is_digit(c))
        return check_number(checker);
    return check_literal(checker);
}

/* Comments too must be text: what is not is a damaged file. */
static bool check_characters(struct checker *checker)
{
    while (checker->at < checker->length) {
        uint32_t code_point;
        size_t size =
            utf8_decode(checker->text + checker->at, checker->length - checker->at, &code_point);
        if (size == 0)
            return refuse(checker, "this is not valid UTF-8");
        if (code_point == 0)
            return refuse(checker, "a NUL character is not allowed");
        checker->at += size;
    }
    checker->at = 0;
    return true;
}

static bool check_document(struct checker *checker)
{
    if (!check_characters(checker) || !skip_space(checker) ||
        !check_value(checker, LIMIT_JSON_DEPTH) || !skip_space(checker))
        return false;
    if (checker->at < checker->length)
        return refuse(checker, "expected nothing more here");
    return true;
}

/* Columns are characters, as editors count them: continuation bytes are none. */
static void set_error(const struct checker *checker, struct error *error)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < checker->at; i++) {
        unsigned char c = (unsigned char)checker->text[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    error_set(error, ERROR_USAGE, "line %zu, column %zu: %s", line, column, checker->reason);
}

cJSON *jsonc_parse(const char *text, size_t length, struct error *error)
{
    struct checker checker = {
        .text = text, .copy = xmemdup0(text, length), .length = length, .reason = NULL};
    cJSON *tree = NULL;
    if (check_document(&checker)) {
        const char *end = checker.copy;
        tree = cJSON_ParseWithLengthOpts(checker.copy, length + 1, &end, true);
        if (tree == NULL) { /* half a surrogate pair */
            checker.at = (size_t)(end - checker.copy);
            checker.reason = "this cannot be read";
        }
    }
    if (tree == NULL)
        set_error(&checker, error);
    explicit_bzero(checker.copy, length);
    free(checker.copy);
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
