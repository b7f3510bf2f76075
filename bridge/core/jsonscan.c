/* The scanner under json.c: finds where a value ends, and where and why a text is not JSON. */
#include "jsonscan.h"

#include <endian.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "utf8.h"

struct scanner scan_begin(const char *text, size_t length)
{
    return (struct scanner){.text = text, .at = text, .end = text + length, .result = JSON_OK};
}

enum json_result scan_finish(const struct scanner *s, struct json_problem *problem)
{
    *problem = (struct json_problem){(size_t)(s->at - s->text), s->reason};
    return s->result;
}

static bool scan_fail(struct scanner *s, enum json_result result, const char *reason)
{
    s->result = result;
    s->reason = reason;
    return false;
}

bool scan_fail_at(struct scanner *s, const char *at, enum json_result result, const char *reason)
{
    s->at = at;
    return scan_fail(s, result, reason);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_some_space(struct scanner *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

/* Inline, as there is none between most tokens: a call each is a quarter of the time of a scan. */
static inline void skip_space(struct scanner *s)
{
    if (s->at < s->end && (unsigned char)*s->at <= ' ')
        skip_some_space(s);
}

void scan_space(struct scanner *s)
{
    skip_space(s);
}

/* The next byte; NUL, which no token holds, at the end. */
static char take(struct scanner *s)
{
    if (s->at == s->end)
        return '\0';
    return *s->at++;
}

static bool is_behind_comma(const struct scanner *s)
{
    const char *before = s->at;
    while (before > s->text && is_space(before[-1]))
        before--;
    return before > s->text && before[-1] == ',';
}

/* Where a name or a value should stand. `closing` ends the container in which a comma leads here.
 */
static bool scan_fail_expecting(struct scanner *s, char closing, const char *expected)
{
    bool too_many = s->at < s->end && *s->at == closing && is_behind_comma(s);
    return scan_fail(s, JSON_SYNTAX, too_many ? "the comma before this is one too many" : expected);
}

/* ---- Strings */

/* The unit of a "\uXXXX" that begins at `at`; false where there is none. */
static bool read_unit(const char *at, const char *end, unsigned *unit)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return false;
    *unit = 0;
    for (int i = 2; i < 6; i++) {
        char letter = (char)(at[i] | 0x20);
        if (is_digit(at[i]))
            *unit = *unit * 16 + (unsigned)(at[i] - '0');
        else if (letter >= 'a' && letter <= 'f')
            *unit = *unit * 16 + (unsigned)(letter - 'a') + 10;
        else
            return false;
    }
    return true;
}

#define REPLACEMENT_CHARACTER 0xFFFD

/* Moves behind the escapes of one character; *half: it was half of a surrogate pair. */
static uint32_t take_units(const char **at, const char *end, unsigned unit, bool *half)
{
    unsigned low;
    *at += 6;
    *half = unit >= 0xD800 && unit <= 0xDFFF;
    if (!*half)
        return unit;
    if (unit > 0xDBFF || !read_unit(*at, end, &low) || low < 0xDC00 || low > 0xDFFF)
        return REPLACEMENT_CHARACTER;
    *at += 6;
    *half = false;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

uint32_t scan_character(const char **at, const char *end)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint32_t point = REPLACEMENT_CHARACTER;
    unsigned unit;
    bool half;
    if (**at != '\\') {
        size_t used = utf8_decode(*at, (size_t)(end - *at), &point);
        *at += used > 0 ? used : 1;
        return point;
    }
    if (read_unit(*at, end, &unit))
        return take_units(at, end, unit, &half);
    point = (uint32_t)meant[strchr(plain, (*at)[1]) - plain];
    *at += 2;
    return point;
}

/* Behind the "\u" of an escape. */
static bool skip_unicode_escape(struct scanner *s)
{
    const char *escape = s->at - 2;
    unsigned unit;
    bool half;
    if (!read_unit(escape, s->end, &unit))
        return scan_fail_at(s, escape, JSON_SYNTAX, "expected four hexadecimal digits after \\u");
    if (unit == 0 && s->strict)
        return scan_fail_at(s, escape, JSON_NUL, "\\u0000 is not allowed");
    s->at = escape;
    take_units(&s->at, s->end, unit, &half);
    if (half && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u' &&
        !read_unit(s->at, s->end, &unit))
        return true; /* the next escape is broken, and says so */
    if (half && s->strict)
        return scan_fail_at(s, escape, JSON_SURROGATE, "this is half of a surrogate pair");
    s->untidy = s->untidy || half;
    return true;
}

/* Behind the backslash. */
static bool skip_escape(struct scanner *s)
{
    const char *escape = s->at - 1;
    char c = take(s);
    if (c == 'u')
        return skip_unicode_escape(s);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return scan_fail_at(s, escape, JSON_SYNTAX, "this is not an escape sequence of JSON");
    return true;
}

/* Behind a control character, or at the end of the text, which is the end of a line. */
static bool fail_in_string(struct scanner *s, const char *quote, unsigned char c)
{
    if (c == '\n')
        return scan_fail_at(s, quote, JSON_SYNTAX, "this string has no end on its line");
    return scan_fail_at(
        s, s->at - 1, JSON_SYNTAX, "a control character in a string must be escaped");
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Where among eight bytes a quote, a backslash or a control character stands: the lowest bit that
 * is set lies in the first of them. What is taken off borrows from a byte's highest bit where the
 * byte is less, and may then borrow from the bytes above, which is why only the lowest bit counts.
 */
static uint64_t find_special(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    word = le64toh(word);
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
    uint64_t control = (word - EACH_BYTE(0x20)) & ~word;
    quote = (quote - EACH_BYTE(1)) & ~quote;
    backslash = (backslash - EACH_BYTE(1)) & ~backslash;
    return (control | quote | backslash) & EACH_BYTE(0x80);
}

/* To the next byte that means something in a string, or to the end. */
static const char *skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t special = find_special(at);
        if (special != 0)
            return at + __builtin_ctzll(special) / 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* At the opening quote. */
static bool scan_string(struct scanner *s, bool *escaped)
{
    const char *quote = s->at, *at = quote + 1;
    while ((at = skip_plain(at, s->end)) < s->end) {
        unsigned char c = (unsigned char)*at++;
        s->at = at;
        if (c == '"')
            return true;
        if (c != '\\')
            return fail_in_string(s, quote, c);
        *escaped = true;
        if (!skip_escape(s))
            return false;
        at = s->at;
    }
    return fail_in_string(s, quote, '\n');
}

/* ---- Numbers and words */

static bool skip_digits(struct scanner *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_digit(*s->at))
        s->at++;
    return s->at > from || scan_fail(s, JSON_SYNTAX, "expected a digit");
}

static bool skip_whole_number(struct scanner *s)
{
    if (s->at == s->end || *s->at != '0')
        return skip_digits(s);
    s->at++;
    if (s->at < s->end && is_digit(*s->at))
        return scan_fail(s, JSON_SYNTAX, "a number must not begin with 0");
    return true;
}

#define LARGEST_EXPONENT  308 /* of a double, in decimal */
#define DIGITS_THAT_COUNT 40

/* The exponent behind an `e`; what is beyond all bounds is cut. */
static long read_exponent(const char *at, const char *end)
{
    long exponent = 0;
    bool negative = at < end && *at == '-';
    for (at += at < end && !is_digit(*at); at < end && exponent <= (long)LIMIT_LIST_BODY; at++)
        exponent = exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

/* As d.ddd times a power of ten: only near the largest power do the digits count. */
bool scan_number_is_huge(const char *at, const char *end)
{
    char digits[DIGITS_THAT_COUNT + 8];
    size_t count = 0;
    long power = -1;
    bool behind_point = false;
    for (at += *at == '-'; at < end && (is_digit(*at) || *at == '.'); at++) {
        behind_point = behind_point || *at == '.';
        if (*at == '.' || (count == 0 && *at == '0')) {
            power -= *at == '0' && behind_point;
            continue;
        }
        power += !behind_point;
        if (count < DIGITS_THAT_COUNT)
            digits[count++] = *at;
    }
    if (count == 0)
        return false;
    power += at < end ? read_exponent(at + 1, end) : 0;
    if (power != LARGEST_EXPONENT)
        return power > LARGEST_EXPONENT;
    /* An integer of so many digits, and the power that is left. */
    snprintf(digits + count, sizeof digits - count, "e%ld", power - (long)count + 1);
    return isinf(strtod(digits, NULL));
}

static bool skip_any_number(struct scanner *s, bool *exponent)
{
    if (*s->at == '-')
        s->at++;
    if (!skip_whole_number(s))
        return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!skip_digits(s))
            return false;
    }
    *exponent = s->at < s->end && (*s->at == 'e' || *s->at == 'E');
    if (*exponent) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return skip_digits(s);
    }
    return true;
}

static bool skip_number(struct scanner *s)
{
    const char *from = s->at;
    bool exponent;
    if (!skip_any_number(s, &exponent))
        return false;
    if (exponent || s->at - from > LARGEST_EXPONENT)
        s->untidy = s->untidy || scan_number_is_huge(from, s->at);
    return true;
}

static bool skip_word(struct scanner *s, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return scan_fail(s, JSON_SYNTAX, "expected a value");
    s->at += length;
    return true;
}

static bool skip_scalar(struct scanner *s)
{
    bool escaped;
    switch (*s->at) {
    case '"':
        return scan_string(s, &escaped);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        if (*s->at == '-' || is_digit(*s->at))
            return skip_number(s);
        return scan_fail_expecting(s, ']', "expected a value");
    }
}

/* ---- Containers */

/* `"name" :` */
bool scan_name(struct scanner *s, struct json_member *member)
{
    skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return scan_fail_expecting(s, '}', "expected a member's name in double quotes");
    const char *quote = s->at;
    member->escaped_name = false;
    if (!scan_string(s, &member->escaped_name))
        return false;
    member->name = (struct json_slice){quote + 1, (size_t)(s->at - quote) - 2};
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return scan_fail(s, JSON_SYNTAX, "expected a colon");
    s->at++;
    return true;
}

/* Behind a value in a container: takes the comma or the closing bracket. */
bool scan_separator(struct scanner *s, char closing, bool *closed)
{
    skip_space(s);
    if (s->at == s->end || (*s->at != ',' && *s->at != closing))
        return scan_fail(s, JSON_SYNTAX,
            closing == '}' ? "expected a comma or a closing brace"
                           : "expected a comma or a closing bracket");
    *closed = *s->at++ == closing;
    return true;
}

/* Behind a value: closes as many containers as end here, or goes on to the next value. */
static bool close_or_continue(struct scanner *s, const char *closings, unsigned *depth)
{
    while (*depth > 0) {
        char closing = closings[*depth - 1];
        bool closed;
        if (!scan_separator(s, closing, &closed))
            return false;
        if (!closed)
            return closing == ']' || scan_name(s, &(struct json_member){0});
        (*depth)--;
    }
    return true;
}

/* Opens a container. *is_empty: it was closed again at once. */
static bool open_container(struct scanner *s, char *closings, unsigned *depth, bool *is_empty)
{
    if (*depth == LIMIT_JSON_DEPTH)
        return scan_fail(s, JSON_TOO_DEEP, "nested too deeply");
    char closing = *s->at++ == '{' ? '}' : ']';
    skip_space(s);
    *is_empty = s->at < s->end && *s->at == closing;
    if (*is_empty) {
        s->at++;
        return true;
    }
    closings[(*depth)++] = closing;
    return closing == ']' || scan_name(s, &(struct json_member){0});
}

/* One value of any type, without recursion: the other side chooses the depth. */
bool scan_value(struct scanner *s)
{
    char closings[LIMIT_JSON_DEPTH];
    unsigned depth = 0;
    do {
        skip_space(s);
        if (s->at == s->end)
            return scan_fail(s, JSON_SYNTAX, "expected a value");
        bool complete = true;
        if (*s->at == '{' || *s->at == '[') {
            if (!open_container(s, closings, &depth, &complete))
                return false;
        } else if (!skip_scalar(s)) {
            return false;
        }
        if (complete && !close_or_continue(s, closings, &depth))
            return false;
    } while (depth > 0);
    return true;
}

/* ---- Documents */

bool scan_utf8(struct scanner *s)
{
    size_t length = (size_t)(s->end - s->text);
    size_t valid = utf8_valid_length(s->text, length);
    return valid == length ||
           scan_fail_at(s, s->text + valid, JSON_NOT_UTF8, "this is not valid UTF-8");
}

bool scan_end(struct scanner *s)
{
    skip_space(s);
    return s->at == s->end || scan_fail(s, JSON_SYNTAX, "expected nothing more here");
}

/* Goes to the opening bracket; false where the text is something else. */
bool scan_opening(struct scanner *s, char bracket, const char *expected)
{
    skip_space(s);
    if (s->at < s->end && *s->at == bracket)
        return true;
    const char *value = s->at;
    return scan_value(s) && scan_fail_at(s, value, JSON_WRONG_TYPE, expected);
}
